//! The address space as READ_REG and WRITE_REG see it.
//!
//! Invariants: reading never changes anything; unknown addresses read as zero until written; the
//! words remembered are bounded; a watchdog that was armed says when it will bite.

use std::collections::BTreeMap;

use station_esp::Chip;
use station_esp::chip::{ChipSpec, Crystal, WatchdogRegisters};

use super::spi::SpiController;
use crate::efuse::{EfuseArray, Wrote};
use crate::nor::NorFlash;
use crate::wire::Nanos;

/// Most written words of unknown meaning that are remembered.
const MOST_WORDS: usize = 4096;
/// The watchdog's clock in Hz: the 136 kHz RC oscillator, about the same on every chip.
const SLOW_CLOCK: u64 = 136_000;

/// ESP32: where the ROM leaves how many slow ticks it counted against the crystal, from bit 7 on
/// (TIMG0 RTCCALICFG1; esptool's `RTCCALICFG1`).
const RTC_CALIBRATION: u32 = 0x3FF5_F06C;

/// What a register write set off beyond the register itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// The watchdog resets the chip this many nanoseconds from now.
    WatchdogArmed(u64),
    /// The watchdog is off.
    WatchdogOff,
    /// The supply fails in the pulse that the write started.
    SupplyFails,
}

/// What registers show of the rest of the chip.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    /// The moment.
    pub(super) now: Nanos,
    /// Rate of the console in baud.
    pub(super) baud: u32,
    /// Frequency of the crystal in MHz.
    pub(super) crystal_mhz: u8,
    /// Whether the boot pin was sampled low.
    pub(super) strapped_download: bool,
}

/// The registers of one chip.
#[derive(Debug)]
pub(super) struct Registers {
    spec: &'static ChipSpec,
    pub(super) spi: SpiController,
    words: BTreeMap<u32, u32>,
}

impl Registers {
    pub(super) fn new(spec: &'static ChipSpec, spi: SpiController) -> Self {
        Self {
            spec,
            spi,
            words: BTreeMap::new(),
        }
    }

    /// What a reset leaves.
    pub(super) fn reset(&mut self) {
        self.words.clear();
        self.spi.reset();
    }

    pub(super) fn read(&self, address: u32, efuse: &EfuseArray, around: &Surroundings) -> u32 {
        if let Some(value) = self.spi.read(address) {
            return value;
        }
        if let Some(value) = efuse.read(address, around.now) {
            return value;
        }
        if let Some(value) = self.words.get(&address) {
            return *value;
        }
        self.fixed(address, around).unwrap_or(0)
    }

    /// Registers that show something of the chip as long as nobody wrote them.
    fn fixed(&self, address: u32, around: &Surroundings) -> Option<u32> {
        let spec = self.spec;
        if address == ChipSpec::MAGIC_ADDRESS {
            return spec.magic;
        }
        if address == spec.uart.clkdiv {
            let clock = u64::from(around.crystal_mhz) * 1_000_000;
            let divider = u32::try_from(clock / u64::from(around.baud.max(1))).unwrap_or(u32::MAX);
            return Some(divider & 0xF_FFFF);
        }
        if spec.chip == Chip::Esp32 && address == RTC_CALIBRATION {
            // Crystal in Hz = count × 15625 × CK8M_FREQ ÷ 40, with CK8M_FREQ burned as 100.
            return Some((u32::from(around.crystal_mhz) * 1_000_000 * 40 / (15_625 * 100)) << 7);
        }
        if let Crystal::UartDivider {
            stated: Some(stated),
            ..
        } = spec.crystal
            && address == stated
        {
            return Some(u32::from(around.crystal_mhz) << 24);
        }
        if let Some(strap) = spec.strap
            && address == strap.strap
        {
            return Some(if around.strapped_download {
                0
            } else {
                strap.spi_boot
            });
        }
        None
    }

    pub(super) fn write(
        &mut self,
        address: u32,
        value: u32,
        mask: u32,
        flash: &mut NorFlash,
        efuse: &mut EfuseArray,
        around: &Surroundings,
    ) -> Effect {
        let value = if mask == u32::MAX {
            value
        } else {
            (self.read(address, efuse, around) & !mask) | (value & mask)
        };
        if self.spi.write(address, value, flash) {
            return Effect::None;
        }
        match efuse.write(address, value, around.now) {
            Wrote::Elsewhere => {}
            Wrote::Done => return Effect::None,
            Wrote::SupplyFails => return Effect::SupplyFails,
        }
        if self.words.len() < MOST_WORDS || self.words.contains_key(&address) {
            self.words.insert(address, value);
        }
        self.spec
            .watchdog
            .map_or(Effect::None, |dog| self.watchdog(&dog, address, value))
    }

    fn watchdog(&mut self, dog: &WatchdogRegisters, address: u32, value: u32) -> Effect {
        if address != dog.config0 {
            return Effect::None;
        }
        let unlocked = self.words.get(&dog.protect) == Some(&WatchdogRegisters::KEY);
        if !unlocked {
            self.words.remove(&dog.config0);
            return Effect::None;
        }
        let enabled = value >> 31 == 1;
        // Actions 3 (system) and above reset; 1 interrupts, 2 resets the core only.
        let resets = (value >> 28) & 7 >= 2;
        if !(enabled && resets) {
            return Effect::WatchdogOff;
        }
        let ticks = u64::from(self.words.get(&dog.config1).copied().unwrap_or(0));
        Effect::WatchdogArmed(ticks.saturating_mul(1_000_000_000) / SLOW_CLOCK)
    }
}
