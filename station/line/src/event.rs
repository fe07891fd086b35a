//! The one stream of facts: what happened on the line, in the order the coordinator accepted it.
//!
//! Grammar, per journal (checked by a property test):
//!
//! ```text
//! run      = RunStarted { bay | attempt | cancel | Refused } RunFinished
//! attempt  = AttemptStarted { UnitIdentified | Serial… | step } AttemptFinished   -- per bay, never overlapping
//! step     = StepStarted { UnitIdentified | Measured | AttachmentStored | Serial… | Key… | pulse } StepFinished [ StepRetrying step ]
//! pulse    = BurnIntended ( BurnFinished | { BurnReconciled unclear } BurnReconciled )  -- per unit, never overlapping
//! approval = Approved { ApprovalUsed }                     -- as often as granted, not after it expired
//! release  = RecipeReleased [ RecipeWithdrawn ]            -- per plan
//! key      = KeySealed { KeySealed } [ KeyForgotten ]      -- per name and owner, always the same key
//! trouble  = UnitQuarantined { UnitQuarantined } UnitReleased  -- per unit; no pulse and no pass meanwhile
//! ```
//!
//! A pulse of one plan is intended again only after it failed, was found not done, or was found done
//! in part. A pulse outlives its attempt when the station dies: it stays open until the unit is read.
//!
//! Promises: past tense only; stamped once, by the coordinator; in the journal before anyone sees it;
//! started implies finished; terminal is terminal; together with the stored plan the stream rebuilds
//! every report; a reader older than the writer sees [`EventKind::Unknown`] instead of failing.
//!
//! Progress is deliberately absent: it is lossy and lives in [`Progress`].

mod burn;
mod id;
mod kind;

use std::time::Duration;

pub(crate) use burn::PulseShape;
pub use burn::{BurnVerdict, ReconcileVerdict};
use chrono::{DateTime, Utc};
pub use id::{AttemptId, BayName, Mac, PlanId, RunId, Seq, Serial, StepName};
pub use kind::EventKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use station_esp::efuse::plan::{PulseRecord, Token};

use crate::outcome::Outcome;

/// One numbered, durable fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Where it stands in the journal.
    pub seq: Seq,
    /// Wall clock, for people.
    pub at: DateTime<Utc>,
    /// Microseconds on the monotonic clock since the run began, for arithmetic; 0 outside a run.
    pub elapsed_us: u64,
    /// The run it belongs to, if any.
    pub run: Option<RunId>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What a bay is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BayCondition {
    /// No board.
    Vacant,
    /// A board that has not been started.
    Occupied,
    /// An attempt is under way.
    Running,
    /// The attempt is over and its board is still there.
    Finished,
    /// The port went away or cannot be opened.
    Lost,
    /// Closed after repeated errors until a person clears it.
    Quarantined,
}

/// How a run is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelMode {
    /// Running attempts finish; none starts.
    Drain,
    /// Running attempts are aborted at the next safe point.
    Stop,
}

/// Attempts of a run by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Attempts that ended [`Outcome::Pass`].
    pub pass: u64,
    /// Attempts that ended [`Outcome::Fail`].
    pub fail: u64,
    /// Attempts that ended [`Outcome::Error`].
    pub error: u64,
    /// Attempts that ended [`Outcome::Aborted`].
    pub aborted: u64,
}

impl Tally {
    /// Counts one more attempt.
    pub fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Pass => self.pass += 1,
            Outcome::Fail => self.fail += 1,
            Outcome::Error => self.error += 1,
            Outcome::Aborted => self.aborted += 1,
        }
    }
}

/// How far along a step is. Lossy: only the latest of a bay matters. Never journaled, never decided upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where.
    pub bay: BayName,
    /// In which step.
    pub step: StepName,
    /// What is going on, in a word or two: `writing app`.
    pub phase: String,
    /// Units done, bytes where bytes move.
    pub done: u64,
    /// Of how many, where that is known.
    pub total: Option<u64>,
}

/// Returns a duration in whole microseconds, saturating.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
