//! Whole plans, as a production line would burn them.

use super::super::*;
use super::wishes::{blank, daring};

fn key(purpose: &str, byte: u8, length: usize) -> KeyWish {
    KeyWish {
        slot: Slot::Free,
        purpose: purpose.to_owned(),
        key: Secret::new((0..length).map(|index| byte ^ index as u8).collect()),
        read_protect: None,
        write_protect: None,
    }
}

fn fields(wish: &mut Wish, fields: &[(&str, u64)]) {
    for (name, value) in fields {
        wish.fields.push(FieldWish {
            field: (*name).to_owned(),
            value: FieldValue::Number(*value),
        });
    }
}

/// Encryption, secure boot and secure download mode on an ESP32-S3.
fn release() -> Wish {
    let mut wish = daring();
    wish.keys.push(key("XTS_AES_256_KEY", 0x10, 64));
    wish.keys.push(key("SECURE_BOOT_DIGEST0", 0x90, 32));
    fields(
        &mut wish,
        &[
            ("SPI_BOOT_CRYPT_CNT", 7),
            ("SECURE_BOOT_EN", 1),
            ("ENABLE_SECURITY_DOWNLOAD", 1),
            ("DIS_DOWNLOAD_MANUAL_ENCRYPT", 1),
        ],
    );
    for name in [
        "SPI_BOOT_CRYPT_CNT",
        "RD_DIS",
        "DIS_ICACHE",
        "ENABLE_SECURITY_DOWNLOAD",
    ] {
        wish.write_protect.push(name.to_owned());
    }
    wish
}

fn place(plan: &BurnPlan, what: &str) -> usize {
    let has = |pulse: &Pulse| pulse.does.iter().any(|line| line.contains(what));
    let found = plan.pulses().iter().position(has);
    found.unwrap_or_else(|| panic!("{what} is not in\n{}", plan.describe()))
}

#[test]
fn keys_come_before_their_protection_encryption_before_secure_boot_and_download_last() {
    let snapshot = blank(Chip::Esp32S3, Revision::new(0, 2));
    let plan = BurnPlan::make(&snapshot, &release(), &[]).unwrap();
    let order = [
        "a key for `SECURE_BOOT_DIGEST0`",
        "sets `KEY_PURPOSE_0`",
        "hides from software: `BLOCK_KEY0`",
        "sets `SPI_BOOT_CRYPT_CNT` to 7",
        "sets `SECURE_BOOT_EN` to 1",
        "closes against writing: `SPI_BOOT_CRYPT_CNT`",
        "sets `ENABLE_SECURITY_DOWNLOAD` to 1",
    ];
    let places: Vec<_> = order.iter().map(|what| place(&plan, what)).collect();
    assert!(
        places.is_sorted_by(|one, next| one < next),
        "{places:?}\n{}",
        plan.describe()
    );
    assert!(plan.pulses().last().unwrap().last_contact);
    assert_eq!(
        place(&plan, "`RD_DIS`"),
        place(&plan, "closes against writing: `SPI_BOOT")
    );
}

#[test]
fn a_guard_is_burned_after_what_it_guards_or_at_the_very_end() {
    let snapshot = blank(Chip::Esp32, Revision::new(3, 0));
    let mut wish = daring();
    wish.keys.push(key("flash_encryption", 0x10, 32));
    fields(
        &mut wish,
        &[("FLASH_CRYPT_CNT", 0x7F), ("FLASH_CRYPT_CONFIG", 0xF)],
    );
    wish.write_protect.push("FLASH_CRYPT_CNT".to_owned());
    wish.write_protect.push("WR_DIS".to_owned());
    let plan = BurnPlan::make(&snapshot, &wish, &[]).unwrap();
    let count = place(&plan, "sets `FLASH_CRYPT_CNT`");
    let guard = place(&plan, "closes against writing: `FLASH_CRYPT_CNT`");
    let last = place(&plan, "closes against writing: `WR_DIS`");
    assert!(count < guard && guard < last, "{}", plan.describe());
    fields(&mut wish, &[("UART_DOWNLOAD_DIS", 1)]);
    let plan = BurnPlan::make(&snapshot, &wish, &[]).unwrap();
    let closed = place(&plan, "sets `UART_DOWNLOAD_DIS`");
    assert_eq!(
        place(&plan, "closes against writing: `FLASH_CRYPT_CNT`"),
        closed
    );
    assert_eq!(closed + 1, plan.pulses().len());
}

