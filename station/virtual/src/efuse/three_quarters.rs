//! The ESP32's 3/4 code as its hardware reads it: six data bytes in eight.
//!
//! Invariants: a group with one wrong bit is corrected and reported, any other wrong group is
//! passed on as it is and reported. The chip's own arithmetic, apart from the host's.
//!
//! The seventh byte is the exclusive or of the six, the eighth the sum of their set bits, each
//! weighted with the byte's number from 1 (ESP32 technical reference manual, eFuse controller).

/// Data bytes of a group.
const DATA: usize = 6;
/// Bytes of a group.
const ALL: usize = 8;

fn check_bytes(data: &[u8]) -> [u8; 2] {
    let parity = data.iter().fold(0, |sum, byte| sum ^ byte);
    let weight = (1u32..)
        .zip(data)
        .map(|(number, byte)| number * byte.count_ones())
        .sum::<u32>();
    // Six bytes weigh 168 at most.
    [parity, weight as u8]
}

/// The 32 bytes that hold 24 bytes of data.
pub(super) fn encode(data: &[u8; 24]) -> [u8; 32] {
    let mut coded = [0; 32];
    for (group, data) in coded.chunks_mut(ALL).zip(data.chunks(DATA)) {
        group[..DATA].copy_from_slice(data);
        group[DATA..].copy_from_slice(&check_bytes(data));
    }
    coded
}

/// The data in 32 bytes, and a bit for each group that was wrong.
pub(super) fn decode(coded: &[u8; 32]) -> ([u8; 24], u32) {
    let mut data = [0; 24];
    let mut wrong = 0;
    for (number, (group, place)) in coded.chunks(ALL).zip(data.chunks_mut(DATA)).enumerate() {
        place.copy_from_slice(&group[..DATA]);
        if check_bytes(place) != group[DATA..] {
            wrong |= 1 << number;
            mend(place, &group[DATA..]);
        }
    }
    (data, wrong)
}

/// Turns the one bit that makes the check bytes right, if there is one.
fn mend(data: &mut [u8], check: &[u8]) {
    for at in 0..DATA {
        for bit in 0..8 {
            data[at] ^= 1 << bit;
            if check_bytes(data) == check {
                return;
            }
            data[at] ^= 1 << bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_bytes_are_those_that_espefuse_writes() {
        let data = std::array::from_fn(|at| at as u8 + 1);
        // espefuse 5.6, bytes 01 to 18.
        let expected = "01020304050607230708090a0b0c0b2e0d0e0f1011121f2f1314151617180b3c";
        let expected = hex::decode(expected).unwrap();
        assert_eq!(encode(&data).to_vec(), expected);
        assert_eq!(decode(&encode(&data)), (data, 0));
    }

    #[test]
    fn one_wrong_bit_of_a_group_is_corrected_and_two_are_only_told() {
        let data = [0x5A; 24];
        let mut coded = encode(&data);
        coded[8] ^= 0x10;
        assert_eq!(decode(&coded), (data, 0b10));
        coded[9] ^= 0x20;
        let (read, wrong) = decode(&coded);
        assert_eq!(wrong, 0b10);
        assert_ne!(read, data);
    }
}
