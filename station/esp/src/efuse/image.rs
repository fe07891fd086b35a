//! The readable fuses of one chip as words.
//!
//! Invariants: an image has exactly the blocks and words of its chip's map; writing a field that
//! does not exist or a value that does not fit is an error and changes nothing. Words of blocks
//! that can hold a key are not shown when an image is formatted, and are wiped when it is dropped.
//! Nothing here burns.

#[cfg(test)]
mod tests;

use std::fmt;

use zeroize::Zeroizing;

use crate::chip::{Chip, MacAddress, Revision};

use super::coding::mac_crc;
use super::field::{FieldName, Part, RevisionRule};
use super::map::{FuseBlock, FuseField, FuseMap, ReadDisable, all_fuse_maps, fuse_map};

/// A field that could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EfuseError {
    /// The chip has no such field.
    #[error("`{chip}` has no eFuse field `{field}`")]
    NoField {
        /// The chip.
        chip: Chip,
        /// The field asked for.
        field: &'static str,
    },
    /// The value needs more bits than the field has.
    #[error("value `{value:#x}` does not fit eFuse field `{field}` of {bits} bits")]
    TooWide {
        /// The field asked for.
        field: &'static str,
        /// The value.
        value: u64,
        /// What the field has.
        bits: u32,
    },
    /// The field is not of this many bytes.
    #[error("{given} bytes do not make up eFuse field `{field}` of {bits} bits")]
    WrongLength {
        /// The field asked for.
        field: &'static str,
        /// Bytes given.
        given: usize,
        /// What the field has.
        bits: u32,
    },
    /// The chip cannot express this revision.
    #[error("`{chip}` cannot have revision {revision}")]
    NoSuchRevision {
        /// The chip.
        chip: Chip,
        /// The revision asked for.
        revision: Revision,
    },
}

impl EfuseError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoField { .. } => "efuse-no-field",
            Self::TooWide { .. } => "efuse-too-wide",
            Self::WrongLength { .. } => "efuse-wrong-length",
            Self::NoSuchRevision { .. } => "efuse-no-such-revision",
        }
    }
}

/// All readable eFuse words of one chip.
///
/// The same image serves a virtual chip (write fields, answer register reads by address) and the
/// host (store register reads by address, read fields).
#[derive(Clone, PartialEq, Eq)]
pub struct EfuseImage {
    chip: Chip,
    blocks: Vec<Zeroizing<Vec<u32>>>,
}

impl fmt::Debug for EfuseImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EfuseImage");
        shown.field("chip", &self.chip);
        for block in first_map(self.chip).blocks {
            // What can be hidden from software can be a key.
            if block.read_disable == ReadDisable::Never {
                shown.field(
                    block.name,
                    &format_args!("{:08x?}", self.block(block.number)),
                );
            }
        }
        shown.finish_non_exhaustive()
    }
}

impl EfuseImage {
    /// Blank fuses of `chip`.
    #[must_use]
    pub fn new(chip: Chip) -> Self {
        let words = |block: &FuseBlock| Zeroizing::new(vec![0; block.words.into()]);
        Self {
            chip,
            blocks: first_map(chip).blocks.iter().map(words).collect(),
        }
    }

    /// The chip these fuses belong to.
    #[must_use]
    pub fn chip(&self) -> Chip {
        self.chip
    }

