//! The table of the ESP32-S31: dual-core RISC-V with its own eFuse layout and address map.

use espflash::target::efuse::esp32s31 as map;

use crate::efuse::{Block, EfuseSpec, RevisionRule, fields};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, SuperWatchdog, UartRegisters, UsbSupport, WatchdogRegisters,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32S31,
    image_id: 32,
    magic: None,
    architecture: Architecture::RiscV,
    security_info: SecurityInfoShape::WithId,
    bootloader_offset: 0x2000,
    efuse: EfuseSpec {
        base: BASE,
        mac: [0x2071_5050, 0x2071_5054],
        revision: RevisionRule::Fields,
        blocks: &BLOCKS,
        fields: FIELDS,
    },
    spi: SpiRegisters::later(0x2050_1000),
    uart: UartRegisters {
        clkdiv: 0x2038_A014,
        date: 0x2038_A08C,
    },
    crystal: Crystal::Fixed(40),
    usb: UsbSupport {
        serial_jtag: true,
        otg: true,
        source: None,
    },
    memory: MEMORY,
    watchdog: Some(WatchdogRegisters {
        protect: 0x2080_1018,
        config0: 0x2080_1000,
        config1: 0x2080_1004,
        super_watchdog: Some(SuperWatchdog {
            config: 0x2080_101C,
            protect: 0x2080_1020,
            key: 0x50D8_3AA1,
            auto_feed: 0x0004_0000,
        }),
    }),
    watchdog_reset: true,
    strap: None,
    flash_write: FlashWriteSizes::FAMILY,
    flash_frequencies: &[(20, 2), (40, 0), (80, 0xF)],
    default_flash_frequency: 40,
    mmu_page_sizes: &[0x1_0000],
    flash_beyond_16_mib: true,
};

const BASE: u32 = 0x2071_5000;

const BLOCKS: [Block; 10] = [
    Block::new(0, BASE + 0x02C, 9),
    Block::new(1, BASE + 0x050, 6),
    Block::new(2, BASE + 0x068, 8),
    Block::new(3, BASE + 0x088, 8),
    Block::new(4, BASE + 0x0A8, 8),
    Block::new(5, BASE + 0x0C8, 8),
    Block::new(6, BASE + 0x0E8, 8),
    Block::new(7, BASE + 0x108, 8),
    Block::new(8, BASE + 0x128, 8),
    Block::new(9, BASE + 0x148, 8),
];

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::RtcDram, 0x2E00_0000, 0x2E00_8000),
    MemoryRegion::new(MemoryKind::Dram, 0x2F00_0000, 0x2F08_0000),
    MemoryRegion::new(MemoryKind::Irom, 0x4000_0000, 0x5400_0000),
];

const FIELDS: &[crate::efuse::Field] = fields![map:
    WriteDisable = WR_DIS,
    ReadDisable = RD_DIS,
    Mac = MAC0 MAC1,
    MacExtension = MAC_EXT,
    WaferMajor = WAFER_VERSION_MAJOR,
    WaferMinor = WAFER_VERSION_MINOR,
    IgnoreWaferMajor = DISABLE_WAFER_VERSION_MAJOR,
    BlockMajor = BLK_VERSION_MAJOR,
    BlockMinor = BLK_VERSION_MINOR,
    Package = PKG_VERSION,
    PsramCapacity = PSRAM_CAP,
    PsramVendor = PSRAM_VENDOR,
    Temperature = TEMP,
    SecureBoot = SECURE_BOOT_EN,
    AggressiveRevoke = SECURE_BOOT_AGGRESSIVE_REVOKE,
    KeyRevoke0 = SECURE_BOOT_KEY_REVOKE0,
    KeyRevoke1 = SECURE_BOOT_KEY_REVOKE1,
    KeyRevoke2 = SECURE_BOOT_KEY_REVOKE2,
    FlashCryptCount = SPI_BOOT_CRYPT_CNT,
    SecureDownload = ENABLE_SECURITY_DOWNLOAD,
    DisableDownload = DIS_DOWNLOAD_MODE,
    DisableDownloadEncrypt = DIS_DOWNLOAD_MANUAL_ENCRYPT,
    DisableDirectBoot = DIS_DIRECT_BOOT,
    DisablePadJtag = DIS_PAD_JTAG,
    SoftDisableJtag = SOFT_DIS_JTAG,
    DisableUsbJtag = DIS_USB_JTAG,
    DisableUsbSerialJtag = DIS_USB_SERIAL_JTAG,
    KeyPurpose0 = KEY_PURPOSE_0,
    KeyPurpose1 = KEY_PURPOSE_1,
    KeyPurpose2 = KEY_PURPOSE_2,
    KeyPurpose3 = KEY_PURPOSE_3,
    KeyPurpose4 = KEY_PURPOSE_4,
];
