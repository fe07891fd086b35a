//! Flash encryption on the host: the same ciphertext that a chip's flash controller would write.
//!
//! Invariants: what `encrypt` made `decrypt` gives back; a part encrypted at its own address equals
//! that part of the whole; nothing is padded in silence, because padding changes what the chip
//! reads; keys are in file order, as espsecure takes them (the eFuse controller holds them reversed).

mod legacy;
#[cfg(test)]
mod tests;
mod xts;

pub(in crate::secure) use legacy::full_key as full_legacy_key;

use rand_core::CryptoRng;
use thiserror::Error;

use super::random;
use crate::chip::Chip;
use crate::secret::Secret;

/// Addresses and lengths are whole AES blocks.
pub const BLOCK: usize = 16;
/// What FLASH_CRYPT_CONFIG says when every part of the key is tweaked, as it always should.
pub const FULL_CRYPT_CONFIG: u8 = 0xF;
/// Flash that the ESP32's tweak tells apart: 24 address bits.
const LEGACY_REACH: u64 = 1 << 24;
/// Flash that the XTS tweak tells apart: 32 address bits.
const XTS_REACH: u64 = 1 << 32;

/// How a chip encrypts its flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// AES-256 with a key per 32 bytes of flash: the ESP32.
    Legacy {
        /// FLASH_CRYPT_CONFIG, four bits: which quarters of the key follow the address.
        crypt_config: u8,
    },
    /// AES-XTS over units of 128 bytes: every other chip.
    Xts,
}

impl Scheme {
    /// The scheme of this chip, the ESP32's with its full configuration.
    #[must_use]
    pub fn of(chip: Chip) -> Self {
        if chip == Chip::Esp32 {
            Self::Legacy {
                crypt_config: FULL_CRYPT_CONFIG,
            }
        } else {
            Self::Xts
        }
    }

    /// Key lengths in bytes. XTS: 32 is AES-128 and 64 AES-256; 16 is the short key of the ESP32-C2,
    /// which the controller extends. Legacy: 24 is what fits a 3/4-coded block.
    #[must_use]
    pub fn key_lengths(self) -> &'static [usize] {
        match self {
            Self::Legacy { .. } => &[24, 32],
            Self::Xts => &[16, 32, 64],
        }
    }

    fn reach(self) -> u64 {
        match self {
            Self::Legacy { .. } => LEGACY_REACH,
            Self::Xts => XTS_REACH,
        }
    }
}

/// A flash encryption key of a length its scheme takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlashKey {
    scheme: Scheme,
    bytes: Secret,
}

impl FlashKey {
    /// Takes key bytes in file order.
    ///
    /// # Errors
    /// When the scheme has no key of that length or no such configuration.
    pub fn new(scheme: Scheme, bytes: Secret) -> Result<Self, EncryptionError> {
        if let Scheme::Legacy { crypt_config } = scheme
            && crypt_config > FULL_CRYPT_CONFIG
        {
            return Err(EncryptionError::CryptConfig { crypt_config });
        }
        if !scheme.key_lengths().contains(&bytes.len()) {
            return Err(EncryptionError::KeyLength {
                found: bytes.len(),
                allowed: scheme.key_lengths(),
            });
        }
        Ok(Self { scheme, bytes })
    }

