//! Words, fields and revisions of whole images.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const MAC: MacAddress = MacAddress([0x7C, 0xDF, 0xA1, 0x01, 0x02, 0x03]);

#[test]
fn the_mac_of_an_esp32_lies_in_words_one_and_two_with_its_crc() {
    let mut fuses = EfuseImage::new(Chip::Esp32);
    fuses
        .set_mac(MacAddress([0x24, 0x0A, 0xC4, 0x01, 0x02, 0x03]))
        .unwrap();
    assert_eq!(fuses.word(0x3FF5_A004), Some(0xC401_0203));
    assert_eq!(
        fuses.word(0x3FF5_A008).map(|word| word & 0xFFFF),
        Some(0x240A)
    );
    assert!(fuses.mac_crc_matches());
    fuses.block_mut(0)[1] ^= 1;
    assert!(!fuses.mac_crc_matches());
}

#[test]
fn mac_and_revision_come_back_from_every_chip() {
    for chip in Chip::ALL {
        let mut fuses = EfuseImage::new(chip);
        fuses.set_mac(MAC).unwrap();
        for major in 0..3 {
            for minor in 0..3 {
                let revision = Revision::new(major, minor);
                let date = fuses.set_revision(revision).unwrap();
                assert_eq!(fuses.revision(date), revision, "{chip}");
            }
        }
        assert_eq!(fuses.mac(), MAC, "{chip}");
        let [low, high] = chip.spec().efuse.mac;
        let read = MacAddress::from_words(fuses.word(low).unwrap(), fuses.word(high).unwrap());
        assert_eq!(read, MAC, "{chip}: the addresses and the field must agree");
    }
}

#[test]
fn a_host_that_reads_the_identity_words_sees_every_field() {
    let own = [FieldName::WaferMajor, FieldName::WaferMinor];
    for map in Chip::ALL.into_iter().flat_map(all_fuse_maps) {
        let mut there = EfuseImage::new(map.chip);
        there.set_revision(map.from).unwrap();
        for (index, name) in (0u64..).zip(FieldName::ALL) {
            if let Some(field) = name.within(map).filter(|_| !own.contains(&name)) {
                let value = (index * 0x9E37_79B9 + 1) & (u64::MAX >> (64 - field.width()));
                there.write(name, value).unwrap();
            }
        }
        let mut here = EfuseImage::new(map.chip);
        for address in identity_addresses(map.chip) {
            assert!(here.set_word(address, there.word(address).unwrap()));
        }
        assert!(std::ptr::eq(here.map(), map), "{}", map.chip);
        for name in FieldName::ALL {
            assert_eq!(here.read(name), there.read(name), "{} {name:?}", map.chip);
        }
    }
}

#[test]
fn the_map_follows_the_revision_that_the_fuses_say() {
    let mut fuses = EfuseImage::new(Chip::Esp32P4);
    assert_eq!(fuses.map().field("KEY_PURPOSE_0").unwrap().width(), 4);
    fuses.set_revision(Revision::new(3, 1)).unwrap();
    assert_eq!(fuses.map().field("KEY_PURPOSE_0").unwrap().width(), 5);
    fuses.write(FieldName::KeyPurpose0, 0b1_0010).unwrap();
    assert!(fuses.is_set(0, 89) && fuses.is_set(0, 155));
}

#[test]
fn protection_is_seen_at_the_field() {
    let mut fuses = EfuseImage::new(Chip::Esp32C3);
    let field = |name| {
        fuse_map(Chip::Esp32C3, Revision::new(0, 4))
            .field(name)
            .unwrap()
    };
    let (key, jtag, flag) = (field("KEY1"), field("dis_usb_jtag"), field("DIS_TWAI"));
    assert!(!fuses.is_closed(key) && !fuses.is_hidden(key));
    fuses
        .write(FieldName::WriteDisable, 1 << 24 | 1 << 2)
        .unwrap();
    fuses.write(FieldName::ReadDisable, 1 << 1).unwrap();
    assert!(fuses.is_closed(key) && fuses.is_hidden(key));
    assert!(fuses.is_closed(jtag) && fuses.is_closed(flag) && !fuses.is_hidden(jtag));
    assert!(!fuses.is_closed(field("BLOCK_KEY0")) && !fuses.is_hidden(field("BLOCK_KEY0")));
}

#[test]
fn bytes_go_in_lowest_first_and_only_when_they_are_exactly_enough() {
    let mut fuses = EfuseImage::new(Chip::Esp32S3);
    let map = fuses.map();
    let (block, minor) = (
        map.field("BLOCK_USR_DATA").unwrap(),
        map.field("SOFT_DIS_JTAG").unwrap(),
    );
    let data: Vec<u8> = (1..=32).collect();
    fuses.set_bytes(block, &data).unwrap();
    assert_eq!(fuses.block(3)[0], 0x0403_0201);
    assert_eq!(fuses.bytes(block), data);
    assert_eq!(fuses.number(block), None);
    assert!(fuses.set_bytes(block, &data[1..]).is_err());
    assert!(fuses.set_bytes(minor, &[8]).is_err(), "three bits");
    fuses.set_bytes(minor, &[5]).unwrap();
    assert_eq!(fuses.number(minor), Some(5));
    assert!(!fuses.set_bit(3, 256, true) && !fuses.is_set(3, 256) && !fuses.is_set(99, 0));
}

