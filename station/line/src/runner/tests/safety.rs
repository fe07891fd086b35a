//! What must never happen to a board, a serial number or a quota.

use std::time::Duration;

use station_esp::MacAddress;
use station_esp::chip::Revision;
use station_virtual::chip::ChipConfig;
use station_virtual::wire::Wire;

use super::room::{Room, STEPS, board, broken_board};
use crate::event::{CancelMode, EventKind};
use crate::outcome::{FailureClass, Outcome, StepOutcome};
use crate::runner::{Bay, RunHandle, RunRequest, RunVerdict};

/// A recipe without serial numbers.
const PLAIN: &str = r#"
[[step]]
name = "identify"
identify = { flash_size = "4MB" }
[[step]]
name = "flash"
flash = { images = ["bootloader", "table", "app"] }
"#;

/// Steps that run whatever happened, and change the board.
const ALWAYS: &str = r#"
[[step]]
name = "mark"
always = true
data = { at = "nvs", value = "mark" }
[[step]]
name = "write"
always = true
flash = { images = ["app"] }
[[step]]
name = "wipe"
always = true
erase = { ranges = [{ at = 0x40000, size = "4KB" }] }
[[step]]
name = "look"
always = true
read = { at = "nvs", size = "16B", attach = true }
"#;

fn reserved(room: &Room) -> usize {
    let events = room.events().into_iter();
    events
        .filter(|event| matches!(event.kind, EventKind::SerialReserved { .. }))
        .count()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_to_a_board_that_failed_its_checks_not_even_by_steps_that_always_run() {
    let room = Room::new(1);
    room.insert(0, board(1).with_flash_size(8 << 20)).await;
    let plan = room.plan("", &format!("{STEPS}{ALWAYS}"));
    let report = room.run_once(&plan).await;
    let attempt = &report.attempts[0];
    assert_eq!(attempt.outcome, Outcome::Fail);
    assert_eq!(attempt.failure.as_ref().unwrap().code, "wrong-flash-size");
    for step in ["mark", "write", "wipe"] {
        assert_eq!(room.tries(step), [(1, StepOutcome::Skipped)], "{step}");
    }
    assert_eq!(room.tries("look"), [(1, StepOutcome::Pass)]);
    assert!(
        room.flash(0, 0, 0x3_0000)
            .await
            .iter()
            .all(|byte| *byte == 0xFF)
    );
    assert_eq!((attempt.serial.as_ref(), reserved(&room)), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_chip_without_an_address_is_turned_away_from_every_step() {
    let room = Room::new(1);
    let nobody = ChipConfig {
        mac: MacAddress([0; 6]),
        ..board(1)
    };
    room.insert(0, nobody).await;
    let steps = STEPS.replacen(
        "on = [\"contact\", \"link\", \"timeout\"]",
        "on = [\"limit\"]",
        1,
    );
    let plan = room.plan("", &format!("{steps}{ALWAYS}"));
    let report = room.run_once(&plan).await;
    let attempt = &report.attempts[0];
    assert_eq!(attempt.outcome, Outcome::Fail, "{attempt:#?}");
    assert_eq!(attempt.failure.as_ref().unwrap().code, "invalid-mac");
    assert_eq!(room.tries("identify").len(), 3);
    assert_eq!(room.tries("mark"), [(1, StepOutcome::Fail)]);
    let flash = room.flash(0, 0, 0x5_0000).await;
    assert!(flash.iter().all(|byte| *byte == 0xFF));
    assert_eq!(reserved(&room), 0);
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_is_too_old_is_too_old_at_its_second_try_too() {
    let room = Room::new(1);
    let old = ChipConfig {
        revision: Revision::new(0, 1),
        ..board(1)
    };
    room.insert(0, old).await;
    let steps = STEPS.replacen(
        "on = [\"contact\", \"link\", \"timeout\"]",
        "on = [\"limit\", \"contact\"]",
        1,
    );
    let plan = room.plan_headed("min_revision = \"0.3\"", "", &format!("{steps}{ALWAYS}"));
    let report = room.run_once(&plan).await;
    let attempt = &report.attempts[0];
    assert_eq!(attempt.outcome, Outcome::Fail, "{attempt:#?}");
    assert_eq!(attempt.failure.as_ref().unwrap().code, "old-chip-revision");
    assert_eq!(room.tries("identify").len(), 3);
    assert!(
        room.flash(0, 0, 0x3_0000)
            .await
            .iter()
            .all(|byte| *byte == 0xFF)
    );
    assert_eq!(reserved(&room), 0);
}

#[tokio::test(start_paused = true)]
async fn verifying_gives_no_unit_a_number_that_it_did_not_have() {
    let room = Room::new(1);
    room.insert(0, board(1)).await;
    let first = room.plan("seen_before = \"verify\"", PLAIN);
    assert_eq!(room.run_once(&first).await.verdict(), RunVerdict::AllPassed);
    let with_serial = room.plan("seen_before = \"verify\"", STEPS);
    let report = room.run_once(&with_serial).await;
    let failure = report.attempts[0].failure.clone().unwrap();
    assert_eq!(
        (failure.class, failure.code.as_str()),
        (FailureClass::Verify, "serial-missing")
    );
    assert_eq!(reserved(&room), 0);
}

#[tokio::test(start_paused = true)]
async fn verifying_a_unit_finds_the_number_it_has() {
    let room = Room::new(1);
    room.insert(0, board(1)).await;
    let plan = room.plan("seen_before = \"verify\"", STEPS);
    let first = room.run_once(&plan).await;
    let second = room.run_once(&plan).await;
    assert_eq!(second.verdict(), RunVerdict::AllPassed, "{second:#?}");
    assert!(first.attempts[0].serial.is_some());
    assert_eq!(first.attempts[0].serial, second.attempts[0].serial);
    assert_eq!(reserved(&room), 1);
}

/// Starts a run of its own on one bay.
async fn run_on(room: &Room, bay: usize, run: &str) -> RunHandle {
    let plan = room.plan(run, STEPS);
    let bays: Vec<Bay> = room.request(&plan).bays;
    let request = RunRequest {
        bays: vec![bays[bay].clone()],
        ..room.request(&plan)
    };
    room.start(request).await
}

#[tokio::test(start_paused = true)]
async fn two_runs_at_once_pass_no_more_units_than_their_quota() {
    let room = Room::new(2);
    room.insert(0, board(1)).await;
    room.insert(1, board(2)).await;
    let one = run_on(&room, 0, "quota = 1").await;
    let other = run_on(&room, 1, "quota = 1").await;
    let (one, other) = (room.finish(one).await, room.finish(other).await);
    assert_eq!(one.tally.pass + other.tally.pass, 1, "{one:?} {other:?}");
    assert_eq!(one.attempts.len() + other.attempts.len(), 1);
    assert!(other.reason.unwrap().contains("quota of 1"));
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_unit_leaves_of_the_quota_goes_to_the_run_that_waits() {
    let room = Room::new(2);
    room.insert(0, broken_board(1, |faults| faults.never_boots = true))
        .await;
    room.insert(1, board(2)).await;
    let one = run_on(&room, 0, "quota = 1").await;
    let other = run_on(&room, 1, "quota = 1").await;
    let other = room.finish(other).await;
    assert_eq!(other.tally.pass, 1, "{other:?}");
    let one = room.finish(one).await;
    assert_eq!((one.tally.fail, one.tally.pass), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_port_that_goes_away_with_every_reset_is_opened_again() {
    let room = Room::new(1);
    let native = ChipConfig {
        wire: Wire::On,
        ..broken_board(1, |faults| faults.reenumerate = true)
    };
    room.insert(0, native).await;
    let plan = room.plan("seen_before = \"repeat\"", STEPS);
    let handle = room.start(room.request(&plan)).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    handle.cancel(CancelMode::Drain, "test").await;
    let report = room.finish(handle).await;
    assert_eq!(
        report.attempts.len(),
        1,
        "the same board is not started again"
    );
    let attempt = &report.attempts[0];
    assert_eq!(attempt.outcome, Outcome::Pass, "{attempt:#?}");
    for step in ["identify", "flash", "serial", "self test"] {
        assert_eq!(room.tries(step), [(1, StepOutcome::Pass)], "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_board_that_answers_in_the_place_of_the_first_does_not_pass_for_it() {
    let steps = STEPS.replace(
        "script = [",
        "script = [ { pattern = 'SELFTEST START', within = \"60s\" }, \
         { pattern = 'SELFTEST READY' },",
    );
    let room = Room::new(1);
    room.insert(0, board(2)).await;
    let sound = room.run_once(&room.plan("", STEPS)).await;
    assert_eq!(sound.verdict(), RunVerdict::AllPassed);
    let second = room.bays[0].control.remove().await.unwrap().unwrap();
    room.insert(0, board(1)).await;
    let plan = room.plan("", &steps);
    let request = RunRequest {
        once: true,
        ..room.request(&plan)
    };
    let handle = room.start(request).await;
    let testing = |kind: &EventKind| match kind {
        EventKind::StepStarted { attempt, step, .. } => {
            attempt.0 == 2 && step.as_str() == "self test"
        }
        _ => false,
    };
    room.until(testing).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    room.bays[0].control.insert(second, false).await.unwrap();
    let report = room.finish(handle).await;
    let attempt = &report.attempts[0];
    assert_eq!(attempt.measures.len(), 2, "the second board did answer");
    assert_eq!(attempt.outcome, Outcome::Error, "{attempt:#?}");
    assert_eq!(attempt.failure.as_ref().unwrap().code, "board-left");
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_of_a_write_frees_the_port_and_the_unit_can_be_done_again() {
    let room = Room::new(1);
    let wired = ChipConfig {
        wire: Wire::On,
        ..board(1)
    };
    room.insert(0, wired).await;
    let plan = room.plan("", STEPS);
    let handle = room.start(room.request(&plan)).await;
    room.until(
        |kind| matches!(kind, EventKind::StepStarted { step, .. } if step.as_str() == "flash"),
    )
    .await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    handle.cancel(CancelMode::Stop, "test").await;
    let report = room.finish(handle).await;
    assert_eq!(report.attempts[0].outcome, Outcome::Aborted, "{report:#?}");
    assert_eq!(room.tries("flash"), [(1, StepOutcome::Aborted)]);
    let again = room.run_once(&plan).await;
    assert_eq!(again.verdict(), RunVerdict::AllPassed, "{again:#?}");
    assert_eq!(reserved(&room), 1, "the unit keeps its number");
}

#[tokio::test(start_paused = true)]
async fn a_drain_while_a_carrier_starts_ends_the_run() {
    for turns in 0..12 {
        let room = Room::new(4);
        for bay in 0..4 {
            room.insert(bay, board(bay as u64)).await;
        }
        let plan = room.plan("mode = \"carrier\"", STEPS);
        let handle = room.start(room.request(&plan)).await;
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        handle.cancel(CancelMode::Drain, "test").await;
        let report = room.finish(handle).await;
        assert_eq!(report.attempts.len() as u64, report.tally.pass, "{turns}");
    }
}
