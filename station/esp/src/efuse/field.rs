//! The fields that mean the same on every chip, and where bits lie.
//!
//! Invariants: every fuse a [`FieldName`] stands for is found in the chip's map by its name there;
//! this is no second table.

use crate::chip::Chip;

use super::map::{FuseField, FuseMap, all_fuse_maps};

/// What reading fuses needs to know beyond the chip's map.
#[derive(Debug)]
pub struct EfuseSpec {
    /// Addresses of the two words that hold the factory MAC, low word first.
    pub mac: [u32; 2],
    /// How the revision follows from the fields.
    pub revision: RevisionRule,
}

/// How a chip's revision is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionRule {
    /// Major and minor are fields.
    Fields,
    /// ESP32: the major is coded in CHIP_VER_REV1, CHIP_VER_REV2 and bit 31 of this register
    /// (`APB_CTL_DATE`), as 0, 1, 3 and 7 for revision 0 to 3; the minor is a field.
    ApbCtlDate(u32),
    /// ESP32-S3: major and minor are fields, except that block version 1.1 with the low three
    /// minor bits zero means revision 0.0, whose major field was used for something else.
    FieldsUnlessBlockVersion11,
}

/// The fields that the station reads or a virtual chip must answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldName {
    /// Write protection bits.
    WriteDisable,
    /// Read protection bits of key blocks.
    ReadDisable,
    /// Factory MAC, 48 bits, as `MacAddress::to_words` has them.
    Mac,
    /// CRC-8 over the factory MAC (ESP32 only).
    MacCrc,
    /// Two more bytes that make the MAC an EUI-64.
    MacExtension,
    /// Major wafer revision.
    WaferMajor,
    /// Minor wafer revision.
    WaferMinor,
    /// ESP32: set from revision 1.
    ChipVersionRev1,
    /// ESP32: set from revision 2.
    ChipVersionRev2,
    /// Set to make software ignore the major wafer revision.
    IgnoreWaferMajor,
    /// Major version of the calibration block layout.
    BlockMajor,
    /// Minor version of the calibration block layout.
    BlockMinor,
    /// Which package the chip sits in.
    Package,
    /// Size code of the flash in the package.
    FlashCapacity,
    /// Maker code of the flash in the package.
    FlashVendor,
    /// Size code of the PSRAM in the package.
    PsramCapacity,
    /// Maker code of the PSRAM in the package.
    PsramVendor,
    /// Temperature grade.
    Temperature,
    /// Calibration of the temperature sensor.
    TemperatureCalibration,
    /// ESP32: ADC reference voltage.
    AdcVref,
    /// ESP32: coding scheme of blocks 1 to 3.
    CodingScheme,
    /// ESP32: second core disabled.
    DisableAppCpu,
    /// ESP32: Bluetooth disabled.
    DisableBt,
    /// ESP32: the CPU clock rating is valid.
    CpuClockRated,
    /// ESP32: rated for 160 MHz only.
    CpuClockLow,
    /// ESP32: part of block 3 is reserved for calibration.
    Block3Reserved,
    /// Secure boot; on the ESP32 version 2 of it (ABS_DONE_1).
    SecureBoot,
    /// ESP32: secure boot version 1 (ABS_DONE_0).
    SecureBootV1,
    /// Revoke signing keys after a failed check.
    AggressiveRevoke,
    /// Signing key 0 is revoked.
    KeyRevoke0,
    /// Signing key 1 is revoked.
    KeyRevoke1,
    /// Signing key 2 is revoked.
    KeyRevoke2,
    /// Flash encryption: an odd number of set bits switches it on.
    FlashCryptCount,
    /// Only the secure download mode is left.
    SecureDownload,
    /// Download mode is switched off; on the ESP32 over the UART only.
    DisableDownload,
    /// Encrypted writes in download mode are refused.
    DisableDownloadEncrypt,
    /// The instruction cache is off in download mode.
    DisableDownloadIcache,
    /// The data cache is off in download mode.
    DisableDownloadDcache,
    /// Direct boot is off.
    DisableDirectBoot,
    /// JTAG through the pads is switched off for good.
    DisablePadJtag,
    /// JTAG is off until an HMAC key opens it.
    SoftDisableJtag,
    /// JTAG over USB is off.
    DisableUsbJtag,
    /// The USB serial and JTAG bridge is off.
    DisableUsbSerialJtag,
    /// USB OTG is off.
    DisableUsbOtg,
    /// What key block 0 is for.
    KeyPurpose0,
    /// What key block 1 is for.
    KeyPurpose1,
    /// What key block 2 is for.
    KeyPurpose2,
    /// What key block 3 is for.
    KeyPurpose3,
    /// What key block 4 is for.
    KeyPurpose4,
    /// What key block 5 is for.
    KeyPurpose5,
}

