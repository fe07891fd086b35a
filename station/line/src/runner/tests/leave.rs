//! Who may burn at all: released recipes, in armed runs, with approvals that hold.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::plant::{C3, Plant, recipe};
use crate::approval::{ApprovalId, Grant, Subject};
use crate::clock::Clock;
use crate::event::{EventKind, Mac, PlanId};
use crate::outcome::{FailureClass, Outcome};
use crate::runner::{QUARANTINED, RunRequest, StartError, start};

/// Starts a run that must not begin.
async fn refused(plant: &Plant, request: RunRequest) -> StartError {
    let clock = Arc::clone(&plant.room.clock) as Arc<dyn Clock>;
    let runs = runs(plant);
    let error = start(request, &plant.room.journal, clock).await;
    let Err(error) = error else {
        panic!("it began");
    };
    assert_eq!(runs, runs_of(plant), "{error}");
    let look = |chip: Option<&station_virtual::VirtualChip>| chip.map(|it| it.efuse().pulses());
    let pulses = plant.room.bays[0].control.inspect(look).await.unwrap();
    assert_eq!(pulses.unwrap_or(0), 0, "{error}");
    error
}

fn runs(plant: &Plant) -> usize {
    runs_of(plant)
}

fn runs_of(plant: &Plant) -> usize {
    let events = plant.room.events().into_iter();
    events
        .filter(|event| matches!(event.kind, EventKind::RunStarted { .. }))
        .count()
}

