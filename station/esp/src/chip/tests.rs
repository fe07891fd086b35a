//! Sanity of the tables, and agreement with espflash where it has the same fact.

use std::collections::HashSet;

use super::*;
use crate::command::{Dialect, Opcode};
use crate::efuse::map::fuse_map;
use crate::loader;
use proptest::prelude::*;

#[test]
fn every_chip_is_found_by_its_name_title_and_id() {
    for chip in Chip::ALL {
        assert_eq!(chip.spec().chip, chip);
        assert_eq!(chip.name().parse(), Ok(chip));
        assert_eq!(chip.title().to_uppercase().parse(), Ok(chip));
        assert_eq!(Chip::from_image_id(chip.spec().image_id), Some(chip));
        let json = serde_json::to_string(&chip).unwrap();
        assert_eq!(json, format!("\"{}\"", chip.name()));
        assert_eq!(serde_json::from_str::<Chip>(&json).unwrap(), chip);
    }
    let ids: HashSet<u16> = Chip::ALL.iter().map(|chip| chip.spec().image_id).collect();
    assert_eq!(ids.len(), Chip::ALL.len());
    assert_eq!(
        "esp8266".parse::<Chip>(),
        Err(UnknownChip("esp8266".into()))
    );
}

#[test]
fn only_the_chips_without_an_id_in_security_info_have_a_magic_word() {
    for chip in Chip::ALL {
        let spec = chip.spec();
        let told = spec.security_info == SecurityInfoShape::WithId;
        assert_eq!(spec.magic.is_none(), told, "{chip}");
        if let Some(magic) = spec.magic {
            assert_eq!(Chip::from_magic(magic), Some(chip));
        }
    }
}

#[test]
fn tables_agree_with_espflash() {
    use espflash::target::Chip as Theirs;
    for chip in Chip::ALL {
        let theirs: Theirs = chip.name().parse().unwrap();
        let spec = chip.spec();
        assert_eq!(theirs.id(), spec.image_id, "{chip}");
        assert_eq!(theirs.boot_address(), spec.bootloader_offset, "{chip}");
        let fuses = fuse_map(chip, Revision::new(0, 0));
        assert_eq!(theirs.efuse_reg(), fuses.controller.base, "{chip}");
        assert_eq!(
            theirs.efuse_reg() + theirs.block0_offset(),
            fuses.blocks[0].read,
            "{chip}"
        );
        for (index, block) in fuses.blocks.iter().enumerate() {
            assert_eq!(
                theirs.block_size(index),
                u32::from(block.words) * 4,
                "{chip} {index}"
            );
        }
        assert_eq!(
            theirs.flash_write_size() as u32,
            spec.flash_write.rom,
            "{chip}"
        );
        assert_eq!(
            theirs.stub_flash_write_size() as u32,
            spec.flash_write.stub,
            "{chip}"
        );
        assert_eq!(
            theirs.max_ram_block_size() as u32,
            spec.flash_write.ram,
            "{chip}"
        );
        let spi = theirs.spi_registers();
        assert_eq!(spi.usr(), spec.spi.usr, "{chip}");
        assert_eq!(spi.usr1(), spec.spi.usr1, "{chip}");
        assert_eq!(spi.usr2(), spec.spi.usr2, "{chip}");
        assert_eq!(spi.w0(), spec.spi.w0, "{chip}");
        assert_eq!(spi.mosi_length(), Some(spec.spi.mosi_dlen), "{chip}");
        assert_eq!(spi.miso_length(), Some(spec.spi.miso_dlen), "{chip}");
        for region in spec.memory {
            assert_eq!(
                theirs.addr_is_flash(region.start),
                region.kind.is_flash(),
                "{chip}"
            );
        }
    }
}

#[test]
fn memory_regions_do_not_overlap() {
    for chip in Chip::ALL {
        let spec = chip.spec();
        for (index, region) in spec.memory.iter().enumerate() {
            assert!(region.start < region.end, "{chip}");
            for other in &spec.memory[..index] {
                assert!(
                    region.end <= other.start || other.end <= region.start,
                    "{chip}"
                );
            }
        }
    }
}

#[test]
fn every_stub_starts_inside_its_own_code_and_fits_the_ram_of_its_chip() {
    let mut chips = HashSet::new();
    for (chip, stub) in loader::stubs() {
        chips.insert(chip);
        let end = stub.text_start + stub.text.len() as u32;
        assert!((stub.text_start..end).contains(&stub.entry), "{chip}");
        for (address, bytes) in stub.segments() {
            let region = chip.spec().region(address, bytes.len() as u32);
            assert!(
                region.is_some_and(|region| !region.kind.is_flash()),
                "{chip} {address:#x}"
            );
        }
    }
    assert_eq!(chips.len(), Chip::ALL.len());
    for chip in Chip::ALL {
        assert!(
            loader::stub(chip, chip.spec().typical_revision()).is_some(),
            "{chip}"
        );
    }
}

