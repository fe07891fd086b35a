//! The four ways to sign for secure boot version 2.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha384};
use thiserror::Error;

/// A kind of key with the hash that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// RSA with 3072 bits, PSS with SHA-256 and 32 bytes of salt.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// ECDSA on P-192 over SHA-256.
    #[serde(rename = "ecdsa-p192")]
    EcdsaP192,
    /// ECDSA on P-256 over SHA-256.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA on P-384 over SHA-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Rsa3072,
        Self::EcdsaP192,
        Self::EcdsaP256,
        Self::EcdsaP384,
    ];

    /// Its name, as written in recipes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa3072 => "rsa-3072",
            Self::EcdsaP192 => "ecdsa-p192",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
        }
    }

    /// The hash of `content` that is signed: 32 bytes, for P-384 48.
    #[must_use]
    pub fn hash(self, content: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa3072 | Self::EcdsaP192 | Self::EcdsaP256 => Sha256::digest(content).to_vec(),
            Self::EcdsaP384 => Sha384::digest(content).to_vec(),
        }
    }

    /// Bytes of that hash.
    #[must_use]
    pub fn hash_length(self) -> usize {
        match self {
            Self::Rsa3072 | Self::EcdsaP192 | Self::EcdsaP256 => 32,
            Self::EcdsaP384 => 48,
        }
    }

    /// Bytes of each number in a key or signature: the modulus, or a coordinate.
    #[must_use]
    pub fn number_length(self) -> usize {
        match self {
            Self::Rsa3072 => 384,
            Self::EcdsaP192 => 24,
            Self::EcdsaP256 => 32,
            Self::EcdsaP384 => 48,
        }
    }

    /// Bytes of a raw signature: one number for RSA, `r` and `s` for ECDSA, big-endian.
    #[must_use]
    pub fn signature_length(self) -> usize {
        match self {
            Self::Rsa3072 => self.number_length(),
            Self::EcdsaP192 | Self::EcdsaP256 | Self::EcdsaP384 => 2 * self.number_length(),
        }
    }

    /// The version byte of its signature blocks: 2 for RSA, 3 for ECDSA. A chip boots with one of
    /// the two.
    #[must_use]
    pub fn block_version(self) -> u8 {
        match self {
            Self::Rsa3072 => 2,
            Self::EcdsaP192 | Self::EcdsaP256 | Self::EcdsaP384 => 3,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownAlgorithm(text.chars().take(40).collect()))
    }
}

/// A name that no algorithm has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is none of `rsa-3072`, `ecdsa-p192`, `ecdsa-p256`, `ecdsa-p384`")]
pub struct UnknownAlgorithm(String);
