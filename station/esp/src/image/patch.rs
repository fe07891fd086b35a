//! Header fields changed in a finished image.
//!
//! Invariants: only an image that passes [`Image::parse`] is changed, and what comes out passes
//! again; bytes behind the image stay; a signed image is refused, for the signature covers the
//! header. The checksum does not. Source: ESP-IDF, `esp_app_format.h`; the bytes are those that
//! `esptool merge-bin` 5.6 makes with its flash options.

use sha2::{Digest, Sha256};

use crate::chip::Revision;
use crate::secure::signature::{BLOCK_LENGTH, SECTOR, SignatureBlock, carries_signature};

use super::{FlashMode, HASH, Header, Image, ImageError};

/// What to change; `None` keeps what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeaderChange {
    /// How flash is read.
    pub mode: Option<FlashMode>,
    /// Flash clock in MHz.
    pub frequency_mhz: Option<u8>,
    /// Bytes of flash.
    pub size: Option<u32>,
    /// Oldest revision of the chip.
    pub min_revision: Option<Revision>,
    /// Newest revision of the chip; 0.0 for any.
    pub max_revision: Option<Revision>,
}

impl HeaderChange {
    /// Whether nothing is to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns a copy with a changed header and its SHA-256 made right again.
///
/// # Errors
/// When this is no sound image, a signature lies behind it, or a value cannot be expressed.
pub fn patch(bytes: &[u8], change: &HeaderChange) -> Result<Vec<u8>, ImageError> {
    let image = Image::parse(bytes)?;
    if let Some(version) = signature_behind(bytes, image.length as usize) {
        return Err(ImageError::Signed { version });
    }
    let mut out = bytes.to_vec();
    if let Some(mode) = change.mode {
        out[2] = mode as u8;
    }
    if let Some(mhz) = change.frequency_mhz {
        let chip = image.chip;
        let code = chip.spec().flash_frequency_code(mhz);
        let code = code.ok_or(ImageError::FlashFrequency { chip, mhz })?;
        out[3] = out[3] & 0xF0 | code;
    }
    if let Some(size) = change.size {
        let code = Header::size_code(size).ok_or(ImageError::FlashSize(size))?;
        out[3] = out[3] & 0x0F | code << 4;
    }
    if let Some(revision) = change.min_revision {
        out[15..17].copy_from_slice(&revision.value().to_le_bytes());
    }
    if let Some(revision) = change.max_revision {
        out[17..19].copy_from_slice(&revision.value().to_le_bytes());
    }
    let asked = change.min_revision.is_some() || change.max_revision.is_some();
    if asked && out[15..19] == [0; 4] {
        // Without the full form the old byte would count.
        out[14] = 0;
    }
    if image.hash.is_some() {
        let end = (image.length as usize).saturating_sub(HASH);
        let hash = Sha256::digest(&out[..end]);
        out[end..end + HASH].copy_from_slice(&hash);
    }
    let header = Image::parse(&out)?.header;
    if asked {
        Header::check_revisions(header.minimum_revision(), header.maximum_revision())?;
    }
    Ok(out)
}

/// Version of secure boot whose signature follows an image of this length, if one does.
///
/// Version 2 has a block at the next sector or in the last one; version 1 a word 0 and 64 bytes
/// right behind the image, or behind its padding as the last bytes.
pub(super) fn signature_behind(bytes: &[u8], length: usize) -> Option<u8> {
    let next = length.next_multiple_of(SECTOR);
    let block = bytes.get(next..next.saturating_add(BLOCK_LENGTH));
    if block.is_some_and(|block| SignatureBlock::parse(block).is_ok()) || carries_signature(bytes) {
        return Some(2);
    }
    let at_end = bytes.len().checked_sub(VERSION_ONE);
    let candidates = [Some(length), at_end.filter(|at| *at > length)];
    let found = candidates.into_iter().flatten().any(|at| {
        bytes
            .get(at..at.saturating_add(VERSION_ONE))
            .is_some_and(looks_like_version_one)
    });
    found.then_some(1)
}

/// Bytes of a version 1 signature.
const VERSION_ONE: usize = 68;

/// A word 0, then `r` and `s`, neither of which is plain filling.
fn looks_like_version_one(bytes: &[u8]) -> bool {
    let (version, numbers) = bytes.split_at(4);
    let (r, s) = numbers.split_at(numbers.len() / 2);
    let number = |bytes: &[u8]| bytes.iter().any(|byte| *byte != bytes[0]);
    version == [0; 4] && number(r) && number(s)
}
