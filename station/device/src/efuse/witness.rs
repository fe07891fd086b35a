//! Who keeps the record of what is burned.
//!
//! Invariant: nothing here carries a key: blocks are told by their tokens.

use async_trait::async_trait;
use station_esp::efuse::plan::{PulseRecord, Token};

/// Keeps intents and results for good.
#[async_trait]
pub trait BurnWitness: Send {
    /// Hears what is about to be burned, before anything of it is written to the chip. `Ok` means
    /// that the record will survive a crash.
    ///
    /// # Errors
    /// The reason why this pulse and all that follow must not be burned: the record could not be
    /// kept, or somebody wants to stop here. Nothing of the pulse is burned then.
    async fn intended(&mut self, pulse: &PulseRecord) -> Result<(), String>;

    /// Hears how a pulse ended.
    ///
    /// # Errors
    /// The reason why it could not be recorded; the plan stops.
    async fn finished(&mut self, pulse: &PulseRecord, result: &PulseResult) -> Result<(), String>;
}

/// How one pulse ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulseResult {
    /// Whether it is burned.
    pub verdict: PulseVerdict,
    /// How often it was programmed, always with the same words.
    pub tries: u8,
    /// What the block read before.
    pub before: Token,
    /// What it reads now; after [`PulseVerdict::Silent`] what it should read, for nobody can look.
    pub after: Token,
}

/// Whether a pulse is burned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PulseVerdict {
    /// Yes: it reads as planned, without coding errors.
    Done,
    /// The controller finished it, and the chip stopped answering as it was told to.
    Silent,
    /// No, or not whole.
    Failed {
        /// What is wrong, in words.
        reason: String,
    },
}

impl PulseVerdict {
    /// The word for the record: `done`, `silent`, `failed`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Silent => "silent",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether the pulse counts as burned.
    #[must_use]
    pub fn is_success(&self) -> bool {
        match self {
            Self::Done | Self::Silent => true,
            Self::Failed { .. } => false,
        }
    }
}
