//! What partition tables must hold and refuse.

use super::*;
use proptest::prelude::*;

mod layouts;

const SAMPLE: &str = "\
# Name,   Type, SubType, Offset,  Size, Flags
nvs,      data, nvs,     ,        0x6000,
phy_init, data, phy,     ,        0x1000,
factory,  app,  factory, ,        1M,
otadata,  data, ota,     ,        8K,
ota_0,    app,  ota_0,   ,        1M,
storage,  data, spiffs,  ,        256K, encrypted
own,      0x40, 0x01,    0x300000, 0x1000, encrypted:readonly
";

fn fault(text: &str) -> (Option<usize>, &'static str) {
    let error = Table::parse_csv(text).unwrap_err();
    (error.line(), error.code())
}

#[test]
fn offsets_left_open_follow_the_entry_before_on_their_alignment() {
    let table = Table::parse_csv(SAMPLE).unwrap();
    let offsets: Vec<u32> = table.entries().iter().map(|entry| entry.offset).collect();
    assert_eq!(
        offsets,
        [
            0x9000, 0xF000, 0x1_0000, 0x11_0000, 0x12_0000, 0x22_0000, 0x30_0000
        ]
    );
    assert_eq!(
        table.default_app().map(|entry| entry.name.as_str()),
        Some("factory")
    );
    assert_eq!(table.end(), 0x30_1000);
}

#[test]
fn binary_and_csv_say_the_same() {
    let table = Table::parse_csv(SAMPLE).unwrap();
    let binary = table.to_binary();
    assert_eq!(binary.len(), TABLE_LENGTH);
    assert_eq!(Table::parse_binary(&binary).unwrap(), table);
    assert_eq!(Table::parse_csv(&table.to_csv()).unwrap(), table);
}

#[test]
fn another_implementation_reads_and_writes_the_same_bytes() {
    let table = Table::parse_csv(SAMPLE).unwrap();
    let theirs = esp_idf_part::PartitionTable::try_from_bytes(table.to_binary()).unwrap();
    assert_eq!(theirs.partitions().len(), table.entries().len());
    assert_eq!(theirs.to_bin().unwrap(), table.to_binary());
    let theirs = esp_idf_part::PartitionTable::try_from_str(table.to_csv()).unwrap();
    assert_eq!(theirs.to_bin().unwrap(), table.to_binary());
}

