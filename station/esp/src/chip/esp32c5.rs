//! The table of the ESP32-C5: dual-band RISC-V; crystal of 40 or 48 MHz.

use espflash::target::efuse::esp32c5 as map;

use crate::efuse::{EfuseSpec, RevisionRule, fields, rs_blocks};

use super::Chip;
use super::spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, SuperWatchdog, UartRegisters, UsbSupport, WatchdogRegisters,
};

/// The table.
pub(super) static SPEC: ChipSpec = ChipSpec {
    chip: Chip::Esp32C5,
    image_id: 23,
    magic: None,
    architecture: Architecture::RiscV,
    security_info: SecurityInfoShape::WithId,
    bootloader_offset: 0x2000,
    efuse: EfuseSpec {
        base: BASE,
        mac: [0x600B_4844, 0x600B_4848],
        revision: RevisionRule::Fields,
        blocks: &BLOCKS,
        fields: FIELDS,
    },
    spi: SpiRegisters::later(0x6000_3000),
    uart: UartRegisters {
        clkdiv: 0x6000_0014,
        date: 0x6000_007C,
    },
    crystal: Crystal::UartDivider {
        mask: 0xF_FFFF,
        choices_mhz: &[40, 48],
        typical_mhz: 48,
        stated: Some(0x6009_6110),
    },
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
    mmu_page_sizes: &[0x1_0000],
    flash_beyond_16_mib: true,
};

const BASE: u32 = 0x600B_4800;

const BLOCKS: [crate::efuse::Block; 11] = rs_blocks(BASE);

const MEMORY: &[MemoryRegion] = &[
    MemoryRegion::new(MemoryKind::Dram, 0x4080_0000, 0x4086_0000),
    MemoryRegion::new(MemoryKind::Irom, 0x4200_0000, 0x4400_0000),
    MemoryRegion::new(MemoryKind::RtcDram, 0x5000_0000, 0x5000_4000),
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
    FlashCapacity = FLASH_CAP,
    FlashVendor = FLASH_VENDOR,
    PsramCapacity = PSRAM_CAP,
    PsramVendor = PSRAM_VENDOR,
    Temperature = TEMP,
    TemperatureCalibration = TEMPERATURE_SENSOR,
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
    KeyPurpose5 = KEY_PURPOSE_5,
];
