//! The table of the ESP32-C2: small RISC-V (ESP8684): four eFuse blocks, MAC in block 2, two crystals.

use crate::efuse::{EfuseSpec, RevisionRule};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, SuperWatchdog, UartRegisters, UsbSupport, WatchdogRegisters,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32C2,
    image_id: 12,
    magic: None,
    architecture: Architecture::RiscV,
    security_info: SecurityInfoShape::WithId,
    bootloader_offset: 0x0,
    efuse: EfuseSpec {
        mac: [0x6000_8840, 0x6000_8844],
        revision: RevisionRule::Fields,
    },
    spi: SpiRegisters::later(0x6000_2000),
    uart: UartRegisters {
        clkdiv: 0x6000_0014,
        date: 0x6000_007C,
    },
    crystal: Crystal::UartDivider {
        mask: 0xF_FFFF,
        choices_mhz: &[26, 40],
        typical_mhz: 40,
        stated: None,
    },
    usb: UsbSupport {
        serial_jtag: false,
        otg: false,
        source: None,
    },
    memory: MEMORY,
    watchdog: Some(WatchdogRegisters {
        protect: 0x6000_809C,
        config0: 0x6000_8084,
        config1: 0x6000_8088,
        super_watchdog: Some(SuperWatchdog {
            config: 0x6000_80AC,
            protect: 0x6000_80B0,
            key: 0x8F1D_312A,
            auto_feed: 0x8000_0000,
        }),
    }),
    watchdog_reset: true,
    strap: None,
    flash_write: FlashWriteSizes::FAMILY,
    flash_frequencies: &[(15, 2), (20, 1), (30, 0), (60, 0xF)],
    default_flash_frequency: 30,
    mmu_page_sizes: &[0x4000, 0x8000, 0x1_0000],
    flash_beyond_16_mib: false,
};

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::Drom, 0x3C00_0000, 0x3C40_0000),
    MemoryRegion::new(MemoryKind::Dram, 0x3FCA_0000, 0x3FCE_0000),
    MemoryRegion::new(MemoryKind::Iram, 0x4037_C000, 0x403C_0000),
    MemoryRegion::new(MemoryKind::Irom, 0x4200_0000, 0x4240_0000),
];
