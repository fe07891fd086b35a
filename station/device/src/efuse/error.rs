//! Why a plan was not burned, or not to its end.
//!
//! Invariants: class, code and hint are total; a text never shows a word that goes into a fuse.

use station_esp::Chip;
use station_esp::words::counted;

use crate::error::{DeviceError, FailureClass};

/// Why a plan was not burned, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BurnError {
    /// The chip could not be read or prepared before a pulse; neither that one nor a later one was
    /// burned.
    #[error("before a pulse: {0}")]
    Device(#[from] DeviceError),
    /// The chip is not the one the plan was made for, or not in that state any more. Neither this
    /// pulse nor a later one was burned.
    #[error("the chip is not as it was when the plan was made: {what}")]
    ChipChanged {
        /// What is different, without its value.
        what: String,
    },
    /// The chip cannot be programmed with this crystal.
    #[error("the fuses of {} cannot be burned with a crystal of {mhz} MHz", chip.title())]
    Crystal {
        /// The chip.
        chip: Chip,
        /// What was measured, in MHz.
        mhz: u8,
    },
    /// The witness said no to a pulse, and it was not burned.
    #[error("pulse {pulse} of {of} was not burned: {reason}")]
    Refused {
        /// Its number in the plan.
        pulse: u16,
        /// How many the plan has.
        of: u16,
        /// What the witness said.
        reason: String,
    },
    /// The result of a pulse could not be recorded. The pulse itself is over.
    #[error("the result of pulse {pulse} of {of} is not recorded: {reason}")]
    NotRecorded {
        /// Its number in the plan.
        pulse: u16,
        /// How many the plan has.
        of: u16,
        /// What the witness said.
        reason: String,
    },
    /// A pulse does not read as planned, however often it was repeated.
    #[error(
        "pulse {pulse} of {of} on block {block} failed after {}: {reason}",
        counted(*.tries, "try")
    )]
    Failed {
        /// Its number in the plan.
        pulse: u16,
        /// How many the plan has.
        of: u16,
        /// The block.
        block: u8,
        /// How often it was programmed.
        tries: u8,
        /// What is wrong with it, in words.
        reason: String,
    },
    /// Every pulse is done and recorded, and yet the fuses are not what the plan makes of them.
    #[error("every pulse is done, and the fuses are not as planned: {what}")]
    Unexpected {
        /// What is different, without its value.
        what: String,
    },
    /// What should be programmed never arrived whole in the chip's registers. The pulse was not
    /// burned.
    #[error("pulse {pulse} of {of} was not burned: {detail}")]
    Garbled {
        /// Its number in the plan.
        pulse: u16,
        /// How many the plan has.
        of: u16,
        /// What arrived instead, in words.
        detail: String,
    },
    /// The conversation broke off within a pulse. Whether it is burned must be read from the chip.
    #[error("pulse {pulse} of {of} was interrupted: {error}")]
    Interrupted {
        /// Its number in the plan.
        pulse: u16,
        /// How many the plan has.
        of: u16,
        /// What broke it off.
        error: DeviceError,
    },
}

impl BurnError {
    /// The class, which decides retry and blame.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Device(error) => error.class(),
            Self::ChipChanged { .. }
            | Self::Crystal { .. }
            | Self::Failed { .. }
            | Self::Unexpected { .. } => FailureClass::Efuse,
            Self::Refused { .. } | Self::NotRecorded { .. } => FailureClass::Station,
            Self::Garbled { .. } | Self::Interrupted { .. } => FailureClass::Link,
        }
    }

    /// The stable code, `burn-failed`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Device(error) => error.code(),
            Self::ChipChanged { .. } => "burn-chip-changed",
            Self::Crystal { .. } => "burn-crystal",
            Self::Refused { .. } => "burn-refused",
            Self::NotRecorded { .. } => "burn-not-recorded",
            Self::Failed { .. } => "burn-failed",
            Self::Unexpected { .. } => "burn-unexpected",
            Self::Garbled { .. } => "burn-garbled",
            Self::Interrupted { .. } => "burn-interrupted",
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Device(error) => return error.hint(),
            Self::ChipChanged { .. } => {
                "read the chip again and make a new plan; keep hands off the board meanwhile"
            }
            Self::Crystal { .. } => "check the board's crystal, and that the chip is the right one",
            Self::Refused { .. } => "nothing of this pulse is burned: remove the reason and go on",
            Self::NotRecorded { .. } => {
                "look after the journal first; the chip tells what was burned when it is read again"
            }
            Self::Failed { .. } | Self::Unexpected { .. } => {
                "the chip is to be put aside: its fuses are not as they must be"
            }
            Self::Garbled { .. } => "check the cable, or allow only a lower baud rate for this bay",
            Self::Interrupted { .. } => {
                "contact the board again: what became of the pulse is read from its fuses"
            }
        };
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_conversation_blames_the_link_and_never_the_chip() {
        let lost = DeviceError::NoReply {
            what: "READ_REG".into(),
            after: std::time::Duration::from_secs(3),
        };
        let error = BurnError::Interrupted {
            pulse: 2,
            of: 5,
            error: lost.clone(),
        };
        assert_eq!(error.class(), FailureClass::Link);
        assert_eq!(error.code(), "burn-interrupted");
        assert!(error.hint().is_some());
        assert_eq!(BurnError::Device(lost).code(), "no-reply");
    }
}
