//! Parts merged and a whole flash split.

use super::*;
use crate::partition::Table;
use crate::uf2;

const TABLE: &str = "nvs, data, nvs, 0x9000, 0x6000\nphy, data, phy, 0xf000, 0x1000\n\
                     app, app, factory, 0x10000, 0x100000";

fn raw(target_offset: u32, pad_to_size: Option<u32>) -> Format {
    Format::Raw {
        target_offset,
        pad_to_size,
        fill: 0xFF,
    }
}

#[test]
fn raw_files_begin_and_end_where_they_should() {
    let parts = [Part::new(0x20, [2; 4]), Part::new(0x10, [1; 4])];
    let bytes = merge(&parts, raw(0x10, Some(0x30))).unwrap();
    let expected = [vec![1; 4], vec![0xFF; 12], vec![2; 4], vec![0xFF; 12]].concat();
    assert_eq!(bytes, expected);
    assert_eq!(merge(&parts, Format::RAW).unwrap().len(), 0x24);
    let code = |parts: &[Part], format| merge(parts, format).unwrap_err().code();
    assert_eq!(code(&parts, raw(0x11, None)), "merge-before-target");
    let far = [Part::new(0, [1]), Part::new(0xFFFF_0000, [1])];
    assert_eq!(code(&far, Format::RAW), "merge-too-large");
    let overlap = [Part::new(0, [1; 9]), Part::new(8, [1])];
    for format in [Format::RAW, Format::Hex] {
        assert_eq!(code(&overlap, format), "merge-overlap");
    }
}

#[test]
fn the_bootloader_of_the_chip_is_patched_and_nothing_else() {
    let change = HeaderChange {
        size: Some(8 << 20),
        ..HeaderChange::default()
    };
    let mut parts = vec![Part::new(0, sample()), Part::new(0x1_0000, sample())];
    patch_bootloader(&mut parts, Chip::Esp32C3, &change).unwrap();
    assert_ne!(parts[0].bytes, sample());
    assert_eq!(parts[1].bytes, sample());
    let mut parts = vec![Part::new(0, sample())];
    patch_bootloader(&mut parts, Chip::Esp32S3, &change).unwrap();
    assert_eq!(parts[0].bytes, sample());
    parts[0].bytes[40] ^= 1;
    let broken = patch_bootloader(&mut parts, Chip::Esp32C3, &change).unwrap_err();
    assert_eq!(broken.code(), "image-checksum");
}

#[test]
fn a_flash_is_split_into_what_was_merged() {
    let table = Table::parse_csv(TABLE).unwrap();
    let parts = [
        Part::new(0, sample()),
        Part::new(0x8000, table.to_binary()),
        Part::new(0x9000, [1, 2, 3]),
        Part::new(0x1_0000, sample()),
    ];
    let flash = merge(&parts, raw(0, Some(4 << 20))).unwrap();
    assert_eq!(find_table(&flash), Some((0x8000, table.clone())));
    let pieces = split_raw(&flash, Chip::Esp32C3, &table, 0x8000);
    let shown: Vec<_> = pieces
        .iter()
        .map(|piece| (piece.name.as_str(), piece.address, piece.content))
        .collect();
    assert_eq!(
        shown,
        [
            ("bootloader", 0, Content::Image),
            ("partition-table", 0x8000, Content::Table),
            ("nvs", 0x9000, Content::Data),
            ("app", 0x1_0000, Content::Image),
        ]
    );
    assert_eq!(pieces[3].bytes, sample());
    let again: Vec<Part> = pieces
        .into_iter()
        .map(|piece| Part::new(piece.address, piece.bytes))
        .collect();
    assert_eq!(merge(&again, raw(0, Some(4 << 20))).unwrap(), flash);
    assert!(split_raw(&flash[..0], Chip::Esp32C3, &table, 0x8000).is_empty());
}

#[test]
fn a_table_elsewhere_is_found_and_noise_is_not() {
    let table = Table::parse_csv_at("nvs, data, nvs, , 0x6000", 0xC000).unwrap();
    let flash = merge(&[Part::new(0xC000, table.to_binary())], Format::RAW).unwrap();
    assert_eq!(find_table(&flash), Some((0xC000, table)));
    assert_eq!(find_table(&[0xAA; 0x9000]), None);
}

proptest! {
    #[test]
    fn all_forms_hold_the_same_bytes(parts in crate::hex::tests::parts()) {
        let options = uf2::Options { chip: Chip::Esp32, chunk: None, md5: true };
        let hex = merge(&parts, Format::Hex).unwrap();
        let uf2 = merge(&parts, Format::Uf2(options)).unwrap();
        let flash = merge(&parts, Format::RAW).unwrap();
        let from_hex = crate::hex::parse(&hex).unwrap();
        prop_assert_eq!(&from_hex, &uf2::parse(&uf2).unwrap().parts);
        prop_assert_eq!(&merge(&from_hex, Format::RAW).unwrap(), &flash);
        for part in &parts {
            let at = part.address as usize;
            prop_assert_eq!(&flash[at..at + part.bytes.len()], &part.bytes[..]);
        }
    }

    #[test]
    fn any_flash_is_split_without_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..0x300),
        at in prop::sample::select(vec![0usize, 0x8000, 0x9000, 0x1_0000]),
    ) {
        let mut flash = vec![0xFF; at];
        flash.extend(bytes);
        let _ = find_table(&flash);
        let table = Table::parse_csv(TABLE).unwrap();
        for chip in Chip::ALL {
            for piece in split_raw(&flash, chip, &table, 0x8000) {
                let at = piece.address as usize;
                prop_assert_eq!(&flash[at..at + piece.bytes.len()], &piece.bytes[..]);
            }
        }
    }
}
