//! Files as they should be, with one thing wrong, and any bytes at all.

use super::*;
use proptest::prelude::*;

const OPTIONS: Options = Options {
    chip: Chip::Esp32C3,
    chunk: None,
    md5: true,
};

fn sample() -> Vec<u8> {
    encode(&[Part::new(0x1000, vec![7; 1000])], OPTIONS).unwrap()
}

fn with(block: usize, at: usize, bytes: &[u8]) -> &'static str {
    let mut file = sample();
    let at = block * BLOCK + at;
    file[at..at + bytes.len()].copy_from_slice(bytes);
    parse(&file).unwrap_err().code()
}

#[test]
fn a_file_says_its_chip_and_its_bytes() {
    for chip in Chip::ALL {
        for md5 in [true, false] {
            let options = Options {
                chip,
                chunk: Some(64),
                md5,
            };
            let parts = vec![Part::new(0x1001, vec![1; 130]), Part::new(0xFFFF_FF00, [2])];
            let file = encode(&parts, options).unwrap();
            assert!(is_uf2(&file));
            assert_eq!(file.len(), 4 * BLOCK);
            let read = parse(&file).unwrap();
            assert_eq!((read.chip, read.parts), (Some(chip), parts));
            assert_eq!((read.skipped, read.unchecked), (0, 0));
        }
    }
}

#[test]
fn whatever_is_wrong_is_named_with_its_block() {
    assert_eq!(parse(&[0; 511]).unwrap_err().code(), "uf2-length");
    assert_eq!(with(0, 0, &[0]), "uf2-magic");
    assert_eq!(with(1, 4, &[0]), "uf2-magic");
    assert_eq!(with(2, 511, &[0]), "uf2-magic");
    assert_eq!(with(0, 16, &477u32.to_le_bytes()), "uf2-payload");
    assert_eq!(with(0, 16, &u32::MAX.to_le_bytes()), "uf2-payload");
    assert_eq!(with(1, 20, &[2]), "uf2-number");
    assert_eq!(with(1, 24, &[9]), "uf2-number");
    assert_eq!(with(1, 28, &[9]), "uf2-family");
    assert_eq!(with(0, 9, &[0x70]), "uf2-container");
    assert_eq!(with(1, 100, &[8]), "uf2-md5");
    let error = parse(&sample()[..BLOCK]).unwrap_err();
    assert_eq!(error.to_string(), "file ends after 1 of 3 blocks");
    let twice = sample().repeat(2);
    assert_eq!(parse(&twice).unwrap_err().code(), "uf2-overlap");
    let options = Options {
        md5: false,
        ..OPTIONS
    };
    let mut file = encode(&[Part::new(0, [1, 2])], options).unwrap();
    file[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(parse(&file).unwrap_err().code(), "uf2-beyond-addresses");
}

#[test]
fn the_md5_may_lie_at_the_end_of_the_data_too() {
    let mut file = encode(&[Part::new(0x10, [1, 2, 3])], OPTIONS).unwrap();
    let tag: Vec<u8> = file[HEAD + 3..HEAD + 3 + MD5_TAG].to_vec();
    file[HEAD + 3..HEAD + 3 + MD5_TAG].fill(0);
    file[BLOCK - 4 - MD5_TAG..BLOCK - 4].copy_from_slice(&tag);
    assert_eq!(parse(&file).unwrap().unchecked, 0);
    file[HEAD] ^= 1;
    assert_eq!(parse(&file).unwrap_err().code(), "uf2-md5");
}

#[test]
fn blocks_for_something_else_than_main_flash_are_counted_and_left_out() {
    let mut file = sample();
    file[8] |= 1;
    let read = parse(&file).unwrap();
    assert_eq!(read.skipped, 1);
    assert_eq!(read.parts, [Part::new(0x1000 + 452, vec![7; 548])]);
}

#[test]
fn chunks_that_do_not_fit_are_refused() {
    for (chunk, md5) in [(0, true), (6, true), (456, true), (480, false)] {
        let options = Options {
            chunk: Some(chunk),
            md5,
            ..OPTIONS
        };
        let refused = encode(&[Part::new(0, [1])], options).unwrap_err();
        assert_eq!(refused.code(), "merge-uf2-chunk", "{chunk}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        parts in crate::hex::tests::parts(),
        chunk in prop::option::of((1u32..=113).prop_map(|words| words * 4)),
        md5 in any::<bool>(),
    ) {
        let file = encode(&parts, Options { chunk, md5, ..OPTIONS }).unwrap();
        let read = parse(&file).unwrap();
        prop_assert_eq!(read.parts, parts);
    }

    #[test]
    fn changed_and_cut_files_get_an_answer(
        mut changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        heads in any::<bool>(),
        length in 0usize..4,
    ) {
        let mut file = sample();
        for (at, byte) in changes.drain(..) {
            let at = if heads { at.index(3) * BLOCK + usize::from(byte) % HEAD } else { at.index(file.len()) };
            file[at] = byte;
        }
        file.truncate(length * BLOCK);
        if let Ok(read) = parse(&file) {
            prop_assert!(read.parts.iter().map(|part| part.bytes.len()).sum::<usize>() <= file.len());
        }
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let _ = parse(&bytes);
    }
}
