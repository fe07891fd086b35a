//! Who guards what: write and read protection as the fuses themselves say.
//!
//! Invariants: pure reading of bits through the map.

use crate::efuse::map::{FuseBlock, FuseField, FuseMap, ReadDisable};

use super::bits::Bits;

/// The name of the field that closes fields and blocks against writing.
pub(crate) const WR_DIS: &str = "WR_DIS";
/// The name of the field that hides blocks.
pub(crate) const RD_DIS: &str = "RD_DIS";

/// Whether bit `index` of the field `name` is set.
pub(crate) fn guard_set(map: &FuseMap, bits: &Bits, name: &str, index: u8) -> bool {
    let place = map
        .field(name)
        .and_then(|field| Bits::places(field).nth(index.into()));
    place.is_some_and(|(block, bit)| bits.has(block, bit))
}

/// Sets bit `index` of the field `name`.
pub(crate) fn set_guard(map: &FuseMap, bits: &mut Bits, name: &str, index: u8) {
    let place = map
        .field(name)
        .and_then(|field| Bits::places(field).nth(index.into()));
    if let Some((block, bit)) = place {
        bits.set(block, bit);
    }
}

/// Whether a field can no longer be written.
pub(crate) fn field_closed(map: &FuseMap, bits: &Bits, field: &FuseField) -> bool {
    let own = field.write_disable;
    own.is_some_and(|index| guard_set(map, bits, WR_DIS, index))
}

/// Whether a block can no longer be written.
pub(crate) fn block_closed(map: &FuseMap, bits: &Bits, block: &FuseBlock) -> bool {
    let own = block.write_disable;
    own.is_some_and(|index| guard_set(map, bits, WR_DIS, index))
}

/// Which words of a block are hidden from software.
pub(crate) fn hidden_words(map: &FuseMap, bits: &Bits, block: &FuseBlock) -> Vec<bool> {
    let words = usize::from(block.words);
    let set = |index| guard_set(map, bits, RD_DIS, index);
    match block.read_disable {
        ReadDisable::Never => vec![false; words],
        ReadDisable::Whole(index) => vec![set(index); words],
        ReadDisable::Halves(low, high) => {
            let mut hidden = vec![set(low); words / 2];
            hidden.resize(words, set(high));
            hidden
        }
    }
}

/// The RD_DIS bits that hide a block whole.
pub(crate) fn read_guards(block: &FuseBlock) -> Vec<u8> {
    block.read_disable.bits().collect()
}

/// What software reads of `bits`: hidden words and fields are zero.
pub(crate) fn visible(map: &FuseMap, bits: &Bits) -> Bits {
    let mut covered = Bits::blank(map);
    for block in map.blocks {
        let hidden = hidden_words(map, bits, block);
        for (word, hidden) in covered.block_mut(block.number).iter_mut().zip(hidden) {
            *word = if hidden { u32::MAX } else { 0 };
        }
    }
    for field in map.fields.iter().filter(|field| field.block() == 0) {
        if field_hidden(map, bits, field) {
            for (block, bit) in Bits::places(field) {
                covered.set(block, bit);
            }
        }
    }
    bits.without(&covered)
}

/// Whether a field is hidden from software by a bit of its own.
pub(crate) fn field_hidden(map: &FuseMap, bits: &Bits, field: &FuseField) -> bool {
    let mut own = field.read_disable.bits();
    own.any(|index| guard_set(map, bits, RD_DIS, index))
}
