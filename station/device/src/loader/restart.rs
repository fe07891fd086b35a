//! Leaving the loader for the application, by whatever means the port and the chip have.
//!
//! Invariant: the port's own means come first; without them the chip's watchdog, and without that
//! the ROM's own way out; what none of them can do is an error, never a silent stay.

use std::time::Duration;

use station_esp::chip::{ChipSpec, WatchdogRegisters};
use station_esp::command::{FlashBegin, RegisterWrite, Request};
use tokio::time::sleep;

use super::exchange::Loader;
use super::timing::PROMPT;
use crate::error::DeviceError;
use crate::reset::{ResetMeans, ResetTo};

/// Slow-clock ticks until the watchdog bites; some 15 ms.
const WATCHDOG_TICKS: u32 = 2000;
/// How long that may take.
const WATCHDOG_BITE: Duration = Duration::from_millis(50);
/// How long a loader may take to answer before it leaves.
const FAREWELL: Duration = Duration::from_millis(300);

impl Loader {
    /// Restarts the chip into its application, with this side at `console_baud` from its first
    /// byte on: the rate is set before a reset by the port, and after the last exchange otherwise.
    pub(crate) async fn restart(
        &mut self,
        spec: &ChipSpec,
        console_baud: u32,
    ) -> Result<(), DeviceError> {
        match self.wire.port().reset.means() {
            ResetMeans::ModemLines
            | ResetMeans::UsbJtag
            | ResetMeans::ControlSocket
            | ResetMeans::ExternalCommand
            | ResetMeans::Board => {
                self.wire.set_baud(console_baud).await?;
                self.wire.discard().await?;
                self.wire.reset(ResetTo::Application).await
            }
            ResetMeans::Watchdog | ResetMeans::None => {
                self.restart_from_within(spec).await?;
                self.wire.expect_return();
                self.wire.set_baud(console_baud).await
            }
        }
    }

    async fn restart_from_within(&mut self, spec: &ChipSpec) -> Result<(), DeviceError> {
        if let Some(watchdog) = spec.watchdog
            && spec.watchdog_reset
            && !self.secure
        {
            if self.forced_to_loader(spec).await? {
                return Err(DeviceError::ResetFailed {
                    means: ResetMeans::Watchdog.to_string(),
                    detail: "a register forces the chip back into its loader".into(),
                });
            }
            return self.bite(watchdog).await;
        }
        if self.is_stub() {
            return Err(DeviceError::Unsupported {
                what: "a restart without a reset line".into(),
                detail: format!("{} has no usable watchdog", spec.chip.title()),
            });
        }
        self.leave_rom(spec).await
    }

    /// Whether a reset would end in the loader again, because a register says so.
    async fn forced_to_loader(&mut self, spec: &ChipSpec) -> Result<bool, DeviceError> {
        let Some(strap) = spec.strap else {
            return Ok(false);
        };
        Ok(self.read_register_surely(strap.option).await? & strap.force_download != 0)
    }

    async fn bite(&mut self, watchdog: WatchdogRegisters) -> Result<(), DeviceError> {
        let plain = RegisterWrite::plain;
        self.write_registers(vec![
            plain(watchdog.protect, WatchdogRegisters::KEY),
            plain(watchdog.config1, WATCHDOG_TICKS),
            plain(watchdog.config0, WatchdogRegisters::RESET_CHIP),
            plain(watchdog.protect, 0),
        ])
        .await?;
        self.wire.expect_return();
        sleep(WATCHDOG_BITE).await;
        Ok(())
    }

    /// The ROM's way out: an empty flash write whose end says "restart".
    async fn leave_rom(&mut self, spec: &ChipSpec) -> Result<(), DeviceError> {
        let begin = FlashBegin {
            erase_size: 0,
            blocks: 0,
            block_size: spec.flash_write.rom,
            offset: 0,
            encrypt: spec.begin_has_encrypt_word(self.dialect).then_some(false),
        };
        self.ask(&Request::FlashBegin(begin), PROMPT).await?;
        match self
            .ask(&Request::FlashEnd { reboot: true }, FAREWELL)
            .await
        {
            // It may be gone before its answer is, and in secure download mode it may complain
            // about the image it is about to start.
            Ok(_) | Err(DeviceError::NoReply { .. }) => Ok(()),
            Err(DeviceError::Rom { .. }) if self.secure => Ok(()),
            Err(error) => Err(error),
        }
    }
}
