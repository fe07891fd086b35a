//! The table of the ESP32-C61: RISC-V relative of the ESP32-C6 with its own eFuse layout.

use crate::efuse::{EfuseSpec, RevisionRule};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, SuperWatchdog, UartRegisters, UsbSupport, WatchdogRegisters,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32C61,
    image_id: 20,
    magic: None,
    architecture: Architecture::RiscV,
    security_info: SecurityInfoShape::WithId,
    bootloader_offset: 0x0,
    efuse: EfuseSpec {
        mac: [0x600B_4844, 0x600B_4848],
        revision: RevisionRule::Fields,
    },
    spi: SpiRegisters::later(0x6000_3000),
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
        protect: 0x600B_1C18,
        config0: 0x600B_1C00,
        config1: 0x600B_1C04,
        super_watchdog: Some(SuperWatchdog {
            config: 0x600B_1C1C,
            protect: 0x600B_1C20,
            key: 0x50D8_3AA1,
            auto_feed: 0x0004_0000,
        }),
    }),
    watchdog_reset: true,
    strap: None,
    flash_write: FlashWriteSizes::FAMILY,
    flash_frequencies: &[(20, 2), (40, 0), (80, 0xF)],
    default_flash_frequency: 40,
    mmu_page_sizes: &[0x2000, 0x4000, 0x8000, 0x1_0000],
    flash_beyond_16_mib: true,
};

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::Dram, 0x4080_0000, 0x4086_0000),
    MemoryRegion::new(MemoryKind::Irom, 0x4200_0000, 0x4400_0000),
    MemoryRegion::new(MemoryKind::RtcDram, 0x5000_0000, 0x5000_4000),
];
