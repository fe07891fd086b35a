//! Why factory data is refused or cannot be read.

use thiserror::Error;

use crate::cert::{CertError, KeyKind};
use crate::nvs::NvsError;

/// What is wrong with factory data. No variant carries a passcode or key material.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MatterError {
    /// Text that is no passcode, or a number beyond all of them.
    #[error("no passcode: 1 to 8 digits from 00000001 to 99999998")]
    Passcode,
    /// A passcode that the specification forbids because it is guessed first.
    #[error("the Matter specification forbids this passcode: it is too easily guessed")]
    PasscodeForbidden,
    /// More than 12 bits.
    #[error("discriminator {found}, where 0 to 4095 exist")]
    Discriminator {
        /// What was given.
        found: u32,
    },
    /// An iteration count out of range.
    #[error("{found} iterations, where 1000 to 100000 are allowed")]
    Iterations {
        /// What was given.
        found: u32,
    },
    /// A salt that is too short or too long.
    #[error("a salt of {found} bytes, where 16 to 32 are allowed")]
    Salt {
        /// Its bytes.
        found: usize,
    },
    /// Bytes that are no SPAKE2+ verifier.
    #[error("the verifier is none: {reason}")]
    Verifier {
        /// What is wrong.
        reason: &'static str,
    },
    /// Discovery capabilities that do not exist.
    #[error("discovery capabilities {found:#04x}, where 2, 4, 8, 16, 32 and sums of them exist")]
    Discovery {
        /// What was given.
        found: u8,
    },
    /// A vendor identifier that no product can have.
    #[error("{found:#06x} cannot be a product's vendor: 0x0001 to 0xfff4 can")]
    Vendor {
        /// What was given.
        found: u16,
    },
    /// A product identifier that no product can have.
    #[error("0 cannot be a product identifier")]
    Product,
    /// A text that is empty or too long.
    #[error("{what} of {found} bytes, where 1 to {most} are allowed")]
    Text {
        /// Which text.
        what: &'static str,
        /// Its bytes.
        found: usize,
        /// Most bytes.
        most: usize,
    },
    /// A text with letters that cannot stand in it.
    #[error("{what} has letters that cannot stand in it")]
    Letters {
        /// Which text.
        what: &'static str,
    },
    /// More of something than there is room for.
    #[error("{found} {what}, where {most} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// Most of them.
        most: usize,
    },
    /// A numbered key that firmware would not find.
    #[error("`{key}` has {} letters, where firmware finds keys of 14", key.len())]
    Key {
        /// The key.
        key: String,
    },
    /// No date.
    #[error("`{found}` is no manufacturing date: YYYYMMDD, YYYY-MM-DD, or YYYYMMDD and 8 letters")]
    Date {
        /// What was given.
        found: String,
    },
    /// A rotating device identifier of a wrong length.
    #[error("a rotating device identifier of {found} bytes, where it has 16")]
    RotatingId {
        /// Its bytes.
        found: usize,
    },
    /// A certificate longer than Matter allows.
    #[error("the {what} has {found} bytes, where Matter allows {most}")]
    CertificateLength {
        /// Which.
        what: &'static str,
        /// Its bytes.
        found: usize,
        /// Most bytes.
        most: usize,
    },
    /// A certificate without what Matter's have.
    #[error("the {what} is not one of Matter: {reason}")]
    Certificate {
        /// Which.
        what: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// An attestation key of a wrong kind.
    #[error("an attestation key of kind {found}, where Matter wants ECDSA P-256")]
    KeyKind {
        /// What it is.
        found: KeyKind,
    },
    /// A device certificate of somebody else.
    #[error("the device attestation certificate is not signed by this intermediate")]
    Chain,
    /// A certificate for another product.
    #[error("the {what} is for {certified:#06x}, where the product has {wanted:#06x}")]
    Certified {
        /// Which certificate and which number.
        what: &'static str,
        /// The number in it.
        certified: u16,
        /// The product's number.
        wanted: u16,
    },
    /// Bytes that are no certification declaration.
    #[error("no certification declaration: {reason}")]
    Declaration {
        /// What is wrong.
        reason: &'static str,
    },
    /// An entry that must be there and is not.
    #[error("the partition has no `{key}` in `{}`", super::NAMESPACE)]
    Missing {
        /// Its key.
        key: String,
    },
    /// An entry of another type than firmware reads.
    #[error("`{key}` is not {wanted}")]
    Type {
        /// Its key.
        key: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A number that is too large for what it means.
    #[error("`{key}` is {found}, which is none")]
    Number {
        /// Its key.
        key: String,
        /// The number.
        found: u32,
    },
    /// The certificate or the key cannot be read, or they do not belong together.
    #[error(transparent)]
    Certificates(#[from] CertError),
    /// The entries do not fit an NVS partition.
    #[error(transparent)]
    Nvs(#[from] NvsError),
}

impl MatterError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Passcode => "matter-passcode",
            Self::PasscodeForbidden => "matter-passcode-forbidden",
            Self::Discriminator { .. } => "matter-discriminator",
            Self::Iterations { .. } => "matter-iterations",
            Self::Salt { .. } => "matter-salt",
            Self::Verifier { .. } => "matter-verifier",
            Self::Discovery { .. } => "matter-discovery",
            Self::Vendor { .. } => "matter-vendor",
            Self::Product => "matter-product",
            Self::Text { .. } => "matter-text",
            Self::Letters { .. } => "matter-letters",
            Self::TooMany { .. } => "matter-too-many",
            Self::Key { .. } => "matter-key",
            Self::Date { .. } => "matter-date",
            Self::RotatingId { .. } => "matter-rotating-id",
            Self::CertificateLength { .. } => "matter-certificate-length",
            Self::Certificate { .. } => "matter-certificate",
            Self::KeyKind { .. } => "matter-key-kind",
            Self::Chain => "matter-chain",
            Self::Certified { .. } => "matter-certified",
            Self::Declaration { .. } => "matter-declaration",
            Self::Missing { .. } => "matter-missing",
            Self::Type { .. } => "matter-type",
            Self::Number { .. } => "matter-number",
            Self::Certificates(error) => error.code(),
            Self::Nvs(error) => error.code(),
        }
    }
}
