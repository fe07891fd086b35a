//! What could be smaller or faster about an image.
//!
//! Invariant: a finding states a fact about the bytes, never a guess about the board: that flash can
//! be read faster is a matter of the board, so it is said as what the header leaves unused.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::{AppDescriptor, FlashMode, Image, ImageError};

/// Zeros in a loaded segment from which on they are worth a word.
const LONG_ZEROS: u32 = 1024;

/// One thing about an image that could be better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// Padding segments that put mapped segments on page boundaries.
    Padding {
        /// Bytes of padding.
        bytes: u32,
        /// Bytes of the image.
        of: u32,
        /// Bytes of an MMU page, where the image says it; smaller pages need less padding.
        page: Option<u32>,
    },
    /// Zeros at the end of a loaded segment, which could be zeroed memory (`.bss`) instead.
    Zeros {
        /// Number of the segment, from 0.
        segment: usize,
        /// Zeros.
        bytes: u32,
    },
    /// A segment without bytes.
    EmptySegment {
        /// Number of the segment, from 0.
        segment: usize,
    },
    /// Bytes behind the image that are no erased flash.
    Trailing {
        /// Bytes.
        bytes: usize,
    },
    /// Erased flash behind the image, which needs not be written.
    Erased {
        /// Bytes.
        bytes: usize,
    },
    /// No SHA-256: a damaged image is found by its one-byte checksum only.
    NoHash,
    /// A flash clock below the fastest of the chip.
    SlowClock {
        /// MHz in the header.
        mhz: u8,
        /// The fastest of the chip.
        fastest: u8,
    },
    /// Flash read on two lines where chips have four.
    TwoLines {
        /// The mode in the header.
        mode: FlashMode,
    },
    /// A header that states less flash than there is, or more.
    FlashSize {
        /// Bytes in the header.
        header: u32,
        /// Bytes there are.
        flash: u32,
    },
    /// How small the image gets on the wire.
    Compressed {
        /// Bytes of the image.
        bytes: u32,
        /// Bytes as zlib at its best level.
        compressed: usize,
    },
}

impl Finding {
    /// The stable code of this finding.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Padding { .. } => "padding",
            Self::Zeros { .. } => "zeros",
            Self::EmptySegment { .. } => "empty-segment",
            Self::Trailing { .. } => "trailing",
            Self::Erased { .. } => "erased",
            Self::NoHash => "no-hash",
            Self::SlowClock { .. } => "slow-clock",
            Self::TwoLines { .. } => "two-lines",
            Self::FlashSize { .. } => "flash-size",
            Self::Compressed { .. } => "compressed",
        }
    }
}

/// Looks for what could be better; `flash_size` is what the board has, where it is known.
///
/// # Errors
/// When this is no sound image.
pub fn optimize(bytes: &[u8], flash_size: Option<u32>) -> Result<Vec<Finding>, ImageError> {
    let image = Image::parse(bytes)?;
    let mut findings = Vec::new();
    segments(bytes, &image, &mut findings);
    let (content, rest) = bytes.split_at(image.length as usize);
    if rest.iter().any(|byte| *byte != 0xFF) {
        findings.push(Finding::Trailing { bytes: rest.len() });
    } else if !rest.is_empty() {
        findings.push(Finding::Erased { bytes: rest.len() });
    }
    header(&image, flash_size, &mut findings);
    findings.push(Finding::Compressed {
        bytes: image.length,
        compressed: compressed(content, Compression::best()),
    });
    Ok(findings)
}

fn segments(bytes: &[u8], image: &Image, findings: &mut Vec<Finding>) {
    // Each piece of padding has a head of eight bytes too.
    let padding = image.segments.iter().filter(|one| one.is_padding());
    let padding: u32 = padding.map(|segment| segment.length + 8).sum();
    if padding > 0 {
        findings.push(Finding::Padding {
            bytes: padding,
            of: image.length,
            page: image.app.as_ref().and_then(AppDescriptor::mmu_page_size),
        });
    }
    for (number, segment) in image.segments.iter().enumerate() {
        let start = segment.offset as usize;
        let content = &bytes[start..start + segment.length as usize];
        if content.is_empty() {
            findings.push(Finding::EmptySegment { segment: number });
        }
        let mapped = image.chip.spec().is_flash_mapped(segment.address);
        let zeros = content.iter().rev().take_while(|byte| **byte == 0).count() as u32;
        if zeros >= LONG_ZEROS && !mapped && !segment.is_padding() {
            findings.push(Finding::Zeros {
                segment: number,
                bytes: zeros,
            });
        }
    }
}

fn header(image: &Image, flash_size: Option<u32>, findings: &mut Vec<Finding>) {
    let header = &image.header;
    if image.hash.is_none() {
        findings.push(Finding::NoHash);
    }
    let clocks = image.chip.spec().flash_frequencies.iter();
    let fastest = clocks.clone().map(|(mhz, _)| *mhz).max();
    // A code may stand for several clocks: the fastest of them counts.
    let coded = clocks.filter(|(_, code)| *code == header.flash_frequency_code);
    if let (Some(mhz), Some(fastest)) = (coded.map(|(mhz, _)| *mhz).max(), fastest)
        && mhz < fastest
    {
        findings.push(Finding::SlowClock { mhz, fastest });
    }
    if matches!(header.flash_mode, FlashMode::Dio | FlashMode::Dout) {
        findings.push(Finding::TwoLines {
            mode: header.flash_mode,
        });
    }
    if let (Some(stated), Some(flash)) = (header.flash_size(), flash_size)
        && stated != flash
    {
        findings.push(Finding::FlashSize {
            header: stated,
            flash,
        });
    }
}

/// How many bytes the zlib stream of these bytes has at each level from 1 to 9.
#[must_use]
pub fn compressed_sizes(bytes: &[u8]) -> Vec<(u8, usize)> {
    let at = |level: u8| (level, compressed(bytes, Compression::new(level.into())));
    (1..=9).map(at).collect()
}

/// Bytes of the zlib stream at a level.
fn compressed(bytes: &[u8], level: Compression) -> usize {
    let mut encoder = ZlibEncoder::new(Vec::new(), level);
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().map_or(bytes.len(), |stream| stream.len())
}
