//! Every map is whole and free of contradictions; what it says is compared with espefuse elsewhere.

use std::collections::HashSet;

use super::*;

fn every_map() -> impl Iterator<Item = &'static FuseMap> {
    Chip::ALL.into_iter().flat_map(all_fuse_maps)
}

#[test]
fn the_map_of_a_revision_is_the_last_that_began() {
    for chip in Chip::ALL {
        let maps: Vec<_> = all_fuse_maps(chip).collect();
        assert_eq!(maps[0].from, Revision::new(0, 0), "{chip}");
        assert!(maps.iter().is_sorted_by(|a, b| a.from < b.from), "{chip}");
        assert!(maps.iter().all(|map| map.chip == chip), "{chip}");
        for map in &maps {
            assert!(std::ptr::eq(fuse_map(chip, map.from), *map), "{chip}");
        }
        let newest = fuse_map(chip, Revision::new(99, 99));
        assert!(std::ptr::eq(newest, *maps.last().unwrap()), "{chip}");
    }
    assert_eq!(all_fuse_maps(Chip::Esp32P4).count(), 2);
    let old = fuse_map(Chip::Esp32H2, Revision::new(1, 1));
    assert!(old.field("ECDSA_FORCE_USE_HARDWARE_K").is_some());
    let new = fuse_map(Chip::Esp32H2, Revision::new(1, 2));
    assert!(new.field("ECDSA_FORCE_USE_HARDWARE_K").is_none());
}

#[test]
fn all_maps_of_a_chip_agree_where_the_revision_is_and_how_fuses_are_burned() {
    for chip in Chip::ALL {
        let first = fuse_map(chip, Revision::new(0, 0));
        for map in all_fuse_maps(chip) {
            assert!(std::ptr::eq(map.blocks, first.blocks), "{chip}");
            assert!(std::ptr::eq(map.controller, first.controller), "{chip}");
            for name in [
                "WAFER_VERSION_MAJOR",
                "WAFER_VERSION_MINOR",
                "WR_DIS",
                "RD_DIS",
            ] {
                let parts = |map: &FuseMap| map.field(name).map(|field| field.parts);
                assert_eq!(parts(map), parts(first), "{chip} {name}");
            }
        }
    }
}

#[test]
fn names_are_unique_aliases_included_and_found_in_any_case() {
    for map in every_map() {
        let mut names = HashSet::new();
        for field in map.fields {
            for name in std::iter::once(&field.name).chain(field.aliases) {
                assert!(names.insert(name.to_uppercase()), "{} {name}", map.chip);
                let found = map.field(&name.to_lowercase()).unwrap();
                assert!(std::ptr::eq(found, field), "{} {name}", map.chip);
            }
        }
        let mut names = HashSet::new();
        for block in map.blocks {
            for name in std::iter::once(&block.name).chain(block.aliases) {
                assert!(names.insert(name.to_uppercase()), "{} {name}", map.chip);
                assert_eq!(map.block_named(name).unwrap().number, block.number);
            }
        }
        let mut codes = HashSet::new();
        for purpose in map.purposes {
            assert!(codes.insert(purpose.code), "{} {}", map.chip, purpose.name);
            for name in std::iter::once(&purpose.name).chain(purpose.aliases) {
                assert_eq!(map.purpose(name), Some(purpose));
            }
            assert_eq!(map.purpose_code(purpose.code), Some(purpose));
        }
    }
}

#[test]
fn fields_lie_inside_their_blocks_and_follow_their_blocks_protection() {
    for map in every_map() {
        for field in map.fields {
            let place = format!("{} {}", map.chip, field.name);
            assert!(!field.parts.is_empty(), "{place}");
            assert!((1..=256).contains(&field.width()), "{place}");
            for part in field.parts {
                let block = map.block(part.block).expect(&place);
                assert!(part.width > 0, "{place}");
                assert!(
                    part.bit + part.width <= u16::from(block.words) * 32,
                    "{place}"
                );
                assert_eq!(part.block, field.block(), "{place} is in one block");
            }
            let block = map.block(field.block()).unwrap();
            if block.number > 0 {
                assert_eq!(field.write_disable, block.write_disable, "{place}");
                let of_block: Vec<u8> = block.read_disable.bits().collect();
                let own: Vec<u8> = field.read_disable.bits().collect();
                assert!(own.iter().all(|bit| of_block.contains(bit)), "{place}");
                assert_eq!(own.is_empty(), of_block.is_empty(), "{place}");
            }
            let fits = |bit: Option<u8>, name| {
                let width = map.field(name).unwrap().width();
                bit.is_none_or(|bit| u32::from(bit) < width)
            };
            assert!(fits(field.write_disable, "WR_DIS"), "{place}");
            assert!(
                field
                    .read_disable
                    .bits()
                    .all(|bit| fits(Some(bit), "RD_DIS")),
                "{place}"
            );
            if field.kind == FieldKind::Bytes {
                assert_eq!(field.width() % 8, 0, "{place}");
            } else {
                assert!(field.width() <= 64, "{place}");
            }
        }
    }
}

#[test]
fn blocks_stand_in_order_and_do_not_overlap() {
    for map in every_map() {
        let mut end = map.controller.base;
        for (index, block) in map.blocks.iter().enumerate() {
            assert_eq!(usize::from(block.number), index, "{}", map.chip);
            assert!(block.read >= end, "{} {}", map.chip, block.name);
            end = block.read + u32::from(block.words) * 4;
            assert_eq!(block.write_disable.is_none(), block.number == 0);
            assert_eq!(block.word_at(block.read + 4), Some(1));
            assert_eq!(block.word_at(block.read + 2), None);
            assert_eq!(block.word_address(block.words), None);
        }
        assert!(
            end <= map.controller.base + map.controller.window,
            "{}",
            map.chip
        );
    }
}

