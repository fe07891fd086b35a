//! What is refused, each with its code.

use super::super::*;
use super::wishes::blank;

fn codes(snapshot: &Snapshot, wish: &Wish) -> Vec<&'static str> {
    match BurnPlan::make(snapshot, wish, &[]) {
        Ok(plan) => panic!("not refused:\n{}", plan.describe()),
        Err(refusals) => refusals.0.iter().map(|refusal| refusal.code).collect(),
    }
}

fn fields(fields: &[(&str, u64)]) -> Wish {
    let one = |(name, value): &(&str, u64)| FieldWish {
        field: (*name).to_owned(),
        value: FieldValue::Number(*value),
    };
    Wish {
        fields: fields.iter().map(one).collect(),
        ..Wish::default()
    }
}

fn key(slot: &str, purpose: &str, length: usize) -> Wish {
    Wish {
        keys: vec![KeyWish {
            slot: Slot::Named(slot.to_owned()),
            purpose: purpose.to_owned(),
            key: Secret::new(vec![0x5A; length]),
            read_protect: None,
            write_protect: None,
        }],
        ..Wish::default()
    }
}

fn s3() -> Snapshot {
    blank(Chip::Esp32S3, Revision::new(0, 2))
}

fn set(snapshot: &mut Snapshot, name: &str, value: u64) {
    let map = snapshot.map();
    let mut bits = Bits::of(map, &snapshot.fuses);
    bits.set_number(map.field(name).unwrap(), value);
    snapshot.fuses = bits.image(&snapshot.fuses);
}

#[test]
fn all_reasons_come_at_once() {
    let mut wish = fields(&[("NO_SUCH", 1), ("WDT_DELAY_SEL", 9), ("SECURE_BOOT_EN", 1)]);
    wish.keys = key("BLOCK_KEY5", "XTS_AES_128_KEY", 31).keys;
    let codes = codes(&s3(), &wish);
    for code in [
        "field-unknown",
        "value-too-wide",
        "secure-boot-without-digest",
        "key-length",
    ] {
        assert!(codes.contains(&code), "{code} is missing in {codes:?}");
    }
}

#[test]
fn another_board_a_wrong_crystal_and_a_damaged_mac_are_refused() {
    let wish = fields(&[("WDT_DELAY_SEL", 1)]);
    let mut other = s3();
    other.mac.0[5] ^= 1;
    assert_eq!(codes(&other, &wish), ["mac-differs"]);
    let mut wrong = s3();
    wrong.crystal_mhz = 26;
    assert_eq!(codes(&wrong, &wish), ["crystal-unsupported"]);
    let mut damaged = blank(Chip::Esp32, Revision::new(1, 0));
    damaged.fuses.block_mut(0)[2] ^= 1 << 16;
    assert_eq!(
        codes(&damaged, &fields(&[("JTAG_DISABLE", 1)])),
        ["mac-crc"]
    );
}

#[test]
fn set_bits_are_never_cleared_and_closed_fields_never_burned() {
    let mut there = s3();
    set(&mut there, "WDT_DELAY_SEL", 1);
    assert_eq!(
        codes(&there, &fields(&[("WDT_DELAY_SEL", 2)])),
        ["bits-cannot-clear"]
    );
    set(&mut there, "WR_DIS", 1 << 3);
    assert_eq!(
        codes(&there, &fields(&[("WDT_DELAY_SEL", 3)])),
        ["field-protected"]
    );
}

#[test]
fn two_wishes_that_cannot_both_be_true_are_refused() {
    let wish = fields(&[("WDT_DELAY_SEL", 2), ("WDT_DELAY_SEL", 1)]);
    assert_eq!(codes(&s3(), &wish), ["wish-contradicts"]);
}

#[test]
fn blocks_that_are_full_closed_or_hidden_are_refused() {
    let wish = key("BLOCK_KEY0", "HMAC_UP", 32);
    let mut there = s3();
    there.fuses.block_mut(4)[0] = 1;
    assert_eq!(codes(&there, &wish), ["block-occupied"]);
    let mut there = s3();
    set(&mut there, "WR_DIS", 1 << 23);
    assert_eq!(codes(&there, &wish), ["block-protected"]);
    let mut there = s3();
    set(&mut there, "RD_DIS", 1);
    assert_eq!(codes(&there, &wish), ["block-hidden"]);
    let mut there = s3();
    set(&mut there, "KEY_PURPOSE_0", 4);
    assert_eq!(codes(&there, &wish), ["slot-taken"]);
    let mut there = s3();
    set(&mut there, "WR_DIS", 1 << 8);
    assert_eq!(codes(&there, &wish), ["purpose-protected"]);
    let mut there = s3();
    set(&mut there, "WR_DIS", 1);
    assert_eq!(codes(&there, &wish), ["field-protected"]);
}

