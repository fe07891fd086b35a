//! One unit at a time: what it is, how it ends.

use station_esp::Chip;
use station_virtual::chip::ChipConfig;
use station_virtual::fault::PowerLoss;

use super::room::{Room, STEPS, board, board_saying, broken_board};
use crate::event::{EventKind, StepName};
use crate::outcome::{FailureClass, Outcome, StepOutcome, Value};
use crate::runner::{AttemptReport, RunVerdict};

/// Runs one board with the usual steps and returns how it ended.
async fn one(config: ChipConfig) -> (Room, AttemptReport) {
    one_with(config, "quarantine_after = 3", STEPS).await
}

async fn one_with(config: ChipConfig, run: &str, steps: &str) -> (Room, AttemptReport) {
    let room = Room::new(1);
    room.insert(0, config).await;
    let plan = room.plan(run, steps);
    let report = room.run_once(&plan).await;
    assert!(report.journal_lost.is_none());
    assert_eq!(report.attempts.len(), 1);
    let attempt = report.attempts.into_iter().next().unwrap();
    (room, attempt)
}

fn class(attempt: &AttemptReport) -> FailureClass {
    attempt.failure.as_ref().unwrap().class
}

#[tokio::test(start_paused = true)]
async fn a_sound_unit_passes_with_serial_and_measurements() {
    let room = Room::new(1);
    room.insert(0, board(7)).await;
    let plan = room.plan("", STEPS);
    let report = room.run_once(&plan).await;
    assert_eq!(report.verdict(), RunVerdict::AllPassed, "{report:#?}");
    let attempt = &report.attempts[0];
    assert!(attempt.recorded);
    assert_eq!(attempt.serial.as_ref().unwrap().as_str(), "SN-000001");
    assert_eq!(attempt.mac.as_ref().unwrap().as_str(), "7c:df:a1:00:00:07");
    let names: Vec<_> = attempt
        .measures
        .iter()
        .map(|(_, m)| m.name.as_str())
        .collect();
    assert_eq!(names, ["vdd", "verdict"]);
    assert!(matches!(attempt.measures[0].1.value, Value::Number(_)));
    let events = room.events();
    let committed = |kind: &EventKind| matches!(kind, EventKind::SerialCommitted { .. });
    assert!(events.iter().any(|event| committed(&event.kind)));
    let attached = |kind: &EventKind| matches!(kind, EventKind::AttachmentStored { .. });
    assert!(
        events.iter().any(|event| attached(&event.kind)),
        "the console is kept"
    );
    let flash = room.flash(0, 0x20000, 16).await;
    assert_eq!(&flash, b"SN-000001\xff\xff\xff\xff\xff\xff\xff");
}

