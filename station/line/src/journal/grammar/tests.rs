//! One test per rule that a bug above the journal could break.

use super::Grammar;
use crate::event::{AttemptId, Event, EventKind, Mac, RunId, Seq, Serial, Tally};
use crate::journal::tests::story::{
    bay, finished, identified, mac, measured, noon, run_finished, run_started, started, step,
    step_finished, step_started,
};
use crate::outcome::{Outcome, StepOutcome};

const ONE: AttemptId = AttemptId(1);
const TWO: AttemptId = AttemptId(2);

/// A checker that numbers what it is given and puts it into run 1.
#[derive(Default)]
struct Stream(Grammar, u64);

impl Stream {
    fn of(kinds: impl IntoIterator<Item = EventKind>) -> Self {
        let mut stream = Self::default();
        for kind in kinds {
            stream.give(kind).unwrap();
        }
        stream
    }

    fn in_attempt() -> Self {
        Self::of([run_started(2), started(ONE, 1), identified(ONE, &mac(1))])
    }

    fn give(&mut self, kind: EventKind) -> Result<(), &'static str> {
        self.give_in(Some(RunId(1)), kind)
    }

    fn give_in(&mut self, run: Option<RunId>, kind: EventKind) -> Result<(), &'static str> {
        let event = Event {
            seq: Seq(self.1 + 1),
            at: noon(),
            elapsed_us: 0,
            run,
            kind,
        };
        self.0.accept(&event).map_err(|error| error.rule)?;
        self.1 += 1;
        Ok(())
    }

    fn passes(&mut self) -> Result<(), &'static str> {
        self.give(finished(ONE, 1, Some(&mac(1)), None, Outcome::Pass))
    }
}

#[test]
fn a_whole_run_leaves_nothing_open() {
    let mut stream = Stream::in_attempt();
    stream.give(step_started(ONE, "flash", 1)).unwrap();
    stream
        .give(step_finished(ONE, "flash", 1, StepOutcome::Pass))
        .unwrap();
    stream.passes().unwrap();
    assert!(!stream.0.is_at_rest());
    stream
        .give(run_finished(Tally {
            pass: 1,
            ..Tally::default()
        }))
        .unwrap();
    assert!(stream.0.is_at_rest());
}

#[test]
fn numbers_have_no_gaps() {
    let event = Event {
        seq: Seq(2),
        at: noon(),
        elapsed_us: 0,
        run: Some(RunId(1)),
        kind: run_started(1),
    };
    Grammar::new().accept(&event).unwrap_err();
}

#[test]
fn nothing_of_a_run_comes_before_its_start_or_after_its_end() {
    let mut stream = Stream::default();
    stream.give(started(ONE, 1)).unwrap_err();
    stream.give_in(None, run_started(1)).unwrap_err();
    stream.give(run_started(1)).unwrap();
    stream.give(run_started(1)).unwrap_err();
    stream.give(run_finished(Tally::default())).unwrap();
    stream.give(run_finished(Tally::default())).unwrap_err();
    stream.give(run_started(1)).unwrap_err();
    stream.give(started(ONE, 1)).unwrap_err();
}

#[test]
fn a_run_does_not_end_before_its_attempts_and_counts_them() {
    let mut stream = Stream::in_attempt();
    stream.give(run_finished(Tally::default())).unwrap_err();
    stream
        .give(finished(ONE, 1, Some(&mac(1)), None, Outcome::Error))
        .unwrap();
    stream.give(run_finished(Tally::default())).unwrap_err();
    stream
        .give(run_finished(Tally {
            error: 1,
            ..Tally::default()
        }))
        .unwrap();
}

#[test]
fn attempts_of_one_bay_do_not_overlap_and_those_of_two_do() {
    let mut stream = Stream::in_attempt();
    stream.give(started(TWO, 1)).unwrap_err();
    stream.give(started(TWO, 3)).unwrap_err();
    stream.give(started(ONE, 2)).unwrap_err();
    stream.give(started(TWO, 2)).unwrap();
}