/// Codes of everything that was refused, in order.
fn refusals(plant: &Plant) -> Vec<String> {
    let events = plant.room.events().into_iter();
    events
        .filter_map(|event| match event.kind {
            EventKind::Refused { code, .. } => Some(code),
            _ => None,
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_recipe_that_nobody_released_does_not_start() {
    let plant = Plant::unreleased(&C3, &recipe(&C3));
    plant.room.insert(0, plant.board(1)).await;
    plant.grant().await;
    let error = refused(&plant, plant.request()).await;
    assert_eq!(error.code(), "recipe-not-released");
    assert_eq!(refusals(&plant), ["recipe-not-released"]);
}

#[tokio::test(start_paused = true)]
async fn a_recipe_that_another_station_released_does_not_start() {
    let plant = Plant::unreleased(&C3, &recipe(&C3));
    let strange = Plant::unreleased(&C3, &recipe(&C3));
    plant.room.insert(0, plant.board(1)).await;
    plant.release().await;
    plant.grant().await;
    let keys = Some(strange.keys.clone());
    let error = refused(
        &plant,
        RunRequest {
            keys,
            ..plant.request()
        },
    )
    .await;
    assert_eq!(error.code(), "recipe-not-released");
}

#[tokio::test(start_paused = true)]
async fn a_released_recipe_does_not_start_unarmed_or_without_an_approval() {
    let plant = Plant::new(&C3).await;
    plant.room.insert(0, plant.board(1)).await;
    let unarmed = RunRequest {
        arm: false,
        ..plant.request()
    };
    assert_eq!(refused(&plant, unarmed).await.code(), "recipe-not-armed");
    let error = refused(&plant, plant.request()).await;
    assert!(
        matches!(
            &error,
            StartError::NotArmed {
                code: "approval-missing",
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(refusals(&plant).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_is_used_expired_unknown_or_for_something_else_does_not_count() {
    let plant = Plant::new(&C3).await;
    plant.room.insert(0, plant.board(1)).await;
    let now = plant.room.clock.now();
    let grant = |subject: Subject| Grant {
        at: now,
        subject,
        by: "lead".to_owned(),
        valid: Duration::from_secs(60),
    };
    let journal = &plant.room.journal;
    let other = grant(Subject::Plan(PlanId::new("a".repeat(64))));
    let other = journal.grant(other).await.unwrap().id;
    let own = grant(Subject::Plan(plant.plan.id().clone()));
    let own = journal.grant(own).await.unwrap().id;
    let with = |approval: ApprovalId| RunRequest {
        approval: Some(approval),
        ..plant.request()
    };
    let code = |error: StartError| match error {
        StartError::NotArmed { code, .. } => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        code(refused(&plant, with(other)).await),
        "approval-mismatch"
    );
    let unknown = ApprovalId::parse(&"0".repeat(32)).unwrap();
    assert_eq!(
        code(refused(&plant, with(unknown)).await),
        "approval-unknown"
    );
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(code(refused(&plant, with(own)).await), "approval-expired");
    assert!(plant.room.clock.now() - now > TimeDelta::seconds(60));
    let fresh = Grant {
        at: plant.room.clock.now(),
        ..grant(Subject::Plan(plant.plan.id().clone()))
    };
    let fresh = journal.grant(fresh).await.unwrap().id;
    let report = plant
        .room
        .finish(plant.room.start(with(fresh.clone())).await)
        .await;
    assert_eq!(report.attempts[0].outcome, Outcome::Pass, "{report:#?}");
    plant.room.insert(0, plant.board(2)).await;
    assert_eq!(code(refused(&plant, with(fresh)).await), "approval-used");
    assert_eq!(refusals(&plant).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_needs_virtual_bays_and_is_on_record() {
    let plant = Plant::unreleased(&C3, &recipe(&C3));
    plant.room.insert(0, plant.board(1)).await;
    let rehearsal = || RunRequest {
        arm: false,
        rehearsal: true,
        ..plant.request()
    };
    let error = refused(&plant, rehearsal()).await;
    assert_eq!(error.code(), "rehearsal-on-hardware");
    let mut request = rehearsal();
    for bay in &mut request.bays {
        bay.connector = plant.room.bays[0].as_virtual();
    }
    let report = plant.room.finish(plant.room.start(request).await).await;
    assert_eq!(report.attempts[0].outcome, Outcome::Pass, "{report:#?}");
    let recorded = plant.room.events().into_iter().any(|event| {
        matches!(event.kind, EventKind::OperationInvoked { parameters, .. }
            if parameters["rehearsal"] == true)
    });
    assert!(recorded);
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_was_put_aside_is_turned_away_until_somebody_lets_it_go() {
    let plant = Plant::new(&C3).await;
    let board = plant.board(1);
    let mac = Mac::new(board.mac.to_string());
    plant.room.insert(0, board).await;
    let now = plant.room.clock.now();
    let aside = EventKind::UnitQuarantined {
        attempt: None,
        mac: mac.clone(),
        code: "test".to_owned(),
        reason: "somebody said so".to_owned(),
    };
    plant.room.journal.note(now, aside).await.unwrap();
    let report = plant.run().await;
    let failure = report.attempts[0].failure.clone().unwrap();
    assert_eq!(
        (failure.class, failure.code.as_str()),
        (FailureClass::Efuse, QUARANTINED)
    );
    assert!(failure.message.contains("somebody said so"));
    assert_eq!(refusals(&plant), [QUARANTINED]);
    assert!(plant.room.journal.burns_of(&mac).await.unwrap().is_empty());
    let released = EventKind::UnitReleased {
        mac,
        by: "lead".to_owned(),
        reason: "looked at it".to_owned(),
    };
    plant.room.journal.note(now, released).await.unwrap();
    plant.reseat().await;
    let report = plant.run().await;
    assert_eq!(report.attempts[0].outcome, Outcome::Pass, "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_chip_whose_fuses_were_changed_elsewhere_fails_with_the_reason_and_without_a_pulse() {
    let plant = Plant::new(&C3).await;
    let board = plant.board(1);
    let mac = Mac::new(board.mac.to_string());
    plant.room.insert(0, board).await;
    // Somebody else's digest, and the door closed behind it.
    let change = |chip: Option<&mut station_virtual::VirtualChip>| {
        chip.unwrap().efuse_mut().edit(|image| {
            let field = image.map().field("WR_DIS").unwrap();
            image.set_number(field, 1).unwrap();
        });
    };
    plant.room.bays[0].control.change(change).await.unwrap();
    let report = plant.run().await;
    let attempt = &report.attempts[0];
    assert_eq!(attempt.outcome, Outcome::Fail, "{attempt:#?}");
    let failure = attempt.failure.as_ref().unwrap();
    assert_eq!(failure.class, FailureClass::Efuse, "{failure:?}");
    assert!(failure.message.contains("RD_DIS"), "{failure:?}");
    let burns = plant.room.journal.burns_of(&mac).await.unwrap();
    assert!(burns.is_empty(), "{burns:?}");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_passed_is_verified_without_a_pulse_and_fails_when_a_fuse_is_missing() {
    let text = recipe(&C3)
        .replace("[run]", "[run]\nseen_before = \"verify\"")
        .replace(
            "name = \"close\"",
            "name = \"close\"\nwhen = \"{lot} == end\"",
        );
    let plant = Plant::unreleased(&C3, &text);
    plant.release().await;
    let board = plant.board(1);
    let mac = Mac::new(board.mac.to_string());
    plant.room.insert(0, board).await;
    let mut outcomes = Vec::new();
    for lot in ["first", "verified", "end"] {
        plant.grant().await;
        let request = RunRequest {
            lot: Some(lot.to_owned()),
            ..plant.request()
        };
        let report = plant.room.finish(plant.room.start(request).await).await;
        let attempt = &report.attempts[0];
        let code = attempt.failure.as_ref().map(|failure| failure.code.clone());
        outcomes.push((attempt.outcome, code));
        let burns = plant.room.journal.burns_of(&mac).await.unwrap().len();
        assert!(burns > 5, "{lot}");
        plant.reseat().await;
    }
    let differ = Some("fuses-differ".to_owned());
    assert_eq!(
        outcomes,
        [
            (Outcome::Pass, None),
            (Outcome::Pass, None),
            (Outcome::Fail, differ)
        ]
    );
}
