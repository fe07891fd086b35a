//! Commands that write, erase and digest flash, and the work they start.
//!
//! Invariants: one piece of work at a time, and the CPU takes no frame meanwhile; an operation on
//! flash takes effect when its time is over; a reset lets the running operation end and drops the
//! rest, a power loss leaves it half done; a stub acknowledges a block before it writes it, a ROM
//! after.

use md5::{Digest, Md5};
use rand_chacha::rand_core::Rng;
use station_esp::command::{DataBlock, Dialect, FlashBegin, Opcode};

use super::answer::{Answer, Refusal};
use super::core::VirtualChip;
use super::write::{EraseRegion, Operation, WriteSession};
use crate::nor::EraseUnit;
use crate::wire::Nanos;

/// Largest flash block that a stub's buffer takes.
const LARGEST_BLOCK: u32 = 0x4000;
/// Most bytes of one READ_FLASH_SLOW.
const SLOW_READ: u32 = 64;

/// What stops work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    /// EN went low: the flash goes on by itself.
    Reset,
    /// The supply is gone: the flash stops too.
    PowerLoss,
}

/// Something that takes time.
#[derive(Debug)]
enum Work {
    /// A block of the write session goes to flash.
    Write,
    Erase(EraseRegion),
    EraseAll,
    /// MD5 over a range.
    Digest {
        at: u32,
        length: u32,
    },
}

/// Work in progress.
#[derive(Debug)]
pub(super) struct Task {
    work: Work,
    operation: Operation,
    started: Nanos,
    ends: Nanos,
    /// The command that is answered when the work is done.
    opcode: Option<Opcode>,
    /// At least this long after `ends` the work goes on.
    rest: Nanos,
}

impl Task {
    /// Whether a host waits for the end.
    pub(super) fn is_awaited(&self) -> bool {
        self.opcode.is_some()
    }

    /// A moment before which the work cannot be done.
    pub(super) fn at_least(&self) -> Nanos {
        self.ends.saturating_add(self.rest)
    }
}

impl VirtualChip {
    pub(super) fn flash_begin(
        &mut self,
        now: Nanos,
        begin: &FlashBegin,
        compressed: bool,
    ) -> Result<Answer, Refusal> {
        let dialect = self.dialect();
        self.loader.write = None;
        let key = match begin.encrypt {
            Some(true) => Some(self.key_for_write(begin.offset)?),
            Some(false) | None => None,
        };
        if dialect == Dialect::Stub {
            if begin.block_size > LARGEST_BLOCK {
                return Err(Refusal::BlockSize);
            }
            let session = WriteSession::lazy(begin.offset, begin.erase_size, compressed);
            self.loader.write = Some(session.encrypted(key));
            return Ok(Answer::done());
        }
        if begin.encrypt.is_some() != self.spec.begin_has_encrypt_word(Dialect::Rom) {
            return Err(Refusal::Length);
        }
        let region = EraseRegion::covering(begin.offset, begin.erase_size, &self.flash)
            .ok_or(Refusal::Spi)?;
        let blocks = begin.blocks.saturating_mul(begin.block_size);
        let area = if compressed { begin.erase_size } else { blocks };
        let area = area.min(self.flash.size().saturating_sub(begin.offset));
        let session = WriteSession::erased(begin.offset, area, compressed);
        self.loader.write = Some(session.encrypted(key));
        if begin.erase_size == 0 {
            return Ok(Answer::done());
        }
        let opcode = if compressed {
            Opcode::FlashDeflBegin
        } else {
            Opcode::FlashBegin
        };
        self.start(now, Work::Erase(region), Some(opcode));
        Ok(Answer::Later)
    }

    pub(super) fn flash_data(
        &mut self,
        now: Nanos,
        block: &DataBlock<'_>,
        opcode: Opcode,
    ) -> Result<Answer, Refusal> {
        let dialect = self.dialect();
        let compressed = opcode == Opcode::FlashDeflData;
        let session = self.loader.write.as_mut().ok_or(Refusal::NotBegun)?;
        if session.is_compressed() != compressed {
            return Err(Refusal::NotBegun);
        }
        if block.data.len() > LARGEST_BLOCK as usize {
            return Err(Refusal::BlockSize);
        }
        if session.remaining() == 0 && !compressed && !block.data.is_empty() {
            return Err(Refusal::TooMuch);
        }
        session.feed(block.data);
        match dialect {
            Dialect::Rom => {
                self.start(now, Work::Write, Some(opcode));
                Ok(Answer::Later)
            }
            Dialect::Stub => {
                // The answer must leave before the work begins.
                self.answer(now, opcode as u8, Ok(Answer::done()));
                self.start(now, Work::Write, None);
                Ok(Answer::Silence)
            }
        }
    }

