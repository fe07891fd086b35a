//! Where the bytes of a program go: by memory, by section, by symbol, against its partition.
//!
//! Invariants: only sections that take up memory count, each once; what is read is bounded by the
//! file; a symbol counts for its section, and what no symbol covers is said. Sizes in flash are those
//! of the sections: an image adds heads, padding and its hash.

mod object;
mod symbol;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::chip::{Chip, MemoryKind};

pub use object::ObjectError;
pub use symbol::demangled;

use object::Object;

/// What a section is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Instructions.
    Code,
    /// Constants.
    Constants,
    /// Variables with a first value, which take flash and RAM.
    Variables,
    /// Memory that begins as zeros, which takes RAM only.
    Zeroed,
}

impl Class {
    /// Whether the bytes are in the image.
    #[must_use]
    pub fn in_flash(self) -> bool {
        self != Self::Zeroed
    }
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionSize {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: u32,
    /// Bytes.
    pub size: u32,
    /// What it is for.
    pub class: Class,
    /// What the chip has at its address; `None` where it has nothing.
    pub memory: Option<MemoryKind>,
    /// Bytes that no symbol with a size covers: constants merged by the linker, alignment.
    pub unnamed: u32,
}

/// One symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolSize {
    /// Its name as the linker knows it.
    pub name: String,
    /// Its name as its author wrote it, where it is another.
    pub demangled: Option<String>,
    /// Its address.
    pub address: u32,
    /// Bytes.
    pub size: u32,
    /// Its section, as an index of [`SizeReport::sections`].
    pub section: usize,
}

/// One range of memory of the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionSize {
    /// What it is.
    pub kind: MemoryKind,
    /// First address.
    pub start: u32,
    /// First address beyond.
    pub end: u32,
    /// Bytes that sections take.
    pub used: u64,
}

/// An image against its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fit {
    /// Bytes of the image.
    pub image: u32,
    /// Bytes of the partition.
    pub partition: u32,
}

impl Fit {
    /// Bytes left; `None` when the image is too large.
    #[must_use]
    pub fn free(self) -> Option<u32> {
        self.partition.checked_sub(self.image)
    }

    /// Part of the partition that is taken, in tenths of a percent.
    #[must_use]
    pub fn permille(self) -> u64 {
        match self.partition {
            0 => u64::MAX,
            partition => u64::from(self.image) * 1000 / u64::from(partition),
        }
    }
}

/// Where the bytes of a program go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeReport {
    /// The chip.
    pub chip: Chip,
    /// The sections by address.
    pub sections: Vec<SectionSize>,
    /// The symbols, the largest first.
    pub symbols: Vec<SymbolSize>,
    /// The memory of the chip that is used.
    pub regions: Vec<RegionSize>,
    /// Bytes that are in flash: code, constants and first values.
    pub flash: u64,
    /// Bytes of internal RAM taken before anything runs.
    pub ram: u64,
    /// The image against its partition, where both are known.
    pub fit: Option<Fit>,
}

impl SizeReport {
    /// Bytes of all sections of this class.
    #[must_use]
    pub fn class(&self, class: Class) -> u64 {
        let sections = self.sections.iter().filter(|one| one.class == class);
        sections.map(|section| u64::from(section.size)).sum()
    }
}

/// Adds up an ELF for a chip. `image` is the length of the image made from it and `partition` the
/// size of where it goes, where they are known.
///
/// # Errors
/// When this is no ELF for a 32-bit little-endian machine, or its tables lie outside the file.
pub fn sizes(
    elf: &[u8],
    chip: Chip,
    image: Option<u32>,
    partition: Option<u32>,
) -> Result<SizeReport, ObjectError> {
    let object = Object::parse(elf, chip)?;
    let mut sections: Vec<(usize, SectionSize)> = object
        .sections()?
        .into_iter()
        .map(|(index, mut section)| {
            let region = chip.spec().region(section.address, section.size);
            section.memory = region.map(|region| region.kind);
            (index, section)
        })
        .collect();
    sections.sort_by_key(|(_, section)| section.address);
    let symbols = symbol::symbols(&object, &mut sections)?;
    let sections: Vec<SectionSize> = sections.into_iter().map(|(_, section)| section).collect();
    let total = |counts: &dyn Fn(&SectionSize) -> bool| -> u64 {
        let counted = sections.iter().filter(|section| counts(section));
        counted.map(|section| u64::from(section.size)).sum()
    };
    let in_ram = |kind: MemoryKind| !kind.is_flash() && kind != MemoryKind::Psram;
    Ok(SizeReport {
        chip,
        flash: total(&|section| section.class.in_flash()),
        ram: total(&|section| section.memory.is_some_and(in_ram)),
        regions: regions(chip, &sections),
        symbols,
        fit: image
            .zip(partition)
            .map(|(image, partition)| Fit { image, partition }),
        sections,
    })
}

fn regions(chip: Chip, sections: &[SectionSize]) -> Vec<RegionSize> {
    let within = |section: &&SectionSize, region: &crate::chip::MemoryRegion| {
        chip.spec()
            .region(section.address, section.size)
            .is_some_and(|of_section| std::ptr::eq(of_section, region))
    };
    let memory = chip.spec().memory.iter();
    memory
        .map(|region| RegionSize {
            kind: region.kind,
            start: region.start,
            end: region.end,
            used: sections
                .iter()
                .filter(|section| within(section, region))
                .map(|section| u64::from(section.size))
                .sum(),
        })
        .filter(|region| region.used > 0)
        .collect()
}
