//! An image made ready once, to be written by many bays.
//!
//! Invariants:
//! - Everything that costs CPU (comparing with blank, compressing, MD5, framing) happens in
//!   [`PreparedImage::prepare`], once per plan; a bay that writes an image only copies its bytes to
//!   the wire. The frames of all bays are the same memory.
//! - A compressed region is smaller on the wire than the plain one, or it is not compressed.
//! - The MD5 of a region is over its own bytes; padding is `0xFF`, which erased flash is anyway.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use md5::{Digest, Md5};
use station_esp::command::{DataBlock, Dialect, Request};
use station_esp::slip;

use super::split::{SECTOR, Span, spans};
use crate::error::DeviceError;

/// Bytes of flash data in one frame to the stub.
pub(crate) const STUB_BLOCK: usize = 0x4000;

/// zlib level. On firmware level 9 is 1–3 % smaller than level 6 for about twice the time, once per
/// plan; those bytes would cost every unit their time on the wire.
const LEVEL: u32 = 9;

/// An MD5, as the chip computes it.
pub type Md5Digest = [u8; 16];

/// Bytes with a place in flash, ready to be sent.
pub struct PreparedImage {
    name: String,
    offset: u32,
    bytes: Arc<[u8]>,
    regions: Vec<Region>,
}

impl fmt::Debug for PreparedImage {
    /// Without its bytes: there may be keys among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedImage")
            .field("name", &self.name)
            .field("offset", &self.offset)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// A stretch of an image that is written, compared and verified by itself.
pub(crate) struct Region {
    /// Flash offset, sector aligned.
    pub(crate) offset: u32,
    /// Its bytes in the image.
    pub(crate) range: Range<usize>,
    /// MD5 over them.
    pub(crate) md5: Md5Digest,
    /// MD5 over its first sector, for a quick look.
    pub(crate) first: Md5Digest,
    /// How it gets there; `None` for a stretch of `0xFF`.
    pub(crate) frames: Option<Frames>,
}

impl Region {
    /// Bytes in it.
    pub(crate) fn length(&self) -> u32 {
        u32::try_from(self.range.len()).unwrap_or(u32::MAX)
    }

    /// Bytes of flash that are erased for it.
    pub(crate) fn erased(&self) -> u32 {
        self.length().next_multiple_of(SECTOR as u32)
    }

    /// Bytes looked at for the quick look.
    pub(crate) fn first_length(&self) -> u32 {
        self.length().min(SECTOR as u32)
    }
}

/// Ready frames of one region for the stub.
pub(crate) struct Frames {
    /// Whether the blocks carry a zlib stream.
    pub(crate) compressed: bool,
    /// Bytes the chip will have programmed, a multiple of 4.
    pub(crate) written: u32,
    /// Bytes of data in all frames, without headers and escapes.
    pub(crate) carried: u64,
    blocks: Vec<Block>,
    wire: Vec<u8>,
}

/// One ready frame.
struct Block {
    wire: Range<usize>,
    /// Bytes programmed once this block is through.
    programmed: u32,
}

impl Frames {
    /// How many frames.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.blocks.len()).unwrap_or(u32::MAX)
    }

    /// The ready bytes of every frame, and how much is programmed in total once it is through.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (&[u8], u32)> {
        self.blocks
            .iter()
            .map(|block| (&self.wire[block.wire.clone()], block.programmed))
    }

    /// Bytes on the wire, everything counted.
    pub(crate) fn wire_bytes(&self) -> u64 {
        self.wire.len() as u64
    }
}

impl PreparedImage {
    /// Makes `bytes` ready to be written at `offset`. Works for some time (about 0.1 s per MiB):
    /// call it from `spawn_blocking`.
    ///
    /// # Errors
    /// `InvalidInput` for an image without bytes, one that is not sector aligned, or one that ends
    /// beyond 4 GiB.
    pub fn prepare(
        name: impl Into<String>,
        offset: u32,
        bytes: Arc<[u8]>,
    ) -> Result<Arc<Self>, DeviceError> {
        let name = name.into();
        let refuse = |detail: String| DeviceError::InvalidInput {
            what: format!("image `{name}`"),
            detail,
        };
        if bytes.is_empty() {
            return Err(refuse("has no bytes".into()));
        }
        if !(offset as usize).is_multiple_of(SECTOR) {
            return Err(refuse(format!(
                "offset 0x{offset:x} is not a multiple of 0x{SECTOR:x}"
            )));
        }
        let end = u64::from(offset) + bytes.len().next_multiple_of(SECTOR) as u64;
        if end > 1 << 32 {
            return Err(refuse(format!("ends at 0x{end:x}, beyond any flash")));
        }
        let regions = spans(&bytes)
            .into_iter()
            .map(|span| region(offset, &bytes, &span))
            .collect();
        Ok(Arc::new(Self {
            name,
            offset,
            bytes,
            regions,
        }))
    }

