//! The codes that protect fuses, and the checksum of the ESP32's MAC.
//!
//! Invariants: every function is pure and total; encoding is what the chips' hardware expects
//! (ESP-IDF `esp_efuse_utility.c` for 3/4, the ROM's `ets_efuse_rs_calculate` for Reed-Solomon).
//! Correcting is the hardware's business: here words are made and compared.

use crate::chip::MacAddress;

/// Bytes of data in a Reed-Solomon coded block; shorter blocks are padded with zeros.
pub const BLOCK_BYTES: usize = 32;

/// Bytes of data in a block of the 3/4 scheme.
pub const THREE_QUARTERS_BYTES: usize = 24;

/// Check bytes of the Reed-Solomon code.
const CHECK_BYTES: usize = 12;

/// Data bytes that share two check bytes in the 3/4 scheme.
const CHUNK: usize = 6;

/// A group of six bytes whose two check bytes do not belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("group {group} of the 3/4 coded block is damaged")]
pub struct DamagedGroup {
    /// Which one, from 0.
    pub group: u8,
}

/// The three check words for a block: Reed-Solomon (44,32) over GF(256) with polynomial 0x11D, the
/// twelve roots from α⁰ on, the block's first byte at the highest power.
#[must_use]
pub fn check_words(data: &[u8; BLOCK_BYTES]) -> [u32; 3] {
    let mut rest = [0; CHECK_BYTES];
    for byte in data {
        let carry = byte ^ rest[0];
        rest.rotate_left(1);
        rest[CHECK_BYTES - 1] = 0;
        for (place, factor) in rest.iter_mut().zip(GENERATOR) {
            *place ^= multiply(carry, factor);
        }
    }
    let word = |at: usize| u32::from_le_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
    [word(0), word(4), word(8)]
}

/// Coefficients of the generator polynomial below its leading 1, highest power first.
const GENERATOR: [u8; CHECK_BYTES] = generator();

const fn generator() -> [u8; CHECK_BYTES] {
    // Lowest power first while it grows by one root a round.
    let mut product = [0; CHECK_BYTES + 1];
    product[0] = 1;
    let mut root = 1;
    let mut degree = 0;
    while degree < CHECK_BYTES {
        let mut power = degree + 1;
        while power > 0 {
            product[power] = product[power - 1] ^ multiply(product[power], root);
            power -= 1;
        }
        product[0] = multiply(product[0], root);
        root = multiply(root, 2);
        degree += 1;
    }
    let mut highest_first = [0; CHECK_BYTES];
    let mut index = 0;
    while index < CHECK_BYTES {
        highest_first[index] = product[CHECK_BYTES - 1 - index];
        index += 1;
    }
    highest_first
}

/// The product in GF(256) modulo x⁸+x⁴+x³+x²+1.
const fn multiply(left: u8, right: u8) -> u8 {
    let (mut left, mut right, mut product) = (left, right, 0);
    while right != 0 {
        if right & 1 == 1 {
            product ^= left;
        }
        left = left << 1 ^ if left & 0x80 == 0 { 0 } else { 0x1D };
        right >>= 1;
    }
    product
}

/// What is written for 24 bytes under the ESP32's 3/4 scheme: after every six bytes their XOR and
/// the sum of their bit counts, each times its place from 1.
#[must_use]
pub fn three_quarters(data: &[u8; THREE_QUARTERS_BYTES]) -> [u8; BLOCK_BYTES] {
    let mut coded = [0; BLOCK_BYTES];
    for (group, place) in data
        .chunks_exact(CHUNK)
        .zip(coded.chunks_exact_mut(CHUNK + 2))
    {
        place[..CHUNK].copy_from_slice(group);
        place[CHUNK..].copy_from_slice(&group_check(group));
    }
    coded
}

/// The 24 bytes that were written as these 32.
///
/// # Errors
/// When a group's check bytes do not belong to it: the first such group.
pub fn three_quarters_decode(
    coded: &[u8; BLOCK_BYTES],
) -> Result<[u8; THREE_QUARTERS_BYTES], DamagedGroup> {
    let mut data = [0; THREE_QUARTERS_BYTES];
    let groups = coded
        .chunks_exact(CHUNK + 2)
        .zip(data.chunks_exact_mut(CHUNK));
    for (number, (group, place)) in (0..).zip(groups) {
        let (bytes, check) = group.split_at(CHUNK);
        if check != group_check(bytes) {
            return Err(DamagedGroup { group: number });
        }
        place.copy_from_slice(bytes);
    }
    Ok(data)
}

