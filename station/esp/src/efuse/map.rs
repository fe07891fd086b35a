//! What the fuses of one chip are called, where they lie, what guards them, and which registers
//! burn them.
//!
//! Invariants: names are unique within a map, aliases included; every part of a field lies inside
//! its block; a table holds for a range of chip revisions, and [`fuse_map`] always finds exactly
//! one.
//!
//! Facts are those of ESP-IDF at commit 1021229 (Apache-2.0): fields and their WR_DIS and RD_DIS
//! bits from `components/efuse/*/esp_efuse_table.csv`, registers from `efuse_reg.h`, timing from
//! `efuse_hal.c`, purposes from `esp_efuse_chip.h`. Names are the ones espefuse prints, because
//! those are in engineers' scripts; ESP-IDF's are aliases. Where ESP-IDF lacks a fact that espefuse
//! 5.6 shows, the table says so; a test compares every field and every protection with espefuse.

mod layout;
mod table;

mod esp32;
mod esp32c2;
mod esp32c3;
mod esp32c5;
mod esp32c6;
mod esp32c61;
mod esp32h2;
mod esp32h4;
mod esp32p4;
mod esp32s2;
mod esp32s3;
mod esp32s31;

#[cfg(test)]
mod tests;

use crate::chip::{Chip, Revision};

use super::field::Part;

/// The fuses of `chip` at `revision`.
#[must_use]
pub fn fuse_map(chip: Chip, revision: Revision) -> &'static FuseMap {
    let (first, later) = fuse_maps(chip);
    later
        .iter()
        .rev()
        .find(|map| map.from <= revision)
        .unwrap_or(first)
}

/// The map of the chip's first revisions, and those of later ones, oldest first.
fn fuse_maps(chip: Chip) -> (&'static FuseMap, &'static [FuseMap]) {
    match chip {
        Chip::Esp32 => (&esp32::MAP, &[]),
        Chip::Esp32S2 => (&esp32s2::MAP, &[]),
        Chip::Esp32S3 => (&esp32s3::MAP, &[]),
        Chip::Esp32C2 => (&esp32c2::MAP, &[]),
        Chip::Esp32C3 => (&esp32c3::MAP, &[]),
        Chip::Esp32C5 => (&esp32c5::MAP, &[]),
        Chip::Esp32C6 => (&esp32c6::MAP, &[]),
        Chip::Esp32C61 => (&esp32c61::MAP, &[]),
        Chip::Esp32H2 => (&esp32h2::MAP, &esp32h2::LATER),
        Chip::Esp32H4 => (&esp32h4::MAP, &[]),
        Chip::Esp32P4 => (&esp32p4::MAP, &esp32p4::LATER),
        Chip::Esp32S31 => (&esp32s31::MAP, &[]),
    }
}

/// Every map of the chip, oldest first.
pub fn all_fuse_maps(chip: Chip) -> impl Iterator<Item = &'static FuseMap> {
    let (first, later) = fuse_maps(chip);
    std::iter::once(first).chain(later)
}

/// The fuses of one chip within a range of revisions.
#[derive(Debug)]
pub struct FuseMap {
    /// The chip.
    pub chip: Chip,
    /// First revision it holds for; the next map of the same chip begins where it ends.
    pub from: Revision,
    /// Every block, in order of its number; number and index are the same.
    pub blocks: &'static [FuseBlock],
    /// Every named field, whole key and data blocks among them.
    pub fields: &'static [FuseField],
    /// What a key slot can be for, with the code that says so. Empty on the ESP32, whose slots are
    /// fixed, and on the ESP32-C2, whose key block has no purpose field.
    pub purposes: &'static [KeyPurpose],
    /// The registers.
    pub controller: &'static Controller,
}

impl FuseMap {
    /// The field with this name or alias, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static FuseField> {
        self.fields
            .iter()
            .find(|field| named(field.name, field.aliases, name))
    }

    /// The block with this number.
    #[must_use]
    pub fn block(&self, number: u8) -> Option<&'static FuseBlock> {
        self.blocks.get(usize::from(number))
    }

    /// The block with this name or alias, in any case.
    #[must_use]
    pub fn block_named(&self, name: &str) -> Option<&'static FuseBlock> {
        self.blocks
            .iter()
            .find(|block| named(block.name, block.aliases, name))
    }

    /// The blocks meant for keys, lowest first.
    pub fn key_slots(&self) -> impl Iterator<Item = &'static FuseBlock> + use<> {
        self.blocks.iter().filter(|block| block.key_slot)
    }

    /// The purpose with this name or alias, in any case.
    #[must_use]
    pub fn purpose(&self, name: &str) -> Option<&'static KeyPurpose> {
        self.purposes
            .iter()
            .find(|purpose| named(purpose.name, purpose.aliases, name))
    }

    /// The purpose with this code.
    #[must_use]
    pub fn purpose_code(&self, code: u8) -> Option<&'static KeyPurpose> {
        self.purposes.iter().find(|purpose| purpose.code == code)
    }

    /// The fields that this WR_DIS bit closes, in the order of the table.
    pub fn closed_by(&self, bit: u8) -> impl Iterator<Item = &'static FuseField> + use<> {
        self.fields
            .iter()
            .filter(move |field| field.write_disable == Some(bit))
    }

    /// How many words go into the program registers for a pulse on this block, zeros included. On
    /// the ESP32-S31 the ninth word of block 0 goes into the first check register.
    #[must_use]
    pub fn program_words(&self, block: &FuseBlock) -> u8 {
        match self.controller.generation {
            Generation::First => block.words,
            Generation::ReedSolomon => block.words.max(self.controller.program_words),
        }
    }
}

