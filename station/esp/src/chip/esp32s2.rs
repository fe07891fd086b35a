//! The table of the ESP32-S2: single-core Xtensa with USB OTG; security info without a chip id.

use crate::efuse::{EfuseSpec, RevisionRule};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, StrapRegisters, UartRegisters, UartSource, UsbSupport, WatchdogRegisters,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32S2,
    image_id: 2,
    magic: Some(0x0000_07C6),
    architecture: Architecture::Xtensa,
    security_info: SecurityInfoShape::WithoutId,
    bootloader_offset: 0x1000,
    efuse: EfuseSpec {
        mac: [0x3F41_A044, 0x3F41_A048],
        revision: RevisionRule::Fields,
    },
    spi: SpiRegisters::later(0x3F40_2000),
    uart: UartRegisters {
        clkdiv: 0x3F40_0014,
        date: 0x6000_0078,
    },
    crystal: Crystal::Fixed(40),
    usb: UsbSupport {
        serial_jtag: false,
        otg: true,
        source: Some(UartSource {
            address: 0x3FFF_FD14,
            otg: 2,
        }),
    },
    memory: MEMORY,
    watchdog: Some(WatchdogRegisters {
        protect: 0x3F40_80AC,
        config0: 0x3F40_8094,
        config1: 0x3F40_8098,
        super_watchdog: None,
    }),
    watchdog_reset: true,
    strap: Some(StrapRegisters {
        strap: 0x3F40_4038,
        spi_boot: 8,
        option: 0x3F40_8128,
        force_download: 1,
    }),
    flash_write: FlashWriteSizes::FAMILY,
    flash_frequencies: &[(20, 2), (26, 1), (40, 0), (80, 0xF)],
    default_flash_frequency: 40,
    mmu_page_sizes: &[0x1_0000],
    flash_beyond_16_mib: false,
};

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::Drom, 0x3F00_0000, 0x3F3F_0000),
    MemoryRegion::new(MemoryKind::Psram, 0x3F50_0000, 0x3FF8_0000),
    MemoryRegion::new(MemoryKind::RtcDram, 0x3FF9_E000, 0x3FFA_0000),
    MemoryRegion::new(MemoryKind::Dram, 0x3FFB_0000, 0x4000_0000),
    MemoryRegion::new(MemoryKind::Iram, 0x4002_0000, 0x4007_0000),
    MemoryRegion::new(MemoryKind::RtcIram, 0x4007_0000, 0x4007_2000),
    MemoryRegion::new(MemoryKind::Irom, 0x4008_0000, 0x40B8_0000),
    MemoryRegion::new(MemoryKind::RtcDram, 0x5000_0000, 0x5000_2000),
];
