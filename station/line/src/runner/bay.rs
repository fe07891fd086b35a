//! The life of one bay, as a pure function: `next(state, input) -> (state, command)`.
//!
//! ```text
//! Vacant → Occupied → Running → Finished → (board removed) → Vacant
//! anywhere → Lost (the port went away)
//! after N errors in a row → Quarantined, until a person clears it
//! ```
//!
//! Invariants, each enumerated in the tests: an attempt runs only on a board that came since the
//! last one; a quarantined or lost bay starts nothing; a finished bay shows its result until its
//! board leaves. Nothing here waits, reads a clock or knows a port.

use crate::event::BayCondition;
use crate::outcome::Outcome;

/// What a bay does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BayRules {
    /// Whether a board that comes asks to be started.
    pub auto_start: bool,
    /// Consecutive errors after which the bay is closed; at least 1.
    pub quarantine_after: u32,
}

/// What became of the board that an attempt (or a quarantine) began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seat {
    /// It is still there.
    Same,
    /// It left; the bay is empty.
    Empty,
    /// It left and another came.
    Next,
    /// The port itself went away.
    PortGone,
}

/// Where a bay stands between two inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No board.
    Vacant,
    /// A board that nobody asked to start.
    Occupied,
    /// A board that asked to start and has no answer yet.
    Asking,
    /// An attempt is under way.
    Running(Seat),
    /// The attempt is over and its board is still there.
    Finished,
    /// The port is gone.
    Lost,
    /// Closed until a person clears it.
    Quarantined(Seat),
}

/// A bay's whole state: where it stands, and how many attempts in a row ended in error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BayState {
    /// Where it stands.
    pub phase: Phase,
    /// Attempts in a row that ended [`Outcome::Error`].
    pub errors: u32,
}

/// Something that happened to a bay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A board is there that was not there before.
    BoardCame,
    /// The board went away.
    BoardLeft,
    /// The port went away or cannot be opened.
    PortLost,
    /// A person asked for a start.
    StartAsked,
    /// The coordinator lets it run.
    Granted,
    /// The attempt ended.
    Ended(Outcome),
    /// The attempt's own code broke off: the bay is closed at once.
    BrokeOff,
    /// A person cleared the quarantine.
    Cleared,
}

/// What the bay is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Wait.
    Nothing,
    /// Ask the coordinator for leave to run.
    AskToStart,
    /// Take the question back.
    Withdraw,
    /// Run one attempt.
    RunAttempt,
}

impl BayState {
    /// Returns an empty bay with a clean record.
    pub fn new() -> Self {
        Self {
            phase: Phase::Vacant,
            errors: 0,
        }
    }

    /// Returns what everyone outside calls this state.
    pub fn condition(self) -> BayCondition {
        match self.phase {
            Phase::Vacant => BayCondition::Vacant,
            Phase::Occupied | Phase::Asking => BayCondition::Occupied,
            Phase::Running(_) => BayCondition::Running,
            Phase::Finished => BayCondition::Finished,
            Phase::Lost => BayCondition::Lost,
            Phase::Quarantined(_) => BayCondition::Quarantined,
        }
    }

    /// Returns the state after `input`, and what the bay is to do.
    pub fn next(self, rules: BayRules, input: Input) -> (Self, Command) {
        match input {
            Input::BoardCame => self.board_came(rules),
            Input::BoardLeft => self.board_left(),
            Input::PortLost => self.port_lost(),
            Input::StartAsked => match self.phase {
                Phase::Occupied => self.to(Phase::Asking, Command::AskToStart),
                Phase::Vacant
                | Phase::Asking
                | Phase::Running(_)
                | Phase::Finished
                | Phase::Lost
                | Phase::Quarantined(_) => self.stay(),
            },
            Input::Granted => match self.phase {
                Phase::Asking => self.to(Phase::Running(Seat::Same), Command::RunAttempt),
                Phase::Vacant
                | Phase::Occupied
                | Phase::Running(_)
                | Phase::Finished
                | Phase::Lost
                | Phase::Quarantined(_) => self.stay(),
            },
            Input::Ended(outcome) => self.ended(rules, outcome),
            Input::BrokeOff => match self.phase {
                Phase::Running(seat) => self.to(Phase::Quarantined(seat), Command::Nothing),
                Phase::Vacant
                | Phase::Occupied
                | Phase::Asking
                | Phase::Finished
                | Phase::Lost
                | Phase::Quarantined(_) => self.stay(),
            },
            Input::Cleared => match self.phase {
                Phase::Quarantined(seat) => Self { errors: 0, ..self }.seated(rules, seat),
                Phase::Vacant
                | Phase::Occupied
                | Phase::Asking
                | Phase::Running(_)
                | Phase::Finished
                | Phase::Lost => self.stay(),
            },
        }
    }

