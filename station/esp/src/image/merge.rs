//! Many parts made into one file, and a file of a whole flash taken apart again.
//!
//! Invariants: parts never overlap; a gap is made into bytes in the raw form only, which is never
//! larger than the largest flash. The bytes are those of `esptool merge-bin` 5.6 for the same parts
//! and options. Parts may share a flash sector here, which esptool refuses: in one file it does no
//! harm.

use crate::chip::Chip;
use crate::flash::LARGEST;
use crate::hex;
use crate::partition::{DEFAULT_TABLE_OFFSET, TABLE_LENGTH, Table};
use crate::uf2;

use super::part::ordered;
use super::{HeaderChange, ImageError, MAGIC, Part, patch};

/// The form of a merged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Bytes as they lie in flash.
    Raw {
        /// Address of the first byte of the file.
        target_offset: u32,
        /// Address up to which the file is filled.
        pad_to_size: Option<u32>,
        /// What gaps hold; erased flash is `0xFF`.
        fill: u8,
    },
    /// Intel hex.
    Hex,
    /// USB flashing format.
    Uf2(uf2::Options),
}

impl Format {
    /// Raw from address 0, gaps as erased flash, no longer than needed.
    pub const RAW: Self = Self::Raw {
        target_offset: 0,
        pad_to_size: None,
        fill: 0xFF,
    };
}

/// Parts that cannot be merged, or a file that cannot be split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Two parts claim the same byte.
    #[error("part at {address:#x} begins inside another")]
    Overlap {
        /// Where the later part begins.
        address: u32,
    },
    /// A part that ends behind 4 GiB.
    #[error("part at {address:#x} ends beyond 4 GiB")]
    BeyondAddresses {
        /// Where it begins.
        address: u32,
    },
    /// A part in front of what the file begins with.
    #[error("part at {address:#x} lies before target offset {target_offset:#x}")]
    BeforeTarget {
        /// Where it begins.
        address: u32,
        /// Where the file begins.
        target_offset: u32,
    },
    /// A raw file larger than any flash.
    #[error("raw file would have {0:#x} bytes; gaps this large need Intel hex or UF2")]
    TooLarge(u64),
    /// A UF2 chunk that does not fit a block or is not whole words.
    #[error("UF2 chunk of {chunk} bytes is not a multiple of 4 from 4 to {largest}")]
    Chunk {
        /// Bytes asked for.
        chunk: u32,
        /// The largest chunk these options allow.
        largest: u32,
    },
    /// The bootloader among the parts cannot be changed.
    #[error("bootloader at {address:#x}: {error}")]
    Bootloader {
        /// Where it lies.
        address: u32,
        /// What is wrong.
        error: ImageError,
    },
}

impl MergeError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Overlap { .. } => "merge-overlap",
            Self::BeyondAddresses { .. } => "merge-beyond-addresses",
            Self::BeforeTarget { .. } => "merge-before-target",
            Self::TooLarge(_) => "merge-too-large",
            Self::Chunk { .. } => "merge-uf2-chunk",
            Self::Bootloader { error, .. } => error.code(),
        }
    }
}

/// Makes one file of the parts.
///
/// # Errors
/// When parts overlap or lie outside what the form can hold.
pub fn merge(parts: &[Part], format: Format) -> Result<Vec<u8>, MergeError> {
    match format {
        Format::Raw {
            target_offset,
            pad_to_size,
            fill,
        } => raw(parts, target_offset, pad_to_size, fill),
        Format::Hex => hex::encode(parts).map(String::into_bytes),
        Format::Uf2(options) => uf2::encode(parts, options),
    }
}

/// Puts flash mode, clock and size into the bootloader among the parts, as `esptool merge-bin` does
/// with its flash options.
///
/// A part where the bootloader of `chip` belongs that is no image, or one for another chip, is left
/// as it is.
///
/// # Errors
/// When the bootloader is signed or broken, or the change is impossible.
pub fn patch_bootloader(
    parts: &mut [Part],
    chip: Chip,
    change: &HeaderChange,
) -> Result<(), MergeError> {
    let address = chip.spec().bootloader_offset;
    for part in parts.iter_mut().filter(|part| part.address == address) {
        let header = super::Header::parse(&part.bytes);
        if header.is_ok_and(|header| header.chip_id == chip.spec().image_id) {
            part.bytes = patch(&part.bytes, change)
                .map_err(|error| MergeError::Bootloader { address, error })?;
        }
    }
    Ok(())
}

