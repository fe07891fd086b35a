//! Registers, and the flash controller behind some of them.
//!
//! Invariant: an answer to READ_REG carries no checksum, so a value that decides something is read
//! until two readings in a row agree.

use station_esp::chip::ChipSpec;
use station_esp::command::{Opcode, RegisterWrite, Request};
use station_esp::slip;
use zeroize::{Zeroize, Zeroizing};

use super::exchange::Loader;
use super::timing::PROMPT;
use crate::error::DeviceError;

/// Readings of one register before it is given up as unreadable.
const READINGS: u32 = 6;
/// Looks at the flash controller before a transaction counts as stuck.
const LOOKS: u32 = 10;

/// Bytes of a request before its arguments.
const REQUEST_HEAD: usize = 8;

/// Bits of the flash controller's `usr` and `usr2` registers and its `cmd` register (ESP32
/// technical reference manual, SPI chapter; the same on every chip of the family).
mod bits {
    pub(super) const COMMAND_PHASE: u32 = 1 << 31;
    pub(super) const RECEIVE_PHASE: u32 = 1 << 28;
    pub(super) const COMMAND_OF_8_BITS: u32 = 7 << 28;
    pub(super) const RUN: u32 = 1 << 18;
}

impl Loader {
    /// Reads a register once.
    pub(crate) async fn read_register(&mut self, address: u32) -> Result<u32, DeviceError> {
        Ok(self
            .ask_again(&Request::ReadReg { address }, PROMPT)
            .await?
            .value)
    }

    /// Reads a register that does not change by itself until two readings agree.
    pub(crate) async fn read_register_surely(&mut self, address: u32) -> Result<u32, DeviceError> {
        let mut last = self.read_register(address).await?;
        for _ in 0..READINGS {
            let value = self.read_register(address).await?;
            if value == last {
                return Ok(value);
            }
            last = value;
        }
        Err(DeviceError::Protocol {
            what: format!("register 0x{address:08x}"),
            detail: "every reading is another one".into(),
        })
    }

    /// Writes registers, in order, in one exchange.
    pub(crate) async fn write_registers(
        &mut self,
        writes: Vec<RegisterWrite>,
    ) -> Result<(), DeviceError> {
        self.ask(&Request::WriteReg(writes), PROMPT).await.map(drop)
    }

    /// Writes registers like [`Loader::write_registers`], and leaves no copy of their values behind:
    /// they may be a key.
    pub(crate) async fn write_registers_wiped(
        &mut self,
        mut writes: Vec<RegisterWrite>,
    ) -> Result<(), DeviceError> {
        self.allows(Opcode::WriteReg)?;
        let dialect = self.dialect;
        // Large enough that neither grows, which would leave a copy behind.
        let mut raw = Zeroizing::new(Vec::with_capacity(REQUEST_HEAD + writes.len() * 16));
        let mut frame = Zeroizing::new(Vec::with_capacity(2 * raw.capacity() + 2));
        let mut request = Request::WriteReg(std::mem::take(&mut writes));
        request.encode(dialect, &mut raw);
        slip::encode(&raw, &mut frame);
        if let Request::WriteReg(writes) = &mut request {
            for write in writes {
                write.value.zeroize();
            }
        }
        let asked = self.exchange(Opcode::WriteReg, &frame, PROMPT).await?;
        self.accept(Opcode::WriteReg, asked).map(drop)
    }

    /// Sends one command byte to the flash chip and returns up to 32 bits of its answer, first byte
    /// lowest.
    pub(crate) async fn flash_command(
        &mut self,
        spec: &ChipSpec,
        command: u8,
        bits: u32,
    ) -> Result<u32, DeviceError> {
        let spi = spec.spi;
        let usr = self.read_register(spi.usr).await?;
        let usr2 = self.read_register(spi.usr2).await?;
        let phases = bits::COMMAND_PHASE | if bits > 0 { bits::RECEIVE_PHASE } else { 0 };
        let plain = RegisterWrite::plain;
        self.write_registers(vec![
            plain(spi.usr, phases),
            plain(spi.usr2, bits::COMMAND_OF_8_BITS | u32::from(command)),
            plain(spi.miso_dlen, bits.saturating_sub(1)),
            plain(spi.w0, 0),
            plain(spi.cmd, bits::RUN),
        ])
        .await?;
        let mut looks = 0;
        while self.read_register(spi.cmd).await? & bits::RUN != 0 {
            looks += 1;
            if looks == LOOKS {
                return Err(DeviceError::FlashId {
                    jedec: 0,
                    detail: "the flash controller does not finish its transaction".into(),
                });
            }
        }
        let answer = self.read_register_surely(spi.w0).await?;
        self.write_registers(vec![plain(spi.usr, usr), plain(spi.usr2, usr2)])
            .await?;
        Ok(if bits < 32 {
            answer & ((1 << bits) - 1)
        } else {
            answer
        })
    }
}
