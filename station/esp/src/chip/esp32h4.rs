//! The table of the ESP32-H4: dual-core RISC-V with a 32 MHz crystal.

use crate::efuse::{EfuseSpec, RevisionRule};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, SuperWatchdog, UartRegisters, UsbSupport, WatchdogRegisters,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32H4,
    image_id: 28,
    magic: None,
    architecture: Architecture::RiscV,
    security_info: SecurityInfoShape::WithId,
    bootloader_offset: 0x2000,
    efuse: EfuseSpec {
        mac: [0x600B_1844, 0x600B_1848],
        revision: RevisionRule::Fields,
    },
    spi: SpiRegisters::later(0x6009_9000),
    uart: UartRegisters {
        clkdiv: 0x6001_2014,
        date: 0x6001_208C,
    },
    crystal: Crystal::Fixed(32),
    usb: UsbSupport {
        serial_jtag: true,
        otg: false,
        source: None,
    },
    memory: MEMORY,
    watchdog: Some(WatchdogRegisters {
        protect: 0x6009_0064,
        config0: 0x6009_0048,
        config1: 0x6009_004C,
        super_watchdog: Some(SuperWatchdog {
            config: 0x600B_5420,
            protect: 0x600B_5424,
            key: 0x50D8_3AA1,
            auto_feed: 0x0004_0000,
        }),
    }),
    watchdog_reset: false,
    strap: None,
    flash_write: FlashWriteSizes::FAMILY,
    flash_frequencies: &[(24, 0), (48, 0xF)],
    default_flash_frequency: 24,
    mmu_page_sizes: &[0x2000, 0x4000, 0x8000, 0x1_0000],
    flash_beyond_16_mib: true,
};

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::Dram, 0x4080_0000, 0x4086_0000),
    MemoryRegion::new(MemoryKind::Irom, 0x4200_0000, 0x4400_0000),
];
