//! Bytes on their way from the loader's commands into flash, one flash operation at a time.
//!
//! Invariants: output never leaves the announced area; the window holds at most 32 KiB of inflated
//! bytes or one plain block; every operation is chosen from the state of the flash at that moment,
//! takes its own time, and is applied only when that time is over.

use std::borrow::Cow;

use flate2::{Decompress, FlushDecompress, Status};
use station_esp::secure::encryption::FlashKey;

use super::answer::Refusal;
use super::encryption::encrypted;
use crate::nor::{BLOCK, EraseUnit, FlashTiming, NorFlash, PAGE, SECTOR};
use crate::wire::Nanos;

/// Inflated bytes that the loader gathers before it programs them.
const WINDOW: usize = 0x8000;
/// Nanoseconds that the loader's CPU needs to inflate one byte (about 25 MB/s at 160 MHz).
const INFLATE: u64 = 40;

/// One thing the chip does that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Programs `length` bytes of the window into one page at `at`.
    Page { at: u32, length: usize },
    /// Erases the unit at `at`.
    Erase { at: u32, unit: EraseUnit },
    /// Erases the whole flash.
    EraseAll,
    /// The CPU computes or reads.
    Compute,
}

/// A write that was begun and not yet ended.
#[derive(Debug)]
pub(super) struct WriteSession {
    /// Where the next byte goes.
    at: u32,
    /// First address beyond the announced area.
    end: u32,
    /// First address that was not erased for this write.
    erased: u32,
    inflater: Option<Box<Decompress>>,
    /// Whether the compressed stream must have exactly the announced length.
    exact: bool,
    /// Whether the compressed stream has come to its end.
    ended: bool,
    input: Vec<u8>,
    fed: usize,
    window: Vec<u8>,
    programmed: usize,
    flushing: bool,
    /// What the chip encrypts with on the way.
    key: Option<FlashKey>,
}

impl WriteSession {
    /// A stub's write of `size` bytes at `at`: it erases as it goes.
    pub(super) fn lazy(at: u32, size: u32, compressed: bool) -> Self {
        Self::new(at, size, compressed, at & !(SECTOR - 1), true)
    }

    /// A ROM's write into `size` bytes at `at`: they were erased before, and may be too many.
    pub(super) fn erased(at: u32, size: u32, compressed: bool) -> Self {
        Self::new(at, size, compressed, u32::MAX, false)
    }

    fn new(at: u32, size: u32, compressed: bool, erased: u32, exact: bool) -> Self {
        Self {
            at,
            end: at.saturating_add(size),
            erased,
            inflater: compressed.then(|| Box::new(Decompress::new(true))),
            exact,
            ended: false,
            input: Vec::new(),
            fed: 0,
            window: Vec::new(),
            programmed: 0,
            flushing: false,
            key: None,
        }
    }

    /// The same write, encrypted by the chip.
    pub(super) fn encrypted(mut self, key: Option<FlashKey>) -> Self {
        self.key = key;
        self
    }

    /// Whether FLASH_DEFL_DATA is what continues this write.
    pub(super) fn is_compressed(&self) -> bool {
        self.inflater.is_some()
    }

    /// Bytes that were announced and have not come out yet.
    pub(super) fn remaining(&self) -> u32 {
        (self.end - self.at).saturating_sub((self.window.len() - self.programmed) as u32)
    }

    /// Takes the data of one block.
    pub(super) fn feed(&mut self, data: &[u8]) {
        self.input.clear();
        self.input.extend_from_slice(data);
        self.fed = 0;
    }

    /// The next operation and how long it takes; nothing when the block is done.
    ///
    /// # Errors
    /// The stream is broken, or does not have the length that was announced.
    pub(super) fn next(
        &mut self,
        flash: &NorFlash,
        timing: FlashTiming,
    ) -> Result<Option<(Operation, Nanos)>, Refusal> {
        loop {
            if self.flushing {
                if self.programmed < self.window.len() {
                    if let Some(step) = self.flush(flash, timing)? {
                        return Ok(Some(step));
                    }
                    continue;
                }
                self.window.clear();
                self.programmed = 0;
                self.flushing = false;
            }
            if self.fed >= self.input.len() {
                return Ok(None);
            }
            if self.inflater.is_none() {
                self.take_plain();
                continue;
            }
            let produced = self.inflate()?;
            let cost = match timing {
                FlashTiming::Typical => produced as u64 * INFLATE,
                FlashTiming::Off => 0,
            };
            if cost > 0 {
                return Ok(Some((Operation::Compute, cost)));
            }
        }
    }

