//! How far a long operation is.
//!
//! Invariant: progress is told, never asked for and never decided upon; a sink must return at once.

/// What a long operation is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Looking at what is there, to leave alone what is right.
    Compare,
    /// Making flash blank.
    Erase,
    /// Sending bytes to be programmed.
    Write,
    /// Comparing what is there with what must be.
    Verify,
    /// Reading flash back.
    Read,
}

impl Phase {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Compare => "compare",
            Self::Erase => "erase",
            Self::Write => "write",
            Self::Verify => "verify",
            Self::Read => "read",
        }
    }
}

/// Somebody who is told how far it is.
pub trait ProgressSink: Send + Sync {
    /// `done` of `total` bytes are through `phase` (one of the words of [`Phase`]).
    fn progress(&self, phase: &str, done: u64, total: Option<u64>);
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl ProgressSink for NoProgress {
    fn progress(&self, _phase: &str, _done: u64, _total: Option<u64>) {}
}
