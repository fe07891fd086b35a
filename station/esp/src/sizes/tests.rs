//! An ELF made by hand, its tables broken, and any bytes at all.

use super::*;
use proptest::prelude::*;

/// A section: name, type, flags, address, content or size.
struct Made(&'static str, u32, u32, u32, Vec<u8>, u32);

/// An ELF for RISC-V of these sections and symbols (name, address, size, type, section).
fn elf(sections: Vec<Made>, symbols: &[(&str, u32, u32, u8, u16)]) -> Vec<u8> {
    let mut all = vec![Made("", 0, 0, 0, vec![], 0)];
    all.extend(sections);
    let (mut table, mut names) = (vec![0; 16], vec![0]);
    for (name, address, size, kind, section) in symbols {
        table.extend((names.len() as u32).to_le_bytes());
        table.extend(address.to_le_bytes());
        table.extend(size.to_le_bytes());
        table.extend([*kind, 0]);
        table.extend(section.to_le_bytes());
        names.extend(name.bytes().chain([0]));
    }
    let strings = all.len() as u32 + 1;
    all.push(Made(".symtab", 2, 0, 0, table, strings));
    all.push(Made(".strtab", 3, 0, 0, names, 0));
    let mut headings = vec![0];
    let places: Vec<u32> = all
        .iter()
        .map(|made| {
            let at = headings.len() as u32;
            headings.extend(made.0.bytes().chain([0]));
            at
        })
        .collect();
    let mut bytes = b"\x7FELF\x01\x01\x01".to_vec();
    bytes.resize(HEAD, 0);
    let mut rows = Vec::new();
    for (Made(_, kind, flags, address, content, other), name) in all.iter().zip(places) {
        let size = if *kind == 8 {
            *other
        } else {
            content.len() as u32
        };
        let link = if *kind == 2 { *other } else { 0 };
        let start = bytes.len() as u32;
        for word in [name, *kind, *flags, *address, start, size, link, 0, 4, 0] {
            rows.extend(word.to_le_bytes());
        }
        bytes.extend(content);
    }
    let start = bytes.len() as u32;
    for word in [0, 3, 0, 0, start, headings.len() as u32, 0, 0, 1, 0] {
        rows.extend(u32::to_le_bytes(word));
    }
    bytes.extend(headings);
    let table = bytes.len() as u32;
    bytes.extend(rows);
    let count = all.len() as u16 + 1;
    bytes[18..20].copy_from_slice(&243u16.to_le_bytes());
    bytes[32..36].copy_from_slice(&table.to_le_bytes());
    bytes[46..48].copy_from_slice(&40u16.to_le_bytes());
    bytes[48..50].copy_from_slice(&count.to_le_bytes());
    bytes[50..52].copy_from_slice(&(count - 1).to_le_bytes());
    bytes
}

const HEAD: usize = 52;

fn sample() -> Vec<u8> {
    elf(
        vec![
            Made(".flash.text", 1, 6, 0x4200_0020, vec![0x13; 1000], 0),
            Made(".flash.rodata", 1, 2, 0x3C00_0020, vec![1; 300], 0),
            Made(".dram0.data", 1, 3, 0x3FC8_0000, vec![2; 64], 0),
            Made(".dram0.bss", 8, 3, 0x3FC8_0040, vec![], 4096),
            Made(".debug_info", 1, 0, 0, vec![3; 5000], 0),
        ],
        &[
            ("app_main", 0x4200_0020, 100, 0x12, 1),
            (
                "_ZN4core3fmt5write17h0123456789abcdefE",
                0x4200_0100,
                200,
                2,
                1,
            ),
            ("_ZN5Motor5startEi", 0x4200_0200, 300, 2, 1),
            ("_ZN5MotorC1Ev", 0x4200_0084, 10, 2, 1),
            ("_ZN5MotorC2Ev", 0x4200_0084, 10, 2, 1),
            ("buffer", 0x3FC8_0040, 4000, 1, 4),
            ("outside", 0x4200_0020, 5000, 2, 1),
            ("label", 0x4200_0020, 100, 0, 1),
        ],
    )
}

#[test]
fn sections_count_once_for_flash_and_ram() {
    let report = sizes(&sample(), Chip::Esp32C3, Some(1500), Some(2000)).unwrap();
    assert_eq!(report.flash, 1000 + 300 + 64);
    assert_eq!(report.ram, 64 + 4096);
    assert_eq!(report.class(Class::Zeroed), 4096);
    let names: Vec<&str> = report
        .sections
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(
        names,
        [".flash.rodata", ".dram0.data", ".dram0.bss", ".flash.text"]
    );
    let used: Vec<u64> = report.regions.iter().map(|region| region.used).collect();
    assert_eq!(used, [300, 64 + 4096, 1000]);
    let fit = report.fit.unwrap();
    assert_eq!((fit.free(), fit.permille()), (Some(500), 750));
    assert_eq!(
        Fit {
            image: 3,
            partition: 2
        }
        .free(),
        None
    );
}

#[test]
fn symbols_come_largest_first_with_the_names_of_their_authors() {
    let report = sizes(&sample(), Chip::Esp32C3, None, None).unwrap();
    let shown: Vec<(&str, u32)> = report
        .symbols
        .iter()
        .map(|one| {
            (
                one.demangled.as_ref().unwrap_or(&one.name).as_str(),
                one.size,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("buffer", 4000),
            ("Motor::start(int)", 300),
            ("core::fmt::write", 200),
            ("app_main", 100),
            ("Motor::Motor()", 10)
        ]
    );
    let unnamed: Vec<u32> = report.sections.iter().map(|one| one.unnamed).collect();
    assert_eq!(unnamed, [300, 64, 96, 1000 - 610]);
}

#[test]
fn overlapping_symbols_cover_their_bytes_once() {
    let sections = vec![Made(".text", 1, 6, 0x4200_0020, vec![0; 100], 0)];
    let symbols = [
        ("a", 0x4200_0020, 60, 2, 1),
        ("b", 0x4200_0040, 10, 2, 1),
        ("c", 0x4200_0050, 30, 2, 1),
    ];
    let report = sizes(&elf(sections, &symbols), Chip::Esp32C3, None, None).unwrap();
    assert_eq!(report.sections[0].unnamed, 100 - 78);
}

#[test]
fn an_elf_for_another_machine_or_with_tables_outside_is_refused() {
    let code = |bytes: &[u8], chip| sizes(bytes, chip, None, None).unwrap_err().code();
    assert_eq!(code(&sample(), Chip::Esp32), "elf-wrong-machine");
    assert_eq!(code(b"\x7FELF", Chip::Esp32C3), "elf-format");
    let cut = sample();
    assert_eq!(code(&cut[..cut.len() - 10], Chip::Esp32C3), "elf-sections");
}

#[test]
fn a_name_that_many_sections_share_is_cut() {
    let name: &'static str = "x".repeat(100_000).leak();
    let sections = vec![Made(name, 1, 6, 0x4200_0020, vec![0; 100], 0)];
    let report = sizes(&elf(sections, &[]), Chip::Esp32C3, None, None).unwrap();
    assert_eq!(report.sections[0].name.len(), 256);
}

#[test]
fn long_names_are_cut() {
    let long = format!("_ZN{}3barE", "3foo".repeat(2000));
    let name = demangled(&long).unwrap_or_default();
    assert!(name.len() <= 512);
    assert_eq!(demangled("main"), None);
}

proptest! {
    #[test]
    fn changed_tables_get_an_answer(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        tail in any::<bool>(),
    ) {
        let mut bytes = sample();
        for (at, byte) in changes {
            // The header and the tables, not the content.
            let at = if tail { bytes.len() - 1 - at.index(700) } else { at.index(HEAD) };
            bytes[at] = byte;
        }
        if let Ok(report) = sizes(&bytes, Chip::Esp32C3, Some(1), Some(1)) {
            prop_assert!(report.symbols.len() <= bytes.len() / 16);
        }
    }

    #[test]
    fn any_name_gets_an_answer(name in "_Z[A-Za-z0-9_]{0,300}") {
        prop_assert!(demangled(&name).is_none_or(|name| name.len() <= 512));
    }

    #[test]
    fn any_bytes_get_an_answer(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let head = b"\x7FELF\x01\x01";
        if bytes.len() > 30 {
            bytes[..6].copy_from_slice(head);
            bytes[18..20].copy_from_slice(&243u16.to_le_bytes());
        }
        let _ = sizes(&bytes, Chip::Esp32C3, None, None);
    }
}
