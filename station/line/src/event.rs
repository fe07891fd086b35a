//! The one stream of facts: what happened on the line, in the order the coordinator accepted it.
//!
//! Grammar, per journal (checked by a property test):
//!
//! ```text
//! run      = RunStarted { bay | attempt | cancel | Refused } RunFinished
//! attempt  = AttemptStarted { UnitIdentified | Serial… | step } AttemptFinished   -- per bay, never overlapping
//! step     = StepStarted { UnitIdentified | Measured | AttachmentStored | Serial… } StepFinished [ StepRetrying step ]
//! ```
//!
//! Promises: past tense only; stamped once, by the coordinator; in the journal before anyone sees it;
//! started implies finished; terminal is terminal; together with the stored plan the stream rebuilds
//! every report; a reader older than the writer sees [`EventKind::Unknown`] instead of failing.
//!
//! Progress is deliberately absent: it is lossy and lives in [`Progress`].

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outcome::{Failure, Measurement, Outcome, StepOutcome};

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// Position of an event in its journal: dense, from 1. The cursor of every reader.
    Seq
);
number_id!(
    /// A run's number in its journal, from 1.
    RunId
);
number_id!(
    /// An attempt's number in its journal, from 1.
    AttemptId
);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a name that its maker has already checked.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_id!(
    /// A bay's name as the jig's configuration gives it.
    BayName
);
text_id!(
    /// A step's name, unique in its plan.
    StepName
);
text_id!(
    /// A plan's identity: 64 lower-case hex digits of SHA-256 over the plan and every byte it writes.
    PlanId
);
text_id!(
    /// A unit's chip MAC in lower-case colon form, `7c:df:a1:00:00:01`.
    Mac
);
text_id!(
    /// A serial number as it stands on the label.
    Serial
);

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

/// What happened.
///
/// On the wire: `{"kind": "measured", "data": {…}}`. A variant is added freely and never changed;
/// a snapshot test freezes one example of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum EventKind {
    /// A run began. The first event of a run.
    RunStarted {
        /// The plan, stored whole in the journal.
        plan: PlanId,
        /// Product the plan makes.
        product: String,
        /// Every bay that takes part.
        bays: Vec<BayName>,
        /// Lot the units belong to.
        lot: Option<String>,
        /// Who runs it.
        operator: Option<String>,
        /// How many units were asked for.
        units: Option<u64>,
        /// Version of the station that runs it.
        station: String,
    },
    /// A bay changed.
    BayChanged {
        /// Which bay.
        bay: BayName,
        /// What it is now.
        to: BayCondition,
        /// Why, where that is not plain.
        reason: Option<String>,
    },
    /// An attempt began on whatever is in the bay.
    AttemptStarted {
        /// Its number.
        attempt: AttemptId,
        /// Where.
        bay: BayName,
    },
    /// The chip said who it is.
    UnitIdentified {
        /// During this attempt.
        attempt: AttemptId,
        /// Base MAC.
        mac: Mac,
        /// Chip name, `esp32c3`.
        chip: String,
        /// Chip revision, `major.minor`.
        revision: String,
        /// Flash size in bytes, once known.
        flash_size: Option<u64>,
        /// How many attempts this journal already held for the MAC.
        earlier_attempts: u64,
    },
    /// A step began, for the `try_number`th time (from 1).
    StepStarted {
        /// Of this attempt.
        attempt: AttemptId,
        /// Which step.
        step: StepName,
        /// From 1.
        try_number: u32,
    },
    /// A value was taken and judged.
    Measured {
        /// During this attempt.
        attempt: AttemptId,
        /// During this step.
        step: StepName,
        /// During this try of it.
        try_number: u32,
        /// Value, limits and verdict.
        measurement: Measurement,
    },
    /// A step ended.
    StepFinished {
        /// Of this attempt.
        attempt: AttemptId,
        /// Which step.
        step: StepName,
        /// Which try.
        try_number: u32,
        /// How.
        outcome: StepOutcome,
        /// How long it took.
        took_us: u64,
        /// What went wrong, unless it passed or was skipped.
        failure: Option<Failure>,
    },
    /// A step (or the group it leads) will be tried again.
    StepRetrying {
        /// Of this attempt.
        attempt: AttemptId,
        /// The step whose failure caused it.
        step: StepName,
        /// First step that is repeated; the same step unless a group is.
        from: StepName,
        /// Pause before it.
        after_us: u64,
    },
    /// A serial number was taken from its pool for one attempt.
    SerialReserved {
        /// For this attempt.
        attempt: AttemptId,
        /// Pool it came from.
        pool: String,
        /// Which one of its pool: the counter of a pattern, the row of a list; from 1.
        position: u64,
        /// The number.
        serial: Serial,
    },
    /// A serial number belongs to a MAC from now on.
    SerialBound {
        /// In this attempt.
        attempt: AttemptId,
        /// Pool it came from.
        pool: String,
        /// The number.
        serial: Serial,
        /// Whose.
        mac: Mac,
    },
    /// A unit with this serial number passed.
    SerialCommitted {
        /// In this attempt.
        attempt: AttemptId,
        /// Pool it came from.
        pool: String,
        /// The number.
        serial: Serial,
        /// Whose.
        mac: Mac,
    },
    /// A serial number will never be used.
    SerialVoided {
        /// Pool it came from.
        pool: String,
        /// The number.
        serial: Serial,
        /// Why.
        reason: String,
    },
    /// Bytes too large for an event were stored beside it.
    AttachmentStored {
        /// During this attempt.
        attempt: AttemptId,
        /// During this step.
        step: StepName,
        /// What they are: `console`, `flash`.
        name: String,
        /// SHA-256 of the bytes, hex.
        sha256: String,
        /// How many.
        size: u64,
    },
    /// An attempt ended. The last event of an attempt.
    AttemptFinished {
        /// Which attempt.
        attempt: AttemptId,
        /// Where.
        bay: BayName,
        /// Whose, once known.
        mac: Option<Mac>,
        /// With which serial number, once bound.
        serial: Option<Serial>,
        /// How.
        outcome: Outcome,
        /// How long it took.
        took_us: u64,
        /// The failure that decided it.
        failure: Option<Failure>,
        /// The step that decided it.
        failed_step: Option<StepName>,
    },
    /// Somebody asked the run to end.
    CancelRequested {
        /// Who.
        by: String,
        /// How.
        mode: CancelMode,
    },
    /// A run ended. The last event of a run.
    RunFinished {
        /// Its attempts by outcome.
        tally: Tally,
        /// Why it ended early, if it did.
        reason: Option<String>,
    },
    /// Somebody asked the station for something that writes.
    OperationInvoked {
        /// Operation's name in the registry.
        operation: String,
        /// Face it came through: `cli`, `mcp`.
        face: String,
        /// Who, as far as the face knows.
        by: String,
        /// What it was asked, with secrets left out.
        parameters: serde_json::Value,
    },
    /// Something irreversible or forbidden was asked for and not done.
    Refused {
        /// Operation's name in the registry, or `attempt` for a unit that was turned away.
        operation: String,
        /// Stable code.
        code: String,
        /// Why.
        reason: String,
    },
    /// A start-up pass found what a crash left open and closed it.
    Recovered {
        /// Attempts that were closed as errors.
        attempts: u64,
        /// Runs that were closed.
        runs: u64,
        /// Serial reservations that no MAC had claimed, voided.
        serials: u64,
    },
    /// An event that a newer station wrote, kept as it stands.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

