//! Where eFuse blocks and fields are.
//!
//! Bit positions of fields are taken from the constants of espflash 4.7.0 (`target/efuse/*.rs`,
//! generated from Espressif's eFuse definitions); the few it lacks are literal in the chip's table.

use espflash::target::efuse::EfuseField;

use crate::chip::Chip;

/// The eFuse controller of one chip, as far as reading goes.
#[derive(Debug)]
pub struct EfuseSpec {
    /// Base address of the controller.
    pub base: u32,
    /// Addresses of the two words that hold the factory MAC, low word first.
    pub mac: [u32; 2],
    /// How the revision follows from the fields.
    pub revision: RevisionRule,
    /// The readable blocks, in order of their index.
    pub blocks: &'static [Block],
    /// The named fields this chip has.
    pub fields: &'static [Field],
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

/// One readable eFuse block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Number of the block.
    pub index: u8,
    /// Address of its first read register.
    pub address: u32,
    /// Number of its read registers.
    pub words: u8,
}

impl Block {
    pub(crate) const fn new(index: u8, address: u32, words: u8) -> Self {
        Self {
            index,
            address,
            words,
        }
    }

    /// The address of word `word`, if the block has it.
    #[must_use]
    pub fn word_address(&self, word: u8) -> Option<u32> {
        (word < self.words).then(|| self.address + u32::from(word) * 4)
    }

    /// The word of this block at `address`, if there is one.
    #[must_use]
    pub fn word_at(&self, address: u32) -> Option<u8> {
        let offset = address.checked_sub(self.address)?;
        let word = u8::try_from(offset / 4).ok()?;
        (offset % 4 == 0 && word < self.words).then_some(word)
    }
}

/// The eleven blocks of most chips with Reed-Solomon coded fuses.
pub(crate) const fn rs_blocks(base: u32) -> [Block; 11] {
    [
        Block::new(0, base + 0x02C, 6),
        Block::new(1, base + 0x044, 6),
        Block::new(2, base + 0x05C, 8),
        Block::new(3, base + 0x07C, 8),
        Block::new(4, base + 0x09C, 8),
        Block::new(5, base + 0x0BC, 8),
        Block::new(6, base + 0x0DC, 8),
        Block::new(7, base + 0x0FC, 8),
        Block::new(8, base + 0x11C, 8),
        Block::new(9, base + 0x13C, 8),
        Block::new(10, base + 0x15C, 8),
    ]
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
}

/// A run of bits within one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Number of the block.
    pub block: u8,
    /// First bit, counted from bit 0 of the block's first word; a part may cross words.
    pub bit: u16,
    /// Number of bits.
    pub width: u8,
}

impl Part {
    pub(crate) const fn new(block: u8, bit: u16, width: u8) -> Self {
        Self { block, bit, width }
    }

    /// The place that espflash's constant names.
    pub(crate) const fn of(field: &EfuseField) -> Self {
        assert!(field.block < 16 && field.bit_start < 256 && field.bit_count <= 64);
        Self {
            block: field.block as u8,
            bit: field.bit_start as u16,
            width: field.bit_count as u8,
        }
    }
}

/// A named field: its parts from the lowest bits to the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// What the field means.
    pub name: FieldName,
    /// Where its bits are, lowest part first.
    pub parts: &'static [Part],
}

impl Field {
    /// Number of bits.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.parts.iter().map(|part| u32::from(part.width)).sum()
    }
}

/// The place of `name` on `chip`, if the chip has it.
#[must_use]
pub fn field(chip: Chip, name: FieldName) -> Option<&'static Field> {
    chip.spec()
        .efuse
        .fields
        .iter()
        .find(|field| field.name == name)
}

/// Builds a table of fields from espflash constants; several constants are parts, lowest first.
macro_rules! fields {
    ($map:ident: $($name:ident = $($constant:ident)+),+ $(,)? $(; $($more:expr),+ $(,)?)?) => {
        &[
            $($crate::efuse::Field {
                name: $crate::efuse::FieldName::$name,
                parts: &[$($crate::efuse::Part::of(&$map::$constant)),+],
            },)+
            $($($more,)+)?
        ]
    };
}
pub(crate) use fields;
