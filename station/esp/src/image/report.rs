//! Everything an image says, with what is wrong in it said instead of refused.
//!
//! Invariants: a report is made of any bytes whose header and segments are whole; checksum, hash,
//! addresses and descriptors are judged one by one, so that a broken image can be looked at. It holds
//! every fact that `esptool image-info` 5.6 prints. Memory types are those of our chip tables.

use sha2::{Digest, Sha256};

use crate::chip::{Chip, ChipSpec, MemoryKind};
use crate::secure::signature::{BLOCK_LENGTH, MAX_BLOCKS, SECTOR, SignatureBlock};

use super::patch::signature_behind;
use super::{
    AppDescriptor, BootDescriptor, HASH, Header, Image, ImageError, Segment, read_segments,
};

/// One segment, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentReport {
    /// Where it is.
    pub segment: Segment,
    /// What the chip has at its address; several where memory is seen in several ways.
    pub memory: Vec<MemoryKind>,
    /// Whether the chip can neither load nor map it.
    pub misplaced: bool,
}

/// The checksum of the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum {
    /// What the image says.
    pub stored: u8,
    /// What its segments have.
    pub actual: u8,
}

impl Checksum {
    /// Whether it holds.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.stored == self.actual
    }
}

/// The SHA-256 behind the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash {
    /// What the image says.
    pub stored: [u8; 32],
    /// What its bytes have.
    pub actual: [u8; 32],
}

impl Hash {
    /// Whether it holds.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.stored == self.actual
    }
}

/// One signature behind the image. Whether its key is trusted is not for an image to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// Something that looks like a signature of secure boot version 1; its key is not in the file.
    VersionOne,
    /// A block of secure boot version 2.
    Block {
        /// Its place, from 0.
        number: usize,
        /// Name of the algorithm.
        algorithm: &'static str,
        /// Digest of the public key, as eFuses hold it.
        key_digest: [u8; 32],
        /// Whether it signs this content.
        valid: bool,
        /// Whether it lies elsewhere than in the sector behind the image, where ROM and bootloader
        /// look for it (`verify_secure_boot_signature` of ESP-IDF).
        misplaced: bool,
    },
}

/// All about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The header.
    pub header: Header,
    /// The chip of the header, where its number is known.
    pub chip: Option<Chip>,
    /// Bytes of the file.
    pub file_length: usize,
    /// Bytes of the image in it, checksum and hash included.
    pub length: u32,
    /// Its segments in file order.
    pub segments: Vec<SegmentReport>,
    /// Whether the entry point lies in a segment.
    pub entry_is_loaded: bool,
    /// The checksum.
    pub checksum: Checksum,
    /// The hash, where the header announces one.
    pub hash: Option<Hash>,
    /// What an application says about itself.
    pub app: Option<AppDescriptor>,
    /// What a bootloader says about itself.
    pub bootloader: Option<BootDescriptor>,
    /// Signatures behind it.
    pub signatures: Vec<Signature>,
    /// Why ROM or bootloader would refuse it; the first reason.
    pub refused: Option<ImageError>,
}

impl Report {
    /// Looks at an image.
    ///
    /// # Errors
    /// When header or segments are not whole, or the bytes end before checksum and hash.
    pub fn of(bytes: &[u8]) -> Result<Self, ImageError> {
        let header = Header::parse(bytes)?;
        let chip = Chip::from_image_id(header.chip_id);
        let (segments, actual, end) = read_segments(bytes, header.segments)?;
        let needs = |needs| ImageError::Truncated { needs };
        let stored = *bytes.get(end - 1).ok_or(needs(end))?;
        let hash = if header.hash_appended {
            let rest = bytes.get(end..).and_then(|rest| rest.first_chunk::<HASH>());
            Some(Hash {
                stored: *rest.ok_or(needs(end + HASH))?,
                actual: Sha256::digest(&bytes[..end]).into(),
            })
        } else {
            None
        };
        let length = end + hash.map_or(0, |_| HASH);
        let first = segments.first().map_or(&[][..], |first| {
            let start = first.offset as usize;
            &bytes[start..start + first.length as usize]
        });
        let entry_is_loaded = segments.iter().any(|one| one.loads(header.entry));
        Ok(Self {
            header,
            chip,
            file_length: bytes.len(),
            length: u32::try_from(length).map_err(|_| ImageError::TooLong)?,
            entry_is_loaded,
            checksum: Checksum { stored, actual },
            hash,
            app: AppDescriptor::parse(first).ok().flatten(),
            bootloader: BootDescriptor::parse(first),
            signatures: signatures(bytes, length),
            refused: Image::parse(bytes).err(),
            segments: segments
                .into_iter()
                .map(|segment| judge(segment, chip.map(Chip::spec)))
                .collect(),
        })
    }
}

fn judge(segment: Segment, spec: Option<&ChipSpec>) -> SegmentReport {
    let regions = spec.map_or(&[][..], |spec| spec.memory).iter();
    let mut memory: Vec<MemoryKind> = regions
        .filter(|region| region.contains(segment.address))
        .map(|region| region.kind)
        .collect();
    memory.dedup();
    let placed = spec.is_none_or(|spec| spec.region(segment.address, segment.length).is_some());
    SegmentReport {
        segment,
        memory,
        misplaced: !placed && !segment.is_padding() && segment.length != 0,
    }
}

/// Signature blocks at the sector behind the image or, where only filling lies before it, in the
/// last one; or a version 1 signature.
fn signatures(bytes: &[u8], length: usize) -> Vec<Signature> {
    let next = length.next_multiple_of(SECTOR);
    let last = bytes.len().saturating_sub(SECTOR) / SECTOR * SECTOR;
    // Behind anything else it is the signature of that, as in a file of a whole flash.
    let is_filled = bytes
        .get(length..last)
        .is_some_and(|filling| filling.iter().all(|byte| *byte == 0xFF));
    let mut found = Vec::new();
    for start in [Some(next), Some(last).filter(|_| is_filled)] {
        let Some(start) = start else { continue };
        for number in 0..MAX_BLOCKS {
            let at = start + number * BLOCK_LENGTH;
            let Some(block) = bytes.get(at..at + BLOCK_LENGTH) else {
                break;
            };
            let Ok(block) = SignatureBlock::parse(block) else {
                continue;
            };
            found.push(Signature::Block {
                number,
                algorithm: block.algorithm().name(),
                key_digest: block.public_key().digest(),
                valid: block.verify(&bytes[..start], number).is_ok(),
                misplaced: start != next,
            });
        }
        if !found.is_empty() {
            return found;
        }
    }
    if signature_behind(bytes, length) == Some(1) {
        found.push(Signature::VersionOne);
    }
    found
}
