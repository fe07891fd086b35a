//! Inputs with their checksums made right, so that mutations get past them.
//!
//! The checksums are computed here a second time: a fault in ours does not hide itself.

use md5::Md5;
use sha2::{Digest as _, Sha256};

const PAGE: usize = 4096;

/// CRC-32 of IEEE 802.3; chips and zlib differ only in where the register starts.
pub(super) fn crc(start: u32, parts: &[&[u8]]) -> u32 {
    let mut register = start;
    for byte in parts.iter().copied().flatten() {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = register & 1;
            register = register >> 1 ^ carry.wrapping_neg() & 0xEDB8_8320;
        }
    }
    !register
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*word))
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// A firmware image: the checksum behind its segments and the SHA-256 behind that.
pub(super) fn image(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut at, mut sum) = (24_usize, 0xEF);
    for _ in 0..*bytes.get(1)? {
        let start = at + 8;
        at = start.checked_add(word(bytes, at + 4)? as usize)?;
        sum = bytes
            .get(start..at)?
            .iter()
            .fold(sum, |sum, byte| sum ^ byte);
    }
    let end = at / 16 * 16 + 16;
    let mut out = bytes.to_vec();
    out.resize(out.len().max(end + 32), 0);
    out[end - 1] = sum;
    let digest = Sha256::digest(&out[..end]);
    put(&mut out, end, &digest);
    Some(out)
}

/// A partition table: the MD5 over the rows before its own.
pub(super) fn table(bytes: &[u8]) -> Option<Vec<u8>> {
    let at = 32
        * bytes
            .chunks(32)
            .position(|row| row.starts_with(&[0xEB, 0xEB]))?;
    let mut out = bytes.to_vec();
    let digest = Md5::digest(&bytes[..at]);
    put(&mut out, at, &[0xFF; 16]);
    put(&mut out, at, &[0xEB, 0xEB]);
    put(&mut out, at + 16, &digest);
    Some(out)
}

/// Both records of an OTA data partition.
pub(super) fn otadata(mut bytes: Vec<u8>) -> Vec<u8> {
    for at in [0, PAGE] {
        let sum = bytes.get(at..at + 4).map(|sequence| crc(0, &[sequence]));
        put(&mut bytes, at + 28, &sum.unwrap_or_default().to_le_bytes());
    }
    bytes
}

/// An NVS partition: the checksums of its pages, entries and values.
pub(super) fn nvs(mut bytes: Vec<u8>) -> Vec<u8> {
    for page in bytes.chunks_exact_mut(PAGE) {
        let sum = crc(0, &[&page[4..28]]);
        put(page, 28, &sum.to_le_bytes());
        let mut at = 64;
        while at + 32 <= PAGE {
            let (kind, span) = (page[at + 1], usize::from(page[at + 2]));
            let many = matches!(kind, 0x21 | 0x41 | 0x42);
            if many {
                let length = usize::from(u16::from_le_bytes([page[at + 24], page[at + 25]]));
                let value = page.get(at + 32..at + 32 + length);
                let sum = value.map_or(0, |value| crc(0, &[value]));
                put(page, at + 28, &sum.to_le_bytes());
            }
            let sum = crc(0, &[&page[at..at + 4], &page[at + 8..at + 32]]);
            put(page, at + 4, &sum.to_le_bytes());
            at += 32 * if many { span.max(1) } else { 1 };
        }
    }
    bytes
}

/// An `esp_secure_cert` partition: the CRC of each entry, and of integrity entries the digest.
pub(super) fn cert(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = 0;
    while let Some(length) = word(&out, at + 8).map(|word| word as usize >> 16) {
        let end = at + 12 + length.next_multiple_of(16);
        if end + 4 > out.len() {
            break;
        }
        if out[at + 8] == 9 && length == 32 {
            let digest = Sha256::digest(&out[..at]);
            put(&mut out, at + 12, &digest);
        }
        let sum = crc(0, &[&out[at..end]]);
        put(&mut out, end, &sum.to_le_bytes());
        at = end + 4;
    }
    out
}

/// A raw record: the CRC over its head and what it says is its body.
pub(super) fn record(bytes: &[u8]) -> Option<Vec<u8>> {
    let length = word(bytes, 8)? as usize;
    let body = bytes.get(16..)?.get(..length)?;
    let mut out = bytes.to_vec();
    let sum = crc(u32::MAX, &[&bytes[..12], body]);
    put(&mut out, 12, &sum.to_le_bytes());
    Some(out)
}

/// Blocks in a signature sector.
pub(super) fn signatures(mut sector: Vec<u8>) -> Vec<u8> {
    for block in sector.chunks_exact_mut(1216) {
        let sum = crc(u32::MAX, &[&block[..1196]]);
        put(block, 1196, &sum.to_le_bytes());
    }
    sector
}

/// Intel hex: the checksum of each record.
pub(super) fn hex(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for row in text.split_inclusive(|byte| *byte == b'\n') {
        let digits = row.trim_ascii_end().strip_prefix(b":").unwrap_or_default();
        let bytes = hex::decode(digits).unwrap_or_default();
        match bytes.split_last() {
            Some((_, covered)) => {
                let sum = covered
                    .iter()
                    .fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
                let line = format!(":{}{sum:02X}\n", hex::encode_upper(covered));
                out.extend_from_slice(line.as_bytes());
            }
            None => out.extend_from_slice(row),
        }
    }
    out
}