    /// Its name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it goes in flash.
    #[must_use]
    pub fn offset(&self) -> u32 {
        self.offset
    }

    /// The bytes as they will be read back.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Bytes that go over the wire to a blank chip with the stub, framing included.
    #[must_use]
    pub fn wire_bytes(&self) -> u64 {
        self.regions
            .iter()
            .filter_map(|region| region.frames.as_ref())
            .map(Frames::wire_bytes)
            .sum()
    }

    /// Bytes of flash data those frames carry, compressed where that pays.
    #[must_use]
    pub fn carried_bytes(&self) -> u64 {
        let frames = self
            .regions
            .iter()
            .filter_map(|region| region.frames.as_ref());
        frames.map(|frames| frames.carried).sum()
    }

    /// The stretches it is written in, in order.
    pub(crate) fn regions(&self) -> &[Region] {
        &self.regions
    }
}

/// The MD5 of `bytes`.
pub(crate) fn md5(bytes: &[u8]) -> Md5Digest {
    Md5::digest(bytes).into()
}

fn region(base: u32, bytes: &[u8], span: &Span) -> Region {
    let content = &bytes[span.range.clone()];
    Region {
        // `prepare` has made sure that the end fits.
        offset: base + span.range.start as u32,
        range: span.range.clone(),
        md5: md5(content),
        first: md5(&content[..content.len().min(SECTOR)]),
        frames: (!span.blank).then(|| frames(content)),
    }
}

fn frames(content: &[u8]) -> Frames {
    let mut padded = content.to_vec();
    padded.resize(content.len().next_multiple_of(4), 0xFF);
    match compress(&padded) {
        Some(stream) if stream.len() < padded.len() => compressed_frames(&stream, padded.len()),
        Some(_) | None => plain_frames(&padded),
    }
}

/// A zlib stream of `content`, or nothing if it does not become smaller.
fn compress(content: &[u8]) -> Option<Vec<u8>> {
    let mut stream = Vec::with_capacity(content.len());
    let mut zlib = Compress::new(Compression::new(LEVEL), true);
    // The vector is not grown: a stream that does not fit does not pay.
    let status = zlib
        .compress_vec(content, &mut stream, FlushCompress::Finish)
        .ok()?;
    (status == Status::StreamEnd).then_some(stream)
}

fn compressed_frames(stream: &[u8], written: usize) -> Frames {
    let mut zlib = Decompress::new(true);
    let mut out = vec![0; 32 * 1024];
    build(stream, written, true, |block| {
        let mut rest = block;
        loop {
            let before = (zlib.total_in(), zlib.total_out());
            let status = zlib.decompress(rest, &mut out, FlushDecompress::None);
            rest = &rest[(zlib.total_in() - before.0) as usize..];
            let stuck = (zlib.total_in(), zlib.total_out()) == before;
            if stuck || !matches!(status, Ok(Status::Ok)) {
                return zlib.total_out() as u32;
            }
        }
    })
}

fn plain_frames(content: &[u8]) -> Frames {
    let mut programmed = 0;
    build(content, content.len(), false, |block| {
        programmed += block.len() as u32;
        programmed
    })
}

/// Cuts `data` into frames; `programmed` tells how much each block brings the total to.
fn build(
    data: &[u8],
    written: usize,
    compressed: bool,
    mut programmed: impl FnMut(&[u8]) -> u32,
) -> Frames {
    let mut wire = Vec::with_capacity(data.len() + data.len() / 64 + 64);
    let mut blocks = Vec::with_capacity(data.len().div_ceil(STUB_BLOCK));
    let mut raw = Vec::with_capacity(STUB_BLOCK + 64);
    for (sequence, block) in (0u32..).zip(data.chunks(STUB_BLOCK)) {
        let start = wire.len();
        let data_block = DataBlock {
            sequence,
            data: block,
        };
        let request = if compressed {
            Request::FlashDeflData(data_block)
        } else {
            Request::FlashData(data_block)
        };
        raw.clear();
        request.encode(Dialect::Stub, &mut raw);
        slip::encode(&raw, &mut wire);
        blocks.push(Block {
            wire: start..wire.len(),
            programmed: programmed(block),
        });
    }
    wire.shrink_to_fit();
    Frames {
        compressed,
        written: written as u32,
        carried: data.len() as u64,
        blocks,
        wire,
    }
}

