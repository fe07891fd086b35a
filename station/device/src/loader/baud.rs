//! Which wire rate to try first in a bay.
//!
//! Invariants: a rate that failed in a bay is not the first choice for the next unit there; it is
//! given another chance only after [`FORGIVEN_AFTER`] units, so that one bad cable costs little and
//! one bad unit does not slow a bay for ever.

use std::sync::{Arc, Mutex, PoisonError};

/// Units after which a bay's failed rates are tried again.
const FORGIVEN_AFTER: u32 = 64;

/// The rate every ROM loader starts at and every link must carry.
pub(crate) const ROM_BAUD: u32 = 115_200;

/// What a bay remembers about rates. Clones share one memory.
#[derive(Clone, Debug, Default)]
pub struct BaudMemory {
    state: Arc<Mutex<Remembered>>,
}

#[derive(Debug, Default)]
struct Remembered {
    /// Rates above this one failed; `None` when none did.
    ceiling: Option<u32>,
    /// Units since the ceiling was set.
    units: u32,
}

impl BaudMemory {
    /// The rates worth trying, in the given order, without those known to fail. The ROM's own rate
    /// is always the last.
    pub fn ladder(&self, wanted: &[u32]) -> Vec<u32> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.units = state.units.saturating_add(1);
        if state.units > FORGIVEN_AFTER {
            *state = Remembered::default();
        }
        let ceiling = state.ceiling.unwrap_or(u32::MAX);
        let mut ladder: Vec<u32> = wanted
            .iter()
            .copied()
            .filter(|&rate| rate <= ceiling && rate > ROM_BAUD)
            .collect();
        ladder.dedup();
        ladder.push(ROM_BAUD);
        ladder
    }

    /// Notes that a rate did not carry a conversation.
    pub fn failed(&self, rate: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let below = rate.saturating_sub(1).max(ROM_BAUD);
        state.ceiling = Some(state.ceiling.map_or(below, |ceiling| ceiling.min(below)));
        state.units = 0;
    }

    /// The fastest rate not known to fail, if any failed.
    pub fn ceiling(&self) -> Option<u32> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ceiling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_rate_is_not_tried_for_the_next_unit_of_the_bay() {
        let memory = BaudMemory::default();
        let bay = memory.clone();
        bay.failed(921_600);
        assert_eq!(
            memory.ladder(&[1_500_000, 921_600, 460_800]),
            [460_800, ROM_BAUD]
        );
    }

    #[test]
    fn a_failed_rate_is_forgiven_after_many_units() {
        let memory = BaudMemory::default();
        memory.failed(921_600);
        for _ in 0..FORGIVEN_AFTER {
            assert_eq!(memory.ladder(&[921_600]), [ROM_BAUD]);
        }
        assert_eq!(memory.ladder(&[921_600]), [921_600, ROM_BAUD]);
    }

    #[test]
    fn the_rom_rate_never_fails_out_of_the_ladder() {
        let memory = BaudMemory::default();
        memory.failed(ROM_BAUD);
        assert_eq!(memory.ladder(&[921_600]), [ROM_BAUD]);
    }
}