fn raw(
    parts: &[Part],
    target_offset: u32,
    pad_to_size: Option<u32>,
    fill: u8,
) -> Result<Vec<u8>, MergeError> {
    let parts = ordered(parts)?;
    let end = parts.last().map_or(0, |part| part.end());
    let end = end
        .max(pad_to_size.unwrap_or(0).into())
        .max(target_offset.into());
    let length = end - u64::from(target_offset);
    if length > u64::from(LARGEST) {
        return Err(MergeError::TooLarge(length));
    }
    let mut bytes = vec![fill; usize::try_from(length).map_err(|_| MergeError::TooLarge(length))?];
    for part in parts {
        let start = part
            .address
            .checked_sub(target_offset)
            .ok_or(MergeError::BeforeTarget {
                address: part.address,
                target_offset,
            })? as usize;
        if let Some(place) = bytes.get_mut(start..start + part.bytes.len()) {
            place.copy_from_slice(&part.bytes);
        }
    }
    Ok(bytes)
}

/// What a piece of flash holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Nothing: every byte is `0xFF`.
    Erased,
    /// An application or bootloader.
    Image,
    /// A partition table.
    Table,
    /// Anything else.
    Data,
}

impl Content {
    /// Tells by the first bytes what this is.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.iter().all(|byte| *byte == 0xFF) {
            Self::Erased
        } else if bytes.first() == Some(&MAGIC) && super::Header::parse(bytes).is_ok() {
            Self::Image
        } else if bytes.starts_with(&[0xAA, 0x50]) {
            Self::Table
        } else {
            Self::Data
        }
    }
}

/// A piece of a raw file and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Name of the partition, `bootloader` or `partition-table`.
    pub name: String,
    /// Where it lies in flash.
    pub address: u32,
    /// Its bytes without erased flash behind them; of an image that is whole, the image and what
    /// follows it.
    pub bytes: Vec<u8>,
    /// What they are.
    pub content: Content,
}

/// Takes a raw file that begins at address 0 of the flash of `chip` apart along a partition table.
///
/// Pieces of which nothing but erased flash remains are left out, as are bytes in no partition.
#[must_use]
pub fn split_raw(raw: &[u8], chip: Chip, table: &Table, table_offset: u32) -> Vec<Piece> {
    let boot = chip.spec().bootloader_offset;
    let mut pieces = Vec::new();
    let mut add = |name: &str, start: u64, end: u64| {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(raw.len());
        let bytes = raw.get(place(start)..place(end)).unwrap_or(&[]);
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0xFF)
            .map_or(0, |at| at + 1);
        // An image keeps the length its header announces, be its last bytes 0xFF.
        let image = super::Image::parse(bytes).map_or(0, |image| image.length as usize);
        let bytes = &bytes[..used.max(image)];
        if let (false, Ok(address)) = (bytes.is_empty(), u32::try_from(start)) {
            pieces.push(Piece {
                name: name.to_owned(),
                address,
                bytes: bytes.to_vec(),
                content: Content::of(bytes),
            });
        }
    };
    if table.entries().iter().all(|entry| entry.offset != boot) {
        add("bootloader", boot.into(), table_offset.into());
    }
    if table
        .entries()
        .iter()
        .all(|entry| entry.offset != table_offset)
    {
        let end = u64::from(table_offset) + TABLE_LENGTH as u64;
        add("partition-table", table_offset.into(), end);
    }
    for entry in table.entries() {
        add(&entry.name, entry.offset.into(), entry.end());
    }
    pieces
}

/// Looks for a partition table in a raw file that begins at address 0: at the usual place, then at
/// every sector up to 64 KiB.
#[must_use]
pub fn find_table(raw: &[u8]) -> Option<(u32, Table)> {
    let others = (0..0x1_0000).step_by(0x1000);
    std::iter::once(DEFAULT_TABLE_OFFSET)
        .chain(others)
        .find_map(|at| {
            let bytes = raw.get(at as usize..)?;
            let bytes = &bytes[..bytes.len().min(TABLE_LENGTH)];
            bytes
                .starts_with(&[0xAA, 0x50])
                .then(|| Table::parse_binary(bytes).ok())
                .flatten()
                .map(|table| (at, table))
        })
}
