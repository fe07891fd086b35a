//! Writing a prepared image.
//!
//! Invariants:
//! - A region that is right already is left alone when that is wanted; a blank board is recognised
//!   by one sector, so that it does not pay for the comparison.
//! - A block that the chip refused as garbled was not taken and is sent again; a block that was not
//!   answered may have been taken, and since no loader looks at block numbers the whole region is
//!   begun again.
//! - An error the stub reports about a block is the one of the block before, which it programs
//!   while the next one arrives.

use std::time::Duration;

use station_esp::command::{DataBlock, Dialect, FlashBegin, Opcode, Request, StubError};
use tokio::time::Instant;

use super::prepared::{Frames, PreparedImage, Region, STUB_BLOCK};
use super::progress::{Phase, ProgressSink};
use super::split::SECTOR;
use crate::error::{DeviceError, FailureClass};
use crate::loader::{Asked, erase, is_transient, program};
use crate::session::Session;

/// Tries of one block that the chip refuses as garbled.
const BLOCK_TRIES: u32 = 4;
/// Regions above this size are compared by their first sector before all of it.
const QUICK_LOOK: u32 = 32 * 1024;

/// How careful a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Leave alone what already holds the right bytes. Without effect where the chip cannot tell.
    pub skip_unchanged: bool,
    /// Prove by MD5 what was written. Refused before anything is written where the chip cannot.
    pub verify: bool,
    /// How often a region is begun again after the link spoiled it.
    pub retries: u32,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            skip_unchanged: true,
            verify: true,
            retries: 2,
        }
    }
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Whether everything was right already and nothing was written.
    pub skipped: bool,
    /// Bytes of the image that were written or erased.
    pub bytes: u64,
    /// Bytes that went over the wire for it, everything counted.
    pub wire_bytes: u64,
    /// How long it took, comparison and verification included.
    pub took: Duration,
    /// Whether flash was proven to hold the image.
    pub verified: bool,
    /// How often a region was begun again.
    pub restarts: u32,
}

impl Session {
    /// Writes an image.
    ///
    /// # Errors
    /// `FlashRange`; `SecureDownload` when verification is wanted and impossible; `FlashWrite` when
    /// the chip reports that its flash failed; `VerifyMismatch` when flash holds something else
    /// afterwards; or an error of the link.
    pub async fn write(
        &mut self,
        image: &PreparedImage,
        how: &WriteOptions,
        progress: &dyn ProgressSink,
    ) -> Result<Written, DeviceError> {
        let length = image.regions().iter().map(Region::erased).sum();
        self.within_flash(image.offset(), length)?;
        if how.verify {
            self.loader.allows(Opcode::SpiFlashMd5)?;
        }
        let (start, sent) = (Instant::now(), self.loader.wire().sent());
        let mut writer = Writer {
            session: self,
            image,
            how,
            progress,
            done: 0,
            restarts: 0,
        };
        let mut bytes = 0;
        for region in image.regions() {
            if writer.region(region).await? {
                bytes += region.range.len() as u64;
            }
            writer.done += region.range.len() as u64;
        }
        writer.tell(Phase::Verify, 0);
        let restarts = writer.restarts;
        Ok(Written {
            skipped: bytes == 0,
            bytes,
            wire_bytes: self.loader.wire().sent() - sent,
            took: start.elapsed(),
            verified: how.verify || (how.skip_unchanged && bytes == 0 && self.has_digest()),
            restarts,
        })
    }
}

pub(super) struct Writer<'a> {
    pub(super) session: &'a mut Session,
    pub(super) image: &'a PreparedImage,
    pub(super) how: &'a WriteOptions,
    pub(super) progress: &'a dyn ProgressSink,
    /// Bytes of regions that are through.
    pub(super) done: u64,
    pub(super) restarts: u32,
}

