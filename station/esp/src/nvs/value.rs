//! One value of an NVS table.

use std::fmt;

use super::cell;
use super::error::Fault;

/// A value with its type. It may be a password or a key, so what formats it for debugging shows how long it
/// is, not what it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Unsigned, 8 bits.
    U8(u8),
    /// Signed, 8 bits.
    I8(i8),
    /// Unsigned, 16 bits.
    U16(u16),
    /// Signed, 16 bits.
    I16(i16),
    /// Unsigned, 32 bits.
    U32(u32),
    /// Signed, 32 bits.
    I32(i32),
    /// Unsigned, 64 bits.
    U64(u64),
    /// Signed, 64 bits.
    I64(i64),
    /// Text without the NUL that ends it in flash.
    String(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} bytes)", self.encoding(), self.length())
    }
}

impl Value {
    /// Reads a value as it stands in a `data` row of the CSV form, in one of its encodings.
    ///
    /// # Errors
    /// When the text is not what the encoding wants, or nothing is encoded so.
    pub fn from_text(encoding: &str, text: &str) -> Result<Self, Fault> {
        cell::from_text(encoding, text)
    }

    /// What the CSV form calls the encoding; a blob is written in hex.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::U8(_) => "u8",
            Self::I8(_) => "i8",
            Self::U16(_) => "u16",
            Self::I16(_) => "i16",
            Self::U32(_) => "u32",
            Self::I32(_) => "i32",
            Self::U64(_) => "u64",
            Self::I64(_) => "i64",
            Self::String(_) => "string",
            Self::Blob(_) => "hex2bin",
        }
    }

    /// The value as CSV text, before any quoting.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::U8(number) => number.to_string(),
            Self::I8(number) => number.to_string(),
            Self::U16(number) => number.to_string(),
            Self::I16(number) => number.to_string(),
            Self::U32(number) => number.to_string(),
            Self::I32(number) => number.to_string(),
            Self::U64(number) => number.to_string(),
            Self::I64(number) => number.to_string(),
            Self::String(text) => text.clone(),
            Self::Blob(bytes) => hex::encode(bytes),
        }
    }

    /// Bytes the value itself takes up, without any framing.
    #[must_use]
    pub fn length(&self) -> usize {
        match self {
            Self::U8(_) | Self::I8(_) => 1,
            Self::U16(_) | Self::I16(_) => 2,
            Self::U32(_) | Self::I32(_) => 4,
            Self::U64(_) | Self::I64(_) => 8,
            Self::String(text) => text.len() + 1,
            Self::Blob(bytes) => bytes.len(),
        }
    }
}
