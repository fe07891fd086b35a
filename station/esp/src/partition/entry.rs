//! One partition.

use std::borrow::Cow;

use super::TABLE_SECTOR;
use super::error::Fault;

/// Names of data subtypes with their numbers (ESP-IDF partition table guide).
const DATA: &[(&str, u8)] = &[
    ("ota", 0x00),
    ("phy", 0x01),
    ("nvs", 0x02),
    ("coredump", 0x03),
    ("nvs_keys", 0x04),
    ("efuse", 0x05),
    ("undefined", 0x06),
    ("esphttpd", 0x80),
    ("fat", 0x81),
    ("spiffs", 0x82),
    ("littlefs", 0x83),
    ("tee_ota", 0x90),
];
/// Names of bootloader subtypes with their numbers.
const BOOTLOADER: &[(&str, u8)] = &[("primary", 0x00), ("ota", 0x01), ("recovery", 0x02)];
/// Names of partition table subtypes with their numbers.
const TABLE: &[(&str, u8)] = &[("primary", 0x00), ("ota", 0x01)];

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An application image.
    App,
    /// Data that ESP-IDF knows.
    Data,
    /// A second-stage bootloader.
    Bootloader,
    /// A partition table.
    PartitionTable,
    /// The application's own; 0x04 to 0xFE.
    Custom(u8),
}

impl Kind {
    /// The type with this number; `None` for 0xFF, which marks the end.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0x00 => Some(Self::App),
            0x01 => Some(Self::Data),
            0x02 => Some(Self::Bootloader),
            0x03 => Some(Self::PartitionTable),
            0xFF => None,
            code => Some(Self::Custom(code)),
        }
    }

    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::App => 0x00,
            Self::Data => 0x01,
            Self::Bootloader => 0x02,
            Self::PartitionTable => 0x03,
            Self::Custom(code) => code,
        }
    }

    /// The name in CSV.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::App => "app".into(),
            Self::Data => "data".into(),
            Self::Bootloader => "bootloader".into(),
            Self::PartitionTable => "partition_table".into(),
            Self::Custom(code) => format!("{code:#04x}").into(),
        }
    }

    /// What offsets must be a multiple of.
    #[must_use]
    pub fn alignment(self) -> u32 {
        match self {
            Self::App => 0x1_0000,
            Self::Data | Self::Bootloader | Self::PartitionTable | Self::Custom(_) => 0x1000,
        }
    }

    fn subtypes(self) -> &'static [(&'static str, u8)] {
        match self {
            Self::Data => DATA,
            Self::Bootloader => BOOTLOADER,
            Self::PartitionTable => TABLE,
            Self::App | Self::Custom(_) => &[],
        }
    }
}

/// The second number of a partition, whose meaning depends on its [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subtype(pub u8);

impl Subtype {
    /// The application that was there first.
    pub const FACTORY: Self = Self(0x00);
    /// The first of sixteen update slots.
    pub const OTA_0: Self = Self(0x10);
    /// An application for tests in the factory.
    pub const TEST: Self = Self(0x20);
    /// Which update slot to start.
    pub const OTADATA: Self = Self(0x00);
    /// Key-value storage.
    pub const NVS: Self = Self(0x02);

    /// The subtype that `text` names for `kind`.
    pub(super) fn parse(kind: Kind, text: &str) -> Option<Self> {
        let named = match kind {
            Kind::App => match text {
                "factory" => Some(Self::FACTORY),
                "test" => Some(Self::TEST),
                _ => text.strip_prefix("ota_").and_then(|slot| {
                    let slot: u8 = slot.parse().ok().filter(|slot| *slot < 16)?;
                    Some(Self(Self::OTA_0.0 + slot))
                }),
            },
            Kind::Data | Kind::Bootloader | Kind::PartitionTable | Kind::Custom(_) => kind
                .subtypes()
                .iter()
                .find(|(name, _)| *name == text)
                .map(|(_, code)| Self(*code)),
        };
        named.or_else(|| {
            super::csv::number(text)
                .and_then(|code| u8::try_from(code).ok())
                .map(Self)
        })
    }

    /// The name in CSV.
    #[must_use]
    pub fn name(self, kind: Kind) -> Cow<'static, str> {
        match (kind, self.0) {
            (Kind::App, 0x00) => "factory".into(),
            (Kind::App, 0x20) => "test".into(),
            (Kind::App, code @ 0x10..=0x1F) => format!("ota_{}", code - 0x10).into(),
            (kind, code) => match kind.subtypes().iter().find(|(_, known)| *known == code) {
                Some((name, _)) => (*name).into(),
                None => format!("{code:#04x}").into(),
            },
        }
    }
}

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

    /// The flags word of the binary form.
    pub(super) fn flags(&self) -> u32 {
        u32::from(self.encrypted) | u32::from(self.readonly) << 1
    }

    /// The rules a partition must keep by itself.
    pub(super) fn check(&self, table_offset: u32) -> Result<(), Fault> {
        let name = || self.name.clone();
        let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ' || !byte.is_ascii();
        if self.name.is_empty() || self.name.len() > 16 || !self.name.bytes().all(plain) {
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
        let first = table_offset.saturating_add(TABLE_SECTOR);
        // Entries for the bootloader and the table describe what lies in front on purpose.
        let in_front = matches!(self.kind, Kind::Bootloader | Kind::PartitionTable);
        if !in_front && self.offset < first {
            return Err(Fault::BeforeTable {
                name: name(),
                offset: self.offset,
                first,
            });
        }
        match self.size_rule() {
            Some(rule) => Err(Fault::Size {
                name: name(),
                size: self.size,
                rule,
            }),
            None => Ok(()),
        }
    }

    /// The rule that the size breaks, if it breaks one.
    fn size_rule(&self) -> Option<&'static str> {
        match (self.kind, self.subtype) {
            (Kind::App, _) if !self.size.is_multiple_of(0x1000) => {
                Some("an application needs a multiple of 0x1000")
            }
            (Kind::App, _) if self.size > 0x100_0000 => {
                Some("an application has at most 0x1000000")
            }
            (Kind::Data, Subtype::OTADATA) if self.size != 0x2000 => {
                Some("data of subtype ota have exactly 0x2000")
            }
            (Kind::Data, Subtype::NVS) if !self.readonly && self.size < 0x3000 => {
                Some("writable data of subtype nvs have at least 0x3000")
            }
            _ => None,
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
            Kind::App => true,
            Kind::Data => self.subtype == Subtype::OTADATA,
            Kind::Bootloader | Kind::PartitionTable | Kind::Custom(_) => false,
        };
        if unique && (self.kind, self.subtype) == (earlier.kind, earlier.subtype) {
            return Err(Fault::DuplicateSubtype { name, other });
        }
        Ok(())
    }
}
