//! Types and subtypes of partitions, as numbers and as words.
//!
//! Source of the words and numbers: ESP-IDF's partition table guide and its tool gen_esp32part 1.5.

use std::borrow::Cow;

/// Names of application subtypes with their numbers, besides the numbered slots.
const APP: &[(&str, u8)] = &[("factory", 0x00), ("test", 0x20)];
/// Names of data subtypes with their numbers.
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
    /// The application's own; 0x04 to 0xFE, of which ESP-IDF keeps those below 0x40 for itself.
    Custom(u8),
}

impl Kind {
    /// The types that have names.
    pub(super) const NAMED: [Self; 4] = [
        Self::App,
        Self::Data,
        Self::Bootloader,
        Self::PartitionTable,
    ];

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

    /// The word for it; a custom type has its number in hexadecimal.
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

    /// The type with this name, whatever the case of its letters.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMED
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
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
            Self::App => APP,
            Self::Data => DATA,
            Self::Bootloader => BOOTLOADER,
            Self::PartitionTable => TABLE,
            Self::Custom(_) => &[],
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
    /// The first of two slots for the trusted execution environment.
    pub const TEE_0: Self = Self(0x30);
    /// Which update slot to start.
    pub const OTADATA: Self = Self(0x00);
    /// Calibration of the radio.
    pub const PHY: Self = Self(0x01);
    /// Key-value storage.
    pub const NVS: Self = Self(0x02);
    /// Where a crash leaves its picture.
    pub const COREDUMP: Self = Self(0x03);
    /// Keys of encrypted key-value storage.
    pub const NVS_KEYS: Self = Self(0x04);
    /// Data without a closer meaning; what an empty column says.
    pub const UNDEFINED: Self = Self(0x06);
    /// Which slot of the trusted execution environment to start.
    pub const TEE_OTADATA: Self = Self(0x90);
    /// The first bootloader or table.
    pub const PRIMARY: Self = Self(0x00);
    /// The spare bootloader.
    pub const RECOVERY: Self = Self(0x02);

    /// The update slot that this subtype of an application is.
    #[must_use]
    pub fn slot(self) -> Option<u8> {
        self.0.checked_sub(0x10).filter(|slot| *slot < 16)
    }

    /// The subtype of the application in this update slot, of which there are sixteen.
    #[must_use]
    pub fn of_slot(slot: u8) -> Option<Self> {
        (slot < 16).then(|| Self(0x10 + slot))
    }

    /// The subtype that has this name for `kind`.
    pub(super) fn named(kind: Kind, name: &str) -> Option<Self> {
        let listed = kind.subtypes().iter().find(|(known, _)| *known == name);
        let numbered = || match kind {
            Kind::App => (0x10..=0x1F)
                .chain(0x30..=0x31)
                .map(Self)
                .find(|subtype| subtype.known_name(kind).as_deref() == Some(name)),
            Kind::Data | Kind::Bootloader | Kind::PartitionTable | Kind::Custom(_) => None,
        };
        listed.map(|(_, code)| Self(*code)).or_else(numbered)
    }

    /// The name that ESP-IDF gives it.
    pub(super) fn known_name(self, kind: Kind) -> Option<Cow<'static, str>> {
        match (kind, self.0) {
            (Kind::App, code @ 0x10..=0x1F) => Some(format!("ota_{}", code - 0x10).into()),
            (Kind::App, code @ 0x30..=0x31) => Some(format!("tee_{}", code - 0x30).into()),
            (kind, code) => kind
                .subtypes()
                .iter()
                .find(|(_, known)| *known == code)
                .map(|(name, _)| (*name).into()),
        }
    }

    /// The word for it; one without a name has its number in hexadecimal.
    #[must_use]
    pub fn name(self, kind: Kind) -> Cow<'static, str> {
        self.known_name(kind)
            .unwrap_or_else(|| format!("{:#04x}", self.0).into())
    }
}