#[test]
fn a_flipped_bit_anywhere_in_the_entries_is_noticed() {
    let table = Table::parse_csv(SAMPLE).unwrap();
    let binary = table.to_binary();
    for at in 0..(table.entries().len() + 1) * 32 {
        let mut damaged = binary.clone();
        damaged[at] ^= 0x10;
        assert!(Table::parse_binary(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn a_table_without_its_checksum_is_refused() {
    let mut binary = Table::parse_csv(SAMPLE).unwrap().to_binary();
    binary[7 * 32..8 * 32].fill(0xFF);
    assert_eq!(
        Table::parse_binary(&binary).unwrap_err().code(),
        "partition-no-checksum"
    );
    assert_eq!(
        Table::parse_binary(&[]).unwrap_err().code(),
        "partition-no-end"
    );
}

#[test]
fn a_full_table_survives_and_one_more_entry_is_refused() {
    let rows = |count: usize| {
        (0..count)
            .map(|at| format!("p{at},0x40,0,,0x1000\n"))
            .collect::<String>()
    };
    // The bootloader needs an end mark behind the checksum.
    let full = Table::parse_csv(&rows(94)).unwrap();
    assert_eq!(Table::parse_binary(&full.to_binary()).unwrap(), full);
    assert_eq!(fault(&rows(95)), (None, "partition-too-many"));
    let mut rules = Rules::default();
    rules.checksum = Checksum::Off;
    let full = Table::parse_csv_with(&rows(95), &rules).unwrap();
    let binary = full.to_binary_with(Checksum::Off);
    assert_eq!(binary.len(), TABLE_LENGTH);
    assert_eq!(Table::parse_binary_with(&binary, &rules).unwrap(), full);
    assert!(Table::parse_csv_with(&rows(96), &rules).is_err());
    // 95 entries and a checksum leave no room for the end mark.
    let mut crowded = Table::parse_csv(&rows(94)).unwrap().to_binary();
    crowded[94 * 32..].fill(0);
    assert_eq!(
        Table::parse_binary(&crowded).unwrap_err().code(),
        "partition-magic"
    );
}

#[test]
fn every_broken_rule_names_its_line() {
    let cases = [
        ("nvs,data,nvs,0x40000", "partition-no-size"),
        ("nvs,data,nvs,0x40000,0x6000,,extra", "partition-columns"),
        ("nvs,data,nvs,${OFFSET},0x6000", "partition-variable"),
        (",data,nvs,0x40000,0x6000", "partition-name"),
        (
            "a_name_of_seventeen,data,nvs,0x40000,0x6000",
            "partition-name",
        ),
        ("nvs,date,nvs,0x9000,0x6000", "partition-type"),
        ("nvs,data,nvz,0x9000,0x6000", "partition-subtype"),
        ("app,app,ota_16,0x10000,1M", "partition-subtype"),
        ("nvs,data,nvs,0x9000,0x6000,locked", "partition-flag"),
        ("nvs,data,nvs,0x9000,6.5K", "partition-number"),
        ("nvs,data,nvs,0x9000,99999M", "partition-number"),
        ("nvs,data,nvs,0x40000,-1", "partition-ends-before"),
        ("core,data,coredump,,64K,readonly", "partition-read-only"),
        ("nvs,data,nvs,0x9000,", "partition-no-size"),
        ("nvs,data,nvs,0x40000,0", "partition-no-size"),
        ("nvs,data,nvs,0x40100,0x6000", "partition-unaligned"),
        ("app,app,factory,0x41000,1M", "partition-unaligned"),
        ("app,app,factory,0x40000,0x1100", "partition-size"),
        ("ota,data,ota,0x40000,0x1000", "partition-size"),
        ("nvs,data,nvs,0x40000,0x2000", "partition-size"),
        ("nvs,data,nvs,0x8000,0x6000", "partition-before-table"),
        (
            "big,data,fat,0xFFFFF000,0x2000",
            "partition-beyond-addresses",
        ),
        ("boot,bootloader,primary,,0x6000", "partition-no-offset"),
        ("boot,bootloader,ota,,N/A", "partition-no-size"),
        ("other,data,fat,0x20000,0x1000", "partition-order"),
        ("first,data,fat,0x40000,0x1000", "partition-duplicate-name"),
    ];
    for (row, code) in cases {
        let text = format!("# a comment\n\nfirst,data,fat,0x20000,0x10000\n{row}\n");
        assert_eq!(fault(&text), (Some(4), code), "{row}");
    }
    assert_eq!(fault("# nothing\n"), (None, "partition-empty"));
}

#[test]
fn two_equal_applications_are_refused() {
    let text = "a,app,ota_0,0x10000,1M\nb,app,ota_0,0x110000,1M\n";
    assert_eq!(fault(text), (Some(2), "partition-duplicate-subtype"));
}

/// The binary form of these rows with its right MD5.
fn sealed(rows: &[u8]) -> Vec<u8> {
    let digest = <md5::Md5 as md5::Digest>::digest(rows);
    let mark = [&[0xEB, 0xEB][..], &[0xFF; 14]].concat();
    [rows, &mark, &digest, &[0xFF; 32]].concat()
}

#[test]
fn a_row_for_the_bootloader_says_any_number_and_none_does_harm() {
    let far = i64::MAX;
    for (row, code) in [
        (
            format!("boot,bootloader,primary,-{far},-{far}"),
            "partition-number",
        ),
        (
            format!("boot,bootloader,primary,0x1000,{far}"),
            "partition-number",
        ),
        (
            "boot,bootloader,primary,-4K,-8K".to_owned(),
            "partition-number",
        ),
        (
            "boot,bootloader,primary,0x1000,32K".to_owned(),
            "partition-into-table",
        ),
    ] {
        assert_eq!(fault(&format!("{row}\n")), (Some(1), code), "{row}");
    }
    let table = Table::parse_csv("boot,bootloader,primary,0x1000,28K\n").unwrap();
    assert_eq!(table.end(), 0x8000);
}

#[test]
fn bytes_behind_the_end_of_a_name_are_no_part_of_it() {
    let clean = Table::parse_csv("nvs,data,nvs,0x9000,0x6000\n").unwrap();
    let mut rows = clean.to_binary()[..32].to_vec();
    rows[12 + 5] = b'!';
    let read = Table::parse_binary(&sealed(&rows)).unwrap();
    assert_eq!(read, clean);
    assert_eq!(read.to_binary(), clean.to_binary());
    rows[28] = 4;
    let error = Table::parse_binary(&sealed(&rows)).unwrap_err();
    assert_eq!(error.code(), "partition-flag");
}

#[test]
fn a_damaged_row_of_the_checksum_says_so() {
    let mut binary = Table::parse_csv(SAMPLE).unwrap().to_binary();
    binary[7 * 32 + 9] = 0;
    let error = Table::parse_binary(&binary).unwrap_err();
    assert_eq!(error.code(), "partition-checksum-row");
    assert_eq!(error.place, Place::Entry(8));
}

#[test]
fn a_binary_table_out_of_order_is_read_and_warned_of_because_its_csv_is_refused() {
    let table = Table::parse_csv(SAMPLE).unwrap();
    let mut rows = table.to_binary()[..7 * 32].to_vec();
    rows.rotate_left(32);
    let turned = Table::parse_binary(&sealed(&rows)).unwrap();
    assert_eq!(turned.to_binary()[..7 * 32], rows);
    let falling = Warning::OutOfOrder {
        name: "nvs".into(),
        above: "own".into(),
    };
    assert!(turned.warnings(&Rules::default()).contains(&falling));
    assert!(!table.warnings(&Rules::default()).contains(&falling));
    assert_eq!(fault(&turned.to_csv()), (Some(9), "partition-order"));
}

#[test]
fn a_partition_behind_the_flash_is_found_when_the_size_is_known() {
    let table = Table::parse_csv(SAMPLE).unwrap();
    assert_eq!(table.check_flash_size(4 << 20), Ok(()));
    let error = table.check_flash_size(2 << 20).unwrap_err();
    assert_eq!(
        error.to_string(),
        "entry 5: partition `ota_0` does not fit a flash of 2MB"
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z0-9xKM,:# \n_-]{0,200}") {
        let _ = Table::parse_csv(&text);
    }

    #[test]
    fn no_text_of_any_kind_makes_the_parser_panic(text in any::<String>()) {
        let _ = Table::parse_csv(&text);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let _ = Table::parse_binary(&bytes);
    }

    #[test]
    fn entries_with_a_right_checksum_never_make_the_parser_panic(
        rows in prop::collection::vec(prop::array::uniform30(any::<u8>()), 0..8),
    ) {
        let mut bytes = Vec::new();
        for row in rows {
            bytes.extend_from_slice(&[0xAA, 0x50]);
            bytes.extend_from_slice(&row);
        }
        if let Ok(table) = Table::parse_binary(&sealed(&bytes)) {
            prop_assert_eq!(Table::parse_binary(&table.to_binary()), Ok(table));
        }
    }
}
