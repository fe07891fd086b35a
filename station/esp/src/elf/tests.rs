//! ELFs made here, whole and damaged.

use super::*;
use crate::image::FlashMode;
use proptest::prelude::*;

const HEADER: usize = 52;
const PROGRAM_HEADER: usize = 32;
const SECTION_HEADER: usize = 40;
const LOAD: u32 = 1;

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// A section: name, flags, address, bytes.
type Section<'a> = (&'a str, u32, u32, &'a [u8]);

/// A small ELF with these sections, each also a program header.
fn elf(machine: u16, entry: u32, sections: &[Section<'_>]) -> Vec<u8> {
    let mut names = vec![0];
    let mut bytes = vec![0; HEADER + sections.len() * PROGRAM_HEADER];
    let mut program = Vec::new();
    let mut table = vec![0; SECTION_HEADER];
    let push = |table: &mut Vec<u8>, words: [u32; 10]| {
        words
            .iter()
            .for_each(|word| table.extend_from_slice(&word.to_le_bytes()));
    };
    for (name, flags, address, data) in sections {
        let (offset, length) = (bytes.len() as u32, data.len() as u32);
        bytes.extend_from_slice(data);
        push(
            &mut table,
            [
                names.len() as u32,
                1,
                *flags,
                *address,
                offset,
                length,
                0,
                0,
                4,
                0,
            ],
        );
        names.extend_from_slice(name.as_bytes());
        names.push(0);
        for word in [LOAD, offset, *address, *address, length, length, 7, 4] {
            program.extend_from_slice(&word.to_le_bytes());
        }
    }
    let offset = bytes.len() as u32;
    let name = names.len() as u32;
    names.extend_from_slice(b".shstrtab\0");
    bytes.extend_from_slice(&names);
    push(
        &mut table,
        [name, 3, 0, 0, offset, names.len() as u32, 0, 0, 1, 0],
    );
    let section_table = bytes.len() as u32;
    bytes.extend_from_slice(&table);
    bytes[HEADER..HEADER + program.len()].copy_from_slice(&program);
    let count = sections.len() as u16;
    bytes[..16].copy_from_slice(b"\x7FELF\x01\x01\x01\0\0\0\0\0\0\0\0\0");
    let mut head = Vec::new();
    head.extend_from_slice(&2u16.to_le_bytes());
    head.extend_from_slice(&machine.to_le_bytes());
    for word in [1, entry, HEADER as u32, section_table, 0] {
        head.extend_from_slice(&word.to_le_bytes());
    }
    for half in [
        HEADER as u16,
        PROGRAM_HEADER as u16,
        count,
        40,
        count + 2,
        count + 1,
    ] {
        head.extend_from_slice(&half.to_le_bytes());
    }
    bytes[16..HEADER].copy_from_slice(&head);
    bytes
}

fn descriptor() -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..4].copy_from_slice(&0xABCD_5432u32.to_le_bytes());
    bytes[16..21].copy_from_slice(b"1.2.3");
    bytes[48..56].copy_from_slice(b"selftest");
    bytes[112..116].copy_from_slice(b"v5.4");
    bytes[178..180].copy_from_slice(&[0xFF, 0xFF]);
    bytes
}

fn sample() -> Vec<u8> {
    elf(
        243,
        0x4038_0000,
        &[
            (".flash.appdesc", 2, 0x3C00_0020, &descriptor()),
            (".text", 6, 0x4201_0120, &[0x13; 700]),
            (".iram", 6, 0x4038_0000, &[0x93; 64]),
        ],
    )
}

fn usual() -> FlashSettings {
    FlashSettings::usual(Chip::Esp32C3, 4 << 20)
}

#[test]
fn an_elf_becomes_an_image_that_passes_every_check() {
    let elf = sample();
    let settings = FlashSettings {
        mode: FlashMode::Qio,
        frequency_mhz: 80,
        size: 8 << 20,
    };
    let bytes = to_flash_image(&elf, Chip::Esp32C3, &settings).unwrap();
    let image = Image::parse(&bytes).unwrap();
    assert_eq!(image.length as usize, bytes.len());
    assert_eq!(
        (image.header.flash_mode, image.header.flash_size()),
        (FlashMode::Qio, Some(8 << 20))
    );
    assert_eq!(image.header.flash_frequency(), Some(80));
    assert_eq!(image.header.entry, 0x4038_0000);
    assert!(image.entry_is_loaded());
    image.check_application().unwrap();
    let app = image.app.unwrap();
    assert_eq!(
        (app.version.as_str(), app.project.as_str()),
        ("1.2.3", "selftest")
    );
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&elf);
    assert_eq!(app.elf_sha256[..], digest[..]);
}

#[test]
fn the_same_elf_gives_the_same_image_again() {
    let first = to_flash_image(&sample(), Chip::Esp32C3, &usual()).unwrap();
    assert_eq!(
        first,
        to_flash_image(&sample(), Chip::Esp32C3, &usual()).unwrap()
    );
}

