//! Who a chip is.
//!
//! Invariant: what could not be asked is absent, never a default.

use station_esp::command::{SecurityFlag, SecurityInfo};
use station_esp::efuse::EfuseImage;
use station_esp::efuse::map::fuse_map;
use station_esp::{Chip, MacAddress, Revision};

/// A chip as it described itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Which chip.
    pub chip: Chip,
    /// Its silicon; absent in secure download mode.
    pub revision: Option<Revision>,
    /// Its factory MAC; absent in secure download mode.
    pub mac: Option<MacAddress>,
    /// Its crystal in MHz.
    pub crystal_mhz: u8,
    /// What its package and fuses promise, in words.
    pub features: Vec<String>,
    /// Its security state, where it tells.
    pub security: Option<SecurityInfo>,
    /// Whether only secure download mode is left.
    pub secure_download: bool,
    /// Its flash chip; absent in secure download mode.
    pub flash: Option<FlashIdentity>,
    /// The fuses that were read for all this; absent in secure download mode.
    pub fuses: Option<EfuseImage>,
}

impl Identity {
    /// Whether this chip's ROM loads a program into RAM and then does not start it: those of the
    /// ESP32-S3 and ESP32-C3, once secure boot is on. esptool 5.6 bends the former's ROM to its
    /// stub and uses none on the latter; espflash fails.
    pub(crate) fn stub_never_starts(&self) -> bool {
        never_starts_stub(self.chip, self.security.as_ref())
    }

    /// Whether secure boot is on; `None` where the chip does not tell.
    #[must_use]
    pub fn secure_boot(&self) -> Option<bool> {
        use station_esp::efuse::FieldName;
        let told = self
            .security
            .map(|security| security.has(SecurityFlag::SecureBoot));
        told.or_else(|| {
            let fuses = self.fuses.as_ref()?;
            let fields = [FieldName::SecureBoot, FieldName::SecureBootV1];
            Some(
                fields
                    .into_iter()
                    .filter_map(|name| fuses.read(name))
                    .any(|value| value != 0),
            )
        })
    }

    /// Whether flash content is encrypted; `None` where the chip does not tell.
    #[must_use]
    pub fn flash_encryption(&self) -> Option<bool> {
        use station_esp::efuse::FieldName;
        let told = self.security.map(|security| security.flash_encrypted());
        told.or_else(|| {
            let count = self.fuses.as_ref()?.read(FieldName::FlashCryptCount)?;
            Some(count.count_ones() % 2 == 1)
        })
    }

    /// Whether flash encryption is on and cannot be switched off: every bit of its count is burned;
    /// `None` where the chip does not tell.
    #[must_use]
    pub fn is_encrypted_for_good(&self) -> Option<bool> {
        use station_esp::efuse::FieldName;
        let told = self
            .security
            .map(|security| u64::from(security.flash_crypt_cnt));
        let count = told.or_else(|| self.fuses.as_ref()?.read(FieldName::FlashCryptCount))?;
        let map = fuse_map(self.chip, Revision::new(u8::MAX, 99));
        let names = ["SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT"];
        let field = names.into_iter().find_map(|name| map.field(name))?;
        Some(count.count_ones() >= field.width())
    }
}

/// See [`Identity::stub_never_starts`].
pub(super) fn never_starts_stub(chip: Chip, security: Option<&SecurityInfo>) -> bool {
    let strict = matches!(chip, Chip::Esp32S3 | Chip::Esp32C3);
    strict && security.is_some_and(|info| info.has(SecurityFlag::SecureBoot))
}

/// A flash chip as it described itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlashIdentity {
    /// Its JEDEC id as `0xMMTTCC`: maker, type, capacity.
    pub jedec: u32,
    /// Its maker, where known.
    pub maker: Option<&'static str>,
    /// Its size in bytes.
    pub size: u32,
}
