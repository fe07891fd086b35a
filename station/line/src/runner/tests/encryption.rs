//! Flash encryption by everybody who can do it: the station, the bootloader on its first start, the
//! chip as it is written; with every kind of key that a chip has.

use station_esp::Chip;
use station_esp::efuse::FieldName;
use station_esp::partition::Table;
use station_esp::secure::encryption::{self, FlashKey, Scheme};
use station_virtual::fault::{PowerLoss, PulseMoment};

use super::plant::{C3, ESP32, Kind, Plant, S3};
use crate::event::{EventKind, Mac};
use crate::keys::{KeyName, KeyOwner};
use crate::outcome::Outcome;

/// A board of a chip whose key is of one kind.
fn kind(chip: Chip, encryption: &'static str) -> &'static Kind {
    Box::leak(Box::new(Kind {
        chip,
        encryption,
        ..C3
    }))
}

/// Head of every recipe here; `bootloader` is the file.
fn head(kind: &Kind, bootloader: &str) -> String {
    let revision = Plant::board_of(kind, 1).revision;
    format!(
        r#"
format = 1
product = "node"
chip = "{chip}"
min_revision = "{revision}"
[run]
attempt_timeout = "10m"
quarantine_after = 1000
seen_before = "verify"
[serial]
pattern = "SN-{{counter:06}}"
[images]
bootloader = {{ file = "{bootloader}", at = {at:#x} }}
table = {{ file = "partitions.csv", at = 0x8000 }}
app = {{ file = "app.bin", at = "factory" }}
[[step]]
name = "identify"
identify = {{ flash_size = "4MB" }}
[[step]]
name = "serial"
serial = {{ at = "serial" }}
"#,
        chip = kind.chip.name(),
        at = kind.chip.spec().bootloader_offset,
    )
}

/// The step that starts the application and asks it.
const TEST: &str = r#"
[[step]]
name = "self test"
test = { boot = true, expect = "SELFTEST READY", within = "3s", script = [
  { send = "finish", pattern = 'SELFTEST (PASS|FAIL)', measure = "verdict", equals = "PASS" } ] }
"#;

fn by_station(kind: &Kind, mode: &str, images: &str, custody: &str) -> String {
    format!(
        r#"
[[step]]
name = "encryption"
flash_encryption = {{ mode = "{mode}", images = [{images}],
  key = {{ kind = "{}", source = "generate", custody = "{custody}" }} }}
"#,
        kind.encryption
    )
}

const ALL: &str = r#""bootloader", "table", "app""#;

/// Images and where they lie, as they are before they are encrypted.
fn plain(plant: &Plant) -> Vec<(String, u32, Vec<u8>)> {
    let images = plant.plan.contents().images.iter();
    images
        .map(|image| (image.name.clone(), image.offset, image.bytes.to_vec()))
        .collect()
}

async fn fuse_count(plant: &Plant) -> u64 {
    let look = |chip: Option<&station_virtual::VirtualChip>| {
        let image = chip.unwrap().efuse().image().clone();
        image.read(FieldName::FlashCryptCount).unwrap()
    };
    plant.room.bays[0].control.inspect(look).await.unwrap()
}

/// Every image is in flash as ciphertext of the unit's own key, and the serial number is not.
async fn assert_sealed(plant: &Plant, mac: &Mac) {
    let chip = plant.kind.chip;
    let (name, owner) = (
        KeyName::parse("encryption").unwrap(),
        KeyOwner::Unit(mac.clone()),
    );
    let key = plant.keys.reveal(&name, &owner).unwrap();
    let wide = plant.kind.encryption == "xts256";
    assert_eq!(key.expose().len(), if wide { 64 } else { 32 }, "{chip}");
    let key = FlashKey::new(Scheme::of(chip), key).unwrap();
    for (name, offset, bytes) in plain(plant) {
        let bytes = encryption::filled_up(bytes);
        let wanted = encryption::encrypt(&key, offset, &bytes).unwrap();
        let length = u32::try_from(wanted.len()).unwrap();
        let found = plant.room.flash(0, offset, length).await;
        assert!(found == wanted, "{chip}: {name}");
    }
    let serial = plant.room.flash(0, 0x2_0000, 3).await;
    assert_eq!(serial, b"SN-", "{chip}");
}

#[tokio::test(start_paused = true)]
async fn every_chip_takes_every_kind_of_key_that_it_has_and_no_other() {
    let long = [Chip::Esp32S2, Chip::Esp32S3, Chip::Esp32P4];
    let mut made = 0;
    for chip in Chip::ALL {
        for word in ["xts128", "xts256", "esp32"] {
            let kind = kind(chip, word);
            let has = match word {
                "esp32" => chip == Chip::Esp32,
                "xts256" => has_long_key(chip),
                _ => chip != Chip::Esp32,
            };
            assert!(
                !long.contains(&chip) || word == "esp32" || has,
                "{chip} {word}"
            );
            let recipe =
                head(kind, "bootloader.bin") + &by_station(kind, "release", ALL, "escrow") + TEST;
            if !has {
                let room = super::room::Room::new(1);
                super::plant::write_parts(kind, &room.folder);
                let refused = crate::recipe::compile_text("x.toml", &recipe, room.folder.path());
                let refused = refused.unwrap_err().render();
                assert!(
                    refused.contains("no such flash encryption"),
                    "{chip} {word}: {refused}"
                );
                continue;
            }
            let plant = Plant::unreleased(kind, &recipe);
            plant.release().await;
            plant.room.insert(0, plant.board(1)).await;
            let report = plant.run().await;
            let attempt = &report.attempts[0];
            assert_eq!(
                attempt.outcome,
                Outcome::Pass,
                "{chip} {word}: {attempt:#?}"
            );
            let mac = attempt.mac.clone().unwrap();
            plant.check_board(&mac).await;
            assert_sealed(&plant, &mac).await;
            made += 1;
        }
    }
    assert!(made >= 15, "{made}");
}

/// Whether a chip of the newest revision has keys of 512 bits.
fn has_long_key(chip: Chip) -> bool {
    let map = station_esp::efuse::map::fuse_map(chip, Plant::board_of(kind(chip, ""), 1).revision);
    map.purpose("XTS_AES_256_KEY_1").is_some()
}

fn by_bootloader(kind: &Kind, mode: &str) -> String {
    let encryption = kind.encryption;
    head(kind, &format!("encrypting-{mode}.bin"))
        + &format!(
            r#"
[[step]]
name = "flash"
flash = {{ images = [{ALL}] }}
[[step]]
name = "encryption"
flash_encryption = {{ mode = "{mode}", content = "bootloader", images = [{ALL}],
  key = {{ kind = "{encryption}", source = "generate" }} }}
[[step]]
name = "first start"
boot = {{ expect = "SELFTEST READY", within = "20s" }}
[[step]]
name = "encrypted"
check = {{ flash_encryption = true }}
"#
        )
        + TEST
}

#[tokio::test(start_paused = true)]
async fn a_bootloader_encrypts_on_its_first_start_and_the_unit_passes() {
    for kind in [&C3, &S3, kind(Chip::Esp32S3, "xts128"), &ESP32] {
        for mode in ["release", "development"] {
            let plant = Plant::unreleased(kind, &by_bootloader(kind, mode));
            plant.release().await;
            plant.room.insert(0, plant.board(1)).await;
            let report = plant.run().await;
            let attempt = &report.attempts[0];
            let what = format!("{} {} {mode}", kind.chip, kind.encryption);
            assert_eq!(attempt.outcome, Outcome::Pass, "{what}: {attempt:#?}");
            let mac = attempt.mac.clone().unwrap();
            plant.check_board(&mac).await;
            assert_sealed(&plant, &mac).await;
            let full = if kind.chip == Chip::Esp32 { 0x7F } else { 7 };
            let release = mode == "release";
            assert_eq!(
                fuse_count(&plant).await,
                if release { full } else { 1 },
                "{what}"
            );
            // All of the partition, and not only the image; and no other partition.
            let rest = plant.room.flash(0, 0x1_F000, 0x1000).await;
            assert!(rest.iter().any(|byte| *byte != 0xFF), "{what}");
            let nvs = plant.room.flash(0, 0x9000, 0x6000).await;
            assert!(nvs.iter().all(|byte| *byte == 0xFF), "{what}");
            // The same board again: nothing is written, nothing burned, and it passes.
            plant.reseat().await;
            let again = plant.run().await;
            let last = again.attempts.last().unwrap();
            assert_eq!(last.outcome, Outcome::Pass, "{what}: {last:#?}");
            assert_sealed(&plant, &mac).await;
        }
    }
}

/// Power that fails in every erase, some programs and every pulse of a board, of which it has so many.
fn cuts((programs, erases): (u64, u64), pulses: u64) -> Vec<PowerLoss> {
    let loss = PowerLoss::default();
    let mut cuts = Vec::new();
    cuts.extend((1..=erases).map(|at| PowerLoss {
        at_erase: Some(at),
        ..loss
    }));
    cuts.extend((1..=programs).step_by(23).map(|at| PowerLoss {
        at_program: Some(at),
        ..loss
    }));
    for pulse in [PulseMoment::Before, PulseMoment::Partly, PulseMoment::After] {
        cuts.extend((1..=pulses).map(|at| PowerLoss {
            at_pulse: Some(at),
            pulse,
            ..loss
        }));
    }
    cuts
}

#[tokio::test(start_paused = true)]
async fn a_loss_of_power_while_the_bootloader_encrypts_is_made_good_by_the_next_attempt() {
    for kind in [&C3, &S3, &ESP32] {
        let mut plant = Plant::unreleased(kind, &by_bootloader(kind, "release"));
        plant.release().await;
        plant.room.insert(0, plant.board(1)).await;
        let report = plant.run().await;
        assert_eq!(report.attempts[0].outcome, Outcome::Pass, "{report:#?}");
        let look = |chip: Option<&station_virtual::VirtualChip>| {
            let chip = chip.unwrap();
            (chip.flash_operations(), chip.efuse().pulses())
        };
        let ((programs, erases), pulses) = plant.room.bays[0].control.inspect(look).await.unwrap();
        let cuts = cuts((programs, erases), pulses);
        let mut unit = 1;
        for cut in cuts {
            unit += 1;
            let mut board = plant.board(unit);
            let mac = Mac::new(board.mac.to_string());
            board.faults.power_loss = Some(cut);
            plant.room.insert(0, board).await;
            let report = plant.run().await;
            let first = report.attempts.last().unwrap();
            assert_ne!(first.outcome, Outcome::Pass, "{} {cut:?}", kind.chip);
            if unit.is_multiple_of(2) {
                plant.room.reopen();
            }
            plant.reseat().await;
            let report = plant.run().await;
            let second = report.attempts.last().unwrap();
            assert_eq!(
                second.outcome,
                Outcome::Pass,
                "{} {cut:?}: {second:#?}",
                kind.chip
            );
            plant.check_board(&mac).await;
            let full = if kind.chip == Chip::Esp32 { 0x7F } else { 7 };
            assert_eq!(fuse_count(&plant).await, full, "{} {cut:?}", kind.chip);
            assert_sealed(&plant, &mac).await;
            assert_eq!(plant.quarantine(&mac), None);
            let numbers: std::collections::BTreeSet<_> = plant
                .room
                .events()
                .into_iter()
                .filter_map(|event| match event.kind {
                    EventKind::SerialBound {
                        serial, mac: of, ..
                    } if of == mac => Some(serial.to_string()),
                    _ => None,
                })
                .collect();
            assert_eq!(numbers.len(), 1, "{} {cut:?}", kind.chip);
        }
        println!("{}: {} cuts", kind.chip, unit - 1);
        assert!(unit > 40, "{unit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chip_encrypts_what_it_is_sent_and_the_station_compares_it() {
    for kind in [
        &C3,
        &S3,
        &ESP32,
        kind(Chip::Esp32C2, "xts128"),
        kind(Chip::Esp32C6, "xts128"),
    ] {
        for custody in ["escrow", "forget"] {
            let sent = r#"
[[step]]
name = "sent"
flash = { images = ["table", "app"], encrypt = "chip" }
"#;
            let recipe = head(kind, "bootloader.bin")
                + &by_station(kind, "development", r#""bootloader""#, custody)
                + sent
                + TEST;
            let plant = Plant::unreleased(kind, &recipe);
            plant.release().await;
            plant.room.insert(0, plant.board(1)).await;
            let report = plant.run().await;
            let attempt = &report.attempts[0];
            let what = format!("{} {custody}", kind.chip);
            assert_eq!(attempt.outcome, Outcome::Pass, "{what}: {attempt:#?}");
            let mac = attempt.mac.clone().unwrap();
            if custody == "escrow" {
                assert_sealed(&plant, &mac).await;
            }
            // A unit that passed is compared as ciphertext where there is a key to do so.
            let damage = |chip: Option<&mut station_virtual::VirtualChip>| {
                let flash = chip.unwrap().flash_mut();
                let byte = flash.bytes(0x1_0040, 1)[0];
                flash.load(0x1_0040, &[byte ^ 1]).unwrap();
            };
            plant.room.bays[0].control.change(damage).await.unwrap();
            plant.reseat().await;
            let report = plant.run().await;
            let failure = report.attempts.last().unwrap().failure.clone().unwrap();
            let wanted = if custody == "escrow" {
                "image-differs"
            } else {
                "boot-rejected"
            };
            let boot = failure.class == crate::outcome::FailureClass::Boot;
            assert!(
                failure.code == wanted || custody == "forget" && boot,
                "{what}: {failure:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_is_encrypted_gets_another_application_through_its_own_key() {
    let first = head(&C3, "bootloader.bin") + &by_station(&C3, "development", ALL, "escrow") + TEST;
    let plant = Plant::unreleased(&C3, &first);
    plant.release().await;
    plant.room.insert(0, plant.board(1)).await;
    let report = plant.run().await;
    let attempt = &report.attempts[0];
    assert_eq!(attempt.outcome, Outcome::Pass, "{attempt:#?}");
    let mac = attempt.mac.clone().unwrap();
    let app = super::room::image_for(Chip::Esp32C3, 0x3C00_0020, &[0x78; 5000]);
    std::fs::write(plant.room.folder.path().join("app.bin"), app).unwrap();
    let second = r#"
format = 1
product = "node"
chip = "esp32c3"
[run]
seen_before = "repeat"
[images]
table = { file = "partitions.csv", at = 0x8000 }
app = { file = "app.bin", at = "factory" }
[[step]]
name = "is it encrypted"
check = { flash_encryption = true }
[[step]]
name = "update"
flash = { images = ["app"], encrypt = "chip" }
"#
    .to_owned()
        + TEST;
    let plan = super::room::compile(&second, plant.room.folder.path());
    assert!(!plan.is_irreversible());
    plant.reseat().await;
    let report = plant.room.run_once(&plan).await;
    let attempt = report.attempts.last().unwrap();
    assert_eq!(attempt.outcome, Outcome::Pass, "{attempt:#?}");
    let plant = Plant { plan, ..plant };
    let (name, owner) = (KeyName::parse("encryption").unwrap(), KeyOwner::Unit(mac));
    let key = FlashKey::new(Scheme::Xts, plant.keys.reveal(&name, &owner).unwrap()).unwrap();
    let (_, offset, bytes) = plain(&plant).pop().unwrap();
    let wanted = encryption::encrypt(&key, offset, &encryption::filled_up(bytes)).unwrap();
    let found = plant.room.flash(0, offset, wanted.len() as u32).await;
    assert!(found == wanted);
    // A board that is not encrypted fails before anything is written.
    plant.room.insert(0, plant.board(2)).await;
    let report = plant.room.run_once(&plant.plan).await;
    let failure = report.attempts.last().unwrap().failure.clone().unwrap();
    assert_eq!(failure.code, "security-differs");
    assert!(Table::parse_binary(&plant.room.flash(0, 0x8000, 0xC00).await).is_err());
}

/// What a recipe is refused with, or nothing.
fn refused(steps: &str) -> String {
    let room = super::room::Room::new(1);
    super::plant::write_parts(&C3, &room.folder);
    let text = head(&C3, "encrypting-release.bin") + steps;
    match crate::recipe::compile_text("x.toml", &text, room.folder.path()) {
        Ok(compiled) => compiled.render_warnings(),
        Err(errors) => errors.render(),
    }
}

#[tokio::test(start_paused = true)]
async fn who_encrypts_too_early_too_late_or_unseen_is_refused_before_any_board() {
    let sent = "\n[[step]]\nname = \"sent\"\nflash = { images = [\"app\"], encrypt = \"chip\" }\n";
    let host = |mode: &str| by_station(&C3, mode, r#""bootloader", "table""#, "escrow");
    assert!(refused(sent).contains("no earlier step says that the chip reads"));
    let release = refused(&(host("release") + sent + TEST));
    assert!(
        release.contains("keeps the chip from encrypting"),
        "{release}"
    );
    assert!(!refused(&(host("development") + sent + TEST)).contains("recipe-irrev"));
    let fuse = "\n[[step]]\nname = \"fuse\"\n\
                efuse = { fields = { DIS_DOWNLOAD_MANUAL_ENCRYPT = true } }\n";
    let closed = refused(&(host("development") + fuse + sent + TEST));
    assert!(
        closed.contains("`DIS_DOWNLOAD_MANUAL_ENCRYPT` in step `fuse`"),
        "{closed}"
    );
    let twice = by_station(&C3, "development", ALL, "escrow") + sent + TEST;
    assert!(refused(&twice).contains("is ciphertext in flash by now"));
    let blind = by_station(&C3, "development", r#""bootloader", "table""#, "forget") + sent;
    assert!(
        refused(&blind).contains("recipe-not-verified"),
        "{}",
        refused(&blind)
    );
    let whole = by_bootloader(&C3, "release");
    let steps = whole.split_once("name = \"flash\"").unwrap().1;
    let steps = format!("\n[[step]]\nname = \"flash\"{steps}");
    assert!(
        !refused(&steps).contains("recipe-irrev"),
        "{}",
        refused(&steps)
    );
    let unseen = steps.replace(
        "check = { flash_encryption = true }",
        "check = { secure_boot = false }",
    );
    assert!(
        refused(&unseen).contains("sees whether it has"),
        "{}",
        refused(&unseen)
    );
    let unwritten = steps.replacen("\"table\", \"app\"] }", "\"table\"] }", 1);
    assert!(refused(&unwritten).contains("no earlier step writes image `app`"));
    let room = super::room::Room::new(1);
    super::plant::write_parts(&C3, &room.folder);
    let other = whole.replace("encrypting-release.bin", "bootloader.bin");
    let other = crate::recipe::compile_text("x.toml", &other, room.folder.path());
    let other = other.unwrap_err().render();
    assert!(other.contains("built without flash encryption"), "{other}");
}
