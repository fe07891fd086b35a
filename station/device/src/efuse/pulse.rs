//! One programming command, from its words to what is read back.
//!
//! Invariants: every try has the same words; a pulse is done only when its block reads exactly what
//! the plan says and no coding error came up in five readings; bits that nobody wanted end it at
//! once, because no repetition can take them back; silence counts as the end only where the pulse
//! closes download mode.

use station_esp::efuse::map::{FuseBlock, RegisterBits};
use station_esp::efuse::plan::{CodingError, Pulse, Snapshot};
use station_esp::words::counted;

use super::controller::{Fuses, Words};
use super::farewell::Farewell;
use super::witness::PulseVerdict;
use crate::error::DeviceError;
use crate::loader::is_transient;

/// Times a pulse is programmed at most.
pub(super) const TRIES: u8 = 3;
/// Times the link may spoil the loading of a pulse.
const LOAD_TRIES: u8 = 5;
/// Readings of the fuses whose error registers must be clean (espefuse looks as often).
const READINGS: u32 = 5;

/// How a pulse went.
pub(super) enum Shot {
    /// To an end that is known.
    Ended {
        /// How.
        verdict: PulseVerdict,
        /// Times it was programmed.
        tries: u8,
        /// What the block reads now, where it could be read.
        words: Option<Words>,
    },
    /// Its words never arrived whole; nothing was burned.
    Garbled {
        /// What the block reads.
        words: Words,
    },
}

/// What is seen of a pulse on the chip.
struct Seen {
    words: Words,
    complaint: Option<Complaint>,
}

/// What is wrong with what is seen.
struct Complaint {
    text: String,
    /// Whether programming once more may help.
    repeat: bool,
}

/// One pulse and what there is to know about its block.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) pulse: &'a Pulse,
    pub(super) block: &'a FuseBlock,
    /// The chip as the plan knows it, with the coding errors that were there before.
    pub(super) planned: &'a Snapshot,
    /// What programming needs with this board's crystal.
    pub(super) timing: &'a [RegisterBits],
    /// Whether an ESP32 uses 3/4 coding.
    pub(super) three_quarters: bool,
    /// Whether the bits close download mode altogether, so that a reset could not reach it again.
    pub(super) closes_download: bool,
}

impl Fuses<'_> {
    /// Programs a pulse and reads it back.
    ///
    /// # Errors
    /// What broke the conversation off, when it cannot be told what became of the pulse.
    pub(super) async fn fire(&mut self, target: Target<'_>) -> Result<Shot, DeviceError> {
        // What a link spoils is not held against the chip.
        let mut spoiled = None;
        for tries in 1..=TRIES {
            if !self.ready(target.planned, target.timing).await? {
                return Err(self.swapped());
            }
            if !self.loaded(target).await? {
                // An earlier try may have burned some of it: the intent stays open.
                if tries > 1 {
                    return Err(never_whole());
                }
                let words = self.block(target.block, &target.pulse.before).await?;
                return Ok(Shot::Garbled { words });
            }
            let programmed = match self.program(target.block).await {
                Ok(()) => true,
                // The next exchange finds the loader's attention; the chip tells how far it came.
                Err(error) if is_transient(&error) => {
                    spoiled = Some(error);
                    false
                }
                Err(error) => return Err(error),
            };
            let Some(seen) = self.look_or_part(target, programmed).await? else {
                return Ok(ended(PulseVerdict::Silent, tries, None));
            };
            let Some(wrong) = seen.complaint else {
                return Ok(ended(PulseVerdict::Done, tries, Some(seen.words)));
            };
            if wrong.repeat && tries < TRIES {
                continue;
            }
            return match spoiled {
                Some(error) if wrong.repeat => Err(error),
                Some(_) | None => {
                    let verdict = PulseVerdict::Failed { reason: wrong.text };
                    Ok(ended(verdict, tries, Some(seen.words)))
                }
            };
        }
        Err(never_whole())
    }

    fn swapped(&self) -> DeviceError {
        DeviceError::LinkLost {
            link: self.loader.wire().name(),
            detail: "another chip answers than the one the plan was made for".into(),
        }
    }

    /// Loads a pulse, again when the link spoils it: nothing is burned by that.
    async fn loaded(&mut self, target: Target<'_>) -> Result<bool, DeviceError> {
        let mut tries = 1;
        loop {
            match self.load(target.pulse, target.block).await {
                Err(error) if tries < LOAD_TRIES && is_transient(&error) => tries += 1,
                result => return result,
            }
        }
    }

    /// Reads what became of a pulse; nothing when the chip stopped answering as it was told to.
    async fn look_or_part(
        &mut self,
        target: Target<'_>,
        programmed: bool,
    ) -> Result<Option<Seen>, DeviceError> {
        let error = match self.look(target).await {
            Ok(seen) => return Ok(Some(seen)),
            Err(error) if target.pulse.last_contact => error,
            Err(error) => return Err(error),
        };
        match self.farewell(target.closes_download).await {
            Farewell::Answers => self.look(target).await.map(Some),
            Farewell::Closed => Ok(None),
            Farewell::Silence if programmed && target.closes_download => Ok(None),
            // Secure download mode still greets: this silence has another reason.
            Farewell::Silence => Err(error),
        }
    }

    /// Reads what became of a pulse.
    async fn look(&mut self, target: Target<'_>) -> Result<Seen, DeviceError> {
        self.idle().await?;
        self.clear().await?;
        let mut error = None;
        for _ in 0..READINGS {
            self.refresh().await?;
            let errors = self.errors(target.three_quarters).await?;
            error = errors
                .into_iter()
                .find(|error| is_new(error, &target.planned.errors));
            if error.is_some() {
                break;
            }
        }
        let expected = Words::new(target.pulse.expected(target.block.words.into()));
        let words = self.block(target.block, &expected).await?;
        let complaint = difference(&words, &expected).or_else(|| error.map(told));
        Ok(Seen { words, complaint })
    }
}

