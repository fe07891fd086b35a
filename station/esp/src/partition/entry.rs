//! One partition.

use super::error::Fault;
use super::{Kind, Rules, Subtype, TABLE_SECTOR};

/// One partition of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, 1 to 16 bytes.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// What it is for, more closely.
    pub subtype: Subtype,
    /// First byte in flash.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Flash encryption applies.
    pub encrypted: bool,
    /// The application may not write it.
    pub readonly: bool,
}

impl Entry {
    /// First byte behind the partition.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }

    /// The update slot that this is.
    #[must_use]
    pub fn slot(&self) -> Option<u8> {
        match self.kind {
            Kind::App => self.subtype.slot(),
            Kind::Data | Kind::Bootloader | Kind::PartitionTable | Kind::Custom(_) => None,
        }
    }

    /// Whether this describes the bootloader or the table itself, which lie in front on purpose.
    pub(super) fn is_primary(&self) -> bool {
        matches!(self.kind, Kind::Bootloader | Kind::PartitionTable)
            && self.subtype == Subtype::PRIMARY
    }

    /// The flags word of the binary form.
    pub(super) fn flags(&self) -> u32 {
        u32::from(self.encrypted) | u32::from(self.readonly) << 1
    }

    /// The rules a partition must keep by itself.
    pub(super) fn check(&self, rules: &Rules) -> Result<(), Fault> {
        let name = || self.name.clone();
        if !name_fits(&self.name) {
            return Err(Fault::Name(name()));
        }
        if self.size == 0 {
            return Err(Fault::NoSize(name()));
        }
        let alignment = self.kind.alignment();
        if !self.offset.is_multiple_of(alignment) {
            return Err(Fault::Unaligned {
                name: name(),
                offset: self.offset,
                alignment,
            });
        }
        if self.end() > 1 << 32 {
            return Err(Fault::BeyondAddresses(name()));
        }
        let first = rules.table_offset.saturating_add(TABLE_SECTOR);
        if !self.is_primary() && self.offset < first {
            return Err(Fault::BeforeTable {
                name: name(),
                offset: self.offset,
                first,
            });
        }
        if let Some(rule) = self.size_rule(rules) {
            return Err(Fault::Size {
                name: name(),
                size: self.size,
                rule,
            });
        }
        let written = [Subtype::OTADATA, Subtype::COREDUMP].contains(&self.subtype);
        if self.readonly && self.kind == Kind::Data && written {
            return Err(Fault::ReadOnly(name()));
        }
        Ok(())
    }

    /// The rule that the size breaks, if it breaks one.
    fn size_rule(&self, rules: &Rules) -> Option<&'static str> {
        let otadata = [Subtype::OTADATA, Subtype::TEE_OTADATA].contains(&self.subtype);
        match self.kind {
            Kind::App if !self.size.is_multiple_of(rules.application_unit()) => {
                Some(match rules.application_unit() {
                    0x1_0000 => {
                        "with secure boot version 1 an application needs 0x10000 or a multiple"
                    }
                    _ => "an application needs a multiple of 0x1000",
                })
            }
            Kind::Data if otadata && self.size != 0x2000 => {
                Some("the choice of an update slot has exactly 0x2000")
            }
            Kind::Data if self.subtype == Subtype::NVS && !self.readonly && self.size < 0x3000 => {
                Some("writable data of subtype nvs have at least 0x3000")
            }
            Kind::App | Kind::Data | Kind::Bootloader | Kind::PartitionTable | Kind::Custom(_) => {
                None
            }
        }
    }

    /// The rules two partitions must keep between them.
    pub(super) fn check_beside(&self, earlier: &Self) -> Result<(), Fault> {
        let (name, other) = (self.name.clone(), earlier.name.clone());
        if name == other {
            return Err(Fault::DuplicateName(name));
        }
        if u64::from(self.offset) < earlier.end() && u64::from(earlier.offset) < self.end() {
            return Err(Fault::Overlap { name, other });
        }
        let unique = match self.kind {
            Kind::App => self.subtype.known_name(self.kind).is_some(),
            Kind::Data => [Subtype::OTADATA, Subtype::TEE_OTADATA].contains(&self.subtype),
            Kind::Bootloader | Kind::PartitionTable | Kind::Custom(_) => false,
        };
        if unique && (self.kind, self.subtype) == (earlier.kind, earlier.subtype) {
            return Err(Fault::DuplicateSubtype { name, other });
        }
        Ok(())
    }
}

/// Whether a name survives both forms of a table.
///
/// 1 to 16 bytes; a blank only inside; no comma, which ends a column; no `$`, which names a
/// variable to Espressif's tool; no `#` in front, which begins a comment.
fn name_fits(name: &str) -> bool {
    let plain = |letter: char| match letter {
        ' ' => true,
        ',' | '$' | '\u{feff}' => false,
        letter => !letter.is_whitespace() && !letter.is_control(),
    };
    (1..=16).contains(&name.len())
        && name.trim().len() == name.len()
        && !name.starts_with('#')
        && name.chars().all(plain)
}