fn group_check(group: &[u8]) -> [u8; 2] {
    let xor = group.iter().fold(0, |all, byte| all ^ byte);
    let sum = (1..)
        .zip(group)
        .map(|(place, byte)| place * byte.count_ones() as u8)
        .sum();
    [xor, sum]
}

/// CRC-8 of the ESP32's MACs, the factory's and one's own: polynomial 0x31 reflected, start 0.
#[must_use]
pub fn mac_crc(mac: MacAddress) -> u8 {
    mac.bytes().into_iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0x8C
            } else {
                crc >> 1
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counting<const N: usize>() -> [u8; N] {
        std::array::from_fn(|index| index as u8 + 1)
    }

    #[test]
    fn check_words_are_those_of_a_known_block() {
        // Seen in the program registers when espefuse 5.6 burns the XTS key 01 02 … 20.
        let mut key: [u8; 32] = counting();
        key.reverse();
        assert_eq!(check_words(&key), [0xD40E_CD58, 0x1FB9_516D, 0xE4FC_ED00]);
        assert_eq!(check_words(&[0; 32]), [0; 3]);
    }

    #[test]
    fn three_quarters_of_a_known_block() {
        // Seen in the program registers when espefuse 5.6 burns 01 02 … 18.
        let coded = three_quarters(&counting());
        assert_eq!(
            hex::encode(coded),
            "01020304050607230708090a0b0c0b2e0d0e0f1011121f2f1314151617180b3c"
        );
    }

    #[test]
    fn the_mac_crc_is_the_usual_one_wire_crc() {
        // Maxim application note 27 gives CRC A2 for the ROM code 02 1C B8 01 00 00 00; a family
        // code in front of six bytes is one too long here, so the rule is taken at its two ends:
        // a zero message has CRC 0, and a message followed by its own CRC has CRC 0.
        assert_eq!(mac_crc(MacAddress([0; 6])), 0);
        let crc = mac_crc(MacAddress([0, 0x02, 0x1C, 0xB8, 0x01, 0]));
        assert_eq!(mac_crc(MacAddress([0x02, 0x1C, 0xB8, 0x01, 0, crc])), 0);
        // Burned by espefuse 5.6 with `burn-custom-mac 00:11:22:33:44:55`.
        assert_eq!(
            mac_crc(MacAddress([0x00, 0x11, 0x22, 0x33, 0x44, 0x55])),
            0xB8
        );
    }

    /// The value of the whole codeword at `x`; zero at every root of the generator.
    fn value_at(data: &[u8; 32], check: [u32; 3], x: u8) -> u8 {
        let check = check.into_iter().flat_map(u32::to_le_bytes);
        let codeword = data.iter().copied().chain(check);
        codeword.fold(0, |value, byte| multiply(value, x) ^ byte)
    }

    proptest! {
        #[test]
        fn a_codeword_is_zero_at_all_twelve_roots(data: [u8; 32]) {
            let check = check_words(&data);
            let mut root = 1;
            for _ in 0..CHECK_BYTES {
                prop_assert_eq!(value_at(&data, check, root), 0);
                root = multiply(root, 2);
            }
            prop_assert_eq!(root, 0xCD, "α¹² of this field");
        }

        #[test]
        fn one_changed_byte_changes_all_twelve_check_bytes(
            data: [u8; 32], at in 0usize..32, change in 1u8..,
        ) {
            let mut other = data;
            other[at] ^= change;
            let bytes = |data| check_words(data).into_iter().flat_map(u32::to_le_bytes);
            for (one, two) in bytes(&data).zip(bytes(&other)) {
                prop_assert_ne!(one, two);
            }
        }

        #[test]
        fn three_quarters_come_back_and_a_flipped_bit_is_noticed(
            data: [u8; 24], bit in 0usize..256,
        ) {
            let mut coded = three_quarters(&data);
            prop_assert_eq!(three_quarters_decode(&coded), Ok(data));
            coded[bit / 8] ^= 1 << (bit % 8);
            let group = (bit / 64) as u8;
            prop_assert_eq!(three_quarters_decode(&coded), Err(DamagedGroup { group }));
        }
    }
}
