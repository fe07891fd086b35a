//! The table of the ESP32-H2: RISC-V with 802.15.4 and a 32 MHz crystal.

use crate::efuse::{EfuseSpec, RevisionRule};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, SuperWatchdog, UartRegisters, UsbSupport, WatchdogRegisters,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32H2,
    image_id: 16,
    magic: None,
    architecture: Architecture::RiscV,
    security_info: SecurityInfoShape::WithId,
    bootloader_offset: 0x0,
    efuse: EfuseSpec {
        mac: [0x600B_0844, 0x600B_0848],
        revision: RevisionRule::Fields,
    },
    spi: SpiRegisters::later(0x6000_3000),
    uart: UartRegisters {
        clkdiv: 0x6000_0014,
        date: 0x6000_007C,
    },
    crystal: Crystal::Fixed(32),
    usb: UsbSupport {
        serial_jtag: true,
        otg: false,
        source: None,
    },
    memory: MEMORY,
    watchdog: Some(WatchdogRegisters {
        protect: 0x600B_1C1C,
        config0: 0x600B_1C00,
        config1: 0x600B_1C04,
        super_watchdog: Some(SuperWatchdog {
            config: 0x600B_1C20,
            protect: 0x600B_1C24,
            key: 0x50D8_3AA1,
            auto_feed: 0x0004_0000,
        }),
    }),
    watchdog_reset: false,
    strap: None,
    flash_write: FlashWriteSizes::FAMILY,
    flash_frequencies: &[(12, 2), (16, 1), (24, 0), (48, 0xF)],
    default_flash_frequency: 24,
    mmu_page_sizes: &[0x2000, 0x4000, 0x8000, 0x1_0000],
    flash_beyond_16_mib: false,
};

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::Dram, 0x4080_0000, 0x4088_0000),
    MemoryRegion::new(MemoryKind::Irom, 0x4200_0000, 0x4300_0000),
    MemoryRegion::new(MemoryKind::RtcDram, 0x5000_0000, 0x5000_4000),
];
