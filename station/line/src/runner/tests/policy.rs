//! Units that were here before, quotas, counts, carriers, cancelling, lost journals, panics.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use station_device::{Connector, DeviceError, Port, Presence};
use tokio::sync::watch;

use super::room::{Room, SOUND, STEPS, board, board_saying, broken_board};
use crate::event::{BayCondition, BayName, CancelMode, EventKind};
use crate::outcome::{FailureClass, Outcome, StepOutcome};
use crate::runner::{ALREADY_PASSED, Bay, JOURNAL_LOST, RunRequest, RunVerdict, StartError};

/// An application that answers only after half a minute.
fn slow() -> String {
    SOUND.replace(
        "answer = \"vdd={value}mV\"",
        "answer = \"vdd={value}mV\"\ndelay_ms = 30000",
    )
}

/// Steps that have the patience for it.
fn patient_steps() -> String {
    STEPS.replace("pattern = 'vdd=", "within = \"60s\", pattern = 'vdd=")
}

fn ended(kind: &EventKind) -> bool {
    matches!(kind, EventKind::AttemptFinished { .. })
}

fn in_self_test(kind: &EventKind) -> bool {
    matches!(kind, EventKind::StepStarted { step, .. } if step.as_str() == "self test")
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_passed_is_turned_away_untouched() {
    let room = Room::new(1);
    room.insert(0, board(1)).await;
    let plan = room.plan("", STEPS);
    assert_eq!(room.run_once(&plan).await.verdict(), RunVerdict::AllPassed);
    let report = room.run_once(&plan).await;
    let attempt = &report.attempts[0];
    assert_eq!(attempt.outcome, Outcome::Aborted);
    assert_eq!(attempt.failure.as_ref().unwrap().code, ALREADY_PASSED);
    assert_eq!(report.verdict(), RunVerdict::SomeFailed);
    let events = room.events();
    let refused = |kind: &EventKind| matches!(kind, EventKind::Refused { .. });
    assert!(events.iter().any(|event| refused(&event.kind)));
    let flashed = events.iter().filter(|event| {
        matches!(&event.kind, EventKind::StepStarted { step, .. } if step.as_str() == "flash")
    });
    assert_eq!(flashed.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_passed_is_done_again_with_the_same_serial_where_the_recipe_says_so() {
    let room = Room::new(1);
    room.insert(0, board(1)).await;
    let plan = room.plan("seen_before = \"repeat\"", STEPS);
    let first = room.run_once(&plan).await;
    let second = room.run_once(&plan).await;
    assert_eq!(second.verdict(), RunVerdict::AllPassed);
    assert_eq!(first.attempts[0].serial, second.attempts[0].serial);
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_passed_is_only_compared_where_the_recipe_says_so() {
    let room = Room::new(1);
    room.insert(0, board(1)).await;
    let plan = room.plan("seen_before = \"verify\"", STEPS);
    room.run_once(&plan).await;
    let report = room.run_once(&plan).await;
    assert_eq!(report.verdict(), RunVerdict::AllPassed, "{report:#?}");
    let outcomes: Vec<_> = room
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::StepFinished {
                attempt,
                step,
                outcome,
                ..
            } if attempt.0 == 2 => Some((step.to_string(), outcome)),
            _ => None,
        })
        .collect();
    let expected = [
        ("identify", StepOutcome::Pass),
        ("flash", StepOutcome::Pass),
        ("serial", StepOutcome::Skipped),
        ("self test", StepOutcome::Pass),
    ];
    assert_eq!(
        outcomes,
        expected.map(|(step, outcome)| (step.to_owned(), outcome))
    );
    // Another image in flash is noticed and left as it is.
    let steps = STEPS.replace("\"table\", ", "");
    let other = room.plan("seen_before = \"verify\"", &steps);
    let spoil = |chip: Option<&station_virtual::VirtualChip>| {
        chip.map(|chip| chip.flash().bytes(0x1_0000, 4096))
    };
    let before = room.bays[0].control.inspect(spoil).await.unwrap();
    let report = room.run_once(&other).await;
    assert_eq!(report.verdict(), RunVerdict::AllPassed);
    assert_eq!(before, room.bays[0].control.inspect(spoil).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn no_more_units_are_begun_than_were_asked_for() {
    let room = Room::new(4);
    for bay in 0..4 {
        room.insert(bay, board(bay as u64)).await;
    }
    let plan = room.plan("", STEPS);
    let request = RunRequest {
        units: Some(2),
        ..room.request(&plan)
    };
    let report = room.finish(room.start(request).await).await;
    assert_eq!(report.tally.pass, 2);
    assert_eq!(report.attempts.len(), 2);
    assert_eq!(report.reason, None);
}

#[tokio::test(start_paused = true)]
async fn the_quota_ends_a_run_and_keeps_the_next_from_beginning() {
    let room = Room::new(4);
    for bay in 0..4 {
        room.insert(bay, board(bay as u64)).await;
    }
    let plan = room.plan("quota = 3", STEPS);
    let report = room.finish(room.start(room.request(&plan)).await).await;
    assert_eq!((report.tally.pass, report.attempts.len()), (3, 3));
    assert!(report.reason.unwrap().contains("quota of 3"));
    let again = crate::runner::start(room.request(&plan), &room.journal, room.clock.clone()).await;
    assert!(matches!(
        again,
        Err(StartError::QuotaReached { quota: 3, .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_failed_unit_leaves_its_place_in_the_quota_to_the_next() {
    let room = Room::new(2);
    room.insert(0, broken_board(0, |faults| faults.never_boots = true))
        .await;
    room.insert(1, board(1)).await;
    let plan = room.plan("quota = 1", STEPS);
    let report = room.finish(room.start(room.request(&plan)).await).await;
    assert_eq!((report.tally.pass, report.tally.fail), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_finished_bay_starts_again_only_when_the_next_board_came() {
    let room = Room::new(1);
    room.insert(0, board(1)).await;
    let plan = room.plan("", STEPS);
    let handle = room.start(room.request(&plan)).await;
    room.until(ended).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    room.remove(0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    room.insert(0, board(2)).await;
    room.until(|kind| matches!(kind, EventKind::AttemptFinished { attempt, .. } if attempt.0 == 2))
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    handle.cancel(CancelMode::Drain, "test").await;
    let report = room.finish(handle).await;
    assert_eq!((report.tally.pass, report.attempts.len()), (2, 2));
    use BayCondition::{Finished, Occupied, Running, Vacant};
    assert_eq!(
        room.conditions()["1"],
        [
            Occupied, Running, Finished, Vacant, Occupied, Running, Finished
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn draining_lets_running_attempts_finish_and_starts_none() {
    let room = Room::new(2);
    room.insert(0, board_saying(1, &slow())).await;
    let plan = room.plan("", &patient_steps());
    let handle = room.start(room.request(&plan)).await;
    room.until(in_self_test).await;
    handle.cancel(CancelMode::Drain, "test").await;
    room.insert(1, board(2)).await;
    let report = room.finish(handle).await;
    assert_eq!((report.tally.pass, report.attempts.len()), (1, 1));
    assert!(report.cancelled);
    assert_eq!(report.verdict(), RunVerdict::AllPassed);
}

#[tokio::test(start_paused = true)]
async fn stopping_aborts_running_attempts_at_once() {
    let room = Room::new(1);
    room.insert(0, board_saying(1, &slow())).await;
    let plan = room.plan("", &patient_steps());
    let handle = room.start(room.request(&plan)).await;
    room.until(in_self_test).await;
    let asked = tokio::time::Instant::now();
    handle.cancel(CancelMode::Drain, "test").await;
    handle.cancel(CancelMode::Stop, "test").await;
    let report = room.finish(handle).await;
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(report.attempts[0].outcome, Outcome::Aborted);
    assert_eq!(
        report.attempts[0].failure.as_ref().unwrap().class,
        FailureClass::Cancelled
    );
    assert_eq!(report.verdict(), RunVerdict::Cancelled);
    let asked = room
        .events()
        .into_iter()
        .filter(|event| matches!(event.kind, EventKind::CancelRequested { .. }));
    assert_eq!(asked.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_unit_unplugged_in_its_attempt_is_an_error_and_its_bay_is_free_again() {
    let room = Room::new(1);
    room.insert(0, board_saying(1, &slow())).await;
    let plan = room.plan("", &patient_steps());
    let handle = room.start(room.request(&plan)).await;
    room.until(in_self_test).await;
    room.remove(0).await;
    room.until(ended).await;
    room.insert(0, board(2)).await;
    room.until(|kind| matches!(kind, EventKind::AttemptFinished { attempt, .. } if attempt.0 == 2))
        .await;
    handle.cancel(CancelMode::Drain, "test").await;
    let report = room.finish(handle).await;
    assert_eq!(report.attempts[0].outcome, Outcome::Error, "{report:#?}");
    assert_eq!(
        report.attempts[0].failure.as_ref().unwrap().code,
        "board-left"
    );
    assert_eq!(report.attempts[1].outcome, Outcome::Pass);
    assert!(!room.conditions()["1"].contains(&BayCondition::Lost));
}

#[tokio::test(start_paused = true)]
async fn errors_in_a_row_close_a_bay_until_it_is_cleared() {
    let room = Room::new(1);
    let plan = room.plan("quarantine_after = 2", STEPS);
    let handle = room.start(room.request(&plan)).await;
    for unit in 1..=2 {
        room.insert(0, broken_board(unit, |faults| faults.silent = true))
            .await;
        room.until(
            |kind| matches!(kind, EventKind::AttemptFinished { attempt, .. } if attempt.0 == unit),
        )
        .await;
        room.settle().await;
    }
    room.insert(0, board(3)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        room.conditions()["1"].last(),
        Some(&BayCondition::Quarantined)
    );
    handle.control().clear(BayName::new("1")).await;
    room.until(|kind| matches!(kind, EventKind::AttemptFinished { attempt, .. } if attempt.0 == 3))
        .await;
    handle.cancel(CancelMode::Drain, "test").await;
    let report = room.finish(handle).await;
    assert_eq!((report.tally.error, report.tally.pass), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_board_waits_for_a_person_where_nothing_starts_by_itself() {
    let room = Room::new(1);
    room.insert(0, board(1)).await;
    let plan = room.plan("auto_start = false", STEPS);
    let request = RunRequest {
        once: true,
        ..room.request(&plan)
    };
    let handle = room.start(request).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!room.events().iter().any(|event| ended(&event.kind)));
    handle.control().start(Some(BayName::new("1"))).await;
    assert_eq!(room.finish(handle).await.verdict(), RunVerdict::AllPassed);
}

#[tokio::test(start_paused = true)]
async fn a_carrier_starts_and_finishes_together_and_again_when_all_have_left() {
    let room = Room::new(3);
    let plan = room.plan("mode = \"carrier\"", &patient_steps());
    let handle = room.start(room.request(&plan)).await;
    room.insert(0, board(1)).await;
    room.insert(1, board_saying(2, &slow())).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(
        !room.events().iter().any(|event| ended(&event.kind)),
        "bay 3 is still empty"
    );
    room.insert(2, broken_board(3, |faults| faults.never_boots = true))
        .await;
    let finished = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::BayChanged {
                to: BayCondition::Finished,
                ..
            }
        )
    };
    let first_shown = room.until(finished).await;
    let ends: Vec<_> = room
        .events()
        .into_iter()
        .filter(|event| ended(&event.kind))
        .collect();
    assert_eq!(ends.len(), 3, "nothing is shown before the last has ended");
    assert!(ends.iter().all(|end| end.seq < first_shown.seq));
    // A new board in one bay does not start while the others hold theirs.
    room.remove(0).await;
    room.insert(0, board(4)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        room.events()
            .iter()
            .filter(|event| ended(&event.kind))
            .count(),
        3
    );
    for (bay, unit) in [(1, 5), (2, 6)] {
        room.remove(bay).await;
        room.insert(bay, board(unit)).await;
    }
    room.until(|kind| matches!(kind, EventKind::AttemptFinished { attempt, .. } if attempt.0 == 6))
        .await;
    handle.cancel(CancelMode::Drain, "test").await;
    let report = room.finish(handle).await;
    assert_eq!((report.tally.pass, report.tally.fail), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_journal_stops_the_line_and_nothing_is_claimed() {
    // A disk that is full soon after the run began.
    let room = Room::with_options(4, |options| options.page_limit = Some(64));
    for bay in 0..4 {
        room.insert(bay, board(bay as u64)).await;
    }
    let chatty = SOUND.replace(
        "[\"SELFTEST START\"",
        &format!("[\"{}\", \"SELFTEST START\"", "x".repeat(1000)),
    );
    let plan = room.plan("seen_before = \"repeat\"", STEPS);
    let handle = room.start(room.request(&plan)).await;
    let watched = room.bays[0].clone();
    let script = chatty.clone();
    let feeder = tokio::spawn(async move {
        for unit in 100..400 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            if watched
                .control
                .replace(board_saying(unit, &script))
                .await
                .is_err()
            {
                return;
            }
        }
    });
    let report = room.finish(handle).await;
    feeder.abort();
    assert!(report.journal_lost.is_some(), "{:?}", report.tally);
    assert_eq!(report.verdict(), RunVerdict::StationError);
    let events = room.events();
    let recorded_passes = events.iter().filter(|event| {
        matches!(
            event.kind,
            EventKind::AttemptFinished {
                outcome: Outcome::Pass,
                ..
            }
        )
    });
    assert_eq!(
        recorded_passes.count() as u64,
        report.tally.pass,
        "no record, no pass"
    );
    for attempt in report.attempts.iter().filter(|attempt| !attempt.recorded) {
        assert_eq!(attempt.outcome, Outcome::Error);
        assert_eq!(attempt.failure.as_ref().unwrap().code, JOURNAL_LOST);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_runs_dry_ends_the_run_and_passes_nobody_without_a_number() {
    let room = Room::new(3);
    for bay in 0..3 {
        room.insert(bay, board(bay as u64)).await;
    }
    let steps = STEPS.replace("SN-{counter:06}", "SN-{counter:01}");
    let plan = room.plan("", &steps);
    for unit in 10..18 {
        room.insert(0, board(unit)).await;
        room.insert(1, board(unit + 100)).await;
        room.remove(2).await;
        let request = RunRequest {
            units: Some(1),
            ..room.request(&plan)
        };
        room.finish(room.start(request).await).await;
    }
    for bay in 0..3 {
        room.insert(bay, board(200 + bay as u64)).await;
    }
    let report = room.run_once(&plan).await;
    assert_eq!(
        (report.tally.pass, report.tally.error),
        (1, 2),
        "{report:#?}"
    );
    assert!(report.reason.unwrap().contains("dry"));
    let failures = report
        .attempts
        .iter()
        .filter_map(|attempt| attempt.failure.as_ref());
    assert_eq!(
        failures
            .filter(|failure| failure.code == "serial-pool-dry")
            .count(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn two_bays_that_reach_the_same_chip_are_noticed() {
    let room = Room::new(2);
    room.insert(0, board_saying(1, &slow())).await;
    room.insert(1, board_saying(1, &slow())).await;
    let plan = room.plan("", &patient_steps());
    let report = room.run_once(&plan).await;
    let codes: Vec<_> = report
        .attempts
        .iter()
        .map(|attempt| attempt.failure.as_ref().map(|failure| failure.code.clone()))
        .collect();
    assert_eq!(codes, [Some("mac-in-two-bays".to_owned()), None]);
}

/// A bay whose connector has a bug.
#[derive(Debug)]
struct Panicking(watch::Sender<Presence>);

#[async_trait]
impl Connector for Panicking {
    fn name(&self) -> String {
        "panicking".to_owned()
    }

    async fn open(&self) -> Result<Port, DeviceError> {
        panic!("a bug in a connector")
    }

    fn presence(&self) -> watch::Receiver<Presence> {
        self.0.subscribe()
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_bay_closes_that_bay_and_no_other() {
    let room = Room::new(1);
    room.insert(0, board(1)).await;
    let plan = room.plan("", STEPS);
    let mut request = room.request(&plan);
    let connector = Arc::new(Panicking(watch::Sender::new(Presence::Unknown)));
    request.bays.push(Bay {
        name: BayName::new("2"),
        connector,
    });
    request.once = true;
    let report = room.finish(room.start(request).await).await;
    let outcomes: Vec<_> = report
        .attempts
        .iter()
        .map(|attempt| (attempt.bay.as_str(), attempt.outcome))
        .collect();
    assert_eq!(outcomes, [("2", Outcome::Error), ("1", Outcome::Pass)]);
    assert_eq!(
        report.attempts[0].failure.as_ref().unwrap().class,
        FailureClass::Station
    );
    assert_eq!(
        room.conditions()["2"].last(),
        Some(&BayCondition::Quarantined)
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_bay_of_a_run_that_is_cancelled_ends_at_once() {
    let room = Room::new(2);
    let plan = room.plan("", STEPS);
    let handle = room.start(room.request(&plan)).await;
    handle.cancel(CancelMode::Drain, "test").await;
    let report = room.finish(handle).await;
    assert!(report.attempts.is_empty());
    assert_eq!(report.verdict(), RunVerdict::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_run_without_bays_or_with_two_of_one_name_does_not_begin() {
    let room = Room::new(1);
    let plan = room.plan("", STEPS);
    let none = RunRequest {
        bays: Vec::new(),
        ..room.request(&plan)
    };
    let refused = crate::runner::start(none, &room.journal, room.clock.clone()).await;
    assert!(matches!(refused, Err(StartError::NoBays)));
    let mut twice = room.request(&plan);
    twice.bays.push(twice.bays[0].clone());
    let refused = crate::runner::start(twice, &room.journal, room.clock.clone()).await;
    assert!(matches!(refused, Err(StartError::SameName { .. })));
    assert!(room.events().is_empty());
}

/// A bay that cannot tell whether a board is there, and whose port can vanish.
#[derive(Debug)]
struct Blind {
    bay: Arc<super::room::VirtualBay>,
    gone: std::sync::atomic::AtomicBool,
    presence: watch::Sender<Presence>,
}

#[async_trait]
impl Connector for Blind {
    fn name(&self) -> String {
        self.bay.name()
    }

    async fn open(&self) -> Result<Port, DeviceError> {
        if self.gone.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(DeviceError::NoBoard { place: self.name() });
        }
        self.bay.open().await
    }

    fn presence(&self) -> watch::Receiver<Presence> {
        self.presence.subscribe()
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_tell_a_board_is_tried_once_and_then_a_person_vouches_for_the_next() {
    let room = Room::new(1);
    room.insert(0, board(1)).await;
    let plan = room.plan("", STEPS);
    let connector = Arc::new(Blind {
        bay: Arc::clone(&room.bays[0]),
        gone: true.into(),
        presence: watch::Sender::new(Presence::Unknown),
    });
    let name = BayName::new("blind");
    let bays = vec![Bay {
        name: name.clone(),
        connector: Arc::clone(&connector) as _,
    }];
    let handle = room
        .start(RunRequest {
            bays,
            ..room.request(&plan)
        })
        .await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(room.conditions()["blind"].last(), Some(&BayCondition::Lost));
    connector
        .gone
        .store(false, std::sync::atomic::Ordering::Relaxed);
    handle.control().start(Some(name.clone())).await;
    room.until(|kind| matches!(kind, EventKind::AttemptFinished { attempt, .. } if attempt.0 == 2))
        .await;
    room.insert(0, board(2)).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    handle.control().start(None).await;
    room.until(|kind| matches!(kind, EventKind::AttemptFinished { attempt, .. } if attempt.0 == 3))
        .await;
    handle.cancel(CancelMode::Drain, "test").await;
    let report = room.finish(handle).await;
    assert_eq!(
        (report.tally.error, report.tally.pass),
        (1, 2),
        "{report:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_with_its_own_thread_records_a_run_on_the_real_clock() {
    let room = Room::with_options(8, |options| {
        options.execution = crate::journal::Execution::Thread;
    });
    for bay in 0..8 {
        room.insert(bay, board(bay as u64)).await;
    }
    let plan = room.plan("", STEPS);
    let report = room.run_once(&plan).await;
    assert_eq!(report.verdict(), RunVerdict::AllPassed, "{report:#?}");
    assert_eq!(report.tally.pass, 8);
    let last = room.events().pop().unwrap();
    assert!(matches!(last.kind, EventKind::RunFinished { .. }));
}