#[test]
fn an_elf_for_another_instruction_set_is_refused_by_name() {
    let error = to_flash_image(&sample(), Chip::Esp32S3, &usual()).unwrap_err();
    assert_eq!(error.to_string(), "ELF is for riscv, `esp32s3` is xtensa");
    assert_eq!(
        ram_image(&sample(), Chip::Esp32).unwrap_err().code(),
        "elf-wrong-machine"
    );
}

#[test]
fn settings_that_the_chip_does_not_have_are_refused() {
    let wrong = FlashSettings {
        frequency_mhz: 60,
        ..usual()
    };
    let error = to_flash_image(&sample(), Chip::Esp32C3, &wrong).unwrap_err();
    assert_eq!(error.code(), "elf-flash-frequency");
    let wrong = FlashSettings {
        size: 3 << 20,
        ..usual()
    };
    let error = to_flash_image(&sample(), Chip::Esp32C3, &wrong).unwrap_err();
    assert_eq!(error.code(), "elf-flash-size");
}

#[test]
fn a_program_for_ram_gives_its_segments_in_whole_words() {
    let program = elf(
        243,
        0x4038_0000,
        &[
            (".text", 6, 0x4038_0000, &[1, 2, 3, 4, 5]),
            (".data", 3, 0x3FC8_4000, &[9; 8]),
        ],
    );
    let image = ram_image(&program, Chip::Esp32C3).unwrap();
    assert_eq!(image.entry, 0x4038_0000);
    assert_eq!(
        image.segments,
        [
            (0x4038_0000, vec![1, 2, 3, 4, 5, 0, 0, 0]),
            (0x3FC8_4000, vec![9; 8])
        ]
    );
}

#[test]
fn a_program_for_ram_is_an_image_for_load_ram() {
    let program = elf(243, 0x4038_0000, &[(".text", 6, 0x4038_0000, &[1; 40])]);
    let image = Image::parse(&to_ram_binary(&program, Chip::Esp32C3).unwrap()).unwrap();
    assert_eq!((image.segments.len(), image.header.entry), (1, 0x4038_0000));
    assert_eq!(
        to_ram_binary(&sample(), Chip::Esp32C3).unwrap_err().code(),
        "elf-not-in-ram"
    );
}

#[test]
fn a_program_for_flash_is_no_program_for_ram() {
    assert_eq!(
        ram_image(&sample(), Chip::Esp32C3).unwrap_err().code(),
        "elf-not-in-ram"
    );
}

#[test]
fn a_descriptor_too_short_for_a_digest_is_left_alone_or_refused() {
    let short = |chip: Chip, length| {
        let flash = if chip == Chip::Esp32C6 {
            0x4200_0020
        } else {
            0x3C00_0020
        };
        let data = vec![0; length];
        let sections = [
            (".flash.appdesc", 2, flash, &data[..]),
            (".text", 6, 0x4208_0120, &[0x13; 700]),
        ];
        to_flash_image(
            &elf(243, 0x4208_0120, &sections),
            chip,
            &FlashSettings::usual(chip, 4 << 20),
        )
    };
    short(Chip::Esp32C3, 8).unwrap();
    // A chip with a choice of pages needs to know which.
    assert_eq!(short(Chip::Esp32C6, 8).unwrap_err().code(), "elf-sections");
    short(Chip::Esp32C6, 256).unwrap();
}

#[test]
fn a_digest_is_put_where_it_was_asked_for_or_not_at_all() {
    let place = |offset| {
        let mut options = ImageOptions::new(usual());
        options.elf_sha256_offset = Some(offset);
        to_image(&sample(), Chip::Esp32C3, &options)
    };
    let digest = <sha2::Sha256 as sha2::Digest>::digest(sample());
    let found = place(0xD4).unwrap();
    assert_eq!(found[0xD4..0xF4], digest[..]);
    for offset in [0x10, 0x18, 0x20, 0x110, 0x00FF_0000] {
        assert_eq!(
            place(offset).unwrap_err().code(),
            "elf-digest-place",
            "{offset:#x}"
        );
    }
}

#[test]
fn mapped_parts_of_one_page_are_refused_with_their_names() {
    let apart = elf(
        243,
        0,
        &[
            (".one", 2, 0x3C00_0020, &[1; 64]),
            (".two", 2, 0x3C00_0100, &[2; 64]),
        ],
    );
    let error = to_flash_image(&apart, Chip::Esp32C3, &usual()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "section `.two` at 0x3c000100 lies in the same 64KB page of flash as 0x3c000020: \
         the linker script must join them"
    );
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    let mut options = ImageOptions::new(usual());
    options.secure_pad = SecurePad::V2;
    options.hash = false;
    let error = to_image(&sample(), Chip::Esp32C3, &options).unwrap_err();
    assert_eq!(error.code(), "elf-options");
    options.secure_pad = SecurePad::None;
    options.pad_to_multiple = Some(u32::MAX);
    let error = to_image(&sample(), Chip::Esp32C3, &options).unwrap_err();
    assert_eq!(error.code(), "elf-options");
    options.pad_to_multiple = Some(4096);
    let padded = to_image(&sample(), Chip::Esp32C3, &options).unwrap();
    assert!(padded.len().is_multiple_of(4096) && padded.ends_with(&[0xFF]));
}

