//! Records as the specification shows them, records with one thing wrong, and any bytes at all.

use super::*;
use proptest::prelude::*;

fn code(text: &str) -> &'static str {
    parse(text.as_bytes()).unwrap_err().code()
}

#[test]
fn records_begin_with_their_part_and_never_cross_64_kib() {
    let text = encode(&[Part::new(0xFFF8, [1; 20]), Part::new(3, [0xAB])]).unwrap();
    assert_eq!(
        text,
        ":020000040000FA\n:01000300AB51\n:08FFF8000101010101010101F9\n:020000040001F9\n\
         :0C0000000101010101010101010101 01E8\n:00000001FF\n"
            .replace(' ', "")
    );
}

#[test]
fn low_addresses_need_no_upper_address() {
    let text = encode(&[Part::new(0xFFFE, [1, 2])]).unwrap();
    assert_eq!(text, ":02FFFE000102FE\n:00000001FF\n");
    assert_eq!(encode(&[]).unwrap(), ":00000001FF\n");
}

#[test]
fn the_last_byte_of_the_address_space_goes_both_ways() {
    let parts = vec![Part::new(u32::MAX, [9])];
    let text = encode(&parts).unwrap();
    assert_eq!(parse(text.as_bytes()).unwrap(), parts);
    let beyond = encode(&[Part::new(u32::MAX, [9, 9])]).unwrap_err();
    assert_eq!(beyond.code(), "merge-beyond-addresses");
}

#[test]
fn segment_addresses_start_addresses_blank_lines_and_small_letters_are_read() {
    let text = "\r\n:020000021200ea\r\n:0100000055aa\r\n:0400000300003800c1\r\n\
                :04000005000000cd2a\r\n:00000001ff\r\n\r\n";
    assert_eq!(
        parse(text.as_bytes()).unwrap(),
        [Part::new(0x1_2000, [0x55])]
    );
    assert!(is_hex(text.as_bytes()));
}

#[test]
fn whatever_is_wrong_is_named_with_its_line() {
    assert_eq!(code("00000001FF"), "hex-no-colon");
    assert_eq!(code(":0100000055AG\n"), "hex-digit");
    assert_eq!(code(":0100000055A\n"), "hex-digit");
    assert_eq!(code(":0200000055A9\n"), "hex-length");
    assert_eq!(code(":\n"), "hex-length");
    assert_eq!(code(":0100000055AB\n"), "hex-checksum");
    assert_eq!(code(":00000006FA\n"), "hex-record-type");
    assert_eq!(code(":0100000055AA\n"), "hex-no-end");
    assert_eq!(code(":00000001FF\n:00000001FF\n"), "hex-after-end");
    assert_eq!(
        code(":02000004FFFFFC\n:02FFFF0055AA01\n"),
        "hex-beyond-addresses"
    );
    let twice = ":0100000055AA\n:0100000055AA\n:00000001FF\n";
    assert_eq!(code(twice), "hex-overlap");
    let error = parse(b":00000001FF\n\n:0x").unwrap_err();
    assert_eq!(error.to_string(), "line 3: record behind the end record");
}

#[test]
fn records_far_apart_stay_apart() {
    let parts = vec![Part::new(0, [1]), Part::new(0xFFFF_0000, [2])];
    let text = encode(&parts).unwrap();
    assert_eq!(parse(text.as_bytes()).unwrap(), parts);
}

/// Parts that neither touch nor overlap.
pub(crate) fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = (1u32..0x3_0000, prop::collection::vec(any::<u8>(), 1..700));
    prop::collection::vec(part, 0..6).prop_map(|parts| {
        let mut at = 0;
        parts
            .into_iter()
            .map(|(gap, bytes)| {
                let part = Part::new(at + gap, bytes);
                at = u32::try_from(part.end()).unwrap();
                part
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(parts in parts()) {
        let text = encode(&parts).unwrap();
        prop_assert_eq!(parse(text.as_bytes()).unwrap(), parts);
    }

    #[test]
    fn the_order_of_parts_does_not_matter(parts in parts()) {
        let mut other = parts.clone();
        other.reverse();
        prop_assert_eq!(encode(&parts).unwrap(), encode(&other).unwrap());
    }

    #[test]
    fn any_bytes_get_an_answer_no_larger_than_they_are(
        bytes in prop::collection::vec(any::<u8>(), 0..600)
    ) {
        if let Ok(parts) = parse(&bytes) {
            prop_assert!(parts.iter().map(|part| part.bytes.len()).sum::<usize>() <= bytes.len());
        }
    }

    #[test]
    fn a_changed_byte_is_never_read_as_other_bytes(
        parts in parts(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut text = encode(&parts).unwrap().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        // Letters may change case, and the end of a line its kind; else a checksum breaks.
        if let Ok(read) = parse(&text) {
            prop_assert_eq!(read, parts);
        }
    }
}
