//! NOR flash: bits fall one by one, and only an erase raises them again.
//!
//! Invariants: a byte that was never programmed since its last erase reads 0xFF; programming can
//! only clear bits; an address outside the array is refused before anything changes; sectors are
//! allocated when they are first programmed, and clones share them until one side writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// Bytes of the smallest erasable unit.
pub const SECTOR: u32 = 0x1000;
/// Bytes of the half block that opcode 0x52 erases.
pub const HALF_BLOCK: u32 = 0x8000;
/// Bytes of the block that opcode 0xD8 erases.
pub const BLOCK: u32 = 0x1_0000;
/// Bytes that one page-program command can reach.
pub const PAGE: u32 = 0x100;

/// Whether flash operations take the time that real parts take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlashTiming {
    /// Typical figures of 4-16 MB quad-SPI parts (W25Q32JV and GD25Q32C data sheets).
    Typical,
    /// Everything happens at once.
    #[default]
    Off,
}

impl FlashTiming {
    /// Nanoseconds that one page program takes.
    #[must_use]
    pub const fn page_program(self) -> u64 {
        match self {
            Self::Typical => 400_000,
            Self::Off => 0,
        }
    }

    /// Nanoseconds that erasing `unit` takes.
    #[must_use]
    pub const fn erase(self, unit: EraseUnit) -> u64 {
        match (self, unit) {
            (Self::Off, _) => 0,
            (Self::Typical, EraseUnit::Sector) => 45_000_000,
            (Self::Typical, EraseUnit::HalfBlock) => 120_000_000,
            (Self::Typical, EraseUnit::Block) => 150_000_000,
        }
    }

    /// Nanoseconds that erasing the whole array of `size` bytes takes.
    #[must_use]
    pub const fn chip_erase(self, size: u32) -> u64 {
        match self {
            Self::Typical => (size / BLOCK) as u64 * 150_000_000,
            Self::Off => 0,
        }
    }

    /// Nanoseconds that reading `bytes` takes (40 MHz, two data lines: 10 MB/s).
    #[must_use]
    pub const fn read(self, bytes: u32) -> u64 {
        match self {
            Self::Typical => bytes as u64 * 100,
            Self::Off => 0,
        }
    }
}

/// What one erase command clears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EraseUnit {
    /// 4 KiB, opcode 0x20.
    Sector,
    /// 32 KiB, opcode 0x52.
    HalfBlock,
    /// 64 KiB, opcode 0xD8.
    Block,
}

impl EraseUnit {
    /// Bytes that the unit covers.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Sector => SECTOR,
            Self::HalfBlock => HALF_BLOCK,
            Self::Block => BLOCK,
        }
    }
}

/// Why the flash refused an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NorError {
    /// The range does not lie inside the array.
    #[error("`{length}` bytes at `{address:#x}` do not fit a flash of `{size:#x}` bytes")]
    OutOfRange {
        /// First byte asked for.
        address: u32,
        /// Bytes asked for.
        length: u32,
        /// Bytes that the array has.
        size: u32,
    },
}

impl NorError {
    /// A stable name of the error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange { .. } => "flash-out-of-range",
        }
    }
}

type Sector = [u8; SECTOR as usize];

/// The memory array of one flash chip.
#[derive(Clone, Debug)]
pub struct NorFlash {
    size: u32,
    sectors: Vec<Option<Arc<Sector>>>,
    stuck: BTreeSet<u32>,
}

impl NorFlash {
    /// An erased array of `size` bytes, rounded down to whole sectors.
    #[must_use]
    pub fn new(size: u32) -> Self {
        let count = size / SECTOR;
        Self {
            size: count * SECTOR,
            sectors: vec![None; count as usize],
            stuck: BTreeSet::new(),
        }
    }

    /// Bytes of the array.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Makes a sector keep its content whatever is erased or programmed.
    pub fn stick(&mut self, sector: u32) {
        self.stuck.insert(sector);
    }

    /// Copies what stands at `address` into `out`.
    ///
    /// # Errors
    /// The range leaves the array; `out` is unchanged then.
    pub fn read(&self, address: u32, out: &mut [u8]) -> Result<(), NorError> {
        let length = u32::try_from(out.len()).unwrap_or(u32::MAX);
        self.check(address, length)?;
        let mut at = address;
        let mut rest = out;
        while !rest.is_empty() {
            let (piece, start) = self.piece(at, rest.len());
            let (head, tail) = rest.split_at_mut(piece);
            match self.sector(at) {
                Some(bytes) => head.copy_from_slice(&bytes[start..start + piece]),
                None => head.fill(0xFF),
            }
            rest = tail;
            at += piece as u32;
        }
        Ok(())
    }

