//! A plan while it is drawn up: what the chip has, what is wanted, and what stands against it.
//!
//! Invariants: nothing is dropped silently: a wish either becomes bits, is noted as satisfied, or
//! leaves a refusal; bits that are wanted are a superset of nothing but the wishes.

use crate::chip::Chip;
use crate::efuse::map::{Coding, FieldKind, FuseBlock, FuseField, FuseMap, Generation};

use super::bits::Bits;
use super::guards::{self, RD_DIS, WR_DIS};
use super::{BlockWish, Danger, FieldValue, KeyUse, PulseRecord, Refusal, Snapshot, Token, Wish};

/// What is known and wanted.
pub(super) struct Draft<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) wish: &'a Wish,
    pub(super) earlier: &'a [PulseRecord],
    pub(super) map: &'static FuseMap,
    /// What the chip shows.
    pub(super) now: Bits,
    /// What the wishes ask for, set already or not.
    pub(super) want: Bits,
    /// What they ask to stay clear.
    pub(super) clear: Bits,
    /// Coded blocks that are burned again with the same content.
    pub(super) again: Vec<u8>,
    /// Blocks that hold, hidden, what an earlier pulse of ours put there.
    pub(super) proven: Vec<u8>,
    pub(super) keys: Vec<KeyUse>,
    /// What a line of a pulse says about a block above 0.
    pub(super) labels: Vec<(u8, String)>,
    pub(super) satisfied: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) refusals: Vec<Refusal>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, wish: &'a Wish, earlier: &'a [PulseRecord]) -> Self {
        let map = snapshot.map();
        Self {
            snapshot,
            wish,
            earlier,
            map,
            now: Bits::of(map, &snapshot.fuses),
            want: Bits::blank(map),
            clear: Bits::blank(map),
            again: Vec::new(),
            proven: Vec::new(),
            keys: Vec::new(),
            labels: Vec::new(),
            satisfied: Vec::new(),
            warnings: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// What the chip will have.
    pub(super) fn end(&self) -> Bits {
        let mut end = self.now.clone();
        end.add(&self.want);
        end
    }

    /// What is to be burned.
    pub(super) fn missing(&self) -> Bits {
        self.want.without(&self.now)
    }

    pub(super) fn refuse(
        &mut self,
        code: &'static str,
        place: &str,
        what: impl Into<String>,
        hint: &str,
    ) {
        self.refusals.push(Refusal {
            code,
            what: what.into(),
            place: place.to_owned(),
            hint: hint.to_owned(),
        });
    }

    pub(super) fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    pub(super) fn accepts(&self, danger: Danger) -> bool {
        self.wish.accepted.contains(&danger)
    }

    /// Refuses unless the danger is wanted; then it becomes a warning.
    pub(super) fn dare(
        &mut self,
        danger: Danger,
        place: &str,
        what: impl Into<String>,
        hint: &str,
    ) {
        let what = what.into();
        if self.accepts(danger) {
            self.warn(format!("{place}: {what} (accepted: `{danger}`)"));
        } else {
            let hint = format!("{hint}; or accept `{danger}` in the wish");
            self.refuse(danger.name(), place, what, &hint);
        }
    }

    /// How many bytes of a block can be burned: fewer on an ESP32 with 3/4 coding.
    pub(super) fn capacity(&self, block: &FuseBlock) -> usize {
        if self.three_quarters(block) {
            24
        } else {
            usize::from(block.words) * 4
        }
    }

    /// Whether a block is 3/4 coded.
    pub(super) fn three_quarters(&self, block: &FuseBlock) -> bool {
        block.coding == Coding::ByScheme && scheme(self.map, &self.now) == 1
    }

    /// Whether a block's bits cannot be added to, because check bits belong to them.
    pub(super) fn coded(&self, block: &FuseBlock) -> bool {
        block.coding == Coding::ReedSolomon || self.three_quarters(block)
    }

    /// The token of `words` in a block of this chip.
    pub(super) fn token(&self, block: &FuseBlock, words: &[u32]) -> Token {
        Token::of(self.snapshot.mac, block, words)
    }

    /// Whether a pulse with exactly this content was intended on this block before.
    pub(super) fn was_intended(&self, block: &FuseBlock, words: &[u32]) -> bool {
        let token = self.token(block, words);
        let mut records = self.earlier.iter();
        records.any(|record| record.block == block.number && record.after == token)
    }

    /// Whether the coding of a block reports errors.
    pub(super) fn has_errors(&self, block: u8) -> bool {
        let mut errors = self.snapshot.errors.iter();
        errors.any(|error| error.block == block && (error.count > 0 || error.failed))
    }

    /// Whether a field carries a bit; false when the chip has no such field.
    pub(super) fn set_in(&self, bits: &Bits, name: &str) -> bool {
        self.map
            .field(name)
            .is_some_and(|field| bits.touches(field))
    }

    pub(super) fn label(&mut self, block: u8, text: impl Into<String>) {
        self.labels.push((block, text.into()));
    }

    /// Fields, bits, blocks, custom MAC, voltage and protections; keys come through `keys.rs`.
    pub(super) fn translate(&mut self) {
        let wish = self.wish;
        for one in &wish.fields {
            self.field_wish(&one.field, &one.value);
        }
        for one in &wish.bits {
            self.bit_wish(&one.block, &one.bits);
        }
        for one in &wish.blocks {
            self.block_wish(one);
        }
        if let Some(mac) = wish.custom_mac {
            self.custom_mac(mac);
        }
        if let Some(voltage) = wish.flash_voltage {
            self.flash_voltage(voltage);
        }
        for name in &wish.write_protect {
            self.write_protect(name);
        }
    }

    fn field_wish(&mut self, name: &str, value: &FieldValue) {
        let Some(field) = self.map.field(name) else {
            let hint = "`station efuse read` lists the fields of this chip";
            let what = format!("{} has no such field", self.map.chip.title());
            return self.refuse("field-unknown", name, what, hint);
        };
        let width = field.width();
        let mut asked = Bits::blank(self.map);
        match value {
            FieldValue::Number(value) => {
                if width < 64 && value >> width != 0 {
                    let what = format!("{value:#x} does not fit {width} bits");
                    return self.refuse("value-too-wide", field.name, what, "give a smaller value");
                }
                asked.set_number(field, *value);
            }
            FieldValue::Bytes(bytes) => {
                let need = width.div_ceil(8) as usize;
                if bytes.len() != need || width % 8 != 0 {
                    let what = format!("{} bytes are given for {width} bits", bytes.len());
                    let hint = "give exactly the bytes of the field, or a number";
                    return self.refuse("value-length", field.name, what, hint);
                }
                asked.set_field_bytes(field, bytes);
            }
        }
        self.ask_field(field, &asked);
    }

    /// Takes up the bits of a field, unless set bits would have to be cleared.
    pub(super) fn ask_field(&mut self, field: &'static FuseField, asked: &Bits) {
        if field.kind == FieldKind::Mac || matches!(field.name, "MAC_CRC" | "MAC_EXT") {
            let what = "the factory's address is not changed";
            let hint = "wish a custom MAC instead";
            return self.refuse("factory-mac", field.name, what, hint);
        }
        let guard = matches!(field.name, WR_DIS | RD_DIS);
        let clear: Vec<_> = Bits::places(field)
            .filter(|(block, bit)| !guard && !asked.has(*block, *bit))
            .collect();
        if clear.iter().any(|(block, bit)| self.now.has(*block, *bit)) {
            let what = format!(
                "set bits would have to be cleared: it is {}",
                shown(field, &self.now)
            );
            let hint = "fuses are only ever set; wish the value it has, with more bits or none";
            return self.refuse("bits-cannot-clear", field.name, what, hint);
        }
        for (block, bit) in clear {
            self.clear.set(block, bit);
        }
        if asked.without(&self.now).touches(field) {
            if field.block() != 0 {
                self.label(field.block(), format!("sets `{}`", field.name));
            }
        } else {
            let text = format!("`{}` is {} already", field.name, shown(field, &self.now));
            self.satisfied.push(text);
        }
        self.want.add(asked);
    }

    fn bit_wish(&mut self, name: &str, wished: &[u16]) {
        let Some(block) = self.known_block(name) else {
            return;
        };
        let most = self.capacity(block) * 8;
        let mut asked = Bits::blank(self.map);
        for bit in wished {
            if usize::from(*bit) >= most {
                let what = format!("it has no bit {bit}; bits are 0 to {}", most - 1);
                self.refuse("bits-outside", block.name, what, "count from 0");
                continue;
            }
            asked.set(block.number, *bit);
        }
        let missing = asked.without(&self.now);
        if missing.is_blank(block.number) {
            self.satisfied
                .push(format!("bits of `{}` are set already", block.name));
        } else if block.number != 0 {
            self.label(block.number, "sets single bits");
        }
        self.want.add(&asked);
    }

    fn block_wish(&mut self, wish: &BlockWish) {
        let Some(block) = self.known_block(&wish.block) else {
            return;
        };
        let (offset, bytes) = (usize::from(wish.offset), wish.bytes.expose());
        let capacity = self.capacity(block);
        if bytes.is_empty() || offset + bytes.len() > capacity {
            let what = format!(
                "{} bytes from byte {offset} do not fit its {capacity} bytes",
                bytes.len()
            );
            return self.refuse("bytes-outside", block.name, what, "give bytes that fit");
        }
        let mut asked = Bits::blank(self.map);
        asked.set_bytes(block.number, offset, bytes);
        if bytes.iter().all(|byte| *byte == 0) {
            self.warn(format!(
                "`{}`: bytes that are all zero are not burned",
                block.name
            ));
        }
        if asked.without(&self.now).is_blank(block.number) {
            let text = format!("`{}` holds the wished bytes already", block.name);
            self.satisfied.push(text);
        } else {
            let text = format!("burns {} bytes from byte {offset}", bytes.len());
            self.label(block.number, text);
        }
        let clear = self.keep_clear(block, offset, bytes);
        if !self.coded(block) && clear.iter().any(|bit| self.now.has(block.number, *bit)) {
            let what = "set bits would have to be cleared";
            let hint = "fuses are only ever set; wish bytes that have every bit that is set";
            self.refuse("bits-cannot-clear", block.name, what, hint);
        }
        self.want.add(&asked);
    }

    /// A bit that one wish wants clear and another set makes one of them untrue.
    pub(super) fn check_contradictions(&mut self) {
        let both = self.want.without(&self.want.without(&self.clear));
        for block in self.map.blocks {
            let whole = both.block(block.number).iter().any(|word| *word != 0);
            let mut fields = self.map.fields.iter();
            let field = fields.find(|field| field.block() == block.number && both.touches(field));
            if whole {
                let place = field.map_or(block.name, |field| field.name);
                let what = "one wish sets bits of it that another wants clear";
                self.refuse("wish-contradicts", place, what, "wish one value");
            }
        }
    }

    /// The bits of `bytes` that are clear, which shall stay so.
    pub(super) fn keep_clear(
        &mut self,
        block: &FuseBlock,
        offset: usize,
        bytes: &[u8],
    ) -> Vec<u16> {
        let mut clear = Vec::new();
        for (index, byte) in bytes.iter().enumerate() {
            for bit in (0..8).filter(|bit| byte >> bit & 1 == 0) {
                let place = u16::try_from((offset + index) * 8 + bit).unwrap_or(u16::MAX);
                self.clear.set(block.number, place);
                clear.push(place);
            }
        }
        clear
    }

    pub(super) fn known_block(&mut self, name: &str) -> Option<&'static FuseBlock> {
        let block = self.map.block_named(name);
        if block.is_none() {
            let what = format!("{} has no such block", self.map.chip.title());
            let hint = "`station efuse read` lists the blocks of this chip";
            self.refuse("block-unknown", name, what, hint);
        }
        block
    }

    fn write_protect(&mut self, name: &str) {
        let block = self.map.block_named(name);
        let index = match (block, self.map.field(name)) {
            (Some(block), _) => block.write_disable,
            (None, Some(field)) => field.write_disable,
            (None, None) => {
                let what = format!("{} has no such field or block", self.map.chip.title());
                return self.refuse("field-unknown", name, what, "check the name");
            }
        };
        let Some(index) = index else {
            let what = "nothing closes it against writing";
            return self.refuse("cannot-protect", name, what, "leave it out");
        };
        if guards::guard_set(self.map, &self.now, WR_DIS, index) {
            self.satisfied
                .push(format!("`{name}` is write-protected already"));
        }
        guards::set_guard(self.map, &mut self.want, WR_DIS, index);
    }

    /// Read protection, once the keys have their slots.
    pub(super) fn read_protect_all(&mut self) {
        let wish = self.wish;
        for name in &wish.read_protect {
            self.read_protect(name);
        }
    }

    fn read_protect(&mut self, name: &str) {
        let block = self.map.block_named(name);
        let indices = match (block, self.map.field(name)) {
            (Some(block), _) => guards::read_guards(block),
            (None, Some(field)) => field.read_disable.bits().collect(),
            (None, None) => {
                let what = format!("{} has no such field or block", self.map.chip.title());
                return self.refuse("field-unknown", name, what, "check the name");
            }
        };
        if indices.is_empty() {
            let what = "nothing hides it from software";
            return self.refuse("cannot-protect", name, what, "leave it out");
        }
        for index in indices {
            if guards::guard_set(self.map, &self.now, RD_DIS, index) {
                self.satisfied
                    .push(format!("`{name}` is read-protected already"));
            }
            guards::set_guard(self.map, &mut self.want, RD_DIS, index);
        }
    }
}

/// The coding scheme an ESP32 is set to; 0 on all other chips.
pub(super) fn scheme(map: &FuseMap, bits: &Bits) -> u64 {
    let field = (map.chip == Chip::Esp32 && map.controller.generation == Generation::First)
        .then(|| map.field("CODING_SCHEME"))
        .flatten();
    field.map_or(0, |field| bits.number(field))
}

/// A field's value as people read it.
pub(super) fn shown(field: &FuseField, bits: &Bits) -> String {
    if field.width() > 64 {
        "set".to_owned()
    } else {
        let value = bits.number(field);
        match field.width() {
            0..=3 => value.to_string(),
            _ => format!("{value:#x}"),
        }
    }
}
