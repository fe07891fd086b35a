//! The loader protocol as ROM and stub speak it: frames in, answers out.
//!
//! Invariants: every well-formed frame is answered as the loader that runs would answer, errors
//! included; a stub reports the error of a block in its answer to the next command and does not
//! execute that one; an answer to CHANGE_BAUDRATE leaves at the old rate.

use station_esp::Chip;
use station_esp::chip::SecurityInfoShape;
use station_esp::command::{
    DecodeError, Dialect, Opcode, RegisterWrite, Request, Response, SYNC_ANSWERS, SecurityInfo,
    Status,
};
use station_esp::efuse::FieldName;
use station_esp::slip;

use super::answer::{Answer, Refusal};
use super::config::RefusalStyle;
use super::core::VirtualChip;
use super::memory::Ram;
use super::mode::Mode;
use super::registers::Effect;
use super::stream::ReadStream;
use super::write::WriteSession;
use crate::wire::{Nanos, Wire};

/// The value word of a ROM's answer to SYNC: the first four bytes of what it was sent.
const SYNC_VALUE: u32 = 0x2012_0707;
/// Fastest rate that a UART can be set to, in baud.
const FASTEST: u32 = 5_000_000;

/// What a loader remembers from one command to the next.
#[derive(Debug, Default)]
pub(super) struct Loader {
    /// Whether a SYNC was understood, which ends the detection of the baud rate.
    pub(super) synced: bool,
    /// The value word that the ROM leaves in answers that have none of their own.
    pub(super) value: u32,
    pub(super) ram: Ram,
    pub(super) write: Option<WriteSession>,
    /// The error of a block that was acknowledged before it was written.
    pub(super) late: Option<Refusal>,
    pub(super) stream: Option<ReadStream>,
}

impl VirtualChip {
    pub(super) fn dialect(&self) -> Dialect {
        if self.mode == Mode::Stub {
            Dialect::Stub
        } else {
            Dialect::Rom
        }
    }

    /// A frame has arrived.
    pub(super) fn frame(&mut self, now: Nanos, frame: &[u8]) {
        if self.loader.stream.is_some() {
            self.stream_acknowledged(now, frame);
            return;
        }
        let shortened = self.without_extra_words(frame);
        let request = match Request::decode(shortened.as_deref().unwrap_or(frame)) {
            Ok(request) => request,
            Err(error) => {
                self.misunderstood(now, &error);
                return;
            }
        };
        let opcode = request.opcode();
        if !self.permits(opcode) {
            self.refuse_unknown(now, opcode as u8);
            return;
        }
        if let Some(late) = self.loader.late.take() {
            self.answer(now, opcode as u8, Err(late));
            return;
        }
        let outcome = self.execute(now, &request);
        // A ROM looks at its fuses after every command and gives up when it may go on no longer;
        // the one of the ESP32 looks at resets only.
        let may_go_on = self.mode != Mode::Rom
            || self.config.chip == Chip::Esp32
            || !self.download_is_disabled();
        if may_go_on {
            self.answer(now, opcode as u8, outcome);
        } else {
            self.mode = Mode::BootFailed;
        }
    }

    /// A READ_FLASH_SLOW with the four words of READ_FLASH, cut to the two that a ROM looks at:
    /// espflash sends all four, and ROMs answer it.
    fn without_extra_words(&self, frame: &[u8]) -> Option<Vec<u8>> {
        const HEAD: usize = 8;
        let is_long = frame.len() == HEAD + 16
            && frame.get(..4) == Some(&[0, Opcode::ReadFlashSlow as u8, 16, 0]);
        if !is_long || self.dialect() == Dialect::Stub {
            return None;
        }
        let mut short = frame.get(..HEAD + 8)?.to_vec();
        *short.get_mut(2)? = 8;
        Some(short)
    }

    /// Whether the loader that runs knows the command and may execute it.
    fn permits(&self, opcode: Opcode) -> bool {
        let dialect = self.dialect();
        let barred = dialect == Dialect::Rom
            && self.efuse.flag(FieldName::SecureDownload)
            && !opcode.allowed_in_secure_download();
        self.spec.supports(dialect, opcode) && !barred
    }

