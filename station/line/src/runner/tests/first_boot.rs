//! Recipes with secure boot version 1, and with the ESP32-C2's one key block: what is refused, and
//! what an old and a newer ESP32 make of it.

use station_esp::chip::Revision;
use station_esp::efuse::FieldName;
use station_esp::secure::encryption::{self, FlashKey, Scheme};
use station_esp::secure::signature::{self, SignedImage, v1};
use tempfile::TempDir;

use super::plant::{
    C2, Kind, OLD_ESP32, Plant, S3, chance, recipe, signing_key, unencrypted, write_parts,
};
use crate::event::EventKind;
use crate::keys::{KeyName, KeyOwner};
use crate::outcome::Outcome;
use crate::recipe::{Code, compile_text};

/// What a recipe is refused with, after something was done to its files.
fn refused(kind: &Kind, text: &str, spoil: impl FnOnce(&TempDir)) -> Vec<Code> {
    let folder = TempDir::new().unwrap();
    write_parts(kind, &folder);
    spoil(&folder);
    match compile_text("r.toml", text, folder.path()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.findings().iter().map(|it| it.code).collect(),
    }
}

#[test]
fn images_that_the_first_secure_boot_would_not_start_are_refused() {
    let text = recipe(&OLD_ESP32);
    assert_eq!(refused(&OLD_ESP32, &text, |_| ()), []);
    for (file, at) in [("app.bin", None), ("bootloader.bin", Some(0x13))] {
        let spoil = |folder: &TempDir| {
            let path = folder.path().join(file);
            let mut bytes = std::fs::read(&path).unwrap();
            match at {
                // The signature's last byte.
                None => *bytes.last_mut().unwrap() ^= 1,
                // An image without the key.
                Some(fill) => {
                    bytes = super::room::image_for(OLD_ESP32.chip, 0x3FFF_0018, &[fill; 256]);
                }
            }
            std::fs::write(path, bytes).unwrap();
        };
        let codes = refused(&OLD_ESP32, &text, spoil);
        assert_eq!(codes, [Code::NotSigned], "{file}");
    }
}

#[test]
fn a_signature_that_does_not_lie_right_behind_the_image_is_refused() {
    let text = recipe(&S3);
    assert_eq!(refused(&S3, &text, |_| ()), []);
    let fill_and_sign = |folder: &TempDir| {
        let path = folder.path().join("app.bin");
        let signed = std::fs::read(&path).unwrap();
        let mut filled = SignedImage::parse(&signed).unwrap().content().to_vec();
        filled.resize(filled.len() + signature::SECTOR, 0xFF);
        let signed = signature::sign(&filled, &[signing_key(S3.signed)], &mut chance()).unwrap();
        std::fs::write(path, signed).unwrap();
    };
    assert_eq!(refused(&S3, &text, fill_and_sign), [Code::NotSigned]);
}

#[test]
fn a_recipe_that_no_chip_could_carry_out_is_refused() {
    let text = recipe(&OLD_ESP32);
    let with = |kind: &Kind, from: &str, to: &str| {
        let text = recipe(kind);
        assert!(text.contains(from), "{from}");
        refused(kind, &text.replacen(from, to, 1), |_| ())
    };
    let newer = |extra: &str| {
        let text = text.replacen("[run]", "min_revision = \"3.0\"\n[run]", 1);
        let to = format!("version = 1{extra},");
        refused(&OLD_ESP32, &text.replacen("version = 1,", &to, 1), |_| ())
    };
    assert_eq!(newer(""), [Code::BurnRefused]);
    assert_eq!(newer(", accept = [\"secure-boot-version-one\"]"), []);
    let other = format!("secure_boot = {{ {} }}", OLD_ESP32.secure_boot);
    let second = "secure_boot = { digests = [{ public_key = \"signing.pem\" }] }";
    assert_eq!(with(&S3, second, &other), [Code::BadValue]);
    let mixed = with(&OLD_ESP32, "version = 1,", "version = 2,");
    assert_eq!(mixed, [Code::MissingKey, Code::Conflict, Code::Conflict]);
    let revokes = with(
        &OLD_ESP32,
        "version = 1,",
        "version = 1, revoke_unused = true,",
    );
    assert_eq!(revokes, [Code::Conflict]);
    let by_bootloader = with(
        &OLD_ESP32,
        "mode = \"release\"",
        "mode = \"release\", content = \"bootloader\"",
    );
    assert!(
        by_bootloader.contains(&Code::IrreversibleOrder),
        "{by_bootloader:?}"
    );
    let whole = with(&C2, "xts128_derived", "xts128");
    assert_eq!(whole, [Code::IrreversibleOrder]);
    let erased = with(
        &OLD_ESP32,
        "source = \"generate\" }, signed_by",
        "source = \"generate\", custody = \"forget\" }, signed_by",
    );
    assert_eq!(erased, [], "nothing is erased");
    let step = "[[step]]\nname = \"serial\"";
    let erase = format!("[[step]]\nname = \"erase\"\nerase = {{ all = true }}\n{step}");
    let text = text.replacen(step, &erase, 1).replacen(
        "source = \"generate\" }, signed_by",
        "source = \"generate\", custody = \"forget\" }, signed_by",
        1,
    );
    let codes = refused(&OLD_ESP32, &text, |_| ());
    assert_eq!(codes, [Code::IrreversibleOrder]);
}

