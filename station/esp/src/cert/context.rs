//! Keys that only a peripheral of the chip can use: RSA parameters encrypted for it, and a
//! reference to an ECDSA key in eFuse.
//!
//! Facts (ESP-IDF's guide to the digital signature peripheral, and the tool): the AES key is the
//! HMAC-SHA256 of 32 bytes `ff` under the eFuse key; encrypted with AES-256-CBC are the private
//! exponent, modulus and R² mod modulus, little-endian at the longest length the chip takes, then
//! the SHA-256 of those, M', the length and the initialisation vector, then M', the length and
//! eight bytes `08`.

use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rsa::BigUint;
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::entry::{Entry, Kind};
use super::error::CertError;
use super::key::{KeyFile, KeyKind};
use crate::chip::Chip;
use crate::secret::Secret;

const IV: usize = 16;
/// Length word and initialisation vector before the ciphertext.
const PREFIX: usize = 4 + IV;
/// Key blocks a chip has; the first is eFuse block 4.
const KEY_BLOCKS: u8 = 6;
const FIRST_BLOCK: u8 = 4;
const SECURITY_CONFIG: usize = 40;

/// RSA sizes in bits that the chip's digital signature peripheral takes, smallest first; none where
/// it has no such peripheral. The largest is also the form of the encrypted parameters.
///
/// Source: `SOC_DS_SIGNATURE_MAX_BIT_LEN` of ESP-IDF 5.5 to 6.1. The tool gives ESP32-C5 4096 bits, but
/// the chip's ROM (`ETS_DS_MAX_BITS`) and every firmware read parameters of 3072 there.
#[must_use]
pub fn rsa_sizes(chip: Chip) -> &'static [usize] {
    match chip {
        Chip::Esp32S2 | Chip::Esp32S3 | Chip::Esp32P4 | Chip::Esp32S31 => &[1024, 2048, 3072, 4096],
        Chip::Esp32C3 | Chip::Esp32C5 | Chip::Esp32C6 | Chip::Esp32H2 => &[1024, 2048, 3072],
        Chip::Esp32 | Chip::Esp32C2 | Chip::Esp32C61 | Chip::Esp32H4 => &[],
    }
}

/// Whether the chip's ECDSA peripheral signs with keys of this kind.
fn ecdsa_supported(chip: Chip, kind: KeyKind) -> bool {
    use KeyKind::{EcdsaP192, EcdsaP256, EcdsaP384};
    match chip {
        Chip::Esp32H2 | Chip::Esp32P4 => kind == EcdsaP256,
        Chip::Esp32C5 | Chip::Esp32S31 => matches!(kind, EcdsaP256 | EcdsaP384),
        Chip::Esp32C61 => matches!(kind, EcdsaP192 | EcdsaP256),
        Chip::Esp32
        | Chip::Esp32S2
        | Chip::Esp32S3
        | Chip::Esp32C2
        | Chip::Esp32C3
        | Chip::Esp32C6
        | Chip::Esp32H4 => false,
    }
}

/// Checks the number of a key block, from 0.
fn check_block(number: u8) -> Result<(), CertError> {
    if number < KEY_BLOCKS {
        Ok(())
    } else {
        Err(CertError::KeyBlock { number })
    }
}

/// An RSA key that one chip's digital signature peripheral can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsaContext {
    /// Key block with the HMAC key, from 0.
    pub key_block: u8,
    /// Bits of the RSA key.
    pub bits: u16,
    /// Initialisation vector.
    pub iv: [u8; IV],
    /// The encrypted parameters.
    pub ciphertext: Vec<u8>,
}

impl RsaContext {
    /// Encrypts a key for a chip whose key block holds this HMAC key. The initialisation vector
    /// must be random and used once.
    ///
    /// # Errors
    /// When the chip's peripheral cannot use the key, or key block or HMAC key cannot be.
    pub fn seal(
        key: &KeyFile,
        hmac_key: &Secret,
        key_block: u8,
        chip: Chip,
        iv: [u8; IV],
    ) -> Result<Self, CertError> {
        check_block(key_block)?;
        let found = key.kind();
        let refused = CertError::KeyForChip { found, chip };
        let sizes = rsa_sizes(chip);
        let (Some(rsa), KeyKind::Rsa(size)) = (key.rsa(), found) else {
            return Err(refused);
        };
        let Some(longest) = sizes.last().filter(|_| sizes.contains(&size)) else {
            return Err(refused);
        };
        let bits = u16::try_from(size).map_err(|_| refused)?;
        if hmac_key.len() != 32 {
            let found = hmac_key.len();
            return Err(CertError::HmacKeyLength { found });
        }
        let mut parameters = parameters(rsa, longest / 8, bits, iv);
        let plain = parameters.len();
        let aes_key = aes_key(hmac_key);
        let cipher = cbc::Encryptor::<aes::Aes256>::new_from_slices(&*aes_key, &iv)
            .expect("AES-256 takes 32 bytes and a vector of 16");
        let ciphertext = cipher
            .encrypt_padded::<NoPadding>(&mut parameters, plain)
            .expect("the parameters are whole blocks at every size")
            .to_vec();
        Ok(Self {
            key_block,
            bits,
            iv,
            ciphertext,
        })
    }

    /// Whether this is the given key, encrypted for this chip and HMAC key.
    #[must_use]
    pub fn is_of(&self, key: &KeyFile, hmac_key: &Secret, chip: Chip) -> bool {
        Self::seal(key, hmac_key, self.key_block, chip, self.iv).as_ref() == Ok(self)
    }

