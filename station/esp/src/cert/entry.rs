//! One entry of the partition: its kind, subtype, flags and content.

use std::fmt;

use super::error::CertError;
use crate::secret::Secret;

/// First word of every entry.
pub(super) const MAGIC: u32 = 0xBA5E_BA11;
/// Bytes before the content.
pub(super) const HEADER: usize = 12;
/// Bytes of the checksum behind it.
pub(super) const FOOTER: usize = 4;
/// Content is filled up to a multiple of this, so that encrypted flash can be written.
const ALIGNMENT: usize = 16;

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A certificate authority's certificate.
    CaCertificate,
    /// The device's certificate.
    DeviceCertificate,
    /// The device's private key, or where it lies.
    PrivateKey,
    /// The encrypted parameters of the RSA peripheral.
    DsCiphertext,
    /// Which eFuse key block and RSA length those are for.
    DsContext,
    /// Salt from which an ECDSA key is derived.
    EcdsaKeySalt,
    /// Which eFuse block holds an ECDSA key.
    SecurityConfig,
    /// A key of the trusted execution environment's secure storage.
    TeeStorageKey,
    /// A signature over the entries before it.
    SignatureBlock,
    /// The SHA-256 of everything before it.
    Integrity,
    /// The application's own, 1 to 5.
    User(u8),
    /// Another number.
    Other(u8),
}

impl Kind {
    /// The kind of this number.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::CaCertificate,
            1 => Self::DeviceCertificate,
            2 => Self::PrivateKey,
            3 => Self::DsCiphertext,
            4 => Self::DsContext,
            5 => Self::EcdsaKeySalt,
            6 => Self::SecurityConfig,
            7 => Self::TeeStorageKey,
            8 => Self::SignatureBlock,
            9 => Self::Integrity,
            51..=55 => Self::User(number - 50),
            _ => Self::Other(number),
        }
    }

    /// The number in flash.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::CaCertificate => 0,
            Self::DeviceCertificate => 1,
            Self::PrivateKey => 2,
            Self::DsCiphertext => 3,
            Self::DsContext => 4,
            Self::EcdsaKeySalt => 5,
            Self::SecurityConfig => 6,
            Self::TeeStorageKey => 7,
            Self::SignatureBlock => 8,
            Self::Integrity => 9,
            Self::User(number) => number.saturating_add(50),
            Self::Other(number) => number,
        }
    }

    /// Whether content of this kind must not be shown.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self, Self::PrivateKey | Self::TeeStorageKey)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaCertificate => f.write_str("CA certificate"),
            Self::DeviceCertificate => f.write_str("device certificate"),
            Self::PrivateKey => f.write_str("private key"),
            Self::DsCiphertext => f.write_str("signature peripheral parameters"),
            Self::DsContext => f.write_str("signature peripheral context"),
            Self::EcdsaKeySalt => f.write_str("ECDSA key salt"),
            Self::SecurityConfig => f.write_str("security configuration"),
            Self::TeeStorageKey => f.write_str("secure storage key"),
            Self::SignatureBlock => f.write_str("signature block"),
            Self::Integrity => f.write_str("integrity"),
            Self::User(number) => write!(f, "user {number}"),
            Self::Other(number) => write!(f, "type {number}"),
        }
    }
}

/// Where the flags of a private key entry say the key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// In the entry, readable.
    Plain,
    /// In the entry, encrypted by the chip with a key derived from its HMAC key.
    HmacEncrypted,
    /// Nowhere: derived from the HMAC key and a salt.
    HmacDerived,
    /// In an eFuse block that only the ECDSA peripheral reads; the entry is empty. Espressif's tool
    /// 2.6.1 also writes the key itself into such an entry, where everybody can read it.
    Efuse,
}

impl KeyPlace {
    /// What these flags say; `None` for a combination that means nothing.
    #[must_use]
    pub fn from_flags(flags: u8) -> Option<Self> {
        match (flags >> 6, flags >> 3 & 7) {
            (0, 0) => Some(Self::Plain),
            (2, 0) => Some(Self::HmacEncrypted),
            (1, 0) => Some(Self::HmacDerived),
            (0, 1) => Some(Self::Efuse),
            _ => None,
        }
    }

    /// The flags that say so.
    #[must_use]
    pub fn flags(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::HmacEncrypted => 2 << 6,
            Self::HmacDerived => 1 << 6,
            Self::Efuse => 1 << 3,
        }
    }
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it holds.
    pub kind: Kind,
    /// Which of its kind, 0 to 253.
    pub subtype: u8,
    /// What is said about the content; see [`KeyPlace`].
    pub flags: u8,
    /// The bytes, without filling.
    pub content: Secret,
}

impl Entry {
    /// An entry without flags.
    #[must_use]
    pub fn new(kind: Kind, subtype: u8, content: Vec<u8>) -> Self {
        Self {
            kind,
            subtype,
            flags: 0,
            content: Secret::new(content),
        }
    }

    /// Where a private key entry says the key is.
    #[must_use]
    pub fn key_place(&self) -> Option<KeyPlace> {
        (self.kind == Kind::PrivateKey)
            .then(|| KeyPlace::from_flags(self.flags))
            .flatten()
    }

    /// Bytes the entry takes in flash.
    #[must_use]
    pub fn flash_length(&self) -> usize {
        flash_length(self.content.len())
    }

    /// Finds everything that [`Entry::write`] could refuse.
    pub(super) fn check(&self) -> Result<(), CertError> {
        self.header().map(drop)
    }

    /// Appends the entry as it lies in flash.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), CertError> {
        let header = self.header()?;
        let start = out.len();
        out.extend(header);
        out.extend(self.content.expose());
        out.resize(start + self.flash_length() - FOOTER, 0);
        out.extend(checksum(&out[start..]).to_le_bytes());
        Ok(())
    }

    fn header(&self) -> Result<[u8; HEADER], CertError> {
        let length = self.content.len();
        let [low, high] = u16::try_from(length)
            .map_err(|_| CertError::EntryLength { length })?
            .to_le_bytes();
        if self.subtype >= 254 {
            return Err(CertError::Subtype {
                number: self.subtype,
            });
        }
        let number = self.kind.number();
        if matches!(number, 50 | 254 | 255) || Kind::from_number(number) != self.kind {
            return Err(CertError::Kind { number });
        }
        let [a, b, c, d] = MAGIC.to_le_bytes();
        let (flags, subtype) = (self.flags, self.subtype);
        Ok([a, b, c, d, flags, 0, 0, 0, number, subtype, low, high])
    }
}

/// Bytes of an entry with content of this length.
pub(super) fn flash_length(content: usize) -> usize {
    HEADER + content.next_multiple_of(ALIGNMENT) + FOOTER
}

/// CRC-32 as the tool starts it.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(u32::MAX);
    hasher.update(bytes);
    hasher.finalize()
}