impl EventKind {
    /// Every kind this station writes, in the order of the variants.
    pub const WORDS: [&'static str; 19] = [
        "run_started",
        "bay_changed",
        "attempt_started",
        "unit_identified",
        "step_started",
        "measured",
        "step_finished",
        "step_retrying",
        "serial_reserved",
        "serial_bound",
        "serial_committed",
        "serial_voided",
        "attachment_stored",
        "attempt_finished",
        "cancel_requested",
        "run_finished",
        "operation_invoked",
        "refused",
        "recovered",
    ];

    /// Returns the word that stands for the kind on the wire and in the journal.
    pub fn word(&self) -> &str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::BayChanged { .. } => "bay_changed",
            Self::AttemptStarted { .. } => "attempt_started",
            Self::UnitIdentified { .. } => "unit_identified",
            Self::StepStarted { .. } => "step_started",
            Self::Measured { .. } => "measured",
            Self::StepFinished { .. } => "step_finished",
            Self::StepRetrying { .. } => "step_retrying",
            Self::SerialReserved { .. } => "serial_reserved",
            Self::SerialBound { .. } => "serial_bound",
            Self::SerialCommitted { .. } => "serial_committed",
            Self::SerialVoided { .. } => "serial_voided",
            Self::AttachmentStored { .. } => "attachment_stored",
            Self::AttemptFinished { .. } => "attempt_finished",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::RunFinished { .. } => "run_finished",
            Self::OperationInvoked { .. } => "operation_invoked",
            Self::Refused { .. } => "refused",
            Self::Recovered { .. } => "recovered",
            Self::Unknown(value) => value
                .get("kind")
                .and_then(serde_json::Value::as_str)
                .unwrap_or("unknown"),
        }
    }
}

impl Mac {
    /// Returns whether it has the lower-case colon form and can be a chip's address: neither all
    /// zeros nor all ones, which is what an unprogrammed or unreadable eFuse block gives.
    pub fn is_valid(&self) -> bool {
        let bytes = self.0.as_bytes();
        let shape = bytes.len() == 17
            && bytes
                .iter()
                .enumerate()
                .all(|(index, byte)| match index % 3 {
                    2 => *byte == b':',
                    _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                });
        shape && self.0 != "00:00:00:00:00:00" && self.0 != "ff:ff:ff:ff:ff:ff"
    }
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
