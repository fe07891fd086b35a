//! An exclusive conversation with the chip in one bay.
//!
//! Invariants:
//! - A session exists only for a chip that said what it is; everything it does is bounded by that
//!   chip's tables and flash size.
//! - It owns its port. Dropping it, or the future of any of its operations, closes or frees the
//!   port without waiting; after a dropped operation the next one first finds the loader again.
//! - Memory is bounded by the link's and the loader's buffers, whatever the chip sends.

mod connect;
mod identity;
mod options;

use station_esp::chip::ChipSpec;
use station_esp::command::{Dialect, RegisterWrite};
use station_esp::efuse::map::fuse_map;

pub use identity::{FlashIdentity, Identity};
pub use options::{AfterSession, ConnectOptions};

use crate::error::DeviceError;
use crate::loader::{BaudMemory, Loader, ROM_BAUD};
use crate::port::Port;
use crate::terminal::Terminal;

/// An exclusive conversation with one chip.
#[derive(Debug)]
pub struct Session {
    pub(crate) loader: Loader,
    pub(crate) spec: &'static ChipSpec,
    pub(crate) identity: Identity,
    /// Bytes of flash that may be touched.
    pub(crate) flash_size: u32,
    pub(crate) baud_memory: BaudMemory,
}

impl Session {
    /// Who the chip is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The rate of the conversation in baud.
    #[must_use]
    pub fn baud(&self) -> u32 {
        self.loader.wire().baud()
    }

    /// Which loader answers.
    #[must_use]
    pub fn loader(&self) -> Dialect {
        self.loader.dialect()
    }

    /// Why the flasher stub does not run on this chip even where it is wanted, in words.
    #[must_use]
    pub fn without_stub(&self) -> Option<&'static str> {
        if self.identity.secure_download {
            return Some("secure download mode lets nothing be loaded into RAM");
        }
        self.identity.stub_never_starts().then_some(
            "secure boot is on, and this chip's ROM then starts nothing that was loaded into RAM",
        )
    }

    /// Reads a register.
    ///
    /// # Errors
    /// `SecureDownload`, or an error of the link.
    pub async fn read_register(&mut self, address: u32) -> Result<u32, DeviceError> {
        self.loader.read_register(address).await
    }

    /// Writes registers, in order, in one exchange. Those of the eFuse controller are refused: what
    /// they do cannot be undone, and only [`Session::burn`] may do it.
    ///
    /// # Errors
    /// `InvalidInput` for a register of the eFuse controller, `SecureDownload`, or an error of the
    /// link.
    pub async fn write_registers(&mut self, writes: &[RegisterWrite]) -> Result<(), DeviceError> {
        let controller = fuse_map(self.spec.chip, self.loader.revision()).controller;
        let burns = |write: &&RegisterWrite| {
            let offset = write.address.checked_sub(controller.base);
            offset.is_some_and(|offset| offset < controller.window)
        };
        if let Some(write) = writes.iter().find(burns) {
            return Err(DeviceError::InvalidInput {
                what: format!("register 0x{:08x}", write.address),
                detail: "the eFuse controller is written by a burn plan only".into(),
            });
        }
        self.loader.write_registers(writes.to_vec()).await
    }

    /// Restarts the chip into what is in its flash, and listens to it at `console_baud`.
    ///
    /// # Errors
    /// `ResetFailed` or `Unsupported` when nothing can restart it, or an error of the link.
    pub async fn boot(mut self, console_baud: u32) -> Result<Terminal, DeviceError> {
        self.loader.restart(self.spec, console_baud).await?;
        let port = self.loader.into_wire().into_port();
        Ok(Terminal::open_at(port, Some(console_baud)))
    }

    /// Ends the conversation and gives the port back. Its rate is the ROM's after a restart, and
    /// the session's otherwise.
    ///
    /// # Errors
    /// Those of [`Session::boot`]; never when the chip stays as it is.
    pub async fn close(mut self, after: AfterSession) -> Result<Port, DeviceError> {
        if after == AfterSession::Application {
            self.loader.restart(self.spec, ROM_BAUD).await?;
        }
        Ok(self.loader.into_wire().into_port())
    }
}

#[cfg(test)]
pub(crate) mod tests;
