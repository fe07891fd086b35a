//! The table of the ESP32-S31: dual-core RISC-V with its own eFuse layout and address map.

use crate::efuse::{EfuseSpec, RevisionRule};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, SuperWatchdog, UartRegisters, UsbSupport, WatchdogRegisters,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32S31,
    image_id: 32,
    magic: None,
    architecture: Architecture::RiscV,
    security_info: SecurityInfoShape::WithId,
    bootloader_offset: 0x2000,
    efuse: EfuseSpec {
        mac: [0x2071_5050, 0x2071_5054],
        revision: RevisionRule::Fields,
    },
    spi: SpiRegisters::later(0x2050_1000),
    uart: UartRegisters {
        clkdiv: 0x2038_A014,
        date: 0x2038_A08C,
    },
    crystal: Crystal::Fixed(40),
    usb: UsbSupport {
        serial_jtag: true,
        otg: true,
        source: None,
    },
    memory: MEMORY,
    watchdog: Some(WatchdogRegisters {
        protect: 0x2080_1018,
        config0: 0x2080_1000,
        config1: 0x2080_1004,
        super_watchdog: Some(SuperWatchdog {
            config: 0x2080_101C,
            protect: 0x2080_1020,
            key: 0x50D8_3AA1,
            auto_feed: 0x0004_0000,
        }),
    }),
    watchdog_reset: true,
    strap: None,
    flash_write: FlashWriteSizes::FAMILY,
    flash_frequencies: &[(20, 2), (40, 0), (80, 0xF)],
    default_flash_frequency: 40,
    mmu_page_sizes: &[0x8000, 0x1_0000, 0x2_0000, 0x4_0000],
    flash_beyond_16_mib: true,
};

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::RtcDram, 0x2E00_0000, 0x2E00_8000),
    MemoryRegion::new(MemoryKind::Dram, 0x2F00_0000, 0x2F08_0000),
    MemoryRegion::new(MemoryKind::Irom, 0x4000_0000, 0x5400_0000),
];
