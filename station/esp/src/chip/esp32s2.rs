//! The table of the ESP32-S2: single-core Xtensa with USB OTG; security info without a chip id.

use espflash::target::efuse::esp32s2 as map;

use crate::efuse::{EfuseSpec, RevisionRule, fields, rs_blocks};

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
        base: BASE,
        mac: [0x3F41_A044, 0x3F41_A048],
        revision: RevisionRule::Fields,
        blocks: &BLOCKS,
        fields: FIELDS,
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

const BASE: u32 = 0x3F41_A000;

const BLOCKS: [crate::efuse::Block; 11] = rs_blocks(BASE);

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

const FIELDS: &[crate::efuse::Field] = fields![map:
    WriteDisable = WR_DIS,
    ReadDisable = RD_DIS,
    Mac = MAC0 MAC1,
    WaferMajor = WAFER_VERSION_MAJOR,
    WaferMinor = WAFER_VERSION_MINOR_LO WAFER_VERSION_MINOR_HI,
    IgnoreWaferMajor = DISABLE_WAFER_VERSION_MAJOR,
    BlockMajor = BLK_VERSION_MAJOR,
    BlockMinor = BLK_VERSION_MINOR,
    Package = PKG_VERSION,
    FlashCapacity = FLASH_VERSION,
    PsramCapacity = PSRAM_VERSION,
    TemperatureCalibration = TEMP_CALIB,
    SecureBoot = SECURE_BOOT_EN,
    AggressiveRevoke = SECURE_BOOT_AGGRESSIVE_REVOKE,
    KeyRevoke0 = SECURE_BOOT_KEY_REVOKE0,
    KeyRevoke1 = SECURE_BOOT_KEY_REVOKE1,
    KeyRevoke2 = SECURE_BOOT_KEY_REVOKE2,
    FlashCryptCount = SPI_BOOT_CRYPT_CNT,
    SecureDownload = ENABLE_SECURITY_DOWNLOAD,
    DisableDownload = DIS_DOWNLOAD_MODE,
    DisableDownloadEncrypt = DIS_DOWNLOAD_MANUAL_ENCRYPT,
    DisableDownloadIcache = DIS_DOWNLOAD_ICACHE,
    DisableDownloadDcache = DIS_DOWNLOAD_DCACHE,
    DisablePadJtag = HARD_DIS_JTAG,
    SoftDisableJtag = SOFT_DIS_JTAG,
    DisableUsbOtg = DIS_USB,
    KeyPurpose0 = KEY_PURPOSE_0,
    KeyPurpose1 = KEY_PURPOSE_1,
    KeyPurpose2 = KEY_PURPOSE_2,
    KeyPurpose3 = KEY_PURPOSE_3,
    KeyPurpose4 = KEY_PURPOSE_4,
    KeyPurpose5 = KEY_PURPOSE_5,
];