    /// A block longer than what is left of the area is padding, which is not programmed.
    fn take_plain(&mut self) {
        let length = self.input.len().min((self.end - self.at) as usize);
        std::mem::swap(&mut self.window, &mut self.input);
        self.window.truncate(length);
        self.input.clear();
        self.flushing = true;
    }

    fn inflate(&mut self) -> Result<usize, Refusal> {
        let Some(inflater) = &mut self.inflater else {
            return Err(Refusal::NotBegun);
        };
        if self.ended {
            return Err(Refusal::TooMuch);
        }
        let before = self.window.len();
        self.window.reserve_exact(WINDOW - before);
        let consumed = inflater.total_in();
        let input = self.input.get(self.fed..).unwrap_or(&[]);
        let status = inflater
            .decompress_vec(input, &mut self.window, FlushDecompress::None)
            .map_err(|_| Refusal::Inflate)?;
        self.fed += usize::try_from(inflater.total_in() - consumed).unwrap_or(0);
        let produced = self.window.len() - before;
        let room = (self.end - self.at) as usize;
        if self.window.len() > room {
            return Err(Refusal::TooMuch);
        }
        self.ended = status == Status::StreamEnd;
        if self.exact && self.ended && self.window.len() < room {
            return Err(Refusal::NotEnough);
        }
        if self.ended && self.fed < self.input.len() {
            return Err(Refusal::TooMuch);
        }
        // A stream that neither eats nor yields would go round for ever.
        let stuck = produced == 0 && inflater.total_in() == consumed;
        if stuck && self.window.len() < WINDOW && self.fed < self.input.len() {
            return Err(Refusal::Inflate);
        }
        self.flushing = self.ended || self.window.len() >= WINDOW || self.window.len() == room;
        Ok(produced)
    }

    fn flush(
        &mut self,
        flash: &NorFlash,
        timing: FlashTiming,
    ) -> Result<Option<(Operation, Nanos)>, Refusal> {
        if self.at >= flash.size() {
            return Err(Refusal::Spi);
        }
        if self.at >= self.erased {
            let whole_block = self.at.is_multiple_of(BLOCK) && self.end - self.at >= BLOCK;
            let unit = if whole_block {
                EraseUnit::Block
            } else {
                EraseUnit::Sector
            };
            let start = self.at & !(SECTOR - 1);
            self.erased = start.saturating_add(unit.bytes());
            if flash.is_blank(start, unit) {
                let cost = timing.read(unit.bytes());
                return Ok((cost > 0).then_some((Operation::Compute, cost)));
            }
            return Ok(Some((
                Operation::Erase { at: start, unit },
                timing.erase(unit),
            )));
        }
        let room = (PAGE - self.at % PAGE) as usize;
        let below = (self.erased - self.at) as usize;
        let length = (self.window.len() - self.programmed).min(room).min(below);
        Ok(Some((
            Operation::Page {
                at: self.at,
                length,
            },
            timing.page_program(),
        )))
    }

    /// The bytes that a page operation is about to program.
    pub(super) fn page(&self, length: usize) -> Cow<'_, [u8]> {
        let plain = self.window.get(self.programmed..self.programmed + length);
        let plain = plain.unwrap_or(&[]);
        match &self.key {
            Some(key) if !plain.is_empty() => Cow::Owned(encrypted(key, self.at, plain)),
            Some(_) | None => Cow::Borrowed(plain),
        }
    }

    /// A page operation has finished.
    pub(super) fn page_done(&mut self, length: usize) {
        self.programmed += length;
        self.at = self.at.saturating_add(length as u32);
    }

    /// A lower bound of the time that the bytes in the window still take.
    pub(super) fn at_least(&self, timing: FlashTiming) -> Nanos {
        if !self.flushing {
            return 0;
        }
        let pages = (self.window.len() - self.programmed) as u64 / u64::from(PAGE);
        pages.saturating_sub(1) * timing.page_program()
    }
}

/// An erase of a region, block by block where it is aligned.
#[derive(Debug)]
pub(super) struct EraseRegion {
    at: u32,
    end: u32,
}

impl EraseRegion {
    /// All sectors that `size` bytes at `at` touch; nothing when they leave the flash.
    pub(super) fn covering(at: u32, size: u32, flash: &NorFlash) -> Option<Self> {
        let end = at.checked_add(size)?;
        if end > flash.size() {
            return None;
        }
        let end = end.div_ceil(SECTOR) * SECTOR;
        Some(Self {
            at: if size == 0 { end } else { at & !(SECTOR - 1) },
            end,
        })
    }

