//! UF2, the format that USB bootloaders and bridges take as a file on a drive.
//!
//! Invariants: what is read is returned as runs of bytes, so blocks far apart cost no more than the
//! file; every block is checked (magics, sizes, numbers, family, MD5 of its own bytes), errors name
//! it from 0. What is written is what `esptool merge-bin --format uf2` 5.6 writes: each part numbered
//! by itself, the MD5 right behind the bytes. Source: the UF2 specification of Microsoft's `uf2`.

use md5::{Digest, Md5};

use crate::chip::Chip;
use crate::image::{MergeError, Part, Record, joined, ordered};

#[cfg(test)]
mod tests;

/// Bytes of a block.
pub const BLOCK: usize = 512;
/// Room for data in a block, between its head and its last word.
const ROOM: usize = 476;
/// Where the data begin.
const HEAD: usize = 32;
/// Address, length and MD5 behind the data.
const MD5_TAG: usize = 24;
const MAGIC_0: u32 = 0x0A32_4655;
const MAGIC_1: u32 = 0x9E5D_5157;
const MAGIC_END: u32 = 0x0AB1_6F30;
const NOT_MAIN_FLASH: u32 = 0x0001;
const CONTAINER: u32 = 0x1000;
const FAMILY: u32 = 0x2000;
const MD5: u32 = 0x4000;

/// How a UF2 file is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The chip whose family the blocks name.
    pub chip: Chip,
    /// Bytes of data in a block, a multiple of 4; `None` for as many as fit.
    pub chunk: Option<u32>,
    /// Whether blocks carry an MD5.
    pub md5: bool,
}

/// A file read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uf2 {
    /// The family that all blocks name, if they name one.
    pub family: Option<u32>,
    /// The chip of that family, if it is one of ours.
    pub chip: Option<Chip>,
    /// What goes into main flash, ascending.
    pub parts: Vec<Part>,
    /// Blocks that are for something else than main flash.
    pub skipped: usize,
    /// Blocks whose MD5 covers more than their own bytes and was not checked.
    pub unchecked: usize,
}

/// A file that is no UF2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uf2Error {
    /// A length that is no whole number of blocks.
    #[error("file of {0} bytes is not whole blocks of 512 bytes")]
    Length(usize),
    /// A wrong magic.
    #[error("block {block}: magic is wrong at byte {at}")]
    Magic {
        /// The block, from 0.
        block: usize,
        /// Where in the block.
        at: usize,
    },
    /// More data than a block holds.
    #[error("block {block}: {length} bytes of data do not fit")]
    Payload {
        /// The block, from 0.
        block: usize,
        /// Bytes announced.
        length: u32,
    },
    /// A number that is not the next: a block is missing or out of order.
    #[error("block {block}: is numbered {number} of {total} where {expected} should follow")]
    Number {
        /// The block, from 0.
        block: usize,
        /// What it says.
        number: u32,
        /// How many it says there are.
        total: u32,
        /// The number expected.
        expected: u32,
    },
    /// The file ends in the middle.
    #[error("file ends after {found} of {total} blocks")]
    Unfinished {
        /// Blocks of the last part.
        found: u32,
        /// Blocks it should have.
        total: u32,
    },
    /// Two families in one file.
    #[error("block {block}: is for family {family:#010x}, blocks before it are not")]
    Family {
        /// The block, from 0.
        block: usize,
        /// Its family.
        family: u32,
    },
    /// Files for a drive instead of flash.
    #[error("block {0}: holds part of a file, not of flash")]
    Container(usize),
    /// An MD5 that does not hold.
    #[error("block {0}: MD5 does not match")]
    Md5(usize),
    /// A block that ends behind 4 GiB.
    #[error("block {0}: ends beyond 4 GiB")]
    BeyondAddresses(usize),
    /// Two blocks claim a byte.
    #[error("two blocks hold the byte at {address:#x}")]
    Overlap {
        /// The address.
        address: u32,
    },
}

