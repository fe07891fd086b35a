//! The search for something to boot: bootloader, partition table, application.

use station_esp::image::Image;
use station_esp::partition::{DEFAULT_TABLE_OFFSET, TABLE_LENGTH, Table};
use station_esp::{Chip, Revision};

use crate::nor::{EraseUnit, NorFlash, SECTOR};

/// A part of an image that is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it goes.
    pub address: u32,
    /// Its bytes.
    pub length: u32,
}

/// What a boot leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is no bootloader, but this word.
    NoBootloader(u32),
    /// Secure boot does not start the bootloader.
    Untrusted,
    /// The bootloader runs and finds no partition table.
    NoPartitionTable {
        /// What the ROM loaded.
        bootloader: Outline,
        /// Where the table should be.
        at: u32,
    },
    /// The table has no partition with an application.
    NoApplication {
        /// What the ROM loaded.
        bootloader: Outline,
    },
    /// The application is refused.
    BadApplication {
        /// What the ROM loaded.
        bootloader: Outline,
        /// Where the application should be.
        at: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// The application starts.
    Application {
        /// What the ROM loaded.
        bootloader: Outline,
        /// Where the application is.
        at: u32,
    },
}

/// What is printed of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Where it starts.
    pub entry: u32,
    /// What is loaded.
    pub segments: Vec<Segment>,
}

impl Finding {
    /// What the ROM loaded, and where it jumped.
    #[must_use]
    pub fn loaded(&self) -> (&[Segment], u32) {
        match self {
            Self::NoBootloader(_) | Self::Untrusted => (&[], 0),
            Self::NoPartitionTable { bootloader, .. }
            | Self::NoApplication { bootloader }
            | Self::BadApplication { bootloader, .. }
            | Self::Application { bootloader, .. } => (&bootloader.segments, bootloader.entry),
        }
    }
}

/// Looks for what `chip` of this revision would boot from `flash`.
#[must_use]
pub fn examine(flash: &NorFlash, chip: Chip, revision: Revision) -> Finding {
    let at = chip.spec().bootloader_offset;
    let mut word = [0xFF; 4];
    // An offset beyond a tiny flash reads as blank.
    let _ = flash.read(at, &mut word);
    let nothing = Finding::NoBootloader(u32::from_le_bytes(word));
    // What a bootloader cannot exceed: the table follows it.
    let Ok(image) = Image::parse(&content(flash, at, DEFAULT_TABLE_OFFSET)) else {
        return nothing;
    };
    if image.chip != chip {
        return nothing;
    }
    let bootloader = Outline {
        entry: image.header.entry,
        segments: image
            .segments
            .iter()
            .map(|segment| Segment {
                address: segment.address,
                length: segment.length,
            })
            .collect(),
    };
    let table = flash.bytes(DEFAULT_TABLE_OFFSET, TABLE_LENGTH as u32);
    let Ok(table) = Table::parse_binary(&table) else {
        return Finding::NoPartitionTable {
            bootloader,
            at: DEFAULT_TABLE_OFFSET,
        };
    };
    let Some(partition) = table.default_app() else {
        return Finding::NoApplication { bootloader };
    };
    let at = partition.offset;
    match bootable(&content(flash, at, partition.size), chip, revision) {
        Ok(()) => Finding::Application { bootloader, at },
        Err(reason) => Finding::BadApplication {
            bootloader,
            at,
            reason,
        },
    }
}

fn bootable(bytes: &[u8], chip: Chip, revision: Revision) -> Result<(), String> {
    let image = Image::parse(bytes).map_err(|error| error.to_string())?;
    image
        .check_chip(chip, Some(revision))
        .map_err(|error| error.to_string())?;
    image.check_application().map_err(|error| error.to_string())
}

/// The bytes at `at`, up to `limit` of them, without the blank sectors at their end.
fn content(flash: &NorFlash, at: u32, limit: u32) -> Vec<u8> {
    let mut end = at.saturating_add(limit).min(flash.size());
    while end > at {
        let last = (end - 1) & !(SECTOR - 1);
        if !flash.is_blank(last, EraseUnit::Sector) {
            break;
        }
        end = last.max(at);
    }
    flash.bytes(at, end - at.min(end))
}

#[cfg(test)]
mod tests {
    use station_esp::loader::bootloader;

    use super::*;

    const REVISION: Revision = Revision::new(0, 4);

    fn with_bootloader() -> NorFlash {
        let mut flash = NorFlash::new(4 << 20);
        flash
            .load(0, bootloader(Chip::Esp32C3, 40).unwrap())
            .unwrap();
        flash
    }

    #[test]
    fn blank_flash_holds_no_bootloader_but_ones() {
        let flash = NorFlash::new(4 << 20);
        let finding = examine(&flash, Chip::Esp32C3, REVISION);
        assert_eq!(finding, Finding::NoBootloader(u32::MAX));
        let tiny = NorFlash::new(0x1000);
        assert_eq!(examine(&tiny, Chip::Esp32P4, REVISION), finding);
    }

    #[test]
    fn the_bootloaders_that_hosts_flash_are_found_on_their_chips_only() {
        let flash = with_bootloader();
        let finding = examine(&flash, Chip::Esp32C3, REVISION);
        assert!(
            matches!(finding, Finding::NoPartitionTable { .. }),
            "{finding:?}"
        );
        assert!(matches!(
            examine(&flash, Chip::Esp32C6, REVISION),
            Finding::NoBootloader(_)
        ));
    }

    #[test]
    fn a_flipped_bit_of_the_bootloader_is_noticed() {
        let mut flash = with_bootloader();
        let byte = flash.bytes(0x100, 1)[0];
        flash.load(0x100, &[byte ^ 1]).unwrap();
        let finding = examine(&flash, Chip::Esp32C3, REVISION);
        assert!(matches!(finding, Finding::NoBootloader(_)), "{finding:?}");
    }

    #[test]
    fn a_table_without_an_application_and_one_with_a_blank_one_are_told_apart() {
        let mut flash = with_bootloader();
        let table = Table::parse_csv("nvs,data,nvs,0x9000,0x6000,\n").unwrap();
        flash
            .load(DEFAULT_TABLE_OFFSET, &table.to_binary())
            .unwrap();
        let finding = examine(&flash, Chip::Esp32C3, REVISION);
        assert!(
            matches!(finding, Finding::NoApplication { .. }),
            "{finding:?}"
        );
        let table = Table::parse_csv("factory,app,factory,0x10000,1M,\n").unwrap();
        flash
            .load(DEFAULT_TABLE_OFFSET, &table.to_binary())
            .unwrap();
        let finding = examine(&flash, Chip::Esp32C3, REVISION);
        assert!(
            matches!(finding, Finding::BadApplication { at: 0x1_0000, .. }),
            "{finding:?}"
        );
    }
}
