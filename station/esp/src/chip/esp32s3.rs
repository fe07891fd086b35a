//! The table of the ESP32-S3: dual-core Xtensa with both USB interfaces.

use crate::efuse::{EfuseSpec, RevisionRule};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, StrapRegisters, SuperWatchdog, UartRegisters, UartSource, UsbSupport,
    WatchdogRegisters,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32S3,
    image_id: 9,
    magic: None,
    architecture: Architecture::Xtensa,
    security_info: SecurityInfoShape::WithId,
    bootloader_offset: 0x0,
    efuse: EfuseSpec {
        mac: [0x6000_7044, 0x6000_7048],
        revision: RevisionRule::FieldsUnlessBlockVersion11,
    },
    spi: SpiRegisters::later(0x6000_2000),
    uart: UartRegisters {
        clkdiv: 0x6000_0014,
        date: 0x6000_0080,
    },
    crystal: Crystal::Fixed(40),
    usb: UsbSupport {
        serial_jtag: true,
        otg: true,
        source: Some(UartSource {
            address: 0x3FCE_F14C,
            otg: 3,
        }),
    },
    memory: MEMORY,
    watchdog: Some(WatchdogRegisters {
        protect: 0x6000_80B0,
        config0: 0x6000_8098,
        config1: 0x6000_809C,
        super_watchdog: Some(SuperWatchdog {
            config: 0x6000_80B4,
            protect: 0x6000_80B8,
            key: 0x8F1D_312A,
            auto_feed: 0x8000_0000,
        }),
    }),
    watchdog_reset: true,
    strap: Some(StrapRegisters {
        strap: 0x6000_4038,
        spi_boot: 8,
        option: 0x6000_812C,
        force_download: 1,
    }),
    flash_write: FlashWriteSizes::FAMILY,
    flash_frequencies: &[(20, 2), (26, 1), (40, 0), (80, 0xF)],
    default_flash_frequency: 40,
    mmu_page_sizes: &[0x1_0000],
    flash_beyond_16_mib: true,
};

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::Drom, 0x3C00_0000, 0x3E00_0000),
    MemoryRegion::new(MemoryKind::Dram, 0x3FC8_8000, 0x3FD0_0000),
    MemoryRegion::new(MemoryKind::Iram, 0x4037_0000, 0x403E_0000),
    MemoryRegion::new(MemoryKind::Irom, 0x4200_0000, 0x4400_0000),
    MemoryRegion::new(MemoryKind::RtcDram, 0x5000_0000, 0x5000_2000),
    MemoryRegion::new(MemoryKind::RtcIram, 0x600F_E000, 0x6010_0000),
];