impl Uf2Error {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length(_) => "uf2-length",
            Self::Magic { .. } => "uf2-magic",
            Self::Payload { .. } => "uf2-payload",
            Self::Number { .. } => "uf2-number",
            Self::Unfinished { .. } => "uf2-unfinished",
            Self::Family { .. } => "uf2-family",
            Self::Container(_) => "uf2-container",
            Self::Md5(_) => "uf2-md5",
            Self::BeyondAddresses(_) => "uf2-beyond-addresses",
            Self::Overlap { .. } => "uf2-overlap",
        }
    }
}

/// Whether the bytes begin like UF2.
#[must_use]
pub fn is_uf2(bytes: &[u8]) -> bool {
    bytes.len() >= BLOCK && word(bytes, 0) == MAGIC_0 && word(bytes, 4) == MAGIC_1
}

/// The family of a chip (the list of Microsoft's `uf2`; `esptool merge-bin` writes the same).
#[must_use]
pub fn family(chip: Chip) -> u32 {
    match chip {
        Chip::Esp32 => 0x1C5F_21B0,
        Chip::Esp32S2 => 0xBFDD_4EEE,
        Chip::Esp32S3 => 0xC47E_5767,
        Chip::Esp32C2 => 0x2B88_D29C,
        Chip::Esp32C3 => 0xD42B_A06C,
        Chip::Esp32C5 => 0xF71C_0343,
        Chip::Esp32C6 => 0x540D_DF62,
        Chip::Esp32C61 => 0x77D8_50C4,
        Chip::Esp32H2 => 0x3327_26F6,
        Chip::Esp32H4 => 0x9E0B_AA8A,
        Chip::Esp32P4 => 0x3D30_8E94,
        Chip::Esp32S31 => 0x3101_F7C1,
    }
}

/// Writes the parts.
///
/// # Errors
/// When parts overlap, end beyond 4 GiB, or the chunk does not fit a block.
pub fn encode(parts: &[Part], options: Options) -> Result<Vec<u8>, MergeError> {
    let room = if options.md5 { ROOM - MD5_TAG } else { ROOM };
    let chunk = options.chunk.map_or(room, |chunk| chunk as usize);
    if chunk == 0 || chunk > room || !chunk.is_multiple_of(4) {
        return Err(MergeError::Chunk {
            chunk: options.chunk.unwrap_or(0),
            largest: if options.md5 { 452 } else { 476 },
        });
    }
    let parts = ordered(parts)?;
    let mut out = Vec::new();
    let flags = FAMILY | if options.md5 { MD5 } else { 0 };
    for part in parts {
        // Nothing overflows: a part ends within 4 GiB.
        let total = part.bytes.len().div_ceil(chunk) as u32;
        for (number, data) in (0u32..).zip(part.bytes.chunks(chunk)) {
            let start = out.len();
            let length = data.len() as u32;
            let address = part.address + number * chunk as u32;
            let family = family(options.chip);
            for word in [
                MAGIC_0, MAGIC_1, flags, address, length, number, total, family,
            ] {
                out.extend_from_slice(&word.to_le_bytes());
            }
            out.extend_from_slice(data);
            if options.md5 {
                out.extend_from_slice(&address.to_le_bytes());
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(&Md5::digest(data));
            }
            out.resize(start + BLOCK - 4, 0);
            out.extend_from_slice(&MAGIC_END.to_le_bytes());
        }
    }
    Ok(out)
}

