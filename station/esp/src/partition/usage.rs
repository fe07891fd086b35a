//! What a flash is used for.
//!
//! Invariant: the regions follow each other without gap or overlap from 0 to the end of the flash.

use serde::Serialize;

use super::{Entry, Kind, PartitionError, Subtype, TABLE_SECTOR, Table};

/// What a region of flash is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// In front of the bootloader, where the chip looks for nothing (or for a secure boot digest).
    Reserved,
    /// The bootloader, up to the table.
    Bootloader,
    /// The partition table.
    Table,
    /// The partition of this name.
    Partition(String),
    /// Left over only because the partition behind must be aligned.
    Alignment,
    /// Free.
    Free,
}

/// A stretch of flash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Region {
    /// First byte.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a whole flash is used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Bytes of flash.
    pub flash_size: u32,
    /// The flash from 0 to its end.
    pub regions: Vec<Region>,
    /// Bytes of bootloader, table and partitions.
    pub used: u32,
    /// Bytes that nothing uses and nothing keeps from use.
    pub free: u32,
    /// Bytes lost to alignment.
    pub alignment_loss: u32,
    /// Bytes of the largest free region.
    pub largest_free: u32,
}

impl Table {
    /// What the flash is used for, given where bootloader and table lie.
    ///
    /// # Errors
    /// When a partition lies beyond the flash.
    pub fn usage(
        &self,
        flash_size: u32,
        bootloader_offset: u32,
        table_offset: u32,
    ) -> Result<Usage, PartitionError> {
        self.check_flash_size(flash_size)?;
        let mut entries: Vec<&Entry> = self.entries().iter().collect();
        entries.sort_by_key(|entry| entry.offset);
        let mut regions = Regions::default();
        // A table may describe the bootloader; then its entry speaks for itself.
        let described = self.find_subtype(Kind::Bootloader, Subtype::PRIMARY);
        let bootloader = described.map_or(bootloader_offset, |entry| entry.offset);
        regions.to(bootloader.min(flash_size), Purpose::Reserved);
        if described.is_none() {
            regions.to(table_offset.min(flash_size), Purpose::Bootloader);
        }
        let behind_table = table_offset.saturating_add(TABLE_SECTOR).min(flash_size);
        for entry in entries {
            if entry.offset >= behind_table && regions.end < behind_table {
                regions.front(table_offset, behind_table);
            }
            regions.gap(entry);
            let end = u32::try_from(entry.end()).unwrap_or(u32::MAX);
            regions.to(end, Purpose::Partition(entry.name.clone()));
        }
        regions.front(table_offset, behind_table);
        regions.to(flash_size, Purpose::Free);
        Ok(regions.counted(flash_size))
    }
}

/// Regions from 0 on.
#[derive(Default)]
struct Regions {
    list: Vec<Region>,
    end: u32,
}

impl Regions {
    /// Adds what lies between the end so far and `end`.
    fn to(&mut self, end: u32, purpose: Purpose) {
        if end > self.end {
            self.list.push(Region {
                offset: self.end,
                size: end - self.end,
                purpose,
            });
            self.end = end;
        }
    }

    /// Adds the table, and what is in front of it.
    fn front(&mut self, table_offset: u32, behind_table: u32) {
        self.to(table_offset.min(behind_table), Purpose::Free);
        self.to(behind_table, Purpose::Table);
    }

    /// Adds what lies between the end so far and a partition.
    fn gap(&mut self, entry: &Entry) {
        let aligned = self.end.checked_next_multiple_of(entry.kind.alignment());
        let purpose = if aligned == Some(entry.offset) {
            Purpose::Alignment
        } else {
            Purpose::Free
        };
        self.to(entry.offset, purpose);
    }

    fn counted(self, flash_size: u32) -> Usage {
        let sizes = |wanted: fn(&Purpose) -> bool| {
            self.list
                .iter()
                .filter(move |region| wanted(&region.purpose))
                .map(|region| region.size)
        };
        let free = |purpose: &Purpose| *purpose == Purpose::Free;
        Usage {
            flash_size,
            used: sizes(|purpose| {
                matches!(
                    purpose,
                    Purpose::Bootloader | Purpose::Table | Purpose::Partition(_)
                )
            })
            .sum(),
            free: sizes(free).sum(),
            alignment_loss: sizes(|purpose| *purpose == Purpose::Alignment).sum(),
            largest_free: sizes(free).max().unwrap_or(0),
            regions: self.list,
        }
    }
}
