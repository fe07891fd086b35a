//! ELF programs: to an image for flash, and to segments for RAM.
//!
//! Invariants: an ELF for another instruction set is refused before anything else looks at it; what
//! comes out as a flash image has passed [`Image::parse`]; a panic of the converting library on a
//! hostile ELF becomes an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use espflash::flasher;
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target;

use crate::chip::{Chip, MemoryKind};
use crate::flash::size_text;
use crate::image::{FlashMode, Image, ImageError};

/// Largest ELF that is looked at; debug information makes them large.
pub const MAX_ELF: usize = 256 * 1024 * 1024;
/// Length of a 32-bit ELF header.
const HEADER: usize = 52;
/// Length of a 32-bit program header.
const PROGRAM_HEADER: usize = 32;
/// Length of a 32-bit section header.
const SECTION_HEADER: usize = 40;
/// Section flag: takes up memory.
const ALLOCATED: u32 = 2;
/// Section type: zeroed memory without bytes in the file.
const NO_BITS: u32 = 8;
/// Loaded sections that a program may have; linkers make some dozens.
const MAX_SECTIONS: usize = 1024;
/// Type of a program header whose bytes are loaded.
const LOAD: u32 = 1;

/// What an image's header says about the flash, all of it said by someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashSettings {
    /// How flash is read.
    pub mode: FlashMode,
    /// Flash clock in MHz, one of [`crate::ChipSpec::flash_frequencies`].
    pub frequency_mhz: u8,
    /// Bytes of flash.
    pub size: u32,
}

impl FlashSettings {
    /// DIO at the chip's usual clock, for a flash of `size` bytes.
    #[must_use]
    pub fn usual(chip: Chip, size: u32) -> Self {
        let frequency_mhz = chip.spec().default_flash_frequency;
        Self {
            mode: FlashMode::Dio,
            frequency_mhz,
            size,
        }
    }
}