#[test]
fn a_three_quarters_chunk_is_burned_once() {
    let mut there = blank(Chip::Esp32, Revision::new(1, 0));
    there.fuses.block_mut(0)[6] |= 1;
    there.fuses.block_mut(3)[0] = 1;
    let block = |offset| Wish {
        blocks: vec![BlockWish {
            block: "BLOCK3".to_owned(),
            offset,
            bytes: Secret::new(vec![0xFF; 6]),
        }],
        ..Wish::default()
    };
    assert_eq!(codes(&there, &block(0)), ["chunk-occupied"]);
    assert!(BurnPlan::make(&there, &block(6), &[]).is_ok());
    assert_eq!(codes(&there, &block(20)), ["bytes-outside"]);
}

#[test]
fn keys_of_the_wrong_length_for_the_slot_or_the_coding_are_refused() {
    assert_eq!(
        codes(&s3(), &key("BLOCK_KEY0", "XTS_AES_256_KEY", 32)),
        ["key-length"]
    );
    let mut there = blank(Chip::Esp32, Revision::new(3, 0));
    assert!(BurnPlan::make(&there, &key("BLOCK1", "flash_encryption", 32), &[]).is_ok());
    there.fuses.block_mut(0)[6] |= 1;
    assert_eq!(
        codes(&there, &key("BLOCK1", "flash_encryption", 32)),
        ["key-length"]
    );
    assert_eq!(
        codes(&there, &key("BLOCK2", "secure_boot_v2", 32)),
        ["scheme-unfit"]
    );
    let old = blank(Chip::Esp32, Revision::new(1, 0));
    assert_eq!(
        codes(&old, &key("BLOCK2", "secure_boot_v2", 32)),
        ["revision-too-old"]
    );
    let zeros = Wish {
        keys: vec![KeyWish {
            key: Secret::new(vec![0; 32]),
            ..key("BLOCK_KEY0", "HMAC_UP", 32).keys.remove(0)
        }],
        ..Wish::default()
    };
    assert_eq!(codes(&s3(), &zeros), ["key-blank"]);
}

#[test]
fn slots_that_cannot_hold_a_purpose_are_refused() {
    for chip in [Chip::Esp32S3, Chip::Esp32C3, Chip::Esp32C6, Chip::Esp32H4] {
        let there = blank(chip, Revision::new(0, 1));
        let wish = key("BLOCK_KEY5", "XTS_AES_128_KEY", 32);
        assert_eq!(codes(&there, &wish), ["slot-unfit"], "{chip}");
    }
    let h4 = blank(Chip::Esp32H4, Revision::new(0, 1));
    let wish = key("BLOCK_KEY5", "XTS_AES_128_PSRAM_KEY", 32);
    assert_eq!(codes(&h4, &wish), ["slot-unfit"]);
    assert_eq!(
        codes(&s3(), &key("BLOCK_USR_DATA", "HMAC_UP", 32)),
        ["slot-unfit"]
    );
    assert_eq!(
        codes(&s3(), &key("BLOCK_KEY0", "SPAM", 32)),
        ["purpose-unknown"]
    );
    assert_eq!(
        codes(&s3(), &fields(&[("KEY_PURPOSE_5", 4)])),
        ["slot-unfit"]
    );
}

#[test]
fn a_digest_stays_readable_and_a_key_hidden() {
    let mut wish = key("BLOCK_KEY0", "SECURE_BOOT_DIGEST0", 32);
    wish.read_protect.push("BLOCK_KEY0".to_owned());
    assert_eq!(codes(&s3(), &wish), ["must-stay-readable"]);
    let mut wish = key("BLOCK_KEY0", "HMAC_UP", 32);
    wish.keys[0].read_protect = Some(false);
    assert_eq!(codes(&s3(), &wish), ["unprotected-key"]);
    wish.accepted.push(Danger::UnprotectedKey);
    assert!(BurnPlan::make(&s3(), &wish, &[]).is_ok());
}