    /// Draws a key of `length` bytes.
    ///
    /// # Errors
    /// As [`FlashKey::new`].
    pub fn generate(
        scheme: Scheme,
        length: usize,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, EncryptionError> {
        Self::new(scheme, random::bytes(length, rng))
    }

    /// The scheme the key is for.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The key bytes in file order.
    #[must_use]
    pub fn bytes(&self) -> &Secret {
        &self.bytes
    }
}

/// The ciphertext of `data` as it lies at flash `address`.
///
/// # Errors
/// When there is no data, or address or length are no whole blocks within the scheme's reach.
pub fn encrypt(key: &FlashKey, address: u32, data: &[u8]) -> Result<Vec<u8>, EncryptionError> {
    check(key.scheme, address, data)?;
    let mut out = data.to_vec();
    match key.scheme {
        Scheme::Legacy { crypt_config } => {
            legacy::encrypt(key.bytes.expose(), crypt_config, address, &mut out);
        }
        Scheme::Xts => xts::encrypt(key.bytes.expose(), address, &mut out),
    }
    Ok(out)
}

/// The plaintext of `data` read from flash `address`.
///
/// # Errors
/// As [`encrypt`]. A wrong key cannot be told: it gives garbage.
pub fn decrypt(key: &FlashKey, address: u32, data: &[u8]) -> Result<Vec<u8>, EncryptionError> {
    check(key.scheme, address, data)?;
    let mut out = data.to_vec();
    match key.scheme {
        Scheme::Legacy { crypt_config } => {
            legacy::decrypt(key.bytes.expose(), crypt_config, address, &mut out);
        }
        Scheme::Xts => xts::decrypt(key.bytes.expose(), address, &mut out),
    }
    Ok(out)
}

/// `data` filled up to whole blocks with what erased flash holds, for images whose length the chip
/// knows from their header.
#[must_use]
pub fn filled_up(mut data: Vec<u8>) -> Vec<u8> {
    data.resize(data.len().next_multiple_of(BLOCK), 0xFF);
    data
}

fn check(scheme: Scheme, address: u32, data: &[u8]) -> Result<(), EncryptionError> {
    if data.is_empty() {
        return Err(EncryptionError::Empty);
    }
    if !(address as usize).is_multiple_of(BLOCK) {
        return Err(EncryptionError::AddressUnaligned { address });
    }
    if !data.len().is_multiple_of(BLOCK) {
        return Err(EncryptionError::LengthUnaligned { length: data.len() });
    }
    if u64::from(address) + data.len() as u64 > scheme.reach() {
        return Err(EncryptionError::OutOfReach {
            address,
            length: data.len(),
            reach: scheme.reach(),
        });
    }
    Ok(())
}

/// Why data could not be encrypted or decrypted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncryptionError {
    /// No such key length in this scheme.
    #[error("a key of {found} bytes, where {} can be used", lengths(.allowed))]
    KeyLength {
        /// Bytes given.
        found: usize,
        /// Lengths the scheme has.
        allowed: &'static [usize],
    },
    /// FLASH_CRYPT_CONFIG has four bits.
    #[error("flash crypt configuration {crypt_config:#x} is above 0xf")]
    CryptConfig {
        /// The value given.
        crypt_config: u8,
    },
    /// No data.
    #[error("no data to encrypt or decrypt")]
    Empty,
    /// An address inside a block.
    #[error("address {address:#x} is no multiple of {BLOCK}")]
    AddressUnaligned {
        /// The address given.
        address: u32,
    },
    /// A length that ends inside a block.
    #[error("{length} bytes are no multiple of {BLOCK}")]
    LengthUnaligned {
        /// Bytes given.
        length: usize,
    },
    /// Flash that the tweak cannot tell from lower flash.
    #[error("{length} bytes at {address:#x} go beyond {reach:#x}")]
    OutOfReach {
        /// The address given.
        address: u32,
        /// Bytes given.
        length: usize,
        /// First address the scheme does not have.
        reach: u64,
    },
}

impl EncryptionError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyLength { .. } => "encryption-key-length",
            Self::CryptConfig { .. } => "encryption-crypt-config",
            Self::Empty => "encryption-empty",
            Self::AddressUnaligned { .. } => "encryption-address-unaligned",
            Self::LengthUnaligned { .. } => "encryption-length-unaligned",
            Self::OutOfReach { .. } => "encryption-out-of-reach",
        }
    }
}

fn lengths(allowed: &[usize]) -> String {
    let words: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    words.join(" or ")
}