/// An ELF that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Larger than [`MAX_ELF`].
    #[error("ELF of {0} bytes is too large")]
    TooLarge(usize),
    /// No 32-bit little-endian ELF.
    #[error("not a 32-bit little-endian ELF")]
    NotElf,
    /// For another instruction set.
    #[error("ELF is for {found}, `{chip}` is {wanted}")]
    WrongMachine {
        /// Instruction set of the ELF, or its number.
        found: String,
        /// The chip.
        chip: Chip,
        /// Instruction set of the chip.
        wanted: &'static str,
    },
    /// A program header that points outside the file.
    #[error("program header {0} lies outside the file")]
    ProgramHeader(usize),
    /// A segment for an address where the chip has no RAM.
    #[error("segment of {length} bytes at {address:#010x} is not in RAM")]
    NotInRam {
        /// Its address.
        address: u32,
        /// Its length.
        length: u32,
    },
    /// A section table that no linker makes, and that could blow up what is made from it.
    #[error("ELF {0}")]
    Sections(&'static str),
    /// Nothing in it is loaded.
    #[error("ELF has nothing to load")]
    Empty,
    /// A flash clock that the chip does not have.
    #[error("`{chip}` has no flash clock of {mhz} MHz")]
    Frequency {
        /// The chip.
        chip: Chip,
        /// The clock asked for.
        mhz: u8,
    },
    /// A flash size that headers cannot express.
    #[error("flash size {} cannot be put into an image", size_text(*.0))]
    Size(u32),
    /// The converter refused it.
    #[error("ELF cannot be converted: {0}")]
    Convert(String),
    /// The converter gave up without an answer.
    #[error("ELF makes the converter fail")]
    Panicked,
    /// The converter made an image that does not pass the checks.
    #[error("ELF makes an image that no chip starts: {0}")]
    Image(#[from] ImageError),
}

impl ElfError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "elf-too-large",
            Self::NotElf => "elf-format",
            Self::WrongMachine { .. } => "elf-wrong-machine",
            Self::ProgramHeader(_) => "elf-program-header",
            Self::NotInRam { .. } => "elf-not-in-ram",
            Self::Sections(_) => "elf-sections",
            Self::Empty => "elf-empty",
            Self::Frequency { .. } => "elf-flash-frequency",
            Self::Size(_) => "elf-flash-size",
            Self::Convert(_) => "elf-convert",
            Self::Panicked => "elf-converter-failed",
            Self::Image(error) => error.code(),
        }
    }
}

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
    check_sections(elf, check_header(elf, chip)?)?;
    let flash_data = flasher::FlashData::new(
        flasher::FlashSettings::new(
            Some(mode(settings.mode)),
            Some(size(settings.size).ok_or(ElfError::Size(settings.size))?),
            Some(frequency(chip, settings.frequency_mhz)?),
        ),
        0,
        None,
        their_chip(chip),
        crystal(chip),
    );
    // The library slices by lengths from the file. It holds no state that a panic could spoil.
    let converted = catch_unwind(AssertUnwindSafe(|| {
        IdfBootloaderFormat::new(elf, &flash_data, None, None, None, None)
            .map(|format| {
                format
                    .ota_segments()
                    .map(|segment| segment.data().to_vec())
                    .next()
            })
            .map_err(|error| error.to_string())
    }));
    let image = converted
        .map_err(|_| ElfError::Panicked)?
        .map_err(ElfError::Convert)?
        .ok_or(ElfError::Empty)?;
    let parsed = Image::parse(&image)?;
    parsed.check_chip(chip, None)?;
    Ok(image)
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
pub fn ram_image(elf: &[u8], chip: Chip) -> Result<RamImage, ElfError> {
    let header = check_header(elf, chip)?;
    let (table, stride, count) = (
        word(header, 28) as usize,
        half(header, 42),
        half(header, 44),
    );
    let mut segments = Vec::new();
    let mut total = 0;
    for index in 0..count {
        let refuse = || ElfError::ProgramHeader(index);
        let head = row(elf, table, stride, index, PROGRAM_HEADER).ok_or_else(refuse)?;
        let (address, length) = (word(head, 12), word(head, 16));
        if word(head, 0) != LOAD || length == 0 {
            continue;
        }
        let data = part(elf, word(head, 4) as usize, length as usize).ok_or_else(refuse)?;
        // Segments that share bytes could make much out of little.
        total += data.len();
        if total > elf.len() {
            return Err(refuse());
        }
        let region = chip.spec().region(address, length);
        let in_ram = region
            .is_some_and(|region| !region.kind.is_flash() && region.kind != MemoryKind::Psram);
        if !in_ram {
            return Err(ElfError::NotInRam { address, length });
        }
        // The loader takes whole words.
        let mut data = data.to_vec();
        data.resize(data.len().next_multiple_of(4), 0);
        segments.push((address, data));
    }
    if segments.is_empty() {
        return Err(ElfError::Empty);
    }
    Ok(RamImage {
        entry: word(header, 24),
        segments,
    })
}

/// Checks class, byte order and machine, and returns the header.
fn check_header(elf: &[u8], chip: Chip) -> Result<&[u8; HEADER], ElfError> {
    if elf.len() > MAX_ELF {
        return Err(ElfError::TooLarge(elf.len()));
    }
    let header = elf.first_chunk::<HEADER>().ok_or(ElfError::NotElf)?;
    if !header.starts_with(b"\x7FELF\x01\x01") {
        return Err(ElfError::NotElf);
    }
    let machine = u16::from_le_bytes([header[18], header[19]]);
    let wanted = chip.spec().architecture;
    if machine != wanted.elf_machine() {
        let found = match machine {
            94 => "xtensa".to_owned(),
            243 => "riscv".to_owned(),
            other => format!("machine {other}"),
        };
        return Err(ElfError::WrongMachine {
            found,
            chip,
            wanted: wanted.name(),
        });
    }
    Ok(header)
}

/// Bounds what the converter can make of the file: each section costs at most its bytes and a page.
fn check_sections(elf: &[u8], header: &[u8; HEADER]) -> Result<(), ElfError> {
    let (table, stride, count) = (
        word(header, 32) as usize,
        half(header, 46),
        half(header, 48),
    );
    if table != 0 && count == 0 {
        return Err(ElfError::Sections("has an extended section table"));
    }
    let (mut loaded, mut total) = (0, 0);
    for index in 0..count {
        let head = row(elf, table, stride, index, SECTION_HEADER)
            .ok_or(ElfError::Sections("has a section table outside the file"))?;
        let (kind, flags, size) = (word(head, 4), word(head, 8), word(head, 20));
        if flags & ALLOCATED != 0 && kind != NO_BITS && size != 0 {
            loaded += 1;
            total += size as usize;
        }
    }
    if loaded > MAX_SECTIONS {
        return Err(ElfError::Sections("has too many loaded sections"));
    }
    if total > elf.len() {
        return Err(ElfError::Sections("has sections larger than the file"));
    }
    Ok(())
}

