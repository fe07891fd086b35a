//! An image for another flash size than it was made for.

use super::{HeaderChange, Image, patch};

/// Returns a copy of an image whose header states this flash size, with its SHA-256 made right
/// again and nothing behind it.
///
/// Nothing for what is no image, or a size that headers cannot state.
#[must_use]
pub fn for_flash_size(image: &[u8], size: u32) -> Option<Vec<u8>> {
    let parsed = Image::parse(image).ok()?;
    let bytes = image.get(..usize::try_from(parsed.length).ok()?)?;
    let change = HeaderChange {
        size: Some(size),
        ..HeaderChange::default()
    };
    patch(bytes, &change).ok()
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
