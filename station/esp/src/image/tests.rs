//! Real bootloaders, and images with one thing wrong.

use super::*;
use crate::loader;
use proptest::prelude::*;

mod change;
mod flash;
mod look;

/// An image of these segments, with checksum and hash.
fn build(chip: Chip, segments: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let spec = chip.spec();
    let mut bytes = vec![MAGIC, segments.len() as u8, 2, 0x20, 0, 0, 0x38, 0x40];
    bytes.extend_from_slice(&[0xEE, 0, 0, 0]);
    bytes.extend_from_slice(&spec.image_id.to_le_bytes());
    bytes.extend_from_slice(&[0, 3, 0, 199, 0, 0, 0, 0, 0, 1]);
    let mut sum = 0xEF;
    for (address, data) in segments {
        bytes.extend_from_slice(&address.to_le_bytes());
        bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
        bytes.extend_from_slice(data);
        sum = data.iter().fold(sum, |sum, byte| sum ^ byte);
    }
    bytes.resize(bytes.len() / 16 * 16 + 15, 0);
    bytes.push(sum);
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    bytes
}

/// Makes checksum and hash right again after a change.
fn reseal(bytes: &mut [u8]) {
    let hash = bytes.len() - 32;
    let digest = Sha256::digest(&bytes[..hash]);
    bytes[hash..].copy_from_slice(&digest);
}

fn sample() -> Vec<u8> {
    build(
        Chip::Esp32C3,
        &[
            (0x3C00_0020, vec![7; 64]),
            (0x4038_0000, vec![1, 2, 3, 4]),
            (0x4200_0000 + 24 + 8 + 64 + 8 + 4 + 8, vec![0x13; 256]),
        ],
    )
}

fn code(bytes: &[u8]) -> &'static str {
    Image::parse(bytes).unwrap_err().code()
}

#[test]
fn every_bootloader_that_the_package_carries_passes_as_an_image_of_its_chip() {
    for chip in Chip::ALL {
        for crystal in [26, 32, 40, 48] {
            let Some(bytes) = loader::bootloader(chip, crystal) else {
                continue;
            };
            let image = Image::parse(bytes).unwrap_or_else(|error| panic!("{chip}: {error}"));
            image.check_chip(chip, None).unwrap();
            assert!(image.length as usize <= bytes.len());
            assert!(image.entry_is_loaded(), "{chip}");
            assert_eq!(
                image.check_application(),
                Err(ImageError::NothingMapped),
                "{chip}"
            );
        }
        let usual = chip.spec().typical_crystal_mhz();
        assert!(loader::bootloader(chip, usual).is_some(), "{chip}");
    }
}

#[test]
fn a_sound_image_is_described_as_it_was_built() {
    let bytes = sample();
    let image = Image::parse(&bytes).unwrap();
    assert_eq!(image.length as usize, bytes.len());
    assert_eq!(image.segments.len(), 3);
    assert_eq!(
        image.segments[1],
        Segment {
            offset: 24 + 8 + 64 + 8,
            address: 0x4038_0000,
            length: 4
        }
    );
    assert_eq!(image.header.flash_size(), Some(4 << 20));
    assert_eq!(image.header.flash_frequency(), Some(40));
    image.check_application().unwrap();
}

#[test]
fn what_follows_an_image_does_not_matter() {
    let mut bytes = sample();
    let length = bytes.len() as u32;
    bytes.extend_from_slice(&[0xFF; 5000]);
    assert_eq!(Image::parse(&bytes).unwrap().length, length);
}

#[test]
fn an_image_for_another_chip_or_revision_is_refused() {
    let image = Image::parse(&sample()).unwrap();
    let wrong = image.check_chip(Chip::Esp32S3, None).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "image is for `esp32c3`, not for `esp32s3`"
    );
    let check = |major, minor| image.check_chip(Chip::Esp32C3, Some(Revision::new(major, minor)));
    assert_eq!(check(0, 3), Ok(()));
    assert_eq!(check(1, 99), Ok(()));
    assert_eq!(check(0, 2).unwrap_err().code(), "image-revision-too-old");
    assert_eq!(check(2, 0).unwrap_err().code(), "image-revision-too-new");
}

#[test]
fn every_check_of_rom_and_bootloader_is_made() {
    let with = |at: usize, value: u8| {
        let mut bytes = sample();
        bytes[at] = value;
        reseal(&mut bytes);
        bytes
    };
    assert_eq!(code(&with(0, 0xEA)), "image-magic");
    assert_eq!(code(&with(1, 0)), "image-segment-count");
    assert_eq!(code(&with(1, 17)), "image-segment-count");
    assert_eq!(code(&with(2, 9)), "image-flash-mode");
    assert_eq!(code(&with(12, 77)), "image-unknown-chip");
    assert_eq!(code(&with(28, 63)), "image-segment-alignment");
    assert_eq!(code(&with(31, 0x7F)), "image-segment-overrun");
    assert_eq!(code(&with(27, 0x10)), "image-segment-address");
    assert_eq!(code(&with(24, 0x24)), "image-segment-page");
    assert_eq!(code(&with(40, 8)), "image-checksum");
    let mut bytes = sample();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(code(&bytes), "image-hash");
}

#[test]
fn an_image_cut_anywhere_is_refused() {
    let bytes = sample();
    for length in 0..bytes.len() {
        assert!(Image::parse(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let bytes = sample();
    for at in 0..bytes.len() {
        for bit in [0, 5, 7] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            // The bits that switch the hash off leave the checksum, as on a real chip.
            if at != 23 {
                assert!(Image::parse(&damaged).is_err(), "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn one_byte_revisions_count_in_images_from_before_the_full_form_only() {
    let mut bytes = sample();
    bytes[14] = 2;
    bytes[15..19].fill(0);
    let header = Header::parse(&bytes).unwrap();
    assert_eq!(header.minimum_revision(), Revision::new(0, 2));
    assert_eq!(
        Header {
            chip_id: 0,
            ..header
        }
        .minimum_revision(),
        Revision::new(2, 0)
    );
    assert_eq!(
        Header {
            max_revision: 199,
            ..header
        }
        .minimum_revision(),
        Revision::new(0, 0)
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        chip in prop::sample::select(Chip::ALL.to_vec()),
        count in 0u8..20,
    ) {
        let _ = Image::parse(&bytes);
        let mut image = bytes;
        image.resize(image.len().max(24), 0);
        image[0] = MAGIC;
        image[1] = count;
        image[2] = 2;
        image[12..14].copy_from_slice(&chip.spec().image_id.to_le_bytes());
        let _ = Image::parse(&image);
    }

    #[test]
    fn damaged_lengths_and_addresses_never_make_the_parser_panic(
        damage in prop::collection::vec((24usize..132, any::<u8>()), 1..6),
    ) {
        let mut bytes = sample();
        for (at, value) in damage {
            bytes[at] = value;
        }
        if let Ok(image) = Image::parse(&bytes) {
            prop_assert!(image.length as usize <= bytes.len());
        }
    }

    #[test]
    fn a_descriptor_of_any_bytes_is_read_without_a_panic(
        rest in prop::collection::vec(any::<u8>(), 252),
    ) {
        let mut data = 0xABCD_5432u32.to_le_bytes().to_vec();
        data.extend_from_slice(&rest);
        let _ = AppDescriptor::parse(&data);
    }
}
