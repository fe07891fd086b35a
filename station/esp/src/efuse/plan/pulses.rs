//! The bits of a plan, cut into programming commands in the order that loses nothing.
//!
//! Invariants: blocks from the last to block 1, then block 0; in block 0 what guards something is
//! burned after it, and what may end the conversation is burned last. A WR_DIS bit comes one
//! command after the last bit it guards, so that a loss of power cannot close a field half burned;
//! only what closes download mode shares its command with its own guard.

use crate::efuse::coding;
use crate::efuse::map::{Coding, FuseBlock, FuseField, ReadDisable};
use crate::secret::Secret;

use super::bits::Bits;
use super::draft::{Draft, shown};
use super::guards::{self, RD_DIS, WR_DIS};
use super::rules::{CRYPT_COUNT, DOWNLOAD, SECURE_BOOT};
use super::{Pulse, ReadBack};

/// The commands on block 0, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Fields and purposes.
    Fields,
    /// What hides blocks, and what closes everything burned before.
    Hide,
    /// What switches flash encryption on.
    Encrypt,
    /// What switches secure boot on.
    Boot,
    /// What closes the fields of the commands since [`Stage::Hide`].
    Close,
    /// What closes download mode.
    Download,
}

impl Stage {
    const ALL: [Self; 6] = [
        Self::Fields,
        Self::Hide,
        Self::Encrypt,
        Self::Boot,
        Self::Close,
        Self::Download,
    ];

    fn of(name: &str) -> Self {
        if name == RD_DIS {
            Self::Hide
        } else if CRYPT_COUNT.contains(&name) {
            Self::Encrypt
        } else if SECURE_BOOT.contains(&name) {
            Self::Boot
        } else if DOWNLOAD.contains(&name) {
            Self::Download
        } else {
            Self::Fields
        }
    }

    /// Where a guard goes whose last field is burned in `self`.
    fn closing(self) -> Self {
        match self {
            Self::Fields => Self::Hide,
            Self::Hide | Self::Encrypt | Self::Boot => Self::Close,
            Self::Close | Self::Download => Self::Download,
        }
    }
}

