//! What became of intended pulses, read from the chip after a crash or a loss of power.
//!
//! Invariants: pure; a pulse counts as done only when every bit of it is seen, or, on a block that
//! is hidden by now, when a later pulse of the same plan was intended, which happens only after
//! the first was read back; whatever cannot be told is [`Verdict::Unclear`], never a guess.

use serde::{Deserialize, Serialize};

use crate::command::{SecurityFlag, SecurityInfo};

use super::map::Coding;
use super::plan::{PulseRecord, Snapshot, Token};

/// What became of one intended pulse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// Digest of its plan, in hex.
    pub plan: String,
    /// Its place in the plan.
    pub number: u16,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a pulse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", deny_unknown_fields)]
pub enum Verdict {
    /// Every bit is there.
    Done,
    /// No bit is there.
    NotDone,
    /// Some bits are there; the same pulse may be repeated, no other.
    Partly {
        /// What is seen, in words.
        detail: String,
    },
    /// The chip does not tell; the unit must not be burned on.
    Unclear {
        /// Why, in words.
        reason: String,
    },
}

/// What became of every intended pulse, told from the chip as it is `now`. Give all intents of this
/// unit whose result is not known, and none of another unit.
#[must_use]
pub fn reconcile(intents: &[PulseRecord], now: &Snapshot) -> Vec<Reconciled> {
    let each = intents.iter();
    each.map(|record| Reconciled {
        plan: record.plan.clone(),
        number: record.number,
        verdict: verdict(record, intents, now),
    })
    .collect()
}

/// What became of the intended pulses of a chip that is in secure download mode, so that its fuses
/// cannot be read: the pulse that switched the mode on is done, and so is all before it.
#[must_use]
pub fn reconcile_closed(intents: &[PulseRecord], info: &SecurityInfo) -> Vec<Reconciled> {
    let closed = info.has(SecurityFlag::SecureDownload);
    let each = intents.iter();
    each.map(|record| {
        let told = record.last_contact || followed(record, intents);
        let verdict = if closed && told {
            Verdict::Done
        } else if closed {
            let reason = "the chip is in secure download mode, which hides its fuses";
            unclear(reason)
        } else {
            unclear("secure download mode is off: read the fuses")
        };
        Reconciled {
            plan: record.plan.clone(),
            number: record.number,
            verdict,
        }
    })
    .collect()
}

fn unclear(reason: &str) -> Verdict {
    Verdict::Unclear {
        reason: reason.to_owned(),
    }
}

fn partly(detail: String) -> Verdict {
    Verdict::Partly { detail }
}

/// Whether a later pulse of the same plan was intended, hence this one read back.
fn followed(record: &PulseRecord, intents: &[PulseRecord]) -> bool {
    let mut others = intents.iter();
    others.any(|other| other.plan == record.plan && other.number > record.number)
}

fn verdict(record: &PulseRecord, intents: &[PulseRecord], now: &Snapshot) -> Verdict {
    let Some(block) = now.map().block(record.block) else {
        return unclear("the chip has no such block");
    };
    let mut errors = now.errors.iter();
    let errors =
        errors.any(|error| error.block == record.block && (error.count > 0 || error.failed));
    let seen = now.token(record.block);
    if seen == Token::Hidden {
        return hidden(record, intents, errors);
    }
    if block.number == 0 {
        return plain(record, &seen);
    }
    if seen == record.after {
        return if errors {
            partly(format!("`{}` reads right, with coding errors", block.name))
        } else {
            Verdict::Done
        };
    }
    if errors {
        return partly(format!("the coding of `{}` reports errors", block.name));
    }
    if seen == record.before {
        return Verdict::NotDone;
    }
    let within = match (&seen, &record.after) {
        (Token::Words(seen), Token::Words(after)) => {
            let mut both = seen.iter().zip(after);
            seen.len() == after.len() && both.all(|(seen, after)| seen & !after == 0)
        }
        // Without check bits any subset of a key's bits is possible and cannot be told from
        // another key here; whoever has the key compares before burning on.
        (Token::Secret(_), Token::Secret(_)) => block.coding == Coding::ByScheme,
        _ => false,
    };
    if within && block.coding != Coding::ReedSolomon {
        partly(format!(
            "`{}` holds neither what it did nor what it should",
            block.name
        ))
    } else if within {
        partly(format!("`{}` holds a part of what it should", block.name))
    } else {
        unclear("the block holds something else without coding errors: it was burned by others")
    }
}

/// A block nobody can read: only the order of the plan is evidence.
fn hidden(record: &PulseRecord, intents: &[PulseRecord], errors: bool) -> Verdict {
    if record.after == Token::Hidden {
        return unclear("the block was to be hidden, and hidden it is; its content is not told");
    }
    match (followed(record, intents), errors) {
        (true, false) => Verdict::Done,
        (_, true) => unclear("the block is hidden and its coding reports errors"),
        (false, false) => unclear("the block is hidden, though the plan had not come to hiding it"),
    }
}

/// Bits that nothing but themselves protects.
fn plain(record: &PulseRecord, seen: &Token) -> Verdict {
    let (Some(before), Some(after), Some(seen)) =
        (record.before.words(), record.after.words(), seen.words())
    else {
        return unclear("the record is not one of this block");
    };
    if before.len() != seen.len() || after.len() != seen.len() {
        return unclear("the record is not one of this block");
    }
    let count = |words: &mut dyn Iterator<Item = u32>| -> u32 { words.map(u32::count_ones).sum() };
    let lost = count(
        &mut before
            .iter()
            .zip(after)
            .zip(seen)
            .map(|((b, a), s)| b & a & !s),
    );
    let new = count(&mut before.iter().zip(after).map(|(b, a)| a & !b));
    let got = count(
        &mut before
            .iter()
            .zip(after)
            .zip(seen)
            .map(|((b, a), s)| a & !b & s),
    );
    if lost > 0 {
        unclear("bits read clear that were set before: the chip was misread or is damaged")
    } else if got == new {
        Verdict::Done
    } else if got == 0 {
        Verdict::NotDone
    } else {
        partly(format!("{got} of {new} bits are there"))
    }
}

#[cfg(test)]
mod tests;
