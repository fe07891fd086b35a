//! The table of the ESP32: the first of the family: its own eFuse layout, no security info, two crystals.

use crate::efuse::{EfuseSpec, RevisionRule};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, UartRegisters, UsbSupport,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32,
    image_id: 0,
    magic: Some(0x00F0_1D83),
    architecture: Architecture::Xtensa,
    security_info: SecurityInfoShape::Unsupported,
    bootloader_offset: 0x1000,
    efuse: EfuseSpec {
        mac: [0x3FF5_A004, 0x3FF5_A008],
        revision: RevisionRule::ApbCtlDate(0x3FF6_607C),
    },
    spi: SpiRegisters::first(0x3FF4_2000),
    uart: UartRegisters {
        clkdiv: 0x3FF4_0014,
        date: 0x6000_0078,
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
    watchdog: None,
    watchdog_reset: false,
    strap: None,
    flash_write: FlashWriteSizes::FAMILY,
    flash_frequencies: &[(20, 2), (26, 1), (40, 0), (80, 0xF)],
    default_flash_frequency: 40,
    mmu_page_sizes: &[0x1_0000],
    flash_beyond_16_mib: false,
};

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::Drom, 0x3F40_0000, 0x3F80_0000),
    MemoryRegion::new(MemoryKind::Psram, 0x3F80_0000, 0x3FC0_0000),
    MemoryRegion::new(MemoryKind::RtcDram, 0x3FF8_0000, 0x3FF8_2000),
    MemoryRegion::new(MemoryKind::Dram, 0x3FFA_E000, 0x4000_0000),
    MemoryRegion::new(MemoryKind::Iram, 0x4007_0000, 0x400C_0000),
    MemoryRegion::new(MemoryKind::RtcIram, 0x400C_0000, 0x400C_2000),
    MemoryRegion::new(MemoryKind::Irom, 0x400D_0000, 0x4040_0000),
    MemoryRegion::new(MemoryKind::RtcDram, 0x5000_0000, 0x5000_2000),
];
