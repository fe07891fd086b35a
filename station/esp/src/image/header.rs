//! The first 24 bytes of an image.

use serde::{Deserialize, Serialize};

use crate::chip::{Chip, Revision};

use super::{ImageError, MAGIC};

const MEBI: u32 = 1024 * 1024;
/// Largest code of a flash size: 128 MiB (`esp_image_flash_size_t` of ESP-IDF).
const MAX_SIZE_CODE: u8 = 7;

/// How flash is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum FlashMode {
    /// Address and data on four lines.
    Qio = 0,
    /// Data on four lines.
    Qout = 1,
    /// Address and data on two lines.
    Dio = 2,
    /// Data on two lines.
    Dout = 3,
}

impl FlashMode {
    /// The mode with this code in the header; fast and slow read mean DIO to the ROM's successors
    /// and are not made any more.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Qio),
            1 => Some(Self::Qout),
            2 => Some(Self::Dio),
            3 => Some(Self::Dout),
            _ => None,
        }
    }

    /// The name in recipes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Qio => "qio",
            Self::Qout => "qout",
            Self::Dio => "dio",
            Self::Dout => "dout",
        }
    }
}

/// An image header with its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Number of segments.
    pub segments: u8,
    /// How flash is read.
    pub flash_mode: FlashMode,
    /// Code of the flash clock; what it means depends on the chip.
    pub flash_frequency_code: u8,
    /// Code of the flash size: the power of two of MiB.
    pub flash_size_code: u8,
    /// Where the image starts.
    pub entry: u32,
    /// Write-protect pin, 0xEE where it is not used.
    pub wp_pin: u8,
    /// Drive strengths of the flash pins.
    pub drive: [u8; 3],
    /// The chip, as a number.
    pub chip_id: u16,
    /// Oldest revision in the old one-byte form.
    pub min_revision_old: u8,
    /// Oldest revision, major × 100 + minor.
    pub min_revision: u16,
    /// Newest revision in the same form; 0 and 65535 mean any.
    pub max_revision: u16,
    /// Whether a SHA-256 is appended.
    pub hash_appended: bool,
}

impl Header {
    /// Bytes of the header.
    pub const LENGTH: usize = 24;

    /// Reads the header alone, whatever follows it: enough to know what an image is for.
    ///
    /// # Errors
    /// When the bytes are too few, or magic or flash mode mean nothing.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let first = bytes.first().copied().ok_or(ImageError::Truncated {
            needs: Self::LENGTH,
        })?;
        if first != MAGIC {
            return Err(ImageError::Magic(first));
        }
        let head = bytes
            .first_chunk::<{ Self::LENGTH }>()
            .ok_or(ImageError::Truncated {
                needs: Self::LENGTH,
            })?;
        let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        Ok(Self {
            segments: head[1],
            flash_mode: FlashMode::from_code(head[2]).ok_or(ImageError::FlashMode(head[2]))?,
            flash_frequency_code: head[3] & 0x0F,
            flash_size_code: head[3] >> 4,
            entry: u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
            wp_pin: head[8],
            drive: [head[9], head[10], head[11]],
            chip_id: half(12),
            min_revision_old: head[14],
            min_revision: half(15),
            max_revision: half(17),
            hash_appended: head[23] == 1,
        })
    }

    /// Bytes of the flash the image was made for, where the code is one that is known.
    #[must_use]
    pub fn flash_size(&self) -> Option<u32> {
        (self.flash_size_code <= MAX_SIZE_CODE).then(|| MEBI << self.flash_size_code)
    }

    /// The code of a flash size; `None` for one that headers cannot state.
    #[must_use]
    pub fn size_code(bytes: u32) -> Option<u8> {
        (0..=MAX_SIZE_CODE).find(|code| MEBI << code == bytes)
    }

    /// Checks that there is a revision between the oldest and the newest; no newest, or 0.0, means
    /// any.
    ///
    /// # Errors
    /// [`ImageError::Revisions`].
    pub fn check_revisions(oldest: Revision, newest: Option<Revision>) -> Result<(), ImageError> {
        match newest.filter(|newest| newest.value() != 0) {
            Some(newest) if newest < oldest => Err(ImageError::Revisions { oldest, newest }),
            Some(_) | None => Ok(()),
        }
    }

    /// The flash clock in MHz. The first match counts where a chip codes two clocks alike.
    #[must_use]
    pub fn flash_frequency(&self) -> Option<u8> {
        let known = Chip::from_image_id(self.chip_id)?.spec().flash_frequencies;
        known
            .iter()
            .find(|(_, code)| *code == self.flash_frequency_code)
            .map(|(mhz, _)| *mhz)
    }

    /// Drive strengths of the flash pins: clock, Q, D, chip select, HD, WP.
    #[must_use]
    pub fn pin_drives(&self) -> [u8; 6] {
        let [a, b, c] = self.drive;
        [a & 0xF, a >> 4, b & 0xF, b >> 4, c & 0xF, c >> 4]
    }

    /// The oldest revision the image runs on.
    ///
    /// Images from before the full form have zeros in its place; their one byte is the minor of an
    /// ESP32-C3 and the major of any other chip (ESP-IDF `esp_image_header_t`). In later images the
    /// byte means nothing.
    #[must_use]
    pub fn minimum_revision(&self) -> Revision {
        if self.min_revision != 0 || self.max_revision != 0 {
            Revision::from_value(self.min_revision)
        } else if self.chip_id == Chip::Esp32C3.spec().image_id {
            Revision::new(0, self.min_revision_old)
        } else {
            Revision::new(self.min_revision_old, 0)
        }
    }

    /// The newest revision the image runs on; `None` for any.
    #[must_use]
    pub fn maximum_revision(&self) -> Option<Revision> {
        match self.max_revision {
            0 | u16::MAX => None,
            value => Some(Revision::from_value(value)),
        }
    }
}
