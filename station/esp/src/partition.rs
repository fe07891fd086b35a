//! Partition tables, as CSV text and as they lie in flash.
//!
//! Invariants: a [`Table`] has been checked: names unique and of 1 to 16 bytes, offsets aligned for
//! their type, nothing overlaps anything or the table itself, and it fits one flash sector; both
//! forms carry exactly the same facts. Errors name the line or the entry.
//!
//! The crate esp-idf-part reads the same formats. It is our cross-check in tests, not our parser: it
//! names no row, cuts long names short in silence, fills in data offsets on 4 instead of 4096 bytes,
//! accepts a binary table without checksum or with two equal entries, and panics on sizes that
//! overflow. Source of the rules: ESP-IDF's partition table guide.

mod binary;
mod csv;
mod entry;
mod error;
#[cfg(test)]
mod tests;

pub use entry::{Entry, Kind, Subtype};
pub use error::{Fault, PartitionError, Place};

use crate::flash::SECTOR;

/// Where ESP-IDF keeps the table unless configured otherwise.
pub const DEFAULT_TABLE_OFFSET: u32 = 0x8000;
/// Flash that the table itself takes up.
pub const TABLE_SECTOR: u32 = SECTOR;
/// Length of the binary form.
pub const TABLE_LENGTH: usize = 0xC00;
/// Length of one binary entry.
const ENTRY_LENGTH: usize = 32;
/// Entries that fit beside the checksum.
const MAX_ENTRIES: usize = TABLE_LENGTH / ENTRY_LENGTH - 1;

/// A checked partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    entries: Vec<Entry>,
}

impl Table {
    /// A table of these entries, which lies at `table_offset`.
    ///
    /// # Errors
    /// When a rule is broken; the place is the number of the entry, from 1.
    pub fn new(entries: Vec<Entry>, table_offset: u32) -> Result<Self, PartitionError> {
        let placed = entries.into_iter().enumerate();
        Self::checked(
            placed
                .map(|(at, entry)| (Place::Entry(at + 1), entry))
                .collect(),
            table_offset,
        )
    }

    /// Reads CSV for a table at the usual place.
    ///
    /// # Errors
    /// When the text is no partition table or breaks a rule; the place is the line.
    pub fn parse_csv(text: &str) -> Result<Self, PartitionError> {
        Self::parse_csv_at(text, DEFAULT_TABLE_OFFSET)
    }

    /// Reads CSV for a table at `table_offset`, behind which offsets left open begin.
    ///
    /// # Errors
    /// When the text is no partition table or breaks a rule; the place is the line.
    pub fn parse_csv_at(text: &str, table_offset: u32) -> Result<Self, PartitionError> {
        Self::checked(csv::parse(text, table_offset)?, table_offset)
    }

    /// Reads the binary form, up to its end mark; what follows is not looked at.
    ///
    /// # Errors
    /// When the checksum is missing or wrong, an entry is malformed, or a rule is broken.
    pub fn parse_binary(bytes: &[u8]) -> Result<Self, PartitionError> {
        // A binary table does not say where it lies, so only the sector at 0 is out of bounds.
        Self::checked(binary::parse(bytes)?, 0)
    }

    /// The binary form with checksum, [`TABLE_LENGTH`] bytes.
    #[must_use]
    pub fn to_binary(&self) -> Vec<u8> {
        binary::encode(&self.entries)
    }

    /// The CSV form with every offset and size filled in.
    #[must_use]
    pub fn to_csv(&self) -> String {
        csv::encode(&self.entries)
    }

    /// The entries in the order of the table.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The first entry of this kind and subtype.
    #[must_use]
    pub fn find_subtype(&self, kind: Kind, subtype: Subtype) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.kind == kind && entry.subtype == subtype)
    }

    /// The application a bootloader starts when no update is selected: factory, else the first slot.
    #[must_use]
    pub fn default_app(&self) -> Option<&Entry> {
        self.find_subtype(Kind::App, Subtype::FACTORY)
            .or_else(|| self.find_subtype(Kind::App, Subtype::OTA_0))
    }

    /// First byte of flash behind all partitions.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.entries.iter().map(Entry::end).max().unwrap_or(0)
    }

    /// Checks that every partition lies in a flash of this many bytes.
    ///
    /// # Errors
    /// [`Fault::BeyondFlash`] for the first partition that does not.
    pub fn check_flash_size(&self, flash_size: u32) -> Result<(), PartitionError> {
        for (at, entry) in self.entries.iter().enumerate() {
            if entry.end() > u64::from(flash_size) {
                let fault = Fault::BeyondFlash {
                    name: entry.name.clone(),
                    flash_size,
                };
                return Err(PartitionError {
                    place: Place::Entry(at + 1),
                    fault,
                });
            }
        }
        Ok(())
    }

    fn checked(placed: Vec<(Place, Entry)>, table_offset: u32) -> Result<Self, PartitionError> {
        if placed.is_empty() {
            return Err(Place::Table.fault(Fault::Empty));
        }
        if placed.len() > MAX_ENTRIES {
            return Err(Place::Table.fault(Fault::TooMany(placed.len())));
        }
        for (at, (place, entry)) in placed.iter().enumerate() {
            entry
                .check(table_offset)
                .map_err(|fault| place.fault(fault))?;
            for (_, earlier) in &placed[..at] {
                entry
                    .check_beside(earlier)
                    .map_err(|fault| place.fault(fault))?;
            }
        }
        Ok(Self {
            entries: placed.into_iter().map(|(_, entry)| entry).collect(),
        })
    }
}
