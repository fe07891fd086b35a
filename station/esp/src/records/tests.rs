//! Records through both forms, and what is no record.

use proptest::prelude::*;

use super::nvs::entry;
use super::*;
use crate::chip::MacAddress;
use crate::nvs::Value;

fn manufacturing() -> Manufacturing {
    Manufacturing {
        serial: "SN2607-000042".into(),
        mac: MacAddress([0x7C, 0xDF, 0xA1, 1, 2, 3]),
        product: "sensor".into(),
        revision: Some("C".into()),
        firmware: None,
        lot: Some("L7".into()),
        station: Some("line 1".into()),
        made_at: 1_790_000_000,
    }
}

fn quantity(name: &str, value: i64, exponent: i8, unit: &str) -> Quantity {
    Quantity {
        name: name.into(),
        value,
        exponent,
        unit: unit.into(),
    }
}

fn calibration() -> Calibration {
    Calibration {
        made_at: 1_790_000_001,
        quantities: vec![
            quantity("vref", 1_104_523, -6, "V"),
            quantity("gain", -3, 0, "1"),
            quantity("xtal_offset", i64::MIN, i8::MAX, "ppm"),
        ],
    }
}

#[test]
fn records_survive_both_forms() {
    let record = manufacturing();
    let mut bytes = record.to_bytes().unwrap();
    assert_eq!(Manufacturing::parse(&bytes).unwrap(), record);
    bytes.extend([0xFF; 100]);
    assert_eq!(Manufacturing::parse(&bytes).unwrap(), record);
    let mut entries = record.to_nvs().unwrap();
    entries.reverse();
    entries.push(entry("cal", "format", Value::U8(9)));
    assert_eq!(Manufacturing::from_nvs(&entries).unwrap(), record);

    let record = calibration();
    assert_eq!(
        Calibration::parse(&record.to_bytes().unwrap()).unwrap(),
        record
    );
    let entries = record.to_nvs().unwrap();
    assert_eq!(Calibration::from_nvs(&entries).unwrap(), record);
    let texts: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(texts[2..4], ["vref", "vref.u"]);
    assert_eq!(entries[3].value, Value::String("e-6 V".into()));
    assert!(texts.iter().all(|key| key.len() <= 15));
    assert_eq!(record.find("gain").unwrap().to_string(), "gain = -3e0 1");
}

#[test]
fn the_raw_form_stays_as_it_is() {
    let record = Calibration {
        made_at: 2,
        quantities: vec![quantity("v", 5, -1, "V")],
    };
    let bytes = record.to_bytes().unwrap();
    assert_eq!(hex::encode(&bytes[..12]), "45535052020102001c000000");
    assert_eq!(
        hex::encode(&bytes[16..]),
        "010008000200000000000000".to_owned() + "02000c000500000000000000ff017656"
    );
}

#[test]
fn what_cannot_be_in_a_record_is_refused() {
    let mut record = manufacturing();
    for serial in ["", "a\nb", &"x".repeat(65)] {
        record.serial = serial.into();
        assert_eq!(record.to_bytes().unwrap_err().code(), "record-text");
        assert_eq!(record.to_nvs().unwrap_err().code(), "record-text");
    }
    for (name, unit, code) in [
        ("", "V", "record-name"),
        ("Vref", "V", "record-name"),
        ("1v", "V", "record-name"),
        ("format", "V", "record-name"),
        ("abcdefghijklmn", "V", "record-name"),
        ("vref", "", "record-text"),
        ("vref", "a b", "record-text"),
        ("gain", "V", "record-twice"),
    ] {
        let mut record = calibration();
        record.quantities.push(quantity(name, 1, 0, unit));
        if name == "vref" {
            record.quantities.remove(0);
        }
        assert_eq!(record.to_bytes().unwrap_err().code(), code, "{name} {unit}");
    }
    let mut record = calibration();
    record.quantities = (0..257)
        .map(|n| quantity(&format!("q{n}"), 1, 0, "V"))
        .collect();
    assert_eq!(record.to_nvs(), Err(RecordError::TooMany { found: 257 }));
}

#[test]
fn entries_that_are_no_record_are_refused() {
    let sound = manufacturing().to_nvs().unwrap();
    for (at, entry) in sound.iter().enumerate() {
        let mut without = sound.clone();
        without.remove(at);
        let optional = ["revision", "lot", "station"].contains(&entry.key.as_str());
        assert_eq!(
            Manufacturing::from_nvs(&without).is_ok(),
            optional,
            "{}",
            entry.key
        );
        let twice = [&sound[..], std::slice::from_ref(entry)].concat();
        assert_eq!(
            Manufacturing::from_nvs(&twice).unwrap_err().code(),
            "record-twice"
        );
    }
    let odd = entry("mfg", "colour", Value::String("red".into()));
    let with = [&sound[..], &[odd]].concat();
    assert_eq!(
        Manufacturing::from_nvs(&with).unwrap_err().code(),
        "record-entry"
    );

    let sound = calibration().to_nvs().unwrap();
    for at in 0..sound.len() {
        let mut without = sound.clone();
        without.remove(at);
        assert!(
            Calibration::from_nvs(&without).is_err(),
            "{}",
            sound[at].key
        );
        let twice = [&sound[..], &sound[at..=at]].concat();
        assert_eq!(
            Calibration::from_nvs(&twice).unwrap_err().code(),
            "record-twice"
        );
    }
}

proptest! {
    #[test]
    fn a_changed_byte_never_passes(at in any::<prop::sample::Index>(), change in 1_u8..) {
        for mut bytes in [manufacturing().to_bytes().unwrap(), calibration().to_bytes().unwrap()] {
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            prop_assert!(Manufacturing::parse(&bytes).is_err());
            prop_assert!(Calibration::parse(&bytes).is_err());
            prop_assert!(Calibration::parse(&bytes[..at]).is_err());
        }
    }

    #[test]
    fn hostile_fields_are_refused_or_written_the_same(
        kind in 1_u8..3,
        count in 0_u16..4,
        body in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(8), any::<u8>()], 0..60),
    ) {
        let mut bytes = b"ESPR".to_vec();
        bytes.extend([kind, VERSION]);
        bytes.extend(count.to_le_bytes());
        bytes.extend((body.len() as u32).to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes);
        hasher.update(&body);
        bytes.extend(hasher.finalize().to_le_bytes());
        bytes.extend(body);
        if let Ok(record) = Manufacturing::parse(&bytes) {
            prop_assert_eq!(&record.to_bytes().unwrap(), &bytes);
        }
        if let Ok(record) = Calibration::parse(&bytes) {
            prop_assert_eq!(&record.to_bytes().unwrap(), &bytes);
        }
    }
}
