//! The words of events about pulses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::efuse::{PulseResult, PulseVerdict};
use station_esp::efuse::plan::PulseRecord;
use station_esp::efuse::reconcile::{Reconciled, Verdict};

use super::{AttemptId, EventKind, Mac};

/// How [`PulseRecord`] looks on the wire, for the schema.
#[derive(JsonSchema)]
#[schemars(rename = "PulseRecord")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct PulseShape {
    /// Digest of the burn plan, 64 hex digits.
    plan: String,
    /// Its place in the plan, from 1.
    number: u16,
    /// Pulses of the plan.
    of: u16,
    /// Block it burns.
    block: u8,
    /// Token of what the block reads just before: `w:` and words, `s:` and a digest, `hidden`.
    before: String,
    /// Token of what it must read afterwards.
    after: String,
    /// What it does, in words, a line each.
    does: Vec<String>,
    /// Whether the chip may stop answering once the fuses are read again.
    last_contact: bool,
}

/// How a pulse ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BurnVerdict {
    /// The block was read back as expected.
    Done,
    /// The chip stopped answering, as the pulse told it to.
    Silent,
    /// The block does not read as expected, or could not be read.
    Failed,
}

impl BurnVerdict {
    /// Returns the word that every face and the journal use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Silent => "silent",
            Self::Failed => "failed",
        }
    }
}

/// What the chip says about a pulse whose end nobody saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReconcileVerdict {
    /// It happened, completely.
    Done,
    /// It did not happen.
    NotDone,
    /// Some of its bits are there.
    Partly,
    /// The chip cannot say.
    Unclear,
}

impl ReconcileVerdict {
    /// Returns the word that every face and the journal use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDone => "not_done",
            Self::Partly => "partly",
            Self::Unclear => "unclear",
        }
    }
}

impl EventKind {
    /// What became of a pulse, as the burner tells it; `attempt` is `None` outside a run.
    #[must_use]
    pub fn burn_finished(
        attempt: Option<AttemptId>,
        mac: &Mac,
        pulse: &PulseRecord,
        result: &PulseResult,
    ) -> Self {
        let (verdict, detail) = match &result.verdict {
            PulseVerdict::Done => (BurnVerdict::Done, None),
            PulseVerdict::Silent => (BurnVerdict::Silent, None),
            PulseVerdict::Failed { reason } => (BurnVerdict::Failed, Some(reason.clone())),
        };
        Self::BurnFinished {
            attempt,
            mac: mac.clone(),
            plan: pulse.plan.clone(),
            number: pulse.number,
            verdict,
            tries: result.tries,
            before: result.before.clone(),
            after: result.after.clone(),
            detail,
        }
    }

    /// What the chip says about a pulse whose end nobody saw; `attempt` is `None` outside a run.
    #[must_use]
    pub fn burn_reconciled(attempt: Option<AttemptId>, mac: &Mac, found: &Reconciled) -> Self {
        let (verdict, detail) = match &found.verdict {
            Verdict::Done => (ReconcileVerdict::Done, None),
            Verdict::NotDone => (ReconcileVerdict::NotDone, None),
            Verdict::Partly { detail } => (ReconcileVerdict::Partly, Some(detail.clone())),
            Verdict::Unclear { reason } => (ReconcileVerdict::Unclear, Some(reason.clone())),
        };
        Self::BurnReconciled {
            attempt,
            mac: mac.clone(),
            plan: found.plan.clone(),
            number: found.number,
            verdict,
            detail,
        }
    }
}
