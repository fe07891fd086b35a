//! Which run or attempt numbers have been used, in little memory.
//!
//! Numbers are given out in order and may start out of order, so only the few that were skipped are
//! kept. A number that jumps far ahead is refused: nothing gives out numbers like that.

use std::collections::BTreeSet;

/// Farthest a number may be ahead of the largest one used.
const MAX_JUMP: u64 = 4096;

/// The numbers that have been used.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    highest: u64,
    skipped: BTreeSet<u64>,
}

impl Numbers {
    /// All numbers up to and with `highest`.
    pub(super) fn used_up_to(highest: u64) -> Self {
        Self {
            highest,
            skipped: BTreeSet::new(),
        }
    }

    /// Returns whether the number may be used next.
    pub(super) fn is_fresh(&self, number: u64) -> bool {
        match number.checked_sub(self.highest) {
            Some(0) | None => self.skipped.contains(&number),
            Some(ahead) => ahead <= MAX_JUMP,
        }
    }

    /// Marks a fresh number as used.
    pub(super) fn take(&mut self, number: u64) {
        if number > self.highest {
            self.skipped.extend(self.highest + 1..number);
            self.highest = number;
        } else {
            self.skipped.remove(&number);
        }
    }
}
