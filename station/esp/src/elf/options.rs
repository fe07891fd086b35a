//! What can be chosen when an ELF becomes an image.

use crate::chip::{Chip, Revision};
use crate::image::{FlashMode, Header};

use super::ElfError;

/// Most bytes that padding to a size may add up to.
const MAX_PADDED: u32 = 256 * 1024 * 1024;

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

    /// The two header bytes: mode, and size with clock.
    pub(super) fn to_bytes(self, chip: Chip) -> Result<[u8; 2], ElfError> {
        let size = Header::size_code(self.size).ok_or(ElfError::Size(self.size))?;
        let mhz = self.frequency_mhz;
        let code = chip.spec().flash_frequency_code(mhz);
        let code = code.ok_or(ElfError::Frequency { chip, mhz })?;
        Ok([self.mode as u8, size << 4 | code])
    }
}

/// How far an image is filled up before it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecurePad {
    /// Not at all.
    #[default]
    None,
    /// So that the version 1 signature ends at a page. Only the ESP32 knows this version; for other
    /// chips it is ignored, as by esptool.
    V1,
    /// So that the sector of version 2 signatures begins at a page.
    V2,
}

/// The choices of `esptool elf2image`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageOptions {
    /// What the header says about the flash.
    pub flash: FlashSettings,
    /// Oldest revision of the chip that the image runs on.
    pub min_revision: Revision,
    /// Newest revision; `None` for any, and so does 0.0, as to bootloaders.
    pub max_revision: Option<Revision>,
    /// Bytes of an MMU page. `None`: what the application descriptor says, the
    /// chip's largest where it leaves that open, and 64 KiB where there is none.
    /// Chips without a choice of pages ignore it, as esptool does.
    pub mmu_page_size: Option<u32>,
    /// Whether the image is filled up for a signature.
    pub secure_pad: SecurePad,
    /// Fills the finished image with 0xFF to a multiple of this many bytes.
    pub pad_to_multiple: Option<u32>,
    /// Whether a SHA-256 is appended.
    pub hash: bool,
    /// Where in the image the SHA-256 of the ELF is put. `None`: into the application descriptor,
    /// where the ELF has a section for one. Zero means `None`, as for esptool.
    pub elf_sha256_offset: Option<u32>,
    /// Loads what the program headers say, at physical addresses, instead of the sections.
    pub use_segments: bool,
    /// Counts only RAM segments in the header and puts them first, for ROMs that are to load them
    /// and ignore the rest. Excludes [`ImageOptions::hash`], which is ignored.
    pub ram_only_header: bool,
}

impl ImageOptions {
    /// What esptool does with only the flash settings given.
    #[must_use]
    pub fn new(flash: FlashSettings) -> Self {
        Self {
            flash,
            min_revision: Revision::new(0, 0),
            max_revision: None,
            mmu_page_size: None,
            secure_pad: SecurePad::None,
            pad_to_multiple: None,
            hash: true,
            elf_sha256_offset: None,
            use_segments: false,
            ram_only_header: false,
        }
    }

    /// Whether a SHA-256 is appended, all options considered.
    pub(super) fn appends_hash(&self) -> bool {
        self.hash && !self.ram_only_header
    }

    /// The padding that this chip gets.
    pub(super) fn padding(&self, chip: Chip) -> SecurePad {
        if self.secure_pad == SecurePad::V1 && chip != Chip::Esp32 {
            SecurePad::None
        } else {
            self.secure_pad
        }
    }

    /// Refuses what cannot be met whatever the ELF.
    pub(super) fn check(&self, chip: Chip) -> Result<(), ElfError> {
        Header::check_revisions(self.min_revision, self.max_revision)?;
        if self.padding(chip) != SecurePad::None && !self.appends_hash() {
            return Err(ElfError::Options(
                "padding for a signature needs the appended SHA-256",
            ));
        }
        match self.pad_to_multiple {
            Some(0) => Err(ElfError::Options("padding to a multiple of no bytes")),
            Some(bytes) if bytes > MAX_PADDED => {
                Err(ElfError::Options("padding to more than 256 MiB"))
            }
            _ => Ok(()),
        }
    }
}
