//! What cannot be undone, on boards that behave: the whole production recipe.

use std::time::Duration;

use rand_chacha::rand_core::SeedableRng;
use station_esp::secure::encryption::{self, FlashKey, Scheme};
use station_esp::secure::signature::{self, Algorithm, PrivateKey};
use station_virtual::fault::{PowerLoss, PulseMoment};
use station_virtual::server::ResetTo;
use tokio::io::AsyncReadExt as _;

use super::plant::{C2, C3, ESP32, Kind, OLD_ESP32, Plant, S3, recipe};
use super::room::{SOUND, board_saying};
use crate::event::{EventKind, Mac, ReconcileVerdict};
use crate::keys::{KeyName, KeyOwner};
use crate::outcome::Outcome;

async fn a_sound_unit_passes(kind: &'static Kind) {
    let plant = Plant::new(kind).await;
    plant.room.insert(0, plant.board(1)).await;
    let report = plant.run().await;
    let attempt = &report.attempts[0];
    assert_eq!(attempt.outcome, Outcome::Pass, "{attempt:#?}");
    let mac = attempt.mac.clone().unwrap();
    let events = plant.room.events();
    plant.check_board(&mac).await;
    let intended = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::BurnIntended { .. }))
        .count();
    let burned = plant.room.bays[0]
        .control
        .inspect(|chip| chip.unwrap().efuse().pulses())
        .await
        .unwrap();
    assert_eq!(intended as u64, burned, "every pulse at its first try");
    assert!(intended >= 6, "{intended}");
}

#[tokio::test(start_paused = true)]
async fn a_sound_esp32s3_gets_keys_encryption_secure_boot_and_a_closed_loader() {
    a_sound_unit_passes(&S3).await;
}

#[tokio::test(start_paused = true)]
async fn a_sound_esp32c3_gets_keys_encryption_secure_boot_and_a_closed_loader() {
    a_sound_unit_passes(&C3).await;
}

#[tokio::test(start_paused = true)]
async fn a_sound_esp32_gets_encryption_secure_boot_and_a_closed_loader() {
    a_sound_unit_passes(&ESP32).await;
}

#[tokio::test(start_paused = true)]
async fn a_sound_old_esp32_gets_encryption_and_the_first_secure_boot() {
    a_sound_unit_passes(&OLD_ESP32).await;
}

#[tokio::test(start_paused = true)]
async fn a_sound_esp32c2_gets_its_key_and_the_digest_of_secure_boot_in_one_pulse() {
    a_sound_unit_passes(&C2).await;
}

#[tokio::test(start_paused = true)]
async fn the_production_recipe_we_ship_makes_a_unit() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/production.toml");
    let compiled = crate::recipe::compile(&path).unwrap();
    let plant = Plant {
        plan: compiled.plan,
        ..Plant::unreleased(&C3, &recipe(&C3))
    };
    plant.release().await;
    let script = SOUND.replace("[[command]]\nsend = \"finish\"", FLASH_CRC);
    plant.room.insert(0, board_saying(1, &script)).await;
    let report = plant.run().await;
    assert_eq!(report.attempts[0].outcome, Outcome::Pass, "{report:#?}");
}

/// A plant whose last step is tried again when the chip falls silent.
async fn patient(kind: &'static Kind) -> Plant {
    let retry =
        "name = \"close\"\nretry = { times = 3, on = [\"link\", \"contact\"], pause = \"60s\" }";
    let text = recipe(kind).replace("name = \"close\"", retry);
    let plant = Plant::unreleased(kind, &text);
    plant.release().await;
    plant
}

#[tokio::test(start_paused = true)]
async fn a_last_pulse_that_ended_in_silence_is_settled_by_what_the_closed_loader_says() {
    for kind in [&C3, &S3] {
        let whole = patient(kind).await;
        whole.room.insert(0, whole.board(1)).await;
        let report = whole.run().await;
        assert_eq!(report.attempts[0].outcome, Outcome::Pass, "{report:#?}");
        let pulses = pulses(&whole).await;
        for moment in [PulseMoment::After, PulseMoment::Before] {
            let plant = patient(kind).await;
            let mut board = plant.board(2);
            board.faults.power_loss = Some(PowerLoss {
                at_pulse: Some(pulses),
                pulse: moment,
                back_after_ms: Some(40_000),
                ..PowerLoss::default()
            });
            plant.room.insert(0, board).await;
            let report = plant.run().await;
            let attempt = &report.attempts[0];
            assert_eq!(
                attempt.outcome,
                Outcome::Pass,
                "{moment:?}: {:#?}",
                plant.room.events()
            );
            let mac = attempt.mac.clone().unwrap();
            plant.check_board(&mac).await;
            assert_eq!(plant.quarantine(&mac), None);
            let verdicts: Vec<_> = plant
                .room
                .events()
                .into_iter()
                .filter_map(|event| match event.kind {
                    EventKind::BurnReconciled { verdict, .. } => Some(verdict),
                    _ => None,
                })
                .collect();
            let settled = match moment {
                PulseMoment::After => ReconcileVerdict::Done,
                _ => ReconcileVerdict::NotDone,
            };
            assert_eq!(verdicts, [settled], "{moment:?}");
            let rows = plant.room.journal.burns_of(&mac).await.unwrap();
            let closing = rows.iter().filter(|row| row.pulse.last_contact).count();
            assert_eq!(
                closing,
                if settled == ReconcileVerdict::Done {
                    1
                } else {
                    2
                }
            );
        }
    }
}

