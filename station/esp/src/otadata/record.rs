//! One record of the choice of a slot.

use serde::Serialize;

/// Bytes of a record.
pub(super) const RECORD: usize = 32;

/// What is known about the application of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Never started; a bootloader that can go back watches its first start.
    New,
    /// Started once; if it starts again without having said that it works, it is given up.
    PendingVerify,
    /// It said that it works.
    Valid,
    /// It said that it does not work.
    Invalid,
    /// It never said that it works.
    Aborted,
    /// Nothing is known; it may start.
    Undefined,
    /// A number that ESP-IDF does not know, which starts like undefined.
    Unknown(u32),
}

impl State {
    /// The state with this number.
    #[must_use]
    pub fn from_code(code: u32) -> Self {
        match code {
            0 => Self::New,
            1 => Self::PendingVerify,
            2 => Self::Valid,
            3 => Self::Invalid,
            4 => Self::Aborted,
            u32::MAX => Self::Undefined,
            code => Self::Unknown(code),
        }
    }

    /// The number.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::New => 0,
            Self::PendingVerify => 1,
            Self::Valid => 2,
            Self::Invalid => 3,
            Self::Aborted => 4,
            Self::Undefined => u32::MAX,
            Self::Unknown(code) => code,
        }
    }

    /// Whether the application was given up.
    #[must_use]
    pub fn is_given_up(self) -> bool {
        matches!(self, Self::Invalid | Self::Aborted)
    }
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// The slot, counted on with every choice; all ones when erased.
    pub sequence: u32,
    /// Bytes that ESP-IDF keeps and does not read.
    pub label: [u8; 20],
    /// What is known about the application.
    pub state: State,
    /// The CRC as it lies in flash.
    pub crc: u32,
}

impl Record {
    /// A record as erasing leaves it.
    pub const ERASED: Self = Self {
        sequence: u32::MAX,
        label: [0xFF; 20],
        state: State::Undefined,
        crc: u32::MAX,
    };

    /// A record with this sequence and a right CRC, of which nothing is known.
    #[must_use]
    pub fn of(sequence: u32, label: [u8; 20]) -> Self {
        Self {
            sequence,
            label,
            state: State::Undefined,
            crc: crc(sequence),
        }
    }

    pub(super) fn parse(bytes: &[u8; RECORD]) -> Self {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut label = [0; 20];
        label.copy_from_slice(&bytes[4..24]);
        Self {
            sequence: word(0),
            label,
            state: State::from_code(word(24)),
            crc: word(28),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..4].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[4..24].copy_from_slice(&self.label);
        bytes[24..28].copy_from_slice(&self.state.code().to_le_bytes());
        bytes[28..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    /// Whether the CRC is the one of the sequence.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.crc == crc(self.sequence)
    }

    /// Whether the record can be active: written, intact, and its application not given up.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        !self.is_out() && self.is_intact()
    }

    /// Whether nothing but the CRC speaks for the record: erased or given up.
    pub(super) fn is_out(&self) -> bool {
        self.sequence == u32::MAX || self.state.is_given_up()
    }

    /// Whether the record was written whole.
    pub(super) fn is_written(&self) -> bool {
        self.sequence != u32::MAX && self.is_intact()
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_written() && self.state.is_given_up()
    }

    /// The slot that the sequence means among `slots`.
    #[must_use]
    pub fn slot(&self, slots: u8) -> Option<u8> {
        let slot = self.sequence.wrapping_sub(1).checked_rem(slots.into())?;
        u8::try_from(slot).ok()
    }
}

/// The CRC that the chip's ROM computes from a start of all ones.
fn crc(sequence: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(u32::MAX);
    hasher.update(&sequence.to_le_bytes());
    hasher.finalize()
}
