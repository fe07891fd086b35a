//! Dangers somebody may want, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A danger that a wish must name to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Danger {
    /// Encryption is switched on though nobody says what is in flash.
    EncryptionWithoutContent,
    /// Secure boot is switched on though no signed bootloader is known to be in flash.
    SecureBootWithoutSignedContent,
    /// A key that should be hidden stays readable, or a slot stays writable.
    UnprotectedKey,
    /// Both ways of debugging and programming over USB are closed.
    UsbClosed,
    /// The last way of programming is closed.
    DownloadClosed,
    /// The chip reports coding errors already.
    CodingErrors,
    /// A chip of a revision whose flash cannot be written in secure download mode is put into it.
    FlashUnreachableInSecureDownload,
    /// Secure boot version 1 is switched on in an ESP32 that has version 2.
    SecureBootVersionOne,
}

impl Danger {
    /// Every danger.
    pub const ALL: [Self; 8] = [
        Self::EncryptionWithoutContent,
        Self::SecureBootWithoutSignedContent,
        Self::UnprotectedKey,
        Self::UsbClosed,
        Self::DownloadClosed,
        Self::CodingErrors,
        Self::FlashUnreachableInSecureDownload,
        Self::SecureBootVersionOne,
    ];

    /// Its stable name, which is also the code of the refusal it would be.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EncryptionWithoutContent => "encryption-without-content",
            Self::SecureBootWithoutSignedContent => "secure-boot-without-signed-content",
            Self::UnprotectedKey => "unprotected-key",
            Self::UsbClosed => "usb-closed",
            Self::DownloadClosed => "download-closed",
            Self::CodingErrors => "coding-errors",
            Self::FlashUnreachableInSecureDownload => "flash-unreachable-in-secure-download",
            Self::SecureBootVersionOne => "secure-boot-version-one",
        }
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no danger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no danger that can be accepted")]
pub struct ParseDangerError(pub String);

impl ParseDangerError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "danger-unknown"
    }
}

impl FromStr for Danger {
    type Err = ParseDangerError;

    fn from_str(text: &str) -> Result<Self, ParseDangerError> {
        let found = Self::ALL.into_iter().find(|danger| danger.name() == text);
        found.ok_or_else(|| ParseDangerError(text.to_owned()))
    }
}

impl Serialize for Danger {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Danger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
