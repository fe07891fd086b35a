//! The words of events about pulses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
