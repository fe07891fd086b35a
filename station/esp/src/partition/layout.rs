//! Partition tables for a flash and an application, with or without updates over the air.
//!
//! The order is the one of ESP-IDF's own tables: key-value storage, choice of slot, radio, keys,
//! then the applications on 64 KiB, then crash picture and storage. What is small comes first, so
//! that it shares the blocks in front of the first application.

use super::{Entry, Kind, PartitionError, Rules, Secure, Subtype, TABLE_SECTOR, Table};
use crate::flash::SECTOR;

/// What applications begin on, and what their slots are a multiple of.
const BLOCK: u64 = 0x1_0000;
/// The largest application that ESP-IDF's bootloader maps.
const LARGEST_APP: u64 = 16 * 1024 * 1024;

/// Which applications there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slots {
    /// One that is never updated over the air.
    Factory,
    /// 2 to 16 that are updated in turn.
    Ota(u8),
    /// One that stays as it was made, and 2 to 16 that are updated in turn.
    FactoryAndOta(u8),
}

impl Slots {
    fn subtypes(self) -> Result<Vec<Subtype>, LayoutError> {
        let updated = |count: u8| {
            if (2..=16).contains(&count) {
                Ok((0..count).filter_map(Subtype::of_slot))
            } else {
                Err(LayoutError::Slots(count))
            }
        };
        Ok(match self {
            Self::Factory => vec![Subtype::FACTORY],
            Self::Ota(count) => updated(count)?.collect(),
            Self::FactoryAndOta(count) => std::iter::once(Subtype::FACTORY)
                .chain(updated(count)?)
                .collect(),
        })
    }

    fn updates(self) -> bool {
        match self {
            Self::Factory => false,
            Self::Ota(_) | Self::FactoryAndOta(_) => true,
        }
    }
}

/// How large every application's partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppSize {
    /// As large as the flash allows.
    Largest,
    /// Large enough for an image of this many bytes: the next multiple of 64 KiB.
    Holding(u32),
}

/// A partition for the application's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Its name.
    pub name: String,
    /// Its kind of data, such as `fat` (0x81), `spiffs` (0x82) or `littlefs` (0x83).
    pub subtype: Subtype,
    /// Bytes; `None` for what is left over.
    pub size: Option<u32>,
}

/// What a table is laid out for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtaLayout {
    /// Bytes of flash.
    pub flash_size: u32,
    /// Where the table lies.
    pub table_offset: u32,
    /// How applications are verified.
    pub secure: Secure,
    /// Which applications there are.
    pub slots: Slots,
    /// How large they are.
    pub app: AppSize,
    /// Bytes of key-value storage; `None` for none.
    pub nvs: Option<u32>,
    /// Keys for encrypted key-value storage.
    pub nvs_keys: bool,
    /// Calibration of the radio in a partition of its own.
    pub phy: bool,
    /// Bytes for the picture that a crash leaves; `None` for none.
    pub coredump: Option<u32>,
    /// Files; `None` for none.
    pub storage: Option<Storage>,
}

/// A layout that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Updates need two slots, and there are sixteen.
    #[error("{0} update slots; there can be 2 to 16")]
    Slots(u8),
    /// Both applications and storage shall take what is left.
    #[error("applications as large as possible leave nothing to a storage without a size")]
    TwoFill,
    /// An image larger than any bootloader starts.
    #[error("an application of {0:#x} bytes is larger than 16 MiB, which no bootloader starts")]
    Application(u32),
    /// A size that is no number of sectors.
    #[error("size {size:#x} of `{name}` is no multiple of 0x1000")]
    Sectors {
        /// The partition.
        name: String,
        /// Its size.
        size: u32,
    },
    /// The flash is too small.
    #[error("{needed:#x} bytes of flash are needed, but there are {available:#x}")]
    Flash {
        /// Bytes from 0 to the end of the last partition.
        needed: u64,
        /// Bytes of flash.
        available: u32,
    },
    /// The flash is too small for even the smallest applications.
    #[error("{left:#x} bytes are left for {count} applications, which need 0x10000 each")]
    NoRoom {
        /// Bytes between the data in front and those behind.
        left: u64,
        /// How many applications there are.
        count: usize,
    },
    /// Nothing is left for storage.
    #[error("nothing is left for `{0}`")]
    NoStorage(String),
    /// The table breaks a rule.
    #[error(transparent)]
    Table(#[from] PartitionError),
}

impl LayoutError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Slots(_) => "layout-slots",
            Self::TwoFill => "layout-two-fill",
            Self::Application(_) => "layout-application",
            Self::Sectors { .. } => "layout-sectors",
            Self::Flash { .. } => "layout-flash",
            Self::NoRoom { .. } => "layout-no-room",
            Self::NoStorage(_) => "layout-no-storage",
            Self::Table(error) => error.code(),
        }
    }
}

