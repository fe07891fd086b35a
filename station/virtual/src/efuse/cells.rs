//! The fuses themselves: every bit of every block, check words included.
//!
//! Invariants: burning only adds bits; weak and stuck fuses follow the faults; the same seed and
//! the same pulses leave the same bits; formatting shows no bit.

use std::collections::BTreeMap;
use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use station_esp::efuse::Part;
use station_esp::efuse::map::{Coding, FuseMap};

use super::{reed_solomon, three_quarters};
use crate::fault::{FuseFaults, Stream, stream};

/// Words of a Reed-Solomon coded block, without and with its check words.
const CODED_DATA: usize = reed_solomon::DATA / 4;
const CODED: usize = reed_solomon::ALL / 4;
/// ESP32: the coding scheme in which six data bytes take eight.
const THREE_QUARTERS: u64 = 1;
/// ESP32: the coding scheme in which every byte is there twice.
const REPEAT: u64 = 2;

/// Words of every block, data before check words.
pub(super) type Words = Vec<Vec<u32>>;

/// What the hardware makes of one block.
#[derive(Clone)]
pub(super) struct Sensed {
    /// Its data, protected or not.
    pub(super) data: Vec<u32>,
    /// Wrong bytes that were corrected.
    pub(super) corrected: u8,
    /// Whether too much is wrong.
    pub(super) failed: bool,
    /// ESP32: a bit for each group of a 3/4 coded block that is wrong.
    pub(super) groups: u32,
}

/// The fuses of one chip.
#[derive(Clone)]
pub(super) struct Cells {
    map: &'static FuseMap,
    words: Words,
    faults: FuseFaults,
    /// How often each weak fuse was asked to burn.
    tries: BTreeMap<(u8, u16), u32>,
    luck: ChaCha8Rng,
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let burned: Vec<u32> = self.words.iter().map(|words| ones(words)).collect();
        f.debug_struct("Cells").field("burned", &burned).finish()
    }
}

/// Number of set bits.
pub(super) fn ones(words: &[u32]) -> u32 {
    words.iter().map(|word| word.count_ones()).sum()
}

/// The bits of a part, from the words of its block; the lowest 64 of a longer one.
pub(super) fn bits_of(words: &[u32], part: Part) -> u64 {
    (0..part.width.min(64)).fold(0, |value, bit| {
        let place = part.bit + bit;
        let word = words.get(usize::from(place / 32)).copied().unwrap_or(0);
        value | u64::from(word >> (place % 32) & 1) << bit
    })
}

/// Clears the bits of a part in the words of its block.
pub(super) fn clear(words: &mut [u32], part: Part) {
    for place in part.bit..part.bit + part.width {
        if let Some(word) = words.get_mut(usize::from(place / 32)) {
            *word &= !(1 << (place % 32));
        }
    }
}

