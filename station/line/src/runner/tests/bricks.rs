//! Recipes and boards that would end as a chip that starts nothing: refused, or stopped before the
//! fuse that does it.

use station_esp::efuse::FieldName;
use tempfile::TempDir;

use super::plant::{C3, ESP32, Kind, OLD_ESP32, Plant, recipe, unencrypted, write_parts};
use crate::outcome::Outcome;
use crate::recipe::compile_text;

/// What a recipe is refused with, in one line of words; empty when it is not.
fn refusal(kind: &Kind, text: &str) -> String {
    let folder = TempDir::new().unwrap();
    write_parts(kind, &folder);
    match compile_text("r.toml", text, folder.path()) {
        Ok(_) => String::new(),
        Err(errors) => {
            let findings = errors.findings().iter();
            let lines: Vec<_> = findings
                .map(|it| format!("{}: {}", it.code, it.message))
                .collect();
            lines.join("\n")
        }
    }
}

/// The recipe of a kind with one text in the place of another.
fn with(kind: &Kind, from: &str, to: &str) -> String {
    let text = recipe(kind);
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

/// A recipe whose bootloader encrypts; `before` and `between` are steps.
fn by_bootloader(kind: &Kind, file: &str, mode: &str, before: &str, between: &str) -> String {
    format!(
        r#"
format = 1
product = "node"
chip = "{chip}"
{top}
[run]
attempt_timeout = "10m"
seen_before = "repeat"
[images]
bootloader = {{ file = "{file}", at = {at:#x} }}
table = {{ file = "partitions.csv", at = 0x8000 }}
app = {{ file = "app.bin", at = "factory" }}
[[step]]
name = "identify"
identify = {{ flash_size = "4MB" }}
{before}
[[step]]
name = "flash"
flash = {{ images = ["bootloader", "table", "app"] }}
[[step]]
name = "encryption"
flash_encryption = {{ mode = "{mode}", content = "bootloader",
  images = ["bootloader", "table", "app"], key = {{ kind = "{key}", source = "generate" }} }}
{between}
[[step]]
name = "first start"
boot = {{ expect = "SELFTEST READY", within = "20s" }}
[[step]]
name = "encrypted"
check = {{ flash_encryption = true }}
[[step]]
name = "self test"
test = {{ boot = true, expect = "SELFTEST READY", within = "3s", script = [
  {{ send = "finish", pattern = 'SELFTEST (PASS|FAIL)', measure = "verdict", equals = "PASS" }} ] }}
"#,
        chip = kind.chip.name(),
        top = kind.head,
        at = kind.chip.spec().bootloader_offset,
        key = kind.encryption,
    )
}

#[test]
fn what_the_chip_would_read_as_ciphertext_is_not_left_plain() {
    let images = r#"images = ["bootloader", "table", "app"]"#;
    let encryption = "[[step]]\nname = \"encryption\"";
    for (kind, left) in [(&C3, "app"), (&C3, "table"), (&ESP32, "bootloader")] {
        let others: Vec<_> = ["bootloader", "table", "app"]
            .into_iter()
            .filter(|name| *name != left)
            .map(|name| format!("\"{name}\""))
            .collect();
        let text = with(kind, images, &format!("images = [{}]", others.join(", ")));
        let flash = format!(
            "[[step]]\nname = \"flash\"\nflash = {{ images = [\"{left}\"] }}\n{encryption}"
        );
        let text = text.replacen(encryption, &flash, 1);
        let refused = refusal(kind, &text);
        let what = format!("the chip would read image `{left}` as ciphertext");
        assert!(refused.contains(&what), "{left}: {refused}");
        let accepted = text.replacen(
            "mode = \"release\",",
            "mode = \"release\", accept = [\"encryption-without-content\"],",
            1,
        );
        assert_eq!(refusal(kind, &accepted), "", "{left}");
    }
    let text = with(&C3, images, r#"images = ["table", "app"]"#);
    let refused = refusal(&C3, &text);
    assert!(
        refused.contains("no step encrypts a bootloader"),
        "{refused}"
    );
}

#[test]
fn secure_boot_is_not_switched_on_where_a_condition_left_the_images_out() {
    let named = "name = \"encryption\"";
    let left_out = with(&C3, named, &format!("{named}\nwhen = \"{{lot}} == A\""));
    let refused = refusal(&C3, &left_out);
    assert!(
        refused.contains("image `bootloader` is not in flash of every unit that this is for"),
        "{refused}"
    );
    let boot = "name = \"secure boot\"";
    let same = left_out.replacen(boot, &format!("{boot}\nwhen = \"{{lot}} == A\""), 1);
    assert_eq!(refusal(&C3, &same), "");
    let other = left_out.replacen(boot, &format!("{boot}\nwhen = \"{{lot}} != A\""), 1);
    assert!(!refusal(&C3, &other).is_empty());
    let chip = with(
        &C3,
        named,
        &format!("{named}\nwhen = \"{{chip}} == esp32c3\""),
    );
    assert_eq!(refusal(&C3, &chip), "");
}

#[test]
fn the_first_secure_boot_is_encrypted_on_every_unit_or_on_none() {
    let named = "name = \"encryption\"";
    let flash = "[[step]]\nname = \"flash\"\nflash = { images = [\"bootloader\", \"table\", \
                 \"app\"] }\n[[step]]\nname = \"encryption\"\nwhen = \"{lot} == A\"";
    let text = with(&OLD_ESP32, &format!("[[step]]\n{named}"), flash);
    let refused = refusal(&OLD_ESP32, &text);
    assert!(
        refused.contains("also for units that this leaves out"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_plain_digest_is_not_trusted_to_a_chip_that_would_decrypt_it() {
    let plant = Plant::unreleased(&OLD_ESP32, &unencrypted());
    plant.release().await;
    plant.room.insert(0, plant.board(1)).await;
    let encrypt = |chip: Option<&mut station_virtual::VirtualChip>| {
        chip.unwrap().efuse_mut().edit(|image| {
            image.write(FieldName::FlashCryptCount, 1).unwrap();
        });
    };
    plant.room.bays[0].control.change(encrypt).await.unwrap();
    plant.reseat().await;
    let report = plant.run().await;
    let failure = report.attempts[0].failure.as_ref().unwrap();
    assert_eq!(failure.code, "security-differs", "{failure:?}");
    let look = |chip: Option<&station_virtual::VirtualChip>| {
        let chip = chip.unwrap();
        let on = chip.efuse().image().read(FieldName::SecureBootV1);
        (on, chip.flash().bytes(0, 192))
    };
    let (on, digest) = plant.room.bays[0].control.inspect(look).await.unwrap();
    assert_eq!(on, Some(0));
    assert_eq!(digest, [0xFF; 192]);
}

#[test]
fn a_bootloader_that_would_encrypt_for_good_is_not_taken_for_development() {
    let text = by_bootloader(&C3, "encrypting-release.bin", "development", "", "");
    let refused = refusal(&C3, &text);
    assert!(refused.contains("was built for release mode"), "{refused}");
    let text = by_bootloader(&C3, "encrypting-development.bin", "development", "", "");
    assert_eq!(refusal(&C3, &text), "");
}

#[tokio::test(start_paused = true)]
async fn a_unit_is_not_passed_as_released_whose_encryption_can_be_switched_off() {
    for kind in [&C3, &ESP32] {
        let text = by_bootloader(kind, "encrypting-development.bin", "release", "", "");
        let plant = Plant::unreleased(kind, &text);
        plant.release().await;
        plant.room.insert(0, plant.board(1)).await;
        let report = plant.run().await;
        let attempt = &report.attempts[0];
        let failure = attempt.failure.as_ref().unwrap();
        assert_eq!(failure.code, "security-differs", "{failure:?}");
        assert!(
            failure.message.contains("switched off again"),
            "{failure:?}"
        );
    }
}

#[test]
fn the_count_stays_open_for_the_bootloader_that_is_to_burn_it() {
    for (kind, count) in [(&C3, "SPI_BOOT_CRYPT_CNT"), (&ESP32, "FLASH_CRYPT_CNT")] {
        let close =
            format!("[[step]]\nname = \"close\"\nefuse = {{ write_protect = [\"{count}\"] }}\n");
        let file = "encrypting-release.bin";
        for text in [
            by_bootloader(kind, file, "release", &close, ""),
            by_bootloader(kind, file, "release", "", &close),
        ] {
            let refused = refusal(kind, &text);
            assert!(refused.contains("recipe-burn-refused"), "{refused}");
        }
        let after = by_bootloader(kind, file, "release", "", "") + &close;
        assert_eq!(refusal(kind, &after), "");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_bootloader_encrypted_is_written_again_after_an_erase() {
    for kind in [&C3, &ESP32] {
        let erase = "[[step]]\nname = \"erase\"\nerase = { all = true }\n";
        let text = by_bootloader(kind, "encrypting-development.bin", "development", erase, "");
        let plant = Plant::unreleased(kind, &text);
        plant.release().await;
        plant.room.insert(0, plant.board(1)).await;
        for _ in 0..2 {
            let report = plant.run().await;
            let attempt = report.attempts.last().unwrap();
            assert_eq!(
                attempt.outcome,
                Outcome::Pass,
                "{}: {attempt:#?}",
                kind.chip
            );
            plant.reseat().await;
        }
    }
}
