//! The bits of every block, while a plan is drawn up.
//!
//! Invariants: as many blocks and words as the map says; bits outside them do not exist, setting
//! them answers false and changes nothing.

use std::fmt;

use crate::efuse::field::Part;
use crate::efuse::image::EfuseImage;
use crate::efuse::map::{FuseField, FuseMap};

/// Bits of every block; may hold keys, so nothing shows them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bits(Vec<Vec<u32>>);

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bits({} blocks)", self.0.len())
    }
}

impl Bits {
    /// No bit set.
    pub(crate) fn blank(map: &FuseMap) -> Self {
        let words = |words: u8| vec![0; usize::from(words)];
        Self(map.blocks.iter().map(|block| words(block.words)).collect())
    }

    /// What an image holds.
    pub(crate) fn of(map: &FuseMap, image: &EfuseImage) -> Self {
        let mut bits = Self::blank(map);
        for (number, words) in bits.0.iter_mut().enumerate() {
            let number = u8::try_from(number).unwrap_or(u8::MAX);
            for (word, from) in words.iter_mut().zip(image.block(number)) {
                *word = *from;
            }
        }
        bits
    }

    /// The words of a block; none when there is no such block.
    pub(crate) fn block(&self, block: u8) -> &[u32] {
        self.0.get(usize::from(block)).map_or(&[], Vec::as_slice)
    }

    /// The words of a block, to be changed.
    pub(crate) fn block_mut(&mut self, block: u8) -> &mut [u32] {
        self.0
            .get_mut(usize::from(block))
            .map_or(&mut [], Vec::as_mut_slice)
    }

    /// Sets one bit.
    pub(crate) fn set(&mut self, block: u8, bit: u16) -> bool {
        let word = self.block_mut(block).get_mut(usize::from(bit / 32));
        word.map(|word| *word |= 1 << (bit % 32)).is_some()
    }

    /// Whether a bit is set.
    pub(crate) fn has(&self, block: u8, bit: u16) -> bool {
        let word = self.block(block).get(usize::from(bit / 32));
        word.is_some_and(|word| word >> (bit % 32) & 1 == 1)
    }

    /// Whether no bit of a block is set.
    pub(crate) fn is_blank(&self, block: u8) -> bool {
        self.block(block).iter().all(|word| *word == 0)
    }

    /// Sets what `other` has.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            for (word, more) in mine.iter_mut().zip(theirs) {
                *word |= more;
            }
        }
    }

    /// The bits of `self` that `other` has not.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        for (mine, theirs) in rest.0.iter_mut().zip(&other.0) {
            for (word, less) in mine.iter_mut().zip(theirs) {
                *word &= !less;
            }
        }
        rest
    }

    /// Sets bytes of a block from `offset` on; false when they do not fit.
    pub(crate) fn set_bytes(&mut self, block: u8, offset: usize, bytes: &[u8]) -> bool {
        let words = self.block_mut(block);
        if offset.saturating_add(bytes.len()) > words.len() * 4 {
            return false;
        }
        for (index, byte) in bytes.iter().enumerate() {
            let place = offset + index;
            words[place / 4] |= u32::from(*byte) << (place % 4 * 8);
        }
        true
    }

    /// Every bit of a field, lowest first: its block and its place in it.
    pub(crate) fn places(field: &FuseField) -> impl Iterator<Item = (u8, u16)> {
        let of = |part: &Part| {
            let Part { block, bit, width } = *part;
            (bit..bit + width).map(move |place| (block, place))
        };
        field.parts.iter().flat_map(of)
    }

    /// The value of a field; of a field of more than 64 bits, the lowest of them.
    pub(crate) fn number(&self, field: &FuseField) -> u64 {
        Self::places(field)
            .take(64)
            .enumerate()
            .filter(|(_, (block, bit))| self.has(*block, *bit))
            .fold(0, |value, (index, _)| value | 1 << index)
    }

    /// Whether any bit of a field is set.
    pub(crate) fn touches(&self, field: &FuseField) -> bool {
        Self::places(field).any(|(block, bit)| self.has(block, bit))
    }

    /// Sets the bits of `value` in a field.
    pub(crate) fn set_number(&mut self, field: &FuseField, value: u64) {
        for (index, (block, bit)) in Self::places(field).take(64).enumerate() {
            if value >> index & 1 == 1 {
                self.set(block, bit);
            }
        }
    }

    /// Sets bytes in a field, lowest address first.
    pub(crate) fn set_field_bytes(&mut self, field: &FuseField, bytes: &[u8]) {
        for (index, (block, bit)) in Self::places(field).enumerate() {
            let byte = bytes.get(index / 8).copied().unwrap_or(0);
            if byte >> (index % 8) & 1 == 1 {
                self.set(block, bit);
            }
        }
    }

    /// The image of these bits.
    pub(crate) fn image(&self, like: &EfuseImage) -> EfuseImage {
        let mut image = like.clone();
        for (number, words) in self.0.iter().enumerate() {
            let number = u8::try_from(number).unwrap_or(u8::MAX);
            for (word, from) in image.block_mut(number).iter_mut().zip(words) {
                *word = *from;
            }
        }
        image
    }
}