#[test]
fn key_slots_have_purposes_wide_enough_for_every_code() {
    for map in every_map() {
        let slots = map.key_slots().count();
        let expected = [(Chip::Esp32, 2), (Chip::Esp32C2, 1), (Chip::Esp32S31, 5)]
            .into_iter()
            .find_map(|(chip, slots)| (chip == map.chip).then_some(slots))
            .unwrap_or(6);
        assert_eq!(slots, expected, "{}", map.chip);
        for slot in map.key_slots() {
            assert!(slot.read_disable != ReadDisable::Never, "{}", map.chip);
            let Some(purpose) = slot.purpose else {
                assert!(map.purposes.is_empty(), "{}", map.chip);
                continue;
            };
            let field = map.field(purpose).unwrap();
            assert_eq!(field.kind, FieldKind::Purpose);
            for purpose in map.purposes {
                assert!(
                    u32::from(purpose.code) < 1 << field.width(),
                    "{}",
                    purpose.name
                );
                assert!(
                    purpose
                        .unfit
                        .iter()
                        .all(|block| map.block(*block).unwrap().key_slot)
                );
            }
        }
    }
}

#[test]
fn every_crystal_a_chip_can_have_is_one_it_can_be_programmed_with() {
    use crate::chip::Crystal;
    for map in every_map() {
        let crystals = match map.chip.spec().crystal {
            Crystal::Fixed(mhz) => vec![mhz],
            Crystal::UartDivider { choices_mhz, .. } => choices_mhz.to_vec(),
        };
        let controller = map.controller;
        for mhz in crystals {
            let set = controller.timing(mhz).unwrap();
            for bits in set {
                assert_eq!(bits.value & !bits.mask, 0, "{}", map.chip);
                let offset = bits.address.checked_sub(controller.base).unwrap();
                assert!(
                    offset < controller.window && offset % 4 == 0,
                    "{}",
                    map.chip
                );
            }
        }
    }
    assert!(
        fuse_map(Chip::Esp32S3, Revision::new(0, 2))
            .controller
            .timing(26)
            .is_none()
    );
}

#[test]
fn the_bit_that_says_beyond_repair_is_elsewhere_on_the_c3_only() {
    for map in every_map() {
        let ErrorRegisters::PerBlock { blocks, repeat } = &map.controller.errors else {
            assert_eq!(map.chip, Chip::Esp32);
            continue;
        };
        assert!(!repeat.is_empty());
        assert_eq!(blocks.len() + 1, map.blocks.len(), "{}", map.chip);
        for (number, errors) in (1..).zip(*blocks) {
            assert_eq!(errors.block, number, "{}", map.chip);
            let beside = FailBit {
                address: errors.address,
                bit: errors.count_bit + 3,
            };
            assert_eq!(errors.fail_bit == Some(beside), map.chip != Chip::Esp32C3);
        }
        if map.chip == Chip::Esp32C3 {
            // ESP-IDF `efuse_reg.h`: EFUSE_MAC_SPI_8M_FAIL is bit 7, EFUSE_KEY4_FAIL bit 3 of the
            // second register, and block 10 has none.
            let (first, second) = (0x6000_89C0, 0x6000_89C4);
            assert_eq!(
                blocks[0].fail_bit,
                Some(FailBit {
                    address: first,
                    bit: 7
                })
            );
            assert_eq!(blocks[7].address, first);
            assert_eq!(
                blocks[7].fail_bit,
                Some(FailBit {
                    address: second,
                    bit: 3
                })
            );
            assert_eq!(blocks[9].fail_bit, None);
        }
    }
}

#[test]
fn one_bit_closes_the_group_that_traps_are_made_of() {
    let closed = |chip: Chip, bit| -> Vec<&str> {
        let map = fuse_map(chip, chip.spec().typical_revision());
        map.closed_by(bit).map(|field| field.name).collect()
    };
    let group = closed(Chip::Esp32C2, 2);
    assert!(group.contains(&"SPI_BOOT_CRYPT_CNT") && group.contains(&"SECURE_BOOT_EN"));
    let group = closed(Chip::Esp32, 2);
    assert_eq!(group, ["FLASH_CRYPT_CNT", "UART_DOWNLOAD_DIS"]);
    assert!(closed(Chip::Esp32S3, 18).contains(&"ENABLE_SECURITY_DOWNLOAD"));
}

#[test]
fn the_ninth_word_of_the_s31_is_programmed_too() {
    let map = fuse_map(Chip::Esp32S31, Revision::new(0, 0));
    assert_eq!(map.program_words(&map.blocks[0]), 9);
    assert_eq!(map.program_words(&map.blocks[4]), 8);
    let map = fuse_map(Chip::Esp32, Revision::new(3, 0));
    assert_eq!(map.program_words(&map.blocks[0]), 7);
}

#[test]
fn every_field_the_station_knows_by_meaning_is_in_some_map() {
    use crate::efuse::FieldName;
    for name in FieldName::ALL {
        assert!(
            every_map().any(|map| name.within(map).is_some()),
            "{name:?}"
        );
    }
}
