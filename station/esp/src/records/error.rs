//! Why a record cannot be written or read.

use thiserror::Error;

/// Why something about a record did not work.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// A text that a record cannot hold.
    #[error("`{field}` must be 1 to {most} bytes of printable text")]
    Text {
        /// Which one.
        field: String,
        /// Most bytes it may have.
        most: usize,
    },
    /// A name that cannot be a key.
    #[error("`{name}` cannot name a quantity: 1 to 13 of a-z, 0-9 and _, beginning with a letter")]
    Name {
        /// The name.
        name: String,
    },
    /// The same field or quantity twice.
    #[error("`{field}` appears twice")]
    Twice {
        /// Which one.
        field: String,
    },
    /// More quantities than a record holds.
    #[error("{found} quantities, where a record holds 256")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// Bytes that end too early.
    #[error("the record is cut short at byte {offset}")]
    Truncated {
        /// Where the missing bytes would begin.
        offset: usize,
    },
    /// Something else.
    #[error("no record of this kind")]
    Kind,
    /// A version that is not known.
    #[error("the record has version {found}, where {} is known", super::VERSION)]
    Version {
        /// The version found.
        found: u8,
    },
    /// A damaged record.
    #[error("the record is damaged: its checksum does not match")]
    Checksum,
    /// A field that is not as it should be.
    #[error("field {number} at byte {offset} is malformed")]
    Field {
        /// Its place, from 0.
        number: usize,
        /// Where it begins.
        offset: usize,
    },
    /// Something behind the record.
    #[error("something else than erased flash behind the record, at byte {offset}")]
    Trailing {
        /// Where it begins.
        offset: usize,
    },
    /// A field that is missing.
    #[error("`{field}` is missing")]
    Missing {
        /// Which one.
        field: String,
    },
    /// An NVS entry that does not belong to a record.
    #[error("the NVS entry `{key}` is not one of this record")]
    Entry {
        /// Its key.
        key: String,
    },
}

impl RecordError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Text { .. } => "record-text",
            Self::Name { .. } => "record-name",
            Self::Twice { .. } => "record-twice",
            Self::TooMany { .. } => "record-too-many",
            Self::Truncated { .. } => "record-truncated",
            Self::Kind => "record-kind",
            Self::Version { .. } => "record-version",
            Self::Checksum => "record-checksum",
            Self::Field { .. } => "record-field",
            Self::Trailing { .. } => "record-trailing",
            Self::Missing { .. } => "record-missing",
            Self::Entry { .. } => "record-entry",
        }
    }
}