fn named(name: &str, aliases: &[&str], wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted)
        || aliases
            .iter()
            .any(|alias| alias.eq_ignore_ascii_case(wanted))
}

/// One block of fuses.
#[derive(Debug)]
pub struct FuseBlock {
    /// Its number, as the program command counts.
    pub number: u8,
    /// `BLOCK_KEY0`.
    pub name: &'static str,
    /// Other names in use: `BLOCK4`.
    pub aliases: &'static [&'static str],
    /// Address of its first read register.
    pub read: u32,
    /// Number of its read registers.
    pub words: u8,
    /// Address of the first register its data is programmed through: its own on the ESP32, the
    /// common one elsewhere.
    pub write: u32,
    /// How its bits are protected against errors.
    pub coding: Coding,
    /// The WR_DIS bit that closes the whole block.
    pub write_disable: Option<u8>,
    /// The RD_DIS bits that hide it.
    pub read_disable: ReadDisable,
    /// The field that says what the key in it is for, when it is a key slot with such a field.
    pub purpose: Option<&'static str>,
    /// Whether it is meant to hold a key.
    pub key_slot: bool,
}

impl FuseBlock {
    /// The address of word `word`, if the block has it.
    #[must_use]
    pub fn word_address(&self, word: u8) -> Option<u32> {
        (word < self.words).then(|| self.read + u32::from(word) * 4)
    }

    /// The word of this block whose read register is at `address`, if there is one.
    #[must_use]
    pub fn word_at(&self, address: u32) -> Option<u8> {
        let offset = address.checked_sub(self.read)?;
        let word = u8::try_from(offset / 4).ok()?;
        (offset % 4 == 0 && word < self.words).then_some(word)
    }
}

/// How a block's bits are protected against errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Not at all, or by the hardware alone (block 0): bits can be added at any time.
    Plain,
    /// Reed-Solomon (44,32): the block can be burned once.
    ReedSolomon,
    /// ESP32: as the CODING_SCHEME field says, none or 3/4.
    ByScheme,
}

/// The RD_DIS bits that hide a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadDisable {
    /// It cannot be hidden.
    Never,
    /// One bit hides it whole.
    Whole(u8),
    /// One bit for the low half of its words, one for the high half (ESP32-C2).
    Halves(u8, u8),
}

impl ReadDisable {
    /// The RD_DIS bits, none to two; all of them set hide all of it.
    pub fn bits(self) -> impl Iterator<Item = u8> {
        let (first, second) = match self {
            Self::Never => (None, None),
            Self::Whole(bit) => (Some(bit), None),
            Self::Halves(low, high) => (Some(low), Some(high)),
        };
        first.into_iter().chain(second)
    }
}

/// A named field.
#[derive(Debug, Clone, Copy)]
pub struct FuseField {
    /// `DIS_USB_JTAG`.
    pub name: &'static str,
    /// Other names in use.
    pub aliases: &'static [&'static str],
    /// Where its bits are, lowest part first.
    pub parts: &'static [Part],
    /// The WR_DIS bit that closes it; fields of one bit form a group.
    pub write_disable: Option<u8>,
    /// The RD_DIS bits that hide it.
    pub read_disable: ReadDisable,
    /// How its value is read.
    pub kind: FieldKind,
}

impl FuseField {
    /// Number of bits.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.parts.iter().map(|part| u32::from(part.width)).sum()
    }

    /// The block of its first part; the tables have no field without one.
    #[must_use]
    pub fn block(&self) -> u8 {
        self.parts.first().map_or(0, |part| part.block)
    }
}

