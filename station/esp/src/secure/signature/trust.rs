//! What a chip with secure boot makes of a signed image: digest slots, revocation, verdict.
//!
//! Facts (ESP-IDF's secure boot version 2 document): a chip trusts up to three key digests; a
//! revoked slot trusts nothing for ever; an image boots when one of its blocks is by a trusted key
//! and holds; with aggressive revocation, a key whose digest matches but whose signature does not
//! hold is revoked at once.

use super::error::SignatureError;
use super::sector::{MAX_BLOCKS, SignedImage};

/// One digest slot of a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrustSlot {
    /// The digest burned into it.
    pub digest: Option<[u8; 32]>,
    /// Whether its KEY_REVOKE bit is set.
    pub revoked: bool,
}

/// What a chip trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trust {
    /// SECURE_BOOT_DIGEST0 to 2; the ESP32 and the ESP32-C2 have the first only.
    pub slots: [TrustSlot; 3],
    /// Signature blocks the chip looks at.
    pub blocks: usize,
    /// Whether SECURE_BOOT_AGGRESSIVE_REVOKE is set.
    pub aggressive: bool,
}

/// What happens at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It boots.
    Boots {
        /// The block that let it.
        block: usize,
        /// The slot that trusts the block's key.
        slot: usize,
    },
    /// It does not boot.
    Refused {
        /// Slots that this attempt revokes.
        revokes: Vec<usize>,
    },
}

impl Trust {
    /// A chip that looks at three blocks and trusts these keys.
    #[must_use]
    pub fn of_digests(digests: &[[u8; 32]]) -> Self {
        let mut trust = Self {
            blocks: MAX_BLOCKS,
            ..Self::default()
        };
        for (slot, digest) in trust.slots.iter_mut().zip(digests) {
            slot.digest = Some(*digest);
        }
        trust
    }

    /// Decides about an image.
    ///
    /// # Errors
    /// When it is no signed image at all.
    pub fn judge(&self, image: &[u8]) -> Result<Verdict, SignatureError> {
        let signed = SignedImage::parse(image)?;
        let mut revokes = Vec::new();
        for (number, block) in signed.blocks().filter(|(number, _)| *number < self.blocks) {
            let digest = block.public_key().digest();
            let trusted = |slot: &TrustSlot| !slot.revoked && slot.digest == Some(digest);
            let Some(slot) = self.slots.iter().position(trusted) else {
                continue;
            };
            if block.verify(signed.content(), number).is_ok() {
                return Ok(Verdict::Boots {
                    block: number,
                    slot,
                });
            }
            if self.aggressive && !revokes.contains(&slot) {
                revokes.push(slot);
            }
        }
        Ok(Verdict::Refused { revokes })
    }
}
