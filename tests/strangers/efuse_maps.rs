//! Unmodified espefuse has every field where our maps have it, reads the same values, and finds the
//! same fields closed and hidden by the same protection bits.

use std::collections::BTreeMap;
use std::thread;

use serde_json::Value;
use station_esp::chip::{Chip, Revision};
use station_esp::efuse::map::{FieldKind, FuseField, FuseMap, all_fuse_maps};
use station_esp::efuse::{EfuseImage, FieldName};
use tempfile::TempDir;

use crate::support::stranger;

/// What only espefuse has: it computes them, no run of fuses holds them.
const COMPUTED: [(&str, &str); 2] = [
    ("MAC_EUI64", "MAC and MAC_EXT interleaved"),
    (
        "WAFER_VERSION_MAJOR",
        "on the ESP32 one of its bits is in APB_CTL_DATE, which is no fuse",
    ),
];

/// What we give as one number, as ESP-IDF does, and espefuse under two names.
const JOINED: [&str; 9] = [
    "FORCE_USE_KEY_MANAGER_KEY",
    "KEY_PURPOSE_0",
    "KEY_PURPOSE_1",
    "KEY_PURPOSE_2",
    "KEY_PURPOSE_3",
    "KEY_PURPOSE_4",
    "KEY_PURPOSE_5",
    "KM_DEPLOY_ONLY_ONCE",
    "KM_DISABLE_DEPLOY_MODE",
];

/// What only we have, besides what the factory measured (blocks 1, 2 and the last one).
const OURS: [(&str, &str); 9] = [
    (
        "BLOCK_SYS_DATA2",
        "the whole block, which espefuse names elsewhere",
    ),
    (
        "DIS_USB_SERIAL_JTAG",
        "in efuse_reg.h of c5, c61, h2, h4, p4 and s31, in no table",
    ),
    ("IO_LDO_1P8", "ESP-IDF's table of the h4 is newer"),
    ("IO_LDO_ADJUST", "ESP-IDF's table of the h4 is newer"),
    ("JTAG_SEL_ENABLE", "in ESP-IDF's table of the c3"),
    ("PVT_GLITCH_EN", "ESP-IDF's table of the h4 is newer"),
    ("PVT_GLITCH_MODE", "ESP-IDF's table of the h4 is newer"),
    (
        "RECOVERY_BOOTLOADER_FLASH_SECTOR",
        "espefuse gives its parts",
    ),
    (
        "USER_DATA",
        "the c2's block 1, which espefuse gives as CUSTOM_MAC",
    ),
];

/// The ESP32-H4's key manager fields: ESP-IDF's newer table closes them with bit 1, espefuse with
/// bit 17.
const H4_KEY_MANAGER: [&str; 7] = [
    "FORCE_DISABLE_SW_INIT_KEY",
    "FORCE_USE_KEY_MANAGER_KEY",
    "KM_DEPLOY_ONLY_ONCE",
    "KM_DISABLE_DEPLOY_MODE",
    "KM_RND_SWITCH_CYCLE",
    "KM_XTS_KEY_LENGTH_256",
    "LOCK_KM_KEY",
];

/// Protection bits are told apart by setting, in run `n`, those whose number plus one has bit `n`:
/// what is closed in exactly the runs of a number is closed by that bit.
fn runs(map: &FuseMap) -> u8 {
    let bits = map.field("WR_DIS").unwrap().width();
    (bits.ilog2() + 1) as u8
}

/// One field as espefuse shows it over all runs.
#[derive(Default)]
struct Shown {
    /// Block, first bit and width, when it lies in one place.
    place: Option<(u8, u16, u32)>,
    width: u32,
    /// The runs in which it could not be written, and not be read, as bits.
    closed: u32,
    hidden: u32,
}

#[test]
fn espefuse_has_every_field_of_every_map_in_its_place_and_group() {
    let maps: Vec<&FuseMap> = Chip::ALL.into_iter().flat_map(all_fuse_maps).collect();
    thread::scope(|scope| {
        let workers: Vec<_> = maps
            .chunks(maps.len().div_ceil(2))
            .map(|half| scope.spawn(|| half.iter().flat_map(|map| differences(map)).collect()))
            .collect();
        let found: Vec<Vec<String>> = workers.into_iter().map(|w| w.join().unwrap()).collect();
        let found = found.concat();
        assert!(found.is_empty(), "{}", found.join("\n"));
    });
}