    pub(super) fn flash_end(
        &mut self,
        now: Nanos,
        opcode: Opcode,
        reboot: bool,
    ) -> Result<Answer, Refusal> {
        let session = self.loader.write.as_ref().ok_or(Refusal::NotBegun)?;
        if self.dialect() == Dialect::Stub {
            if session.remaining() != 0 {
                return Err(Refusal::Length);
            }
            self.loader.write = None;
            // The stub does not reboot, whatever it is asked.
            return Ok(Answer::done());
        }
        self.loader.write = None;
        self.answer(now, opcode as u8, Ok(Answer::done()));
        self.leave_loader(reboot);
        Ok(Answer::Silence)
    }

    pub(super) fn flash_md5(
        &mut self,
        now: Nanos,
        at: u32,
        length: u32,
    ) -> Result<Answer, Refusal> {
        if at
            .checked_add(length)
            .is_none_or(|end| end > self.flash.size())
        {
            return Err(Refusal::Spi);
        }
        self.start(now, Work::Digest { at, length }, Some(Opcode::SpiFlashMd5));
        Ok(Answer::Later)
    }

    pub(super) fn read_slow(
        &mut self,
        now: Nanos,
        offset: u32,
        length: u32,
    ) -> Result<Answer, Refusal> {
        if self.read_hook_is_hijacked() {
            self.start_stub(now);
            return Ok(Answer::Silence);
        }
        if length > SLOW_READ {
            return Err(Refusal::Length);
        }
        let mut body = vec![0; SLOW_READ as usize];
        let part = body.get_mut(..length as usize).ok_or(Refusal::Length)?;
        self.flash.read(offset, part).map_err(|_| Refusal::Spi)?;
        Ok(Answer::Now(0, body))
    }

    pub(super) fn erase_flash(&mut self, now: Nanos) -> Answer {
        self.start(now, Work::EraseAll, Some(Opcode::EraseFlash));
        Answer::Later
    }

    pub(super) fn erase_region(
        &mut self,
        now: Nanos,
        offset: u32,
        length: u32,
    ) -> Result<Answer, Refusal> {
        let sector = EraseUnit::Sector.bytes();
        if !offset.is_multiple_of(sector) || !length.is_multiple_of(sector) {
            return Err(Refusal::Length);
        }
        let region = EraseRegion::covering(offset, length, &self.flash).ok_or(Refusal::Spi)?;
        self.start(now, Work::Erase(region), Some(Opcode::EraseRegion));
        Ok(Answer::Later)
    }

    /// Begins work at `now`; its first operation is chosen at once.
    fn start(&mut self, now: Nanos, work: Work, opcode: Option<Opcode>) {
        let now = now.max(self.cpu_free);
        self.go_on(now, work, opcode);
    }

    /// Chooses the next operation of the work, or ends it.
    fn go_on(&mut self, now: Nanos, mut work: Work, opcode: Option<Opcode>) {
        let timing = self.config.flash_timing;
        let mut rest = 0;
        let next = match &mut work {
            Work::Write => match &mut self.loader.write {
                Some(session) => {
                    let next = session.next(&self.flash, timing);
                    rest = session.at_least(timing);
                    next
                }
                None => Ok(None),
            },
            Work::Erase(region) => {
                let next = region.next(timing);
                rest = region.at_least(timing);
                Ok(next)
            }
            Work::EraseAll => Ok(Some((
                Operation::EraseAll,
                timing.chip_erase(self.flash.size()),
            ))),
            Work::Digest { length, .. } => Ok(Some((Operation::Compute, timing.read(*length)))),
        };
        match next {
            Ok(Some((operation, time))) => {
                let ends = now.saturating_add(time);
                self.task = Some(Task {
                    work,
                    operation,
                    started: now,
                    ends,
                    opcode,
                    rest,
                });
            }
            Ok(None) => self.finish(now, opcode, Ok(Answer::done())),
            Err(refusal) => self.finish(now, opcode, Err(refusal)),
        }
    }

    /// The work is done, or has failed.
    fn finish(&mut self, now: Nanos, opcode: Option<Opcode>, outcome: Result<Answer, Refusal>) {
        self.cpu_free = now;
        match (opcode, outcome) {
            (Some(opcode), outcome) => self.answer(now, opcode as u8, outcome),
            (None, Err(refusal)) => self.loader.late = Some(refusal),
            (None, Ok(_)) => {}
        }
    }

