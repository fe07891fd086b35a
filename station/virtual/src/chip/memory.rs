//! RAM as a loader fills it, and what becomes of a jump into it.
//!
//! Invariants: the bytes kept are bounded; a jump to the stub that belongs to the chip becomes the
//! stub, any other jump becomes a program that says where it started; a jump nowhere is one too,
//! as nobody can tell from outside.

use station_esp::Chip;
use station_esp::command::{DataBlock, MemBegin, Opcode, STUB_GREETING};
use station_esp::efuse::FieldName;
use station_esp::loader::stubs;

use super::answer::{Answer, Refusal};
use super::core::VirtualChip;
use super::loader::Loader;
use super::mode::Mode;
use crate::wire::Nanos;

/// Most bytes kept of all uploads together: more than any chip has RAM for.
const MOST: usize = 1 << 20;
/// Most segments kept.
const MOST_SEGMENTS: usize = 64;
/// How far a stub's data may have moved from one release to the next.
const DRIFT: u32 = 0x1000;
/// Where an ESP32-S3's ROM keeps the function that reads flash (esptool, `run_stub`).
const S3_READ_HOOK: u32 = 0x3FCE_F688;

#[derive(Debug)]
struct Segment {
    start: u32,
    block_size: u32,
    size: u32,
    bytes: Vec<u8>,
}

/// What was uploaded since the last reset.
#[derive(Debug, Default)]
pub(super) struct Ram {
    segments: Vec<Segment>,
    kept: usize,
    open: bool,
}

impl Ram {
    pub(super) fn begin(&mut self, begin: &MemBegin) -> Result<(), Refusal> {
        self.open = false;
        if self.segments.len() >= MOST_SEGMENTS || begin.size as usize > MOST - self.kept {
            return Err(Refusal::Length);
        }
        self.segments.retain(|segment| {
            let same = segment.start == begin.offset;
            if same {
                self.kept -= segment.bytes.len();
            }
            !same
        });
        self.segments.push(Segment {
            start: begin.offset,
            block_size: begin.block_size,
            size: begin.size,
            bytes: Vec::new(),
        });
        self.open = true;
        Ok(())
    }

    pub(super) fn data(&mut self, block: &DataBlock<'_>) -> Result<(), Refusal> {
        let segment = self
            .segments
            .last_mut()
            .filter(|_| self.open)
            .ok_or(Refusal::NotBegun)?;
        let at = u64::from(block.sequence) * u64::from(segment.block_size);
        let end = at + block.data.len() as u64;
        if end > u64::from(segment.size) {
            return Err(Refusal::TooMuch);
        }
        let (Ok(at), Ok(end)) = (usize::try_from(at), usize::try_from(end)) else {
            return Err(Refusal::TooMuch);
        };
        if end > segment.bytes.len() {
            self.kept += end - segment.bytes.len();
            segment.bytes.resize(end, 0);
        }
        if let Some(place) = segment.bytes.get_mut(at..end) {
            place.copy_from_slice(block.data);
        }
        Ok(())
    }

    /// The word at `address`, where something was uploaded.
    pub(super) fn word(&self, address: u32) -> Option<u32> {
        self.segments.iter().rev().find_map(|segment| {
            let offset = usize::try_from(address.checked_sub(segment.start)?).ok()?;
            let bytes = segment.bytes.get(offset..offset.checked_add(4)?)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        })
    }

    /// Whether jumping to `entry` starts a flasher stub of `chip`.
    ///
    /// A stub is known by its entry and code. One of another release has another entry, but is
    /// linked to the same places: its code starts where ours does and its data end where ours do.
    fn is_stub(&self, chip: Chip, entry: u32) -> bool {
        let at = |start: u32| self.segments.iter().find(|segment| segment.start == start);
        stubs().filter(|(of, _)| *of == chip).any(|(_, stub)| {
            let Some(code) = at(stub.text_start) else {
                return false;
            };
            if entry == stub.entry && code.bytes == stub.text {
                return true;
            }
            let inside = entry
                .checked_sub(code.start)
                .is_some_and(|offset| (offset as usize) < code.bytes.len());
            inside
                && self.segments.len() == 2
                && self
                    .segments
                    .iter()
                    .any(|data| data.start.abs_diff(stub.data_start) < DRIFT)
        })
    }

    fn total(&self) -> (usize, usize) {
        (self.segments.len(), self.kept)
    }
}

impl VirtualChip {
    pub(super) fn mem_end(
        &mut self,
        now: Nanos,
        stay: bool,
        entry: u32,
    ) -> Result<Answer, Refusal> {
        self.loader.ram.open = false;
        if stay {
            return Ok(Answer::done());
        }
        // These two ROMs start nothing from RAM under secure boot (esptool, `run_stub`).
        let strict = matches!(self.config.chip, Chip::Esp32S3 | Chip::Esp32C3);
        if strict && self.efuse.flag(FieldName::SecureBoot) {
            return Err(Refusal::NotBegun);
        }
        self.answer(now, Opcode::MemEnd as u8, Ok(Answer::done()));
        if self.loader.ram.is_stub(self.config.chip, entry) {
            self.start_stub(now);
        } else {
            let (segments, bytes) = self.loader.ram.total();
            self.loader = Loader::default();
            self.mode = Mode::RamApplication;
            let text = format!(
                "\r\nRAM application started at {entry:#010x}: {bytes} bytes in {segments} \
                 segments\r\nReady\r\n"
            );
            self.say(now, text.into_bytes());
        }
        Ok(Answer::Silence)
    }

    /// The stub takes over and greets.
    pub(super) fn start_stub(&mut self, now: Nanos) {
        self.loader = Loader::default();
        self.mode = Mode::Stub;
        self.send_frame(now.max(self.cpu_free), STUB_GREETING);
    }

    /// Whether the ROM's flash read was bent to a stub: the way in on an ESP32-S3 with secure boot.
    pub(super) fn read_hook_is_hijacked(&self) -> bool {
        self.config.chip == Chip::Esp32S3
            && self
                .loader
                .ram
                .is_stub(self.config.chip, self.read_register(self.now, S3_READ_HOOK))
    }
}
