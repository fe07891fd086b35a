//! What must be so before secure boot version 1 of the ESP32 is switched on.
//!
//! Invariants: its key is in BLOCK2, hidden and closed; the digest that the ROM compares is in flash;
//! a chip that has version 2 gets version 1 only by name. Source: ESP-IDF, "Secure Boot V1".

use crate::chip::Revision;

use super::Danger;
use super::bits::Bits;
use super::draft::Draft;
use super::guards;

impl Draft<'_> {
    /// Secure boot version 1: the ROM of the ESP32 checks a digest of the bootloader that it makes
    /// with the key in BLOCK2.
    pub(super) fn check_first_secure_boot(&mut self) {
        let both = |draft: &Self, bits: &Bits| {
            draft.set_in(bits, "ABS_DONE_0") && draft.set_in(bits, "ABS_DONE_1")
        };
        if self.turns(both) {
            let what = "BLOCK2 cannot hold a key of version 1 and a digest of version 2";
            let hint = "wish one version of secure boot";
            self.refuse("secure-boot-both", "ABS_DONE_1", what, hint);
        }
        let on = |draft: &Self, bits: &Bits| draft.set_in(bits, "ABS_DONE_0");
        if !self.turns(on) {
            return;
        }
        let (end, place) = (self.end(), "ABS_DONE_0");
        let Some(block) = self.map.block(2) else {
            return;
        };
        if !self.holds(&end, block) {
            let what = "BLOCK2 holds no key for secure boot v1";
            let hint = "wish the key in the same plan, or burn it before";
            self.refuse("secure-boot-without-digest", place, what, hint);
        } else if !guards::hidden_words(self.map, &end, block).contains(&true)
            || !guards::block_closed(self.map, &end, block)
        {
            let what = "software can read or change the key of secure boot v1 in BLOCK2";
            let hint = "hide and close BLOCK2 in the same plan";
            self.dare(Danger::UnprotectedKey, place, what, hint);
        }
        if !self.wish.content.digested {
            let what = "no digest of the bootloader is known to be at the start of flash";
            let hint = "write the digest first";
            let danger = Danger::SecureBootWithoutSignedContent;
            self.dare(danger, place, what, hint);
        }
        if self.snapshot.revision >= Revision::new(3, 0) {
            let what = format!("revision {} has version 2", self.snapshot.revision);
            let hint = "its keys are public ones, and can be more than one: take version 2";
            self.dare(Danger::SecureBootVersionOne, place, what, hint);
        }
    }
}
