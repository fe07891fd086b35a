//! Application and bootloader images, checked the way ROM and bootloader check them.
//!
//! Invariants: an [`Image`] that parsed has a whole header, 1 to 16 whole segments at addresses its
//! chip can load or map, and a right checksum and SHA-256; its length never exceeds the bytes it
//! was read from. What only a given chip can decide (its kind and revision) is
//! [`Image::check_chip`]. Bytes behind the image, such as signatures or erased flash, are ignored.
//!
//! Source: ESP-IDF's image format guide and the checks of `esp_image_format.c`.

mod descriptor;
mod error;
mod header;
mod merge;
mod optimize;
mod part;
mod patch;
mod report;
mod resize;
#[cfg(test)]
mod tests;

pub use descriptor::{AppDescriptor, BootDescriptor};
pub use error::ImageError;
pub use header::{FlashMode, Header};
pub use merge::{
    Content, Format, MergeError, Piece, find_table, merge, patch_bootloader, split_raw,
};
pub use optimize::{Finding, compressed_sizes, optimize};
pub use part::Part;
pub(crate) use part::{Record, joined, ordered};
pub use patch::{HeaderChange, patch};
pub use report::{Checksum, Hash, Report, SegmentReport, Signature};
pub use resize::for_flash_size;

use sha2::{Digest, Sha256};

use crate::chip::{Chip, ChipSpec, Revision};
use crate::command::checksum;

/// First byte of every image.
pub const MAGIC: u8 = 0xE9;
/// Most segments that ROM and bootloader accept.
pub const MAX_SEGMENTS: u8 = 16;
/// Length of the appended SHA-256.
const HASH: usize = 32;
/// Addresses below are padding, which is neither loaded nor mapped.
const PADDING_END: u32 = 0x1_0000;

/// One segment of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where its data begin in the image.
    pub offset: u32,
    /// Where they are loaded or mapped.
    pub address: u32,
    /// Bytes.
    pub length: u32,
}

impl Segment {
    /// Whether the segment only fills space.
    #[must_use]
    pub fn is_padding(&self) -> bool {
        self.address < PADDING_END
    }

    /// Whether what lies at this address comes from the segment.
    fn loads(&self, address: u32) -> bool {
        !self.is_padding() && self.address <= address && u64::from(address) < self.end()
    }

    /// First address behind the segment.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from(self.address) + u64::from(self.length)
    }
}

/// A checked image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The header.
    pub header: Header,
    /// The chip it was built for.
    pub chip: Chip,
    /// The segments in file order.
    pub segments: Vec<Segment>,
    /// The SHA-256 at the end, where the header announces one.
    pub hash: Option<[u8; 32]>,
    /// The application descriptor, where the first segment begins with one.
    pub app: Option<AppDescriptor>,
    /// Bytes of the image on flash, checksum and hash included.
    pub length: u32,
}

impl Image {
    /// Reads and checks an image.
    ///
    /// # Errors
    /// When a check of ROM or bootloader would fail; see [`ImageError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let header = Header::parse(bytes)?;
        let chip =
            Chip::from_image_id(header.chip_id).ok_or(ImageError::UnknownChip(header.chip_id))?;
        let (segments, sum, end) = read_segments(bytes, header.segments)?;
        let app = descriptor(bytes, &segments)?;
        for (index, segment) in (0..).zip(&segments) {
            check_address(chip.spec(), segment, index, app.as_ref())?;
        }
        let stored = *bytes
            .get(end - 1)
            .ok_or(ImageError::Truncated { needs: end })?;
        if stored != sum {
            return Err(ImageError::Checksum {
                stored,
                actual: sum,
            });
        }
        let hash = if header.hash_appended {
            Some(check_hash(bytes, end)?)
        } else {
            None
        };
        let length = end + hash.map_or(0, |hash| hash.len());
        let length = u32::try_from(length).map_err(|_| ImageError::TooLong)?;
        Ok(Self {
            header,
            chip,
            segments,
            hash,
            app,
            length,
        })
    }

    /// Where ROM and bootloader look for a signature of secure boot version 1 or 2: right behind the image, or in
    /// the sector behind it (`verify_secure_boot_signature` of ESP-IDF's `esp_image_format.c`).
    #[must_use]
    pub fn signature_offset(&self, version1: bool) -> usize {
        let end = self.length as usize;
        if version1 {
            end
        } else {
            end.next_multiple_of(crate::secure::signature::SECTOR)
        }
    }

    /// Checks that the image runs on this chip, and on this revision where it is known.
    ///
    /// # Errors
    /// [`ImageError::WrongChip`], [`ImageError::RevisionTooOld`], [`ImageError::RevisionTooNew`].
    pub fn check_chip(&self, chip: Chip, revision: Option<Revision>) -> Result<(), ImageError> {
        if self.chip != chip {
            return Err(ImageError::WrongChip {
                image: self.chip,
                chip,
            });
        }
        let Some(revision) = revision else {
            return Ok(());
        };
        let minimum = self.header.minimum_revision();
        if revision < minimum {
            return Err(ImageError::RevisionTooOld { minimum, revision });
        }
        match self.header.maximum_revision() {
            Some(maximum) if revision > maximum => {
                Err(ImageError::RevisionTooNew { maximum, revision })
            }
            _ => Ok(()),
        }
    }

    /// Checks that a bootloader can start the image: it maps flash for code and for data.
    ///
    /// # Errors
    /// [`ImageError::NothingMapped`]: such an image is for RAM, or is itself a bootloader.
    pub fn check_application(&self) -> Result<(), ImageError> {
        let spec = self.chip.spec();
        let mapped = self
            .segments
            .iter()
            .any(|segment| spec.is_flash_mapped(segment.address));
        if mapped {
            Ok(())
        } else {
            Err(ImageError::NothingMapped)
        }
    }

    /// Whether the entry point lies in a segment; a linker that puts it elsewhere made a mistake.
    #[must_use]
    pub fn entry_is_loaded(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| segment.loads(self.header.entry))
    }
}