impl OtaLayout {
    /// Two update slots as large as possible, key-value storage of 24 KiB, and nothing else.
    #[must_use]
    pub fn new(flash_size: u32) -> Self {
        Self {
            flash_size,
            table_offset: super::DEFAULT_TABLE_OFFSET,
            secure: Secure::Off,
            slots: Slots::Ota(2),
            app: AppSize::Largest,
            nvs: Some(0x6000),
            nvs_keys: false,
            phy: false,
            coredump: None,
            storage: None,
        }
    }

    /// The table.
    ///
    /// # Errors
    /// When what is asked for contradicts itself or does not fit; the error says how much is missing.
    pub fn plan(&self) -> Result<Table, LayoutError> {
        let slots = self.slots.subtypes()?;
        let mut entries = Entries {
            list: Vec::new(),
            end: u64::from(self.table_offset) + u64::from(TABLE_SECTOR),
        };
        self.front(&mut entries)?;
        let size = self.app_size(entries.end.next_multiple_of(BLOCK), slots.len())?;
        for subtype in slots {
            let name = subtype.name(Kind::App).into_owned();
            entries.push(&name, Kind::App, subtype, size);
        }
        self.back(&mut entries)?;
        if entries.end > u64::from(self.flash_size) {
            return Err(LayoutError::Flash {
                needed: entries.end,
                available: self.flash_size,
            });
        }
        let mut rules = Rules::at(self.table_offset);
        rules.secure = self.secure;
        rules.flash_size = Some(self.flash_size);

        Ok(Table::with_rules(entries.list, &rules)?)
    }

    /// What lies in front of the applications.
    fn front(&self, entries: &mut Entries) -> Result<(), LayoutError> {
        if let Some(size) = self.nvs {
            let size = sectors("nvs", size)?;
            entries.push("nvs", Kind::Data, Subtype::NVS, size);
        }
        if self.slots.updates() {
            entries.push("otadata", Kind::Data, Subtype::OTADATA, 0x2000);
        }
        if self.phy {
            entries.push("phy_init", Kind::Data, Subtype::PHY, SECTOR.into());
        }
        if self.nvs_keys {
            entries.push("nvs_keys", Kind::Data, Subtype::NVS_KEYS, SECTOR.into());
            if let Some(entry) = entries.list.last_mut() {
                entry.encrypted = true;
            }
        }
        Ok(())
    }

    /// What lies behind the applications.
    fn back(&self, entries: &mut Entries) -> Result<(), LayoutError> {
        if let Some(size) = self.coredump {
            let size = sectors("coredump", size)?;
            entries.push("coredump", Kind::Data, Subtype::COREDUMP, size);
        }
        let Some(storage) = &self.storage else {
            return Ok(());
        };
        let size = match storage.size {
            Some(size) => sectors(&storage.name, size)?,
            None => u64::from(self.flash_size)
                .checked_sub(entries.end)
                .filter(|left| *left >= u64::from(SECTOR))
                .ok_or_else(|| LayoutError::NoStorage(storage.name.clone()))?,
        };
        entries.push(&storage.name, Kind::Data, storage.subtype, size);
        Ok(())
    }

    /// Bytes of every application's partition, the first of which begins at `begin`.
    fn app_size(&self, begin: u64, count: usize) -> Result<u64, LayoutError> {
        match self.app {
            AppSize::Holding(image) if u64::from(image) > LARGEST_APP => {
                Err(LayoutError::Application(image))
            }
            AppSize::Holding(image) => Ok(u64::from(image.max(1)).next_multiple_of(BLOCK)),
            AppSize::Largest => {
                let behind = match &self.storage {
                    Some(Storage { size: None, .. }) => return Err(LayoutError::TwoFill),
                    Some(Storage {
                        size: Some(size), ..
                    }) => u64::from(*size),
                    None => 0,
                } + u64::from(self.coredump.unwrap_or(0));
                let left = u64::from(self.flash_size)
                    .saturating_sub(begin)
                    .saturating_sub(behind);
                // At most sixteen slots and one more.
                let each = left / count.max(1) as u64 / BLOCK * BLOCK;
                if each == 0 {
                    return Err(LayoutError::NoRoom { left, count });
                }
                Ok(each.min(LARGEST_APP))
            }
        }
    }
}

/// A size that is a number of sectors.
fn sectors(name: &str, size: u32) -> Result<u64, LayoutError> {
    if size == 0 || !size.is_multiple_of(SECTOR) {
        return Err(LayoutError::Sectors {
            name: name.to_owned(),
            size,
        });
    }
    Ok(size.into())
}

/// Entries one behind the other.
struct Entries {
    list: Vec<Entry>,
    end: u64,
}

impl Entries {
    /// Adds a partition on the next place that its type allows.
    ///
    /// Places beyond 4 GiB are cut off here and refused by the caller, who looks at `end`.
    fn push(&mut self, name: &str, kind: Kind, subtype: Subtype, size: u64) {
        let offset = self.end.next_multiple_of(kind.alignment().into());
        self.end = offset + size;
        let entry = Entry {
            name: name.to_owned(),
            kind,
            subtype,
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            size: u32::try_from(size).unwrap_or(u32::MAX),
            encrypted: false,
            readonly: false,
        };
        self.list.push(entry);
    }
}
