//! Why a key or a signed image is refused.

use thiserror::Error;

use super::algorithm::Algorithm;
use super::block::BlockFault;
use crate::chip::Chip;

/// Why something about signatures did not work. No variant carries key material.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// No key could be read.
    #[error("no key can be read: {reason}")]
    KeyUnreadable {
        /// What was wrong with the text or bytes.
        reason: &'static str,
    },
    /// A key protected by a passphrase.
    #[error(
        "the key is encrypted with a passphrase; decrypt it first, for example with `openssl pkcs8`"
    )]
    KeyEncrypted,
    /// A key of a kind or size that secure boot does not know.
    #[error("a key of kind {found}, where RSA-3072, P-192, P-256 or P-384 can be used")]
    KeyKind {
        /// The kind found.
        found: String,
    },
    /// A public key where a private one is needed.
    #[error("a public key cannot sign")]
    KeyPublic,
    /// No random key could be made.
    #[error("no key could be generated")]
    KeyGeneration,
    /// Nothing to sign.
    #[error("no content to sign")]
    Empty,
    /// No key to sign with.
    #[error("no key to sign with")]
    NoSigner,
    /// More blocks than the sector takes.
    #[error(
        "{wanted} signature blocks, where a signature sector takes {}",
        super::sector::MAX_BLOCKS
    )]
    TooManyBlocks {
        /// Blocks there would be.
        wanted: usize,
    },
    /// The same key twice.
    #[error("the image would be signed twice by the key with digest {digest}")]
    SameKeyTwice {
        /// Digest of the key in hex.
        digest: String,
    },
    /// RSA and ECDSA, or two hashes, in one image.
    #[error("{first} and {second} in one image: a chip checks blocks of one kind and hash only")]
    MixedKinds {
        /// What the first block is.
        first: Algorithm,
        /// What another one is.
        second: Algorithm,
    },
    /// A signed image where unsigned content is meant.
    #[error("the image is signed already; append to it or sign the unsigned one")]
    AlreadySigned,
    /// Unsigned content where a signed image is meant.
    #[error("the image carries no signature")]
    NotSigned,
    /// A length that no signed image has.
    #[error(
        "{length} bytes are no signed image, which is whole sectors of 4096 bytes, the last one for signatures"
    )]
    Length {
        /// Bytes given.
        length: usize,
    },
    /// A block that is neither erased nor valid.
    #[error("signature block {number}: {fault}")]
    BrokenBlock {
        /// Its place, from 0.
        number: usize,
        /// What is wrong.
        fault: BlockFault,
    },
    /// The image is not the one that was signed.
    #[error("signature block {number} was made for other content")]
    OtherContent {
        /// The block's place, from 0.
        number: usize,
    },
    /// A signature that does not match.
    #[error("the signature does not match the content and the key")]
    Mismatch,
    /// No block is by a given key.
    #[error("no signature is by one of the {given} given keys")]
    UnknownKey {
        /// Keys given.
        given: usize,
    },
    /// A kind of signature that the chip cannot check.
    #[error("{} cannot check {found} signatures", .chip.title())]
    NotForChip {
        /// The signature's kind.
        found: Algorithm,
        /// The chip.
        chip: Chip,
    },
    /// A signature that the chip does not look at.
    #[error("signature block {number} is one more than {} looks at", .chip.title())]
    BeyondChip {
        /// Its place, from 0.
        number: usize,
        /// The chip.
        chip: Chip,
    },
    /// A key that this version of secure boot does not take.
    #[error("secure boot version 1 takes keys on P-256, not {found}")]
    NotVersionOne {
        /// The key's algorithm.
        found: Algorithm,
    },
    /// A bootloader key of a wrong length.
    #[error("a bootloader digest key of {found} bytes, where 24 or 32 can be used")]
    DigestKeyLength {
        /// Bytes given.
        found: usize,
    },
    /// A file that is no bootloader image.
    #[error("no bootloader image: it must start with 0xe9")]
    NotAnImage,
    /// A signer outside this program failed.
    #[error("the signer failed: {reason}")]
    Signer {
        /// What it said.
        reason: String,
    },
}

impl SignatureError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyUnreadable { .. } => "signing-key-unreadable",
            Self::KeyEncrypted => "signing-key-encrypted",
            Self::KeyKind { .. } => "signing-key-kind",
            Self::KeyPublic => "signing-key-public",
            Self::KeyGeneration => "signing-key-generation",
            Self::Empty => "signature-empty",
            Self::NoSigner => "signature-no-signer",
            Self::TooManyBlocks { .. } => "signature-too-many-blocks",
            Self::SameKeyTwice { .. } => "signature-same-key-twice",
            Self::MixedKinds { .. } => "signature-mixed-kinds",
            Self::AlreadySigned => "signature-already-signed",
            Self::NotSigned => "signature-missing",
            Self::Length { .. } => "signature-length",
            Self::BrokenBlock { .. } => "signature-block-broken",
            Self::OtherContent { .. } => "signature-other-content",
            Self::Mismatch => "signature-mismatch",
            Self::UnknownKey { .. } => "signature-unknown-key",
            Self::NotForChip { .. } => "signature-not-for-chip",
            Self::BeyondChip { .. } => "signature-beyond-chip",
            Self::NotVersionOne { .. } => "signature-not-version-one",
            Self::DigestKeyLength { .. } => "bootloader-digest-key-length",
            Self::NotAnImage => "bootloader-digest-not-an-image",
            Self::Signer { .. } => "signer-failed",
        }
    }
}
