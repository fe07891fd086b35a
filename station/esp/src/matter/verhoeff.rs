//! The check digit of manual pairing codes: Verhoeff's, which finds every wrong digit and every two
//! that changed places.
//!
//! Facts (J. Verhoeff, 1969): digits are the symmetries of a pentagon, 0 to 4 rotations, 5 to 9
//! reflections; each digit is permuted as often as its place from the right says, and the product of
//! all with the check digit is 0.

const PERMUTATION: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];

/// The check digit to stand behind these digits, each 0 to 9.
pub(super) fn check_digit(digits: impl DoubleEndedIterator<Item = u8>) -> u8 {
    let product = (1..).zip(digits.rev()).fold(0, |product, (place, digit)| {
        product_of(product, permuted(digit, place))
    });
    match product {
        // A rotation is undone by the opposite one, a reflection by itself.
        rotation @ 1..5 => 5 - rotation,
        other => other,
    }
}

/// One symmetry after the other.
fn product_of(first: u8, second: u8) -> u8 {
    match (first < 5, second < 5) {
        (true, true) => (first + second) % 5,
        (true, false) => 5 + (first + second) % 5,
        (false, true) => 5 + (first - second) % 5,
        (false, false) => (5 + first - second) % 5,
    }
}

/// A digit permuted `times` over; the permutation comes round after eight.
fn permuted(digit: u8, times: usize) -> u8 {
    (0..times % 8).fold(digit, |digit, _| PERMUTATION[usize::from(digit % 10)])
}
