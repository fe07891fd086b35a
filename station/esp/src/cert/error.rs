//! Why an identity cannot be built or a partition not be read.

use thiserror::Error;

use super::entry::Kind;
use super::key::KeyKind;
use crate::chip::Chip;
use crate::secure::signature::{Algorithm, SignatureError};

/// Why something about certificates did not work. No variant carries key material.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertError {
    /// The partition ends inside an entry.
    #[error("the entry at {offset:#x} needs {needs} bytes, but {has} are left")]
    Truncated {
        /// Where the entry begins.
        offset: usize,
        /// Bytes it needs.
        needs: usize,
        /// Bytes there are.
        has: usize,
    },
    /// An entry with a wrong checksum.
    #[error("the {kind} entry at {offset:#x} is damaged: its checksum does not match")]
    Checksum {
        /// Where the entry begins.
        offset: usize,
        /// What it says it is.
        kind: Kind,
    },
    /// An entry with something where the format has zeros.
    #[error(
        "the {kind} entry at {offset:#x} has other bytes than zero in its header or behind its content"
    )]
    Reserved {
        /// Where the entry begins.
        offset: usize,
        /// What it says it is.
        kind: Kind,
    },
    /// Bytes that are neither an entry nor the end of the list.
    #[error("neither an entry nor erased flash at {offset:#x}, but {found:#010x}")]
    Magic {
        /// Where they are.
        offset: usize,
        /// The word found.
        found: u32,
    },
    /// Nothing in it.
    #[error("the partition holds no entry")]
    Empty,
    /// The same entry twice.
    #[error("a second {kind} entry of subtype {subtype}")]
    Duplicate {
        /// Its kind.
        kind: Kind,
        /// Its subtype.
        subtype: u8,
    },
    /// An integrity entry that does not fit what stands before it.
    #[error("the integrity entry at {offset:#x} does not match what stands before it")]
    Integrity {
        /// Where it begins.
        offset: usize,
    },
    /// An entry whose content has not the form of its kind.
    #[error("the {kind} entry of subtype {subtype} is malformed: {reason}")]
    Content {
        /// Its kind.
        kind: Kind,
        /// Its subtype.
        subtype: u8,
        /// What is wrong.
        reason: &'static str,
    },
    /// Content longer than an entry can say.
    #[error("{length} bytes are too many for one entry")]
    EntryLength {
        /// Bytes given.
        length: usize,
    },
    /// More entries than the partition has room for.
    #[error(
        "the entries take {needs} bytes, where the partition has {}",
        super::PARTITION_SIZE
    )]
    Full {
        /// Bytes they take.
        needs: usize,
    },
    /// A number that means something else in the list.
    #[error("{number} cannot be the subtype of an entry")]
    Subtype {
        /// The number.
        number: u8,
    },
    /// A type that the format keeps for itself.
    #[error("{number} cannot be the type of an entry")]
    Kind {
        /// The number.
        number: u8,
    },
    /// No certificate.
    #[error("no certificate can be read: {reason}")]
    CertificateUnreadable {
        /// What is wrong with the bytes.
        reason: &'static str,
    },
    /// A chain where one certificate is meant.
    #[error("{found} certificates in one file, where an entry takes one")]
    CertificateChain {
        /// How many there are.
        found: usize,
    },
    /// No key.
    #[error("no private key can be read: {reason}")]
    KeyUnreadable {
        /// What is wrong with the bytes.
        reason: &'static str,
    },
    /// A key protected by a passphrase.
    #[error(
        "the private key is encrypted with a passphrase; decrypt it first, for example with `openssl pkcs8`"
    )]
    KeyEncrypted,
    /// A certificate for another key.
    #[error("the device certificate was made for another key")]
    KeyMismatch,
    /// A key that the chip's peripheral cannot use.
    #[error("{} cannot use a key of kind {found} in eFuse", .chip.title())]
    KeyForChip {
        /// The key's kind.
        found: KeyKind,
        /// The chip.
        chip: Chip,
    },
    /// A key block that does not exist.
    #[error("key block {number}, where 0 to 5 exist")]
    KeyBlock {
        /// The number given.
        number: u8,
    },
    /// An HMAC key of a wrong length.
    #[error("an HMAC key of {found} bytes, where the peripheral takes 32")]
    HmacKeyLength {
        /// Bytes given.
        found: usize,
    },
    /// A key that cannot sign a partition.
    #[error("a key on {found} cannot sign this partition; RSA-3072, P-256 and P-384 can")]
    SigningKey {
        /// What the key is.
        found: Algorithm,
    },
    /// A signature could not be made or does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl CertError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "cert-truncated",
            Self::Checksum { .. } => "cert-checksum",
            Self::Reserved { .. } => "cert-reserved",
            Self::Magic { .. } => "cert-magic",
            Self::Empty => "cert-empty",
            Self::Duplicate { .. } => "cert-duplicate",
            Self::Integrity { .. } => "cert-integrity",
            Self::Content { .. } => "cert-content",
            Self::EntryLength { .. } => "cert-entry-length",
            Self::Full { .. } => "cert-full",
            Self::Subtype { .. } => "cert-subtype",
            Self::Kind { .. } => "cert-type",
            Self::CertificateUnreadable { .. } => "cert-unreadable",
            Self::CertificateChain { .. } => "cert-chain",
            Self::KeyUnreadable { .. } => "cert-key-unreadable",
            Self::KeyEncrypted => "cert-key-encrypted",
            Self::KeyMismatch => "cert-key-mismatch",
            Self::KeyForChip { .. } => "cert-key-for-chip",
            Self::KeyBlock { .. } => "cert-key-block",
            Self::HmacKeyLength { .. } => "cert-hmac-key-length",
            Self::SigningKey { .. } => "cert-signing-key",
            Self::Signature(error) => error.code(),
        }
    }
}
