//! The Reed-Solomon (44,32) code as the fuse controller's hardware reads it.
//!
//! Invariants: every block of 44 bytes decodes to something, without a panic; up to six wrong bytes
//! are corrected and counted, more are a failure. It is the chip's own arithmetic, apart from the
//! host's, so that each checks the other.
//!
//! The field is GF(256) with polynomial 0x11D, the generator's roots are α^0 to α^11 (ESP-IDF,
//! `esp_efuse_utility`; technical reference manuals, eFuse controller chapter).

/// Data bytes of a block.
pub(super) const DATA: usize = 32;
/// Check bytes of a block.
pub(super) const CHECK: usize = 12;
/// All of them.
pub(super) const ALL: usize = DATA + CHECK;
/// Most wrong bytes that are corrected.
const MOST: usize = CHECK / 2;

const EXP: [u8; 510] = exponents();
const LOG: [u8; 256] = logarithms();

const fn exponents() -> [u8; 510] {
    let mut table = [0; 510];
    let mut value = 1u16;
    let mut at = 0;
    while at < 255 {
        table[at] = value as u8;
        table[at + 255] = value as u8;
        value <<= 1;
        if value > 0xFF {
            value ^= 0x11D;
        }
        at += 1;
    }
    table
}

const fn logarithms() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 255 {
        table[EXP[at] as usize] = at as u8;
        at += 1;
    }
    table
}

fn times(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    EXP[usize::from(LOG[usize::from(a)]) + usize::from(LOG[usize::from(b)])]
}

/// `b` must not be zero; a zero divides to zero here, and the check at the end refuses the result.
fn over(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    EXP[usize::from(LOG[usize::from(a)]) + 255 - usize::from(LOG[usize::from(b)])]
}

/// α to the power of `power`.
fn alpha(power: usize) -> u8 {
    EXP[power % 255]
}

/// The value of a polynomial, lowest coefficient first.
fn value(polynomial: &[u8], at: u8) -> u8 {
    polynomial
        .iter()
        .rev()
        .fold(0, |sum, coefficient| times(sum, at) ^ coefficient)
}

/// The check bytes of 32 data bytes.
pub(super) fn check_bytes(data: &[u8; DATA]) -> [u8; CHECK] {
    // The generator, highest coefficient first, without its leading one.
    let mut generator = [0u8; CHECK + 1];
    generator[0] = 1;
    for root in 0..CHECK {
        for at in (1..=root + 1).rev() {
            generator[at] ^= times(generator[at - 1], alpha(root));
        }
    }
    let mut rest = [0u8; CHECK];
    for byte in data {
        let factor = byte ^ rest[0];
        rest.rotate_left(1);
        rest[CHECK - 1] = 0;
        for (place, coefficient) in rest.iter_mut().zip(&generator[1..]) {
            *place ^= times(*coefficient, factor);
        }
    }
    rest
}

/// What the hardware makes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// The data, with this many wrong bytes corrected.
    Corrected([u8; DATA], u8),
    /// Too many bytes are wrong.
    Failed,
}

/// Decodes 44 bytes, data before check bytes.
pub(super) fn decode(block: &[u8; ALL]) -> Decoded {
    let syndromes = syndromes(block);
    let mut fixed = *block;
    let mut count = 0;
    if syndromes != [0; CHECK] {
        let locator = locator(&syndromes);
        let degree = locator.iter().rposition(|c| *c != 0).unwrap_or(0);
        if degree > MOST {
            return Decoded::Failed;
        }
        count = correct(&mut fixed, &syndromes, &locator);
        if count != degree || self::syndromes(&fixed) != [0; CHECK] {
            return Decoded::Failed;
        }
    }
    let mut data = [0; DATA];
    data.copy_from_slice(&fixed[..DATA]);
    Decoded::Corrected(data, count as u8)
}