impl Writer<'_> {
    pub(super) fn tell(&self, phase: Phase, within: u32) {
        let total = self.image.bytes().len() as u64;
        let done = (self.done + u64::from(within)).min(total);
        self.progress.progress(phase.word(), done, Some(total));
    }

    /// Brings one region to its content; says whether anything had to be written.
    async fn region(&mut self, region: &Region) -> Result<bool, DeviceError> {
        if self.how.skip_unchanged && self.session.has_digest() && self.unchanged(region).await? {
            return Ok(false);
        }
        let mut tries = 0;
        while let Err(error) = self.put_and_verify(region).await {
            self.begin_again(&mut tries, error).await?;
        }
        Ok(true)
    }

    /// Gets ready for another try of what the link spoiled, or hands the error back.
    pub(super) async fn begin_again(
        &mut self,
        tries: &mut u32,
        error: DeviceError,
    ) -> Result<(), DeviceError> {
        if !is_transient(&error) {
            return Err(error);
        }
        if *tries >= self.how.retries {
            // The next unit of this bay shall not fail the same way.
            self.session
                .baud_memory
                .failed(self.session.loader.wire().baud());
            return Err(error);
        }
        *tries += 1;
        self.restarts += 1;
        self.session.loader.attention().await
    }

    async fn unchanged(&mut self, region: &Region) -> Result<bool, DeviceError> {
        self.tell(Phase::Compare, 0);
        if region.length() > QUICK_LOOK
            && self
                .session
                .md5(region.offset, region.first_length())
                .await?
                != region.first
        {
            return Ok(false);
        }
        Ok(self.session.md5(region.offset, region.length()).await? == region.md5)
    }

    async fn put_and_verify(&mut self, region: &Region) -> Result<(), DeviceError> {
        match (&region.frames, self.session.loader.dialect()) {
            (Some(frames), Dialect::Stub) => self.send_frames(region, frames).await?,
            (None, Dialect::Stub) => {
                self.tell(Phase::Erase, 0);
                if !self
                    .session
                    .is_blank(region.offset, region.erased())
                    .await?
                {
                    self.session
                        .erase_region(region.offset, region.erased())
                        .await?;
                }
            }
            (None, Dialect::Rom)
                if self.session.has_digest()
                    && self
                        .session
                        .is_blank(region.offset, region.length())
                        .await? => {}
            (Some(_) | None, Dialect::Rom) => self.send_plain(region).await?,
        }
        if self.how.verify {
            self.verify(region).await?;
        }
        Ok(())
    }

    async fn verify(&mut self, region: &Region) -> Result<(), DeviceError> {
        self.tell(Phase::Verify, region.length());
        let (offset, length) = (region.offset, region.length());
        match self.session.matches(offset, length, &region.md5).await? {
            Ok(()) => Ok(()),
            Err(found) => Err(DeviceError::VerifyMismatch {
                name: self.image.name().to_owned(),
                offset,
                length,
                expected: hex::encode(region.md5),
                found: hex::encode(found),
            }),
        }
    }

    /// The stub's way: ready frames, and an end that waits for the last of them to be programmed.
    async fn send_frames(&mut self, region: &Region, frames: &Frames) -> Result<(), DeviceError> {
        self.tell(Phase::Write, 0);
        let begin = FlashBegin {
            erase_size: frames.written,
            blocks: frames.count(),
            block_size: STUB_BLOCK as u32,
            offset: region.offset,
            encrypt: Some(false),
        };
        let (begin, data, end) = if frames.compressed {
            let end = Request::FlashDeflEnd { reboot: false };
            (Request::FlashDeflBegin(begin), Opcode::FlashDeflData, end)
        } else {
            (
                Request::FlashBegin(begin),
                Opcode::FlashData,
                Request::FlashEnd { reboot: false },
            )
        };
        self.session
            .loader
            .ask(&begin, erase(SECTOR as u64))
            .await?;
        let (mut settled, mut reached) = (0, 0);
        for (frame, programmed) in frames.blocks() {
            // The chip answers once the block before is programmed, and says how that went.
            let patience = program(u64::from(reached - settled));
            self.block(region.offset + settled, data, frame, patience)
                .await?;
            self.tell(Phase::Write, programmed.min(region.length()));
            (settled, reached) = (reached, programmed);
        }
        match self
            .session
            .loader
            .ask(&end, program(u64::from(reached - settled)))
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed_at(region.offset + settled, 1, error)),
        }
    }

    /// The ROM's way: plain blocks, after an erase of everything.
    async fn send_plain(&mut self, region: &Region) -> Result<(), DeviceError> {
        self.tell(Phase::Erase, 0);
        let spec = self.session.spec;
        let size = spec.flash_write.rom;
        let begin = FlashBegin {
            erase_size: region.erased(),
            blocks: region.length().div_ceil(size),
            block_size: size,
            offset: region.offset,
            encrypt: spec.begin_has_encrypt_word(Dialect::Rom).then_some(false),
        };
        let patience = erase(region.erased().into());
        if let Err(error) = self
            .session
            .loader
            .ask(&Request::FlashBegin(begin), patience)
            .await
        {
            return Err(self.failed_at(region.offset, 1, error));
        }
        let content = &self.image.bytes()[region.range.clone()];
        let (mut raw, mut frame) = (Vec::new(), Vec::new());
        let mut padded = vec![0xFF; size as usize];
        for (sequence, data) in (0u32..).zip(content.chunks(size as usize)) {
            padded[..data.len()].copy_from_slice(data);
            padded[data.len()..].fill(0xFF);
            raw.clear();
            frame.clear();
            Request::FlashData(DataBlock {
                sequence,
                data: &padded,
            })
            .encode(Dialect::Rom, &mut raw);
            station_esp::slip::encode(&raw, &mut frame);
            let offset = region.offset + sequence * size;
            self.block(offset, Opcode::FlashData, &frame, program(size.into()))
                .await?;
            self.tell(Phase::Write, offset - region.offset + data.len() as u32);
        }
        Ok(())
    }

    /// One block, again if the chip says that it came garbled.
    pub(super) async fn block(
        &mut self,
        offset: u32,
        opcode: Opcode,
        frame: &[u8],
        patience: Duration,
    ) -> Result<(), DeviceError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let loader = &mut self.session.loader;
            let asked = loader.exchange(opcode, frame, patience).await?;
            if asked.status.is_ok() {
                return Ok(());
            }
            let again = tries < BLOCK_TRIES && came_garbled(&asked, loader.dialect());
            let Err(error) = loader.accept(opcode, asked) else {
                return Ok(());
            };
            if !again {
                return Err(self.failed_at(offset, tries, error));
            }
        }
    }

    /// Says which block failed, where it was the flash that did.
    pub(super) fn failed_at(&self, offset: u32, tries: u32, error: DeviceError) -> DeviceError {
        if error.class() != FailureClass::Flash {
            return error;
        }
        DeviceError::FlashWrite {
            name: self.image.name().to_owned(),
            offset,
            tries,
            detail: error.to_string(),
        }
    }
}

/// Whether a refusal means that the block did not arrive as it was sent, and was not taken.
fn came_garbled(asked: &Asked, dialect: Dialect) -> bool {
    use station_esp::command::RomError;
    match dialect {
        Dialect::Stub => matches!(
            asked.status.stub_error(),
            Some(StubError::BadLength | StubError::BadChecksum | StubError::InvalidCommand)
        ),
        Dialect::Rom => matches!(
            asked.status.rom_error(),
            Some(RomError::BadChecksum | RomError::InvalidMessage)
        ),
    }
}