#[tokio::test(start_paused = true)]
async fn a_newer_esp32_is_refused_before_anything_is_burned() {
    let plant = Plant::new(&OLD_ESP32).await;
    let mut board = plant.board(1);
    board.revision = Revision::new(3, 0);
    plant.room.insert(0, board).await;
    let report = plant.run().await;
    let attempt = &report.attempts[0];
    let failure = attempt.failure.as_ref().unwrap();
    assert_eq!(
        failure.code.as_str(),
        "secure-boot-version-one",
        "{attempt:#?}"
    );
    let pulses = plant.room.bays[0]
        .control
        .inspect(|chip| chip.unwrap().efuse().pulses());
    assert_eq!(pulses.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_digest_is_that_of_the_units_own_key_and_ciphertext_of_its_other_one() {
    let plant = Plant::new(&OLD_ESP32).await;
    plant.room.insert(0, plant.board(1)).await;
    let report = plant.run().await;
    assert_eq!(report.attempts[0].outcome, Outcome::Pass, "{report:#?}");
    let owner = KeyOwner::Unit(report.attempts[0].mac.clone().unwrap());
    let key = |name: &str| {
        plant
            .keys
            .reveal(&KeyName::parse(name).unwrap(), &owner)
            .unwrap()
    };
    let look = |chip: Option<&station_virtual::VirtualChip>| {
        let chip = chip.unwrap();
        let hidden = chip.efuse().image().block(2).iter().all(|word| *word == 0);
        let on = chip.efuse().image().read(FieldName::SecureBootV1);
        (chip.flash().bytes(0, v1::DIGEST_LENGTH as u32), hidden, on)
    };
    let looked = plant.room.bays[0].control.inspect(look).await.unwrap();
    let (found, hidden, on) = looked;
    assert!(hidden);
    assert_eq!(on, Some(1));
    let flash_key = FlashKey::new(Scheme::of(OLD_ESP32.chip), key("encryption")).unwrap();
    let plain = encryption::decrypt(&flash_key, 0, &found).unwrap();
    let bootloader = &plant.plan.image("bootloader").unwrap().bytes;
    assert_eq!(
        plain,
        v1::steady_digest(&key("secure-boot"), bootloader).unwrap()
    );
    let sealed = plant.room.events().into_iter().filter(
        |event| matches!(&event.kind, EventKind::KeySealed { key, .. } if key == "secure-boot"),
    );
    assert!(sealed.count() >= 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_secure_boot_alone_writes_its_digest_and_makes_a_unit_that_boots() {
    let plant = Plant::unreleased(&OLD_ESP32, &unencrypted());
    plant.release().await;
    plant.room.insert(0, plant.board(1)).await;
    let report = plant.run().await;
    assert_eq!(report.attempts[0].outcome, Outcome::Pass, "{report:#?}");
    let found = plant.room.bays[0]
        .control
        .inspect(|chip| chip.unwrap().flash().bytes(0, 192));
    assert_ne!(found.await.unwrap(), [0xFF; 192]);
}
