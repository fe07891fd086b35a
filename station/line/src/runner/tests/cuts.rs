//! Power that fails at every pulse and at any byte of the whole production recipe, and a station
//! that dies with it: afterwards every unit is complete and passes, or is put aside with the true
//! reason; no serial number is on two units, no key is lost, nothing is burned without an intent.
//!
//! `STATION_CUTS` is how many cuts at bytes there are for each chip.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use station_virtual::fault::{PowerLoss, PulseMoment};

use super::plant::{C2, C3, ESP32, Kind, OLD_ESP32, Plant, S3};
use crate::event::{EventKind, Mac};
use crate::outcome::Outcome;
use crate::runner::AttemptReport;

/// Cuts at bytes of each chip unless somebody asks for more.
const CUTS: u64 = 60;

/// Attempts after which a unit must have an end.
const PATIENCE: usize = 4;

fn cuts() -> u64 {
    let asked = std::env::var("STATION_CUTS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(CUTS)
}

/// How units ended.
#[derive(Debug, Default)]
struct Ends {
    passed: u64,
    at_once: u64,
    set_aside: BTreeMap<String, u64>,
}

/// What a sound unit takes.
struct Whole {
    pulses: u64,
    bytes: u64,
}

async fn whole(plant: &Plant) -> Whole {
    plant.room.insert(0, plant.board(1)).await;
    let report = plant.run().await;
    assert_eq!(report.attempts[0].outcome, Outcome::Pass, "{report:#?}");
    let look = |chip: Option<&station_virtual::VirtualChip>| {
        let chip = chip.unwrap();
        (chip.efuse().pulses(), chip.received())
    };
    let (pulses, bytes) = plant.room.bays[0].control.inspect(look).await.unwrap();
    Whole { pulses, bytes }
}

/// Cuts one unit's power, seats it again and goes on until it has an end.
async fn cut(plant: &mut Plant, unit: u64, loss: PowerLoss, ends: &mut Ends) {
    let mut board = plant.board(unit);
    let mac = Mac::new(board.mac.to_string());
    board.faults.power_loss = Some(loss);
    plant.room.insert(0, board).await;
    let mut history: Vec<AttemptReport> = Vec::new();
    for _ in 0..PATIENCE {
        let report = plant.run().await;
        assert!(report.journal_lost.is_none(), "{:?}", report.journal_lost);
        history.extend(report.attempts);
        plant.check_board(&mac).await;
        let last = history.last().expect("the board was tried");
        if last.outcome == Outcome::Pass {
            ends.passed += 1;
            ends.at_once += u64::from(history.len() == 1);
            assert_complete(plant, &mac).await;
            return;
        }
        if let Some(reason) = plant.quarantine(&mac) {
            assert_true(plant, &reason).await;
            let code = reason.split(':').next().unwrap_or_default();
            *ends.set_aside.entry(code.to_owned()).or_default() += 1;
            return;
        }
        if unit.is_multiple_of(2) {
            plant.room.reopen();
        }
        plant.reseat().await;
    }
    panic!("{mac} after {loss:?} has no end: {history:#?}");
}

/// A unit that passed has every fuse of the recipe, and no pulse is open.
async fn assert_complete(plant: &Plant, mac: &Mac) {
    let last = plant.kind.last;
    let look = move |chip: Option<&station_virtual::VirtualChip>| chip.unwrap().efuse().field(last);
    let closed = plant.room.bays[0].control.inspect(look).await.unwrap();
    assert_eq!(closed, 1, "{mac}");
    let open = plant.room.journal.unfinished_burns(mac).await.unwrap();
    assert!(open.is_empty(), "{mac}: {open:?}");
}

/// What the reason says of the chip is so.
async fn assert_true(plant: &Plant, reason: &str) {
    if reason.starts_with("closed-unverified") {
        let last = plant.kind.last;
        let look =
            move |chip: Option<&station_virtual::VirtualChip>| chip.unwrap().efuse().field(last);
        let closed = plant.room.bays[0].control.inspect(look).await.unwrap();
        assert_eq!(closed, 1, "{reason}");
    }
}

/// No serial number is on two units, and every unit kept its own.
fn assert_serials(plant: &Plant) {
    let mut owners: BTreeMap<String, Mac> = BTreeMap::new();
    let mut numbers: BTreeMap<Mac, String> = BTreeMap::new();
    for event in plant.room.events() {
        if let EventKind::SerialBound { serial, mac, .. } = event.kind {
            let owner = owners.entry(serial.to_string()).or_insert(mac.clone());
            assert_eq!(*owner, mac, "{serial} is on two units");
            let number = numbers.entry(mac.clone()).or_insert(serial.to_string());
            assert_eq!(*number, serial.to_string(), "{mac} has two numbers");
        }
    }
}

async fn every_pulse(kind: &'static Kind) {
    let mut plant = Plant::new(kind).await;
    let whole = whole(&plant).await;
    let mut ends = Ends::default();
    let mut unit = 1;
    for at_pulse in 1..=whole.pulses {
        for pulse in [PulseMoment::Before, PulseMoment::Partly, PulseMoment::After] {
            // Twice: with the journal of before, and with one that was opened anew.
            for _ in 0..2 {
                unit += 1;
                let loss = PowerLoss {
                    at_pulse: Some(at_pulse),
                    pulse,
                    ..PowerLoss::default()
                };
                cut(&mut plant, unit, loss, &mut ends).await;
            }
        }
    }
    assert_serials(&plant);
    println!("{}: {} pulses, {ends:?}", kind.chip, whole.pulses);
    assert_eq!(ends.at_once, 0, "every cut hit: {ends:?}");
    let aside: u64 = ends.set_aside.values().sum();
    // Only the pulse that closes the loader leaves units that nobody can ask.
    assert!(aside <= 6, "{ends:?}");
    assert_eq!(ends.passed + aside, whole.pulses * 6);
}

async fn any_byte(kind: &'static Kind, seed: u64) {
    let mut plant = Plant::new(kind).await;
    let whole = whole(&plant).await;
    let mut ends = Ends::default();
    let mut chance = SmallRng::seed_from_u64(seed);
    let cuts = cuts();
    for number in 0..cuts {
        // Evenly spread, and a little beside that.
        let step = (whole.bytes / cuts).max(1);
        let at_byte = number * step + chance.random_range(0..step) + 1;
        let loss = PowerLoss {
            at_byte: Some(at_byte),
            ..PowerLoss::default()
        };
        cut(&mut plant, number + 2, loss, &mut ends).await;
    }
    assert_serials(&plant);
    println!("{}: {} bytes, {ends:?}", kind.chip, whole.bytes);
    let aside: u64 = ends.set_aside.values().sum();
    assert_eq!(ends.passed + aside, cuts);
    assert!(ends.passed > cuts / 2, "{ends:?}");
}

/// Kills the station and the power after so many intents and turns, and starts another station on
/// what is on disk, with the same chip.
async fn die(plant: &Plant, unit: u64, intents: usize, turns: usize) -> Option<Plant> {
    let board = plant.board(unit);
    let mac = Mac::new(board.mac.to_string());
    plant.room.insert(0, board).await;
    plant.grant().await;
    let handle = plant.room.start(plant.request()).await;
    let mut events = plant.room.journal.subscribe();
    let mut seen = 0;
    while seen < intents {
        let event = events.next().await.unwrap();
        match &event.kind {
            EventKind::BurnIntended { mac: of, .. } if *of == mac => seen += 1,
            EventKind::RunFinished { .. } => return None,
            _ => {}
        }
    }
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    let next = Plant {
        room: plant.room.after_death(),
        kind: plant.kind,
        keys: plant.keys.clone(),
        plan: plant.plan.clone(),
    };
    let passed = next.room.events().into_iter().any(|event| {
        matches!(event.kind, EventKind::AttemptFinished { mac: of, outcome: Outcome::Pass, .. }
            if of.as_ref() == Some(&mac))
    });
    let chip = plant.room.bays[0].control.remove().await.unwrap().unwrap();
    // What the dead station still does has no chip and no reader.
    plant.room.finish(handle).await;
    if passed {
        return None;
    }
    next.room.bays[0].control.insert(chip, false).await.unwrap();
    next.room.settle().await;
    Some(next)
}

#[tokio::test(start_paused = true)]
async fn a_station_that_dies_at_any_pulse_goes_on_where_the_chip_is() {
    let plant = Plant::new(&C3).await;
    let whole = whole(&plant).await;
    let (mut passed, mut aside) = (0, 0);
    let mut unit = 1;
    for intents in 1..=usize::try_from(whole.pulses).unwrap() {
        for turns in [0, 3, 10, 40] {
            unit += 1;
            // With enough turns it was over before.
            let Some(next) = die(&plant, unit, intents, turns).await else {
                assert!(turns > 0, "{intents}");
                continue;
            };
            let mac = Mac::new(next.board(unit).mac.to_string());
            let open = next.room.journal.unfinished_burns(&mac).await.unwrap();
            let report = next.run().await;
            next.check_board(&mac).await;
            let attempt = &report.attempts[0];
            match next.quarantine(&mac) {
                Some(reason) => {
                    assert_true(&next, &reason).await;
                    aside += 1;
                }
                None => {
                    assert_eq!(
                        attempt.outcome,
                        Outcome::Pass,
                        "{intents} {turns}: {attempt:#?}"
                    );
                    assert_complete(&next, &mac).await;
                    passed += 1;
                }
            }
            let settled = next.room.events().into_iter().any(|event| {
                matches!(event.kind, EventKind::BurnReconciled { mac: of, .. } if of == mac)
            });
            assert_eq!(settled, !open.is_empty(), "{intents} {turns}");
        }
    }
    println!("{passed} passed, {aside} put aside");
    assert!(passed > 30 && passed > aside * 3, "{passed} {aside}");
}

#[tokio::test(start_paused = true)]
async fn an_esp32s3_whose_power_fails_at_any_pulse_ends_complete_or_put_aside() {
    every_pulse(&S3).await;
}

#[tokio::test(start_paused = true)]
async fn an_esp32c3_whose_power_fails_at_any_pulse_ends_complete_or_put_aside() {
    every_pulse(&C3).await;
}

#[tokio::test(start_paused = true)]
async fn an_esp32_whose_power_fails_at_any_pulse_ends_complete_or_put_aside() {
    every_pulse(&ESP32).await;
}

#[tokio::test(start_paused = true)]
async fn an_esp32s3_whose_power_fails_at_any_byte_ends_complete_or_put_aside() {
    any_byte(&S3, 33).await;
}

#[tokio::test(start_paused = true)]
async fn an_esp32c3_whose_power_fails_at_any_byte_ends_complete_or_put_aside() {
    any_byte(&C3, 34).await;
}

#[tokio::test(start_paused = true)]
async fn an_esp32_whose_power_fails_at_any_byte_ends_complete_or_put_aside() {
    any_byte(&ESP32, 35).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_esp32_whose_power_fails_at_any_pulse_ends_complete_or_put_aside() {
    every_pulse(&OLD_ESP32).await;
}

#[tokio::test(start_paused = true)]
async fn an_esp32c2_whose_power_fails_at_any_pulse_ends_complete_or_put_aside() {
    every_pulse(&C2).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_esp32_whose_power_fails_at_any_byte_ends_complete_or_put_aside() {
    any_byte(&OLD_ESP32, 36).await;
}

#[tokio::test(start_paused = true)]
async fn an_esp32c2_whose_power_fails_at_any_byte_ends_complete_or_put_aside() {
    any_byte(&C2, 37).await;
}