    fn stay(self) -> (Self, Command) {
        (self, Command::Nothing)
    }

    fn to(self, phase: Phase, command: Command) -> (Self, Command) {
        (Self { phase, ..self }, command)
    }

    fn occupied(self, rules: BayRules) -> (Self, Command) {
        if rules.auto_start {
            self.to(Phase::Asking, Command::AskToStart)
        } else {
            self.to(Phase::Occupied, Command::Nothing)
        }
    }

    /// Where a bay goes whose attempt or quarantine is over.
    fn seated(self, rules: BayRules, seat: Seat) -> (Self, Command) {
        match seat {
            Seat::Same => self.to(Phase::Finished, Command::Nothing),
            Seat::Empty => self.to(Phase::Vacant, Command::Nothing),
            Seat::Next => self.occupied(rules),
            Seat::PortGone => self.to(Phase::Lost, Command::Nothing),
        }
    }

    fn board_came(self, rules: BayRules) -> (Self, Command) {
        match self.phase {
            Phase::Vacant | Phase::Finished | Phase::Lost | Phase::Occupied => self.occupied(rules),
            // The question stands; whichever board is there when it is answered is the one that
            // runs.
            Phase::Asking => self.stay(),
            Phase::Running(_) => self.to(Phase::Running(Seat::Next), Command::Nothing),
            Phase::Quarantined(_) => self.to(Phase::Quarantined(Seat::Next), Command::Nothing),
        }
    }

    fn board_left(self) -> (Self, Command) {
        match self.phase {
            Phase::Vacant | Phase::Occupied | Phase::Finished | Phase::Lost => {
                self.to(Phase::Vacant, Command::Nothing)
            }
            Phase::Asking => self.to(Phase::Vacant, Command::Withdraw),
            Phase::Running(_) => self.to(Phase::Running(Seat::Empty), Command::Nothing),
            Phase::Quarantined(_) => self.to(Phase::Quarantined(Seat::Empty), Command::Nothing),
        }
    }

    fn port_lost(self) -> (Self, Command) {
        match self.phase {
            Phase::Vacant | Phase::Occupied | Phase::Finished | Phase::Lost => {
                self.to(Phase::Lost, Command::Nothing)
            }
            Phase::Asking => self.to(Phase::Lost, Command::Withdraw),
            Phase::Running(_) => self.to(Phase::Running(Seat::PortGone), Command::Nothing),
            Phase::Quarantined(_) => self.to(Phase::Quarantined(Seat::PortGone), Command::Nothing),
        }
    }

    fn ended(self, rules: BayRules, outcome: Outcome) -> (Self, Command) {
        let Phase::Running(seat) = self.phase else {
            return self.stay();
        };
        let errors = match outcome {
            Outcome::Pass | Outcome::Fail => 0,
            Outcome::Error => self.errors.saturating_add(1),
            // A stopped attempt says nothing about the bay.
            Outcome::Aborted => self.errors,
        };
        let counted = Self { errors, ..self };
        if outcome == Outcome::Error && errors >= rules.quarantine_after.max(1) {
            return counted.to(Phase::Quarantined(seat), Command::Nothing);
        }
        counted.seated(rules, seat)
    }
}

impl Default for BayState {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const AUTO: BayRules = BayRules {
        auto_start: true,
        quarantine_after: 2,
    };
    const MANUAL: BayRules = BayRules {
        auto_start: false,
        quarantine_after: 2,
    };
    const SEATS: [Seat; 4] = [Seat::Same, Seat::Empty, Seat::Next, Seat::PortGone];
    const INPUTS: [Input; 11] = [
        Input::BoardCame,
        Input::BoardLeft,
        Input::PortLost,
        Input::StartAsked,
        Input::Granted,
        Input::Ended(Outcome::Pass),
        Input::Ended(Outcome::Fail),
        Input::Ended(Outcome::Error),
        Input::Ended(Outcome::Aborted),
        Input::BrokeOff,
        Input::Cleared,
    ];

    fn phases() -> Vec<Phase> {
        let mut phases = vec![
            Phase::Vacant,
            Phase::Occupied,
            Phase::Asking,
            Phase::Finished,
            Phase::Lost,
        ];
        phases.extend(SEATS.map(Phase::Running));
        phases.extend(SEATS.map(Phase::Quarantined));
        phases
    }