#[test]
fn an_attempt_ends_once_where_it_began_with_the_unit_it_met() {
    let mut stream = Stream::in_attempt();
    stream
        .give(finished(ONE, 2, Some(&mac(1)), None, Outcome::Error))
        .unwrap_err();
    stream
        .give(finished(ONE, 1, Some(&mac(2)), None, Outcome::Error))
        .unwrap_err();
    stream
        .give(finished(ONE, 1, None, None, Outcome::Error))
        .unwrap_err();
    stream
        .give_in(Some(RunId(2)), step_started(ONE, "flash", 1))
        .unwrap_err();
    stream
        .give(finished(ONE, 1, Some(&mac(1)), None, Outcome::Error))
        .unwrap();
    stream
        .give(finished(ONE, 1, Some(&mac(1)), None, Outcome::Error))
        .unwrap_err();
    stream.give(step_started(ONE, "flash", 1)).unwrap_err();
}

#[test]
fn an_attempt_that_never_met_its_unit_does_not_pass() {
    let mut stream = Stream::of([run_started(1), started(ONE, 1)]);
    stream
        .give(finished(ONE, 1, None, None, Outcome::Pass))
        .unwrap_err();
    stream
        .give(finished(ONE, 1, None, None, Outcome::Error))
        .unwrap();
}

#[test]
fn an_attempt_whose_last_try_of_a_step_failed_does_not_pass() {
    for outcome in [StepOutcome::Fail, StepOutcome::Error, StepOutcome::Aborted] {
        let mut stream = Stream::in_attempt();
        stream.give(step_started(ONE, "flash", 1)).unwrap();
        stream.passes().unwrap_err();
        stream
            .give(step_finished(ONE, "flash", 1, outcome))
            .unwrap();
        stream.passes().unwrap_err();
        stream.give(step_started(ONE, "flash", 2)).unwrap();
        stream
            .give(step_finished(ONE, "flash", 2, StepOutcome::Pass))
            .unwrap();
        stream.passes().unwrap();
    }
}

#[test]
fn a_pass_has_no_failure_and_everything_else_has_one() {
    let mut stream = Stream::in_attempt();
    let mut wrong = finished(ONE, 1, Some(&mac(1)), None, Outcome::Fail);
    if let EventKind::AttemptFinished { outcome, .. } = &mut wrong {
        *outcome = Outcome::Pass;
    }
    stream.give(wrong).unwrap_err();
    let mut wrong = finished(ONE, 1, Some(&mac(1)), None, Outcome::Pass);
    if let EventKind::AttemptFinished { outcome, .. } = &mut wrong {
        *outcome = Outcome::Fail;
    }
    stream.give(wrong).unwrap_err();
    stream.passes().unwrap();
}

#[test]
fn a_try_with_a_failed_measurement_does_not_pass() {
    let mut stream = Stream::in_attempt();
    stream.give(step_started(ONE, "test", 1)).unwrap();
    stream.give(measured(ONE, "test", 1, 9999.0)).unwrap();
    stream
        .give(step_finished(ONE, "test", 1, StepOutcome::Pass))
        .unwrap_err();
    stream
        .give(step_finished(ONE, "test", 1, StepOutcome::Skipped))
        .unwrap_err();
    stream
        .give(step_finished(ONE, "test", 1, StepOutcome::Fail))
        .unwrap();
}

#[test]
fn steps_do_not_overlap_and_tries_are_counted() {
    let mut stream = Stream::in_attempt();
    stream.give(step_started(ONE, "flash", 2)).unwrap_err();
    stream.give(measured(ONE, "flash", 1, 1.0)).unwrap_err();
    stream.give(step_started(ONE, "flash", 1)).unwrap();
    stream.give(step_started(ONE, "test", 1)).unwrap_err();
    stream.give(measured(ONE, "flash", 2, 1.0)).unwrap_err();
    stream
        .give(step_finished(ONE, "test", 1, StepOutcome::Pass))
        .unwrap_err();
    stream
        .give(finished(ONE, 1, Some(&mac(1)), None, Outcome::Error))
        .unwrap_err();
    stream
        .give(step_finished(ONE, "flash", 1, StepOutcome::Pass))
        .unwrap();
    stream.give(step_started(ONE, "flash", 1)).unwrap_err();
}