    pub(super) fn next(&mut self, timing: FlashTiming) -> Option<(Operation, Nanos)> {
        if self.at >= self.end {
            return None;
        }
        let at = self.at;
        let unit = if at.is_multiple_of(BLOCK) && self.end - at >= BLOCK {
            EraseUnit::Block
        } else {
            EraseUnit::Sector
        };
        self.at += unit.bytes();
        Some((Operation::Erase { at, unit }, timing.erase(unit)))
    }

    /// A lower bound of the time that is left.
    pub(super) fn at_least(&self, timing: FlashTiming) -> Nanos {
        u64::from((self.end - self.at) / BLOCK) * timing.erase(EraseUnit::Block)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn drive(session: &mut WriteSession, flash: &mut NorFlash) -> Result<u64, Refusal> {
        let mut took = 0;
        while let Some((operation, time)) = session.next(flash, FlashTiming::Typical)? {
            took += time;
            match operation {
                Operation::Page { at, length } => {
                    flash.program(at, &session.page(length)).unwrap();
                    session.page_done(length);
                }
                Operation::Erase { at, unit } => flash.erase(at, unit).unwrap(),
                Operation::EraseAll | Operation::Compute => {}
            }
        }
        Ok(took)
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_compressed_stream_in_any_blocks_ends_in_flash() {
        let data: Vec<u8> = (0..100_000u32).map(|at| (at / 7) as u8).collect();
        let stream = deflated(&data);
        for block in [1, 7, 100, 0x4000] {
            let mut flash = NorFlash::new(0x40000);
            flash.program(0x1_2000, &[0; 5000]).unwrap();
            let mut session = WriteSession::lazy(0x1_0000, data.len() as u32, true);
            for part in stream.chunks(block) {
                session.feed(part);
                drive(&mut session, &mut flash).unwrap();
            }
            assert_eq!(session.remaining(), 0);
            assert_eq!(flash.bytes(0x1_0000, data.len() as u32), data);
        }
    }

    #[test]
    fn a_stream_of_the_wrong_length_or_content_is_refused() {
        let mut flash = NorFlash::new(0x40000);
        let stream = deflated(&[1; 5000]);
        let mut run = |size, bytes: &[u8]| {
            let mut session = WriteSession::lazy(0, size, true);
            session.feed(bytes);
            drive(&mut session, &mut flash)
        };
        assert_eq!(run(6000, &stream), Err(Refusal::NotEnough));
        assert_eq!(run(4000, &stream), Err(Refusal::TooMuch));
        assert_eq!(run(5000, &[9; 100]), Err(Refusal::Inflate));
        assert_eq!(
            run(5000, &[&stream[..], &[0]].concat()),
            Err(Refusal::TooMuch)
        );
        assert!(run(5000, &stream).is_ok());
    }

    #[test]
    fn blank_flash_is_not_erased_again() {
        let mut flash = NorFlash::new(0x40000);
        let mut session = WriteSession::lazy(0, 0x1_0000, false);
        session.feed(&[0x5A; 0x1_0000]);
        let blank = drive(&mut session, &mut flash).unwrap();
        let mut session = WriteSession::lazy(0, 0x1_0000, false);
        session.feed(&[0x5A; 0x1_0000]);
        let used = drive(&mut session, &mut flash).unwrap();
        assert_eq!(blank, 256 * 400_000 + 0x1_0000 * 100);
        assert_eq!(used, 256 * 400_000 + 150_000_000);
    }

    #[test]
    fn only_whole_aligned_blocks_are_erased_as_blocks() {
        let flash = NorFlash::new(0x40000);
        let mut region = EraseRegion::covering(0xF000, 0x1_2000, &flash).unwrap();
        let mut units = Vec::new();
        while let Some((Operation::Erase { at, unit }, _)) = region.next(FlashTiming::Off) {
            units.push((at, unit));
        }
        let sector = EraseUnit::Sector;
        assert_eq!(
            units,
            [
                (0xF000, sector),
                (0x1_0000, EraseUnit::Block),
                (0x2_0000, sector)
            ]
        );
        assert!(EraseRegion::covering(0x3_F000, 0x2000, &flash).is_none());
        assert!(EraseRegion::covering(u32::MAX, 2, &flash).is_none());
    }
}