#[test]
fn an_s3_with_block_version_one_one_is_revision_zero() {
    let mut fuses = EfuseImage::new(Chip::Esp32S3);
    fuses.write(FieldName::WaferMajor, 1).unwrap();
    fuses.write(FieldName::BlockMajor, 1).unwrap();
    fuses.write(FieldName::BlockMinor, 1).unwrap();
    assert_eq!(fuses.revision(0), Revision::new(0, 0));
    fuses.write(FieldName::BlockMinor, 2).unwrap();
    assert_eq!(fuses.revision(0), Revision::new(1, 0));
}

#[test]
fn an_esp32_of_major_three_needs_the_date_register() {
    let mut fuses = EfuseImage::new(Chip::Esp32);
    let date = fuses.set_revision(Revision::new(3, 1)).unwrap();
    assert_eq!(date, 0x8000_0000);
    assert_eq!(fuses.revision(date), Revision::new(3, 1));
    assert_eq!(fuses.revision(0).major, 2);
    assert!(fuses.set_revision(Revision::new(4, 0)).is_err());
}

#[test]
fn a_value_that_does_not_fit_changes_nothing() {
    let mut fuses = EfuseImage::new(Chip::Esp32C3);
    let before = fuses.clone();
    assert!(fuses.write(FieldName::WaferMajor, 4).is_err());
    assert!(fuses.write(FieldName::AdcVref, 1).is_err());
    assert!(fuses.set_revision(Revision::new(9, 0)).is_err());
    assert_eq!(fuses, before);
}

#[test]
fn words_of_a_block_that_can_hold_a_key_are_never_formatted() {
    for chip in Chip::ALL {
        let mut fuses = EfuseImage::new(chip);
        let open = fuses.map().blocks.iter();
        let open = open.filter(|block| block.read_disable == ReadDisable::Never);
        let open: Vec<u8> = open.map(|block| block.number).collect();
        for block in fuses.map().blocks {
            let word = if open.contains(&block.number) {
                0
            } else {
                0xDEAD_BEEF
            };
            fuses.block_mut(block.number).fill(word);
        }
        fuses.block_mut(0)[1] = 0xC401_0203;
        for text in [format!("{fuses:?}"), format!("{fuses:#?}")] {
            assert!(text.contains("c4010203"), "{text}");
            let lower = text.to_lowercase();
            let secret = [0xDEAD_BEEF_u32.to_string(), "deadbeef".into()];
            assert!(
                !secret.iter().any(|word| lower.contains(word)),
                "{chip}: {text}"
            );
        }
    }
}

#[test]
fn addresses_beside_the_blocks_belong_to_no_block() {
    let mut fuses = EfuseImage::new(Chip::Esp32C3);
    assert_eq!(fuses.word(0x6000_882B), None);
    assert_eq!(fuses.word(0x6000_882D), None);
    assert!(!fuses.set_word(0x6000_8800, 1));
}

proptest! {
    #[test]
    fn writing_one_field_leaves_all_bits_of_others_alone(
        chip in prop::sample::select(Chip::ALL.to_vec()),
        later: bool,
        choice in any::<prop::sample::Index>(),
        words in prop::collection::vec(any::<u32>(), 96),
        bytes: [u8; 32],
    ) {
        let map = fuse_map(chip, Revision::new(if later { 9 } else { 0 }, 0));
        let target = &map.fields[choice.index(map.fields.len())];
        let mut fuses = EfuseImage::new(chip);
        let mut source = words.into_iter().cycle();
        for block in map.blocks {
            fuses.block_mut(block.number).fill_with(|| source.next().unwrap());
        }
        let before = fuses.clone();
        let bits = target.width() as usize;
        let mut value = bytes[..bits.div_ceil(8)].to_vec();
        if !bits.is_multiple_of(8) {
            *value.last_mut().unwrap() &= 0xFF >> (8 - bits % 8);
        }
        fuses.set_bytes(target, &value).unwrap();
        prop_assert_eq!(&fuses.bytes(target), &value);
        let own: HashSet<(u8, u16)> = places(target).collect();
        prop_assert_eq!(own.len(), bits);
        for block in map.blocks {
            for bit in (0..u16::from(block.words) * 32).filter(|bit| !own.contains(&(block.number, *bit))) {
                prop_assert_eq!(fuses.is_set(block.number, bit), before.is_set(block.number, bit));
            }
        }
        if bits <= 64 {
            let number = fuses.number(target).unwrap();
            let mut other = before;
            other.set_number(target, number).unwrap();
            prop_assert_eq!(other, fuses);
        }
    }
}
