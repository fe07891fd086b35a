//! Why a package cannot be made or is refused.

use thiserror::Error;

use crate::chip::{Chip, Revision};
use crate::image::ImageError;

/// Why something about an OTA package did not work.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OtaError {
    /// Bytes that are no package in its only form.
    #[error("no package: {reason} (byte {offset})")]
    Container {
        /// Where it stops being one.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A manifest that is not what this program writes.
    #[error("the manifest cannot be read: {reason}")]
    Manifest {
        /// What is wrong.
        reason: String,
    },
    /// A manifest of a later format.
    #[error("the manifest has format {found}, where 1 is known")]
    Format {
        /// The number found.
        found: u64,
    },
    /// A text that a manifest cannot hold.
    #[error("the {field} must be 1 to 64 printable characters")]
    Text {
        /// Which one.
        field: &'static str,
    },
    /// An image that is none.
    #[error("the image is broken: {0}")]
    Image(#[from] ImageError),
    /// An image that the manifest does not describe.
    #[error("the image's {field} is not what the manifest says")]
    OtherImage {
        /// What differs.
        field: &'static str,
    },
    /// An image that is too long for any flash.
    #[error("an image of {length} bytes is too long")]
    TooLong {
        /// Its bytes.
        length: usize,
    },
    /// A signing key of a wrong length.
    #[error("an Ed25519 key has 32 bytes, not {found}")]
    KeyLength {
        /// Bytes given.
        found: usize,
    },
    /// Text that is no public key.
    #[error("a public key is 64 hex digits of a point on the curve")]
    Key,
    /// The same key twice.
    #[error("the package is signed by key `{key}` already")]
    SameKeyTwice {
        /// The key.
        key: String,
    },
    /// A line that is no signature.
    #[error("signature {number} is malformed")]
    SignatureForm {
        /// Its place, from 0.
        number: usize,
    },
    /// A signature that does not hold.
    #[error("the signature of key `{key}` does not match the manifest")]
    Signature {
        /// The key it names.
        key: String,
    },
    /// No signature.
    #[error("the package is not signed")]
    Unsigned,
    /// No signature by a key that counts.
    #[error("no signature of the package is by a trusted key")]
    Untrusted,
    /// A package for another chip.
    #[error("the package is for {package}, not {chip}")]
    WrongChip {
        /// The package's chip.
        package: Chip,
        /// The chip it was offered to.
        chip: Chip,
    },
    /// A package for other revisions.
    #[error("the package is not for revision {revision}")]
    WrongRevision {
        /// The chip's revision.
        revision: Revision,
    },
    /// A package of another product.
    #[error("the package is for product `{package}`")]
    WrongProduct {
        /// The package's product.
        package: String,
    },
}

impl OtaError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Container { .. } => "ota-container",
            Self::Manifest { .. } => "ota-manifest",
            Self::Format { .. } => "ota-format",
            Self::Text { .. } => "ota-text",
            Self::Image(error) => error.code(),
            Self::OtherImage { .. } => "ota-other-image",
            Self::TooLong { .. } => "ota-too-long",
            Self::KeyLength { .. } => "ota-key-length",
            Self::Key => "ota-key",
            Self::SameKeyTwice { .. } => "ota-same-key-twice",
            Self::SignatureForm { .. } => "ota-signature-form",
            Self::Signature { .. } => "ota-signature",
            Self::Unsigned => "ota-unsigned",
            Self::Untrusted => "ota-untrusted",
            Self::WrongChip { .. } => "ota-wrong-chip",
            Self::WrongRevision { .. } => "ota-wrong-revision",
            Self::WrongProduct { .. } => "ota-wrong-product",
        }
    }
}
