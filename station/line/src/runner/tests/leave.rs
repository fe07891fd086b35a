//! Who may burn at all: released recipes, in armed runs, with approvals that hold; and what is never
//! shown of a key.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use station_virtual::chip::ChipConfig;
use station_virtual::fault::{Faults, PowerLoss};

use super::plant::{C3, ESP32, Kind, Plant, S3, recipe};
use crate::approval::{ApprovalId, Grant, Subject};
use crate::clock::Clock;
use crate::event::{EventKind, Mac, PlanId};
use crate::keys::{KeyName, KeyOwner};
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

/// Every text in which a key might stand: hex of both cases and byte orders, base64 is none of ours.
fn shapes(key: &[u8]) -> Vec<Vec<u8>> {
    let mut reversed = key.to_vec();
    reversed.reverse();
    let mut shapes = Vec::new();
    for bytes in [key.to_vec(), reversed] {
        // Any eight bytes of it are too many.
        for part in bytes.chunks_exact(8) {
            shapes.push(part.to_vec());
            shapes.push(hex::encode(part).into_bytes());
            shapes.push(hex::encode_upper(part).into_bytes());
            let words: Vec<String> = part
                .chunks_exact(4)
                .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
                .map(|word| format!("{word:08x}"))
                .collect();
            shapes.push(words.join(",").into_bytes());
            shapes.push(words.join(", ").into_bytes());
            let listed: Vec<String> = part.iter().map(u8::to_string).collect();
            shapes.push(listed.join(",").into_bytes());
            shapes.push(listed.join(", ").into_bytes());
        }
    }
    shapes
}

/// Keeps everything that is traced.
#[derive(Clone, Default)]
struct Traced(Arc<std::sync::Mutex<Vec<u8>>>);

impl tracing::field::Visit for Traced {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let line = format!("{field}={value:?}\n");
        self.0.lock().unwrap().extend(line.into_bytes());
    }
}

impl tracing::Subscriber for Traced {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn no_key_is_in_the_journal_in_the_events_or_in_what_shows_a_plan() {
    let plant = Plant::new(&C3).await;
    let traced = Traced::default();
    let _traced = tracing::subscriber::set_default(traced.clone());
    let board = plant.board(1);
    let mac = Mac::new(board.mac.to_string());
    // On the way there is an interrupted pulse too.
    let board = ChipConfig {
        faults: Faults {
            power_loss: Some(PowerLoss {
                at_pulse: Some(3),
                ..PowerLoss::default()
            }),
            ..Faults::default()
        },
        ..board
    };
    plant.room.insert(0, board).await;
    let report = plant.run().await;
    assert_eq!(report.attempts[0].outcome, Outcome::Error, "{report:#?}");
    plant.reseat().await;
    let report = plant.run().await;
    assert_eq!(report.attempts[0].outcome, Outcome::Pass, "{report:#?}");
    tracing::info!("the end");
    let mut shown = traced.0.lock().unwrap().clone();
    assert!(shown.ends_with(b"the end\n"));
    for event in plant.room.events() {
        shown.extend(serde_json::to_vec(&event).unwrap());
        shown.extend(format!("{event:?}").into_bytes());
    }
    shown.extend(format!("{report:?} {:?} {:?}", plant.plan, plant.keys).into_bytes());
    shown.extend(plant.plan.canonical().into_bytes());
    shown.extend(crate::recipe::describe(&plant.plan).into_bytes());
    let journal = plant.room.journal.path();
    for file in std::fs::read_dir(journal.parent().unwrap()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("journal.db") {
            shown.extend(std::fs::read(path).unwrap());
        }
    }
    for name in ["hmac", "encryption"] {
        let owner = KeyOwner::Unit(mac.clone());
        let key = plant
            .keys
            .reveal(&KeyName::parse(name).unwrap(), &owner)
            .unwrap();
        assert!(key.len() >= 32);
        for shape in shapes(key.expose()) {
            let found = memchr(&shown, &shape);
            assert!(!found, "a part of key `{name}` is shown");
        }
    }
}

fn memchr(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_to_be_forgotten_is_gone_afterwards_and_the_unit_can_be_finished() {
    // One slot, two slots, and a block that no fuse says the purpose of.
    for kind in [&C3, &S3, &ESP32] {
        a_forgotten_key_is_gone_and_the_unit_can_be_finished(kind).await;
    }
}

async fn a_forgotten_key_is_gone_and_the_unit_can_be_finished(kind: &'static Kind) {
    let text = recipe(kind)
        .replace(
            "source = \"generate\" } }",
            "source = \"generate\", custody = \"forget\" } }",
        )
        .replace(
            "name = \"close\"",
            "name = \"close\"\nwhen = \"{lot} == end\"",
        );
    let plant = Plant::unreleased(
        kind,
        &text.replace("[run]", "[run]\nseen_before = \"repeat\""),
    );
    plant.release().await;
    let board = plant.board(1);
    let mac = Mac::new(board.mac.to_string());
    plant.room.insert(0, board).await;
    for lot in ["first", "again", "end"] {
        plant.grant().await;
        let request = RunRequest {
            lot: Some(lot.to_owned()),
            ..plant.request()
        };
        let report = plant.room.finish(plant.room.start(request).await).await;
        assert_eq!(
            report.attempts[0].outcome,
            Outcome::Pass,
            "{} {lot}: {report:#?}",
            kind.chip
        );
        let owner = KeyOwner::Unit(mac.clone());
        let name = KeyName::parse("encryption").unwrap();
        let record = plant.keys.record(&name, &owner).unwrap().unwrap();
        assert!(record.forgotten.is_some(), "{lot}");
        assert!(plant.keys.reveal(&name, &owner).is_err(), "{lot}");
        plant.reseat().await;
    }
    let forgotten = plant.room.events().into_iter();
    let forgotten = forgotten
        .filter(|event| matches!(event.kind, EventKind::KeyForgotten { .. }))
        .count();
    assert_eq!(forgotten, 1);
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
