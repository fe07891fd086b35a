//! Which images a chip with secure boot starts.
//!
//! Invariants: the digests are those in the fuses; an image that is not signed by a trusted key
//! never starts; aggressive revocation burns the bits it speaks of.

use station_esp::Chip;
use station_esp::efuse::FieldName;
use station_esp::image::Image;
use station_esp::secret::Secret;
use station_esp::secure::signature::trust::{Trust, Verdict};
use station_esp::secure::signature::{BootSupport, SECTOR, SignedImage, v1};

use super::core::VirtualChip;
use crate::nor::NorFlash;

/// First secure boot: the random number and digest at the start of flash.
const IV: usize = 128;
const DIGEST: usize = 64;

impl VirtualChip {
    /// Whether the image at `at` may start, as secure boot version 2 sees it.
    ///
    /// # Errors
    /// It may not; the digest slots that this revokes.
    pub(super) fn trusts(&self, flash: &NorFlash, at: u32) -> Result<(), Vec<usize>> {
        if !self.efuse.flag(FieldName::SecureBoot) {
            return Ok(());
        }
        let image = signed_image(flash, at).ok_or_else(Vec::new)?;
        match self.trust(&image).judge(&image) {
            Ok(Verdict::Boots { block, .. }) if self.checks(&image, block) => Ok(()),
            Ok(Verdict::Boots { .. }) => Err(Vec::new()),
            Ok(Verdict::Refused { revokes }) => Err(revokes),
            Err(_) => Err(Vec::new()),
        }
    }

    /// Whether the bootloader may start, as secure boot version 1 of the ESP32 sees it.
    pub(super) fn trusts_digest(&self, flash: &NorFlash) -> bool {
        if !self.efuse.flag(FieldName::SecureBootV1) {
            return true;
        }
        let mut key: Vec<u8> = self
            .efuse
            .data(2)
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        key.reverse();
        let head = flash.bytes(0, (IV + DIGEST) as u32);
        let at = self.spec.bootloader_offset;
        let bytes = flash.bytes(at, flash.size().saturating_sub(at).min(0x1_0000));
        let (Some((iv, digest)), Ok(image)) =
            (head.split_first_chunk::<IV>(), Image::parse(&bytes))
        else {
            return false;
        };
        let image = bytes.get(..image.length as usize).unwrap_or(&[]);
        let made = v1::digest_bootloader(&Secret::new(key), image, iv);
        made.is_ok_and(|made| made.get(IV..IV + DIGEST) == Some(digest))
    }

    /// Whether the ROM knows the kind of signature in a block.
    fn checks(&self, image: &[u8], block: usize) -> bool {
        let support = BootSupport::of(self.config.chip, self.config.revision);
        let signed = SignedImage::parse(image);
        let mut blocks = signed.iter().flat_map(SignedImage::blocks);
        let kind = blocks.find(|(number, _)| *number == block);
        let kind = kind.map(|(_, block)| block.algorithm());
        support.is_none_or(|support| kind.is_some_and(|kind| support.algorithms.contains(&kind)))
    }

    /// What the fuses trust. An ESP32-C2 holds half a digest, which is filled up with that of the
    /// image's own key where the halves agree.
    fn trust(&self, image: &[u8]) -> Trust {
        let digest = |block: u8| -> [u8; 32] {
            let mut digest = [0; 32];
            for (place, word) in digest.chunks_mut(4).zip(self.efuse.data(block)) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            digest
        };
        let support = BootSupport::of(self.config.chip, self.config.revision);
        let mut trust = Trust::of_digests(&[]);
        trust.blocks = support.map_or(trust.blocks, |support| support.slots);
        trust.aggressive = self.efuse.flag(FieldName::AggressiveRevoke);
        match self.config.chip {
            Chip::Esp32 => trust.slots[0].digest = Some(digest(2)),
            Chip::Esp32C2 => {
                let half = &digest(3)[16..];
                let signed = SignedImage::parse(image);
                let mut keys = signed.iter().flat_map(SignedImage::blocks);
                trust.slots[0].digest = keys.find_map(|(_, block)| {
                    let own = block.public_key().digest();
                    (own[..16] == *half).then_some(own)
                });
            }
            Chip::Esp32S2
            | Chip::Esp32S3
            | Chip::Esp32C3
            | Chip::Esp32C5
            | Chip::Esp32C6
            | Chip::Esp32C61
            | Chip::Esp32H2
            | Chip::Esp32H4
            | Chip::Esp32P4
            | Chip::Esp32S31 => {
                let purposes = [
                    ("SECURE_BOOT_DIGEST0", FieldName::KeyRevoke0),
                    ("SECURE_BOOT_DIGEST1", FieldName::KeyRevoke1),
                    ("SECURE_BOOT_DIGEST2", FieldName::KeyRevoke2),
                ];
                for (slot, (purpose, revoked)) in trust.slots.iter_mut().zip(purposes) {
                    let block = self.efuse.slots(purpose).next();
                    slot.digest = block.map(|block| digest(block.number));
                    slot.revoked = self.efuse.flag(revoked);
                }
            }
        }
        trust
    }

    /// Burns the revocation of digest slots.
    pub(super) fn revoke(&mut self, slots: &[usize]) {
        let fields = [
            FieldName::KeyRevoke0,
            FieldName::KeyRevoke1,
            FieldName::KeyRevoke2,
        ];
        for field in slots.iter().filter_map(|slot| fields.get(*slot)) {
            self.efuse.edit(|image| {
                // A chip with slots to revoke has the fields.
                let _ = image.write(*field, 1);
            });
        }
    }
}

/// The image at `at` with the signature sector behind it.
fn signed_image(flash: &NorFlash, at: u32) -> Option<Vec<u8>> {
    let most = flash.size().saturating_sub(at).min(0x40_0000);
    let image = Image::parse(&flash.bytes(at, most)).ok()?;
    let sector = SECTOR as u32;
    let length = image
        .length
        .checked_next_multiple_of(sector)?
        .checked_add(sector)?;
    Some(flash.bytes(at, length))
}
