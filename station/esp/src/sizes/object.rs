//! The tables of a 32-bit little-endian ELF, read with bounds.

use crate::chip::{Architecture, Chip};
use crate::elf::MAX_ELF;

use super::{Class, SectionSize};

const HEADER: usize = 52;
const SECTION: usize = 40;
const SYMBOL: usize = 16;
/// Longest name of a symbol that is kept; demanglers take time with length.
const MAX_NAME: usize = 4096;
/// Longest name of a section that is kept: all of them are, and they could share one.
const MAX_SECTION_NAME: usize = 256;
const ALLOCATED: u32 = 2;
const WRITABLE: u32 = 1;
const EXECUTABLE: u32 = 4;
const SYMBOLS: u32 = 2;
const NO_BITS: u32 = 8;
/// Types of symbols: object and function.
const NAMED: [u8; 2] = [1, 2];

/// An ELF that cannot be added up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Larger than [`MAX_ELF`].
    #[error("ELF of {0} bytes is too large")]
    TooLarge(usize),
    /// No 32-bit little-endian ELF.
    #[error("not a 32-bit little-endian ELF")]
    NotElf,
    /// For another instruction set.
    #[error("ELF is for machine {machine}, `{chip}` is {wanted}")]
    WrongMachine {
        /// Number of the machine in the ELF.
        machine: u16,
        /// The chip.
        chip: Chip,
        /// Instruction set of the chip.
        wanted: &'static str,
    },
    /// A section that lies outside the file or has an impossible shape.
    #[error("section {0} lies outside the file or is malformed")]
    Section(usize),
}

impl ObjectError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "elf-too-large",
            Self::NotElf => "elf-format",
            Self::WrongMachine { .. } => "elf-wrong-machine",
            Self::Section(_) => "elf-sections",
        }
    }
}

/// An ELF.
pub(super) struct Object<'a> {
    bytes: &'a [u8],
    table: usize,
    stride: usize,
    count: usize,
    names: usize,
}

/// A symbol as it is in the table.
pub(super) struct Raw<'a> {
    pub(super) name: &'a [u8],
    pub(super) address: u32,
    pub(super) size: u32,
    pub(super) section: usize,
}

impl<'a> Object<'a> {
    pub(super) fn parse(bytes: &'a [u8], chip: Chip) -> Result<Self, ObjectError> {
        if bytes.len() > MAX_ELF {
            return Err(ObjectError::TooLarge(bytes.len()));
        }
        let header = bytes.first_chunk::<HEADER>().ok_or(ObjectError::NotElf)?;
        if !header.starts_with(b"\x7FELF\x01\x01") {
            return Err(ObjectError::NotElf);
        }
        let machine = half(header, 18);
        let architecture: Architecture = chip.spec().architecture;
        if machine != architecture.elf_machine() {
            return Err(ObjectError::WrongMachine {
                machine,
                chip,
                wanted: architecture.name(),
            });
        }
        let object = Self {
            bytes,
            table: word(header, 32) as usize,
            stride: half(header, 46).into(),
            count: half(header, 48).into(),
            names: half(header, 50).into(),
        };
        if object.stride < SECTION && object.count > 0 {
            return Err(ObjectError::Section(0));
        }
        Ok(object)
    }

    fn row(&self, index: usize) -> Result<&'a [u8], ObjectError> {
        let start = index
            .checked_mul(self.stride)
            .and_then(|at| self.table.checked_add(at));
        start
            .and_then(|start| self.bytes.get(start..start.checked_add(SECTION)?))
            .ok_or(ObjectError::Section(index))
    }

    /// The bytes of a section.
    fn content(&self, index: usize) -> Result<&'a [u8], ObjectError> {
        let row = self.row(index)?;
        let (start, size) = (word(row, 16) as usize, word(row, 20) as usize);
        start
            .checked_add(size)
            .and_then(|end| self.bytes.get(start..end))
            .ok_or(ObjectError::Section(index))
    }

    /// The sections that take up memory, with their numbers.
    pub(super) fn sections(&self) -> Result<Vec<(usize, SectionSize)>, ObjectError> {
        let names = if self.names < self.count {
            self.content(self.names)?
        } else {
            &[]
        };
        let mut sections = Vec::new();
        for index in 0..self.count {
            let row = self.row(index)?;
            let (kind, flags, size) = (word(row, 4), word(row, 8), word(row, 20));
            if flags & ALLOCATED == 0 || size == 0 {
                continue;
            }
            let class = if kind == NO_BITS {
                Class::Zeroed
            } else if flags & EXECUTABLE != 0 {
                Class::Code
            } else if flags & WRITABLE != 0 {
                Class::Variables
            } else {
                Class::Constants
            };
            if class.in_flash() {
                self.content(index)?;
            }
            let name = name_at(names, word(row, 0), MAX_SECTION_NAME);
            let section = SectionSize {
                name: String::from_utf8_lossy(name).into_owned(),
                address: word(row, 12),
                size,
                class,
                memory: None,
                unnamed: size,
            };
            sections.push((index, section));
        }
        Ok(sections)
    }

    /// The functions and objects with a size.
    pub(super) fn symbols(&self) -> Result<Vec<Raw<'a>>, ObjectError> {
        let mut found = Vec::new();
        for index in 0..self.count {
            let row = self.row(index)?;
            if word(row, 4) != SYMBOLS {
                continue;
            }
            let names = word(row, 24) as usize;
            if names >= self.count {
                return Err(ObjectError::Section(index));
            }
            let names = self.content(names)?;
            for symbol in self.content(index)?.chunks_exact(SYMBOL) {
                let size = word(symbol, 8);
                if size == 0 || !NAMED.contains(&(symbol[12] & 0xF)) {
                    continue;
                }
                found.push(Raw {
                    name: name_at(names, word(symbol, 0), MAX_NAME),
                    address: word(symbol, 4),
                    size,
                    section: half(symbol, 14).into(),
                });
            }
            // A linked program has one table of symbols; more could repeat one for ever.
            break;
        }
        Ok(found)
    }
}

fn name_at(names: &[u8], at: u32, most: usize) -> &[u8] {
    let rest = names.get(at as usize..).unwrap_or(&[]);
    let rest = &rest[..rest.len().min(most)];
    rest.split(|byte| *byte == 0).next().unwrap_or(&[])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}
