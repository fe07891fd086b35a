//! Files to be put into flash: read, recognised, converted, each at its place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use station_device::PreparedImage;
use station_esp::image::Part;
use station_esp::{Chip, elf, flash, hex, image, uf2};

use crate::operation::OperationError;
use crate::station::Station;

/// Largest file that is read: no flash of these chips is larger.
const MAX_FILE: u64 = 64 << 20;
/// Most stretches of one hex or UF2 file.
const MAX_STRETCHES: usize = 256;

/// A file as it was read.
pub(super) struct RawFile {
    name: String,
    read: Vec<u8>,
}

/// What a file is, by its first bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FileForm {
    /// A program as linkers write it.
    Elf,
    /// Intel hex.
    Hex,
    /// UF2.
    Uf2,
    /// Bytes for flash.
    Plain,
}

impl FileForm {
    /// Whether the file says itself where its bytes belong.
    pub(super) fn has_addresses(self) -> bool {
        matches!(self, Self::Hex | Self::Uf2)
    }
}

/// Stretches as flash takes them: each begun at its sector, those that share a sector made one, with
/// erased flash between them.
fn by_sectors(parts: Vec<Part>, flash_size: u32) -> Result<Vec<Part>, String> {
    let mut stretches: Vec<Part> = Vec::new();
    for part in parts {
        if part.end() > flash_size.into() {
            let (end, size) = (part.end(), flash::size_text(flash_size));
            return Err(format!("goes up to {end:#x}, flash has {size}"));
        }
        let sector = part.address / flash::SECTOR * flash::SECTOR;
        let joins = |last: &Part| last.end() > u64::from(sector);
        if !stretches.last().is_some_and(joins) {
            if stretches.len() == MAX_STRETCHES {
                return Err(format!("has more than {MAX_STRETCHES} stretches"));
            }
            stretches.push(Part::new(sector, []));
        }
        if let Some(last) = stretches.last_mut() {
            last.bytes
                .resize((part.address - last.address) as usize, 0xFF);
            last.bytes.extend(part.bytes);
        }
    }
    Ok(stretches)
}

/// Reads `PLACE=FILE`, or `FILE` alone for a file that says itself where it belongs.
pub(super) fn named(text: &str) -> (Option<String>, PathBuf) {
    match text.split_once('=') {
        // A place has no folders.
        Some((place, file)) if !place.contains(['/', '\\']) => {
            (Some(place.to_owned()), PathBuf::from(file))
        }
        Some(_) | None => (None, PathBuf::from(text)),
    }
}

/// A file as bytes for flash.
pub(super) struct FlashFile {
    /// As the caller named it.
    pub name: String,
    /// Where it goes.
    pub offset: u32,
    /// What goes into flash.
    pub content: Arc<[u8]>,
}

impl RawFile {
    /// Reads a file, as a client may.
    pub(super) async fn read(station: &Station, file: &Path) -> Result<Self, OperationError> {
        Self::read_at_most(station, file, MAX_FILE).await
    }

    /// Reads an ELF, which debug information makes larger than any flash.
    pub(super) async fn read_elf(station: &Station, file: &Path) -> Result<Self, OperationError> {
        Self::read_at_most(station, file, elf::MAX_ELF as u64).await
    }

    async fn read_at_most(
        station: &Station,
        file: &Path,
        most: u64,
    ) -> Result<Self, OperationError> {
        let path = station.readable(file)?;
        let name = file.display().to_string();
        let read = tokio::task::spawn_blocking(move || crate::station::read_bounded(&path, most))
            .await
            .map_err(|error| OperationError::new("internal", error.to_string()))??;
        if read.is_empty() {
            return Err(OperationError::usage(
                "file-empty",
                format!("`{name}` is empty"),
            ));
        }
        Ok(Self { name, read })
    }

    /// What it is.
    pub(super) fn form(&self) -> FileForm {
        if elf::is_elf(&self.read) {
            FileForm::Elf
        } else if uf2::is_uf2(&self.read) {
            FileForm::Uf2
        } else if hex::is_hex(&self.read) {
            FileForm::Hex
        } else {
            FileForm::Plain
        }
    }

    /// The parts of a hex or UF2 file, which must be for `chip` where it says for which it is.
    ///
    /// # Errors
    /// Those of the formats, `image-wrong-chip`.
    pub(super) fn addressed(&self, chip: Option<Chip>) -> Result<Vec<Part>, OperationError> {
        let name = &self.name;
        let refuse =
            |code: &str, why: String| OperationError::usage(code, format!("`{name}`: {why}"));
        if self.form() == FileForm::Hex {
            return hex::parse(&self.read).map_err(|error| refuse(error.code(), error.to_string()));
        }
        let read =
            uf2::parse(&self.read).map_err(|error| refuse(error.code(), error.to_string()))?;
        match (read.family, chip) {
            (Some(family), Some(chip)) if family != uf2::family(chip) => {
                let other = read.chip.map_or_else(
                    || format!("family {family:#010x}"),
                    |chip| chip.title().to_owned(),
                );
                let why = format!("is for {other}, the chip is an {}", chip.title());
                Err(refuse("image-wrong-chip", why))
            }
            (_, _) => Ok(read.parts),
        }
    }

