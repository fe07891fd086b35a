//! Files that are to lie in flash, each with its place.
//!
//! Invariants: a place is an offset, a name that every flash has (`bootloader`, `partition-table`) or a
//! partition's name; a hex or UF2 file says itself where it belongs and takes no place.

use std::path::Path;

use station_esp::Chip;
use station_esp::elf::{self, FlashSettings};
use station_esp::image::{Header, Part};
use station_esp::partition::{Rules, Table};

use super::super::images::{FileForm, RawFile};
use super::super::place::within;
use super::super::text::bytes;
use super::elf::refused;
use crate::operation::OperationError;
use crate::station::Station;

/// Most files in one image.
pub(super) const MAX_SOURCES: usize = 64;
/// Largest partition table as text.
const MAX_TABLE: u64 = 1 << 20;

/// A file that was read, with its place.
pub(super) struct Source {
    pub place: Option<String>,
    pub file: RawFile,
}

/// A part of flash and what it came from.
pub(super) struct Placed {
    /// The file.
    pub name: String,
    /// Where it lies, and its bytes.
    pub part: Part,
}

/// What the names of places mean.
pub(super) struct Places {
    /// The chip, where it is known.
    pub chip: Option<Chip>,
    /// Where the partition table lies.
    pub table_offset: u32,
    /// The partition table, where there is one.
    pub table: Option<Table>,
}

impl Places {
    /// The chip.
    ///
    /// # Errors
    /// `chip-missing`.
    pub(super) fn chip(&self) -> Result<Chip, OperationError> {
        self.chip.ok_or_else(chip_missing)
    }

    /// Where a place begins, and its room where that is known.
    ///
    /// # Errors
    /// `number-invalid`, `partition-unknown`, `partitions-missing`, `chip-missing`.
    pub(super) fn find(&self, place: &str) -> Result<(u32, Option<u32>), OperationError> {
        if place.starts_with(|character: char| character.is_ascii_digit()) {
            return Ok((bytes(place)?, None));
        }
        let named = |table: &Table| table.find(place).is_some();
        match (place, &self.table) {
            (_, Some(table)) if named(table) => at_partition(table, place),
            ("bootloader", _) => Ok((self.chip()?.spec().bootloader_offset, None)),
            ("partition-table", _) => Ok((self.table_offset, None)),
            (_, Some(table)) => at_partition(table, place),
            (_, None) => {
                let message = format!("`{place}` is no offset, and there is no partition table");
                Err(OperationError::usage("partitions-missing", message)
                    .hint("give `partitions` with a table, or an offset like 0x10000"))
            }
        }
    }

    /// A file as parts of flash: an ELF converted, hex and UF2 at their own addresses.
    ///
    /// # Errors
    /// `image-place-missing`, `image-place-twice`, `image-too-large`, those of places and of formats.
    pub(super) fn parts(
        &self,
        source: Source,
        usual: impl FnOnce(Chip) -> Result<FlashSettings, OperationError>,
    ) -> Result<Vec<Placed>, OperationError> {
        let name = source.file.name().to_owned();
        let form = source.file.form();
        let placed = |part| Placed {
            name: name.clone(),
            part,
        };
        source.file.check_placed(source.place.is_some())?;
        let Some(place) = source.place else {
            let parts = source.file.addressed(self.chip)?;
            return Ok(parts.into_iter().map(placed).collect());
        };
        let (offset, room) = self.find(&place)?;
        let content = match form {
            FileForm::Elf => {
                let chip = self.chip()?;
                let settings = usual(chip)?;
                elf::to_flash_image(source.file.bytes(), chip, &settings)
                    .map_err(|error| refused(&name, &error))?
            }
            FileForm::Hex | FileForm::Uf2 | FileForm::Plain => source.file.into_bytes(),
        };
        if let Some(room) = room.filter(|room| (*room as usize) < content.len()) {
            let size = content.len();
            let message =
                format!("`{name}` has {size} bytes, partition `{place}` has room for {room}");
            return Err(OperationError::usage("image-too-large", message));
        }
        Ok(vec![placed(Part::new(offset, content))])
    }
}

fn at_partition(table: &Table, place: &str) -> Result<(u32, Option<u32>), OperationError> {
    within(table, place).map(|(offset, room)| (offset, Some(room)))
}

fn chip_missing() -> OperationError {
    OperationError::usage("chip-missing", "nothing says which chip this is for").hint("give `chip`")
}

/// The chip that the first image among these says it is for.
pub(super) fn chip_of<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Option<Chip> {
    contents
        .into_iter()
        .find_map(|bytes| Chip::from_image_id(Header::parse(bytes).ok()?.chip_id))
}

/// Reads a partition table, text or binary, as a client may.
///
/// # Errors
/// Those of files and of tables.
pub(super) fn read_table(
    station: &Station,
    file: &Path,
    table_offset: u32,
) -> Result<Table, OperationError> {
    let read = crate::station::read_bounded(&station.readable(file)?, MAX_TABLE)?;
    Table::parse(&read, &Rules::at(table_offset)).map_err(|error| {
        let message = format!("`{}`: {error}", file.display());
        OperationError::usage(error.code(), message)
    })
}