    fn every_state() -> Vec<BayState> {
        phases()
            .into_iter()
            .flat_map(|phase| (0..2).map(move |errors| BayState { phase, errors }))
            .collect()
    }

    #[test]
    fn every_phase_answers_every_input_as_the_table_says() {
        let mut lines = String::new();
        for (name, rules) in [("auto", AUTO), ("manual", MANUAL)] {
            for state in every_state() {
                for input in INPUTS {
                    let (next, command) = state.next(rules, input);
                    if next == state && command == Command::Nothing {
                        continue;
                    }
                    lines.push_str(&format!(
                        "{name} {:?}/{} + {input:?} = {:?}/{} {command:?}\n",
                        state.phase, state.errors, next.phase, next.errors
                    ));
                }
            }
        }
        insta::assert_snapshot!("bay_table", lines);
    }

    #[test]
    fn an_attempt_runs_only_after_leave_was_asked_for_and_given() {
        for rules in [AUTO, MANUAL] {
            for state in every_state() {
                for input in INPUTS {
                    let (next, command) = state.next(rules, input);
                    let starts = command == Command::RunAttempt;
                    assert_eq!(
                        starts,
                        state.phase == Phase::Asking && input == Input::Granted
                    );
                    let newly_running = matches!(next.phase, Phase::Running(_))
                        && !matches!(state.phase, Phase::Running(_));
                    assert_eq!(newly_running, starts, "{state:?} {input:?}");
                }
            }
        }
    }

    #[test]
    fn a_question_is_open_exactly_while_the_bay_is_asking() {
        for rules in [AUTO, MANUAL] {
            for state in every_state() {
                for input in INPUTS {
                    let (next, command) = state.next(rules, input);
                    let before = state.phase == Phase::Asking;
                    let after = next.phase == Phase::Asking;
                    let expected = match (before, after) {
                        (false, true) => command == Command::AskToStart,
                        (true, false) => {
                            matches!(command, Command::Withdraw | Command::RunAttempt)
                        }
                        (true, true) | (false, false) => command == Command::Nothing,
                    };
                    assert!(expected, "{state:?} {input:?} {command:?}");
                }
            }
        }
    }

    /// Walks every reachable state together with "a board came since the last attempt".
    #[test]
    fn no_board_is_started_twice() {
        for rules in [AUTO, MANUAL] {
            let mut seen = HashSet::new();
            let mut open = vec![(BayState::new(), false)];
            while let Some((state, fresh)) = open.pop() {
                if !seen.insert((state, fresh)) {
                    continue;
                }
                for input in INPUTS {
                    let (next, command) = state.next(rules, input);
                    let mut fresh = fresh || input == Input::BoardCame;
                    if command == Command::RunAttempt {
                        assert!(fresh, "{state:?} started a board that had its attempt");
                        fresh = false;
                    }
                    open.push((next, fresh));
                }
            }
            assert!(seen.len() > 10);
        }
    }

    #[test]
    fn errors_in_a_row_close_the_bay_until_a_person_clears_it() {
        let run = |state: BayState, outcome| {
            let (state, _) = state.next(AUTO, Input::BoardCame);
            let (state, command) = state.next(AUTO, Input::Granted);
            assert_eq!(command, Command::RunAttempt);
            state.next(AUTO, Input::Ended(outcome)).0
        };
        let state = run(BayState::new(), Outcome::Error);
        assert_eq!(state.condition(), BayCondition::Finished);
        let state = run(state, Outcome::Aborted);
        assert_eq!(state.condition(), BayCondition::Finished);
        let state = run(state, Outcome::Error);
        assert_eq!(state.condition(), BayCondition::Quarantined);
        for input in INPUTS {
            if input != Input::Cleared {
                let (still, command) = state.next(AUTO, input);
                assert_eq!(still.condition(), BayCondition::Quarantined);
                assert_eq!(command, Command::Nothing);
            }
        }
        let (cleared, _) = state.next(AUTO, Input::Cleared);
        assert_eq!(cleared.condition(), BayCondition::Finished);
        assert_eq!(cleared.errors, 0);
    }

    #[test]
    fn a_failed_unit_between_two_errors_starts_the_count_again() {
        let rules = AUTO;
        let mut state = BayState::new();
        for outcome in [Outcome::Error, Outcome::Fail, Outcome::Error] {
            state = state.next(rules, Input::BoardCame).0;
            state = state.next(rules, Input::Granted).0;
            state = state.next(rules, Input::Ended(outcome)).0;
        }
        assert_eq!(state.condition(), BayCondition::Finished);
        assert_eq!(state.errors, 1);
    }
}
