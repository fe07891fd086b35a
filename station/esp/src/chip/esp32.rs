//! The table of the ESP32: the first of the family: its own eFuse layout, no security info, two crystals.

use espflash::target::efuse::esp32 as map;

use crate::efuse::{Block, EfuseSpec, RevisionRule, fields};

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
        base: BASE,
        mac: [0x3FF5_A004, 0x3FF5_A008],
        revision: RevisionRule::ApbCtlDate(0x3FF6_607C),
        blocks: &BLOCKS,
        fields: FIELDS,
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

const BASE: u32 = 0x3FF5_A000;

const BLOCKS: [Block; 4] = [
    Block::new(0, BASE, 7),
    Block::new(1, BASE + 0x038, 8),
    Block::new(2, BASE + 0x058, 8),
    Block::new(3, BASE + 0x078, 8),
];

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

const FIELDS: &[crate::efuse::Field] = fields![map:
    WriteDisable = WR_DIS,
    ReadDisable = RD_DIS,
    Mac = MAC0 MAC1,
    MacCrc = MAC_CRC,
    WaferMinor = WAFER_VERSION_MINOR,
    ChipVersionRev1 = CHIP_VER_REV1,
    ChipVersionRev2 = CHIP_VER_REV2,
    Package = CHIP_PACKAGE CHIP_PACKAGE_4BIT,
    AdcVref = ADC_VREF,
    CodingScheme = CODING_SCHEME,
    DisableAppCpu = DISABLE_APP_CPU,
    DisableBt = DISABLE_BT,
    CpuClockRated = CHIP_CPU_FREQ_RATED,
    CpuClockLow = CHIP_CPU_FREQ_LOW,
    Block3Reserved = BLK3_PART_RESERVE,
    SecureBoot = ABS_DONE_1,
    SecureBootV1 = ABS_DONE_0,
    FlashCryptCount = FLASH_CRYPT_CNT,
    DisableDownload = UART_DOWNLOAD_DIS,
    DisableDownloadEncrypt = DISABLE_DL_ENCRYPT,
    DisablePadJtag = JTAG_DISABLE,
];
