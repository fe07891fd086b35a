//! The complete, checked list of what will be burned into one chip.
//!
//! Invariants: a [`BurnPlan`] exists only for one chip (kind, revision, coding scheme, MAC) in one
//! state (every readable fuse); only [`BurnPlan::make`] makes one, and it refuses rather than
//! leaves something out; nothing else can be burned. Rendering a plan shows no key.

mod bits;
mod blocks;
mod danger;
mod draft;
mod first_boot;
mod guards;
mod keys;
mod make;
mod model;
mod pieces;
mod pulses;
mod record;
mod refusal;
mod rules;
mod special;
#[cfg(test)]
pub(super) mod tests;
mod token;
mod view;

use std::fmt;

pub(super) use bits::Bits;
pub use danger::{Danger, ParseDangerError};
pub(super) use guards::{RD_DIS, WR_DIS, guard_set, hidden_words};
pub use model::FuseModel;
pub use pieces::halves;
pub use record::PulseRecord;
pub use refusal::{Refusal, Refusals};
pub(super) use rules::{CRYPT_COUNT, DIGESTS};
use serde::Serialize;
pub use token::{ParseTokenError, Token};
pub use view::{PlanView, PulseView};

use crate::chip::{Chip, MacAddress, Revision};
use crate::secret::Secret;

use super::image::EfuseImage;
use super::map::{FuseMap, fuse_map};

/// Everything the controller of one chip says before anything is burned.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Which chip.
    pub chip: Chip,
    /// Its silicon.
    pub revision: Revision,
    /// Its factory MAC.
    pub mac: MacAddress,
    /// Its crystal in MHz.
    pub crystal_mhz: u8,
    /// Every readable word.
    pub fuses: EfuseImage,
    /// Errors the coding reports, by block.
    pub errors: Vec<CodingError>,
}

impl Snapshot {
    /// The map of this chip.
    #[must_use]
    pub fn map(&self) -> &'static FuseMap {
        fuse_map(self.chip, self.revision)
    }

    /// Whether any word of a block is hidden from software.
    #[must_use]
    pub fn is_hidden(&self, block: u8) -> bool {
        let map = self.map();
        let bits = Bits::of(map, &self.fuses);
        let block = map.block(block);
        block.is_some_and(|block| hidden_words(map, &bits, block).contains(&true))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks = self.map().blocks.iter();
        let tokens: Vec<String> = blocks
            .map(|block| self.token(block.number).to_string())
            .collect();
        f.debug_struct("Snapshot")
            .field("chip", &self.chip)
            .field("revision", &self.revision)
            .field("mac", &self.mac)
            .field("crystal_mhz", &self.crystal_mhz)
            .field("fuses", &tokens)
            .field("errors", &self.errors)
            .finish()
    }
}

/// What the coding of one block reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodingError {
    /// The block.
    pub block: u8,
    /// Corrected bytes, or wrong bits of block 0.
    pub count: u32,
    /// Whether the block cannot be corrected.
    pub failed: bool,
}

/// What somebody wants a chip's fuses to be. Names are those of the chip's map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Fields and their values.
    pub fields: Vec<FieldWish>,
    /// Single bits of blocks.
    pub bits: Vec<BitWish>,
    /// Bytes of whole blocks.
    pub blocks: Vec<BlockWish>,
    /// Keys and digests.
    pub keys: Vec<KeyWish>,
    /// Fields and blocks that nobody can write afterwards.
    pub write_protect: Vec<String>,
    /// Fields and blocks that software cannot read afterwards.
    pub read_protect: Vec<String>,
    /// A MAC of one's own, beside the factory's.
    pub custom_mac: Option<MacAddress>,
    /// The voltage of the flash's supply (ESP32, ESP32-S2, ESP32-S3).
    pub flash_voltage: Option<FlashVoltage>,
    /// What is known of the flash's content at the moment of the burn.
    pub content: FlashContent,
    /// Dangers that are wanted.
    pub accepted: Vec<Danger>,
}

/// A field and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldWish {
    /// Its name.
    pub field: String,
    /// Its value.
    pub value: FieldValue,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// A number.
    Number(u64),
    /// Bytes, lowest address first, exactly as many as the field has.
    Bytes(Vec<u8>),
}

/// Single bits of one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitWish {
    /// Its name, any of them.
    pub block: String,
    /// Bits to set, counted from bit 0 of its first word.
    pub bits: Vec<u16>,
}

/// Bytes of one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockWish {
    /// Its name, any of them.
    pub block: String,
    /// First byte they go to.
    pub offset: u8,
    /// The bytes.
    pub bytes: Secret,
}

