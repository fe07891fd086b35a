//! Where a test asks the station to die, so that what a power cut leaves behind can be looked at.

use crate::event::Seq;

/// When, relative to an event's way to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashMoment {
    /// The event is written, its transaction is not committed: it must not be there afterwards.
    BeforeCommit,
    /// It is on disk and nobody has been told: it must be there afterwards.
    AfterCommitBeforeAck,
    /// It is on disk and its maker has been told.
    AfterAck,
}

impl CrashMoment {
    /// Every moment.
    pub const ALL: [Self; 3] = [
        Self::BeforeCommit,
        Self::AfterCommitBeforeAck,
        Self::AfterAck,
    ];

    /// Returns the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::BeforeCommit => "before-commit",
            Self::AfterCommitBeforeAck => "after-commit",
            Self::AfterAck => "after-ack",
        }
    }
}

impl std::str::FromStr for CrashMoment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|moment| moment.word() == text)
            .ok_or_else(|| {
                let words = Self::ALL.map(Self::word).join(", ");
                format!("unknown moment `{text}`, expected one of {words}")
            })
    }
}

/// The process aborts when the event of this number reaches this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// Which event.
    pub seq: Seq,
    /// When.
    pub when: CrashMoment,
}

impl CrashPoint {
    /// Aborts if one of the events `first..=last` is the one and this is the moment.
    pub(super) fn strike(point: Option<Self>, when: CrashMoment, first: Seq, last: Seq) {
        if let Some(point) = point
            && point.when == when
            && (first..=last).contains(&point.seq)
        {
            std::process::abort();
        }
    }
}