    /// Completes the running operation if its time is over by `limit`, and chooses the next.
    pub(super) fn work(&mut self, limit: Nanos) -> bool {
        let Some(task) = self.task.take_if(|task| task.ends <= limit) else {
            return false;
        };
        let at = task.ends;
        match task.operation {
            Operation::Page {
                at: address,
                length,
            } => {
                self.programs += 1;
                if self.supply_fails_here(true) {
                    self.break_page(address, length / 2);
                    self.fail_supply(at);
                    return true;
                }
                if let Some(session) = &mut self.loader.write {
                    // A range that leaves the flash was refused before the page was begun.
                    let _ = self.flash.program(address, &session.page(length));
                    session.page_done(length);
                }
            }
            Operation::Erase { at: address, unit } => {
                self.erases += 1;
                if self.supply_fails_here(false) {
                    self.break_erase(address, unit);
                    self.fail_supply(at);
                    return true;
                }
                if self.flash.erase(address, unit).is_err() {
                    self.finish(at, task.opcode, Err(Refusal::Spi));
                    return true;
                }
            }
            Operation::EraseAll => {
                self.erases += 1;
                self.flash.erase_chip();
                self.finish(at, task.opcode, Ok(Answer::done()));
                return true;
            }
            Operation::Compute => {}
        }
        if let Work::Digest {
            at: address,
            length,
        } = task.work
        {
            self.digested(at, address, length);
        } else {
            self.go_on(at, task.work, task.opcode);
        }
        true
    }

    /// Answers with the MD5 of the range: raw from a stub, in hex digits from a ROM.
    fn digested(&mut self, now: Nanos, address: u32, length: u32) {
        let mut md5 = Md5::new();
        if self.flash.digest(address, length, &mut md5).is_err() {
            self.finish(now, Some(Opcode::SpiFlashMd5), Err(Refusal::Spi));
            return;
        }
        let digest = md5.finalize();
        let body = match self.dialect() {
            Dialect::Rom => hex::encode(digest).into_bytes(),
            Dialect::Stub => digest.to_vec(),
        };
        self.finish(now, Some(Opcode::SpiFlashMd5), Ok(Answer::Now(0, body)));
    }

    /// Whether the supply fails during this program or erase.
    pub(super) fn supply_fails_here(&self, program: bool) -> bool {
        let Some(loss) = &self.config.faults.power_loss else {
            return false;
        };
        let hit = if program {
            loss.at_program == Some(self.programs)
        } else {
            loss.at_erase == Some(self.erases)
        };
        hit && !self.supply_failed
    }

    /// Stops the running work.
    pub(super) fn interrupt(&mut self, now: Nanos, why: Interruption) {
        let Some(task) = self.task.take() else { return };
        if task.started >= now {
            return;
        }
        let done = u128::from(now - task.started);
        let whole = u128::from((task.ends - task.started).max(1));
        match (why, task.operation) {
            (_, Operation::Compute) => {}
            (Interruption::Reset, Operation::Page { at, length }) => {
                self.programs += 1;
                self.break_page(at, length);
            }
            (Interruption::PowerLoss, Operation::Page { at, length }) => {
                self.programs += 1;
                let part = (length as u128 * done / whole).min(length as u128);
                self.break_page(at, usize::try_from(part).unwrap_or(length));
            }
            (Interruption::Reset, Operation::Erase { at, unit }) => {
                self.erases += 1;
                // The region was checked when the erase was asked for.
                let _ = self.flash.erase(at, unit);
            }
            (Interruption::PowerLoss, Operation::Erase { at, unit }) => {
                self.erases += 1;
                self.break_erase(at, unit);
            }
            (Interruption::Reset, Operation::EraseAll) => self.flash.erase_chip(),
            (Interruption::PowerLoss, Operation::EraseAll) => {
                for at in (0..self.flash.size()).step_by(EraseUnit::Block.bytes() as usize) {
                    self.break_erase(at, EraseUnit::Block);
                }
            }
        }
    }

    /// Programs only the first `length` bytes of the page that was under way.
    fn break_page(&mut self, address: u32, length: usize) {
        if let Some(session) = &self.loader.write {
            let _ = self.flash.program(address, &session.page(length));
        }
    }

    /// Leaves an erase with about half of its bits risen.
    pub(super) fn break_erase(&mut self, address: u32, unit: EraseUnit) {
        let luck = &mut self.luck;
        self.flash
            .erase_partly(address, unit, || (luck.next_u32() & 0xFF) as u8);
    }
}
