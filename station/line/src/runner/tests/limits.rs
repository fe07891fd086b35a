//! Shared resources: held by one bay at a time, and queueing for them costs nobody an attempt.

use std::collections::BTreeSet;
use std::time::Duration;

use super::room::{Room, SOUND, STEPS, board_saying};
use crate::event::EventKind;
use crate::runner::RunVerdict;

/// An application that takes its time for one answer.
fn deliberate() -> String {
    SOUND.replace(
        "answer = \"vdd={value}mV\"",
        "answer = \"vdd={value}mV\"\ndelay_ms = 1500",
    )
}

#[tokio::test(start_paused = true)]
async fn a_shared_resource_is_never_held_twice_and_waiting_for_it_is_no_timeout() {
    let room = Room::new(12);
    for bay in 0..12 {
        room.insert(bay, board_saying(bay as u64, &deliberate()))
            .await;
    }
    // Twelve tests of 1.5 s in one RF box, within an attempt of 8 s.
    let steps = STEPS.replace(
        "name = \"self test\"",
        "name = \"self test\"\nneeds = \"rf-box\"",
    );
    let plan = room.plan("attempt_timeout = \"8s\"", &steps);
    let report = room.run_once(&plan).await;
    assert_eq!(report.verdict(), RunVerdict::AllPassed, "{report:#?}");
    assert!(report.took > Duration::from_secs(18));
    let mut inside = BTreeSet::new();
    for event in room.events() {
        match event.kind {
            EventKind::StepStarted { attempt, step, .. } if step.as_str() == "self test" => {
                assert!(inside.is_empty(), "{inside:?} is in the box already");
                inside.insert(attempt);
            }
            EventKind::StepFinished { attempt, step, .. } if step.as_str() == "self test" => {
                inside.remove(&attempt);
            }
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_holds_its_resource_only_while_it_lasts() {
    let room = Room::new(8);
    for bay in 0..8 {
        room.insert(bay, board_saying(bay as u64, &deliberate()))
            .await;
    }
    let steps = STEPS.replace("min = 3200", "needs = \"meter\", min = 3200");
    let plan = room.plan("attempt_timeout = \"8s\"", &steps);
    let report = room.run_once(&plan).await;
    assert_eq!(report.verdict(), RunVerdict::AllPassed, "{report:#?}");
    assert!(report.took > Duration::from_secs(12));
}