    /// The bytes at `address` as a vector; empty when the range leaves the array.
    #[must_use]
    pub fn bytes(&self, address: u32, length: u32) -> Vec<u8> {
        if self.check(address, length).is_err() {
            return Vec::new();
        }
        let mut out = vec![0; length as usize];
        match self.read(address, &mut out) {
            Ok(()) => out,
            Err(_) => Vec::new(),
        }
    }

    /// Feeds the bytes of a range into a digest without copying them.
    ///
    /// # Errors
    /// The range leaves the array.
    pub fn digest(&self, address: u32, length: u32, md5: &mut Md5) -> Result<(), NorError> {
        static BLANK: Sector = [0xFF; SECTOR as usize];
        self.check(address, length)?;
        let mut at = address;
        let mut left = length as usize;
        while left > 0 {
            let (piece, start) = self.piece(at, left);
            let bytes = self.sector(at).unwrap_or(&BLANK);
            md5.update(&bytes[start..start + piece]);
            left -= piece;
            at += piece as u32;
        }
        Ok(())
    }

    /// Programs `data` at `address`: every zero bit clears, every one bit stays as it was.
    ///
    /// # Errors
    /// The range leaves the array; nothing is programmed then.
    pub fn program(&mut self, address: u32, data: &[u8]) -> Result<(), NorError> {
        self.check(address, u32::try_from(data.len()).unwrap_or(u32::MAX))?;
        let mut at = address;
        let mut rest = data;
        while !rest.is_empty() {
            let (piece, start) = self.piece(at, rest.len());
            let (head, tail) = rest.split_at(piece);
            self.clear_bits(at / SECTOR, start, head);
            rest = tail;
            at += piece as u32;
        }
        Ok(())
    }

    fn clear_bits(&mut self, index: u32, start: usize, data: &[u8]) {
        if self.stuck.contains(&index) || data.iter().all(|byte| *byte == 0xFF) {
            return;
        }
        if let Some(slot) = self.sectors.get_mut(index as usize) {
            let sector = slot.get_or_insert_with(|| Arc::new([0xFF; SECTOR as usize]));
            let bytes = &mut Arc::make_mut(sector)[start..start + data.len()];
            for (old, new) in bytes.iter_mut().zip(data) {
                *old &= new;
            }
        }
    }

    /// Erases every sector that the unit starting at `address` covers.
    ///
    /// # Errors
    /// The unit leaves the array; nothing is erased then.
    pub fn erase(&mut self, address: u32, unit: EraseUnit) -> Result<(), NorError> {
        let start = address & !(unit.bytes() - 1);
        self.check(start, unit.bytes())?;
        let first = start / SECTOR;
        for index in first..first + unit.bytes() / SECTOR {
            self.erase_sector(index);
        }
        Ok(())
    }

    /// Erases the whole array.
    pub fn erase_chip(&mut self) {
        for index in 0..self.size / SECTOR {
            self.erase_sector(index);
        }
    }

    fn erase_sector(&mut self, index: u32) {
        if self.stuck.contains(&index) {
            return;
        }
        if let Some(slot) = self.sectors.get_mut(index as usize) {
            *slot = None;
        }
    }

    /// An erase that lost its supply: `noise` says which bits had not risen yet.
    pub fn erase_partly(&mut self, address: u32, unit: EraseUnit, mut noise: impl FnMut() -> u8) {
        let start = address & !(unit.bytes() - 1);
        if self.check(start, unit.bytes()).is_err() {
            return;
        }
        let first = start / SECTOR;
        for index in first..first + unit.bytes() / SECTOR {
            if self.stuck.contains(&index) {
                continue;
            }
            if let Some(Some(sector)) = self.sectors.get_mut(index as usize) {
                for byte in Arc::make_mut(sector).iter_mut() {
                    *byte |= noise();
                }
            }
        }
    }

    /// Whether every byte of the unit that starts at `address` reads 0xFF.
    #[must_use]
    pub fn is_blank(&self, address: u32, unit: EraseUnit) -> bool {
        let first = (address & !(unit.bytes() - 1)) / SECTOR;
        (first..first + unit.bytes() / SECTOR).all(|index| {
            self.sectors
                .get(index as usize)
                .and_then(Option::as_deref)
                .is_none_or(|sector| sector.iter().all(|byte| *byte == 0xFF))
        })
    }

