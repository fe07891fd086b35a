//! The partition that says which update slot starts: two records, one in each sector.
//!
//! Invariants: what is decided here is what ESP-IDF's bootloader and `esp_ota_ops` decide
//! (bootloader_support and app_update of ESP-IDF 6.0), without anti-rollback by eFuse; a change
//! touches one sector, and the other record stays what it was, so a power cut leaves one of the two.
//!
//! A record is 32 bytes: sequence, 20 bytes nobody uses, state, CRC of the sequence. The valid
//! record with the higher sequence is active, and slot `(sequence - 1) mod slots` starts.

mod boot;
mod record;
#[cfg(test)]
mod tests;

pub use boot::{Applications, Boot};
pub use record::{Record, State};

use record::RECORD;

use crate::flash::SECTOR;

/// Bytes of the partition.
pub const OTADATA_LENGTH: usize = 2 * SECTOR as usize;

/// Something that cannot be done to the choice of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OtaDataError {
    /// The partition has another size.
    #[error("{0:#x} bytes; the choice of an update slot has 0x2000")]
    Length(usize),
    /// There is no such slot.
    #[error("no update slot {slot}; there are {slots}")]
    NoSlot {
        /// The slot asked for.
        slot: u8,
        /// How many there are.
        slots: u8,
    },
    /// No slot is chosen, so nothing can be said of it.
    #[error("no update slot is active")]
    NotActive,
    /// There is nothing to go back to.
    #[error("no earlier application to go back to")]
    NoEarlier,
    /// The sequence cannot go on.
    #[error("sequence {0:#x} cannot be counted up; erase the partition")]
    Exhausted(u32),
}

impl OtaDataError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length(_) => "otadata-length",
            Self::NoSlot { .. } => "otadata-no-slot",
            Self::NotActive => "otadata-not-active",
            Self::NoEarlier => "otadata-no-earlier",
            Self::Exhausted(_) => "otadata-exhausted",
        }
    }
}

/// The two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtaData {
    /// The record of each sector.
    pub records: [Record; 2],
}

impl OtaData {
    /// The partition as erasing leaves it: no slot is chosen.
    pub const ERASED: Self = Self {
        records: [Record::ERASED; 2],
    };

    /// Reads the partition. Every content has a meaning, if only that no slot is chosen.
    ///
    /// # Errors
    /// [`OtaDataError::Length`] when it has another size.
    pub fn parse(bytes: &[u8]) -> Result<Self, OtaDataError> {
        let wrong = || OtaDataError::Length(bytes.len());
        if bytes.len() != OTADATA_LENGTH {
            return Err(wrong());
        }
        let record = |at: usize| {
            let bytes = bytes.get(at..)?.first_chunk::<RECORD>()?;
            Some(Record::parse(bytes))
        };
        match (record(0), record(SECTOR as usize)) {
            (Some(first), Some(second)) => Ok(Self {
                records: [first, second],
            }),
            _ => Err(wrong()),
        }
    }

    /// The partition, [`OTADATA_LENGTH`] bytes; what no record uses is erased.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(OTADATA_LENGTH);
        for record in &self.records {
            let end = bytes.len() + SECTOR as usize;
            bytes.extend_from_slice(&record.to_bytes());
            bytes.resize(end, 0xFF);
        }
        bytes
    }

    /// Which record is active: the valid one with the higher sequence, the first if they are equal.
    #[must_use]
    pub fn active(&self) -> Option<usize> {
        let [first, second] = &self.records;
        match (first.is_valid(), second.is_valid()) {
            (true, true) => Some(usize::from(second.sequence > first.sequence)),
            (true, false) => Some(0),
            (false, true) => Some(1),
            (false, false) => None,
        }
    }

    /// The slot of the active record among `slots`.
    #[must_use]
    pub fn active_slot(&self, slots: u8) -> Option<u8> {
        self.records[self.active()?].slot(slots)
    }

    /// Chooses a slot for the next start.
    ///
    /// The record of the active slot itself only changes its state; any other slot is written over
    /// the record that is not active. `state` is [`State::New`] where the bootloader can go back,
    /// else [`State::Undefined`].
    ///
    /// # Errors
    /// When there is no such slot, or the sequence cannot go on.
    pub fn set(&mut self, slot: u8, slots: u8, state: State) -> Result<(), OtaDataError> {
        if slot >= slots {
            return Err(OtaDataError::NoSlot { slot, slots });
        }
        let (at, sequence) = match self.active() {
            None => (0, u32::from(slot) + 1),
            Some(active) if self.active_slot(slots) == Some(slot) => {
                (active, self.records[active].sequence)
            }
            Some(active) => {
                let sequence = self.records[active].sequence;
                (1 - active, next(sequence, slot, slots)?)
            }
        };
        let record = &mut self.records[at];
        *record = Record {
            state,
            ..Record::of(sequence, record.label)
        };
        Ok(())
    }

    /// Says of the active slot that its application works.
    ///
    /// # Errors
    /// [`OtaDataError::NotActive`] when none is active.
    pub fn mark_valid(&mut self) -> Result<(), OtaDataError> {
        let active = self.active().ok_or(OtaDataError::NotActive)?;
        self.records[active].state = State::Valid;
        Ok(())
    }

    /// Goes back: says of the active slot that its application does not work, so that the one
    /// chosen before starts, or the factory's. Whether that one is whole is for the caller to know.
    ///
    /// # Errors
    /// When no slot is active, or there is nothing to go back to.
    pub fn roll_back(&mut self, applications: Applications) -> Result<(), OtaDataError> {
        let active = self.active().ok_or(OtaDataError::NotActive)?;
        if !self.records[1 - active].is_valid() && !applications.factory {
            return Err(OtaDataError::NoEarlier);
        }
        self.records[active].state = State::Invalid;
        Ok(())
    }

    /// The slot that was given up last, of which an update should know.
    #[must_use]
    pub fn given_up(&self, slots: u8) -> Option<u8> {
        let mut given_up: Vec<&Record> = self.records.iter().filter(|r| r.is_given_up()).collect();
        given_up.sort_by_key(|record| record.sequence);
        given_up.first()?.slot(slots)
    }
}

/// The lowest sequence above `sequence` that starts `slot`.
fn next(sequence: u32, slot: u8, slots: u8) -> Result<u32, OtaDataError> {
    let (slots, slot) = (u64::from(slots), u64::from(slot));
    let base = (slot + 1) % slots;
    // Sequence 0 stands for a slot of its own in a damaged record, so equal is not above.
    let rounds = (u64::from(sequence) + 1)
        .saturating_sub(base)
        .div_ceil(slots);
    u32::try_from(base + rounds * slots)
        .ok()
        .filter(|next| *next != u32::MAX)
        .ok_or(OtaDataError::Exhausted(sequence))
}
