//! What can be wrong with an ELF, with the place in it.

use crate::chip::Chip;
use crate::flash::size_text;
use crate::image::ImageError;

/// An ELF that cannot be used, or options that cannot be met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Larger than [`super::MAX_ELF`].
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
    /// A table that no linker makes, and that could blow up what is made from it.
    #[error("ELF {0}")]
    Sections(&'static str),
    /// A part to be loaded that cannot be.
    #[error("{part} at {address:#010x} {what}")]
    Part {
        /// Which one, with its name or number.
        part: String,
        /// Its address.
        address: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Nothing in it is loaded.
    #[error("ELF has nothing to load")]
    Empty,
    /// More parts than an image may have, after those that touch were joined.
    #[error("ELF loads {0} separate parts or more, an image holds at most 16")]
    TooManyParts(usize),
    /// Two mapped parts that one page of flash would have to hold at two places.
    #[error(
        "{part} at {address:#010x} lies in the same {} page of flash as {before:#010x}: \
         the linker script must join them",
        size_text(*.page)
    )]
    SamePage {
        /// The later one.
        part: String,
        /// Its address.
        address: u32,
        /// Address of the earlier one.
        before: u32,
        /// Bytes of a page.
        page: u32,
    },
    /// A page size the chip does not have.
    #[error("`{chip}` has no flash pages of {bytes} bytes")]
    PageSize {
        /// The chip.
        chip: Chip,
        /// The size asked for, by the options or by the application descriptor.
        bytes: u64,
    },
    /// The digest of the ELF cannot be put there.
    #[error("SHA-256 of the ELF cannot be put at {offset:#x} of the image: {what}")]
    DigestPlace {
        /// Offset in the image.
        offset: u32,
        /// Why.
        what: &'static str,
    },
    /// Options that exclude each other, or that could blow up the image.
    #[error("{0}")]
    Options(&'static str),
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
    /// The image does not pass the checks of bootloader and ROM.
    #[error("no chip starts its image: {0}")]
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
            Self::Part { .. } => "elf-part",
            Self::Empty => "elf-empty",
            Self::TooManyParts(_) => "elf-too-many-parts",
            Self::SamePage { .. } => "elf-same-page",
            Self::PageSize { .. } => "elf-page-size",
            Self::DigestPlace { .. } => "elf-digest-place",
            Self::Options(_) => "elf-options",
            Self::Frequency { .. } => "elf-flash-frequency",
            Self::Size(_) => "elf-flash-size",
            Self::Image(error) => error.code(),
        }
    }
}