#[test]
fn what_no_header_can_say_is_refused() {
    let mut options = ImageOptions::new(usual());
    options.min_revision = crate::chip::Revision::new(1, 0);
    options.max_revision = Some(crate::chip::Revision::new(0, 3));
    let error = to_image(&sample(), Chip::Esp32C3, &options).unwrap_err();
    assert_eq!(error.code(), "image-revisions");
    // Bootloaders take it for any.
    options.max_revision = Some(crate::chip::Revision::new(0, 0));
    to_image(&sample(), Chip::Esp32C3, &options).unwrap();
    options.flash.size = 256 << 20;
    let error = to_image(&sample(), Chip::Esp32C3, &options).unwrap_err();
    assert_eq!(error.code(), "elf-flash-size");
}

#[test]
fn a_name_that_many_sections_share_is_cut_and_too_many_parts_end_the_reading() {
    let name = format!(".{}", "x".repeat(100_000));
    let sections: Vec<Section<'_>> = (0..2)
        .map(|at| (name.as_str(), 2, 0x3C00_0020 + 64 * at, &[1u8; 4][..]))
        .collect();
    let error = to_flash_image(&elf(243, 0, &sections), Chip::Esp32C3, &usual()).unwrap_err();
    assert!(
        error.to_string().len() < 1000,
        "{}",
        error.to_string().len()
    );
    let sections: Vec<Section<'_>> = (0..1000)
        .map(|at| (".x", 2, 0x3FC8_0000 + 64 * at, &[1u8; 4][..]))
        .collect();
    let error = to_flash_image(&elf(243, 0, &sections), Chip::Esp32C3, &usual()).unwrap_err();
    assert_eq!(error, ElfError::TooManyParts(17));
}

#[test]
fn sections_that_share_the_file_many_times_over_are_refused() {
    let data = [0u8; 400];
    let mut hostile = elf(
        243,
        0,
        &[(".a", 2, 0x3C00_0020, &data), (".b", 2, 0x3C10_0020, &data)],
    );
    let table = word(&hostile, 32) as usize;
    let size = hostile.len() as u32;
    for index in 1..=2 {
        let head = table + index * SECTION_HEADER;
        hostile[head + 16..head + 20].copy_from_slice(&0u32.to_le_bytes());
        hostile[head + 20..head + 24].copy_from_slice(&size.to_le_bytes());
    }
    let error = to_flash_image(&hostile, Chip::Esp32C3, &usual()).unwrap_err();
    assert_eq!(error.code(), "elf-part");
    assert!(
        error.to_string().starts_with("section `.b` at 0x3c100020"),
        "{error}"
    );
}

#[test]
fn text_is_no_elf() {
    assert!(!is_elf(b"#!/bin/sh"));
    assert_eq!(
        ram_image(b"#!/bin/sh", Chip::Esp32).unwrap_err(),
        ElfError::NotElf
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_damage_to_an_elf_makes_either_reader_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        headers_only in any::<bool>(),
    ) {
        let mut bytes = sample();
        let sections = word(&bytes, 32) as usize;
        for (place, value) in damage {
            let at = if headers_only { 16 + place.index(HEADER + 80) } else { place.index(bytes.len()) };
            // Half of the damage goes to the section table, where it hurts most.
            let at = if value & 1 == 0 { sections + at % (bytes.len() - sections) } else { at };
            bytes[at] = value;
        }
        for use_segments in [false, true] {
            let mut options = ImageOptions::new(usual());
            options.use_segments = use_segments;
            options.ram_only_header = bytes.len().is_multiple_of(2);
            let _ = to_image(&bytes, Chip::Esp32C3, &options);
        }
        let _ = to_flash_image(&bytes, Chip::Esp32C3, &usual());
        let _ = to_ram_binary(&bytes, Chip::Esp32C3);
        let _ = ram_image(&bytes, Chip::Esp32C3);
    }

    #[test]
    fn no_bytes_make_either_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut elf = b"\x7FELF\x01\x01".to_vec();
        elf.extend_from_slice(&bytes);
        for chip in [Chip::Esp32, Chip::Esp32C3] {
            let _ = ram_image(&elf, chip);
            let _ = to_flash_image(&elf, chip, &FlashSettings::usual(chip, 4 << 20));
        }
    }
}
