//! Bytes and where they belong in flash.
//!
//! Invariant: a list that [`ordered`] returned is ascending, disjoint, ends within 4 GiB and has no
//! empty part.

use super::MergeError;

/// Bytes that belong at an address of flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where the first byte goes.
    pub address: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Part {
    /// Bytes at an address.
    #[must_use]
    pub fn new(address: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            address,
            bytes: bytes.into(),
        }
    }

    /// First address behind the bytes.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from(self.address) + self.bytes.len() as u64
    }
}

/// The parts that have bytes, by address.
pub(crate) fn ordered(parts: &[Part]) -> Result<Vec<&Part>, MergeError> {
    let mut ordered: Vec<&Part> = parts.iter().filter(|part| !part.bytes.is_empty()).collect();
    ordered.sort_by_key(|part| part.address);
    let mut end = 0;
    for part in &ordered {
        if u64::from(part.address) < end {
            return Err(MergeError::Overlap {
                address: part.address,
            });
        }
        end = part.end();
        if end > 1 << 32 {
            return Err(MergeError::BeyondAddresses {
                address: part.address,
            });
        }
    }
    Ok(ordered)
}

/// Puts records in order and joins those that touch; the address of the second record that claims a
/// byte when two do.
///
/// What is returned has no more bytes than `data`, however far the records lie apart.
pub(crate) fn joined(mut records: Vec<Record>, data: &[u8]) -> Result<Vec<Part>, u32> {
    records.sort_by_key(|record| record.address);
    let mut parts: Vec<Part> = Vec::new();
    for record in records {
        let bytes = data
            .get(record.start..record.start + record.length)
            .unwrap_or(&[]);
        if bytes.is_empty() {
            continue;
        }
        match parts.last_mut() {
            Some(last) if u64::from(record.address) < last.end() => return Err(record.address),
            Some(last) if u64::from(record.address) == last.end() => {
                last.bytes.extend_from_slice(bytes);
            }
            Some(_) | None => parts.push(Part::new(record.address, bytes)),
        }
    }
    Ok(parts)
}

/// One record of a file: bytes `start..start + length` of its data belong at `address`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) address: u32,
    pub(crate) start: usize,
    pub(crate) length: usize,
}
