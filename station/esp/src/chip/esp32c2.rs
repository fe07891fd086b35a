//! The table of the ESP32-C2: small RISC-V (ESP8684): four eFuse blocks, MAC in block 2, two crystals.

use espflash::target::efuse::esp32c2 as map;

use crate::efuse::{Block, EfuseSpec, Field, FieldName, Part, RevisionRule, fields};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, SuperWatchdog, UartRegisters, UsbSupport, WatchdogRegisters,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32C2,
    image_id: 12,
    magic: None,
    architecture: Architecture::RiscV,
    security_info: SecurityInfoShape::WithId,
    bootloader_offset: 0x0,
    efuse: EfuseSpec {
        base: BASE,
        mac: [0x6000_8840, 0x6000_8844],
        revision: RevisionRule::Fields,
        blocks: &BLOCKS,
        fields: FIELDS,
    },
    spi: SpiRegisters::later(0x6000_2000),
    uart: UartRegisters {
        clkdiv: 0x6000_0014,
        date: 0x6000_007C,
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
    watchdog: Some(WatchdogRegisters {
        protect: 0x6000_809C,
        config0: 0x6000_8084,
        config1: 0x6000_8088,
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
    flash_frequencies: &[(15, 2), (20, 1), (30, 0), (60, 0xF)],
    default_flash_frequency: 30,
    mmu_page_sizes: &[0x4000, 0x8000, 0x1_0000],
    flash_beyond_16_mib: false,
};

const BASE: u32 = 0x6000_8800;

const BLOCKS: [Block; 4] = [
    Block::new(0, BASE + 0x02C, 2),
    Block::new(1, BASE + 0x034, 3),
    Block::new(2, BASE + 0x040, 8),
    Block::new(3, BASE + 0x060, 8),
];

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::Drom, 0x3C00_0000, 0x3C40_0000),
    MemoryRegion::new(MemoryKind::Dram, 0x3FCA_0000, 0x3FCE_0000),
    MemoryRegion::new(MemoryKind::Iram, 0x4037_C000, 0x403C_0000),
    MemoryRegion::new(MemoryKind::Irom, 0x4200_0000, 0x4240_0000),
];

const FIELDS: &[Field] = fields![map:
    WriteDisable = WR_DIS,
    ReadDisable = RD_DIS,
    Mac = MAC0 MAC1,
    WaferMajor = WAFER_VERSION_MAJOR,
    WaferMinor = WAFER_VERSION_MINOR,
    IgnoreWaferMajor = DISABLE_WAFER_VERSION_MAJOR,
    BlockMajor = BLK_VERSION_MAJOR,
    BlockMinor = BLK_VERSION_MINOR,
    Package = PKG_VERSION,
    TemperatureCalibration = TEMP_CALIB,
    SecureBoot = SECURE_BOOT_EN,
    FlashCryptCount = SPI_BOOT_CRYPT_CNT,
    SecureDownload = ENABLE_SECURITY_DOWNLOAD,
    DisableDownload = DIS_DOWNLOAD_MODE,
    DisableDownloadEncrypt = DIS_DOWNLOAD_MANUAL_ENCRYPT,
    DisableDownloadIcache = DIS_DOWNLOAD_ICACHE,
    DisableDirectBoot = DIS_DIRECT_BOOT,
    DisablePadJtag = DIS_PAD_JTAG
    ;
    // Facts of esptool 5.6 (`get_flash_cap`, `get_flash_vendor`); espflash lacks them.
    Field { name: FieldName::FlashVendor, parts: &[Part::new(2, 248, 3)] },
    Field { name: FieldName::FlashCapacity, parts: &[Part::new(2, 253, 3)] },
];
