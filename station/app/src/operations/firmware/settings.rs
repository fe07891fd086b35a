//! What an image's header says about the flash, as the command line and clients write it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::chip::Revision;
use station_esp::elf::FlashSettings;
use station_esp::image::{FlashMode, HeaderChange};

use super::super::text::bytes;
use crate::operation::OperationError;

/// How flash is read.
#[derive(
    clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Address and data on four lines
    Qio,
    /// Data on four lines
    Qout,
    /// Address and data on two lines
    Dio,
    /// Data on two lines
    Dout,
}

impl From<Mode> for FlashMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Qio => Self::Qio,
            Mode::Qout => Self::Qout,
            Mode::Dio => Self::Dio,
            Mode::Dout => Self::Dout,
        }
    }
}

impl From<FlashMode> for Mode {
    fn from(mode: FlashMode) -> Self {
        match mode {
            FlashMode::Qio => Self::Qio,
            FlashMode::Qout => Self::Qout,
            FlashMode::Dio => Self::Dio,
            FlashMode::Dout => Self::Dout,
        }
    }
}

/// What the header is to say about the flash.
#[derive(clap::Args, Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct FlashParameters {
    /// How flash is read
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash_mode: Option<Mode>,
    /// Flash clock: 80m, 40MHz
    #[arg(long, visible_alias = "flash-frequency", value_name = "CLOCK")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash_freq: Option<String>,
    /// Bytes of flash: 4MB
    #[arg(long, value_name = "SIZE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash_size: Option<String>,
}

/// What the header is to say about the chip.
#[derive(clap::Args, Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct RevisionParameters {
    /// Oldest revision of the chip that it runs on: 0.3
    #[arg(long, value_name = "REVISION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub min_revision: Option<Revision>,
    /// Newest revision of the chip that it runs on; 0.0 for any
    #[arg(long, value_name = "REVISION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub max_revision: Option<Revision>,
}

impl FlashParameters {
    /// What is to be changed in a header.
    ///
    /// # Errors
    /// `flash-clock-invalid`, `number-invalid`.
    pub(super) fn change(&self) -> Result<HeaderChange, OperationError> {
        Ok(HeaderChange {
            mode: self.flash_mode.map(FlashMode::from),
            frequency_mhz: self.flash_freq.as_deref().map(clock).transpose()?,
            size: self.flash_size.as_deref().map(bytes).transpose()?,
            ..HeaderChange::default()
        })
    }

    /// `usual`, as far as nothing else was asked for.
    ///
    /// # Errors
    /// `flash-clock-invalid`, `number-invalid`.
    pub(super) fn over(&self, usual: FlashSettings) -> Result<FlashSettings, OperationError> {
        let asked = self.change()?;
        Ok(FlashSettings {
            mode: asked.mode.unwrap_or(usual.mode),
            frequency_mhz: asked.frequency_mhz.unwrap_or(usual.frequency_mhz),
            size: asked.size.unwrap_or(usual.size),
        })
    }
}

/// Reads how flash is read: `dio`.
pub(super) fn mode(text: &str) -> Result<Mode, OperationError> {
    clap::ValueEnum::from_str(text, true).map_err(|_| {
        let message = format!("`{text}` is no way to read flash");
        OperationError::usage("flash-mode-invalid", message).hint("write qio, qout, dio or dout")
    })
}

/// Reads a flash clock: `80`, `80m` or `80MHz`.
pub(super) fn clock(text: &str) -> Result<u8, OperationError> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower
        .strip_suffix("mhz")
        .or_else(|| lower.strip_suffix('m'))
        .unwrap_or(&lower);
    let plain = !digits.is_empty() && digits.bytes().all(|sign| sign.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().ok_or_else(|| {
        let message = format!("`{text}` is no flash clock");
        OperationError::usage("flash-clock-invalid", message)
            .hint("write it in MHz: `80m` or `40MHz`")
    })
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn a_flash_clock_is_written_as_esptool_or_as_people_do() {
        for (text, mhz) in [("80m", 80), ("40MHz", 40), ("26", 26)] {
            assert_eq!(clock(text).unwrap(), mhz);
        }
        for wrong in ["", "m", "fast", "-40m", "400m", "80k"] {
            assert_eq!(clock(wrong).unwrap_err().code, "flash-clock-invalid");
        }
    }
}
