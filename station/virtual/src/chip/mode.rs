//! What a chip is doing, as an observer would name it.

use std::fmt;

use serde::Serialize;

/// What a chip is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It has no power.
    Off,
    /// EN is low.
    Held,
    /// It is on its way from reset to a loader or an application.
    Booting,
    /// The ROM waits for a download.
    Rom,
    /// The flasher stub runs.
    Stub,
    /// A program that was uploaded to RAM runs.
    RamApplication,
    /// The application in flash runs.
    Application,
    /// There is nothing to boot, or it refuses to.
    BootFailed,
}

impl Mode {
    /// The word for texts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Held => "held",
            Self::Booting => "booting",
            Self::Rom => "rom",
            Self::Stub => "stub",
            Self::RamApplication => "ram-application",
            Self::Application => "application",
            Self::BootFailed => "boot-failed",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
