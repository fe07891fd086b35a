//! Partition tables, as CSV text and as they lie in flash.
//!
//! Invariants: a [`Table`] has been checked: names unique and of 1 to 16 bytes, offsets aligned for
//! their type, nothing overlaps anything or the table itself, and it fits one flash sector; both
//! forms carry the same facts, with the exceptions below, and are those of ESP-IDF's gen_esp32part
//! 1.5 to the byte. Errors name the line and the column, or the entry.
//!
//! What that tool accepts and we refuse, because it would not work or would not say what was meant:
//! names cut off after 16 bytes or empty, columns behind the sixth, variables in the text, sizes of
//! zero, ends beyond 4 GiB, two applications with one subtype, type 0xFF, an empty table, and in the
//! binary form unknown flags, entries behind the checksum, other bytes than 0xFF between its mark and
//! its digest, and a table without one (unless told).
//!
//! What we accept and the tool does not: a row for a bootloader that says its place and size in
//! numbers although [`Rules`] do not, so that what was written from a binary table can be read; and
//! under [`Checksum::Off`] a binary table that has a checksum all the same.
//!
//! What the binary form can carry and CSV cannot, to the tool and to us: entries whose offsets do not
//! rise ([`Warning::OutOfOrder`]: such CSV is written and refused when it is read), a size of a table
//! that is not one sector, and bytes behind the zero that ends a name (dropped when they are read).
//!
//! The crate esp-idf-part reads the same formats. It is our cross-check in tests, not our parser: it
//! names no row, cuts long names short in silence, fills in data offsets on 4 instead of 4096 bytes,
//! accepts a binary table without checksum or with two equal entries, and panics on sizes that
//! overflow. Source of the rules: ESP-IDF's partition table guide and the tool.

mod address;
mod binary;
mod csv;
mod entry;
mod error;
mod kind;
mod layout;
mod number;
mod rules;
mod text;
mod usage;
mod warning;

#[cfg(test)]
mod tests;

pub use address::AddressError;
pub use entry::Entry;
pub use error::{Column, Fault, PartitionError, Place};
pub use kind::{Kind, Subtype};
pub use layout::{AppSize, LayoutError, OtaLayout, Slots, Storage};
pub use rules::{Checksum, ExtraSubtype, Rules, Secure};
pub use usage::{Purpose, Region, Usage};
pub use warning::Warning;

use crate::flash::SECTOR;