/// Reads a file.
///
/// # Errors
/// At the first block that is wrong, when blocks are missing, or when blocks overlap.
pub fn parse(bytes: &[u8]) -> Result<Uf2, Uf2Error> {
    if !bytes.len().is_multiple_of(BLOCK) {
        return Err(Uf2Error::Length(bytes.len()));
    }
    let (mut records, mut family, mut skipped, mut unchecked) = (Vec::new(), None, 0, 0);
    // Number and total that the next block has, in the middle of a part.
    let mut open: Option<(u32, u32)> = None;
    for (number, block) in bytes.chunks_exact(BLOCK).enumerate() {
        let head = Head::parse(number, block)?;
        open = head.follow(number, open)?;
        if head.flags & NOT_MAIN_FLASH != 0 {
            skipped += 1;
            continue;
        }
        if head.flags & CONTAINER != 0 {
            return Err(Uf2Error::Container(number));
        }
        let named = (head.flags & FAMILY != 0).then_some(head.family);
        if !records.is_empty() && family != named {
            return Err(Uf2Error::Family {
                block: number,
                family: named.unwrap_or(0),
            });
        }
        family = named;
        let length = head.length as usize;
        if u64::from(head.address) + u64::from(head.length) > 1 << 32 {
            return Err(Uf2Error::BeyondAddresses(number));
        }
        if head.flags & MD5 != 0 && !head.check_md5(number, block)? {
            unchecked += 1;
        }
        records.push(Record {
            address: head.address,
            start: number * BLOCK + HEAD,
            length,
        });
    }
    if let Some((found, total)) = open {
        return Err(Uf2Error::Unfinished { found, total });
    }
    let parts = joined(records, bytes).map_err(|address| Uf2Error::Overlap { address })?;
    let chip = family.and_then(|code| {
        Chip::ALL
            .into_iter()
            .find(|chip| self::family(*chip) == code)
    });
    Ok(Uf2 {
        family,
        chip,
        parts,
        skipped,
        unchecked,
    })
}

/// The head of a block.
struct Head {
    flags: u32,
    address: u32,
    length: u32,
    number: u32,
    total: u32,
    family: u32,
}

impl Head {
    fn parse(block: usize, bytes: &[u8]) -> Result<Self, Uf2Error> {
        for (at, magic) in [(0, MAGIC_0), (4, MAGIC_1), (BLOCK - 4, MAGIC_END)] {
            if word(bytes, at) != magic {
                return Err(Uf2Error::Magic { block, at });
            }
        }
        let head = Self {
            flags: word(bytes, 8),
            address: word(bytes, 12),
            length: word(bytes, 16),
            number: word(bytes, 20),
            total: word(bytes, 24),
            family: word(bytes, 28),
        };
        if head.length as usize > ROOM {
            let length = head.length;
            return Err(Uf2Error::Payload { block, length });
        }
        Ok(head)
    }

    /// Checks the number against what is open, and returns what is open then.
    fn follow(
        &self,
        block: usize,
        open: Option<(u32, u32)>,
    ) -> Result<Option<(u32, u32)>, Uf2Error> {
        let (expected, total) = open.unwrap_or((0, self.total));
        if self.number != expected || self.total != total || self.number >= total {
            return Err(Uf2Error::Number {
                block,
                number: self.number,
                total: self.total,
                expected,
            });
        }
        let next = self.number + 1;
        Ok((next < total).then_some((next, total)))
    }

    /// Whether the MD5 was for this block's bytes, and so was checked. It lies right behind the
    /// bytes, as esptool has it, or at the end of the data, as the specification says.
    fn check_md5(&self, block: usize, bytes: &[u8]) -> Result<bool, Uf2Error> {
        let length = self.length as usize;
        for at in [HEAD + length, HEAD + ROOM - MD5_TAG] {
            let Some(tag) = bytes.get(at..at + MD5_TAG) else {
                continue;
            };
            if at + MD5_TAG > HEAD + ROOM
                || word(tag, 0) != self.address
                || word(tag, 4) != self.length
            {
                continue;
            }
            let actual = Md5::digest(&bytes[HEAD..HEAD + length]);
            return if actual[..] == tag[8..] {
                Ok(true)
            } else {
                Err(Uf2Error::Md5(block))
            };
        }
        Ok(false)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
