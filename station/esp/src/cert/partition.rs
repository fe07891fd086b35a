//! The partition as a list of entries, to bytes and back.

use sha2::{Digest, Sha256};

use super::entry::{Entry, FOOTER, HEADER, Kind, MAGIC, checksum, flash_length};
use super::error::CertError;
use crate::secret::Secret;

/// Bytes that the entries may take, and that the partition has.
pub const PARTITION_SIZE: usize = 0x2000;
/// What the tool writes behind the last entry when it appends one.
const END: u32 = 0xFFFF;
const ERASED: u32 = u32::MAX;

/// The entries in their order in flash.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partition {
    entries: Vec<Entry>,
    length: usize,
}

impl Partition {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry at the end.
    ///
    /// # Errors
    /// When there is one of its kind and subtype already, or no room for it.
    pub fn push(&mut self, entry: Entry) -> Result<(), CertError> {
        let Entry { kind, subtype, .. } = entry;
        if self.find(kind, subtype).is_some() {
            return Err(CertError::Duplicate { kind, subtype });
        }
        entry.check()?;
        let needs = self.length + entry.flash_length();
        if needs > PARTITION_SIZE {
            return Err(CertError::Full { needs });
        }
        self.length = needs;
        self.entries.push(entry);
        Ok(())
    }

    /// Adds an entry with the SHA-256 of everything so far, as the tool does at the end.
    ///
    /// # Errors
    /// When there is no room for it, or nothing before it.
    pub fn push_integrity(&mut self) -> Result<(), CertError> {
        if self.entries.is_empty() {
            return Err(CertError::Empty);
        }
        let subtype = self.next_subtype(Kind::Integrity);
        let bytes = zeroize::Zeroizing::new(self.to_bytes());
        let digest = Sha256::digest(&*bytes).to_vec();
        self.push(Entry::new(Kind::Integrity, subtype, digest))
    }

    /// The lowest subtype above those in use.
    pub(super) fn next_subtype(&self, kind: Kind) -> u8 {
        let used = self.entries.iter().filter(|entry| entry.kind == kind);
        used.map(|entry| entry.subtype.saturating_add(1))
            .max()
            .unwrap_or(0)
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// One entry.
    #[must_use]
    pub fn find(&self, kind: Kind, subtype: u8) -> Option<&Entry> {
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.kind == kind && entry.subtype == subtype)
    }

    /// Whether an integrity entry covers everything before it.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.entries
            .last()
            .is_some_and(|entry| entry.kind == Kind::Integrity)
    }

    /// Bytes the entries take.
    #[must_use]
    pub fn flash_length(&self) -> usize {
        self.length
    }

    /// The entries as they lie in flash, which is all that the tool puts into its file. They can
    /// hold a private key.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Sized first, so that no copy of a private key stays behind when the vector grows.
        let mut bytes = Vec::with_capacity(self.length);
        for entry in &self.entries {
            entry
                .write(&mut bytes)
                .expect("entries are checked before they are taken in");
        }
        bytes
    }

    /// The whole partition: the entries and erased flash behind them.
    #[must_use]
    pub fn to_image(&self) -> Secret {
        let mut bytes = Vec::with_capacity(PARTITION_SIZE);
        bytes.extend(zeroize::Zeroizing::new(self.to_bytes()).iter());
        bytes.resize(PARTITION_SIZE, 0xFF);
        Secret::new(bytes)
    }

    /// Reads a partition or the tool's file, up to the first erased word, the tool's end mark or
    /// the end of the bytes. Every checksum and integrity entry is checked.
    ///
    /// # Errors
    /// At the first thing that is not as it should be, with its offset.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertError> {
        let mut partition = Self::new();
        while let Some(found) = word(bytes, partition.length) {
            if matches!(found, ERASED | END) {
                break;
            }
            let offset = partition.length;
            if found != MAGIC {
                return Err(CertError::Magic { offset, found });
            }
            let entry = read_entry(bytes, offset)?;
            if entry.kind == Kind::Integrity
                && Sha256::digest(&bytes[..offset])[..] != *entry.content.expose()
            {
                return Err(CertError::Integrity { offset });
            }
            partition.push(entry)?;
        }
        let offset = partition.length;
        let rest = bytes.get(offset..).unwrap_or_default();
        if rest.len() < 4 && rest.iter().any(|byte| *byte != 0xFF) {
            return Err(CertError::Truncated {
                offset,
                needs: HEADER + FOOTER,
                has: rest.len(),
            });
        }
        if partition.entries.is_empty() {
            return Err(CertError::Empty);
        }
        Ok(partition)
    }
}

/// The word at an offset; `None` where fewer than four bytes are left.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*word))
}

fn read_entry(bytes: &[u8], offset: usize) -> Result<Entry, CertError> {
    let rest = &bytes[offset..];
    let truncated = |needs| CertError::Truncated {
        offset,
        needs,
        has: rest.len(),
    };
    let header = rest
        .first_chunk::<HEADER>()
        .ok_or(truncated(HEADER + FOOTER))?;
    let kind = Kind::from_number(header[8]);
    let length = usize::from(u16::from_le_bytes([header[10], header[11]]));
    let whole = flash_length(length);
    let entry = rest.get(..whole).ok_or(truncated(whole))?;
    let (covered, footer) = entry.split_at(whole - FOOTER);
    if footer != checksum(covered).to_le_bytes() {
        return Err(CertError::Checksum { offset, kind });
    }
    // They would be lost, and with them what a signature over the entry is about.
    let mut reserved = covered[5..8].iter().chain(&covered[HEADER + length..]);
    if reserved.any(|byte| *byte != 0) {
        return Err(CertError::Reserved { offset, kind });
    }
    Ok(Entry {
        kind,
        subtype: header[9],
        flags: header[4],
        content: Secret::new(covered[HEADER..HEADER + length].to_vec()),
    })
}
