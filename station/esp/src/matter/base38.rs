//! Bytes in the letters that QR codes hold most densely.
//!
//! Facts (Matter core specification, 5.1.3.1): three bytes make five letters, two make four, one
//! makes two; the bytes are a little-endian number, its letters stand least significant first.

const LETTERS: &[u8; 38] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-.";

/// Appends the letters of `bytes` to `text`.
pub(super) fn append(bytes: &[u8], text: &mut String) {
    for chunk in bytes.chunks(3) {
        let mut number = chunk
            .iter()
            .rev()
            .fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        let letters = match chunk.len() {
            1 => 2,
            2 => 4,
            _ => 5,
        };
        for _ in 0..letters {
            text.push(char::from(LETTERS[number % LETTERS.len()]));
            number /= LETTERS.len();
        }
    }
}