/// The segments that an image says it has, the checksum that their bytes have, and where the bytes
/// end that checksum and padding are part of.
fn read_segments(bytes: &[u8], count: u8) -> Result<(Vec<Segment>, u8, usize), ImageError> {
    if count == 0 || count > MAX_SEGMENTS {
        return Err(ImageError::SegmentCount(count));
    }
    let mut at = Header::LENGTH;
    let mut sum = checksum(&[]);
    let mut segments = Vec::with_capacity(count.into());
    for index in 0..count {
        let segment = read_segment(bytes, at, index)?;
        let start = segment.offset as usize;
        at = start + segment.length as usize;
        // The seed is part of every partial sum, so it is taken out again.
        sum ^= checksum(&bytes[start..at]) ^ checksum(&[]);
        segments.push(segment);
    }
    // The checksum is the last byte of its 16-byte line.
    Ok((segments, sum, at / 16 * 16 + 16))
}

fn read_segment(bytes: &[u8], at: usize, index: u8) -> Result<Segment, ImageError> {
    let start = at + 8;
    let head = bytes
        .get(at..start)
        .ok_or(ImageError::Truncated { needs: start })?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (address, length) = (word(0), word(4));
    if !length.is_multiple_of(4) {
        return Err(ImageError::SegmentAlignment { index, length });
    }
    let end = start
        .checked_add(length as usize)
        .ok_or(ImageError::TooLong)?;
    if end > bytes.len() {
        return Err(ImageError::SegmentOverrun {
            index,
            needs: end,
            has: bytes.len(),
        });
    }
    let offset = u32::try_from(start).map_err(|_| ImageError::TooLong)?;
    Ok(Segment {
        offset,
        address,
        length,
    })
}

fn descriptor(bytes: &[u8], segments: &[Segment]) -> Result<Option<AppDescriptor>, ImageError> {
    let Some(first) = segments.first() else {
        return Ok(None);
    };
    let start = first.offset as usize;
    let data = &bytes[start..start + first.length as usize];
    AppDescriptor::parse(data)
}

fn check_address(
    spec: &ChipSpec,
    segment: &Segment,
    index: u8,
    app: Option<&AppDescriptor>,
) -> Result<(), ImageError> {
    if segment.is_padding() || segment.length == 0 {
        return Ok(());
    }
    let region = spec.region(segment.address, segment.length);
    let region = region.ok_or(ImageError::SegmentAddress {
        index,
        address: segment.address,
        length: segment.length,
    })?;
    if region.kind.is_flash() {
        // Images lie at multiples of 64 KiB, so offsets in the file are as good as in flash.
        let smallest = spec
            .mmu_page_sizes
            .iter()
            .copied()
            .min()
            .unwrap_or(0x1_0000);
        let page = app
            .and_then(AppDescriptor::mmu_page_size)
            .unwrap_or(smallest);
        if segment.offset % page != segment.address % page {
            return Err(ImageError::SegmentPage {
                index,
                address: segment.address,
                page,
            });
        }
    }
    Ok(())
}

fn check_hash(bytes: &[u8], end: usize) -> Result<[u8; 32], ImageError> {
    let stored = bytes
        .get(end..)
        .and_then(|rest| rest.first_chunk::<HASH>())
        .ok_or(ImageError::Truncated { needs: end + HASH })?;
    let actual = Sha256::digest(&bytes[..end]);
    if actual[..] == stored[..] {
        Ok(*stored)
    } else {
        Err(ImageError::Hash)
    }
}
