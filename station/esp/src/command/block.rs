//! The 16-byte head and the checksum of data blocks.

/// Length of direction, opcode, size and checksum.
pub(super) const HEAD: usize = 8;
/// Length of the head within a data block: length, sequence and two zero words.
pub(super) const BLOCK_HEAD: usize = 16;

/// The checksum of MEM_DATA, FLASH_DATA and FLASH_DEFL_DATA: all data bytes xored onto 0xEF.
#[must_use]
pub fn checksum(data: &[u8]) -> u8 {
    // Eight bytes at a time: every payload of a session goes through here.
    let (words, rest) = data.as_chunks::<8>();
    let folded = words
        .iter()
        .fold(0, |sum, word| sum ^ u64::from_le_bytes(*word));
    let bytes = folded.to_le_bytes();
    bytes.iter().chain(rest).fold(0xEF, |sum, byte| sum ^ byte)
}
