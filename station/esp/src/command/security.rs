//! The answer to GET_SECURITY_INFO.

/// A bit of [`SecurityInfo::flags`] (esptool serial protocol).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SecurityFlag {
    /// Secure boot is on.
    SecureBoot = 0,
    /// Secure boot revokes keys after a failed check.
    AggressiveRevoke = 1,
    /// Only secure download mode is left.
    SecureDownload = 2,
    /// Signing key 0 is revoked.
    KeyRevoke0 = 3,
    /// Signing key 1 is revoked.
    KeyRevoke1 = 4,
    /// Signing key 2 is revoked.
    KeyRevoke2 = 5,
    /// JTAG is off until opened.
    SoftDisableJtag = 6,
    /// JTAG is off for good.
    HardDisableJtag = 7,
    /// USB is off.
    DisableUsb = 8,
    /// The data cache is off in download mode.
    DisableDownloadDcache = 9,
    /// The instruction cache is off in download mode.
    DisableDownloadIcache = 10,
}

impl SecurityFlag {
    /// The bit.
    #[must_use]
    pub const fn mask(self) -> u32 {
        1 << self as u8
    }
}

/// Security state and identity of a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityInfo {
    /// Bits of [`SecurityFlag`].
    pub flags: u32,
    /// The flash encryption count as burned; an odd number of set bits means encrypted.
    pub flash_crypt_cnt: u8,
    /// What the key blocks are for; the seventh is unused.
    pub key_purposes: [u8; 7],
    /// Chip id, which all chips but the ESP32-S2 tell.
    pub chip_id: Option<u32>,
    /// Version of the ROM's interface, told with the id.
    pub api_version: Option<u32>,
}

/// A body that is no security info.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("security info of {0} bytes; 12 or 20 were expected")]
pub struct SecurityInfoError(pub usize);

impl SecurityInfoError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "security-info-length"
    }
}

impl SecurityInfo {
    /// Whether `flag` is set.
    #[must_use]
    pub const fn has(&self, flag: SecurityFlag) -> bool {
        self.flags & flag.mask() != 0
    }

    /// Whether flash content is encrypted.
    #[must_use]
    pub const fn flash_encrypted(&self) -> bool {
        self.flash_crypt_cnt.count_ones() % 2 == 1
    }

    /// Appends the body: 20 bytes with an id, 12 without.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.push(self.flash_crypt_cnt);
        out.extend_from_slice(&self.key_purposes);
        if let Some(id) = self.chip_id {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&self.api_version.unwrap_or(0).to_le_bytes());
        }
    }

    /// Takes a body apart.
    ///
    /// # Errors
    /// When it has neither 12 nor 20 bytes.
    pub fn decode(body: &[u8]) -> Result<Self, SecurityInfoError> {
        let refuse = SecurityInfoError(body.len());
        let (&[f0, f1, f2, f3, flash_crypt_cnt, k0, k1, k2, k3, k4, k5, k6], rest) =
            body.split_first_chunk::<12>().ok_or(refuse)?;
        let (chip_id, api_version) = match *rest {
            [] => (None, None),
            [a, b, c, d, e, f, g, h] => (
                Some(u32::from_le_bytes([a, b, c, d])),
                Some(u32::from_le_bytes([e, f, g, h])),
            ),
            _ => return Err(refuse),
        };
        Ok(Self {
            flags: u32::from_le_bytes([f0, f1, f2, f3]),
            flash_crypt_cnt,
            key_purposes: [k0, k1, k2, k3, k4, k5, k6],
            chip_id,
            api_version,
        })
    }
}
