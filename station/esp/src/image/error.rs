//! What can be wrong with an image.

use crate::chip::{Chip, Revision};

/// An image that ROM or bootloader would refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The bytes end before the image does.
    #[error("image is cut short: {needs} bytes are needed")]
    Truncated {
        /// Bytes needed at least.
        needs: usize,
    },
    /// The image is longer than 4 GiB.
    #[error("image is longer than 4 GiB")]
    TooLong,
    /// The first byte is not the magic.
    #[error("image begins with `{0:#04x}` instead of `0xe9`")]
    Magic(u8),
    /// No chip has this id.
    #[error("image is for an unknown chip with id {0}")]
    UnknownChip(u16),
    /// A field of the header has a value that means nothing.
    #[error("header has flash mode `{0:#04x}`")]
    FlashMode(u8),
    /// No segment, or more than sixteen.
    #[error("image has {0} segments; 1 to 16 are possible")]
    SegmentCount(u8),
    /// A segment length that is no multiple of four.
    #[error("segment {index} has {length} bytes, which is no multiple of 4")]
    SegmentAlignment {
        /// Number of the segment, from 0.
        index: u8,
        /// Its length.
        length: u32,
    },
    /// A segment that ends behind the file.
    #[error("segment {index} ends at {needs} and the image at {has}")]
    SegmentOverrun {
        /// Number of the segment, from 0.
        index: u8,
        /// Where the segment ends.
        needs: usize,
        /// Where the bytes end.
        has: usize,
    },
    /// A segment for an address that the chip has not.
    #[error("segment {index} of {length} bytes cannot go to {address:#010x}")]
    SegmentAddress {
        /// Number of the segment, from 0.
        index: u8,
        /// Its address.
        address: u32,
        /// Its length.
        length: u32,
    },
    /// A flash segment that the cache cannot map.
    #[error("segment {index} at {address:#010x} does not match its place in a page of {page:#x}")]
    SegmentPage {
        /// Number of the segment, from 0.
        index: u8,
        /// Its address.
        address: u32,
        /// Bytes of a page.
        page: u32,
    },
    /// A page size in the descriptor that does not exist.
    #[error("application descriptor has page size 2^{0}")]
    PageSize(u8),
    /// The checksum is wrong.
    #[error("checksum is {stored:#04x} and should be {actual:#04x}")]
    Checksum {
        /// What the image says.
        stored: u8,
        /// What its segments have.
        actual: u8,
    },
    /// The appended SHA-256 is wrong.
    #[error("SHA-256 at the end does not match")]
    Hash,
    /// The image is for another chip.
    #[error("image is for `{image}`, not for `{chip}`")]
    WrongChip {
        /// The chip of the image.
        image: Chip,
        /// The chip at hand.
        chip: Chip,
    },
    /// The chip is older than the image allows.
    #[error("image needs revision {minimum}, chip has {revision}")]
    RevisionTooOld {
        /// The oldest the image allows.
        minimum: Revision,
        /// What the chip has.
        revision: Revision,
    },
    /// The chip is newer than the image allows.
    #[error("image allows revisions up to {maximum}, chip has {revision}")]
    RevisionTooNew {
        /// The newest the image allows.
        maximum: Revision,
        /// What the chip has.
        revision: Revision,
    },
    /// A newest revision that is older than the oldest.
    #[error("no chip is of revision {oldest} or newer and of {newest} or older")]
    Revisions {
        /// The oldest asked for.
        oldest: Revision,
        /// The newest asked for.
        newest: Revision,
    },
    /// The image maps no flash.
    #[error("image maps no flash and cannot be started by a bootloader")]
    NothingMapped,
    /// A signature lies behind the image, which a change would break.
    #[error("image is signed for secure boot version {version} and cannot be changed")]
    Signed {
        /// Version of secure boot.
        version: u8,
    },
    /// A flash clock that the chip does not have.
    #[error("`{chip}` has no flash clock of {mhz} MHz")]
    FlashFrequency {
        /// The chip.
        chip: Chip,
        /// The clock asked for.
        mhz: u8,
    },
    /// A flash size that headers cannot state.
    #[error("flash size of {0} bytes cannot be put into a header")]
    FlashSize(u32),
}

impl ImageError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "image-truncated",
            Self::TooLong => "image-too-long",
            Self::Magic(_) => "image-magic",
            Self::UnknownChip(_) => "image-unknown-chip",
            Self::FlashMode(_) => "image-flash-mode",
            Self::SegmentCount(_) => "image-segment-count",
            Self::SegmentAlignment { .. } => "image-segment-alignment",
            Self::SegmentOverrun { .. } => "image-segment-overrun",
            Self::SegmentAddress { .. } => "image-segment-address",
            Self::SegmentPage { .. } => "image-segment-page",
            Self::PageSize(_) => "image-page-size",
            Self::Checksum { .. } => "image-checksum",
            Self::Hash => "image-hash",
            Self::WrongChip { .. } => "image-wrong-chip",
            Self::RevisionTooOld { .. } => "image-revision-too-old",
            Self::RevisionTooNew { .. } => "image-revision-too-new",
            Self::Revisions { .. } => "image-revisions",
            Self::NothingMapped => "image-nothing-mapped",
            Self::Signed { .. } => "image-signed",
            Self::FlashFrequency { .. } => "image-flash-frequency",
            Self::FlashSize(_) => "image-flash-size",
        }
    }
}
