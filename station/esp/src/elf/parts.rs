//! The parts of an ELF that are loaded or mapped.
//!
//! Invariants: every part is whole words, ends within the address space, and the parts together
//! hold at most the bytes of the file and a word each; there are no more than an image may have.

use object::LittleEndian;
use object::elf::{self, FileHeader32};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable};

use crate::chip::Chip;
use crate::image::MAX_SEGMENTS;

use super::borders::are_together;
use super::{ElfError, MAX_ELF};

/// The part of a section's name by which the application descriptor is known.
const DESCRIPTOR: &str = ".flash.appdesc";
/// Bytes of a section's name that are read; errors show them.
const MAX_NAME: usize = 256;
/// Bytes of a descriptor.
const DESCRIPTOR_LENGTH: usize = 256;
/// First word of a descriptor.
const DESCRIPTOR_MAGIC: [u8; 4] = [0x32, 0x54, 0xCD, 0xAB];
/// Where a descriptor holds the power of two of a page.
const DESCRIPTOR_PAGE: usize = 180;

type Header = FileHeader32<LittleEndian>;
/// Index, physical address and bytes of a program header that loads some.
pub(super) type Load<'a> = (usize, u32, &'a [u8]);

const ENDIAN: LittleEndian = LittleEndian;

/// Bytes for an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// What it is called: the section's name, or the number of the program header.
    pub name: String,
    /// Whether its first section is the one of the application descriptor.
    pub is_descriptor: bool,
    /// Where it is loaded or mapped.
    pub address: u32,
    /// Whole words.
    pub data: Vec<u8>,
}

impl Part {
    /// First address behind it.
    pub(super) fn end(&self) -> u64 {
        u64::from(self.address) + self.data.len() as u64
    }

    /// Takes the first `length` bytes off, or all of it.
    pub(super) fn split_off(&mut self, length: usize) -> Self {
        let rest = self.data.split_off(length.min(self.data.len()));
        let data = std::mem::replace(&mut self.data, rest);
        let address = self.address;
        // Ends within the address space, so only an empty rest wraps.
        self.address = address.wrapping_add(data.len() as u32);
        Self {
            name: self.name.clone(),
            is_descriptor: self.is_descriptor,
            address,
            data,
        }
    }
}

/// Joins parts that touch, after they were put in order.
pub(super) fn join(parts: Vec<Part>, chip: Chip) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        let touches = joined.last_mut().filter(|last| {
            last.end() == u64::from(part.address) && are_together(chip, last.address, part.address)
        });
        match touches {
            Some(last) => last.data.extend_from_slice(&part.data),
            None => joined.push(part),
        }
    }
    joined
}

/// What the sections say about the application descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Descriptor {
    /// Whether a mapped section is called after it.
    pub exists: bool,
    /// The power of two of a page, 0 where it leaves that open; `None` where it is no descriptor.
    pub page_bits: Option<u8>,
    /// Whether it is too short to be one.
    pub is_short: bool,
}

/// A checked header of an ELF for a chip.
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    chip: Chip,
    header: &'a Header,
}

impl<'a> Elf<'a> {
    /// Checks size, class, byte order and machine.
    pub(super) fn parse(bytes: &'a [u8], chip: Chip) -> Result<Self, ElfError> {
        if bytes.len() > MAX_ELF {
            return Err(ElfError::TooLarge(bytes.len()));
        }
        if !bytes.starts_with(b"\x7FELF\x01\x01") {
            return Err(ElfError::NotElf);
        }
        let header = Header::parse(bytes).map_err(|_| ElfError::NotElf)?;
        let machine = header.e_machine(ENDIAN);
        let wanted = chip.spec().architecture;
        if machine.0 != wanted.elf_machine() {
            let found = match machine {
                elf::EM_XTENSA => "xtensa".to_owned(),
                elf::EM_RISCV => "riscv".to_owned(),
                other => format!("machine {}", other.0),
            };
            return Err(ElfError::WrongMachine {
                found,
                chip,
                wanted: wanted.name(),
            });
        }
        Ok(Self {
            bytes,
            chip,
            header,
        })
    }

    /// Where the program starts.
    pub(super) fn entry(&self) -> u32 {
        self.header.e_entry(ENDIAN)
    }

    /// The sections with bytes and an address, joined where they touch, in file order.
    pub(super) fn sections(&self) -> Result<(Vec<Part>, Descriptor), ElfError> {
        let table = self.table()?;
        let names = self.names(&table);
        let mut parts = Joined::new(self);
        let mut descriptor = Descriptor::default();
        for (index, section) in table.iter().enumerate() {
            let kind = section.sh_type(ENDIAN);
            let loaded = [
                elf::SHT_PROGBITS,
                elf::SHT_INIT_ARRAY,
                elf::SHT_FINI_ARRAY,
                elf::SHT_PREINIT_ARRAY,
            ];
            let (address, size) = (section.sh_addr(ENDIAN), section.sh_size(ENDIAN));
            if !loaded.contains(&kind) || address == 0 || size == 0 {
                continue;
            }
            let name = name_at(names, section.sh_name(ENDIAN));
            let part = if name.is_empty() {
                format!("section {index}")
            } else {
                format!("section `{name}`")
            };
            let Ok(data) = section.data(ENDIAN, self.bytes) else {
                return Err(outside(part, address));
            };
            if !descriptor.exists
                && name.contains(DESCRIPTOR)
                && self.chip.spec().is_flash_mapped(address)
            {
                descriptor = describe(data);
            }
            parts.add(part, name == DESCRIPTOR, address, data)?;
        }
        Ok((parts.parts, descriptor))
    }