#[test]
fn encryption_needs_a_key_and_a_plan_for_what_is_in_flash() {
    let wish = fields(&[("SPI_BOOT_CRYPT_CNT", 1)]);
    let both = ["encryption-without-content", "encryption-without-key"];
    assert_eq!(codes(&s3(), &wish), both);
    let mut wish = key("BLOCK_KEY0", "XTS_AES_128_KEY", 32);
    wish.fields = fields(&[("SPI_BOOT_CRYPT_CNT", 1)]).fields;
    assert_eq!(codes(&s3(), &wish), ["encryption-without-content"]);
    // A bootloader that is to encrypt takes a count that is burned for work that is done.
    wish.content.encrypted = ContentPlan::ByBootloader;
    assert_eq!(codes(&s3(), &wish), ["encryption-without-content"]);
    wish.content.encrypted = ContentPlan::Written;
    assert!(BurnPlan::make(&s3(), &wish, &[]).is_ok());
}

#[test]
fn secure_boot_needs_its_digest_and_a_bootloader_it_accepts() {
    let mut wish = key("BLOCK_KEY0", "SECURE_BOOT_DIGEST0", 32);
    wish.fields = fields(&[("SECURE_BOOT_EN", 1)]).fields;
    assert_eq!(codes(&s3(), &wish), ["secure-boot-without-signed-content"]);
    wish.content.signed_by = vec![[1; 32]];
    assert_eq!(codes(&s3(), &wish), ["secure-boot-signed-by-other"]);
    wish.content.signed_by = vec![[0x5A; 32]];
    assert!(BurnPlan::make(&s3(), &wish, &[]).is_ok());
    wish.fields
        .extend(fields(&[("SECURE_BOOT_KEY_REVOKE0", 1)]).fields);
    assert_eq!(codes(&s3(), &wish), ["secure-boot-without-digest"]);
    let old = blank(Chip::Esp32, Revision::new(1, 0));
    assert!(codes(&old, &fields(&[("ABS_DONE_1", 1)])).contains(&"revision-too-old"));
}

#[test]
fn the_first_secure_boot_must_have_its_key_its_digest_and_a_reason_on_newer_chips() {
    let old = blank(Chip::Esp32, Revision::new(1, 0));
    let mut wish = fields(&[("ABS_DONE_0", 1)]);
    assert_eq!(
        codes(&old, &wish),
        [
            "secure-boot-without-digest",
            "secure-boot-without-signed-content"
        ]
    );
    wish.content.digested = true;
    assert_eq!(codes(&old, &wish), ["secure-boot-without-digest"]);
    wish.keys = key("BLOCK2", "secure_boot_v1", 32).keys;
    let plan = BurnPlan::make(&old, &wish, &[]).unwrap();
    let last = plan.pulses().last().unwrap();
    assert!(
        last.does.iter().any(|does| does.contains("ABS_DONE_0")),
        "{}",
        plan.describe()
    );
    let first = plan.pulses().first().unwrap();
    assert_eq!(first.block, 2, "the key comes before");
    let newer = blank(Chip::Esp32, Revision::new(3, 0));
    assert_eq!(codes(&newer, &wish), ["secure-boot-version-one"]);
    wish.accepted = vec![Danger::SecureBootVersionOne];
    assert!(BurnPlan::make(&newer, &wish, &[]).is_ok());
    wish.fields.extend(fields(&[("ABS_DONE_1", 1)]).fields);
    wish.accepted.extend(Danger::ALL);
    assert!(codes(&newer, &wish).contains(&"secure-boot-both"));
}

#[test]
fn a_key_of_the_first_secure_boot_that_stays_open_must_be_wanted() {
    let mut old = blank(Chip::Esp32, Revision::new(1, 0));
    old.fuses.block_mut(2).fill(0x1234_5678);
    let mut wish = fields(&[("ABS_DONE_0", 1)]);
    wish.content.digested = true;
    assert_eq!(codes(&old, &wish), ["unprotected-key"]);
    wish.read_protect = vec!["BLOCK2".to_owned()];
    assert_eq!(codes(&old, &wish), ["unprotected-key"], "it stays writable");
    wish.write_protect = vec!["BLOCK2".to_owned()];
    assert!(BurnPlan::make(&old, &wish, &[]).is_ok());
    let mut quarters = blank(Chip::Esp32, Revision::new(1, 0));
    quarters.fuses.block_mut(0)[6] |= 1;
    let mut wish = fields(&[("ABS_DONE_0", 1)]);
    wish.content.digested = true;
    wish.keys = key("BLOCK2", "secure_boot_v1", 32).keys;
    assert!(codes(&quarters, &wish).contains(&"key-length"));
    wish.keys = key("BLOCK2", "secure_boot_v1", 24).keys;
    assert!(BurnPlan::make(&quarters, &wish, &[]).is_ok());
}