fn row(elf: &[u8], table: usize, stride: usize, index: usize, length: usize) -> Option<&[u8]> {
    if stride < length {
        return None;
    }
    part(elf, table.checked_add(index.checked_mul(stride)?)?, length)
}

fn part(elf: &[u8], start: usize, length: usize) -> Option<&[u8]> {
    elf.get(start..start.checked_add(length)?)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn half(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes([bytes[at], bytes[at + 1]]).into()
}

fn their_chip(chip: Chip) -> target::Chip {
    match chip {
        Chip::Esp32 => target::Chip::Esp32,
        Chip::Esp32S2 => target::Chip::Esp32s2,
        Chip::Esp32S3 => target::Chip::Esp32s3,
        Chip::Esp32C2 => target::Chip::Esp32c2,
        Chip::Esp32C3 => target::Chip::Esp32c3,
        Chip::Esp32C5 => target::Chip::Esp32c5,
        Chip::Esp32C6 => target::Chip::Esp32c6,
        Chip::Esp32C61 => target::Chip::Esp32c61,
        Chip::Esp32H2 => target::Chip::Esp32h2,
        Chip::Esp32H4 => target::Chip::Esp32h4,
        Chip::Esp32P4 => target::Chip::Esp32p4,
        Chip::Esp32S31 => target::Chip::Esp32s31,
    }
}

/// A crystal the library has a bootloader for; the application image does not depend on it.
fn crystal(chip: Chip) -> target::XtalFrequency {
    match chip.spec().typical_crystal_mhz() {
        26 => target::XtalFrequency::_26Mhz,
        32 => target::XtalFrequency::_32Mhz,
        48 => target::XtalFrequency::_48Mhz,
        _ => target::XtalFrequency::_40Mhz,
    }
}

fn mode(mode: FlashMode) -> flasher::FlashMode {
    match mode {
        FlashMode::Qio => flasher::FlashMode::Qio,
        FlashMode::Qout => flasher::FlashMode::Qout,
        FlashMode::Dio => flasher::FlashMode::Dio,
        FlashMode::Dout => flasher::FlashMode::Dout,
    }
}

fn size(bytes: u32) -> Option<flasher::FlashSize> {
    const MEBI: u32 = 1024 * 1024;
    if !bytes.is_multiple_of(MEBI) {
        return None;
    }
    Some(match bytes / MEBI {
        1 => flasher::FlashSize::_1Mb,
        2 => flasher::FlashSize::_2Mb,
        4 => flasher::FlashSize::_4Mb,
        8 => flasher::FlashSize::_8Mb,
        16 => flasher::FlashSize::_16Mb,
        32 => flasher::FlashSize::_32Mb,
        64 => flasher::FlashSize::_64Mb,
        128 => flasher::FlashSize::_128Mb,
        256 => flasher::FlashSize::_256Mb,
        _ => return None,
    })
}

fn frequency(chip: Chip, mhz: u8) -> Result<flasher::FlashFrequency, ElfError> {
    let refuse = ElfError::Frequency { chip, mhz };
    if chip.spec().flash_frequency_code(mhz).is_none() {
        return Err(refuse);
    }
    Ok(match mhz {
        12 => flasher::FlashFrequency::_12Mhz,
        15 => flasher::FlashFrequency::_15Mhz,
        16 => flasher::FlashFrequency::_16Mhz,
        20 => flasher::FlashFrequency::_20Mhz,
        24 => flasher::FlashFrequency::_24Mhz,
        26 => flasher::FlashFrequency::_26Mhz,
        30 => flasher::FlashFrequency::_30Mhz,
        40 => flasher::FlashFrequency::_40Mhz,
        48 => flasher::FlashFrequency::_48Mhz,
        60 => flasher::FlashFrequency::_60Mhz,
        80 => flasher::FlashFrequency::_80Mhz,
        _ => return Err(refuse),
    })
}

#[cfg(test)]
mod tests;
