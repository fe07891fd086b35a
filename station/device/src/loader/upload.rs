//! Loading the flasher stub into a chip's RAM.
//!
//! Invariant: every block is acknowledged before the next is sent, because the ROM has no room for
//! two; the stub counts as running only after its own greeting.

use station_esp::chip::ChipSpec;
use station_esp::command::{DataBlock, Dialect, MemBegin, Opcode, Request, STUB_GREETING};
use station_esp::{loader, slip};

use super::exchange::{Loader, decode, is_transient};
use super::timing::{PROMPT, STUB_START};
use crate::error::DeviceError;

/// Frames passed over while the stub starts.
const OTHER_FRAMES: u32 = 16;
/// Tries of one block.
const TRIES: u32 = 3;

impl Loader {
    /// Loads the flasher stub and starts it.
    pub(crate) async fn upload_stub(&mut self) -> Result<(), DeviceError> {
        let Some(spec) = self.spec else { return Ok(()) };
        let stub =
            loader::stub(spec.chip, self.revision).ok_or_else(|| DeviceError::Unsupported {
                what: "the flasher stub".into(),
                detail: format!("there is none for {}", spec.chip.title()),
            })?;
        let block_size = self.ram_block(spec).await?;
        for (address, bytes) in stub.segments() {
            self.upload_segment(address, bytes, block_size).await?;
        }
        self.start_and_greet(stub.entry).await?;
        self.dialect = Dialect::Stub;
        Ok(())
    }

    async fn upload_segment(
        &mut self,
        address: u32,
        bytes: &[u8],
        block_size: usize,
    ) -> Result<(), DeviceError> {
        let size = u32::try_from(bytes.len()).map_err(|_| DeviceError::InvalidInput {
            what: "a program for RAM".into(),
            detail: "a segment of 4 GiB or more".into(),
        })?;
        let begin = MemBegin {
            size,
            blocks: size.div_ceil(block_size as u32),
            block_size: block_size as u32,
            offset: address,
        };
        self.ask(&Request::MemBegin(begin), PROMPT).await?;
        for (sequence, data) in (0u32..).zip(bytes.chunks(block_size)) {
            let request = Request::MemData(DataBlock { sequence, data });
            let mut tries = 1;
            // A refused block was not taken; one without an answer may have been, and is not sent
            // again: the stub appends blocks and does not look at their numbers.
            while let Err(error) = self.ask(&request, PROMPT).await {
                let refused = matches!(error, DeviceError::Rom { .. } | DeviceError::Stub { .. });
                if !(refused && is_transient(&error) && tries < TRIES) {
                    return Err(error);
                }
                tries += 1;
            }
        }
        Ok(())
    }

    /// Starts the stub and waits for its greeting. The ROM's own answer comes before it or is lost
    /// with the ROM; only a refusal counts.
    async fn start_and_greet(&mut self, entry: u32) -> Result<(), DeviceError> {
        self.settle().await?;
        let mut raw = Vec::new();
        Request::MemEnd { stay: false, entry }.encode(Dialect::Rom, &mut raw);
        let mut frame = Vec::new();
        slip::encode(&raw, &mut frame);
        self.disturb();
        let (deadline, patience) = self.deadline(frame.len(), STUB_START);
        self.wire.write(&frame, deadline).await?;
        for _ in 0..OTHER_FRAMES {
            let Some(frame) = self.raw_frame(deadline).await? else {
                return Err(DeviceError::StubStart {
                    detail: format!("no greeting within {patience:?}"),
                });
            };
            if frame == STUB_GREETING {
                self.undisturbed();
                return Ok(());
            }
            if let Some(answer) = decode(&frame, Dialect::Rom)
                && answer.opcode == Opcode::MemEnd as u8
            {
                self.accept(Opcode::MemEnd, answer)?;
            }
        }
        Err(DeviceError::StubStart {
            detail: "other frames instead of its greeting".into(),
        })
    }

    /// Bytes of one block to RAM: less over the ROM's USB stack, which has a smaller buffer.
    async fn ram_block(&mut self, spec: &ChipSpec) -> Result<usize, DeviceError> {
        let otg = match spec.usb.source {
            Some(source) => self.read_register(source.address).await? & 0xFF == source.otg,
            None => false,
        };
        let size = if otg {
            spec.flash_write.ram_usb_otg
        } else {
            spec.flash_write.ram
        };
        Ok(size as usize)
    }
}