fn never_whole() -> DeviceError {
    DeviceError::Protocol {
        what: "repeating a pulse".into(),
        detail: "its words did not arrive whole in the chip's registers".into(),
    }
}

fn ended(verdict: PulseVerdict, tries: u8, words: Option<Words>) -> Shot {
    Shot::Ended {
        verdict,
        tries,
        words,
    }
}

/// Whether an error is worse than what was there before the plan.
fn is_new(error: &CodingError, before: &[CodingError]) -> bool {
    !before.iter().any(|known| {
        known.block == error.block && known.count >= error.count && known.failed >= error.failed
    })
}

fn told(error: CodingError) -> Complaint {
    let text = if error.failed {
        format!(
            "the coding of block {} cannot correct its errors",
            error.block
        )
    } else {
        format!(
            "the coding of block {} reports {}",
            error.block,
            counted(error.count, "error")
        )
    };
    Complaint { text, repeat: true }
}

/// So many bits, and the verb after them.
fn are(bits: u32) -> String {
    let verb = if bits == 1 { "is" } else { "are" };
    format!("{} {verb}", counted(bits, "bit"))
}

/// How what is read differs from what should be, in numbers of bits: a value may be a key.
fn difference(words: &[u32], expected: &[u32]) -> Option<Complaint> {
    let count = |of: fn(u32, u32) -> u32| -> u32 {
        let pairs = words.iter().zip(expected);
        pairs
            .map(|(&is, &should)| of(is, should).count_ones())
            .sum()
    };
    let missing = count(|is, should| should & !is);
    let extra = count(|is, should| is & !should);
    let text = match (missing, extra) {
        (0, 0) => return None,
        (missing, 0) => format!("{} not set", are(missing)),
        (0, extra) => format!("{} set that should not be", are(extra)),
        (missing, extra) => {
            format!(
                "{} not set, and {} set that should not be",
                are(missing),
                are(extra)
            )
        }
    };
    Some(Complaint {
        text,
        repeat: extra == 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_bits_are_worth_a_repetition_and_extra_bits_are_not() {
        let missing = difference(&[1, 0], &[3, 4]).unwrap();
        assert!(missing.repeat && missing.text.starts_with("2 bits"));
        assert!(!difference(&[7], &[3]).unwrap().repeat);
        assert!(!difference(&[4], &[3]).unwrap().repeat);
        assert!(difference(&[3], &[3]).is_none());
    }

    #[test]
    fn an_error_that_was_there_before_is_not_held_against_the_pulse() {
        let error = |count, failed| CodingError {
            block: 2,
            count,
            failed,
        };
        assert!(!is_new(&error(1, false), &[error(2, false)]));
        assert!(is_new(&error(3, false), &[error(2, false)]));
        assert!(is_new(&error(1, true), &[error(2, false)]));
        assert!(is_new(&error(1, false), &[]));
    }
}