    /// The map for the revision that these fuses say. The ESP32's revision is not in its fuses
    /// alone, but it has one map for all of them.
    #[must_use]
    pub fn map(&self) -> &'static FuseMap {
        fuse_map(self.chip, self.revision(0))
    }

    /// The words of block `index`; empty when the chip has no such block.
    #[must_use]
    pub fn block(&self, index: u8) -> &[u32] {
        self.blocks
            .get(usize::from(index))
            .map_or(&[], |words| words.as_slice())
    }

    /// The words of block `index`, to be changed; empty when the chip has no such block.
    pub fn block_mut(&mut self, index: u8) -> &mut [u32] {
        self.blocks
            .get_mut(usize::from(index))
            .map_or(&mut [], |words| words.as_mut_slice())
    }

    /// What a register read at `address` answers, when it is a read register of some block.
    #[must_use]
    pub fn word(&self, address: u32) -> Option<u32> {
        let (block, word) = self.locate(address)?;
        Some(self.blocks[block][word])
    }

    /// Stores what was read at `address`; false when no block has a register there.
    pub fn set_word(&mut self, address: u32, value: u32) -> bool {
        let Some((block, word)) = self.locate(address) else {
            return false;
        };
        self.blocks[block][word] = value;
        true
    }

    /// The value of a field, if the chip has it.
    #[must_use]
    pub fn read(&self, name: FieldName) -> Option<u64> {
        self.number(name.within(self.map())?)
    }

    /// Sets a field to `value`, clearing what was there: this is an image, not a chip.
    ///
    /// # Errors
    /// When the chip has no such field or the value does not fit.
    pub fn write(&mut self, name: FieldName, value: u64) -> Result<(), EfuseError> {
        let missing = EfuseError::NoField {
            chip: self.chip,
            field: name.word(),
        };
        self.set_number(name.within(self.map()).ok_or(missing)?, value)
    }

    /// The value of a field of at most 64 bits; `None` when it has more.
    #[must_use]
    pub fn number(&self, field: &FuseField) -> Option<u64> {
        let places = (field.width() <= 64).then(|| places(field))?;
        Some((0..).zip(places).fold(0, |value, (bit, (block, place))| {
            value | u64::from(self.is_set(block, place)) << bit
        }))
    }

    /// The bits of a field as bytes, lowest first; bits above the field's last are 0.
    #[must_use]
    pub fn bytes(&self, field: &FuseField) -> Vec<u8> {
        let mut bytes = vec![0; field.width().div_ceil(8) as usize];
        for (index, (block, place)) in places(field).enumerate() {
            bytes[index / 8] |= u8::from(self.is_set(block, place)) << (index % 8);
        }
        bytes
    }

    /// Sets a field to a number, clearing what was there.
    ///
    /// # Errors
    /// When the value does not fit.
    pub fn set_number(&mut self, field: &FuseField, value: u64) -> Result<(), EfuseError> {
        let bits = field.width();
        if bits < 64 && value >> bits != 0 {
            return Err(EfuseError::TooWide {
                field: field.name,
                value,
                bits,
            });
        }
        for (index, (block, place)) in (0..).zip(places(field)) {
            let bit = value.checked_shr(index).unwrap_or(0) & 1;
            self.set_bit(block, place, bit == 1);
        }
        Ok(())
    }

    /// Sets a field to bytes, lowest first, clearing what was there.
    ///
    /// # Errors
    /// When they are not exactly as many as the field has, or have bits above its last.
    pub fn set_bytes(&mut self, field: &FuseField, bytes: &[u8]) -> Result<(), EfuseError> {
        let bits = field.width();
        let bit = |index: usize| bytes[index / 8] >> (index % 8) & 1 == 1;
        let exact = bytes.len() == bits.div_ceil(8) as usize;
        if !exact || (bits as usize..bytes.len() * 8).any(bit) {
            return Err(EfuseError::WrongLength {
                field: field.name,
                given: bytes.len(),
                bits,
            });
        }
        for (index, (block, place)) in places(field).enumerate() {
            self.set_bit(block, place, bit(index));
        }
        Ok(())
    }

    /// Whether a bit of a block is set, counted from bit 0 of its first word; false beyond its end.
    #[must_use]
    pub fn is_set(&self, block: u8, bit: u16) -> bool {
        let word = self.block(block).get(usize::from(bit / 32));
        word.is_some_and(|word| word >> (bit % 32) & 1 == 1)
    }

    /// Sets or clears a bit of a block; false, and nothing changed, beyond its end.
    pub fn set_bit(&mut self, block: u8, bit: u16, value: bool) -> bool {
        let Some(word) = self.block_mut(block).get_mut(usize::from(bit / 32)) else {
            return false;
        };
        *word = *word & !(1 << (bit % 32)) | u32::from(value) << (bit % 32);
        true
    }

    /// Whether nobody can write the field any more.
    #[must_use]
    pub fn is_closed(&self, field: &FuseField) -> bool {
        field
            .write_disable
            .is_some_and(|bit| self.is_protected(FieldName::WriteDisable, bit))
    }

    /// Whether software cannot read the field, or a part of it, any more.
    #[must_use]
    pub fn is_hidden(&self, field: &FuseField) -> bool {
        let mut bits = field.read_disable.bits();
        bits.any(|bit| self.is_protected(FieldName::ReadDisable, bit))
    }

    fn is_protected(&self, by: FieldName, bit: u8) -> bool {
        self.read(by)
            .is_some_and(|bits| bits.checked_shr(bit.into()).unwrap_or(0) & 1 == 1)
    }

    /// The factory MAC.
    #[must_use]
    pub fn mac(&self) -> MacAddress {
        let raw = self.read(FieldName::Mac).unwrap_or(0);
        MacAddress::from_words((raw & 0xFFFF_FFFF) as u32, (raw >> 32) as u32)
    }

    /// Sets the factory MAC, and its CRC where the chip has one.
    ///
    /// # Errors
    /// Never for the chips in the tables; they all have a MAC.
    pub fn set_mac(&mut self, mac: MacAddress) -> Result<(), EfuseError> {
        let (low, high) = mac.to_words();
        self.write(FieldName::Mac, u64::from(high) << 32 | u64::from(low))?;
        if FieldName::MacCrc.within(self.map()).is_some() {
            self.write(FieldName::MacCrc, mac_crc(mac).into())?;
        }
        Ok(())
    }

    /// Whether the stored CRC belongs to the MAC; true for chips without one.
    #[must_use]
    pub fn mac_crc_matches(&self) -> bool {
        self.read(FieldName::MacCrc)
            .is_none_or(|stored| stored == u64::from(mac_crc(self.mac())))
    }

    /// The revision. `apb_ctl_date` is the register that [`RevisionRule::ApbCtlDate`] names, and
    /// is ignored for all chips but the ESP32.
    #[must_use]
    pub fn revision(&self, apb_ctl_date: u32) -> Revision {
        // Which map holds follows from the revision; where that is, all maps of a chip agree.
        let map = first_map(self.chip);
        let number = |name: FieldName| {
            let value = name.within(map).and_then(|field| self.number(field));
            u8::try_from(value.unwrap_or(0)).unwrap_or(u8::MAX)
        };
        let minor = number(FieldName::WaferMinor);
        match self.chip.spec().efuse.revision {
            RevisionRule::Fields => Revision::new(number(FieldName::WaferMajor), minor),
            RevisionRule::FieldsUnlessBlockVersion11 => {
                let first = minor & 7 == 0
                    && number(FieldName::BlockMajor) == 1
                    && number(FieldName::BlockMinor) == 1;
                if first {
                    Revision::new(0, 0)
                } else {
                    Revision::new(number(FieldName::WaferMajor), minor)
                }
            }
            RevisionRule::ApbCtlDate(_) => {
                let coded = number(FieldName::ChipVersionRev1)
                    | number(FieldName::ChipVersionRev2) << 1
                    | ((apb_ctl_date >> 31) as u8) << 2;
                let major = match coded {
                    1 => 1,
                    3 => 2,
                    7 => 3,
                    _ => 0,
                };
                Revision::new(major, minor)
            }
        }
    }

    /// Sets the revision, and returns what the register of [`RevisionRule::ApbCtlDate`] must
    /// read: 0 for all chips but the ESP32.
    ///
    /// # Errors
    /// When the chip's fields cannot express `revision`.
    pub fn set_revision(&mut self, revision: Revision) -> Result<u32, EfuseError> {
        let chip = self.chip;
        let refuse = |_| EfuseError::NoSuchRevision { chip, revision };
        let mut changed = self.clone();
        changed
            .write(FieldName::WaferMinor, revision.minor.into())
            .map_err(refuse)?;
        let mut apb_ctl_date = 0;
        match chip.spec().efuse.revision {
            RevisionRule::ApbCtlDate(_) => {
                if revision.major > 3 {
                    return Err(EfuseError::NoSuchRevision { chip, revision });
                }
                changed.write(FieldName::ChipVersionRev1, u64::from(revision.major >= 1))?;
                changed.write(FieldName::ChipVersionRev2, u64::from(revision.major >= 2))?;
                apb_ctl_date = u32::from(revision.major >= 3) << 31;
            }
            RevisionRule::Fields | RevisionRule::FieldsUnlessBlockVersion11 => {
                changed
                    .write(FieldName::WaferMajor, revision.major.into())
                    .map_err(refuse)?;
            }
        }
        if changed.revision(apb_ctl_date) != revision {
            return Err(EfuseError::NoSuchRevision { chip, revision });
        }
        *self = changed;
        Ok(apb_ctl_date)
    }

    fn locate(&self, address: u32) -> Option<(usize, usize)> {
        let blocks = first_map(self.chip).blocks;
        blocks
            .iter()
            .enumerate()
            .find_map(|(index, block)| Some((index, usize::from(block.word_at(address)?))))
    }
}

/// Blocks and the place of the revision are the same in all maps of a chip.
fn first_map(chip: Chip) -> &'static FuseMap {
    fuse_map(chip, Revision::new(0, 0))
}

/// Block and bit of every bit of a field, lowest first.
fn places(field: &FuseField) -> impl Iterator<Item = (u8, u16)> {
    let bits = |part: &'static Part| part.bit..part.bit + part.width;
    field
        .parts
        .iter()
        .flat_map(move |part| bits(part).map(|bit| (part.block, bit)))
}

/// The addresses a host must read to know MAC, revision, features and protection of a chip,
/// ascending and without repetition. Readable without harm outside secure download mode.
#[must_use]
pub fn identity_addresses(chip: Chip) -> Vec<u32> {
    let blocks = first_map(chip).blocks;
    let mut addresses: Vec<u32> = all_fuse_maps(chip)
        .flat_map(|map| FieldName::ALL.iter().filter_map(|name| name.within(map)))
        .flat_map(places)
        .filter_map(|(block, bit)| {
            let word = u8::try_from(bit / 32).ok()?;
            blocks.get(usize::from(block))?.word_address(word)
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}
