//! An image for another flash size than it was made for.

use sha2::{Digest, Sha256};

use super::{HASH, Image};

/// Returns a copy of an image whose header states this flash size, with its SHA-256 made right
/// again.
///
/// The size is the upper half of byte 3, the binary logarithm of megabytes; the checksum does not
/// cover the header. Nothing for what is no image, or a size that headers cannot state. Source: ESP-IDF, `esp_app_format.h`.
#[must_use]
pub fn for_flash_size(image: &[u8], size: u32) -> Option<Vec<u8>> {
    let parsed = Image::parse(image).ok()?;
    let megabytes = size / (1024 * 1024);
    if !size.is_power_of_two() || !(1..=128).contains(&megabytes) {
        return None;
    }
    let mut bytes = image.get(..usize::try_from(parsed.length).ok()?)?.to_vec();
    let code = u8::try_from(megabytes.ilog2()).ok()?;
    let byte = bytes.get_mut(3)?;
    *byte = (*byte & 0x0F) | (code << 4);
    if parsed.hash.is_some() {
        let end = bytes.len().checked_sub(HASH)?;
        let hash = Sha256::digest(bytes.get(..end)?);
        bytes.get_mut(end..)?.copy_from_slice(&hash);
    }
    Image::parse(&bytes).is_ok().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::Chip;
    use crate::loader;

    #[test]
    fn every_chip_has_a_bootloader_that_states_the_flash_size() {
        for chip in Chip::ALL {
            let crystal = chip.spec().typical_crystal_mhz();
            let bundled = loader::bootloader(chip, crystal).unwrap();
            for size in [4 * 1024 * 1024, 16 * 1024 * 1024] {
                let bytes = for_flash_size(bundled, size).unwrap();
                let image = Image::parse(&bytes).unwrap();
                assert_eq!(image.header.flash_size(), Some(size), "{chip}");
                assert_eq!(image.chip, chip);
                assert_eq!(bytes.len(), usize::try_from(image.length).unwrap());
            }
        }
    }

    #[test]
    fn a_flash_size_that_headers_cannot_state_is_refused() {
        let bundled = loader::bootloader(Chip::Esp32C3, 40).unwrap();
        for size in [0, 512 * 1024, 3 * 1024 * 1024, 256 * 1024 * 1024] {
            assert_eq!(for_flash_size(bundled, size), None, "{size}");
        }
        assert_eq!(for_flash_size(&bundled[..100], 4 * 1024 * 1024), None);
    }
}