/// How a field's value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// One bit, or a number.
    Number,
    /// The number of set bits counts, not the value they make (SPI_BOOT_CRYPT_CNT).
    Count,
    /// A code of the map's purposes.
    Purpose,
    /// Bytes, lowest address first.
    Bytes,
    /// The factory's MAC address: its last byte at the lowest address.
    Mac,
    /// A MAC address of one's own: its first byte at the lowest address.
    CustomMac,
}

/// What a key slot can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPurpose {
    /// `XTS_AES_128_KEY`.
    pub name: &'static str,
    /// Other names in use.
    pub aliases: &'static [&'static str],
    /// The code in the purpose field.
    pub code: u8,
    /// Whether the slot must be hidden from software for the key to be a secret.
    pub hidden: bool,
    /// Whether the key's bytes go into the fuses in reverse order.
    pub reversed: bool,
    /// Numbers of the blocks whose slot cannot hold it, by a fault of the hardware.
    pub unfit: &'static [u8],
}

/// The registers that burn fuses.
#[derive(Debug)]
pub struct Controller {
    /// Which of the two kinds it is.
    pub generation: Generation,
    /// First address.
    pub base: u32,
    /// Bytes of address space.
    pub window: u32,
    /// Enables programming or reading: takes [`Controller::PROGRAM_KEY`] or [`Controller::READ_KEY`].
    pub conf: u32,
    /// Starts a command, and reads 0 in its low bits when it is over.
    pub command: u32,
    /// First of the registers that take the data to program (`PGM_DATA0`); on the ESP32 every block
    /// has its own, see [`FuseBlock::write`].
    pub program: u32,
    /// How many of them there are; see [`FuseMap::program_words`] for a block's share.
    pub program_words: u8,
    /// First of the three registers that take the check words; 0 on the ESP32.
    pub check: u32,
    /// What to set before programming, by crystal.
    pub timing: &'static [Timing],
    /// Where errors are reported.
    pub errors: ErrorRegisters,
}

impl Controller {
    /// Written to `conf` before programming.
    pub const PROGRAM_KEY: u32 = 0x5A5A;
    /// Written to `conf` before reading the fuses into the read registers.
    pub const READ_KEY: u32 = 0x5AA5;
    /// Command that reads the fuses into the read registers.
    pub const READ: u32 = 1;
    /// Command that programs; on all chips but the ESP32 the block's number stands from bit 2 on.
    pub const PROGRAM: u32 = 2;
    /// The bits of the command with the block's number, on all chips but the ESP32 (`EFUSE_BLK_NUM` of
    /// ESP-IDF's `efuse_reg.h`); they keep what was written.
    pub const BLOCK_NUMBER: u32 = 0xF << 2;

    /// What is to be set for a crystal of `mhz`; `None` when the chip cannot be programmed with it.
    #[must_use]
    pub fn timing(&self, mhz: u8) -> Option<&'static [RegisterBits]> {
        let fits = |timing: &&Timing| timing.crystal_mhz.is_none_or(|own| own == mhz);
        Some(self.timing.iter().find(fits)?.set)
    }
}

/// The two kinds of controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// ESP32: one command burns what stands in the data registers of all blocks.
    First,
    /// The later chips: one command burns one block, with check words.
    ReedSolomon,
}

/// What to set before programming.
#[derive(Debug)]
pub struct Timing {
    /// With this crystal; `None` is any.
    pub crystal_mhz: Option<u8>,
    /// Read, change these bits, write; in order.
    pub set: &'static [RegisterBits],
}

/// Some bits of a register and the value they get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterBits {
    /// Its address.
    pub address: u32,
    /// The bits that change.
    pub mask: u32,
    /// Their value, in place.
    pub value: u32,
}

/// Where errors of the coding are reported.
#[derive(Debug)]
pub enum ErrorRegisters {
    /// ESP32: one status register; any bit of the mask is an error of a 3/4 coded block.
    Decoder {
        /// Its address.
        address: u32,
        /// The bits that count.
        mask: u32,
    },
    /// The later chips.
    PerBlock {
        /// Registers that mark wrong bits of block 0; any set bit is an error.
        repeat: &'static [u32],
        /// Where each coded block reports.
        blocks: &'static [BlockErrors],
    },
}

/// Where one coded block reports its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockErrors {
    /// The block.
    pub block: u8,
    /// The register with the number of corrected bytes.
    pub address: u32,
    /// The lowest of the three bits of that number.
    pub count_bit: u8,
    /// Where it says that the block cannot be corrected. On the ESP32-C3 that is not always the
    /// same register, and block 10 has no such bit.
    pub fail_bit: Option<FailBit>,
}

impl BlockErrors {
    /// Bits that the number of corrected bytes has.
    pub const COUNT_MASK: u32 = 7;
}

/// The bit that says a block cannot be corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailBit {
    /// The register.
    pub address: u32,
    /// The bit.
    pub bit: u8,
}