fn bytes<const N: usize>(words: &[u32]) -> [u8; N] {
    let mut bytes = [0; N];
    for (place, word) in bytes.chunks_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

impl Cells {
    pub(super) fn blank(map: &'static FuseMap, faults: FuseFaults, seed: u64) -> Self {
        let words = map
            .blocks
            .iter()
            .map(|block| match block.coding {
                Coding::ReedSolomon => vec![0; CODED],
                Coding::Plain | Coding::ByScheme => vec![0; block.words.into()],
            })
            .collect();
        Self {
            map,
            words,
            faults,
            tries: BTreeMap::new(),
            luck: stream(seed, Stream::Fuses),
        }
    }

    /// Every bit as it is.
    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    /// The bits of one block as they are.
    pub(super) fn block(&self, block: u8) -> &[u32] {
        self.words
            .get(usize::from(block))
            .map_or(&[], Vec::as_slice)
    }

    /// Puts other bits in the place of these, block by block; missing words stay as they are.
    pub(super) fn put(&mut self, words: impl IntoIterator<Item = u32>) {
        for (place, word) in self.words.iter_mut().flatten().zip(words) {
            *place = word;
        }
    }

    /// The value of a field, whoever may read it; 0 when the chip has none of that name.
    pub(super) fn field(&self, name: &str) -> u64 {
        let Some(field) = self.map.field(name) else {
            return 0;
        };
        let mut shift = 0;
        field.parts.iter().fold(0, |value, part| {
            let words = self.sense(part.block).data;
            let value = value | bits_of(&words, *part).checked_shl(shift).unwrap_or(0);
            shift += u32::from(part.width);
            value
        })
    }

    /// Stores data in a block as a factory would: blank bits stay blank, and check words fit.
    pub(super) fn store(&mut self, block: u8, data: &[u32]) {
        let scheme = self.scheme();
        let Some((place, coding)) = self.place(block) else {
            return;
        };
        match coding {
            Coding::ReedSolomon => {
                let data = bytes::<{ reed_solomon::DATA }>(data);
                place[..CODED_DATA].copy_from_slice(&words(&data));
                place[CODED_DATA..].copy_from_slice(&words(&reed_solomon::check_bytes(&data)));
            }
            Coding::ByScheme if scheme == THREE_QUARTERS => {
                place.copy_from_slice(&words(&three_quarters::encode(&bytes(data))));
            }
            Coding::Plain | Coding::ByScheme => {
                for (place, word) in place.iter_mut().zip(data) {
                    *place = *word;
                }
            }
        }
    }

    fn place(&mut self, block: u8) -> Option<(&mut Vec<u32>, Coding)> {
        let coding = self.map.blocks.get(usize::from(block))?.coding;
        Some((self.words.get_mut(usize::from(block))?, coding))
    }

    /// ESP32: how blocks 1 to 3 are coded.
    fn scheme(&self) -> u64 {
        let field = self.map.field("CODING_SCHEME");
        let part = field.and_then(|field| field.parts.first());
        part.map_or(0, |part| bits_of(self.block(part.block), *part))
    }

    /// What the hardware makes of a block, wrong readings included.
    pub(super) fn sense(&self, block: u8) -> Sensed {
        let mut raw = self.block(block).to_vec();
        for bit in self.faults.misread.iter().filter(|bit| bit.block == block) {
            if let Some(word) = raw.get_mut(usize::from(bit.bit / 32)) {
                *word ^= 1 << (bit.bit % 32);
            }
        }
        let mut sensed = Sensed {
            data: Vec::new(),
            corrected: 0,
            failed: false,
            groups: 0,
        };
        let coding = self.map.blocks.get(usize::from(block)).map(|b| b.coding);
        match (coding, self.scheme()) {
            (Some(Coding::ReedSolomon), _) => match reed_solomon::decode(&bytes(&raw)) {
                reed_solomon::Decoded::Corrected(data, count) => {
                    (sensed.data, sensed.corrected) = (words(&data), count);
                }
                reed_solomon::Decoded::Failed => {
                    raw.truncate(CODED_DATA);
                    (sensed.data, sensed.failed) = (raw, true);
                }
            },
            (Some(Coding::ByScheme), THREE_QUARTERS) => {
                let (data, groups) = three_quarters::decode(&bytes(&raw));
                (sensed.data, sensed.groups) = (words(&data), groups);
            }
            (Some(Coding::ByScheme), REPEAT) => {
                sensed.data = raw.iter().zip(&raw[4..]).map(|(a, b)| a | b).collect();
            }
            (Some(Coding::ByScheme | Coding::Plain) | None, _) => sensed.data = raw,
        }
        sensed
    }

    /// Sends one pulse through the fuses that `wanted` names; `sound` is whether the timing is
    /// right.
    pub(super) fn burn(&mut self, wanted: &Words, sound: bool) {
        let frail = self.faults.needs_timing && !sound;
        for (number, (cells, wanted)) in (0u8..).zip(self.words.iter_mut().zip(wanted)) {
            for (index, (cell, wanted)) in (0u16..).zip(cells.iter_mut().zip(wanted)) {
                let mut fresh = wanted & !*cell;
                if frail {
                    fresh &= self.luck.next_u32();
                }
                for bit in 0..32 {
                    let place = (number, index * 32 + bit);
                    if fresh >> bit & 1 == 1 && resists(&self.faults, &mut self.tries, place) {
                        fresh &= !(1 << bit);
                    }
                }
                *cell |= fresh;
            }
        }
    }

    /// Takes back some of what was burned since `before`: the pulse was cut short. Which bits is
    /// chance, but where there are two or more, some stay and some go.
    pub(super) fn cut_short(&mut self, before: &Words) {
        let mut fresh: Vec<(usize, usize, u32)> = Vec::new();
        for (block, (now, then)) in self.words.iter().zip(before).enumerate() {
            for (index, (now, then)) in now.iter().zip(then).enumerate() {
                let bits = now & !then;
                fresh.extend(
                    (0..32)
                        .filter(|bit| bits >> bit & 1 == 1)
                        .map(|bit| (block, index, bit)),
                );
            }
        }
        let lost = match fresh.len() {
            0 => 0,
            1 => self.luck.next_u32() as usize % 2,
            many => 1 + self.luck.next_u32() as usize % (many - 1),
        };
        for _ in 0..lost {
            let (block, index, bit) =
                fresh.swap_remove(self.luck.next_u32() as usize % fresh.len());
            self.words[block][index] &= !(1 << bit);
        }
    }
}

/// Whether a fuse withstands this pulse.
fn resists(faults: &FuseFaults, tries: &mut BTreeMap<(u8, u16), u32>, place: (u8, u16)) -> bool {
    if faults
        .stuck
        .iter()
        .any(|fuse| (fuse.block, fuse.bit) == place)
    {
        return true;
    }
    let Some(weak) = faults
        .weak
        .iter()
        .find(|fuse| (fuse.block, fuse.bit) == place)
    else {
        return false;
    };
    let tries = tries.entry(place).or_insert(0);
    *tries += 1;
    *tries < weak.pulses
}