    /// As the caller named it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The bytes as they were read.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.read
    }

    /// The bytes as they were read.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.read
    }

    /// Makes of it what goes into the flash of a chip: an ELF is converted for it and its `flash_size`, an
    /// image checked against it; hex and UF2 say themselves where their parts lie, all else lies at `at`.
    ///
    /// # Errors
    /// `image-place-missing`, `image-place-twice`, `image-wrong-chip` and those of the formats.
    pub(super) async fn for_chip(
        self,
        chip: Chip,
        flash_size: u32,
        at: Option<u32>,
    ) -> Result<Vec<FlashFile>, OperationError> {
        tokio::task::spawn_blocking(move || self.convert(chip, flash_size, at))
            .await
            .map_err(|error| {
                OperationError::new("internal", format!("converting broke off: {error}"))
            })?
    }

    fn convert(
        self,
        chip: Chip,
        flash_size: u32,
        at: Option<u32>,
    ) -> Result<Vec<FlashFile>, OperationError> {
        self.check_placed(at.is_some())?;
        if self.form().has_addresses() {
            let parts = self.addressed(Some(chip))?;
            let parts = by_sectors(parts, flash_size).map_err(|why| {
                let message = format!("`{}` {why}", self.name);
                OperationError::usage("image-stretches", message)
            })?;
            return Ok(parts
                .into_iter()
                .map(|part| FlashFile {
                    name: self.name.clone(),
                    offset: part.address,
                    content: part.bytes.into(),
                })
                .collect());
        }
        let is_elf = self.form() == FileForm::Elf;
        let Self { name, read } = self;
        let refuse =
            |code: &str, why: String| OperationError::usage(code, format!("`{name}`: {why}"));
        let content = if is_elf {
            // Headers cannot say less.
            let settings = elf::FlashSettings::usual(chip, flash_size.max(1 << 20));
            elf::to_flash_image(&read, chip, &settings)
                .map_err(|error| refuse(error.code(), error.to_string()))?
        } else {
            check_chip(&read, chip).map_err(|(code, why)| refuse(code, why))?;
            read
        };
        Ok(vec![FlashFile {
            name,
            offset: at.unwrap_or(0),
            content: content.into(),
        }])
    }

    /// Refuses a place for a file that has its own, and none for one that has not.
    ///
    /// # Errors
    /// `image-place-missing`, `image-place-twice`.
    pub(super) fn check_placed(&self, placed: bool) -> Result<(), OperationError> {
        let name = &self.name;
        match (self.form().has_addresses(), placed) {
            (true, true) => {
                let message = format!("`{name}` says itself where it belongs");
                Err(OperationError::usage("image-place-twice", message)
                    .hint("name it without a place"))
            }
            (false, false) => {
                let message = format!("`{name}` does not say where it belongs");
                Err(OperationError::usage("image-place-missing", message)
                    .hint("name its place: an offset like 0x10000, or a partition"))
            }
            (true, false) | (false, true) => Ok(()),
        }
    }
}

impl FlashFile {
    /// Makes it ready to be written.
    pub(super) async fn prepare(self) -> Result<Arc<PreparedImage>, OperationError> {
        let prepared = tokio::task::spawn_blocking(move || {
            PreparedImage::prepare(self.name, self.offset, self.content)
        })
        .await
        .map_err(|error| {
            OperationError::new("internal", format!("preparing an image broke off: {error}"))
        })?;
        Ok(prepared?)
    }
}

/// Bytes that call themselves an image must be one for this chip; anything else is just bytes.
fn check_chip(content: &[u8], chip: Chip) -> Result<(), (&'static str, String)> {
    match image::Header::parse(content) {
        Ok(header) if header.chip_id != chip.spec().image_id => {
            let other = Chip::from_image_id(header.chip_id).map_or_else(
                || format!("chip id {}", header.chip_id),
                |chip| chip.title().to_owned(),
            );
            Err((
                "image-wrong-chip",
                format!("is an image for {other}, the chip is an {}", chip.title()),
            ))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_that_share_a_sector_become_one_with_erased_flash_between() {
        let parts = |places: &[(u32, usize)]| -> Vec<Part> {
            let part = |(address, length): &(u32, usize)| Part::new(*address, vec![7; *length]);
            places.iter().map(part).collect()
        };
        let shapes = |places: &[(u32, usize)]| -> Vec<(u32, usize)> {
            let made = by_sectors(parts(places), 1 << 20).unwrap();
            let shape = |part: &Part| (part.address, part.bytes.len());
            made.iter().map(shape).collect()
        };
        assert_eq!(
            shapes(&[(0x10, 4), (0x20, 4), (0x3000, 1)]),
            [(0, 0x24), (0x3000, 1)]
        );
        assert_eq!(shapes(&[(0, 0x1001), (0x1800, 4)]), [(0, 0x1804)]);
        assert_eq!(
            shapes(&[(0, 0x1000), (0x1000, 4)]),
            [(0, 0x1000), (0x1000, 4)]
        );
        let made = by_sectors(parts(&[(2, 1), (4, 1)]), 1 << 20).unwrap();
        assert_eq!(made[0].bytes, [0xFF, 0xFF, 7, 0xFF, 7]);
        assert!(by_sectors(parts(&[(0xF_FFFF, 2)]), 1 << 20).is_err());
        let far: Vec<(u32, usize)> = (0..=256).map(|at| (at * 0x2000, 1)).collect();
        assert!(by_sectors(parts(&far), 16 << 20).is_err());
    }

    #[test]
    fn a_file_is_named_with_or_without_its_place() {
        let place = |text| named(text).0;
        assert_eq!(place("0x0=boot.bin").as_deref(), Some("0x0"));
        assert_eq!(place("app.hex"), None);
        assert_eq!(place("build/a=b.hex"), None);
    }
}
