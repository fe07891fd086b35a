//! What a loader answers: the codes by which ROM and stub refuse.
//!
//! Invariants: a refusal has one code in each dialect; codes are those of Espressif's serial
//! protocol document (ROM) and of esp-flasher-stub (stub).

use station_esp::command::{Dialect, RomError, Status, StubError};

/// Why a loader refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The payload has the wrong length, or a parameter is out of its range.
    Length,
    /// The checksum over the data does not match.
    Checksum,
    /// The block size is larger than the loader's buffer.
    BlockSize,
    /// The command is unknown, or barred.
    Unknown,
    /// The flash did not do it.
    Spi,
    /// Data without a beginning.
    NotBegun,
    /// The compressed stream is broken.
    Inflate,
    /// Less data than announced.
    NotEnough,
    /// More data than announced.
    TooMuch,
}

impl Refusal {
    /// The status bytes that say so.
    pub(super) const fn status(self, dialect: Dialect) -> Status {
        match dialect {
            Dialect::Rom => Status::rom(self.rom()),
            Dialect::Stub => Status::stub(self.stub()),
        }
    }

    const fn stub(self) -> StubError {
        match self {
            Self::Length => StubError::BadLength,
            Self::Checksum => StubError::BadChecksum,
            Self::BlockSize => StubError::BadBlockSize,
            Self::Unknown => StubError::InvalidCommand,
            Self::Spi => StubError::SpiFailed,
            Self::NotBegun => StubError::NotInFlashMode,
            Self::Inflate => StubError::Inflate,
            Self::NotEnough => StubError::NotEnoughData,
            Self::TooMuch => StubError::TooMuchData,
        }
    }

    const fn rom(self) -> RomError {
        match self {
            Self::Length | Self::BlockSize | Self::Unknown => RomError::InvalidMessage,
            Self::NotBegun => RomError::FailedToAct,
            Self::Checksum => RomError::BadChecksum,
            Self::Spi => RomError::FlashWrite,
            Self::NotEnough | Self::TooMuch => RomError::FlashReadLength,
            Self::Inflate => RomError::Deflate,
        }
    }
}

/// What a command leads to.
#[derive(Debug)]
pub(super) enum Answer {
    /// An answer at once: the value word and the body.
    Now(u32, Vec<u8>),
    /// An answer when the work that was begun is done.
    Later,
    /// No answer, now or ever.
    Silence,
}

impl Answer {
    /// Success without more.
    pub(super) const fn done() -> Self {
        Self::Now(0, Vec::new())
    }
}