async fn pulses(plant: &Plant) -> u64 {
    let look = |chip: Option<&station_virtual::VirtualChip>| chip.unwrap().efuse().pulses();
    plant.room.bays[0].control.inspect(look).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_another_one_took_the_place_of_gets_no_pulse_and_no_key() {
    let plant = Plant::new(&C3).await;
    let board = plant.board(1);
    let mac = Mac::new(board.mac.to_string());
    plant.room.insert(0, board).await;
    plant.grant().await;
    let handle = plant.room.start(plant.request()).await;
    let mut events = plant.room.journal.subscribe();
    loop {
        let event = events.next().await.unwrap();
        if matches!(event.kind, EventKind::StepStarted { ref step, .. } if step.as_str() == "hmac")
        {
            break;
        }
    }
    // Behind the back of the conversation, which goes on as if nothing had happened.
    let other = plant.board(2).mac;
    let swap = move |chip: Option<&mut station_virtual::VirtualChip>| {
        chip.unwrap()
            .efuse_mut()
            .edit(|image| image.set_mac(other).unwrap());
    };
    plant.room.bays[0].control.change(swap).await.unwrap();
    let report = plant.room.finish(handle).await;
    let attempt = &report.attempts[0];
    let failure = attempt.failure.as_ref().unwrap();
    assert_eq!(failure.code, "protocol", "{attempt:#?}");
    assert!(failure.message.contains(&other.to_string()), "{failure:?}");
    assert_ne!(attempt.outcome, Outcome::Pass);
    assert_eq!(pulses(&plant).await, 0);
    for mac in [mac, Mac::new(other.to_string())] {
        assert!(plant.room.journal.burns_of(&mac).await.unwrap().is_empty());
    }
}

/// What a board says when it starts with this bootloader, as ciphertext of its own key.
async fn says_with(plant: &Plant, mac: &Mac, bootloader: &[u8]) -> String {
    let (name, owner) = (
        KeyName::parse("encryption").unwrap(),
        KeyOwner::Unit(mac.clone()),
    );
    let key = plant.keys.reveal(&name, &owner).unwrap();
    let chip = plant.kind.chip;
    let at = chip.spec().bootloader_offset;
    let key = FlashKey::new(Scheme::of(chip), key).unwrap();
    let plain = encryption::filled_up(bootloader.to_vec());
    let ciphertext = encryption::encrypt(&key, at, &plain).unwrap();
    let control = &plant.room.bays[0].control;
    let load = move |chip: Option<&mut station_virtual::VirtualChip>| {
        chip.unwrap().flash_mut().load(at, &ciphertext).unwrap();
    };
    control.change(load).await.unwrap();
    let mut wire = control.open().await.unwrap();
    control.reset(ResetTo::Application).await.unwrap();
    let mut said = Vec::new();
    let listen = wire.read_to_end(&mut said);
    let _ = tokio::time::timeout(Duration::from_secs(5), listen).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(start_paused = true)]
async fn a_finished_unit_starts_what_its_maker_signed_and_nothing_else() {
    const READY: &str = "SELFTEST READY";
    for kind in [&C3, &S3, &ESP32] {
        let plant = Plant::new(kind).await;
        plant.room.insert(0, plant.board(1)).await;
        let report = plant.run().await;
        let attempt = &report.attempts[0];
        assert_eq!(attempt.outcome, Outcome::Pass, "{attempt:#?}");
        let mac = attempt.mac.clone().unwrap();
        let file = plant.room.folder.path().join("bootloader.bin");
        let signed = std::fs::read(file).unwrap();
        let unsigned = &signed[..signed.len() - 4096];
        let mut chance = rand_chacha::ChaCha20Rng::seed_from_u64(9);
        let stranger = PrivateKey::generate(Algorithm::Rsa3072, &mut chance).unwrap();
        let strange = signature::sign(unsigned, &[&stranger], &mut chance).unwrap();
        let mut altered = signed.clone();
        altered[unsigned.len() - 40] ^= 1;
        let mut blank = unsigned.to_vec();
        blank.resize(signed.len(), 0xFF);
        for (what, image, starts) in [
            ("signed", &signed, true),
            ("unsigned", &blank, false),
            ("signed by somebody else", &strange, false),
            ("altered", &altered, false),
            ("signed again", &signed, true),
        ] {
            let said = says_with(&plant, &mac, image).await;
            assert_eq!(said.contains(READY), starts, "{} {what}: {said}", kind.chip);
        }
    }
}

const FLASH_CRC: &str = "[[command]]\nsend = \"flash crc\"\nanswer = \"flash=ok\"\n\
                         [[command]]\nsend = \"finish\"";
