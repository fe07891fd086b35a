//! What a key is called, whose it is, what it is for, and whether it is kept.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::KeyError;
use crate::event::Mac;

/// Longest name of a key, in bytes.
const MAX_NAME: usize = 64;

/// Longest key of no particular kind, in bytes.
pub(super) const MAX_RAW: u16 = 1024;

/// A key's name, unique for its owner: lower-case letters, digits, `-` and `_`, a letter or digit
/// first. It becomes part of a file name and must never be able to leave its folder.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(#[schemars(regex(pattern = "^[a-z0-9][a-z0-9_-]{0,63}$"))] String);

impl KeyName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`KeyError::Name`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let good = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
        let fits = (1..=MAX_NAME).contains(&text.len())
            && text.bytes().next().is_some_and(good)
            && text
                .bytes()
                .all(|byte| good(byte) || matches!(byte, b'-' | b'_'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            let text = text.chars().take(MAX_NAME).collect();
            Err(KeyError::Name { text })
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for KeyName {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::parse(&text)
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0
    }
}

/// Whose key it is.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum KeyOwner {
    /// Every unit's that names it.
    Shared,
    /// This unit's alone.
    Unit(Mac),
}

impl KeyOwner {
    /// Returns the unit, unless the key is shared.
    pub fn mac(&self) -> Option<&Mac> {
        match self {
            Self::Shared => None,
            Self::Unit(mac) => Some(mac),
        }
    }
}

impl fmt::Display for KeyOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared => f.pad("shared"),
            Self::Unit(mac) => f.pad(mac.as_str()),
        }
    }
}

impl FromStr for KeyOwner {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text == "shared" {
            return Ok(Self::Shared);
        }
        let mac = Mac::new(text);
        if mac.is_valid() {
            Ok(Self::Unit(mac))
        } else {
            let text = text.chars().take(MAX_NAME).collect();
            Err(KeyError::Owner { text })
        }
    }
}

impl TryFrom<String> for KeyOwner {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<KeyOwner> for String {
    fn from(owner: KeyOwner) -> Self {
        owner.to_string()
    }
}

/// What kind of key it is, and with that how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum KeyKind {
    /// 16 bytes: flash encryption derived from half a key block (ESP32-C2).
    Aes128,
    /// 32 bytes: flash encryption with XTS-AES-128, and that of ESP32.
    XtsAes128,
    /// 64 bytes: flash encryption with XTS-AES-256.
    XtsAes256,
    /// 32 bytes: the chip's HMAC peripheral, or its secure boot version 1.
    Hmac,
    /// A private key on NIST P-192: 24 bytes, or PEM.
    EcdsaP192,
    /// A private key on NIST P-256: 32 bytes, or PEM.
    EcdsaP256,
    /// A private key on NIST P-384: 48 bytes, or PEM.
    EcdsaP384,
    /// A private RSA key of 3072 bits, PEM.
    Rsa3072,
    /// The 32 bytes of an Ed25519 private key.
    Ed25519,
    /// So many bytes of no particular kind, from 1.
    Raw(u16),
}

impl KeyKind {
    /// Returns how many bytes a generated key has; RSA keys are text of no fixed length.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::Aes128 => Some(16),
            Self::XtsAes128 | Self::Hmac | Self::EcdsaP256 | Self::Ed25519 => Some(32),
            Self::XtsAes256 => Some(64),
            Self::EcdsaP192 => Some(24),
            Self::EcdsaP384 => Some(48),
            Self::Rsa3072 => None,
            Self::Raw(size) => Some(usize::from(size)),
        }
    }

    /// Returns whether it has a public half.
    pub fn is_asymmetric(self) -> bool {
        match self {
            Self::EcdsaP192 | Self::EcdsaP256 | Self::EcdsaP384 | Self::Rsa3072 | Self::Ed25519 => {
                true
            }
            Self::Aes128 | Self::XtsAes128 | Self::XtsAes256 | Self::Hmac | Self::Raw(_) => false,
        }
    }

    /// The order of the curve, big-endian: a private key is at least 1 and less than this (FIPS
    /// 186-4, D.1.2).
    pub(super) fn order(self) -> Option<&'static str> {
        match self {
            Self::EcdsaP192 => Some("ffffffffffffffffffffffff99def836146bc9b1b4d22831"),
            Self::EcdsaP256 => {
                Some("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
            }
            Self::EcdsaP384 => Some(
                "ffffffffffffffffffffffffffffffffffffffffffffffff\
                 c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
            ),
            Self::Aes128
            | Self::XtsAes128
            | Self::XtsAes256
            | Self::Hmac
            | Self::Rsa3072
            | Self::Ed25519
            | Self::Raw(_) => None,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes128 => "aes128",
            Self::XtsAes128 => "xts-aes128",
            Self::XtsAes256 => "xts-aes256",
            Self::Hmac => "hmac",
            Self::EcdsaP192 => "ecdsa-p192",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Rsa3072 => "rsa3072",
            Self::Ed25519 => "ed25519",
            Self::Raw(size) => return write!(f, "raw-{size}"),
        })
    }
}

impl FromStr for KeyKind {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let strange = || KeyError::Kind {
            text: text.chars().take(MAX_NAME).collect(),
        };
        Ok(match text {
            "aes128" => Self::Aes128,
            "xts-aes128" => Self::XtsAes128,
            "xts-aes256" => Self::XtsAes256,
            "hmac" => Self::Hmac,
            "ecdsa-p192" => Self::EcdsaP192,
            "ecdsa-p256" => Self::EcdsaP256,
            "ecdsa-p384" => Self::EcdsaP384,
            "rsa3072" => Self::Rsa3072,
            "ed25519" => Self::Ed25519,
            other => {
                let size = other.strip_prefix("raw-").ok_or_else(strange)?;
                let size: u16 = size.parse().map_err(|_| strange())?;
                if !(1..=MAX_RAW).contains(&size) || Self::Raw(size).to_string() != other {
                    return Err(strange());
                }
                Self::Raw(size)
            }
        })
    }
}

impl TryFrom<String> for KeyKind {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<KeyKind> for String {
    fn from(kind: KeyKind) -> Self {
        kind.to_string()
    }
}

/// Whether a key is kept after it was burned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Custody {
    /// It is kept, and every escrow recipient can open it.
    Escrow,
    /// It is kept only until it was burned and read back; escrow recipients never get it.
    Forget,
}

impl Custody {
    /// Returns the word that every face and the journal use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Escrow => "escrow",
            Self::Forget => "forget",
        }
    }
}

impl FromStr for Custody {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text {
            "escrow" => Ok(Self::Escrow),
            "forget" => Ok(Self::Forget),
            other => Err(KeyError::Custody {
                text: other.chars().take(MAX_NAME).collect(),
            }),
        }
    }
}
