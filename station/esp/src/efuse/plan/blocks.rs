//! What the state of the chip itself forbids: closed, hidden and occupied blocks, coding errors.
//!
//! Invariants: a coded block is burned once, or again with the very same content after an
//! interrupted pulse; nothing is burned into a block that nobody can read.

use crate::efuse::map::FuseBlock;
use crate::words::counted;

use super::Danger;
use super::bits::Bits;
use super::draft::{Draft, scheme};
use super::guards;

impl Draft<'_> {
    /// What is wrong with the chip before anything is wished.
    pub(super) fn check_chip(&mut self) {
        let (snapshot, title) = (self.snapshot, self.map.chip.title());
        if snapshot.fuses.chip() != snapshot.chip {
            let what = "the fuses read are those of another chip";
            self.refuse("chip-differs", "chip", what, "read the fuses again");
        }
        let read = snapshot.fuses.mac();
        if read != snapshot.mac {
            let what = format!("its fuses say {read}, the session says {}", snapshot.mac);
            let hint = "another board may have been seated; read the fuses again";
            self.refuse("mac-differs", "MAC", what, hint);
        }
        if !snapshot.fuses.mac_crc_matches() {
            let what = "the factory MAC does not match its CRC";
            let hint = "the fuses are damaged or were misread; do not burn this chip";
            self.refuse("mac-crc", "MAC", what, hint);
        }
        if self.map.controller.timing(snapshot.crystal_mhz).is_none() {
            let what = format!("{title} cannot burn with {} MHz", snapshot.crystal_mhz);
            let hint = "the burn would have the wrong timing; check the board's crystal";
            self.refuse("crystal-unsupported", "crystal", what, hint);
        }
        if scheme(self.map, &self.now) == 2 {
            let what = "the coding scheme REPEAT is not supported";
            self.refuse(
                "scheme-unsupported",
                "CODING_SCHEME",
                what,
                "take another chip",
            );
        }
    }

    /// Every block and field that shall get new bits.
    pub(super) fn check_blocks(&mut self) {
        for block in self.map.blocks {
            self.check_block(block);
        }
        let missing = self.missing();
        for field in self.map.fields {
            if field.block() != 0 {
                continue;
            }
            if missing.touches(field) && guards::field_hidden(self.map, &self.now, field) {
                let what = "it is hidden from software, so nobody can tell what it is";
                self.refuse("field-hidden", field.name, what, "leave it out");
            }
            if missing.touches(field) && guards::field_closed(self.map, &self.now, field) {
                let what = "it is write-protected";
                let hint = match field.name {
                    "RD_DIS" => "nothing can be hidden any more: keys come before secure boot",
                    _ => "it stays as it is; leave it out or take another chip",
                };
                self.refuse("field-protected", field.name, what, hint);
            }
        }
        let needed = missing != Bits::blank(self.map) || !self.again.is_empty();
        if needed && self.set_in(&self.now, "ENABLE_SECURITY_DOWNLOAD") {
            let what = "secure download mode is on for good; fuses can no longer be burned";
            let hint = "burn everything before secure download mode";
            self.refuse("secure-download-on", "ENABLE_SECURITY_DOWNLOAD", what, hint);
        }
        self.check_errors();
    }

    fn check_block(&mut self, block: &'static FuseBlock) {
        let missing = self.missing();
        if self.repeats(block) {
            self.again.push(block.number);
        } else if missing.is_blank(block.number) || block.number == 0 {
            return;
        }
        if guards::block_closed(self.map, &self.now, block) {
            let what = "it is write-protected and does not hold what is wished";
            let hint = "take another block, or another chip";
            self.refuse("block-protected", block.name, what, hint);
        }
        let hidden = guards::hidden_words(self.map, &self.now, block).contains(&true);
        let refused = self.refusals.iter();
        let known = refused
            .clone()
            .any(|one| one.place == block.name && one.code == "block-hidden");
        if hidden && !known {
            let what = "it is hidden from software, so nobody can tell what is in it";
            let hint = "take another block";
            self.refuse("block-hidden", block.name, what, hint);
        } else if self.coded(block) && !self.again.contains(&block.number) && !hidden {
            self.check_occupied(block);
        }
    }

    /// Whether an interrupted pulse with exactly the wished content is to be repeated.
    fn repeats(&self, block: &FuseBlock) -> bool {
        let content = self.want.block(block.number);
        let begun = !self.missing().is_blank(block.number) || self.has_errors(block.number);
        self.coded(block)
            && begun
            && !self.want.is_blank(block.number)
            && (!self.now.is_blank(block.number) || self.has_errors(block.number))
            && !guards::hidden_words(self.map, &self.now, block).contains(&true)
            && self.was_intended(block, content)
            && self.is_begun(block, content)
    }

    fn check_occupied(&mut self, block: &'static FuseBlock) {
        let hint = "coded blocks are burned once: take another block, or wish what it holds";
        if self.three_quarters(block) {
            let (now, missing) = (self.now.clone(), self.missing());
            for chunk in 0..4 {
                let bits = || (chunk * 48..(chunk + 1) * 48).map(|bit: u16| (block.number, bit));
                let occupied = bits().any(|(block, bit)| now.has(block, bit));
                let needed = bits().any(|(block, bit)| missing.has(block, bit));
                if occupied && needed {
                    let what = format!(
                        "bytes {} to {} are burned already",
                        chunk * 6,
                        chunk * 6 + 5
                    );
                    self.refuse("chunk-occupied", block.name, what, hint);
                }
            }
        } else if !self.now.is_blank(block.number) {
            let what = "it holds something else already";
            self.refuse("block-occupied", block.name, what, hint);
        }
    }

    fn check_errors(&mut self) {
        for error in &self.snapshot.errors {
            let harmless = error.count == 0 && !error.failed;
            if harmless || self.again.contains(&error.block) {
                continue;
            }
            let name = self
                .map
                .block(error.block)
                .map_or("block", |block| block.name);
            let what = if error.failed {
                "its coding reports more errors than it can correct".to_owned()
            } else {
                format!("its coding reports {}", counted(error.count, "error"))
            };
            let hint = "the chip is damaged, or an earlier burn was interrupted";
            self.dare(Danger::CodingErrors, name, what, hint);
        }
    }
}
