//! Files to be put into flash: read, recognised, converted, placed.

use std::path::Path;
use std::sync::Arc;

use station_device::session::Session;
use station_device::{NoProgress, PreparedImage};
use station_esp::partition::Table;
use station_esp::{Chip, elf, image};

use super::text::bytes;
use crate::operation::OperationError;
use crate::station::Station;

/// Largest file that is read: no flash of these chips is larger.
const MAX_FILE: u64 = 64 << 20;
/// Where a partition table lies unless the recipe or the caller says otherwise (ESP-IDF's default).
pub(super) const TABLE_OFFSET: u32 = 0x8000;
/// Room a partition table takes: one sector.
pub(super) const TABLE_SIZE: u32 = 0x1000;

/// A file as it was read.
pub(super) struct RawFile {
    name: String,
    read: Vec<u8>,
}

/// A file as bytes for flash.
pub(super) struct FlashFile {
    /// As the caller named it.
    pub name: String,
    /// What goes into flash.
    pub content: Arc<[u8]>,
}

impl RawFile {
    /// Reads a file, as a client may.
    pub(super) async fn read(station: &Station, file: &Path) -> Result<Self, OperationError> {
        let path = station.readable(file)?;
        let name = file.display().to_string();
        let read =
            tokio::task::spawn_blocking(move || crate::station::read_bounded(&path, MAX_FILE))
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

    /// The bytes as they were read.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.read
    }

    /// ELF is converted for `chip`, an ESP image is checked against it.
    pub(super) async fn for_chip(self, chip: Chip) -> Result<FlashFile, OperationError> {
        tokio::task::spawn_blocking(move || self.convert(chip))
            .await
            .map_err(|error| {
                OperationError::new("internal", format!("converting broke off: {error}"))
            })?
    }

    fn convert(self, chip: Chip) -> Result<FlashFile, OperationError> {
        let Self { name, read } = self;
        let refuse =
            |code: &str, why: String| OperationError::usage(code, format!("`{name}`: {why}"));
        let content = if read.starts_with(b"\x7fELF") {
            elf::to_flash_image(&read, chip, &elf::FlashSettings::usual(chip, 4 << 20))
                .map_err(|error| refuse(error.code(), error.to_string()))?
        } else {
            check_chip(&read, chip).map_err(|(code, why)| refuse(code, why))?;
            read
        };
        Ok(FlashFile {
            name,
            content: content.into(),
        })
    }
}

impl FlashFile {
    /// Makes it ready to be written at `offset`.
    pub(super) async fn prepare(self, offset: u32) -> Result<Arc<PreparedImage>, OperationError> {
        let prepared = tokio::task::spawn_blocking(move || {
            PreparedImage::prepare(self.name, offset, self.content)
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

/// Where something goes: an offset, or the start of a partition of the table on the chip.
pub(super) async fn place(
    session: &mut Session,
    at: &str,
) -> Result<(u32, Option<u32>), OperationError> {
    if at.starts_with(|character: char| character.is_ascii_digit()) {
        return Ok((bytes(at)?, None));
    }
    let table = read_table(session, TABLE_OFFSET).await?;
    let entry = table.find(at).ok_or_else(|| {
        let names: Vec<&str> = table
            .entries()
            .iter()
            .map(|entry| entry.name.as_str())
            .collect();
        OperationError::usage(
            "partition-unknown",
            format!("the chip has no partition `{at}`"),
        )
        .hint(format!("its table names {}", names.join(", ")))
    })?;
    Ok((entry.offset, Some(entry.size)))
}

/// Reads the partition table on the chip.
pub(super) async fn read_table(session: &mut Session, at: u32) -> Result<Table, OperationError> {
    let content = session.read_flash(at, TABLE_SIZE, &NoProgress).await?;
    Table::parse_binary(&content).map_err(|error| {
        OperationError::new(
            error.code(),
            format!("the partition table at 0x{at:x}: {error}"),
        )
        .exit(crate::operation::Exit::SomeFailed)
    })
}
