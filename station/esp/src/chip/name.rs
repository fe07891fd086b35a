//! The names of the chips.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A chip of the ESP32 family, as far as loader protocol and image format tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chip {
    /// ESP32, the first of the family.
    Esp32,
    /// ESP32-S2.
    Esp32S2,
    /// ESP32-S3.
    Esp32S3,
    /// ESP32-C2, also sold as ESP8684.
    Esp32C2,
    /// ESP32-C3, also sold as ESP8685.
    Esp32C3,
    /// ESP32-C5.
    Esp32C5,
    /// ESP32-C6.
    Esp32C6,
    /// ESP32-C61.
    Esp32C61,
    /// ESP32-H2.
    Esp32H2,
    /// ESP32-H4.
    Esp32H4,
    /// ESP32-P4.
    Esp32P4,
    /// ESP32-S31.
    Esp32S31,
}

impl Chip {
    /// Every chip, in the order used by lists and tables.
    pub const ALL: [Self; 12] = [
        Self::Esp32,
        Self::Esp32S2,
        Self::Esp32S3,
        Self::Esp32C2,
        Self::Esp32C3,
        Self::Esp32C5,
        Self::Esp32C6,
        Self::Esp32C61,
        Self::Esp32H2,
        Self::Esp32H4,
        Self::Esp32P4,
        Self::Esp32S31,
    ];

    /// The name used in recipes, tables and on the command line, such as `esp32c3`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Esp32 => "esp32",
            Self::Esp32S2 => "esp32s2",
            Self::Esp32S3 => "esp32s3",
            Self::Esp32C2 => "esp32c2",
            Self::Esp32C3 => "esp32c3",
            Self::Esp32C5 => "esp32c5",
            Self::Esp32C6 => "esp32c6",
            Self::Esp32C61 => "esp32c61",
            Self::Esp32H2 => "esp32h2",
            Self::Esp32H4 => "esp32h4",
            Self::Esp32P4 => "esp32p4",
            Self::Esp32S31 => "esp32s31",
        }
    }

    /// The maker's spelling, such as `ESP32-C3`.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Esp32 => "ESP32",
            Self::Esp32S2 => "ESP32-S2",
            Self::Esp32S3 => "ESP32-S3",
            Self::Esp32C2 => "ESP32-C2",
            Self::Esp32C3 => "ESP32-C3",
            Self::Esp32C5 => "ESP32-C5",
            Self::Esp32C6 => "ESP32-C6",
            Self::Esp32C61 => "ESP32-C61",
            Self::Esp32H2 => "ESP32-H2",
            Self::Esp32H4 => "ESP32-H4",
            Self::Esp32P4 => "ESP32-P4",
            Self::Esp32S31 => "ESP32-S31",
        }
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no chip.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown chip `{0}`")]
pub struct UnknownChip(pub String);

impl UnknownChip {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "chip-unknown"
    }
}

impl FromStr for Chip {
    type Err = UnknownChip;

    /// Accepts names and titles in any case.
    fn from_str(text: &str) -> Result<Self, UnknownChip> {
        Self::ALL
            .into_iter()
            .find(|chip| {
                text.eq_ignore_ascii_case(chip.name()) || text.eq_ignore_ascii_case(chip.title())
            })
            .ok_or_else(|| UnknownChip(text.to_owned()))
    }
}
