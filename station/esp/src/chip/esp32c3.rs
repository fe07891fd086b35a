//! The table of the ESP32-C3: single-core RISC-V with USB serial and JTAG.

use crate::efuse::{EfuseSpec, RevisionRule};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, SuperWatchdog, UartRegisters, UsbSupport, WatchdogRegisters,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32C3,
    image_id: 5,
    magic: None,
    architecture: Architecture::RiscV,
    security_info: SecurityInfoShape::WithId,
    bootloader_offset: 0x0,
    efuse: EfuseSpec {
        mac: [0x6000_8844, 0x6000_8848],
        revision: RevisionRule::Fields,
    },
    spi: SpiRegisters::later(0x6000_2000),
    uart: UartRegisters {
        clkdiv: 0x6000_0014,
        date: 0x6000_007C,
    },
    crystal: Crystal::Fixed(40),
    usb: UsbSupport {
        serial_jtag: true,
        otg: false,
        source: None,
    },
    memory: MEMORY,
    watchdog: Some(WatchdogRegisters {
        protect: 0x6000_80A8,
        config0: 0x6000_8090,
        config1: 0x6000_8094,
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
    flash_frequencies: &[(20, 2), (26, 1), (40, 0), (80, 0xF)],
    default_flash_frequency: 40,
    mmu_page_sizes: &[0x1_0000],
    flash_beyond_16_mib: false,
};

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::Drom, 0x3C00_0000, 0x3C80_0000),
    MemoryRegion::new(MemoryKind::Dram, 0x3FC8_0000, 0x3FCE_0000),
    MemoryRegion::new(MemoryKind::Iram, 0x4037_C000, 0x403E_0000),
    MemoryRegion::new(MemoryKind::Irom, 0x4200_0000, 0x4280_0000),
    MemoryRegion::new(MemoryKind::RtcDram, 0x5000_0000, 0x5000_2000),
];
