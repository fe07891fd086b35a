//! Keys of units in whole runs: never shown, forgotten where the recipe says so, and never without a
//! word about it.

use std::sync::Arc;

use station_virtual::chip::ChipConfig;
use station_virtual::fault::{Faults, PowerLoss};

use super::plant::{C3, ESP32, Kind, Plant, S3, recipe};
use crate::clock::Clock;
use crate::event::{EventKind, Mac};
use crate::keys::{Forgotten, KeyName, KeyOwner};
use crate::outcome::Outcome;
use crate::runner::RunRequest;

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
async fn the_end_of_a_key_that_a_crash_kept_from_the_record_is_said_by_the_next_attempt() {
    let text = recipe(&C3)
        .replace("[run]", "[run]\nseen_before = \"repeat\"")
        .replace(
            "name = \"close\"",
            "name = \"close\"\nwhen = \"{lot} == end\"",
        );
    let plant = Plant::unreleased(&C3, &text);
    plant.release().await;
    let board = plant.board(1);
    let owner = KeyOwner::Unit(Mac::new(board.mac.to_string()));
    let name = KeyName::parse("encryption").unwrap();
    plant.room.insert(0, board).await;
    for lot in ["first", "again", "once more"] {
        plant.grant().await;
        let request = RunRequest {
            lot: Some(lot.to_owned()),
            ..plant.request()
        };
        let report = plant.room.finish(plant.room.start(request).await).await;
        let outcome = report.attempts[0].outcome;
        assert_eq!(outcome, Outcome::Pass, "{lot}: {report:#?}");
        if lot == "first" {
            // The process ended between the tombstone and its event.
            let end = Forgotten {
                at: plant.room.clock.now(),
                by: "anna".to_owned(),
                reason: "a test".to_owned(),
            };
            plant.keys.forget(&name, &owner, end).unwrap();
        }
        plant.reseat().await;
    }
    let events = plant.room.events().into_iter();
    let said: Vec<_> = events
        .filter_map(|event| match event.kind {
            EventKind::KeyForgotten {
                attempt,
                key,
                by,
                reason,
                ..
            } => Some((attempt.is_some(), key, by, reason)),
            _ => None,
        })
        .collect();
    let [(true, key, by, reason)] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(
        (key.as_str(), by.as_str(), reason.as_str()),
        ("encryption", "anna", "a test")
    );
    assert_eq!(plant.keys.unsaid().unwrap(), []);
}
