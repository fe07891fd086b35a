//! The fuses of one chip on paper: what a pulse does to them, and what software sees of them.
//!
//! Invariants: bits are only ever set; closed fields and blocks keep what they have, by the state
//! before the pulse; hidden words read as zeros. It serves tests, and shows a plan's result.

use crate::efuse::coding;
use crate::efuse::image::EfuseImage;
use crate::efuse::map::{Coding, FuseMap};

use super::bits::Bits;
use super::draft::scheme;
use super::{BurnPlan, Pulse, Snapshot, guards};

/// Fuses on paper. They may hold keys, so nothing shows them.
#[derive(Clone)]
pub struct FuseModel {
    map: &'static FuseMap,
    like: EfuseImage,
    bits: Bits,
}

impl PartialEq for FuseModel {
    fn eq(&self, other: &Self) -> bool {
        self.map.chip == other.map.chip && self.bits == other.bits
    }
}

impl Eq for FuseModel {}

impl FuseModel {
    /// The fuses a snapshot shows; what it hides is taken for blank.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let map = snapshot.map();
        Self {
            map,
            like: snapshot.fuses.clone(),
            bits: Bits::of(map, &snapshot.fuses),
        }
    }

    /// Burns a pulse. Bits that are closed stay as they are.
    pub fn burn(&mut self, pulse: &Pulse) {
        let Some(block) = self.map.block(pulse.block) else {
            return;
        };
        if guards::block_closed(self.map, &self.bits, block) {
            return;
        }
        let before = self.bits.clone();
        let quarters = block.coding == Coding::ByScheme && scheme(self.map, &before) == 1;
        let raw = pulse.words.expose();
        let decoded = quarters
            .then(|| <&[u8; 32]>::try_from(raw).ok())
            .flatten()
            .and_then(|raw| coding::three_quarters_decode(raw).ok());
        let bytes = decoded.as_ref().map_or(raw, |bytes| &bytes[..]);
        let most = usize::from(block.words) * 4;
        let mut new = Bits::blank(self.map);
        new.set_bytes(pulse.block, 0, &bytes[..bytes.len().min(most)]);
        if pulse.block == 0 {
            for field in self.map.fields.iter().filter(|field| field.block() == 0) {
                if guards::field_closed(self.map, &before, field) {
                    let mut closed = Bits::blank(self.map);
                    for (block, bit) in Bits::places(field) {
                        closed.set(block, bit);
                    }
                    new = new.without(&closed);
                }
            }
        }
        self.bits.add(&new);
    }

    /// Everything that is burned, hidden or not.
    #[must_use]
    pub fn burned(&self) -> EfuseImage {
        self.bits.image(&self.like)
    }

    /// What software reads.
    #[must_use]
    pub fn seen(&self) -> EfuseImage {
        guards::visible(self.map, &self.bits).image(&self.like)
    }
}

impl BurnPlan {
    /// What software reads once every pulse is burned.
    #[must_use]
    pub fn result(&self) -> EfuseImage {
        let mut model = FuseModel::of(&self.snapshot);
        for pulse in &self.pulses {
            model.burn(pulse);
        }
        model.seen()
    }
}