    /// Writes `data` as a gang programmer would: erased where it stood, whatever is stuck.
    ///
    /// # Errors
    /// The range leaves the array; nothing changes then.
    pub fn load(&mut self, address: u32, data: &[u8]) -> Result<(), NorError> {
        self.check(address, u32::try_from(data.len()).unwrap_or(u32::MAX))?;
        let mut at = address;
        let mut rest = data;
        while !rest.is_empty() {
            let (piece, start) = self.piece(at, rest.len());
            let (head, tail) = rest.split_at(piece);
            let blank = head.iter().all(|byte| *byte == 0xFF);
            if let Some(slot) = self.sectors.get_mut((at / SECTOR) as usize)
                && !(blank && slot.is_none())
            {
                let sector = slot.get_or_insert_with(|| Arc::new([0xFF; SECTOR as usize]));
                Arc::make_mut(sector)[start..start + piece].copy_from_slice(head);
            }
            rest = tail;
            at += piece as u32;
        }
        Ok(())
    }

    /// The sectors that hold anything, with their numbers.
    pub fn written(&self) -> impl Iterator<Item = (u32, &[u8; SECTOR as usize])> {
        (0u32..)
            .zip(&self.sectors)
            .filter_map(|(index, slot)| Some((index, slot.as_deref()?)))
    }

    fn sector(&self, address: u32) -> Option<&Sector> {
        self.sectors.get((address / SECTOR) as usize)?.as_deref()
    }

    /// How many of `left` bytes at `address` lie in its sector, and where they start there.
    fn piece(&self, address: u32, left: usize) -> (usize, usize) {
        let start = (address % SECTOR) as usize;
        (left.min(SECTOR as usize - start), start)
    }

    fn check(&self, address: u32, length: u32) -> Result<(), NorError> {
        match address.checked_add(length) {
            Some(end) if end <= self.size => Ok(()),
            Some(_) | None => Err(NorError::OutOfRange {
                address,
                length,
                size: self.size,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programming_only_clears_bits() {
        let mut flash = NorFlash::new(0x10000);
        flash.program(0x10, &[0xF0]).unwrap();
        flash.program(0x10, &[0x3C]).unwrap();
        assert_eq!(flash.bytes(0x10, 1), [0x30]);
    }

    #[test]
    fn erase_raises_a_whole_sector_and_no_other() {
        let mut flash = NorFlash::new(0x10000);
        flash.program(0xFFF, &[0, 0]).unwrap();
        flash.erase(0x123, EraseUnit::Sector).unwrap();
        assert_eq!(flash.bytes(0xFFF, 2), [0xFF, 0]);
    }

    #[test]
    fn a_stuck_sector_keeps_its_content() {
        let mut flash = NorFlash::new(0x10000);
        flash.program(0x1000, &[1]).unwrap();
        flash.stick(1);
        flash.erase(0, EraseUnit::Block).unwrap();
        flash.program(0x1000, &[0]).unwrap();
        assert_eq!(flash.bytes(0x1000, 1), [1]);
    }

    #[test]
    fn a_range_past_the_end_is_refused_whole() {
        let mut flash = NorFlash::new(0x2000);
        assert!(flash.program(0x1FFF, &[0, 0]).is_err());
        assert!(flash.read(u32::MAX, &mut [0]).is_err());
        assert_eq!(flash.bytes(0x1FFF, 1), [0xFF]);
    }

    #[test]
    fn clones_share_sectors_until_one_writes() {
        let mut first = NorFlash::new(0x2000);
        first.program(0, &[0x55]).unwrap();
        let second = first.clone();
        first.program(0, &[0x11]).unwrap();
        assert_eq!(second.bytes(0, 1), [0x55]);
        assert_eq!(first.bytes(0, 1), [0x11]);
    }

    #[test]
    fn the_digest_of_a_blank_range_is_the_digest_of_ones() {
        let mut flash = NorFlash::new(0x4000);
        flash.program(0x1FFE, &[7, 8, 9]).unwrap();
        let mut md5 = Md5::new();
        flash.digest(0x1001, 0x2000, &mut md5).unwrap();
        assert_eq!(md5.finalize(), Md5::digest(flash.bytes(0x1001, 0x2000)));
    }
}