impl FieldName {
    /// Every field, in the order of the enumeration.
    pub const ALL: [Self; 50] = [
        Self::WriteDisable,
        Self::ReadDisable,
        Self::Mac,
        Self::MacCrc,
        Self::MacExtension,
        Self::WaferMajor,
        Self::WaferMinor,
        Self::ChipVersionRev1,
        Self::ChipVersionRev2,
        Self::IgnoreWaferMajor,
        Self::BlockMajor,
        Self::BlockMinor,
        Self::Package,
        Self::FlashCapacity,
        Self::FlashVendor,
        Self::PsramCapacity,
        Self::PsramVendor,
        Self::Temperature,
        Self::TemperatureCalibration,
        Self::AdcVref,
        Self::CodingScheme,
        Self::DisableAppCpu,
        Self::DisableBt,
        Self::CpuClockRated,
        Self::CpuClockLow,
        Self::Block3Reserved,
        Self::SecureBoot,
        Self::SecureBootV1,
        Self::AggressiveRevoke,
        Self::KeyRevoke0,
        Self::KeyRevoke1,
        Self::KeyRevoke2,
        Self::FlashCryptCount,
        Self::SecureDownload,
        Self::DisableDownload,
        Self::DisableDownloadEncrypt,
        Self::DisableDownloadIcache,
        Self::DisableDownloadDcache,
        Self::DisableDirectBoot,
        Self::DisablePadJtag,
        Self::SoftDisableJtag,
        Self::DisableUsbJtag,
        Self::DisableUsbSerialJtag,
        Self::DisableUsbOtg,
        Self::KeyPurpose0,
        Self::KeyPurpose1,
        Self::KeyPurpose2,
        Self::KeyPurpose3,
        Self::KeyPurpose4,
        Self::KeyPurpose5,
    ];

