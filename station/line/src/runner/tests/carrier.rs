//! Boards of one carrier that get what cannot be undone: they begin and are shown together, and each
//! stands for itself in between.

use station_virtual::fault::{PowerLoss, PulseMoment};

use super::plant::{C3, Plant, recipe};
use crate::event::{EventKind, Mac};
use crate::outcome::Outcome;
use crate::runner::RunReport;

/// Boards on the carrier.
const BOARDS: usize = 3;

async fn plant() -> Plant {
    let text = recipe(&C3).replace("[run]", "[run]\nmode = \"carrier\"");
    let plant = Plant::of_bays(&C3, &text, BOARDS);
    plant.release().await;
    plant
}

fn outcome_of<'a>(report: &'a RunReport, mac: &Mac) -> &'a crate::runner::AttemptReport {
    let of = |attempt: &&crate::runner::AttemptReport| attempt.mac.as_ref() == Some(mac);
    report.attempts.iter().find(of).unwrap()
}

fn used(plant: &Plant) -> usize {
    let events = plant.room.events().into_iter();
    let used = |kind: &EventKind| matches!(kind, EventKind::ApprovalUsed { .. });
    events.filter(|event| used(&event.kind)).count()
}

fn pulses_of(plant: &Plant, mac: &Mac) -> usize {
    let events = plant.room.events().into_iter();
    let of =
        |kind: &EventKind| matches!(kind, EventKind::BurnIntended { mac: of, .. } if of == mac);
    events.filter(|event| of(&event.kind)).count()
}

/// No bay is shown as finished before the last attempt of the batch has ended.
fn assert_shown_together(plant: &Plant, batch: usize) {
    let events = plant.room.events();
    let ended = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::AttemptFinished { .. }))
        .nth(batch * BOARDS + BOARDS - 1)
        .unwrap();
    let shown = events
        .iter()
        .filter(|event| {
            matches!(
                event.kind,
                EventKind::BayChanged {
                    to: crate::event::BayCondition::Finished,
                    ..
                }
            )
        })
        .nth(batch * BOARDS);
    assert!(shown.is_none_or(|shown| shown.seq > ended.seq));
}

#[tokio::test(start_paused = true)]
async fn one_approval_is_for_the_whole_carrier_and_every_board_is_burned_for_itself() {
    let plant = plant().await;
    let mut macs = Vec::new();
    for unit in 1..=BOARDS as u64 {
        let board = plant.board(unit);
        macs.push(Mac::new(board.mac.to_string()));
        plant.room.insert(unit as usize - 1, board).await;
    }
    let report = plant.run().await;
    assert_eq!(report.tally.pass, 3, "{report:#?}");
    assert_eq!(used(&plant), 1);
    assert_shown_together(&plant, 0);
    let mut counts = Vec::new();
    for mac in &macs {
        counts.push(pulses_of(&plant, mac));
    }
    assert!(
        counts[0] > 5 && counts.iter().all(|count| *count == counts[0]),
        "{counts:?}"
    );
    // The approval is used up: the next run of the same boards is refused without another.
    let refused = crate::runner::start(
        plant.request(),
        &plant.room.journal,
        plant.room.clock.clone(),
    )
    .await;
    assert_eq!(refused.unwrap_err().code(), "recipe-not-armed");
}

#[tokio::test(start_paused = true)]
async fn a_board_that_fails_before_its_burns_keeps_its_fuses_and_the_others_go_on() {
    let plant = plant().await;
    let mut macs = Vec::new();
    for unit in 1..=BOARDS as u64 {
        let mut board = plant.board(unit);
        if unit == 2 {
            // Not the flash that the first step wants.
            board.flash_size = 8 << 20;
            board.flash_jedec[2] = 0x17;
        }
        macs.push(Mac::new(board.mac.to_string()));
        plant.room.insert(unit as usize - 1, board).await;
    }
    let report = plant.run().await;
    assert_eq!(
        (report.tally.pass, report.tally.fail),
        (2, 1),
        "{report:#?}"
    );
    let failed = outcome_of(&report, &macs[1]);
    assert_eq!(failed.failure.as_ref().unwrap().code, "wrong-flash-size");
    assert_eq!(pulses_of(&plant, &macs[1]), 0);
    let look = |chip: Option<&station_virtual::VirtualChip>| chip.unwrap().efuse().pulses();
    let burned = plant.room.bays[1].control.inspect(look).await.unwrap();
    assert_eq!(burned, 0);
    assert!(plant.quarantine(&macs[1]).is_none());
    assert_shown_together(&plant, 0);
}

#[tokio::test(start_paused = true)]
async fn a_board_that_loses_power_in_a_pulse_is_finished_with_the_next_batch_and_the_others_verified()
 {
    for moment in [PulseMoment::Before, PulseMoment::Partly, PulseMoment::After] {
        let plant = plant().await;
        let mut macs = Vec::new();
        for unit in 1..=BOARDS as u64 {
            let mut board = plant.board(unit);
            if unit == 3 {
                board.faults.power_loss = Some(PowerLoss {
                    at_pulse: Some(2),
                    pulse: moment,
                    ..PowerLoss::default()
                });
            }
            macs.push(Mac::new(board.mac.to_string()));
            plant.room.insert(unit as usize - 1, board).await;
        }
        let first = plant.run().await;
        assert_eq!(first.tally.pass, 2, "{moment:?}: {first:#?}");
        assert_ne!(outcome_of(&first, &macs[2]).outcome, Outcome::Pass);
        assert_shown_together(&plant, 0);
        let before: Vec<usize> = macs.iter().map(|mac| pulses_of(&plant, mac)).collect();
        for bay in &plant.room.bays {
            bay.control.reseat().await.unwrap();
        }
        plant.room.settle().await;
        let second = plant.run().await;
        let third = outcome_of(&second, &macs[2]);
        assert_eq!(third.outcome, Outcome::Pass, "{moment:?}: {third:#?}");
        assert!(pulses_of(&plant, &macs[2]) > before[2], "{moment:?}");
        // The two that were whole get no pulse; what is closed can only be started.
        for (mac, before) in macs.iter().zip(&before).take(2) {
            assert_eq!(pulses_of(&plant, mac), *before, "{moment:?}");
        }
        assert_eq!(used(&plant), 2, "{moment:?}: once for each run");
        let open = plant.room.journal.unfinished_burns(&macs[2]).await.unwrap();
        assert!(open.is_empty(), "{moment:?}");
    }
}
