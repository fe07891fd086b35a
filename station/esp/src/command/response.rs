//! Answers of a loader.
//!
//! Invariant: what is formatted for a reader shows neither value nor body: both may be keys.

use std::fmt;

use super::{Dialect, Status};

/// Number of answers that a loader gives to one SYNC.
pub const SYNC_ANSWERS: usize = 8;

/// The unsolicited frame by which a freshly started stub reports (without SLIP marks).
pub const STUB_GREETING: &[u8; 4] = b"OHAI";

/// One answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// The command answered, as a plain number: chips answer unknown commands too.
    pub opcode: u8,
    /// The value of READ_REG; otherwise whatever the loader left there.
    pub value: u32,
    /// The body without status bytes.
    pub body: &'a [u8],
    /// How the command went.
    pub status: Status,
}

impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("opcode", &format_args!("{:#04x}", self.opcode))
            .field("bytes", &self.body.len())
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A frame that is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Shorter than head and status bytes.
    #[error("answer of {0} bytes is too short")]
    TooShort(usize),
    /// The first byte is not 1.
    #[error("frame begins with `{0:#04x}`, which is no answer")]
    Direction(u8),
    /// The length field does not match the frame.
    #[error("answer announces {declared} bytes and carries {actual}")]
    Length {
        /// What the length field says.
        declared: usize,
        /// What is there.
        actual: usize,
    },
}

impl ResponseError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooShort(_) => "response-too-short",
            Self::Direction(_) => "response-direction",
            Self::Length { .. } => "response-length",
        }
    }
}

impl<'a> Response<'a> {
    /// An answer without body.
    #[must_use]
    pub const fn plain(opcode: u8, value: u32, status: Status) -> Self {
        Self {
            opcode,
            value,
            body: &[],
            status,
        }
    }

    /// Appends the frame in `dialect` to `out`.
    pub fn encode(&self, dialect: Dialect, out: &mut Vec<u8>) {
        let length = self.body.len() + dialect.status_length();
        debug_assert!(
            u16::try_from(length).is_ok(),
            "answers are far below 64 KiB"
        );
        out.extend_from_slice(&[1, self.opcode]);
        out.extend_from_slice(&(length as u16).to_le_bytes());
        out.extend_from_slice(&self.value.to_le_bytes());
        out.extend_from_slice(self.body);
        self.status.encode(dialect, out);
    }

    /// Takes a frame of `dialect` apart.
    ///
    /// # Errors
    /// When the frame is no answer or has another length than it says.
    pub fn decode(frame: &'a [u8], dialect: Dialect) -> Result<Self, ResponseError> {
        let Some((&[direction, opcode, low, high, v0, v1, v2, v3], rest)) =
            frame.split_first_chunk::<8>()
        else {
            return Err(ResponseError::TooShort(frame.len()));
        };
        if direction != 1 {
            return Err(ResponseError::Direction(direction));
        }
        let declared = usize::from(u16::from_le_bytes([low, high]));
        if declared != rest.len() {
            return Err(ResponseError::Length {
                declared,
                actual: rest.len(),
            });
        }
        let Some(split) = rest.len().checked_sub(dialect.status_length()) else {
            return Err(ResponseError::TooShort(frame.len()));
        };
        let (body, status) = rest.split_at(split);
        Ok(Self {
            opcode,
            value: u32::from_le_bytes([v0, v1, v2, v3]),
            body,
            status: Status([status[0], status[1]]),
        })
    }
}

/// The digest in the body of an SPI_FLASH_MD5 answer: 16 bytes, or 32 hex digits from a ROM.
#[must_use]
pub fn md5_from_body(body: &[u8]) -> Option<[u8; 16]> {
    if let Ok(raw) = body.try_into() {
        return Some(raw);
    }
    let mut digest = [0; 16];
    hex::decode_to_slice(body, &mut digest)
        .ok()
        .map(|()| digest)
}