/// A key or a digest in a key slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWish {
    /// Which slot.
    pub slot: Slot,
    /// What it is for: a purpose of the map. ESP32: `flash_encryption`, `secure_boot_v1`,
    /// `secure_boot_v2`. ESP32-C2: `XTS_AES_128_KEY`, `XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS`,
    /// `SECURE_BOOT_DIGEST`, `USER`.
    pub purpose: String,
    /// The key as people hold it; reversal is the plan's business. 64 bytes take two slots.
    pub key: Secret,
    /// Whether software may still read it. `None`: as the purpose wants.
    pub read_protect: Option<bool>,
    /// Whether the slot is closed against further bits. `None`: yes.
    pub write_protect: Option<bool>,
}

/// Which key slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// This one.
    Named(String),
    /// The first that is free and can hold the purpose.
    Free,
}

/// The voltage of the flash's supply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashVoltage {
    /// 1.8 V from the chip's regulator.
    Low,
    /// 3.3 V from the chip's regulator.
    High,
    /// No regulator: the pads are fed from outside.
    Off,
}

/// What is known of the flash's content at the moment of the burn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlashContent {
    /// The bootloader and everything it reads is there as ciphertext of the key that is (being)
    /// burned; or the content will be made by the bootloader on first boot.
    pub encrypted: ContentPlan,
    /// Digests of the public keys that signed the bootloader in flash.
    pub signed_by: Vec<[u8; 32]>,
    /// ESP32, secure boot version 1: the digest of the bootloader in flash lies at its start, made
    /// with the key that is (being) burned.
    pub digested: bool,
}

/// How flash gets its ciphertext.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContentPlan {
    /// Nobody said.
    #[default]
    Unknown,
    /// It is already there, written by the station.
    Written,
    /// The bootloader encrypts in place on its first boot.
    ByBootloader,
}

/// The complete, checked list of what will be burned into one chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BurnPlan {
    snapshot: Snapshot,
    pulses: Vec<Pulse>,
    satisfied: Vec<String>,
    warnings: Vec<String>,
    impossible: Vec<String>,
    keys: Vec<KeyUse>,
    accepted: Vec<Danger>,
    content: FlashContent,
}

impl BurnPlan {
    /// The chip it was made for, as it was.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The programming commands, in their order.
    #[must_use]
    pub fn pulses(&self) -> &[Pulse] {
        &self.pulses
    }

    /// Whether nothing is left to burn.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pulses.is_empty()
    }

    /// Wishes the chip fulfils already, in words.
    #[must_use]
    pub fn satisfied(&self) -> &[String] {
        &self.satisfied
    }

    /// What somebody should know before, in words.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where keys go, without the keys.
    #[must_use]
    pub fn keys(&self) -> &[KeyUse] {
        &self.keys
    }
}

/// One programming command.
#[derive(Clone, PartialEq, Eq)]
pub struct Pulse {
    /// Its place in the plan, from 1.
    pub number: u16,
    /// The block it burns.
    pub block: u8,
    /// What goes into the data registers: little-endian words, as many as the block's program
    /// registers take (padded with zeros). Only bits that are not yet set, except in coded blocks.
    pub words: Secret,
    /// What goes into the check registers, on Reed-Solomon coded blocks: three words.
    pub check: Option<Secret>,
    /// What the block must read just before: its words in the snapshot or after the pulse before.
    pub before: Vec<u32>,
    /// What the block must read afterwards.
    pub after: ReadBack,
    /// What it does, in words, a line each.
    pub does: Vec<String>,
    /// Whether the chip may stop answering the loader once the fuses are read again.
    pub last_contact: bool,
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse")
            .field("number", &self.number)
            .field("block", &self.block)
            .field("does", &self.does)
            .field("last_contact", &self.last_contact)
            .finish_non_exhaustive()
    }
}

/// What a block reads after a pulse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadBack {
    /// These words, which are no secret.
    Words(Vec<u32>),
    /// Exactly the secret of the pulse: a key slot before it is hidden.
    Secret(Secret),
    /// Zeros: it is hidden from software.
    Hidden,
}

/// Where a key went, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyUse {
    /// The block it is in.
    pub block: u8,
    /// What it is for.
    pub purpose: String,
    /// Its name, see [`Secret::fingerprint`].
    pub fingerprint: String,
    /// Whether software cannot read it afterwards.
    pub hidden: bool,
    /// Whether it was there already.
    pub present: bool,
}