    fn misunderstood(&mut self, now: Nanos, error: &DecodeError) {
        let Some(opcode) = error.opcode() else { return };
        if matches!(error, DecodeError::UnknownOpcode(_)) {
            self.refuse_unknown(now, opcode);
            return;
        }
        let refusal = match error {
            // A ROM hears only what is a request, and lets a strange SYNC pass.
            DecodeError::Direction { .. } | DecodeError::SyncPayload
                if self.dialect() == Dialect::Rom =>
            {
                return;
            }
            DecodeError::Direction { .. } => Refusal::Unknown,
            DecodeError::Checksum { .. } => Refusal::Checksum,
            DecodeError::BlockLength {
                declared, actual, ..
            } => {
                if *declared as usize > *actual {
                    Refusal::NotEnough
                } else {
                    Refusal::TooMuch
                }
            }
            DecodeError::TooShort(_)
            | DecodeError::UnknownOpcode(_)
            | DecodeError::FrameLength { .. }
            | DecodeError::Arguments { .. }
            | DecodeError::SyncPayload => Refusal::Length,
        };
        let refusal = self.loader.late.take().unwrap_or(refusal);
        self.answer(now, opcode, Err(refusal));
    }

    /// Refuses a command that the loader does not know, or not now.
    fn refuse_unknown(&mut self, now: Nanos, opcode: u8) {
        let dialect = self.dialect();
        let status = Refusal::Unknown.status(dialect);
        // Hosts tell a locked ESP32-S2 from others by the other opcode.
        let locked_s2 = self.spec.security_info == SecurityInfoShape::WithoutId
            && self.efuse.flag(FieldName::SecureDownload);
        let style = if locked_s2 {
            RefusalStyle::EightOther
        } else {
            self.config.refusal
        };
        if dialect == Dialect::Stub || style == RefusalStyle::Same {
            self.respond(now, &Response::plain(opcode, 0, status));
            return;
        }
        for _ in 0..SYNC_ANSWERS {
            self.respond(now, &Response::plain(Opcode::Sync as u8, 0, status));
        }
    }

    fn sync(&mut self, now: Nanos) {
        if self.dialect() == Dialect::Rom {
            self.loader.synced = true;
            self.loader.value = SYNC_VALUE;
        }
        for _ in 0..SYNC_ANSWERS {
            let value = self.loader.value;
            self.respond(now, &Response::plain(Opcode::Sync as u8, value, Status::OK));
        }
    }

    fn change_baud(&mut self, now: Nanos, new: u32) -> Result<Answer, Refusal> {
        if new == 0 || new > FASTEST {
            return Err(Refusal::Length);
        }
        self.answer(now, Opcode::ChangeBaudrate as u8, Ok(Answer::done()));
        // The ESP32-C2's ROM takes every crystal for one of 40 MHz.
        let rom_of_c2 = self.config.chip == Chip::Esp32C2 && self.dialect() == Dialect::Rom;
        let crystal = u64::from(self.config.crystal_mhz);
        let real = if rom_of_c2 {
            u64::from(new) * crystal / 40
        } else {
            u64::from(new)
        };
        if !self.config.faults.ignore_baud {
            self.baud = u32::try_from(real).unwrap_or(new).max(1);
        }
        Ok(Answer::Silence)
    }

    fn execute(&mut self, now: Nanos, request: &Request<'_>) -> Result<Answer, Refusal> {
        let dialect = self.dialect();
        match *request {
            Request::ReadReg { address } => {
                Ok(Answer::Now(self.read_register(now, address), Vec::new()))
            }
            Request::SpiAttach { legacy, .. } => {
                let fits = legacy.is_some() == (dialect == Dialect::Rom);
                if fits {
                    Ok(Answer::done())
                } else {
                    Err(Refusal::Length)
                }
            }
            Request::SpiSetParams { .. } => Ok(Answer::done()),
            Request::GetSecurityInfo => Ok(Answer::Now(0, self.security_info())),
            Request::MemBegin(ref begin) => self.loader.ram.begin(begin).map(|()| Answer::done()),
            Request::MemData(ref block) => self.loader.ram.data(block).map(|()| Answer::done()),
            Request::MemEnd { stay, entry } => self.mem_end(now, stay, entry),
            Request::FlashBegin(ref begin) => self.flash_begin(now, begin, false),
            Request::FlashDeflBegin(ref begin) => self.flash_begin(now, begin, true),
            Request::FlashData(ref block) => self.flash_data(now, block, Opcode::FlashData),
            Request::FlashDeflData(ref block) => self.flash_data(now, block, Opcode::FlashDeflData),
            Request::FlashEnd { reboot } => self.flash_end(now, Opcode::FlashEnd, reboot),
            Request::FlashDeflEnd { reboot } => self.flash_end(now, Opcode::FlashDeflEnd, reboot),
            Request::SpiFlashMd5 { offset, length } => self.flash_md5(now, offset, length),
            Request::ReadFlashSlow { offset, length } => self.read_slow(now, offset, length),
            Request::EraseFlash => Ok(self.erase_flash(now)),
            Request::EraseRegion { offset, length } => self.erase_region(now, offset, length),
            Request::ReadFlash {
                offset,
                length,
                packet,
                ..
            } => self.begin_stream(now, offset, length, packet),
            Request::RunUserCode => Ok(Answer::Silence),
            Request::Sync => {
                self.sync(now);
                Ok(Answer::Silence)
            }
            Request::ChangeBaudrate { new, .. } => self.change_baud(now, new),
            Request::WriteReg(ref writes) => Ok(self.write_registers(now, writes)),
        }
    }

