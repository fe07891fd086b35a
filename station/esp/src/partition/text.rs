//! Text of a partition table from the bytes of a file.
//!
//! A byte order mark decides between UTF-16 and UTF-8; without one it is UTF-8.

use super::error::{Fault, PartitionError, Place};

/// The text of a file.
pub(super) fn decode(bytes: &[u8]) -> Result<String, PartitionError> {
    let text = match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => String::from_utf8(rest.to_vec()).ok(),
    };
    text.ok_or_else(|| Place::Table.fault(Fault::NotText))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .collect::<Result<_, _>>()
        .ok()
}
