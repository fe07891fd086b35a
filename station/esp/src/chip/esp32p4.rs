//! The table of the ESP32-P4: dual-core RISC-V without radio; flash and PSRAM share one window.

use crate::efuse::{EfuseSpec, RevisionRule};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, StrapRegisters, SuperWatchdog, UartRegisters, UartSource, UsbSupport,
    WatchdogRegisters,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32P4,
    image_id: 18,
    magic: None,
    architecture: Architecture::RiscV,
    security_info: SecurityInfoShape::WithId,
    bootloader_offset: 0x2000,
    efuse: EfuseSpec {
        mac: [0x5012_D044, 0x5012_D048],
        revision: RevisionRule::Fields,
    },
    spi: SpiRegisters::later(0x5008_D000),
    uart: UartRegisters {
        clkdiv: 0x500C_A014,
        date: 0x500C_A08C,
    },
    crystal: Crystal::Fixed(40),
    usb: UsbSupport {
        serial_jtag: true,
        otg: true,
        source: Some(UartSource {
            address: 0x4FF3_FEC8,
            otg: 5,
        }),
    },
    memory: MEMORY,
    watchdog: Some(WatchdogRegisters {
        protect: 0x5011_6018,
        config0: 0x5011_6000,
        config1: 0x5011_6004,
        super_watchdog: Some(SuperWatchdog {
            config: 0x5011_601C,
            protect: 0x5011_6020,
            key: 0x50D8_3AA1,
            auto_feed: 0x0004_0000,
        }),
    }),
    watchdog_reset: true,
    strap: Some(StrapRegisters {
        strap: 0x500E_0038,
        spi_boot: 8,
        option: 0x5011_0008,
        force_download: 4,
    }),
    flash_write: FlashWriteSizes::FAMILY,
    flash_frequencies: &[(20, 2), (26, 1), (40, 0), (80, 0xF)],
    default_flash_frequency: 40,
    mmu_page_sizes: &[0x1_0000],
    flash_beyond_16_mib: true,
};

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::Tcm, 0x3010_0000, 0x3010_2000),
    MemoryRegion::new(MemoryKind::Irom, 0x4000_0000, 0x4C00_0000),
    MemoryRegion::new(MemoryKind::Dram, 0x4FF0_0000, 0x4FFC_0000),
    MemoryRegion::new(MemoryKind::RtcDram, 0x5010_8000, 0x5011_0000),
];
