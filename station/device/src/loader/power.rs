//! Chips whose flash is not ready when their loader answers.
//!
//! Invariant: nothing is written on a chip that needs nothing, nor in secure download mode, where
//! registers cannot be written.
//!
//! Source: espflash 4.7 `power_on_flash` (ESP32-P4 revisions 3.1 and 3.2 start with flash power
//! off) and `Esp32Target::begin` (the watchdog runs while a ROM talks over USB).

use std::time::Duration;

use station_esp::Chip;
use station_esp::chip::{ChipSpec, WatchdogRegisters};
use station_esp::command::RegisterWrite;
use tokio::time::sleep;

use super::exchange::Loader;
use crate::error::DeviceError;
use crate::reset::ResetMeans;

/// Registers of the ESP32-P4's flash supply.
mod p4 {
    pub(super) const RD_REPEAT_DATA1: u32 = 0x5012_D034;
    pub(super) const DOWNLOAD_MODE_XPD_ON: u32 = 1 << 16;
    pub(super) const PAD_GROUP: u32 = 0x5011_010C;
    pub(super) const LDO: u32 = 0x5011_51B8;
    pub(super) const LDO_ANALOG: u32 = 0x5011_51BC;
    pub(super) const PMU_DATE: u32 = 0x5011_53FC;
    pub(super) const CURRENT_LIMIT: u32 = 1 << 27;
    pub(super) const FORCE_TIE_HIGH: u32 = 1 << 7;
    pub(super) const TARGET: u32 = 0xFF << 23;
}

impl Loader {
    /// Makes flash reachable where the ROM left it off.
    pub(crate) async fn power_flash(&mut self, spec: &ChipSpec) -> Result<(), DeviceError> {
        let revision = self.revision.value();
        if self.secure || spec.chip != Chip::Esp32P4 || !matches!(revision, 301 | 302) {
            return Ok(());
        }
        if revision == 302 {
            let fuses = self.read_register_surely(p4::RD_REPEAT_DATA1).await?;
            if fuses & p4::DOWNLOAD_MODE_XPD_ON != 0 {
                return self
                    .write_registers(vec![RegisterWrite::plain(p4::PMU_DATE, 0)])
                    .await;
            }
        }
        self.write_registers(vec![RegisterWrite::plain(p4::PAD_GROUP, 1)])
            .await?;
        sleep(Duration::from_millis(10)).await;
        let change = |address, mask, value| RegisterWrite {
            address,
            value,
            mask,
            delay_us: 0,
        };
        self.write_registers(vec![
            change(p4::LDO_ANALOG, p4::CURRENT_LIMIT, u32::MAX),
            change(p4::LDO, p4::FORCE_TIE_HIGH, u32::MAX),
            change(p4::PMU_DATE, 3, u32::MAX),
        ])
        .await?;
        sleep(Duration::from_micros(50)).await;
        // Ends with the tie-high bit clear: the supply then follows its eFuse trim.
        self.write_registers(vec![
            change(p4::LDO_ANALOG, p4::CURRENT_LIMIT, 0),
            change(p4::LDO, p4::TARGET, 0),
            change(p4::LDO, p4::FORCE_TIE_HIGH, u32::MAX),
            change(p4::LDO, p4::FORCE_TIE_HIGH, 0),
        ])
        .await?;
        sleep(Duration::from_micros(1800)).await;
        Ok(())
    }

    /// Stops the watchdogs that would reset a chip whose ROM talks over its own USB. The stub stops
    /// them itself.
    pub(crate) async fn stop_watchdogs(&mut self, spec: &ChipSpec) -> Result<(), DeviceError> {
        let Some(watchdog) = spec.watchdog else {
            return Ok(());
        };
        let over_usb = self.wire.port().reset.means() == ResetMeans::UsbJtag;
        if self.secure || self.is_stub() || !over_usb {
            return Ok(());
        }
        let mut writes = vec![
            RegisterWrite::plain(watchdog.protect, WatchdogRegisters::KEY),
            RegisterWrite::plain(watchdog.config0, 0),
            RegisterWrite::plain(watchdog.protect, 0),
        ];
        if let Some(second) = watchdog.super_watchdog {
            writes.extend([
                RegisterWrite::plain(second.protect, second.key),
                RegisterWrite {
                    address: second.config,
                    value: second.auto_feed,
                    mask: second.auto_feed,
                    delay_us: 0,
                },
                RegisterWrite::plain(second.protect, 0),
            ]);
        }
        self.write_registers(writes).await
    }
}
