//! The revision of a chip's silicon.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A wafer revision, written `major.minor`; ordered by age.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Revision {
    /// Changes that software must know about.
    pub major: u8,
    /// Changes that old software survives.
    pub minor: u8,
}

impl Revision {
    /// A revision from its two numbers.
    #[must_use]
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }

    /// `major * 100 + minor`, the form of image headers.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.major as u16 * 100 + self.minor as u16
    }

    /// The revision written as `major * 100 + minor`; majors beyond 255 saturate.
    #[must_use]
    pub fn from_value(value: u16) -> Self {
        Self {
            major: u8::try_from(value / 100).unwrap_or(u8::MAX),
            minor: u8::try_from(value % 100).unwrap_or(u8::MAX),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.major, self.minor))
    }
}

/// A text that is no revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no chip revision such as `0.4`")]
pub struct ParseRevisionError(pub String);

impl ParseRevisionError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "revision-syntax"
    }
}

impl FromStr for Revision {
    type Err = ParseRevisionError;

    /// Accepts `major.minor`, with or without a leading `v`.
    fn from_str(text: &str) -> Result<Self, ParseRevisionError> {
        let refuse = || ParseRevisionError(text.to_owned());
        let digits = |part: &str| {
            let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if plain {
                part.parse::<u8>().map_err(|_| refuse())
            } else {
                Err(refuse())
            }
        };
        let (major, minor) = text
            .strip_prefix('v')
            .unwrap_or(text)
            .split_once('.')
            .ok_or_else(refuse)?;
        let (major, minor) = (digits(major)?, digits(minor)?);
        if minor > 99 {
            Err(refuse())
        } else {
            Ok(Self { major, minor })
        }
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Revision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