fn syndromes(block: &[u8; ALL]) -> [u8; CHECK] {
    std::array::from_fn(|power| {
        let root = alpha(power);
        block.iter().fold(0, |sum, byte| times(sum, root) ^ byte)
    })
}

/// The error locator, lowest coefficient first (Berlekamp and Massey).
fn locator(syndromes: &[u8; CHECK]) -> [u8; CHECK + 1] {
    let mut locator = [0u8; CHECK + 1];
    let mut previous = [0u8; CHECK + 1];
    (locator[0], previous[0]) = (1, 1);
    let (mut length, mut shift, mut last) = (0, 1, 1u8);
    for step in 0..CHECK {
        let discrepancy = (0..=length.min(step))
            .fold(0, |sum, at| sum ^ times(locator[at], syndromes[step - at]));
        if discrepancy == 0 {
            shift += 1;
            continue;
        }
        let before = locator;
        let factor = over(discrepancy, last);
        for at in shift..=CHECK {
            locator[at] ^= times(factor, previous[at - shift]);
        }
        if 2 * length <= step {
            length = step + 1 - length;
            (previous, last, shift) = (before, discrepancy, 1);
        } else {
            shift += 1;
        }
    }
    locator
}

/// Corrects the bytes that the locator points at and returns how many there were (Chien, Forney).
fn correct(block: &mut [u8; ALL], syndromes: &[u8; CHECK], locator: &[u8; CHECK + 1]) -> usize {
    let evaluator: [u8; CHECK] = std::array::from_fn(|power| {
        (0..=power).fold(0, |sum, at| sum ^ times(locator[at], syndromes[power - at]))
    });
    // In a field of characteristic two only the odd powers survive in the derivative.
    let derivative: [u8; CHECK] = std::array::from_fn(|power| {
        if power % 2 == 0 {
            locator[power + 1]
        } else {
            0
        }
    });
    let mut count = 0;
    for (index, byte) in block.iter_mut().enumerate() {
        let place = alpha(ALL - 1 - index);
        let inverse = over(1, place);
        if value(locator, inverse) == 0 {
            let slope = value(&derivative, inverse);
            *byte ^= times(place, over(value(&evaluator, inverse), slope));
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(data: [u8; DATA]) -> [u8; ALL] {
        let mut block = [0; ALL];
        block[..DATA].copy_from_slice(&data);
        block[DATA..].copy_from_slice(&check_bytes(&data));
        block
    }

    #[test]
    fn the_check_bytes_are_those_that_espefuse_writes() {
        // espefuse 5.6, key 01..20 stored in reverse: check words d40ecd58 1fb9516d e4fced00.
        let data = std::array::from_fn(|at| 0x20 - at as u8);
        let words = [0xD40E_CD58_u32, 0x1FB9_516D, 0xE4FC_ED00];
        let expected: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        assert_eq!(check_bytes(&data).to_vec(), expected);
    }

    #[test]
    fn blank_fuses_are_a_valid_block() {
        assert_eq!(decode(&[0; ALL]), Decoded::Corrected([0; DATA], 0));
    }

    proptest! {
        #[test]
        fn up_to_six_wrong_bytes_are_corrected_and_counted(
            data: [u8; DATA],
            wrong in prop::collection::btree_map(0..ALL, 1u8.., 0..=MOST),
        ) {
            let mut block = block(data);
            for (at, error) in &wrong {
                block[*at] ^= error;
            }
            prop_assert_eq!(decode(&block), Decoded::Corrected(data, wrong.len() as u8));
        }

        #[test]
        fn anything_decodes_to_something_and_what_passes_is_a_code_word(bytes in any::<[[u8; 4]; 11]>()) {
            let mut noise = [0; ALL];
            noise.copy_from_slice(bytes.as_flattened());
            if let Decoded::Corrected(data, count) = decode(&noise) {
                let right = block(data);
                let differ = right.iter().zip(&noise).filter(|(a, b)| a != b).count();
                prop_assert_eq!(differ, usize::from(count));
            }
        }
    }
}