fn differences(map: &FuseMap) -> Vec<String> {
    let mut found = Vec::new();
    let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
    for run in 0..runs(map) {
        let fuses = prepared(map, run);
        for (name, entry) in summary(&fuses) {
            let seen = shown.entry(name.clone()).or_default();
            let number = |key: &str| entry[key].as_u64();
            seen.width = number("bit_len").unwrap() as u32;
            seen.place = number("word").zip(number("pos")).map(|(word, bit)| {
                let block = number("block").unwrap() as u8;
                (block, (word * 32 + bit) as u16, seen.width)
            });
            seen.closed |= u32::from(entry["writeable"] == false) << run;
            seen.hidden |= u32::from(entry["readable"] == false) << run;
            if let Some(theirs) = value(&entry)
                && let Some(ours) = map.field(&name).and_then(|field| read(&fuses, field))
                && theirs != ours
                && !JOINED.contains(&name.as_str())
            {
                found.push(format!("{name}: espefuse reads {theirs:#x}, we {ours:#x}"));
            }
            found.extend(purpose(map, &fuses, &name, &entry));
        }
    }
    for (name, seen) in &shown {
        match map.field(name) {
            Some(field) => found.extend(disagreement(map, field, name, seen)),
            None if COMPUTED.iter().any(|(known, _)| known == name) => {}
            None => found.push(format!("{name}: only espefuse has it")),
        }
    }
    let measured = [1, 2, map.blocks.last().unwrap().number];
    for field in map.fields {
        let known = std::iter::once(&field.name).chain(field.aliases);
        let theirs = known.into_iter().any(|name| shown.contains_key(*name));
        let expected = OURS.iter().any(|(name, _)| *name == field.name)
            || (measured.contains(&field.block()) && map.chip != Chip::Esp32C2)
            || (field.block() == 2 && map.chip == Chip::Esp32C2)
            || (field.name.starts_with("ADC") && map.chip == Chip::Esp32);
        if !theirs && !expected {
            found.push(format!("{}: only we have it", field.name));
        }
    }
    let prefix = format!("{} from {}: ", map.chip, map.from);
    found
        .into_iter()
        .map(|text| prefix.clone() + &text)
        .collect()
}

/// What a key is for, when espefuse says something else.
fn purpose(map: &FuseMap, fuses: &EfuseImage, name: &str, entry: &Value) -> Option<String> {
    let field = map
        .field(name)
        .filter(|field| field.kind == FieldKind::Purpose)?;
    let code = u8::try_from(fuses.number(field)?).ok()?;
    let theirs = entry["value"].as_str()?;
    // espefuse's word for a code without a name, such as the PSRAM keys of the p4.
    let unnamed = theirs.starts_with("CUSTOM_") || theirs == "FORBIDDEN_STATE";
    match map.purpose_code(code) {
        Some(ours) if theirs == ours.name || ours.aliases.contains(&theirs) => None,
        Some(_) | None if unnamed => None,
        ours => Some(format!(
            "{name}: code {code} is {theirs} in espefuse, {ours:?} here"
        )),
    }
}

fn disagreement(map: &FuseMap, field: &FuseField, name: &str, seen: &Shown) -> Option<String> {
    let joined = field.parts.len() > 1 && JOINED.contains(&name);
    let first = field.parts[0];
    match seen.place {
        Some(place) if place == (first.block, first.bit, u32::from(first.width)) => {
            if field.parts.len() > 1 && !joined {
                return Some(format!(
                    "{name}: espefuse has one part, we {:?}",
                    field.parts
                ));
            }
        }
        Some(place) => {
            return Some(format!(
                "{name}: espefuse has {place:?}, we {:?}",
                field.parts
            ));
        }
        // Put together from others, so it has no place and no protection of its own.
        None if seen.width == field.width() => return None,
        None => return Some(format!("{name}: espefuse has {} bits", seen.width)),
    }
    let exempt = map.chip == Chip::Esp32H4 && H4_KEY_MANAGER.contains(&name);
    let closed = runs_of(field.write_disable.into_iter());
    if seen.closed != closed && !exempt {
        let theirs = i64::from(seen.closed) - 1;
        return Some(format!(
            "{name}: WR_DIS bit {theirs} in espefuse, {:?} here",
            field.write_disable
        ));
    }
    let hidden = runs_of(field.read_disable.bits());
    (seen.hidden != hidden).then(|| {
        let theirs = i64::from(seen.hidden) - 1;
        format!(
            "{name}: RD_DIS bit {theirs} in espefuse, {:?} here",
            field.read_disable
        )
    })
}

