//! What actions do to a chip, and groups of them that are tried again.

use station_virtual::VirtualChip;

use super::room::{Room, board};
use crate::event::EventKind;
use crate::outcome::{FailureClass, Outcome, StepOutcome, Value};
use crate::runner::AttemptReport;

/// Serial numbers and the first two steps.
const BEGINNING: &str = r#"
[serial]
pattern = "SN-{counter:06}"
[[step]]
name = "identify"
identify = { flash_size = "4MB" }
[[step]]
name = "flash"
flash = { images = ["bootloader", "table", "app"] }
"#;

/// Runs one sound board with the beginning and more steps.
async fn one(steps: &str) -> (Room, AttemptReport) {
    let room = Room::new(1);
    room.insert(0, board(1)).await;
    let plan = room.plan("", &format!("{BEGINNING}{steps}"));
    let report = room.run_once(&plan).await;
    let attempt = report.attempts.into_iter().next().unwrap();
    (room, attempt)
}

fn failure(attempt: &AttemptReport) -> (FailureClass, &str) {
    let failure = attempt.failure.as_ref().unwrap();
    (failure.class, failure.code.as_str())
}

#[tokio::test(start_paused = true)]
async fn what_is_written_for_a_unit_is_checked_read_back_and_recorded() {
    let (room, attempt) = one(r#"
[[step]]
name = "note"
data = { at = "nvs", value = "unit {serial}" }
[[step]]
name = "compare"
check = { images = ["table", "app"], blank = [{ at = 0x30000, size = "4KB" }], secure_boot = false, flash_encryption = false }
[[step]]
name = "read"
read = { at = "nvs", size = "64B", equals = "unit {serial}", measure = "note", attach = true }
"#)
    .await;
    assert_eq!(attempt.outcome, Outcome::Pass, "{attempt:#?}");
    let measured: Vec<_> = attempt.measures.iter().map(|(_, m)| &m.value).collect();
    assert_eq!(measured, [&Value::Text("unit SN-000001".to_owned())]);
    let attached = room
        .events()
        .into_iter()
        .find_map(|event| match event.kind {
            EventKind::AttachmentStored { name, size, .. } => Some((name, size)),
            _ => None,
        });
    assert_eq!(attached, Some(("flash".to_owned(), 64)));
    assert_eq!(&room.flash(0, 0x9000, 16).await, b"unit SN-000001\xff\xff");
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_not_blank_fails_by_verification() {
    let (_room, attempt) = one(r#"
[[step]]
name = "blank"
check = { blank = [{ at = "factory" }] }
"#)
    .await;
    assert_eq!(attempt.outcome, Outcome::Fail);
    assert_eq!(failure(&attempt), (FailureClass::Verify, "not-blank"));
}

/// Runs one sound board, whose flash holds something already, with these steps only.
async fn used(steps: &str) -> (Room, AttemptReport) {
    let room = Room::new(1);
    let image = vec![0x5A; 0x1_0000];
    let mut chip = VirtualChip::new(board(1));
    chip.flash_mut().program(0x1_0000, &image).unwrap();
    room.bays[0].control.insert(chip, false).await.unwrap();
    room.settle().await;
    let head = "[[step]]\nname = \"identify\"\nidentify = {}\n";
    let plan = room.plan("", &format!("{head}{steps}"));
    let report = room.run_once(&plan).await;
    let attempt = report.attempts.into_iter().next().unwrap();
    (room, attempt)
}

#[tokio::test(start_paused = true)]
async fn an_erased_place_is_blank_and_what_was_there_is_missed() {
    let (room, attempt) = used(
        r#"
[[step]]
name = "erase"
erase = { ranges = [{ at = "factory", size = "32KB" }] }
[[step]]
name = "blank"
check = { blank = [{ at = "factory", size = "32KB" }] }
[[step]]
name = "behind it"
read = { at = 0x18000, size = "4B", encoding = "hex", equals = "5a5a5a5a" }
[[step]]
name = "app"
check = { images = ["app"] }
"#,
    )
    .await;
    for step in ["erase", "blank", "behind it"] {
        assert_eq!(
            room.tries(step),
            [(1, StepOutcome::Pass)],
            "{step} {attempt:#?}"
        );
    }
    assert_eq!(failure(&attempt), (FailureClass::Verify, "image-differs"));
}

#[tokio::test(start_paused = true)]
async fn erasing_everything_leaves_nothing() {
    let (room, attempt) = used("[[step]]\nname = \"erase\"\nerase = { all = true }\n").await;
    assert_eq!(attempt.outcome, Outcome::Pass, "{attempt:#?}");
    let flash = room.flash(0, 0, 4 << 20).await;
    assert!(flash.iter().all(|byte| *byte == 0xFF));
}

#[tokio::test(start_paused = true)]
async fn a_text_that_differs_is_quoted_and_one_that_goes_on_differs_too() {
    for (stored, wanted) in [("v1", "v2"), ("v12", "v1")] {
        let (_room, attempt) = one(&format!(
            "[[step]]\nname = \"write\"\ndata = {{ at = \"nvs\", value = \"{stored}\" }}\n\
             [[step]]\nname = \"read\"\nread = {{ at = \"nvs\", equals = \"{wanted}\" }}\n"
        ))
        .await;
        assert_eq!(failure(&attempt), (FailureClass::Verify, "content-differs"));
        let message = &attempt.failure.as_ref().unwrap().message;
        assert!(message.contains(&format!("`{stored}`")), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_is_tried_again_from_its_first_step_on_the_chip() {
    let (room, attempt) = one(r#"
[[step]]
name = "write"
group = "note"
data = { at = "nvs", value = "v1" }
[[step]]
name = "read"
group = "note"
read = { at = "nvs", equals = "v2" }
retry = { times = 2, on = ["verify"], pause = "1s" }
"#)
    .await;
    assert_eq!(failure(&attempt), (FailureClass::Verify, "content-differs"));
    let tries = |outcome| [1, 2, 3].map(|number| (number, outcome));
    assert_eq!(room.tries("write"), tries(StepOutcome::Pass));
    assert_eq!(room.tries("read"), tries(StepOutcome::Fail));
    assert_eq!(
        room.tries("flash"),
        [(1, StepOutcome::Pass)],
        "outside the group"
    );
    let retries = room
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::StepRetrying { from, after_us, .. } => Some((from.to_string(), after_us)),
            _ => None,
        });
    let retry = ("write".to_owned(), 1_000_000);
    assert_eq!(retries.collect::<Vec<_>>(), [retry.clone(), retry]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_talked_to_the_application_reconnects_for_its_second_try() {
    let (room, attempt) = one(r#"
[[step]]
name = "mark"
group = "talk"
data = { at = "nvs", value = "{mac}" }
[[step]]
name = "start"
group = "talk"
boot = { expect = "SELFTEST READY", within = "3s" }
[[step]]
name = "ask"
group = "talk"
test = { script = [{ send = "adc vdd", measure = "vdd", pattern = 'vdd=(\d+)mV', unit = "mV", min = 9000 }] }
retry = { times = 1, on = ["limit"] }
"#)
    .await;
    assert_eq!(failure(&attempt), (FailureClass::Limit, "out-of-limits"));
    for step in ["mark", "start"] {
        assert_eq!(
            room.tries(step),
            [(1, StepOutcome::Pass), (2, StepOutcome::Pass)],
            "{step}"
        );
    }
    assert_eq!(attempt.measures.len(), 2, "every try is recorded");
}