#[tokio::test(start_paused = true)]
async fn a_limit_failure_is_never_retried_and_every_value_is_still_taken() {
    let script = super::room::SOUND.replace("mean = 3300", "mean = 3600");
    let steps = STEPS.replace(
        "name = \"self test\"",
        "name = \"self test\"\nretry = { times = 3, on = [\"link\", \"boot\"] }",
    );
    let (room, attempt) = one_with(board_saying(1, &script), "", &steps).await;
    assert_eq!(
        (attempt.outcome, class(&attempt)),
        (Outcome::Fail, FailureClass::Limit)
    );
    assert_eq!(attempt.failed_step, Some(StepName::new("self test")));
    assert_eq!(room.tries("self test"), [(1, StepOutcome::Fail)]);
    assert_eq!(attempt.measures.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_the_recipe_lists_is_tried_again_and_every_try_is_recorded() {
    let script = super::room::SOUND.replace("mean = 3300", "mean = 3600");
    let steps = STEPS.replace(
        "name = \"self test\"",
        "name = \"self test\"\nretry = { times = 1, on = [\"limit\"] }",
    );
    let (room, attempt) = one_with(board_saying(1, &script), "", &steps).await;
    assert_eq!(class(&attempt), FailureClass::Limit);
    assert_eq!(
        room.tries("self test"),
        [(1, StepOutcome::Fail), (2, StepOutcome::Fail)]
    );
    assert_eq!(attempt.measures.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_while_writing_is_tried_again() {
    let config = broken_board(1, |faults| {
        faults.power_loss = Some(PowerLoss {
            at_program: Some(3),
            back_after_ms: Some(50),
            ..PowerLoss::default()
        });
    });
    let (room, attempt) = one(config).await;
    let tries = room.tries("flash");
    assert_eq!(attempt.outcome, Outcome::Pass, "{attempt:#?} {tries:?}");
    assert!(tries.len() >= 2, "{tries:?}");
    assert_eq!(tries.last().unwrap().1, StepOutcome::Pass);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_sector_is_the_units_fault() {
    let (_room, attempt) = one(broken_board(1, |faults| faults.stuck_sectors = vec![0x11])).await;
    assert_eq!(attempt.outcome, Outcome::Fail, "{attempt:#?}");
    assert!(matches!(
        class(&attempt),
        FailureClass::Verify | FailureClass::Flash
    ));
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_never_boots_fails() {
    let (_room, attempt) = one(broken_board(1, |faults| faults.never_boots = true)).await;
    assert_eq!(
        (attempt.outcome, class(&attempt)),
        (Outcome::Fail, FailureClass::Boot)
    );
}

#[tokio::test(start_paused = true)]
async fn an_application_that_stops_answering_fails_by_its_boot() {
    let script = super::room::SOUND.replace("send = \"adc vdd\"", "send = \"other\"");
    let (_room, attempt) = one(board_saying(1, &script)).await;
    assert_eq!(
        (attempt.outcome, class(&attempt)),
        (Outcome::Fail, FailureClass::Boot)
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_chip_is_the_stations_doubt() {
    let (room, attempt) = one(broken_board(1, |faults| faults.silent = true)).await;
    assert_eq!(
        (attempt.outcome, class(&attempt)),
        (Outcome::Error, FailureClass::Contact)
    );
    assert_eq!(attempt.mac, None);
    assert_eq!(room.tries("identify").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn another_chip_than_the_recipes_fails() {
    let (_room, attempt) = one(ChipConfig::new(Chip::Esp32C6, 1, 1)).await;
    assert_eq!(
        (attempt.outcome, class(&attempt)),
        (Outcome::Fail, FailureClass::Limit)
    );
}

#[tokio::test(start_paused = true)]
async fn a_flash_of_the_wrong_size_fails_and_takes_no_serial() {
    let (room, attempt) = one(board(1).with_flash_size(8 << 20)).await;
    assert_eq!(
        (attempt.outcome, class(&attempt)),
        (Outcome::Fail, FailureClass::Limit)
    );
    assert_eq!(attempt.serial, None);
    let reserved = |kind: &EventKind| matches!(kind, EventKind::SerialReserved { .. });
    assert!(!room.events().iter().any(|event| reserved(&event.kind)));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_ends_in_error() {
    // Each answer comes in time, both together do not.
    let script = super::room::SOUND
        .replace(
            "answer = \"SELFTEST PASS\"",
            "answer = \"SELFTEST PASS\"\ndelay_ms = 3000",
        )
        .replace(
            "answer = \"vdd={value}mV\"",
            "answer = \"vdd={value}mV\"\ndelay_ms = 3000",
        );
    let steps = STEPS.replace("pattern = '", "within = \"4s\", pattern = '");
    let (_room, attempt) =
        one_with(board_saying(1, &script), "attempt_timeout = \"5s\"", &steps).await;
    assert_eq!(
        (attempt.outcome, class(&attempt)),
        (Outcome::Error, FailureClass::Timeout)
    );
    assert_eq!(attempt.failure.unwrap().code, "attempt-timeout");
}

#[tokio::test(start_paused = true)]
async fn steps_that_always_run_do_so_after_a_failure_and_change_nothing_of_it() {
    let steps = format!(
        "{STEPS}\n[[step]]\nname = \"label\"\ncommand = {{ run = [\"true\"], within = \"5s\" }}\n\
         [[step]]\nname = \"power off\"\nalways = true\n\
         command = {{ run = [\"false\"], within = \"5s\" }}\n"
    );
    let (room, attempt) = one_with(
        broken_board(1, |faults| faults.never_boots = true),
        "",
        &steps,
    )
    .await;
    assert_eq!(
        (attempt.outcome, class(&attempt)),
        (Outcome::Fail, FailureClass::Boot)
    );
    assert_eq!(attempt.failed_step, Some(StepName::new("self test")));
    assert!(room.tries("label").is_empty());
    assert_eq!(room.tries("power off"), [(1, StepOutcome::Error)]);
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_does_not_hold_skips_its_step() {
    let steps = format!(
        "{STEPS}\n[[step]]\nname = \"wipe\"\nwhen = \"{{chip}} == esp32\"\n\
         erase = {{ all = true }}\n"
    );
    let (room, attempt) = one_with(board(1), "", &steps).await;
    assert_eq!(attempt.outcome, Outcome::Pass, "{attempt:#?}");
    assert_eq!(room.tries("wipe"), [(1, StepOutcome::Skipped)]);
}

#[tokio::test(start_paused = true)]
async fn a_unit_exchanged_during_its_attempt_is_noticed() {
    let script = super::room::SOUND.replace(
        "answer = \"vdd={value}mV\"",
        "answer = \"vdd={value}mV\"\ndelay_ms = 20000",
    );
    let steps = STEPS
        .replace("pattern = 'vdd=", "within = \"3s\", pattern = 'vdd=")
        .replace(
            "name = \"self test\"",
            "name = \"self test\"\nretry = { times = 1, on = [\"contact\"] }",
        );
    let room = Room::new(1);
    room.insert(0, board_saying(1, &script)).await;
    let plan = room.plan("", &steps);
    let request = crate::runner::RunRequest {
        once: true,
        ..room.request(&plan)
    };
    let handle = room.start(request).await;
    let testing = |kind: &EventKind| match kind {
        EventKind::StepStarted { step, .. } => step.as_str() == "self test",
        _ => false,
    };
    room.until(testing).await;
    room.insert(0, board(2)).await;
    let report = room.finish(handle).await;
    let failure = report.attempts[0].failure.clone().unwrap();
    assert_eq!(failure.code, "unit-changed", "{failure:?}");
    assert_eq!(report.attempts[0].outcome, Outcome::Error);
}