#[test]
fn closing_usb_or_download_mode_must_be_wanted() {
    let wish = fields(&[("DIS_USB_JTAG", 1), ("DIS_USB_SERIAL_JTAG", 1)]);
    assert!(codes(&s3(), &wish).contains(&"usb-rom-fault"));
    let c3 = blank(Chip::Esp32C3, Revision::new(0, 4));
    assert_eq!(codes(&c3, &wish), ["usb-closed"]);
    assert_eq!(
        codes(&s3(), &fields(&[("DIS_DOWNLOAD_MODE", 1)])),
        ["download-closed"]
    );
}

#[test]
fn a_p4_whose_flash_has_no_power_in_secure_download_mode_is_told_so() {
    let wish = fields(&[("ENABLE_SECURITY_DOWNLOAD", 1)]);
    let code = ["flash-unreachable-in-secure-download"];
    assert_eq!(
        codes(&blank(Chip::Esp32P4, Revision::new(3, 1)), &wish),
        code
    );
    let mut later = blank(Chip::Esp32P4, Revision::new(3, 2));
    assert_eq!(codes(&later, &wish), code);
    set(&mut later, "DOWNLOAD_MODE_XPD_ON", 1);
    assert!(BurnPlan::make(&later, &wish, &[]).is_ok());
}

#[test]
fn after_secure_download_mode_nothing_is_burned() {
    let mut there = s3();
    set(&mut there, "ENABLE_SECURITY_DOWNLOAD", 1);
    assert_eq!(
        codes(&there, &fields(&[("WDT_DELAY_SEL", 1)])),
        ["secure-download-on"]
    );
    let there = BurnPlan::make(&there, &fields(&[("ENABLE_SECURITY_DOWNLOAD", 1)]), &[]);
    assert!(there.unwrap().is_empty());
}

#[test]
fn voltages_a_chip_cannot_set_or_set_otherwise_are_refused() {
    let wish = |voltage| Wish {
        flash_voltage: Some(voltage),
        ..Wish::default()
    };
    let c3 = blank(Chip::Esp32C3, Revision::new(0, 4));
    assert_eq!(
        codes(&c3, &wish(FlashVoltage::High)),
        ["voltage-unsupported"]
    );
    let mut there = s3();
    set(&mut there, "VDD_SPI_TIEH", 1);
    assert_eq!(codes(&there, &wish(FlashVoltage::Low)), ["voltage-taken"]);
    assert!(BurnPlan::make(&there, &wish(FlashVoltage::High), &[]).is_ok());
}

#[test]
fn factory_macs_groups_and_coding_errors_are_refused() {
    assert_eq!(codes(&s3(), &fields(&[("MAC", 1)])), ["factory-mac"]);
    let group = Wish {
        custom_mac: Some(MacAddress([1, 0, 0, 0, 0, 1])),
        ..Wish::default()
    };
    assert_eq!(codes(&s3(), &group), ["custom-mac-group"]);
    let mut there = s3();
    there.errors.push(CodingError {
        block: 2,
        count: 1,
        failed: false,
    });
    assert_eq!(
        codes(&there, &fields(&[("WDT_DELAY_SEL", 1)])),
        ["coding-errors"]
    );
}

#[test]
fn the_coding_scheme_is_not_changed_under_content() {
    let mut wish = key("BLOCK1", "flash_encryption", 32);
    wish.fields = fields(&[("CODING_SCHEME", 1)]).fields;
    let there = blank(Chip::Esp32, Revision::new(1, 0));
    assert_eq!(codes(&there, &wish), ["scheme-with-content"]);
    assert_eq!(
        codes(&there, &fields(&[("CODING_SCHEME", 2)])),
        ["scheme-unsupported"]
    );
    let mut repeat = there;
    set(&mut repeat, "CODING_SCHEME", 2);
    assert_eq!(
        codes(&repeat, &fields(&[("JTAG_DISABLE", 1)])),
        ["scheme-unsupported"]
    );
}
