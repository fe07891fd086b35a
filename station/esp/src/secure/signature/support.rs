//! Which signatures secure boot version 2 takes, chip by chip.
//!
//! Facts: ESP-IDF (`soc_caps.h`, the bootloader's `Kconfig.projbuild`, the secure boot version 2
//! document and the `rom/secure_boot.h` headers of each chip).

use super::algorithm::Algorithm;
use super::error::SignatureError;
use super::sector::SignedImage;
use crate::chip::{Chip, Revision};

use Algorithm::{EcdsaP192, EcdsaP256, EcdsaP384, Rsa3072};

/// What secure boot version 2 of one chip takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootSupport {
    /// The chip.
    pub chip: Chip,
    /// Ways to sign that its ROM can check.
    pub algorithms: &'static [Algorithm],
    /// Key digests it holds, and signature blocks it looks at.
    pub slots: usize,
    /// Whether digests can be revoked.
    pub revocable: bool,
    /// Whether its ROM checks some ECDSA signatures wrongly, for which ESP-IDF advises against
    /// ECDSA in production until a later revision of the chip.
    pub ecdsa_erratum: bool,
}

impl BootSupport {
    /// What this chip takes; `None` where there is no secure boot version 2: the ESP32 before 3.0
    /// and the ESP32-C3 before 0.3, and the ESP32-H4, for which ESP-IDF has none yet.
    #[must_use]
    pub fn of(chip: Chip, revision: Revision) -> Option<Self> {
        let since = |major, minor| revision >= Revision::new(major, minor);
        let algorithms: &[Algorithm] = match chip {
            Chip::Esp32 if !since(3, 0) => return None,
            Chip::Esp32C3 if !since(0, 3) => return None,
            Chip::Esp32H4 => return None,
            Chip::Esp32 | Chip::Esp32S2 | Chip::Esp32S3 | Chip::Esp32C3 | Chip::Esp32S31 => {
                &[Rsa3072]
            }
            Chip::Esp32C2 | Chip::Esp32C61 => &[EcdsaP192, EcdsaP256],
            Chip::Esp32C5 if !since(0, 1) => &[EcdsaP192, EcdsaP256, EcdsaP384],
            Chip::Esp32P4 if !since(3, 0) => &[Rsa3072, EcdsaP192, EcdsaP256],
            Chip::Esp32C6 | Chip::Esp32H2 => &[Rsa3072, EcdsaP192, EcdsaP256],
            Chip::Esp32C5 | Chip::Esp32P4 => &[Rsa3072, EcdsaP192, EcdsaP256, EcdsaP384],
        };
        let single = matches!(chip, Chip::Esp32 | Chip::Esp32C2);
        Some(Self {
            chip,
            algorithms,
            slots: if single { 1 } else { 3 },
            revocable: !single,
            ecdsa_erratum: matches!(
                chip,
                Chip::Esp32C5 | Chip::Esp32C61 | Chip::Esp32H2 | Chip::Esp32P4
            ),
        })
    }

    /// Refuses an image with signatures that the chip would not look at.
    ///
    /// # Errors
    /// At the first block of another kind, or beyond the chip's number.
    pub fn check(&self, image: &SignedImage<'_>) -> Result<(), SignatureError> {
        for (number, block) in image.blocks() {
            let found = block.algorithm();
            if !self.algorithms.contains(&found) {
                let chip = self.chip;
                return Err(SignatureError::NotForChip { found, chip });
            }
            if number >= self.slots {
                return Err(SignatureError::BeyondChip {
                    number,
                    chip: self.chip,
                });
            }
        }
        Ok(())
    }
}