#[test]
fn both_halves_of_the_c2s_key_block_go_into_one_pulse() {
    let snapshot = blank(Chip::Esp32C2, Revision::new(1, 0));
    let mut wish = daring();
    wish.keys
        .push(key("XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS", 0x10, 16));
    wish.keys.push(key("SECURE_BOOT_DIGEST", 0x90, 32));
    let plan = BurnPlan::make(&snapshot, &wish, &[]).unwrap();
    let keys: Vec<_> = plan
        .pulses()
        .iter()
        .filter(|pulse| pulse.block == 3)
        .collect();
    assert_eq!(keys.len(), 1);
    let bytes = keys[0].words.expose();
    assert_eq!(bytes[0], 0x10 ^ 15);
    assert_eq!(bytes[15], 0x10);
    assert_eq!(bytes[16], 0x90);
    let end = plan.result();
    assert_eq!(&end.block(3)[..4], [0; 4], "the key is hidden");
    assert_ne!(end.block(3)[4], 0, "the digest is not");
}

#[test]
fn a_three_quarters_coded_key_is_burned_as_it_is_coded() {
    let mut snapshot = blank(Chip::Esp32, Revision::new(1, 0));
    snapshot.fuses.block_mut(0)[6] |= 1;
    let mut wish = daring();
    let mut own = key("flash_encryption", 0, 24);
    own.key = Secret::new((1..=24).rev().collect());
    wish.keys.push(own);
    let plan = BurnPlan::make(&snapshot, &wish, &[]).unwrap();
    let coded = "01020304050607230708090a0b0c0b2e0d0e0f1011121f2f1314151617180b3c";
    assert_eq!(hex::encode(plan.pulses()[0].words.expose()), coded);
    let read = plan.pulses()[0].expected(8);
    assert_eq!((read[0], read[5], read[6]), (0x0403_0201, 0x1817_1615, 0));
}

#[test]
fn a_key_is_reversed_and_its_check_words_are_the_published_ones() {
    let snapshot = blank(Chip::Esp32S3, Revision::new(0, 2));
    let mut wish = daring();
    let mut own = key("XTS_AES_128_KEY", 0, 32);
    own.key = Secret::new((1..=32).collect());
    wish.keys.push(own);
    let plan = BurnPlan::make(&snapshot, &wish, &[]).unwrap();
    let check = plan.pulses()[0].check.clone().unwrap();
    let words: Vec<_> = check
        .expose()
        .chunks(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    assert_eq!(words, [0xd40e_cd58, 0x1fb9_516d, 0xe4fc_ed00]);
}

#[test]
fn a_free_slot_is_the_same_slot_again_after_the_burn_and_another_for_another_key() {
    let snapshot = blank(Chip::Esp32C6, Revision::new(0, 1));
    let mut wish = daring();
    wish.keys.push(key("HMAC_UP", 0x10, 32));
    let plan = BurnPlan::make(&snapshot, &wish, &[]).unwrap();
    let mut there = snapshot.clone();
    there.fuses = plan.result();
    let again = BurnPlan::make(&there, &wish, &plan.records()).unwrap();
    assert!(again.is_empty());
    assert_eq!((again.keys()[0].block, again.keys()[0].present), (4, true));
    let blind = BurnPlan::make(&there, &wish, &[]).unwrap();
    assert_eq!(
        blind.keys()[0].block,
        5,
        "without records nobody knows what is in the first"
    );
    wish.keys[0] = key("HMAC_UP", 0x60, 32);
    let other = BurnPlan::make(&there, &wish, &plan.records()).unwrap();
    assert_eq!(other.keys()[0].block, 5);
}

#[test]
fn another_key_on_a_partly_burned_slot_is_refused() {
    let snapshot = blank(Chip::Esp32S3, Revision::new(0, 2));
    let mut wish = daring();
    let mut own = key("HMAC_UP", 0x10, 32);
    own.slot = Slot::Named("BLOCK_KEY0".to_owned());
    wish.keys.push(own);
    let plan = BurnPlan::make(&snapshot, &wish, &[]).unwrap();
    let mut there = snapshot.clone();
    there.fuses.block_mut(4)[0] = plan.pulses()[0].expected(8)[0];
    there.errors.push(CodingError {
        block: 4,
        count: 7,
        failed: true,
    });
    assert!(BurnPlan::make(&there, &wish, &plan.records()).is_ok());
    let refused = BurnPlan::make(&there, &wish, &[]).unwrap_err();
    assert!(refused.has("block-occupied"), "{refused}");
    wish.keys[0].key = Secret::new(vec![0x77; 32]);
    let refused = BurnPlan::make(&there, &wish, &plan.records()).unwrap_err();
    assert!(refused.has("block-occupied"), "{refused}");
}

#[test]
fn a_description_tells_what_cannot_be_done_afterwards() {
    let snapshot = blank(Chip::Esp32S3, Revision::new(0, 2));
    let text = BurnPlan::make(&snapshot, &release(), &[])
        .unwrap()
        .describe();
    for part in [
        "switching flash encryption off",
        "hiding further keys",
        "burning fuses",
        "the chip may stop answering here",
        "7c:df:a1:01:02:03",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}
