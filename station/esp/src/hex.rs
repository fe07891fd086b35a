//! Intel hex, as programmers read it.
//!
//! Invariants: what is read is returned as runs of bytes, so records far apart cost no more than
//! their text; every line is checked (length, checksum, type), errors name it from 1. What is written
//! has 16 bytes a record from the start of each run, none across 64 KiB, upper address records only
//! where an address needs one, as `esptool merge-bin --format hex` 5.6 writes it. Source: Intel's
//! "Hexadecimal Object File Format Specification", revision A.

use std::fmt::Write as _;

use crate::image::{MergeError, Part, Record, joined, ordered};

#[cfg(test)]
pub(crate) mod tests;

/// Bytes of data in a record we write.
const RECORD: usize = 16;

/// A text that is no Intel hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// A line without colon.
    #[error("line {line}: a record begins with `:`")]
    NoColon {
        /// The line, from 1.
        line: usize,
    },
    /// Something else than pairs of hexadecimal digits.
    #[error("line {line}, column {column}: not a pair of hexadecimal digits")]
    Digit {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A record that is shorter or longer than it says.
    #[error("line {line}: record of {found} bytes, its head says {expected}")]
    Length {
        /// The line, from 1.
        line: usize,
        /// Bytes that the head announces, all of the record counted.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A checksum that does not hold.
    #[error("line {line}: checksum is {stored:#04x} and should be {actual:#04x}")]
    Checksum {
        /// The line, from 1.
        line: usize,
        /// What the line says.
        stored: u8,
        /// What its bytes have.
        actual: u8,
    },
    /// A type that does not exist, or one with the wrong number of bytes.
    #[error("line {line}: record type {kind} with {length} bytes means nothing")]
    Kind {
        /// The line, from 1.
        line: usize,
        /// The type.
        kind: u8,
        /// Its bytes of data.
        length: u8,
    },
    /// A record that ends behind 4 GiB.
    #[error("line {line}: record ends beyond 4 GiB")]
    BeyondAddresses {
        /// The line, from 1.
        line: usize,
    },
    /// A record behind the one that ends the file.
    #[error("line {line}: record behind the end record")]
    AfterEnd {
        /// The line, from 1.
        line: usize,
    },
    /// No end record, so something may be missing.
    #[error("end record is missing after line {line}")]
    NoEnd {
        /// The last line.
        line: usize,
    },
    /// Two records claim a byte.
    #[error("two records hold the byte at {address:#x}")]
    Overlap {
        /// The address.
        address: u32,
    },
}

impl HexError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoColon { .. } => "hex-no-colon",
            Self::Digit { .. } => "hex-digit",
            Self::Length { .. } => "hex-length",
            Self::Checksum { .. } => "hex-checksum",
            Self::Kind { .. } => "hex-record-type",
            Self::BeyondAddresses { .. } => "hex-beyond-addresses",
            Self::AfterEnd { .. } => "hex-after-end",
            Self::NoEnd { .. } => "hex-no-end",
            Self::Overlap { .. } => "hex-overlap",
        }
    }
}

/// Whether the bytes begin like Intel hex.
#[must_use]
pub fn is_hex(bytes: &[u8]) -> bool {
    let first = bytes.trim_ascii_start();
    first.first() == Some(&b':')
        && first.len() >= 11
        && first[1..11].iter().all(u8::is_ascii_hexdigit)
}

/// Writes the parts.
///
/// # Errors
/// When parts overlap or end beyond 4 GiB.
pub fn encode(parts: &[Part]) -> Result<String, MergeError> {
    let parts = ordered(parts)?;
    let bytes: usize = parts.iter().map(|part| part.bytes.len()).sum();
    let mut text = String::with_capacity(bytes / RECORD * 44 + 64);
    let high = |address: u64| u16::try_from(address >> 16).unwrap_or(u16::MAX);
    let mut upper = parts
        .last()
        .is_none_or(|part| part.end() <= 0x1_0000)
        .then_some(0);
    let mut at = 0;
    let mut line: Vec<u8> = Vec::with_capacity(RECORD);
    let mut begin = 0;
    // Parts that touch are one run: a record may hold bytes of two.
    for part in parts {
        if u64::from(part.address) != at {
            flush(&mut text, &mut upper, begin, &mut line, high);
            at = part.address.into();
            begin = at;
        }
        let mut rest = part.bytes.as_slice();
        while !rest.is_empty() {
            let room = (RECORD - line.len())
                .min(usize::try_from(0x1_0000 - at % 0x1_0000).unwrap_or(RECORD));
            let (now, later) = rest.split_at(room.min(rest.len()));
            line.extend_from_slice(now);
            at += now.len() as u64;
            rest = later;
            if line.len() == RECORD || at.is_multiple_of(0x1_0000) {
                flush(&mut text, &mut upper, begin, &mut line, high);
                begin = at;
            }
        }
    }
    flush(&mut text, &mut upper, begin, &mut line, high);
    record(&mut text, 0, 1, &[]);
    Ok(text)
}