    /// The bytes that program headers load, joined where they touch, in file order.
    pub(super) fn segments(&self) -> Result<Vec<Part>, ElfError> {
        let mut parts = Joined::new(self);
        for (index, address, data) in self.loads()? {
            if address != 0 {
                parts.add(format!("program header {index}"), false, address, data)?;
            }
        }
        Ok(parts.parts)
    }

    /// The program headers that load bytes.
    pub(super) fn loads(&self) -> Result<Vec<Load<'a>>, ElfError> {
        let headers = self.header.program_headers(ENDIAN, self.bytes);
        let headers = headers.map_err(|_| {
            ElfError::Sections("has program headers outside the file or of unknown shape")
        })?;
        headers
            .iter()
            .enumerate()
            .filter(|(_, header)| {
                header.p_type(ENDIAN) == elf::PT_LOAD && header.p_filesz(ENDIAN) != 0
            })
            .map(|(index, header)| {
                let data = header.data(ENDIAN, self.bytes);
                let data = data.map_err(|()| ElfError::ProgramHeader(index))?;
                Ok((index, header.p_paddr(ENDIAN), data))
            })
            .collect()
    }

    /// The bytes of the sections' names; none where they lie outside the file.
    fn names(&self, table: &SectionTable<'a, Header>) -> &'a [u8] {
        let index = self.header.section_strings_index(ENDIAN, self.bytes);
        let section = index.and_then(|index| table.section(index));
        let names = section.and_then(|section| section.data(ENDIAN, self.bytes));
        names.unwrap_or_default()
    }

    fn table(&self) -> Result<SectionTable<'a, Header>, ElfError> {
        let outside = ElfError::Sections("has a section table outside the file");
        let table = self.header.sections(ENDIAN, self.bytes);
        let table = table.map_err(|_| outside)?;
        if table.is_empty() {
            return Err(ElfError::Sections("has no sections"));
        }
        Ok(table)
    }
}

/// A section's name, as much of it as anybody reads: a name that many sections share could make much
/// out of little.
fn name_at(names: &[u8], at: u32) -> String {
    let name = names.get(at as usize..).unwrap_or_default();
    let name = &name[..name.len().min(MAX_NAME)];
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

fn outside(part: String, address: u32) -> ElfError {
    ElfError::Part {
        part,
        address,
        what: "lies outside the file",
    }
}

fn describe(data: &[u8]) -> Descriptor {
    let page_bits = data.get(DESCRIPTOR_PAGE).copied();
    Descriptor {
        exists: true,
        page_bits: page_bits.filter(|_| data.starts_with(&DESCRIPTOR_MAGIC)),
        is_short: data.len().next_multiple_of(4) < DESCRIPTOR_LENGTH,
    }
}

/// Parts in the making.
struct Joined<'a> {
    chip: Chip,
    /// Bytes of the file not yet used; parts that share bytes could make much out of little.
    left: &'a [u8],
    parts: Vec<Part>,
}

impl<'a> Joined<'a> {
    fn new(elf: &Elf<'a>) -> Self {
        Self {
            chip: elf.chip,
            left: elf.bytes,
            parts: Vec::new(),
        }
    }

    fn add(
        &mut self,
        name: String,
        is_descriptor: bool,
        address: u32,
        data: &[u8],
    ) -> Result<(), ElfError> {
        let refuse = |name, what| ElfError::Part {
            part: name,
            address,
            what,
        };
        let Some(left) = self.left.get(data.len()..) else {
            let what = "makes the loaded bytes more than the file has";
            return Err(refuse(name, what));
        };
        self.left = left;
        let length = data.len().next_multiple_of(4);
        if u64::from(address) + length as u64 > 1 << 32 {
            return Err(refuse(name, "goes beyond the address space"));
        }
        let joins = self.parts.last_mut().filter(|last| {
            last.end() == u64::from(address) && are_together(self.chip, last.address, address)
        });
        if let Some(last) = joins {
            last.data.extend_from_slice(data);
            last.data.resize(last.data.len().next_multiple_of(4), 0);
        } else if self.parts.len() == usize::from(MAX_SEGMENTS) {
            // They are joined with the one before or never, so more would only be kept to be refused.
            return Err(ElfError::TooManyParts(self.parts.len() + 1));
        } else {
            let mut data = data.to_vec();
            data.resize(length, 0);
            self.parts.push(Part {
                name,
                is_descriptor,
                address,
                data,
            });
        }
        Ok(())
    }
}
