//! Reading flash back.
//!
//! Invariants: no more is read than the flash has; every stretch of [`STRETCH`] bytes is proven by
//! the chip's MD5 before it is handed on, and read again if the link spoiled it; one packet is on
//! its way at a time, which is all the stub ever sends.

use std::ops::Range;

use station_esp::command::{Opcode, Request};
use station_esp::slip;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::prepared::{Md5Digest, md5};
use super::progress::{Phase, ProgressSink};
use crate::error::DeviceError;
use crate::loader::{PACKET, PROMPT, is_transient};
use crate::session::Session;

/// Bytes read, proven and handed on at once.
const STRETCH: u32 = 128 * 1024;
/// Bytes of one packet; the stub refuses more.
const PACKET_SIZE: u32 = 4096;
/// Bytes of one answer of a ROM.
const SLOW_SIZE: u32 = 64;
/// Tries of one stretch.
const TRIES: u32 = 4;

impl Session {
    /// Reads flash into memory.
    ///
    /// # Errors
    /// `FlashRange`, `SecureDownload`, `Unsupported`, a flash error of the loader, or an error of
    /// the link.
    pub async fn read_flash(
        &mut self,
        offset: u32,
        length: u32,
        progress: &dyn ProgressSink,
    ) -> Result<Vec<u8>, DeviceError> {
        self.within_flash(offset, length)?;
        let mut bytes = Vec::with_capacity(length as usize);
        self.read_flash_into(offset, length, &mut bytes, progress)
            .await?;
        Ok(bytes)
    }

    /// Reads flash into a sink, in proven stretches and bounded memory.
    ///
    /// # Errors
    /// Those of [`Session::read_flash`], and `Internal` when the sink fails.
    pub async fn read_flash_into(
        &mut self,
        offset: u32,
        length: u32,
        sink: &mut (dyn AsyncWrite + Unpin + Send),
        progress: &dyn ProgressSink,
    ) -> Result<(), DeviceError> {
        self.within_flash(offset, length)?;
        let total = Some(u64::from(length));
        let mut done = 0;
        progress.progress(Phase::Read.word(), 0, total);
        while done < length {
            let size = STRETCH.min(length - done);
            let range = offset + done..offset + done + size;
            let mut told = |read| {
                progress.progress(Phase::Read.word(), u64::from(done) + read, total);
            };
            let bytes = self.read_stretch(range, &mut told).await?;
            sink.write_all(&bytes)
                .await
                .map_err(|error| DeviceError::Internal {
                    what: "storing what was read".into(),
                    detail: error.to_string(),
                })?;
            done += size;
        }
        Ok(())
    }

    async fn read_stretch(
        &mut self,
        range: Range<u32>,
        told: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Vec<u8>, DeviceError> {
        let mut tries = 1;
        loop {
            let result = if self.loader.is_stub() {
                self.read_packets(range.clone(), told).await
            } else {
                self.read_slowly(range.clone(), told).await
            };
            match result {
                Err(error) if tries < TRIES && is_transient(&error) => {
                    self.loader.attention().await?;
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    /// The stub's way: packets that are acknowledged, and an MD5 over all of them.
    async fn read_packets(
        &mut self,
        range: Range<u32>,
        told: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Vec<u8>, DeviceError> {
        let length = range.end - range.start;
        let request = Request::ReadFlash {
            offset: range.start,
            length,
            packet: PACKET_SIZE,
            max_in_flight: 1,
        };
        self.loader.ask(&request, PROMPT).await?;
        self.loader.disturb();
        let mut bytes = Vec::with_capacity(length as usize);
        while bytes.len() < length as usize {
            let expected = (PACKET_SIZE as usize).min(length as usize - bytes.len());
            let packet = self.packet(expected).await?;
            bytes.extend_from_slice(&packet);
            let mut acknowledgement = Vec::with_capacity(12);
            slip::encode(&(bytes.len() as u32).to_le_bytes(), &mut acknowledgement);
            self.loader.send_raw(&acknowledgement).await?;
            told(bytes.len() as u64);
        }
        let expected = self.packet(size_of::<Md5Digest>()).await?;
        self.loader.undisturbed();
        if md5(&bytes)[..] != expected[..] {
            return Err(spoiled("the MD5 over what arrived differs"));
        }
        Ok(bytes)
    }

    async fn packet(&mut self, expected: usize) -> Result<Vec<u8>, DeviceError> {
        let wire = self.loader.wire().time_for(expected * 2);
        let deadline = Instant::now() + PACKET + wire;
        let frame = self
            .loader
            .raw_frame(deadline)
            .await?
            .ok_or_else(|| DeviceError::NoReply {
                what: "a packet of flash content".into(),
                after: PACKET + wire,
            })?;
        if frame.len() == expected {
            return Ok(frame);
        }
        Err(spoiled(&format!(
            "a packet of {} bytes instead of {expected}",
            frame.len()
        )))
    }

    /// The ROM's way: 64 bytes a question, proven by an MD5 over the stretch.
    async fn read_slowly(
        &mut self,
        range: Range<u32>,
        told: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Vec<u8>, DeviceError> {
        self.loader.allows(Opcode::ReadFlashSlow)?;
        let length = range.end - range.start;
        let mut bytes = Vec::with_capacity(length as usize);
        while bytes.len() < length as usize {
            let offset = range.start + bytes.len() as u32;
            let size = SLOW_SIZE.min(range.end - offset);
            let request = Request::ReadFlashSlow {
                offset,
                length: size,
            };
            let reply = self.loader.ask_again(&request, PROMPT).await?;
            let part = reply
                .body
                .get(..size as usize)
                .ok_or_else(|| spoiled(&format!("{} bytes instead of {size}", reply.body.len())))?;
            bytes.extend_from_slice(part);
            told(bytes.len() as u64);
        }
        if self
            .matches(range.start, length, &md5(&bytes))
            .await?
            .is_err()
        {
            return Err(spoiled("the MD5 over what arrived differs"));
        }
        Ok(bytes)
    }
}

fn spoiled(detail: &str) -> DeviceError {
    DeviceError::Protocol {
        what: Opcode::ReadFlash.word().into(),
        detail: detail.into(),
    }
}