/// The MD5 of `length` bytes of erased flash.
pub(crate) fn blank_md5(length: u32) -> Md5Digest {
    static SECTOR_OF_BLANK: OnceLock<[u8; SECTOR]> = OnceLock::new();
    let sector = SECTOR_OF_BLANK.get_or_init(|| [0xFF; SECTOR]);
    let mut digest = Md5::new();
    let mut rest = length as usize;
    while rest > 0 {
        let part = rest.min(SECTOR);
        digest.update(&sector[..part]);
        rest -= part;
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::ZlibDecoder;
    use proptest::prelude::*;
    use station_esp::command::Opcode;
    use station_esp::slip::Decoder;

    use super::*;

    /// What a chip gets out of frames: the data of all blocks, in order, and the totals told.
    fn received(frames: &Frames) -> (Vec<u8>, Vec<u32>) {
        let (mut data, mut totals) = (Vec::new(), Vec::new());
        for (number, (wire, programmed)) in (0u32..).zip(frames.blocks()) {
            let mut decoder = Decoder::new(STUB_BLOCK + 64);
            let (taken, Some(slip::Decoded::Frame(frame))) = decoder.feed(wire) else {
                panic!("no frame");
            };
            assert_eq!(taken, wire.len());
            let request = Request::decode(&frame).unwrap();
            let compressed = request.opcode() == Opcode::FlashDeflData;
            assert_eq!(compressed, frames.compressed);
            let (Request::FlashDeflData(block) | Request::FlashData(block)) = request else {
                panic!("{request:?}");
            };
            assert_eq!(block.sequence, number);
            data.extend_from_slice(block.data);
            totals.push(programmed);
        }
        (data, totals)
    }

    fn check(bytes: &[u8]) {
        let image = PreparedImage::prepare("x", 0x1000, Arc::from(bytes)).unwrap();
        let mut at = 0;
        for region in image.regions() {
            assert_eq!(region.range.start, at);
            at = region.range.end;
            let content = &bytes[region.range.clone()];
            assert_eq!(region.offset as usize, 0x1000 + region.range.start);
            assert_eq!(region.md5, md5(content));
            let Some(frames) = &region.frames else {
                assert_eq!(region.md5, blank_md5(region.length()));
                continue;
            };
            let (mut data, totals) = received(frames);
            assert_eq!(data.len() as u64, frames.carried);
            if frames.compressed {
                let stream = std::mem::take(&mut data);
                ZlibDecoder::new(&stream[..])
                    .read_to_end(&mut data)
                    .unwrap();
            }
            assert_eq!(data.len() as u32, frames.written);
            assert_eq!(data[..content.len()], *content);
            assert!(data[content.len()..].iter().all(|&byte| byte == 0xFF));
            assert!(totals.is_sorted());
            assert_eq!(*totals.last().unwrap(), frames.written);
        }
        assert_eq!(at, bytes.len());
    }

    #[test]
    fn the_bytes_of_an_image_are_never_formatted() {
        let image = PreparedImage::prepare("nvs", 0x9000, Arc::from([0xA7; 64])).unwrap();
        let text = format!("{image:?}");
        assert!(text.contains("nvs") && text.contains("64"), "{text}");
        assert!(
            !text.contains("167") && !text.to_lowercase().contains("a7"),
            "{text}"
        );
    }

    #[test]
    fn a_chip_gets_out_of_the_frames_what_was_put_in() {
        check(&[7]);
        check(&[0; 3_000_001]);
        let noise: Vec<u8> = (0..70_003u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        check(&noise);
        let mut gap = noise.clone();
        gap.resize(1 << 20, 0xFF);
        gap.extend(&noise);
        check(&gap);
    }

    #[test]
    fn a_region_is_compressed_only_when_that_makes_it_smaller() {
        let image = PreparedImage::prepare("x", 0, Arc::from(&[0u8; 100_000][..])).unwrap();
        assert!(image.carried_bytes() < 200);
        let image = PreparedImage::prepare("x", 0, Arc::from(&b"abcd"[..])).unwrap();
        assert_eq!(image.carried_bytes(), 4);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_image_survives(
            parts in prop::collection::vec((any::<u8>(), any::<bool>(), 1usize..90_000), 1..5)
        ) {
            let bytes: Vec<u8> = parts
                .into_iter()
                .flat_map(|(seed, constant, count)| {
                    (0..count).map(move |at| {
                        if constant { seed | 0xF0 } else { ((at as u32).wrapping_mul(2_654_435_761) >> 9) as u8 ^ seed }
                    })
                })
                .collect();
            check(&bytes);
        }
    }
}