    /// A stable word for the field, as answers and journals name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::WriteDisable => "write_disable",
            Self::ReadDisable => "read_disable",
            Self::Mac => "mac",
            Self::MacCrc => "mac_crc",
            Self::MacExtension => "mac_extension",
            Self::WaferMajor => "wafer_major",
            Self::WaferMinor => "wafer_minor",
            Self::ChipVersionRev1 => "chip_version_rev1",
            Self::ChipVersionRev2 => "chip_version_rev2",
            Self::IgnoreWaferMajor => "ignore_wafer_major",
            Self::BlockMajor => "block_major",
            Self::BlockMinor => "block_minor",
            Self::Package => "package",
            Self::FlashCapacity => "flash_capacity",
            Self::FlashVendor => "flash_vendor",
            Self::PsramCapacity => "psram_capacity",
            Self::PsramVendor => "psram_vendor",
            Self::Temperature => "temperature",
            Self::TemperatureCalibration => "temperature_calibration",
            Self::AdcVref => "adc_vref",
            Self::CodingScheme => "coding_scheme",
            Self::DisableAppCpu => "disable_app_cpu",
            Self::DisableBt => "disable_bt",
            Self::CpuClockRated => "cpu_clock_rated",
            Self::CpuClockLow => "cpu_clock_low",
            Self::Block3Reserved => "block3_reserved",
            Self::SecureBoot => "secure_boot",
            Self::SecureBootV1 => "secure_boot_v1",
            Self::AggressiveRevoke => "aggressive_revoke",
            Self::KeyRevoke0 => "key_revoke0",
            Self::KeyRevoke1 => "key_revoke1",
            Self::KeyRevoke2 => "key_revoke2",
            Self::FlashCryptCount => "flash_crypt_count",
            Self::SecureDownload => "secure_download",
            Self::DisableDownload => "disable_download",
            Self::DisableDownloadEncrypt => "disable_download_encrypt",
            Self::DisableDownloadIcache => "disable_download_icache",
            Self::DisableDownloadDcache => "disable_download_dcache",
            Self::DisableDirectBoot => "disable_direct_boot",
            Self::DisablePadJtag => "disable_pad_jtag",
            Self::SoftDisableJtag => "soft_disable_jtag",
            Self::DisableUsbJtag => "disable_usb_jtag",
            Self::DisableUsbSerialJtag => "disable_usb_serial_jtag",
            Self::DisableUsbOtg => "disable_usb_otg",
            Self::KeyPurpose0 => "key_purpose0",
            Self::KeyPurpose1 => "key_purpose1",
            Self::KeyPurpose2 => "key_purpose2",
            Self::KeyPurpose3 => "key_purpose3",
            Self::KeyPurpose4 => "key_purpose4",
            Self::KeyPurpose5 => "key_purpose5",
        }
    }

    /// The purposes of the key blocks, in order.
    pub const KEY_PURPOSES: [Self; 6] = [
        Self::KeyPurpose0,
        Self::KeyPurpose1,
        Self::KeyPurpose2,
        Self::KeyPurpose3,
        Self::KeyPurpose4,
        Self::KeyPurpose5,
    ];

    /// Its names in the chips' maps, the better one first.
    const fn fuses(self) -> &'static [&'static str] {
        match self {
            Self::WriteDisable => &["WR_DIS"],
            Self::ReadDisable => &["RD_DIS"],
            Self::Mac => &["MAC"],
            Self::MacCrc => &["MAC_CRC"],
            Self::MacExtension => &["MAC_EXT"],
            Self::WaferMajor => &["WAFER_VERSION_MAJOR"],
            Self::WaferMinor => &["WAFER_VERSION_MINOR"],
            Self::ChipVersionRev1 => &["CHIP_VER_REV1"],
            Self::ChipVersionRev2 => &["CHIP_VER_REV2"],
            Self::IgnoreWaferMajor => &["DISABLE_WAFER_VERSION_MAJOR"],
            Self::BlockMajor => &["BLK_VERSION_MAJOR"],
            Self::BlockMinor => &["BLK_VERSION_MINOR"],
            Self::Package => &["PKG_VERSION"],
            Self::FlashCapacity => &["FLASH_CAP", "FLASH_VERSION"],
            Self::FlashVendor => &["FLASH_VENDOR"],
            Self::PsramCapacity => &["PSRAM_CAPACITY", "PSRAM_CAP", "PSRAM_VERSION"],
            Self::PsramVendor => &["PSRAM_VENDOR"],
            Self::Temperature => &["TEMP", "FLASH_TEMP"],
            Self::TemperatureCalibration => &["TEMP_CALIB", "TEMPERATURE_SENSOR"],
            Self::AdcVref => &["ADC_VREF"],
            Self::CodingScheme => &["CODING_SCHEME"],
            Self::DisableAppCpu => &["DISABLE_APP_CPU"],
            Self::DisableBt => &["DISABLE_BT"],
            Self::CpuClockRated => &["CHIP_CPU_FREQ_RATED"],
            Self::CpuClockLow => &["CHIP_CPU_FREQ_LOW"],
            Self::Block3Reserved => &["BLK3_PART_RESERVE"],
            Self::SecureBoot => &["SECURE_BOOT_EN", "ABS_DONE_1"],
            Self::SecureBootV1 => &["ABS_DONE_0"],
            Self::AggressiveRevoke => &["SECURE_BOOT_AGGRESSIVE_REVOKE"],
            Self::KeyRevoke0 => &["SECURE_BOOT_KEY_REVOKE0"],
            Self::KeyRevoke1 => &["SECURE_BOOT_KEY_REVOKE1"],
            Self::KeyRevoke2 => &["SECURE_BOOT_KEY_REVOKE2"],
            Self::FlashCryptCount => &["SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT"],
            Self::SecureDownload => &["ENABLE_SECURITY_DOWNLOAD"],
            Self::DisableDownload => &["DIS_DOWNLOAD_MODE", "UART_DOWNLOAD_DIS"],
            Self::DisableDownloadEncrypt => &["DIS_DOWNLOAD_MANUAL_ENCRYPT", "DISABLE_DL_ENCRYPT"],
            Self::DisableDownloadIcache => &["DIS_DOWNLOAD_ICACHE"],
            Self::DisableDownloadDcache => &["DIS_DOWNLOAD_DCACHE"],
            Self::DisableDirectBoot => &["DIS_DIRECT_BOOT"],
            Self::DisablePadJtag => &["DIS_PAD_JTAG", "HARD_DIS_JTAG", "JTAG_DISABLE"],
            Self::SoftDisableJtag => &["SOFT_DIS_JTAG"],
            Self::DisableUsbJtag => &["DIS_USB_JTAG"],
            Self::DisableUsbSerialJtag => &["DIS_USB_SERIAL_JTAG"],
            Self::DisableUsbOtg => &["DIS_USB_OTG", "DIS_USB"],
            Self::KeyPurpose0 => &["KEY_PURPOSE_0"],
            Self::KeyPurpose1 => &["KEY_PURPOSE_1"],
            Self::KeyPurpose2 => &["KEY_PURPOSE_2"],
            Self::KeyPurpose3 => &["KEY_PURPOSE_3"],
            Self::KeyPurpose4 => &["KEY_PURPOSE_4"],
            Self::KeyPurpose5 => &["KEY_PURPOSE_5"],
        }
    }

    /// Its fuse in `map`, if that chip has one.
    #[must_use]
    pub fn within(self, map: &FuseMap) -> Option<&'static FuseField> {
        self.fuses().iter().find_map(|name| map.field(name))
    }
}

/// A run of bits within one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Number of the block.
    pub block: u8,
    /// First bit, counted from bit 0 of the block's first word; a part may cross words.
    pub bit: u16,
    /// Number of bits, at most those of a block.
    pub width: u16,
}

/// The fuse of `name` on `chip`, if some revision of it has one: that of the oldest.
#[must_use]
pub fn field(chip: Chip, name: FieldName) -> Option<&'static FuseField> {
    all_fuse_maps(chip).find_map(|map| name.within(map))
}
