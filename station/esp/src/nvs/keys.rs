//! The keys of an encrypted NVS partition, their partition, and the cipher made of them.
//!
//! Facts (ESP-IDF's NVS encryption guide and `nvs_sec_provider`): AES-XTS with two keys of 256 bits;
//! each entry of 32 bytes is a unit of its own whose tweak is its offset within the partition, in 16
//! little-endian bytes; page headers and bitmaps stay plain. The keys partition begins with both
//! keys and a CRC-32 over them. In the HMAC scheme each key is HMAC-SHA-256 under the key in eFuse
//! of a fixed 4-byte seed repeated eight times.

use aes::Aes256;
use aes::cipher::KeyInit as _;
use hmac::{Hmac, Mac as _};
use rand_core::CryptoRng;
use sha2::Sha256;
use xts_mode::{Xts128, get_tweak_default};
use zeroize::Zeroizing;

use super::PAGE;
use super::error::{Fault, NvsError, Place};
use super::layout::{ENTRY, crc};
use crate::secret::Secret;
use crate::secure::random;

/// Bytes of one key.
const KEY: usize = 32;
/// Seed of the data key in the HMAC scheme.
const DATA_SEED: [u8; 4] = [0x5A, 0x5A, 0xBE, 0xAE];
/// Seed of the tweak key in the HMAC scheme.
const TWEAK_SEED: [u8; 4] = [0xA5, 0xA5, 0xDE, 0xCE];

/// Data key and tweak key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NvsKeys {
    /// Both, data key first.
    bytes: Secret,
}

impl NvsKeys {
    /// Takes the 64 bytes of data key and tweak key.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn new(bytes: Secret) -> Result<Self, NvsError> {
        if bytes.len() != 2 * KEY {
            return Err(wrong_length(bytes.len(), 2 * KEY));
        }
        Ok(Self { bytes })
    }

    /// Draws both keys.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self {
            bytes: random::bytes(2 * KEY, rng),
        }
    }

    /// The keys that firmware derives from the HMAC key in its eFuses.
    ///
    /// # Errors
    /// When the key is not 32 bytes.
    pub fn from_hmac(hmac_key: &Secret) -> Result<Self, NvsError> {
        if hmac_key.len() != KEY {
            return Err(wrong_length(hmac_key.len(), KEY));
        }
        let mut bytes = Vec::with_capacity(2 * KEY);
        for seed in [DATA_SEED, TWEAK_SEED] {
            let mut hmac = Hmac::<Sha256>::new_from_slice(hmac_key.expose())
                .expect("HMAC takes keys of any length");
            hmac.update(&seed.repeat(KEY / seed.len()));
            let derived = Zeroizing::new(<[u8; KEY]>::from(hmac.finalize().into_bytes()));
            bytes.extend_from_slice(&*derived);
        }
        Ok(Self {
            bytes: Secret::new(bytes),
        })
    }

    /// Reads a keys partition; what follows the checksum is not looked at.
    ///
    /// # Errors
    /// When it is too short, empty, or its checksum is wrong.
    pub fn parse_partition(partition: &Secret) -> Result<Self, NvsError> {
        let Some((keys, rest)) = partition.expose().split_at_checked(2 * KEY) else {
            return Err(wrong_length(partition.len(), PAGE));
        };
        let Some(stored) = rest.first_chunk::<4>() else {
            return Err(wrong_length(partition.len(), PAGE));
        };
        if keys.iter().all(|byte| *byte == 0xFF) {
            return Err(Place::Keys.fault(Fault::NoKeys));
        }
        if u32::from_le_bytes(*stored) != crc(&[keys]) {
            return Err(Place::Keys.fault(Fault::KeyChecksum));
        }
        Ok(Self {
            bytes: Secret::new(keys.to_vec()),
        })
    }

    /// The keys partition of one page.
    #[must_use]
    pub fn to_partition(&self) -> Secret {
        let keys = self.bytes.expose();
        let mut page = Vec::with_capacity(PAGE);
        page.extend_from_slice(keys);
        page.extend_from_slice(&crc(&[keys]).to_le_bytes());
        page.resize(PAGE, 0xFF);
        Secret::new(page)
    }

    /// The key that encrypts data.
    #[must_use]
    pub fn eky(&self) -> &[u8] {
        &self.bytes.expose()[..KEY]
    }

    /// The key that encrypts the tweak.
    #[must_use]
    pub fn tky(&self) -> &[u8] {
        &self.bytes.expose()[KEY..]
    }

    pub(super) fn cipher(&self) -> EntryCipher {
        let half = |key| Aes256::new_from_slice(key).expect("both keys are 32 bytes");
        EntryCipher(Xts128::new(half(self.eky()), half(self.tky())))
    }
}

fn wrong_length(found: usize, expected: usize) -> NvsError {
    Place::Keys.fault(Fault::KeyLength { found, expected })
}

/// Encrypts and decrypts entries by their offset within the partition.
pub(super) struct EntryCipher(Xts128<Aes256>);

impl EntryCipher {
    pub(super) fn encrypt(&self, offset: usize, entry: &mut [u8; ENTRY]) {
        self.0
            .encrypt_sector(entry, get_tweak_default(offset as u128));
    }

    pub(super) fn decrypt(&self, offset: usize, entry: &mut [u8; ENTRY]) {
        self.0
            .decrypt_sector(entry, get_tweak_default(offset as u128));
    }
}
