//! Who may start: units asked for, quota, carrier lockstep, and the end of a run, as pure
//! bookkeeping.
//!
//! Invariants: never more attempts in flight than units (or quota) still wanted, so that neither is
//! ever exceeded; in independent mode first come, first served; in carrier mode either every bay in
//! service starts or none, and none while a board of the last batch is still there; once closed,
//! nobody starts any more.

use std::collections::VecDeque;

use crate::event::BayCondition;
use crate::outcome::Outcome;
use crate::plan::Mode;

/// Where a bay stands as far as starting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Neither asking nor running.
    Idle,
    /// Waits for leave.
    Asking,
    /// Was given leave or is running.
    InFlight,
    /// Its attempt is over; in carrier mode its neighbours may still be running.
    Ended,
    /// Takes no part any more.
    Gone,
}

/// The gate every attempt passes before it begins.
#[derive(Debug)]
pub struct Gate {
    mode: Mode,
    units: Option<u64>,
    places: Vec<Place>,
    conditions: Vec<BayCondition>,
    queue: VecDeque<usize>,
    processed: u64,
    closed: bool,
    forced: bool,
}

impl Gate {
    /// Opens a gate for this many bays, all idle and vacant.
    pub fn new(mode: Mode, bays: usize, units: Option<u64>) -> Self {
        Self {
            mode,
            units,
            places: vec![Place::Idle; bays],
            conditions: vec![BayCondition::Vacant; bays],
            queue: VecDeque::new(),
            processed: 0,
            closed: false,
            forced: false,
        }
    }

    /// A bay asks for leave.
    pub fn ask(&mut self, bay: usize) {
        if self.places[bay] == Place::Idle {
            self.places[bay] = Place::Asking;
            self.queue.push_back(bay);
        }
    }

    /// A bay takes its question back, or declines the leave it was given.
    pub fn withdraw(&mut self, bay: usize) {
        if matches!(self.places[bay], Place::Asking | Place::InFlight) {
            self.places[bay] = Place::Idle;
            self.queue.retain(|waiting| *waiting != bay);
        }
    }

    /// A bay changed.
    pub fn condition(&mut self, bay: usize, to: BayCondition) {
        self.conditions[bay] = to;
    }

    /// A bay's attempt ended. An aborted one does not count as a unit.
    pub fn ended(&mut self, bay: usize, outcome: Outcome) {
        if self.places[bay] == Place::InFlight {
            self.places[bay] = Place::Ended;
            self.processed += u64::from(outcome != Outcome::Aborted);
        }
    }

    /// A bay that ended may ask again.
    pub fn release(&mut self, bay: usize) {
        if self.places[bay] == Place::Ended {
            self.places[bay] = Place::Idle;
        }
    }

    /// A bay takes no part any more.
    pub fn gone(&mut self, bay: usize) {
        self.places[bay] = Place::Gone;
        self.queue.retain(|waiting| *waiting != bay);
    }

    /// Lets nobody start any more.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether nobody may start any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Lets the boards that are there start without waiting for the rest of the carrier.
    pub fn force(&mut self) {
        self.forced = true;
    }

    /// Attempts that were let in and have not ended.
    pub fn in_flight(&self) -> u64 {
        self.count(Place::InFlight)
    }

    /// Whether as many units were processed as were asked for.
    pub fn units_done(&self) -> bool {
        self.units.is_some_and(|units| self.processed >= units)
    }

    /// Bays whose attempt has ended and that wait for the others of their carrier.
    pub fn ended_bays(&self) -> Vec<usize> {
        (0..self.places.len())
            .filter(|bay| self.places[*bay] == Place::Ended)
            .collect()
    }

    /// Lets in whoever may start now. `quota_left` is how many more units may pass, over all runs.
    pub fn admit(&mut self, quota_left: Option<u64>) -> Vec<usize> {
        if self.closed {
            return Vec::new();
        }
        let room = self.room(quota_left);
        let mut admitted = match self.mode {
            Mode::Independent => self.queue.iter().copied().collect(),
            Mode::Carrier if self.carrier_is_ready() => {
                let mut waiting: Vec<usize> = self.queue.iter().copied().collect();
                waiting.sort_unstable();
                waiting
            }
            Mode::Carrier => Vec::new(),
        };
        admitted.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        if !admitted.is_empty() {
            self.forced = false;
        }
        for bay in &admitted {
            self.places[*bay] = Place::InFlight;
        }
        let places = &self.places;
        self.queue.retain(|bay| places[*bay] == Place::Asking);
        admitted
    }

    fn room(&self, quota_left: Option<u64>) -> u64 {
        let in_flight = self.in_flight();
        let units_left = self.units.map(|units| units.saturating_sub(self.processed));
        [units_left, quota_left]
            .into_iter()
            .flatten()
            .map(|left| left.saturating_sub(in_flight))
            .min()
            .unwrap_or(u64::MAX)
    }

