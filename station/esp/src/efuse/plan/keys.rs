//! Keys and digests: which block, in which byte order, with which purpose and protection.
//!
//! Invariants: a key goes into a slot that is free, that holds it already, or that an interrupted
//! pulse with exactly this key was burning; the purpose is closed together with the key; a digest
//! of secure boot is never hidden.

use std::ops::Range;

use crate::chip::Chip;
use crate::efuse::map::FuseBlock;
use crate::secret::Secret;

use super::bits::Bits;
use super::draft::Draft;
use super::guards::{self, RD_DIS, WR_DIS};
use super::pieces::{Piece, half};
use super::{Danger, KeyUse, KeyWish, Slot};

/// Bytes of a block that a key of this wish took.
type Taken = (u8, Range<usize>);

/// How well a slot fits.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It holds the key already.
    Holds,
    /// An interrupted pulse was burning this key into it.
    Begun,
    /// It is free.
    Free,
}

impl Draft<'_> {
    /// Gives every key its slot: those that name one first.
    pub(super) fn place_keys(&mut self) {
        let wish = self.wish;
        let mut taken = Vec::new();
        let named = wish.keys.iter().filter(|key| key.slot != Slot::Free);
        let free = wish.keys.iter().filter(|key| key.slot == Slot::Free);
        for key in named.chain(free) {
            let Some(pieces) = self.pieces(key) else {
                continue;
            };
            if key.key.expose().iter().all(|byte| *byte == 0) {
                let what = "a key of zeros cannot be told from no key";
                let hint = "give a real key";
                self.refuse("key-blank", &key.purpose, what, hint);
                continue;
            }
            self.check_protection(key, &pieces);
            self.place(key, &pieces, &mut taken);
        }
    }

    fn place(&mut self, key: &KeyWish, pieces: &[Piece], taken: &mut Vec<Taken>) {
        let mut next = None;
        for piece in pieces {
            let found = match (&key.slot, next) {
                (Slot::Named(name), None) => self.named_slot(name, piece),
                (Slot::Named(_), Some(number)) => self.following_slot(number, piece, taken),
                (Slot::Free, _) => self.free_slot(piece, taken),
            };
            let Some(block) = found else { return };
            next = Some(block.number);
            let end = piece.offset + piece.bytes.len();
            let overlaps = taken.iter().any(|(number, other)| {
                *number == block.number && other.start < end && piece.offset < other.end
            });
            if overlaps {
                let what = "two keys are wished for it";
                self.refuse("slot-twice", block.name, what, "one slot holds one key");
                return;
            }
            taken.push((block.number, piece.offset..end));
            if self.fits(block, piece) {
                self.put(key, piece, block);
            } else {
                return;
            }
        }
    }

    /// The slot somebody named, if it is one.
    fn named_slot(&mut self, name: &str, piece: &Piece) -> Option<&'static FuseBlock> {
        let by_purpose = (self.map.chip == Chip::Esp32 && name == piece.purpose)
            .then(|| self.esp32_slot(&piece.purpose))
            .flatten();
        if by_purpose.is_some() {
            return by_purpose;
        }
        let block = self.known_block(name)?;
        let fixed = self.esp32_slot(&piece.purpose);
        let fits = if self.map.chip == Chip::Esp32 {
            fixed.is_some_and(|fixed| fixed.number == block.number)
        } else {
            block.key_slot
        };
        if !fits {
            let what = format!("it cannot hold a key for `{}`", piece.purpose);
            let hint = "name a key block, or take a free one";
            self.refuse("slot-unfit", block.name, what, hint);
        }
        fits.then_some(block)
    }

    /// ESP32: where keys of this purpose live.
    fn esp32_slot(&self, purpose: &str) -> Option<&'static FuseBlock> {
        let number = match purpose {
            "flash_encryption" => 1,
            "secure_boot_v1" | "secure_boot_v2" => 2,
            _ => return None,
        };
        self.map.block(number)
    }

    /// The second slot of a wide key: the next one that is free or has it.
    fn following_slot(
        &mut self,
        first: u8,
        piece: &Piece,
        taken: &[Taken],
    ) -> Option<&'static FuseBlock> {
        let later = |block: &&'static FuseBlock| block.key_slot && block.number > first;
        let slots: Vec<_> = self.map.blocks.iter().filter(later).collect();
        self.best(
            &slots,
            piece,
            taken,
            "no key block behind the first is free",
        )
    }

    fn free_slot(&mut self, piece: &Piece, taken: &[Taken]) -> Option<&'static FuseBlock> {
        let slots: Vec<_> = if self.map.chip == Chip::Esp32 {
            self.esp32_slot(&piece.purpose).into_iter().collect()
        } else {
            self.map.key_slots().collect()
        };
        self.best(&slots, piece, taken, "no key block is free for it")
    }

    fn best(
        &mut self,
        slots: &[&'static FuseBlock],
        piece: &Piece,
        taken: &[Taken],
        otherwise: &str,
    ) -> Option<&'static FuseBlock> {
        if let ([only], None) = (slots, self.map.purposes.first()) {
            return Some(only);
        }
        let open = |block: &&&FuseBlock| {
            !taken.iter().any(|(number, _)| *number == block.number)
                && !piece.unfit.contains(&block.number)
        };
        let rated = slots.iter().filter(open).filter_map(|block| {
            let fit = self.rate(block, piece)?;
            Some((fit, *block))
        });
        let best =
            rated.min_by(|one, other| (&one.0, one.1.number).cmp(&(&other.0, other.1.number)));
        if best.is_none() {
            let hint = "every fitting block is occupied, protected or faulty for this purpose";
            self.refuse("slot-none-free", &piece.purpose, otherwise, hint);
        }
        best.map(|(_, block)| block)
    }

    /// The words a block will have with this piece in it, and what else is wished for its halves.
    fn content(&self, block: &FuseBlock, piece: &Piece) -> Vec<u32> {
        let mut content = Bits::blank(self.map);
        content.set_bytes(block.number, piece.offset, piece.bytes.expose());
        if self.map.chip == Chip::Esp32C2 {
            for key in &self.wish.keys {
                if let Some((offset, bytes, _)) = half(key) {
                    content.set_bytes(block.number, offset, bytes.expose());
                }
            }
        }
        content.block(block.number).to_vec()
    }

    /// Whether any word this piece lies in is hidden.
    fn is_hidden(&self, block: &FuseBlock, piece: &Piece) -> bool {
        let words = guards::hidden_words(self.map, &self.now, block);
        let end = (piece.offset + piece.bytes.len()) / 4;
        let own = words.get(piece.offset / 4..end).unwrap_or(&[]);
        own.contains(&true)
    }

    fn rate(&self, block: &FuseBlock, piece: &Piece) -> Option<Fit> {
        let content = self.content(block, piece);
        let ours = self.was_intended(block, &content);
        if self.is_hidden(block, piece) {
            let holds = ours && self.purpose_is(block, piece) && !self.has_errors(block.number);
            return holds.then_some(Fit::Holds);
        }
        let now = self.now.block(block.number);
        let same = now == content && self.purpose_fits(block, piece);
        if same && (self.purpose_is(block, piece) || ours) {
            return Some(Fit::Holds);
        }
        if ours && self.purpose_fits(block, piece) && self.is_begun(block, &content) {
            return Some(Fit::Begun);
        }
        let free = self.now.is_blank(block.number)
            && self.want.is_blank(block.number)
            && self.purpose_is_unwished(block, piece)
            && !self.has_errors(block.number)
            && self.purpose_code_now(block).is_none_or(|code| code == 0)
            && !self.purpose_closed(block, piece)
            && !guards::block_closed(self.map, &self.now, block);
        free.then_some(Fit::Free)
    }

    /// Whether a block may show a part of `content` that an interrupted pulse left.
    pub(super) fn is_begun(&self, block: &FuseBlock, content: &[u32]) -> bool {
        let now = self.now.block(block.number);
        let part = now.iter().zip(content).all(|(now, all)| now & !all == 0);
        part || self.has_errors(block.number)
    }

    fn purpose_code_now(&self, block: &FuseBlock) -> Option<u64> {
        let field = self.map.field(block.purpose?)?;
        Some(self.now.number(field))
    }

    fn purpose_is(&self, block: &FuseBlock, piece: &Piece) -> bool {
        let wanted = piece.code.map(u64::from);
        self.purpose_code_now(block) == wanted || block.purpose.is_none()
    }

    /// Whether the purpose is there, or blank, or the part of it that an interrupted pulse left.
    fn purpose_fits(&self, block: &FuseBlock, piece: &Piece) -> bool {
        let (Some(now), Some(code)) = (self.purpose_code_now(block), piece.code) else {
            return true;
        };
        let code = u64::from(code);
        now == 0 || now == code || (now & !code == 0 && self.purpose_was_intended(block, code))
    }

    /// Whether no other wish gives this slot another purpose.
    fn purpose_is_unwished(&self, block: &FuseBlock, piece: &Piece) -> bool {
        let field = block.purpose.and_then(|name| self.map.field(name));
        let wished = field.map_or(0, |field| self.want.number(field));
        wished & !u64::from(piece.code.unwrap_or(0)) == 0
    }

    /// Whether an earlier pulse on block 0 meant to give this slot this purpose.
    fn purpose_was_intended(&self, block: &FuseBlock, code: u64) -> bool {
        let Some(field) = block.purpose.and_then(|name| self.map.field(name)) else {
            return false;
        };
        self.earlier.iter().any(|record| {
            let mut bits = Bits::blank(self.map);
            let words = record.after.words().unwrap_or(&[]);
            for (word, from) in bits.block_mut(record.block).iter_mut().zip(words) {
                *word = *from;
            }
            record.block == field.block() && bits.number(field) == code
        })
    }

    fn purpose_closed(&self, block: &FuseBlock, piece: &Piece) -> bool {
        let field = block.purpose.and_then(|name| self.map.field(name));
        let needs = piece.code.is_some_and(|code| code != 0);
        needs && field.is_some_and(|field| guards::field_closed(self.map, &self.now, field))
    }

    /// Refuses what this slot cannot take; true when it can.
    fn fits(&mut self, block: &'static FuseBlock, piece: &Piece) -> bool {
        let before = self.refusals.len();
        if piece.unfit.contains(&block.number) {
            let what = format!("its hardware cannot use `{}`", piece.purpose);
            self.refuse("slot-unfit", block.name, what, "take another key block");
        }
        if !self.purpose_fits(block, piece) {
            let what = format!(
                "its purpose is code {} already",
                self.purpose_code_now(block).unwrap_or(0)
            );
            let hint = "take another key block";
            self.refuse("slot-taken", block.name, what, hint);
        } else if !self.purpose_is(block, piece) && self.purpose_closed(block, piece) {
            let what = "its purpose field is write-protected";
            self.refuse(
                "purpose-protected",
                block.name,
                what,
                "take another key block",
            );
        }
        let content = self.content(block, piece);
        if self.is_hidden(block, piece) {
            let ours = self.was_intended(block, &content) && self.purpose_is(block, piece);
            if !ours {
                let what = "it is hidden from software, so nobody can tell what is in it";
                let hint = "take another key block, or give the records of the burn that filled it";
                self.refuse("block-hidden", block.name, what, hint);
            } else if self.has_errors(block.number) {
                let what = "it is hidden and its coding reports errors";
                let hint = "the key cannot be trusted; take the unit out";
                self.refuse("block-hidden", block.name, what, hint);
            } else {
                self.proven.push(block.number);
            }
        }
        self.refusals.len() == before
    }

    /// Takes up the key's bits, its purpose and its protections.
    fn put(&mut self, key: &KeyWish, piece: &Piece, block: &'static FuseBlock) {
        let proven = self.proven.contains(&block.number);
        let content = self.content(block, piece);
        let end_matches = |now: &[u32]| {
            let mut both = now.iter().zip(&content);
            both.all(|(now, all)| all & !now == 0)
        };
        let present =
            proven || (end_matches(self.now.block(block.number)) && !self.has_errors(block.number));
        if !proven {
            self.keep_clear(block, piece.offset, piece.bytes.expose());
            self.want
                .set_bytes(block.number, piece.offset, piece.bytes.expose());
        }
        if let (Some(field), Some(code)) = (
            block.purpose.and_then(|name| self.map.field(name)),
            piece.code,
        ) {
            for (index, (block, bit)) in Bits::places(field).enumerate() {
                if code >> index & 1 == 0 {
                    self.clear.set(block, bit);
                }
            }
            self.want.set_number(field, code.into());
            if let Some(index) = field.write_disable {
                guards::set_guard(self.map, &mut self.want, WR_DIS, index);
            }
        }
        let hide = key.read_protect.unwrap_or(!piece.hide.is_empty());
        if hide {
            let all = guards::read_guards(block);
            for index in piece.hide.iter().filter_map(|hide| all.get(*hide)) {
                guards::set_guard(self.map, &mut self.want, RD_DIS, *index);
            }
        }
        if key.write_protect != Some(false)
            && let Some(index) = block.write_disable
        {
            guards::set_guard(self.map, &mut self.want, WR_DIS, index);
        }
        let name = Secret::fingerprint(&key.key);
        let text = format!("burns a key for `{}` (key {name})", piece.purpose);
        if present {
            self.satisfied.push(format!(
                "`{}` holds the key for `{}` already (key {name})",
                block.name, piece.purpose
            ));
        } else {
            self.label(block.number, text);
        }
        self.keys.push(KeyUse {
            block: block.number,
            purpose: piece.purpose.clone(),
            fingerprint: name,
            hidden: hide && !piece.hide.is_empty(),
            present,
        });
    }

    fn check_protection(&mut self, key: &KeyWish, pieces: &[Piece]) {
        let hides = pieces.iter().any(|piece| !piece.hide.is_empty());
        let hint = "leave the protection to the purpose";
        if key.read_protect == Some(true) && !hides {
            let what = "it must stay readable for what it is for";
            self.refuse("must-stay-readable", &key.purpose, what, hint);
        }
        if key.read_protect == Some(false) && hides {
            let what = "its key stays readable by software";
            self.dare(Danger::UnprotectedKey, &key.purpose, what, hint);
        }
        if key.write_protect == Some(false) {
            let what = "its block stays writable; further bits would destroy the key";
            self.dare(Danger::UnprotectedKey, &key.purpose, what, hint);
        }
    }
}
