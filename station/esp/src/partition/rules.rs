//! What a table is read and checked against besides itself.

use super::error::{Fault, PartitionError, Place};
use super::number::number;
use super::{DEFAULT_TABLE_OFFSET, Kind, Subtype};

/// How applications are verified at start, which decides on the sizes of their partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Secure {
    /// Not at all; sizes are a multiple of 4 KiB.
    #[default]
    Off,
    /// Secure boot version 1, whose signature ends a block; sizes are a multiple of 64 KiB.
    V1,
    /// Secure boot version 2, whose signature has a sector of its own; a multiple of 4 KiB.
    V2,
}

/// Whether a binary table carries the MD5 of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Checksum {
    /// Written, and required of a table that is read.
    #[default]
    Md5,
    /// Not written, and not required (bootloaders before ESP-IDF 3.1 know none). One that is there
    /// must still be right.
    Off,
}

/// A subtype that a project added.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExtraSubtype {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) code: u8,
}

/// Everything about a build that its partition table must agree with.
///
/// The default is the usual place, no secure boot, a checksum, and no claim about the flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Where the table lies.
    pub table_offset: u32,
    /// Where the first bootloader lies; entries for bootloaders get their place and size from it.
    pub primary_bootloader: Option<u32>,
    /// Where the spare bootloader lies.
    pub recovery_bootloader: Option<u32>,
    /// How applications are verified.
    pub secure: Secure,
    /// Whether the binary form has a checksum.
    pub checksum: Checksum,
    /// Bytes of flash, when the table must fit it.
    pub flash_size: Option<u32>,
    extra: Vec<ExtraSubtype>,
}

impl Default for Rules {
    fn default() -> Self {
        Self::at(DEFAULT_TABLE_OFFSET)
    }
}

impl Rules {
    /// The usual rules for a table at this offset.
    #[must_use]
    pub fn at(table_offset: u32) -> Self {
        Self {
            table_offset,
            primary_bootloader: None,
            recovery_bootloader: None,
            secure: Secure::Off,
            checksum: Checksum::Md5,
            flash_size: None,
            extra: Vec::new(),
        }
    }

    /// Adds a subtype written as `type, name, number`, the number hexadecimal.
    ///
    /// # Errors
    /// When the text has another shape, or the type has that name or number already.
    pub fn add_subtype(&mut self, text: &str) -> Result<(), PartitionError> {
        let refused = || Place::Table.fault(Fault::ExtraSubtype(text.to_owned()));
        let columns: Vec<&str> = text.split(',').map(str::trim).collect();
        let [kind, name, code] = columns[..] else {
            return Err(refused());
        };
        let kind = Kind::named(kind).ok_or_else(refused)?;
        let digits = code
            .strip_prefix("0x")
            .or_else(|| code.strip_prefix("0X"))
            .unwrap_or(code);
        let code = u8::from_str_radix(digits, 16).map_err(|_| refused())?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let proper = !name.is_empty() && name.bytes().all(plain) && number(name).is_none();
        let taken = self.code_of(kind, name).is_some() || self.name_of(kind, code).is_some();
        if !proper || taken {
            return Err(refused());
        }
        self.extra.push(ExtraSubtype {
            kind,
            name: name.to_owned(),
            code,
        });
        Ok(())
    }

    /// The subtype that this name has for `kind`, whatever the case of its letters.
    #[must_use]
    pub fn code_of(&self, kind: Kind, name: &str) -> Option<Subtype> {
        let name = name.to_ascii_lowercase();
        Subtype::named(kind, &name).or_else(|| {
            self.extra
                .iter()
                .find(|extra| extra.kind == kind && extra.name == name)
                .map(|extra| Subtype(extra.code))
        })
    }

    /// The name that this subtype of `kind` has.
    #[must_use]
    pub fn name_of(&self, kind: Kind, code: u8) -> Option<String> {
        Subtype(code)
            .known_name(kind)
            .map(std::borrow::Cow::into_owned)
            .or_else(|| {
                self.extra
                    .iter()
                    .find(|extra| extra.kind == kind && extra.code == code)
                    .map(|extra| extra.name.clone())
            })
    }

    /// Bytes of an entry for a bootloader: what lies in front of the table.
    pub(super) fn bootloader_size(&self) -> Option<u32> {
        self.table_offset.checked_sub(self.primary_bootloader?)
    }

    /// What the size of an application's partition must be a multiple of.
    pub(super) fn application_unit(&self) -> u32 {
        match self.secure {
            Secure::V1 => 0x1_0000,
            Secure::Off | Secure::V2 => 0x1000,
        }
    }

    /// Whether the rules agree with each other.
    pub(super) fn check(&self) -> Result<(), PartitionError> {
        match self.primary_bootloader {
            Some(offset) if offset >= self.table_offset => {
                Err(Place::Table.fault(Fault::BootloaderBehindTable {
                    offset,
                    table: self.table_offset,
                }))
            }
            Some(_) | None => Ok(()),
        }
    }
}