    fn carrier_is_ready(&self) -> bool {
        let mut asking = 0;
        for (place, condition) in self.places.iter().zip(&self.conditions) {
            let out_of_service = *place == Place::Gone
                || matches!(condition, BayCondition::Lost | BayCondition::Quarantined);
            match place {
                Place::Asking => asking += 1,
                Place::InFlight | Place::Ended => return false,
                Place::Gone => {}
                Place::Idle if out_of_service => {}
                Place::Idle => {
                    let last_batch = *condition == BayCondition::Finished;
                    // A bay with a board was told to ask and is about to.
                    let about_to_ask = *condition == BayCondition::Occupied;
                    if last_batch || about_to_ask || !self.forced {
                        return false;
                    }
                }
            }
        }
        asking > 0
    }

    fn count(&self, wanted: Place) -> u64 {
        let count = self.places.iter().filter(|place| **place == wanted).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_asked_for_are_never_exceeded_even_in_flight() {
        let mut gate = Gate::new(Mode::Independent, 4, Some(2));
        for bay in [3, 1, 0] {
            gate.ask(bay);
        }
        assert_eq!(gate.admit(None), [3, 1], "first come, first served");
        assert!(gate.admit(None).is_empty());
        gate.ended(3, Outcome::Aborted);
        assert_eq!(gate.admit(None), [0], "an aborted attempt is no unit");
        gate.ended(1, Outcome::Fail);
        gate.ended(0, Outcome::Pass);
        assert!(gate.units_done());
    }

    #[test]
    fn the_quota_counts_those_that_are_running() {
        let mut gate = Gate::new(Mode::Independent, 3, None);
        for bay in 0..3 {
            gate.ask(bay);
        }
        assert_eq!(gate.admit(Some(2)), [0, 1]);
        gate.ended(0, Outcome::Pass);
        assert!(
            gate.admit(Some(1)).is_empty(),
            "bay 1 may still take the last one"
        );
        gate.ended(1, Outcome::Fail);
        assert_eq!(gate.admit(Some(1)), [2]);
    }

    #[test]
    fn a_carrier_starts_when_every_bay_in_service_asks_and_the_last_batch_is_out() {
        let mut gate = Gate::new(Mode::Carrier, 3, None);
        gate.condition(2, BayCondition::Quarantined);
        gate.ask(1);
        assert!(gate.admit(None).is_empty());
        gate.ask(0);
        assert_eq!(gate.admit(None), [0, 1]);
        gate.ended(0, Outcome::Pass);
        gate.ended(1, Outcome::Pass);
        for bay in gate.ended_bays() {
            gate.release(bay);
            gate.condition(bay, BayCondition::Finished);
        }
        gate.condition(0, BayCondition::Vacant);
        gate.ask(0);
        gate.force();
        assert!(gate.admit(None).is_empty(), "bay 1 still holds its board");
        gate.condition(1, BayCondition::Vacant);
        assert_eq!(gate.admit(None), [0], "forced: without waiting for bay 1");
    }

    #[test]
    fn a_forced_carrier_waits_for_every_bay_that_has_a_board() {
        let mut gate = Gate::new(Mode::Carrier, 3, None);
        gate.condition(0, BayCondition::Occupied);
        gate.condition(2, BayCondition::Occupied);
        gate.force();
        gate.ask(0);
        assert!(gate.admit(None).is_empty(), "bay 2 has not asked yet");
        gate.ask(2);
        assert_eq!(gate.admit(None), [0, 2], "bay 1 is empty");
    }

    #[test]
    fn a_closed_gate_lets_nobody_in() {
        let mut gate = Gate::new(Mode::Independent, 1, None);
        gate.ask(0);
        gate.close();
        assert!(gate.admit(None).is_empty());
    }

    proptest! {
        /// Whatever bays do, in flight plus processed never exceeds the units asked for.
        #[test]
        fn no_order_of_things_exceeds_the_limits(
            carrier in any::<bool>(),
            units in 0u64..6,
            turns in proptest::collection::vec((0usize..4, 0u8..6), 0..80),
        ) {
            let mode = if carrier { Mode::Carrier } else { Mode::Independent };
            let mut gate = Gate::new(mode, 4, Some(units));
            for (bay, turn) in turns {
                match turn {
                    0 | 1 => gate.ask(bay),
                    2 => gate.withdraw(bay),
                    3 => gate.ended(bay, Outcome::Pass),
                    4 => gate.release(bay),
                    _ => gate.force(),
                }
                let before = gate.in_flight();
                let admitted = gate.admit(None);
                if carrier && !admitted.is_empty() {
                    prop_assert_eq!(before, 0, "a batch starts together");
                }
                prop_assert!(gate.in_flight() + gate.processed <= units);
            }
        }
    }
}