/// Writes what is in `line` as one record, and an upper address record before it when that changed.
fn flush(
    text: &mut String,
    upper: &mut Option<u16>,
    begin: u64,
    line: &mut Vec<u8>,
    high: impl Fn(u64) -> u16,
) {
    if line.is_empty() {
        return;
    }
    let needed = high(begin);
    if *upper != Some(needed) {
        record(text, 0, 4, &needed.to_be_bytes());
        *upper = Some(needed);
    }
    let low = u16::try_from(begin & 0xFFFF).unwrap_or(0);
    record(text, low, 0, line);
    line.clear();
}

fn record(text: &mut String, address: u16, kind: u8, data: &[u8]) {
    let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
    let [high, low] = address.to_be_bytes();
    let mut sum = 0u8;
    text.push(':');
    let head = [length, high, low, kind];
    for byte in head.iter().chain(data) {
        sum = sum.wrapping_add(*byte);
        push(text, *byte);
    }
    push(text, sum.wrapping_neg());
    text.push('\n');
}

fn push(text: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{byte:02X}");
}

/// Reads Intel hex into runs of bytes, ascending. Start address records mean nothing to a flash and
/// are skipped; blank lines too.
///
/// # Errors
/// At the first line that is wrong, when the end record is missing, or when records overlap.
pub fn parse(text: &[u8]) -> Result<Vec<Part>, HexError> {
    let mut data = Vec::new();
    let mut records = Vec::new();
    let (mut base, mut ended, mut last) = (0u32, false, 0);
    for (line, row) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let row = row.trim_ascii();
        if row.is_empty() {
            continue;
        }
        last = line;
        if ended {
            return Err(HexError::AfterEnd { line });
        }
        let mut bytes = [0; MAX_RECORD];
        let bytes = digits(row, line, &mut bytes)?;
        let (address, kind, payload) = (
            u32::from(u16::from_be_bytes([bytes[1], bytes[2]])),
            bytes[3],
            &bytes[4..bytes.len() - 1],
        );
        match (kind, payload) {
            (0, payload) => {
                let address = u64::from(base) + u64::from(address);
                if address + payload.len() as u64 > 1 << 32 {
                    return Err(HexError::BeyondAddresses { line });
                }
                records.push(Record {
                    address: u32::try_from(address)
                        .map_err(|_| HexError::BeyondAddresses { line })?,
                    start: data.len(),
                    length: payload.len(),
                });
                data.extend_from_slice(payload);
            }
            (1, []) => ended = true,
            (2, [high, low]) => base = u32::from(u16::from_be_bytes([*high, *low])) << 4,
            (4, [high, low]) => base = u32::from(u16::from_be_bytes([*high, *low])) << 16,
            (3 | 5, [_, _, _, _]) => {}
            (kind, _) => {
                let length = bytes[0];
                return Err(HexError::Kind { line, kind, length });
            }
        }
    }
    if !ended {
        return Err(HexError::NoEnd { line: last });
    }
    joined(records, &data).map_err(|address| HexError::Overlap { address })
}

/// Longest record: length, address, type, 255 bytes, checksum.
const MAX_RECORD: usize = 260;

/// The bytes of a record, its length and checksum checked; at least five.
fn digits<'a>(
    row: &[u8],
    line: usize,
    out: &'a mut [u8; MAX_RECORD],
) -> Result<&'a [u8], HexError> {
    let digits = row.strip_prefix(b":").ok_or(HexError::NoColon { line })?;
    let found = digits.len() / 2;
    let mut sum = 0u8;
    for (at, pair) in digits.chunks(2).enumerate().take(MAX_RECORD) {
        let value = |byte: u8| char::from(byte).to_digit(16);
        let byte = match pair {
            [high, low] => value(*high).zip(value(*low)),
            _ => None,
        };
        let (high, low) = byte.ok_or(HexError::Digit {
            line,
            column: 2 + 2 * at,
        })?;
        out[at] = u8::try_from(high << 4 | low).unwrap_or(0);
        sum = sum.wrapping_add(out[at]);
    }
    let expected = 5 + usize::from(out[0]);
    if found != expected {
        return Err(HexError::Length {
            line,
            expected,
            found,
        });
    }
    let stored = out[expected - 1];
    if sum != 0 {
        return Err(HexError::Checksum {
            line,
            stored,
            actual: stored.wrapping_sub(sum),
        });
    }
    Ok(&out[..expected])
}
