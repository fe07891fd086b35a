//! What lies in flash beside firmware, and the text it is made of.

use station_esp::Chip;
use station_esp::matter::FactoryRecord;
use station_esp::nvs::{self, Content, NvsKeys, Version};
use station_esp::otadata::{Applications, OTADATA_LENGTH, OtaData, State};
use station_esp::partition::{Entry, Kind, Rules, Table};
use station_esp::secret::Secret;
use station_esp::{image, picture};

use super::repair;

/// Whether no entry gets place and size by itself, as those for bootloaders and tables do in CSV.
fn entries_are_plain(table: &Table) -> bool {
    let plain = |entry: &Entry| !matches!(entry.kind, Kind::Bootloader | Kind::PartitionTable);
    table.entries().iter().all(plain)
}

/// What every table that was accepted must stand.
fn use_table(table: &Table, from_csv: bool) {
    let binary = table.to_binary();
    let again = Table::parse_binary(&binary).expect("what we write we read");
    assert_eq!(again.entries(), table.entries());
    // A binary table may hold what CSV cannot say: entries in no order, or before the table.
    let text = table.to_csv();
    match Table::parse_csv(&text) {
        Ok(again) if entries_are_plain(table) => {
            assert_eq!(again.entries(), table.entries(), "{text}");
        }
        Ok(_) => {}
        Err(error) => assert!(!from_csv, "what we write we read: {error}\n{text}"),
    }
    let chip = Chip::Esp32C3;
    if let Ok(usage) = table.usage(4 << 20, chip.spec().bootloader_offset, 0x8000) {
        assert!(!usage.regions.is_empty() && usage.used + usage.free <= usage.flash_size);
    }
    let drawn = picture::flash_map(chip, 4 << 20, 0x8000, table, &[]);
    assert!(drawn.contains("<svg"));
    let _ = (table.check_flash_size(4 << 20), table.default_app());
    let applications = Applications::of(table);
    assert!(applications.slots <= 16);
}

pub(super) fn partition(bytes: &[u8]) -> bool {
    let one = |bytes: &[u8]| {
        let _ = image::find_table(bytes)
            .map(|(at, table)| image::split_raw(bytes, Chip::Esp32C3, &table, at));
        let parsed = Table::parse(bytes, &Rules::default());
        let binary = Table::parse_binary(bytes);
        if let Ok(table) = parsed.as_ref().or(binary.as_ref()) {
            use_table(table, false);
        }
        binary.is_ok()
    };
    one(bytes) | repair::table(bytes).is_some_and(|bytes| one(&bytes))
}

/// Lines that begin with `+` add subtypes; the rest is the table.
pub(super) fn partition_csv(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut rules = Rules::default();
    let (added, rows): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with('+'));
    for line in added {
        let _ = rules.add_subtype(&line[1..]);
    }
    let _ = Table::parse_csv_with(&rows.join("\n"), &rules).map(|table| table.to_csv_with(&rules));
    let Ok(table) = Table::parse_csv(&text) else {
        return false;
    };
    use_table(&table, true);
    true
}

const TABLE: &str = "nvs,data,nvs,0x9000,0x6000\n1,app,factory,0x10000,1M\na+b,data,fat,,64K\n";

pub(super) fn address(bytes: &[u8]) -> bool {
    let table = Table::parse_csv(TABLE).expect("the table of this test");
    let text = String::from_utf8_lossy(bytes);
    table.address(&text).is_ok()
}

pub(super) fn otadata(bytes: &[u8]) -> bool {
    let mut bytes = bytes.to_vec();
    bytes.resize(OTADATA_LENGTH, 0xFF);
    one_otadata(&bytes) | one_otadata(&repair::otadata(bytes))
}

fn one_otadata(bytes: &[u8]) -> bool {
    let data = OtaData::parse(bytes).expect("every content has a meaning");
    assert_eq!(OtaData::parse(&data.to_bytes()), Ok(data));
    for slots in [0, 1, 2, 16, 255] {
        let applications = Applications {
            factory: slots % 2 == 0,
            slots,
        };
        let (_, started) = data.start(applications);
        let _ = (data.boot(applications), started.given_up(slots));
        let mut changed = data;
        for slot in [0, 1, 15] {
            if changed.set(slot, slots, State::New).is_ok() {
                assert_eq!(changed.active_slot(slots), Some(slot));
            }
        }
        let _ = changed.mark_valid();
        let _ = changed.roll_back(applications);
    }
    data.active().is_some()
}

/// Whole pages, three at most.
fn pages(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.truncate(3 * nvs::PAGE);
    bytes.resize(bytes.len().next_multiple_of(nvs::PAGE).max(nvs::PAGE), 0xFF);
    bytes
}

pub(super) fn nvs(bytes: &[u8]) -> bool {
    let bytes = pages(bytes);
    one_nvs(&bytes, None) | one_nvs(&repair::nvs(bytes), None)
}

pub(super) fn nvs_encrypted(bytes: &[u8]) -> bool {
    let keys = NvsKeys::new(Secret::new((0..64).collect())).expect("64 bytes are keys");
    one_nvs(&pages(bytes), Some(&keys))
}

fn one_nvs(bytes: &[u8], keys: Option<&NvsKeys>) -> bool {
    let image = nvs::parse(bytes, keys).expect("whole pages are always read");
    let _ = (image.looks_encrypted(), image.erased(), image.to_csv());
    let _ = FactoryRecord::read(&image);
    for found in &image.entries {
        assert!(found.offset as usize <= bytes.len());
    }
    let Ok(content) = image.content() else {
        return false;
    };
    build_nvs(&content, Version::V2);
    image.findings.is_empty() && !image.entries.is_empty()
}

fn build_nvs(content: &Content, version: Version) -> bool {
    let Ok(size) = nvs::smallest_size(content, version) else {
        return false;
    };
    let built = nvs::build(content, size, version).expect("it fits what it said it needs");
    let image = nvs::parse(&built, None).expect("what we write we read");
    assert_eq!(image.findings, []);
    assert_eq!(image.content().as_ref(), Ok(content));
    true
}

pub(super) fn nvs_csv(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let files = |name: &str| match name {
        "a" => Ok(b"0102".to_vec()),
        "b" => Ok(vec![0x80; 5000]),
        _ => Err("there is none".to_owned()),
    };
    let Ok(content) = Content::parse_csv(&text, &files) else {
        return false;
    };
    if let Ok(text) = content.to_csv() {
        let again = Content::parse_csv(&text, &files).expect("what we write we read");
        assert_eq!(again, content, "{text}");
    }
    build_nvs(&content, Version::V1) | build_nvs(&content, Version::V2)
}

pub(super) fn nvs_keys(bytes: &[u8]) -> bool {
    let mut repaired = bytes.to_vec();
    repaired.resize(bytes.len().max(68), 0);
    let sum = repair::crc(0, &[&repaired[..64]]);
    repaired[64..68].copy_from_slice(&sum.to_le_bytes());
    [bytes.to_vec(), repaired].into_iter().any(|bytes| {
        let Ok(keys) = NvsKeys::parse_partition(&Secret::new(bytes)) else {
            return false;
        };
        assert_eq!(NvsKeys::parse_partition(&keys.to_partition()), Ok(keys));
        true
    })
}