    pub(super) fn read_register(&self, now: Nanos, address: u32) -> u32 {
        self.loader.ram.word(address).unwrap_or_else(|| {
            self.registers
                .read(address, &self.efuse, &self.surroundings(now))
        })
    }

    fn write_registers(&mut self, now: Nanos, writes: &[RegisterWrite]) -> Answer {
        let mut at = now;
        for write in writes {
            if self.config.wire == Wire::On {
                at = at.saturating_add(u64::from(write.delay_us) * 1000);
            }
            let around = self.surroundings(at);
            let effect = self.registers.write(
                write.address,
                write.value,
                write.mask,
                &mut self.flash,
                &mut self.efuse,
                &around,
            );
            match effect {
                Effect::None => {}
                Effect::SupplyFails => {
                    self.fail_supply(at);
                    return Answer::Silence;
                }
                Effect::WatchdogOff => self.watchdog = None,
                Effect::WatchdogArmed(after) => self.watchdog = Some(at.saturating_add(after)),
            }
        }
        self.cpu_free = self.cpu_free.max(at);
        Answer::done()
    }

    fn security_info(&self) -> Vec<u8> {
        let with_id = self.spec.security_info == SecurityInfoShape::WithId;
        let count = self
            .efuse
            .image()
            .read(FieldName::FlashCryptCount)
            .unwrap_or(0);
        let answer = SecurityInfo {
            flags: self.efuse.security_flags(),
            flash_crypt_cnt: u8::try_from(count).unwrap_or(u8::MAX),
            key_purposes: self.efuse.key_purposes(),
            chip_id: with_id.then(|| u32::from(self.spec.image_id)),
            api_version: with_id.then_some(0),
        };
        let mut body = Vec::with_capacity(20);
        answer.encode(&mut body);
        body
    }

    /// Sends what a command led to.
    pub(super) fn answer(&mut self, now: Nanos, opcode: u8, outcome: Result<Answer, Refusal>) {
        let now = now.max(self.cpu_free);
        let dialect = self.dialect();
        match outcome {
            Ok(Answer::Now(value, body)) => {
                if opcode == Opcode::ReadReg as u8 && dialect == Dialect::Rom {
                    self.loader.value = value;
                }
                let value = if dialect == Dialect::Rom {
                    self.loader.value
                } else {
                    value
                };
                self.respond(
                    now,
                    &Response {
                        opcode,
                        value,
                        body: &body,
                        status: Status::OK,
                    },
                );
            }
            Ok(Answer::Later | Answer::Silence) => {}
            Err(refusal) => {
                let status = refusal.status(dialect);
                self.respond(now, &Response::plain(opcode, self.loader.value, status));
            }
        }
    }

    /// Sends one answer, with whatever faults belong to it.
    fn respond(&mut self, now: Nanos, response: &Response<'_>) {
        self.answers += 1;
        let count = self.answers;
        let faults = &self.config.faults;
        let chatter = faults
            .chatter
            .as_ref()
            .filter(|chatter| count.is_multiple_of(chatter.every.into()));
        let chatter = chatter.map(|chatter| format!("{}\r\n", chatter.text).into_bytes());
        let late = faults
            .late
            .as_ref()
            .filter(|late| count.is_multiple_of(late.every.into()));
        let at = now.saturating_add(late.map_or(0, |late| u64::from(late.by_ms) * 1_000_000));
        if let Some(text) = chatter {
            self.say(at, text);
        }
        let mut frame = Vec::with_capacity(response.body.len() + 12);
        response.encode(self.dialect(), &mut frame);
        self.send_frame(at, &frame);
    }

    pub(super) fn send_frame(&mut self, at: Nanos, frame: &[u8]) {
        let mut bytes = Vec::with_capacity(frame.len() + frame.len() / 64 + 8);
        slip::encode(frame, &mut bytes);
        self.say(at, bytes);
    }
}