/// The runs in which one of these bits is set.
fn runs_of(bits: impl Iterator<Item = u8>) -> u32 {
    bits.fold(0, |runs, bit| runs | (u32::from(bit) + 1))
}

/// Fuses full of arbitrary bits, of the right revision, with the protection of one run.
fn prepared(map: &FuseMap, run: u8) -> EfuseImage {
    let mut fuses = EfuseImage::new(map.chip);
    let mut state = 0x9E37_79B9_u32 ^ u32::from(run);
    for block in map.blocks {
        for word in fuses.block_mut(block.number) {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            *word = state;
        }
    }
    let bits = (0..32u8).filter(|bit| (bit + 1) >> run & 1 == 1);
    let set = bits.fold(0u64, |all, bit| all | 1 << bit);
    for name in [FieldName::WriteDisable, FieldName::ReadDisable] {
        let width = name.within(map).unwrap().width();
        fuses.write(name, set & ((1 << width) - 1)).unwrap();
    }
    // With these espefuse shows what the factory measured.
    for name in [
        FieldName::BlockMajor,
        FieldName::BlockMinor,
        FieldName::Block3Reserved,
    ] {
        let _ = fuses.write(name, 1);
    }
    // With these it would read the rest differently, or not at all.
    for name in [FieldName::CodingScheme, FieldName::SecureDownload] {
        let _ = fuses.write(name, 0);
    }
    // Every code that a purpose can have, in some slot of some run.
    for (code, slot) in (u64::from(run) * 6..).zip(map.key_slots()) {
        if let Some(purpose) = slot.purpose.and_then(|name| map.field(name)) {
            let code = code & ((1 << purpose.width()) - 1);
            fuses.set_number(purpose, code).unwrap();
        }
    }
    let _ = fuses.write(FieldName::ChipVersionRev2, 0);
    fuses
        .set_revision(Revision::new(map.from.major, map.from.minor))
        .unwrap();
    fuses
}

/// espefuse's emulation over these fuses: a file with all registers, last byte first.
fn summary(fuses: &EfuseImage) -> serde_json::Map<String, Value> {
    let map = fuses.map();
    let size = if map.chip == Chip::Esp32 {
        0x120
    } else {
        0x200
    };
    let mut registers = vec![0; size];
    for block in map.blocks {
        for (word, value) in (0..).zip(fuses.block(block.number)) {
            let at = (block.word_address(word).unwrap() - map.controller.base) as usize;
            registers[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    }
    registers.reverse();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("fuses.bin");
    std::fs::write(&file, registers).unwrap();
    let (chip, file) = (map.chip.name(), file.display().to_string());
    let ran = stranger(
        "espefuse",
        &[
            "--chip",
            chip,
            "--virt",
            "--path-efuse-file",
            &file,
            "summary",
            "--format",
            "json",
        ],
    )
    .expect(0);
    let start = ran.out.find('{').unwrap_or_else(|| panic!("{}", ran.out));
    serde_json::from_str(&ran.out[start..]).unwrap()
}

/// The bits of a readable number.
fn value(entry: &Value) -> Option<u64> {
    let readable = entry["readable"] == true;
    let text = entry["raw_value"].as_str().filter(|_| readable)?;
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn read(fuses: &EfuseImage, field: &FuseField) -> Option<u64> {
    match field.kind {
        FieldKind::Number | FieldKind::Count | FieldKind::Purpose => fuses.number(field),
        FieldKind::Bytes | FieldKind::Mac | FieldKind::CustomMac => None,
    }
}