    /// The two entries, parameters and context.
    #[must_use]
    pub fn entries(&self, subtype: u8) -> [Entry; 2] {
        let mut content = (u32::from(self.bits) / 32)
            .wrapping_sub(1)
            .to_le_bytes()
            .to_vec();
        content.extend(self.iv);
        content.extend(&self.ciphertext);
        let mut context = vec![0, 0, 0, 0, self.key_block, 0];
        context.extend(self.bits.to_le_bytes());
        [
            Entry::new(Kind::DsCiphertext, subtype, content),
            Entry::new(Kind::DsContext, subtype, context),
        ]
    }

    /// Reads the two entries.
    ///
    /// # Errors
    /// When one has another form, or they speak of different keys.
    pub fn from_entries(parameters: &Entry, context: &Entry) -> Result<Self, CertError> {
        let broken = |entry: &Entry, reason| CertError::Content {
            kind: entry.kind,
            subtype: entry.subtype,
            reason,
        };
        let [_, _, _, _, key_block, _, low, high] = *context.content.expose() else {
            return Err(broken(context, "a context has 8 bytes"));
        };
        let bits = u16::from_le_bytes([low, high]);
        if check_block(key_block).is_err() {
            return Err(broken(context, "key blocks are 0 to 5"));
        }
        let content = parameters.content.expose();
        let (Some(prefix), Some(ciphertext)) =
            (content.first_chunk::<PREFIX>(), content.get(PREFIX..))
        else {
            return Err(broken(parameters, "it ends before its ciphertext"));
        };
        let words = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]);
        if bits % 32 != 0 || words.checked_add(1) != Some(u32::from(bits) / 32) {
            return Err(broken(parameters, "its RSA length is not the context's"));
        }
        if ![3072, 4096].contains(&(ciphertext.len().saturating_sub(48) * 8 / 3)) {
            return Err(broken(parameters, "its ciphertext has a length of no chip"));
        }
        let mut iv = [0; IV];
        iv.copy_from_slice(&prefix[4..]);
        Ok(Self {
            key_block,
            bits,
            iv,
            ciphertext: ciphertext.to_vec(),
        })
    }
}

fn aes_key(hmac_key: &Secret) -> Zeroizing<[u8; 32]> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(hmac_key.expose()).expect("HMAC takes keys of every length");
    mac.update(&[0xFF; 32]);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// What is encrypted.
fn parameters(
    key: &rsa::RsaPrivateKey,
    longest: usize,
    bits: u16,
    iv: [u8; IV],
) -> Zeroizing<Vec<u8>> {
    let modulus = key.n();
    let rinv = (BigUint::from(1_u8) << (usize::from(bits) * 2)) % modulus;
    let lowest = modulus.to_bytes_le();
    let lowest = u32::from_le_bytes([lowest[0], lowest[1], lowest[2], lowest[3]]);
    let words = u32::from(bits) / 32 - 1;
    let mut numbers = Zeroizing::new(Vec::with_capacity(longest * 3 + 64));
    for number in [key.d(), modulus, &rinv] {
        let start = numbers.len();
        numbers.extend(Zeroizing::new(number.to_bytes_le()).iter());
        numbers.resize(start + longest, 0);
    }
    let mut tail = negative_inverse(lowest).to_le_bytes().to_vec();
    tail.extend(words.to_le_bytes());
    let digest = Sha256::new()
        .chain_update(&*numbers)
        .chain_update(&tail)
        .chain_update(iv)
        .finalize();
    numbers.extend(digest);
    numbers.extend(tail);
    numbers.extend([8; 8]);
    numbers
}

/// M' = −n⁻¹ mod 2³² of an odd `n`; each round doubles the number of right bits.
fn negative_inverse(n: u32) -> u32 {
    let mut inverse = n;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(n.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}

/// An ECDSA key that lies in eFuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EfuseReference {
    /// Its key block, from 0.
    pub key_block: u8,
}

impl EfuseReference {
    /// A reference to a key of this kind in this chip.
    ///
    /// # Errors
    /// When the chip's peripheral cannot use such a key, or has no such key block.
    pub fn new(kind: KeyKind, key_block: u8, chip: Chip) -> Result<Self, CertError> {
        check_block(key_block)?;
        if ecdsa_supported(chip, kind) {
            Ok(Self { key_block })
        } else {
            Err(CertError::KeyForChip { found: kind, chip })
        }
    }

    /// The security configuration entry.
    #[must_use]
    pub fn entry(self, subtype: u8) -> Entry {
        let mut content = vec![0; SECURITY_CONFIG];
        content[0] = self.key_block.saturating_add(FIRST_BLOCK);
        Entry::new(Kind::SecurityConfig, subtype, content)
    }

    /// Reads a security configuration entry.
    ///
    /// # Errors
    /// When it has another form.
    pub fn from_entry(entry: &Entry) -> Result<Self, CertError> {
        let content = entry.content.expose();
        let block = content
            .first()
            .and_then(|block| block.checked_sub(FIRST_BLOCK))
            .filter(|block| *block < KEY_BLOCKS && content.len() == SECURITY_CONFIG);
        block
            .map(|key_block| Self { key_block })
            .ok_or(CertError::Content {
                kind: entry.kind,
                subtype: entry.subtype,
                reason: "it has 40 bytes, of which the first is the number of a key's eFuse block",
            })
    }
}