#[test]
fn an_early_p4_gets_a_stub_and_a_bootloader_of_its_own() {
    let (old, new) = (Revision::new(1, 3), Revision::new(3, 0));
    let stub = |revision| loader::stub(Chip::Esp32P4, revision).unwrap().text_start;
    assert_ne!(stub(old), stub(new));
    let boot = |revision| loader::bootloader_for(Chip::Esp32P4, 40, revision).unwrap();
    assert_ne!(boot(old), boot(new));
    assert_eq!(loader::bootloader(Chip::Esp32P4, 26), None);
}

#[test]
fn rom_and_stub_know_different_commands() {
    let esp32 = Chip::Esp32.spec();
    assert!(!esp32.supports(Dialect::Rom, Opcode::GetSecurityInfo));
    assert!(
        Chip::Esp32C3
            .spec()
            .supports(Dialect::Rom, Opcode::GetSecurityInfo)
    );
    assert!(!esp32.supports(Dialect::Rom, Opcode::EraseFlash));
    assert!(esp32.supports(Dialect::Stub, Opcode::EraseFlash));
    assert!(esp32.supports(Dialect::Rom, Opcode::ReadFlashSlow));
    assert!(!esp32.supports(Dialect::Stub, Opcode::ReadFlashSlow));
    assert!(!esp32.begin_has_encrypt_word(Dialect::Rom));
    assert!(esp32.begin_has_encrypt_word(Dialect::Stub));
}

#[test]
fn the_crystal_is_the_nearest_one_to_baud_times_divider() {
    let crystal = Chip::Esp32.spec().crystal;
    assert_eq!(crystal.from_divider(115_200, 347), 40);
    assert_eq!(crystal.from_divider(115_200, 0xFF00_0000 | 226), 26);
    assert_eq!(Chip::Esp32C5.spec().crystal.from_divider(115_200, 417), 48);
    assert_eq!(Chip::Esp32H2.spec().crystal.from_divider(115_200, 0), 32);
}

#[test]
fn a_segment_that_leaves_its_region_is_in_no_region() {
    let spec = Chip::Esp32C3.spec();
    assert!(spec.region(0x403D_FFFC, 4).is_some());
    assert!(spec.region(0x403D_FFFC, 8).is_none());
    assert!(spec.region(u32::MAX, u32::MAX).is_none());
}

#[test]
fn revisions_are_ordered_and_written_with_a_dot() {
    assert!(Revision::new(0, 4) < Revision::new(1, 0));
    assert_eq!(Revision::new(3, 1).to_string(), "3.1");
    assert_eq!(Revision::new(3, 1).value(), 301);
    assert_eq!(Revision::from_value(301), Revision::new(3, 1));
    for text in [
        "", "3", "3.", ".1", "3.x", "3.100", "256.0", "+3.1", "3.1.0",
    ] {
        assert!(text.parse::<Revision>().is_err(), "{text}");
    }
}

#[test]
fn a_mac_is_read_in_the_usual_spellings_only() {
    let mac = MacAddress([0x7C, 0xDF, 0xA1, 0, 0, 1]);
    for text in ["7c:df:a1:00:00:01", "7C-DF-A1-00-00-01", "7cdfa1000001"] {
        assert_eq!(text.parse(), Ok(mac), "{text}");
    }
    for text in [
        "",
        "7c:df:a1:00:00",
        "7c:df:a1:00:00:01:02",
        "7c:df:a1:0:00:001",
        "zzdfa1000001",
    ] {
        assert!(text.parse::<MacAddress>().is_err(), "{text}");
    }
    assert!(mac.is_unicast() && !MacAddress([0xFF; 6]).is_unicast());
}

proptest! {
    #[test]
    fn macs_and_revisions_survive_text_and_words(bytes in any::<[u8; 6]>(), a in any::<u8>(), b in 0u8..100) {
        let mac = MacAddress(bytes);
        prop_assert_eq!(mac.to_string().parse(), Ok(mac));
        let (low, high) = mac.to_words();
        prop_assert_eq!(MacAddress::from_words(low, u32::from(high) | 0xABCD_0000), mac);
        let revision = Revision::new(a, b);
        prop_assert_eq!(revision.to_string().parse(), Ok(revision));
    }

    #[test]
    fn no_text_makes_a_name_parser_panic(text in "\\PC{0,20}") {
        let _ = text.parse::<MacAddress>();
        let _ = text.parse::<Revision>();
        let _ = text.parse::<Chip>();
    }
}
