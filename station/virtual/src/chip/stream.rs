//! READ_FLASH: flash in packets, one on its way at a time, and the digest at the end.
//!
//! Invariants: the next packet leaves only when the last was acknowledged, whatever number in
//! flight was asked for; a frame that is no acknowledgement ends the stream.

use md5::{Digest, Md5};
use station_esp::command::Opcode;

use super::answer::{Answer, Refusal};
use super::core::VirtualChip;
use crate::wire::Nanos;

/// Largest packet that the stub's buffer allows.
const LARGEST_PACKET: u32 = 0x1000;

/// A read in progress.
#[derive(Debug)]
pub(super) struct ReadStream {
    at: u32,
    length: u32,
    sent: u32,
    packet: u32,
    md5: Md5,
}

impl VirtualChip {
    pub(super) fn begin_stream(
        &mut self,
        now: Nanos,
        at: u32,
        length: u32,
        packet: u32,
    ) -> Result<Answer, Refusal> {
        if packet == 0 || packet > LARGEST_PACKET {
            return Err(Refusal::Length);
        }
        if at
            .checked_add(length)
            .is_none_or(|end| end > self.flash.size())
        {
            return Err(Refusal::Spi);
        }
        self.answer(now, Opcode::ReadFlash as u8, Ok(Answer::done()));
        self.loader.stream = Some(ReadStream {
            at,
            length,
            sent: 0,
            packet,
            md5: Md5::new(),
        });
        self.stream_on(now);
        Ok(Answer::Silence)
    }

    /// The host has answered a packet with the number of bytes that it has.
    pub(super) fn stream_acknowledged(&mut self, now: Nanos, frame: &[u8]) {
        if frame.len() == 4 {
            self.stream_on(now);
        } else {
            self.loader.stream = None;
        }
    }

    /// Sends the next packet, or the digest when all were sent.
    fn stream_on(&mut self, now: Nanos) {
        let Some(mut stream) = self.loader.stream.take() else {
            return;
        };
        let left = stream.length - stream.sent;
        if left == 0 {
            let digest = stream.md5.finalize();
            self.send_frame(now, &digest);
            return;
        }
        let count = left.min(stream.packet);
        let bytes = self
            .flash
            .bytes(stream.at.saturating_add(stream.sent), count);
        stream.md5.update(&bytes);
        stream.sent += count;
        let at = now.saturating_add(self.config.flash_timing.read(count));
        self.cpu_free = self.cpu_free.max(at);
        self.loader.stream = Some(stream);
        self.send_frame(at, &bytes);
    }
}