#[test]
fn a_retry_follows_a_failure_and_begins_where_it_said() {
    let retry = |from: &str| EventKind::StepRetrying {
        attempt: ONE,
        step: step("test"),
        from: step(from),
        after_us: 0,
    };
    let mut stream = Stream::in_attempt();
    stream.give(step_started(ONE, "flash", 1)).unwrap();
    stream
        .give(step_finished(ONE, "flash", 1, StepOutcome::Pass))
        .unwrap();
    stream.give(retry("flash")).unwrap_err();
    stream.give(step_started(ONE, "test", 1)).unwrap();
    stream.give(retry("flash")).unwrap_err();
    stream
        .give(step_finished(ONE, "test", 1, StepOutcome::Error))
        .unwrap();
    stream.give(retry("label")).unwrap_err();
    stream.give(retry("flash")).unwrap();
    stream.give(step_started(ONE, "test", 2)).unwrap_err();
    stream.give(step_started(ONE, "flash", 2)).unwrap();
}

#[test]
fn a_unit_has_a_real_mac_and_is_one_unit() {
    for text in [
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "7C:DF:A1:00:00:01",
        "7cdfa1000001",
        "",
    ] {
        let mut stream = Stream::of([run_started(1), started(ONE, 1)]);
        stream.give(identified(ONE, &Mac::new(text))).unwrap_err();
    }
    let mut stream = Stream::in_attempt();
    stream.give(identified(ONE, &mac(1))).unwrap();
    stream.give(identified(ONE, &mac(2))).unwrap_err();
}

#[test]
fn a_serial_goes_to_the_unit_that_is_there() {
    let bind = |number| EventKind::SerialBound {
        attempt: ONE,
        pool: "sensor".into(),
        serial: Serial::new("SN1"),
        mac: mac(number),
    };
    let mut stream = Stream::of([run_started(1), started(ONE, 1)]);
    stream.give(bind(1)).unwrap_err();
    let mut stream = Stream::in_attempt();
    stream.give(bind(2)).unwrap_err();
    stream.give(bind(1)).unwrap();
    let serial = Serial::new("SN2");
    stream
        .give(finished(
            ONE,
            1,
            Some(&mac(1)),
            Some(&serial),
            Outcome::Error,
        ))
        .unwrap_err();
    stream.passes().unwrap_err();
    let serial = Serial::new("SN1");
    stream
        .give(finished(
            ONE,
            1,
            Some(&mac(1)),
            Some(&serial),
            Outcome::Pass,
        ))
        .unwrap();
}

#[test]
fn recovery_is_said_when_nothing_is_open() {
    let recovered = EventKind::Recovered {
        attempts: 0,
        runs: 0,
        serials: 0,
    };
    let mut stream = Stream::of([run_started(1)]);
    stream.give_in(None, recovered.clone()).unwrap_err();
    stream.give(run_finished(Tally::default())).unwrap();
    stream.give_in(None, recovered).unwrap();
}

#[test]
fn a_run_names_its_bays_once_and_only_they_change() {
    let mut doubled = run_started(2);
    if let EventKind::RunStarted { bays, .. } = &mut doubled {
        bays.push(bay(1));
    }
    let mut stream = Stream::default();
    stream.give(doubled).unwrap_err();
    stream.give(run_started(0)).unwrap_err();
    stream.give(run_started(1)).unwrap();
    let change = |number| EventKind::BayChanged {
        bay: bay(number),
        to: crate::event::BayCondition::Occupied,
        reason: None,
    };
    stream.give(change(2)).unwrap_err();
    stream.give(change(1)).unwrap();
}

#[test]
fn numbers_may_start_out_of_order_but_not_twice_nor_from_far_away() {
    let mut stream = Stream::of([run_started(2), started(TWO, 1), started(ONE, 2)]);
    let ended = |attempt, number| finished(attempt, number, None, None, Outcome::Error);
    stream.give(ended(ONE, 2)).unwrap();
    stream.give(started(ONE, 2)).unwrap_err();
    stream.give(started(AttemptId(u64::MAX), 2)).unwrap_err();
    stream.give(started(AttemptId(3), 2)).unwrap();
}

#[test]
fn unknown_kinds_are_passed_over() {
    let mut stream = Stream::default();
    let unknown = EventKind::Unknown(serde_json::json!({ "kind": "x", "data": {} }));
    stream.give_in(None, unknown.clone()).unwrap();
    stream.give(unknown).unwrap();
}
