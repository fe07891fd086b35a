//! ELF programs: to an image for flash, to an image that a loader takes, and to segments for RAM.
//!
//! Invariants: an ELF for another instruction set is refused before anything else looks at it; what
//! comes out of [`to_flash_image`] has passed [`Image::parse`]; what is made is at most the loaded
//! bytes of the ELF, three pages for each of sixteen parts, and the padding asked for.

mod borders;
mod convert;
mod error;
mod options;
mod parts;

pub use error::ElfError;
pub use options::{FlashSettings, ImageOptions, SecurePad};

use crate::chip::{Chip, MemoryKind};
use crate::image::Image;

use parts::Elf;

/// Largest ELF that is looked at; debug information makes them large.
pub const MAX_ELF: usize = 256 * 1024 * 1024;

/// Whether the bytes begin like an ELF.
#[must_use]
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7FELF")
}

/// Makes the application image that a bootloader starts, with SHA-256, ready to be written.
///
/// # Errors
/// When the ELF is not for `chip`, the settings are impossible, or no valid image comes out.
pub fn to_flash_image(
    elf: &[u8],
    chip: Chip,
    settings: &FlashSettings,
) -> Result<Vec<u8>, ElfError> {
    let image = to_image(elf, chip, &ImageOptions::new(*settings))?;
    let parsed = Image::parse(&image)?;
    parsed.check_chip(chip, None)?;
    Ok(image)
}

/// Makes the image that `esptool elf2image` makes with the same options.
///
/// Whether a chip would start it is not looked at: [`Image::parse`] says that.
///
/// # Errors
/// When the ELF is not for `chip`, the options are impossible, or its parts do not fit an image.
pub fn to_image(elf: &[u8], chip: Chip, options: &ImageOptions) -> Result<Vec<u8>, ElfError> {
    convert::convert(elf, chip, options)
}

/// Makes the image of a program that runs from RAM, as `esptool load-ram` takes it.
///
/// # Errors
/// As [`to_image`], and when a part is not in RAM or there is none.
pub fn to_ram_binary(elf: &[u8], chip: Chip) -> Result<Vec<u8>, ElfError> {
    let (parts, _) = Elf::parse(elf, chip)?.sections()?;
    for part in &parts {
        check_ram(chip, part.address, part.data.len())?;
    }
    if parts.is_empty() {
        return Err(ElfError::Empty);
    }
    // The flash is not looked at, but the header has a place for it.
    let options = ImageOptions::new(FlashSettings::usual(chip, 1024 * 1024));
    to_image(elf, chip, &options)
}

/// A program to be loaded into RAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RamImage {
    /// Where it starts.
    pub entry: u32,
    /// Address and bytes of each segment, ascending by file order.
    pub segments: Vec<(u32, Vec<u8>)>,
}

/// Takes the loadable segments of an ELF that runs from RAM.
///
/// # Errors
/// When the ELF is malformed, not for `chip`, or has a segment outside RAM.
pub fn ram_image(bytes: &[u8], chip: Chip) -> Result<RamImage, ElfError> {
    let elf = Elf::parse(bytes, chip)?;
    let mut segments = Vec::new();
    let mut total = 0;
    for (index, address, data) in elf.loads()? {
        // Segments that share bytes could make much out of little.
        total += data.len();
        if total > bytes.len() {
            return Err(ElfError::ProgramHeader(index));
        }
        check_ram(chip, address, data.len())?;
        // The loader takes whole words.
        let mut data = data.to_vec();
        data.resize(data.len().next_multiple_of(4), 0);
        segments.push((address, data));
    }
    if segments.is_empty() {
        return Err(ElfError::Empty);
    }
    Ok(RamImage {
        entry: elf.entry(),
        segments,
    })
}

fn check_ram(chip: Chip, address: u32, length: usize) -> Result<(), ElfError> {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let region = chip.spec().region(address, length);
    let in_ram =
        region.is_some_and(|region| !region.kind.is_flash() && region.kind != MemoryKind::Psram);
    if in_ram {
        Ok(())
    } else {
        Err(ElfError::NotInRam { address, length })
    }
}

#[cfg(test)]
mod tests;