/// Where ESP-IDF keeps the table unless configured otherwise.
pub const DEFAULT_TABLE_OFFSET: u32 = 0x8000;
/// Flash that the table itself takes up.
pub const TABLE_SECTOR: u32 = SECTOR;
/// Length of the binary form.
pub const TABLE_LENGTH: usize = 0xC00;
/// Length of one binary entry.
const ENTRY_LENGTH: usize = 32;

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
        Self::with_rules(entries, &Rules::at(table_offset))
    }

    /// A table of these entries that keeps `rules`.
    ///
    /// # Errors
    /// When a rule is broken; the place is the number of the entry, from 1.
    pub fn with_rules(entries: Vec<Entry>, rules: &Rules) -> Result<Self, PartitionError> {
        let placed = entries.into_iter().enumerate();
        let placed = placed.map(|(at, entry)| (Place::Entry(at + 1), entry));
        Self::checked(placed.collect(), rules)
    }

    /// Reads CSV for a table at the usual place.
    ///
    /// # Errors
    /// When the text is no partition table or breaks a rule; the place is the line.
    pub fn parse_csv(text: &str) -> Result<Self, PartitionError> {
        Self::parse_csv_with(text, &Rules::default())
    }

    /// Reads CSV for a table at `table_offset`, behind which offsets left open begin.
    ///
    /// # Errors
    /// When the text is no partition table or breaks a rule; the place is the line.
    pub fn parse_csv_at(text: &str, table_offset: u32) -> Result<Self, PartitionError> {
        Self::parse_csv_with(text, &Rules::at(table_offset))
    }

    /// Reads CSV for a table that keeps `rules`.
    ///
    /// # Errors
    /// When the text is no partition table or breaks a rule; the place is the line.
    pub fn parse_csv_with(text: &str, rules: &Rules) -> Result<Self, PartitionError> {
        rules.check()?;
        Self::checked(csv::parse(text, rules)?, rules)
    }

    /// Reads the binary form, up to its end mark; what follows is not looked at.
    ///
    /// # Errors
    /// When the checksum is missing or wrong, an entry is malformed, or a rule is broken.
    pub fn parse_binary(bytes: &[u8]) -> Result<Self, PartitionError> {
        // A binary table does not say where it lies, so only the sector at 0 is out of bounds.
        Self::parse_binary_with(bytes, &Rules::at(0))
    }

    /// Reads the binary form of a table that keeps `rules`.
    ///
    /// # Errors
    /// When the checksum is missing or wrong, an entry is malformed, or a rule is broken.
    pub fn parse_binary_with(bytes: &[u8], rules: &Rules) -> Result<Self, PartitionError> {
        rules.check()?;
        Self::checked(binary::parse(bytes, rules.checksum)?, rules)
    }

    /// Reads a file in either form: binary by its first two bytes, else text in UTF-8 or UTF-16.
    ///
    /// # Errors
    /// When it is no partition table or breaks a rule.
    pub fn parse(bytes: &[u8], rules: &Rules) -> Result<Self, PartitionError> {
        if binary::is_binary(bytes) {
            Self::parse_binary_with(bytes, rules)
        } else {
            Self::parse_csv_with(&text::decode(bytes)?, rules)
        }
    }

    /// The binary form with checksum, [`TABLE_LENGTH`] bytes.
    #[must_use]
    pub fn to_binary(&self) -> Vec<u8> {
        self.to_binary_with(Checksum::Md5)
    }

    /// The binary form, [`TABLE_LENGTH`] bytes.
    ///
    /// A table of one entry more than fit beside a checksum, which only [`Checksum::Off`] lets in,
    /// never gets one.
    #[must_use]
    pub fn to_binary_with(&self, checksum: Checksum) -> Vec<u8> {
        let fits = self.entries.len() <= binary::most_entries(checksum);
        let checksum = if fits { checksum } else { Checksum::Off };
        binary::encode(&self.entries, checksum)
    }

    /// The CSV form with every offset and size filled in, rows in the order of the table; see
    /// [`Warning::OutOfOrder`].
    #[must_use]
    pub fn to_csv(&self) -> String {
        self.to_csv_with(&Rules::default())
    }

    /// The CSV form with the names of the subtypes that `rules` add.
    #[must_use]
    pub fn to_csv_with(&self, rules: &Rules) -> String {
        csv::encode(&self.entries, rules)
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

    /// The partition that says which update slot to start.
    #[must_use]
    pub fn otadata(&self) -> Option<&Entry> {
        self.find_subtype(Kind::Data, Subtype::OTADATA)
    }

    /// The partition of this update slot.
    #[must_use]
    pub fn slot(&self, slot: u8) -> Option<&Entry> {
        self.find_subtype(Kind::App, Subtype::of_slot(slot)?)
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
        self.entries.iter().enumerate().try_for_each(|(at, entry)| {
            within(entry, flash_size).map_err(|fault| Place::Entry(at + 1).fault(fault))
        })
    }

    fn checked(placed: Vec<(Place, Entry)>, rules: &Rules) -> Result<Self, PartitionError> {
        rules.check()?;
        if placed.is_empty() {
            return Err(Place::Table.fault(Fault::Empty));
        }
        let (count, most) = (placed.len(), binary::most_entries(rules.checksum));
        if count > most {
            return Err(Place::Table.fault(Fault::TooMany { count, most }));
        }
        for (at, (place, entry)) in placed.iter().enumerate() {
            let beside = || {
                let mut earlier = placed[..at].iter();
                earlier.try_for_each(|(_, earlier)| entry.check_beside(earlier))
            };
            let fits = || {
                rules
                    .flash_size
                    .map_or(Ok(()), |flash_size| within(entry, flash_size))
            };
            entry
                .check(rules)
                .and_then(|()| beside())
                .and_then(|()| fits())
                .map_err(|fault| place.fault(fault))?;
        }
        Ok(Self {
            entries: placed.into_iter().map(|(_, entry)| entry).collect(),
        })
    }
}

fn within(entry: &Entry, flash_size: u32) -> Result<(), Fault> {
    if entry.end() > u64::from(flash_size) {
        return Err(Fault::BeyondFlash {
            name: entry.name.clone(),
            flash_size,
        });
    }
    Ok(())
}
