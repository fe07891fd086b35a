//! Policies against chips on paper.

use super::*;
use crate::chip::{Chip, Revision};
use crate::efuse::plan::tests::wishes::{blank, revisions};
use crate::efuse::plan::{BurnPlan, ContentPlan, KeyWish, Slot};
use crate::secret::Secret;

fn key(purpose: &str, byte: u8) -> KeyWish {
    KeyWish {
        slot: Slot::Free,
        purpose: purpose.to_owned(),
        key: Secret::new((0..32).map(|index| byte ^ index).collect()),
        read_protect: None,
        write_protect: None,
    }
}

/// What the production policy needs beside itself: keys, and a plan for what is in flash.
fn complete(snapshot: &Snapshot) -> Wish {
    let policy = production(snapshot.chip, snapshot.revision);
    let mut wish = wish(&policy, snapshot);
    wish.accepted.extend([
        Danger::UsbClosed,
        Danger::FlashUnreachableInSecureDownload,
        Danger::SecureBootWithoutSignedContent,
    ]);
    wish.content.encrypted = ContentPlan::Written;
    wish.keys = if snapshot.chip == Chip::Esp32 {
        let old = snapshot.revision < Revision::new(3, 0);
        let boot = if old {
            "secure_boot_v1"
        } else {
            "secure_boot_v2"
        };
        vec![key("flash_encryption", 0x10), key(boot, 0x90)]
    } else if snapshot.chip == Chip::Esp32C2 {
        let mut half = key("XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS", 0x10);
        half.key = Secret::new(vec![0x10; 16]);
        vec![half, key("SECURE_BOOT_DIGEST", 0x90)]
    } else {
        vec![
            key("XTS_AES_128_KEY", 0x10),
            key("SECURE_BOOT_DIGEST0", 0x90),
        ]
    };
    wish
}

#[test]
fn a_chip_burned_for_production_fulfils_production_and_not_development() {
    for chip in Chip::ALL {
        for revision in revisions(chip) {
            let mut there = blank(chip, revision);
            let policy = production(chip, revision);
            assert!(compare(&policy, &there).len() > 5, "{chip}");
            let plan = BurnPlan::make(&there, &complete(&there), &[]);
            let plan = plan.unwrap_or_else(|why| panic!("{chip} {revision}: {why}"));
            there.fuses = plan.result();
            assert_eq!(compare(&policy, &there), [], "{chip} {revision}");
            let open = compare(&development(chip, revision), &there);
            assert!(!open.is_empty(), "{chip}");
            assert!(
                open.iter().all(|one| one.remedy == Remedy::None),
                "{chip} {open:?}"
            );
            let audit = audit(&there);
            let critical = audit
                .findings
                .iter()
                .find(|one| one.grade == Grade::Critical);
            assert_eq!(critical, None, "{chip} {revision}");
            assert!(audit.secure_boot && audit.flash_encryption, "{chip}");
        }
    }
}

#[test]
fn a_blank_chip_fulfils_development_and_its_audit_says_what_is_open() {
    for chip in Chip::ALL {
        let there = blank(chip, Revision::new(0, 1));
        assert_eq!(
            compare(&development(chip, there.revision), &there),
            [],
            "{chip}"
        );
        let audit = audit(&there);
        let codes: Vec<_> = audit.findings.iter().map(|one| one.code).collect();
        assert!(
            codes.starts_with(&["encryption-off", "secure-boot-off"]),
            "{codes:?}"
        );
        assert!(audit.markdown().contains("**warning** `encryption-off`"));
    }
}

#[test]
fn a_key_that_software_reads_and_a_digest_that_can_be_hidden_are_critical() {
    let mut there = blank(Chip::Esp32S3, Revision::new(0, 2));
    let map = there.map();
    let mut bits = Bits::of(map, &there.fuses);
    bits.block_mut(4)[0] = 1;
    for (name, value) in [
        ("KEY_PURPOSE_0", 4),
        ("SECURE_BOOT_EN", 1),
        ("SPI_BOOT_CRYPT_CNT", 1),
    ] {
        bits.set_number(map.field(name).unwrap(), value);
    }
    there.fuses = bits.image(&there.fuses);
    let audit = audit(&there);
    let critical = audit
        .findings
        .iter()
        .filter(|one| one.grade == Grade::Critical);
    let codes: Vec<_> = critical.map(|one| one.code).collect();
    assert_eq!(
        codes,
        ["digest-can-be-hidden", "no-valid-digest", "key-readable"]
    );
}

#[test]
fn an_own_policy_is_read_and_anything_unknown_in_it_refused() {
    let text = r#"{
        "name": "own",
        "rules": [
            {"field": "WDT_DELAY_SEL", "want": {"value": 1}, "level": "should"},
            {"field": "RD_DIS", "want": "closed", "level": "must", "why": "digest"},
            {"field": "NO_SUCH", "want": "full", "level": "must"}
        ],
        "accept": ["usb-closed"]
    }"#;
    let policy: Policy = serde_json::from_str(text).unwrap();
    let there = blank(Chip::Esp32C3, Revision::new(0, 4));
    let found = compare(&policy, &there);
    assert_eq!(found.len(), 3);
    assert_eq!(found[2].remedy, Remedy::None);
    assert!(serde_json::from_str::<Policy>(&text.replace("accept", "acept")).is_err());
    assert!(serde_json::from_str::<Policy>(&text.replace("usb-closed", "all")).is_err());
    assert!(serde_json::from_str::<Policy>(&text.replace("full", "ful")).is_err());
}
