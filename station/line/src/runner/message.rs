//! What bays tell and ask the coordinator, and what it orders them to do.
//!
//! Commands and questions only; what happened travels as an [`EventKind`] that the coordinator
//! stamps. Everything of one bay goes through one bounded channel, so that its order is the order
//! of the facts.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use crate::event::{AttemptId, BayCondition, EventKind, PulseRecord, Serial, StepName};
use crate::journal::Claim;
use crate::outcome::{Failure, Outcome};

/// Who the chip of an attempt is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnitSeen {
    pub(super) mac: String,
    pub(super) chip: String,
    pub(super) revision: String,
    pub(super) flash_size: Option<u64>,
}

/// What the coordinator says to a unit that was identified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Go on. Pulses whose end nobody knows are to be reconciled first, if there are any.
    Proceed {
        /// Whether there are.
        unsettled: bool,
    },
    /// Only steps that change nothing; the same holds of pulses.
    VerifyOnly {
        /// Whether there are pulses whose end nobody knows.
        unsettled: bool,
    },
    /// Do nothing to it.
    TurnedAway(Failure),
}

/// What the journal holds of the pulses that were meant for a unit.
#[derive(Clone, Debug, Default)]
pub(super) struct UnitBurns {
    /// Those of which nobody knows yet what became of them.
    pub(super) open: Vec<PulseRecord>,
    /// All of them but those that are known not to have happened.
    pub(super) earlier: Vec<PulseRecord>,
    /// Blocks that one of them has burned in part; another may have finished them since.
    pub(super) partly: BTreeSet<u8>,
}

/// How an attempt ended, as its bay sees it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AttemptEnd {
    pub(super) attempt: AttemptId,
    pub(super) outcome: Outcome,
    pub(super) failure: Option<Failure>,
    pub(super) failed_step: Option<StepName>,
}

/// From a bay to the coordinator.
#[derive(Debug)]
pub(super) enum Message {
    /// Something happened.
    Fact { bay: usize, kind: EventKind },
    /// Bytes to store beside the events.
    Attachment {
        bay: usize,
        attempt: AttemptId,
        step: StepName,
        name: String,
        bytes: Vec<u8>,
    },
    /// The bay changed.
    Condition {
        bay: usize,
        to: BayCondition,
        reason: Option<String>,
    },
    /// A board waits to be started.
    Ask { bay: usize },
    /// It does not wait any more, or it declines the leave it was given.
    Withdraw { bay: usize },
    /// An attempt begins; the answer comes when that is on disk.
    Begin {
        bay: usize,
        reply: oneshot::Sender<AttemptId>,
    },
    /// The chip said who it is; the answer comes when that is on disk.
    Identified {
        bay: usize,
        unit: UnitSeen,
        reply: oneshot::Sender<Admission>,
    },
    /// The unit needs its serial number; the answer comes when it is bound, on disk.
    NeedSerial {
        bay: usize,
        claim: Claim,
        reply: oneshot::Sender<Result<Serial, Failure>>,
    },
    /// Something that guards, or follows, what cannot be undone; the answer comes when it is on
    /// disk.
    Durable {
        bay: usize,
        kind: EventKind,
        reply: oneshot::Sender<Result<(), Failure>>,
    },
    /// What was ever meant to be burned into the bay's unit.
    Burns {
        bay: usize,
        reply: oneshot::Sender<Result<UnitBurns, Failure>>,
    },
    /// The chip in the bay does not say who it is; the answer is what to call that.
    Nameless {
        bay: usize,
        chip: Option<String>,
        failure: Failure,
        reply: oneshot::Sender<Failure>,
    },
    /// An attempt ended; the answer is the outcome that may be shown.
    Ended {
        bay: usize,
        end: AttemptEnd,
        reply: oneshot::Sender<Outcome>,
    },
}

/// From the coordinator to a bay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Leave to run one attempt.
    Granted,
    /// A person asked for a start.
    Start,
    /// A person cleared the quarantine.
    Clear,
    /// End as soon as no attempt is under way.
    Finish,
}