impl Draft<'_> {
    /// Every programming command, in order.
    pub(super) fn pulses(&self) -> Vec<Pulse> {
        let mut pulses = Vec::new();
        for block in self.map.blocks.iter().rev() {
            if block.number == 0 {
                self.block_0(block, &mut pulses);
            } else {
                pulses.extend(self.whole(block));
            }
        }
        for (number, pulse) in (1..).zip(&mut pulses) {
            pulse.number = number;
        }
        pulses
    }

    fn whole(&self, block: &'static FuseBlock) -> Option<Pulse> {
        let again = self.again.contains(&block.number);
        let missing = self.missing();
        if missing.is_blank(block.number) && !again {
            return None;
        }
        let data = if again {
            self.want.block(block.number).to_vec()
        } else {
            missing.block(block.number).to_vec()
        };
        let before = self.now.block(block.number).to_vec();
        let after: Vec<u32> = if again {
            data.clone()
        } else {
            data.iter()
                .zip(&before)
                .map(|(new, old)| new | old)
                .collect()
        };
        let mut bytes: Vec<u8> = data.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut check = None;
        if self.three_quarters(block) {
            let mut short = [0; 24];
            short.copy_from_slice(&bytes[..24]);
            bytes = coding::three_quarters(&short).to_vec();
        } else if block.coding == Coding::ReedSolomon {
            bytes.resize(32, 0);
            let mut whole = [0; 32];
            whole.copy_from_slice(&bytes);
            let words = coding::check_words(&whole);
            let words = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            check = Some(Secret::new(words));
        }
        let hideable = block.read_disable != ReadDisable::Never;
        let seen = after.iter().flat_map(|word| word.to_le_bytes());
        let after = if hideable {
            ReadBack::Secret(Secret::new(seen.collect()))
        } else {
            ReadBack::Words(after)
        };
        let labels = self
            .labels
            .iter()
            .filter(|(number, _)| *number == block.number);
        let mut does: Vec<String> = labels
            .map(|(_, text)| format!("`{}`: {text}", block.name))
            .collect();
        if again {
            does.push(format!(
                "`{}`: repeats a burn that was interrupted, with the same content",
                block.name
            ));
        }
        Some(Pulse {
            number: 0,
            block: block.number,
            words: self.padded(block, bytes),
            check,
            before,
            after,
            does,
            last_contact: false,
        })
    }

    fn padded(&self, block: &FuseBlock, mut bytes: Vec<u8>) -> Secret {
        let least = usize::from(self.map.program_words(block)) * 4;
        let length = bytes.len().max(least);
        bytes.resize(length, 0);
        Secret::new(bytes)
    }

    fn block_0(&self, block: &'static FuseBlock, pulses: &mut Vec<Pulse>) {
        let missing = self.missing();
        let staged = self.staged(&missing);
        let mut there = self.now.clone();
        for stage in Stage::ALL {
            let mut new = Bits::blank(self.map);
            for (_, bit) in staged.iter().filter(|(own, _)| *own == stage) {
                new.set(0, *bit);
            }
            if new.is_blank(0) {
                continue;
            }
            let before = guards::visible(self.map, &there).block(0).to_vec();
            there.add(&new);
            let bytes = new.block(0).iter().flat_map(|word| word.to_le_bytes());
            let mut last = DOWNLOAD.iter().filter_map(|name| self.map.field(name));
            pulses.push(Pulse {
                number: 0,
                block: 0,
                words: self.padded(block, bytes.collect()),
                check: None,
                before,
                after: ReadBack::Words(guards::visible(self.map, &there).block(0).to_vec()),
                does: self.lines(&new, &there),
                last_contact: last.any(|field| new.touches(field)),
            });
        }
    }

    /// Every new bit of block 0 with the command it belongs to.
    fn staged(&self, missing: &Bits) -> Vec<(Stage, u16)> {
        let guard = self.map.field(WR_DIS);
        let places: Vec<u16> = guard
            .into_iter()
            .flat_map(Bits::places)
            .map(|(_, bit)| bit)
            .collect();
        let bits = u16::try_from(missing.block(0).len() * 32).unwrap_or(u16::MAX);
        let mut staged: Vec<(Stage, u16)> = (0..bits)
            .filter(|bit| missing.has(0, *bit) && !places.contains(bit))
            .map(|bit| (self.stage_of(bit), bit))
            .collect();
        let mut last_guard = None;
        let own = guard.and_then(|field| field.write_disable);
        for (index, bit) in (0u8..).zip(&places) {
            if !missing.has(0, *bit) || own == Some(index) {
                continue;
            }
            let stage = self
                .last_guarded(index, missing)
                .map_or(Stage::Hide, Stage::closing);
            last_guard = last_guard.max(Some(stage));
            staged.push((stage, *bit));
        }
        let place = own.and_then(|index| places.get(usize::from(index)));
        if let Some(bit) = place.filter(|bit| missing.has(0, **bit)) {
            staged.push((last_guard.map_or(Stage::Hide, Stage::closing), *bit));
        }
        staged
    }

    fn stage_of(&self, bit: u16) -> Stage {
        let mut owners = self.map.fields.iter().filter(|field| owns(field, bit));
        let stages = owners.by_ref().map(|field| Stage::of(field.name));
        stages.max().unwrap_or(Stage::Fields)
    }

    /// The last command that burns something this guard closes.
    fn last_guarded(&self, index: u8, missing: &Bits) -> Option<Stage> {
        let fields = self.map.closed_by(index);
        let new = fields.filter(|field| field.block() == 0 && missing.touches(field));
        new.filter(|field| field.name != WR_DIS)
            .map(|field| Stage::of(field.name))
            .max()
    }

    /// What a command on block 0 does, in words.
    fn lines(&self, new: &Bits, there: &Bits) -> Vec<String> {
        let mut lines = Vec::new();
        let mut told = Bits::blank(self.map);
        for field in self.map.fields.iter().filter(|field| field.block() == 0) {
            let fresh = new.without(&told);
            if !fresh.touches(field) {
                continue;
            }
            let text = match field.name {
                WR_DIS => self.closes(field, new),
                RD_DIS => self.hides(field, new),
                name => vec![format!("sets `{name}` to {}", self.value(field, there))],
            };
            lines.extend(text);
            for (block, bit) in Bits::places(field) {
                told.set(block, bit);
            }
        }
        let rest = new.without(&told);
        let bits = u16::try_from(rest.block(0).len() * 32).unwrap_or(u16::MAX);
        for bit in (0..bits).filter(|bit| rest.has(0, *bit)) {
            lines.push(format!("sets bit {bit} of `BLOCK0`, which has no name"));
        }
        lines
    }

    fn value(&self, field: &FuseField, there: &Bits) -> String {
        let code = u8::try_from(there.number(field)).ok();
        let purpose = code.and_then(|code| self.map.purpose_code(code));
        let is_purpose = self
            .map
            .blocks
            .iter()
            .any(|block| block.purpose == Some(field.name));
        match purpose {
            Some(purpose) if is_purpose => format!("`{}`", purpose.name),
            _ => shown(field, there),
        }
    }

    fn closes(&self, guard: &FuseField, new: &Bits) -> Vec<String> {
        let bits = (0u8..).zip(Bits::places(guard));
        let set = bits.filter(|(_, (block, bit))| new.has(*block, *bit));
        set.map(|(index, _)| {
            let blocks = self.map.blocks.iter();
            let blocks = blocks.filter(|block| block.write_disable == Some(index));
            let names: Vec<_> = blocks.map(|block| format!("`{}`", block.name)).collect();
            let fields = self.map.closed_by(index).filter(|field| field.block() == 0);
            let names: Vec<_> = names
                .into_iter()
                .chain(fields.map(|field| format!("`{}`", field.name)))
                .collect();
            if names.is_empty() {
                format!("closes what WR_DIS bit {index} guards, which has no name")
            } else {
                format!("closes against writing: {}", names.join(", "))
            }
        })
        .collect()
    }

    fn hides(&self, guard: &FuseField, new: &Bits) -> Vec<String> {
        let bits = (0u8..).zip(Bits::places(guard));
        let set = bits.filter(|(_, (block, bit))| new.has(*block, *bit));
        set.map(|(index, _)| {
            let part = |disable: ReadDisable| match disable {
                ReadDisable::Whole(own) if own == index => Some(""),
                ReadDisable::Halves(low, _) if low == index => Some("the low half of "),
                ReadDisable::Halves(_, high) if high == index => Some("the high half of "),
                ReadDisable::Never | ReadDisable::Whole(_) | ReadDisable::Halves(..) => None,
            };
            let blocks = self.map.blocks.iter();
            let names: Vec<_> = blocks
                .filter_map(|block| Some(format!("{}`{}`", part(block.read_disable)?, block.name)))
                .collect();
            if names.is_empty() {
                format!("hides from software what RD_DIS bit {index} guards")
            } else {
                format!("hides from software: {}", names.join(", "))
            }
        })
        .collect()
    }
}

fn owns(field: &FuseField, bit: u16) -> bool {
    let mut parts = field.parts.iter().filter(|part| part.block == 0);
    parts.any(|part| (part.bit..part.bit + part.width).contains(&bit))
}
