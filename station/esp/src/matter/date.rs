//! The day a unit was made.
//!
//! Facts (Matter core specification, 11.1.5.12): `YYYYMMDD`, and up to eight letters as the maker
//! pleases; connectedhomeip's ESP32 platform takes hyphens out before it reads the day and keeps
//! 16 bytes. esp-matter-mfg-tool takes no suffix, or one of eight letters.

use std::fmt;
use std::str::FromStr;

use super::error::MatterError;

/// A day as it stands in the factory data: `20260401`, `2026-04-01` or `20260401LOT17.03`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManufacturingDate(String);

impl ManufacturingDate {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ManufacturingDate {
    type Err = MatterError;

    fn from_str(text: &str) -> Result<Self, MatterError> {
        let day = match text.as_bytes() {
            [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] => {
                Some([*y1, *y2, *y3, *y4, *m1, *m2, *d1, *d2])
            }
            bytes if bytes.len() == 8 || bytes.len() == 16 => bytes.first_chunk::<8>().copied(),
            _ => None,
        };
        // Firmware takes every hyphen for one between the parts of the day.
        let suffix = text.as_bytes().get(8..).unwrap_or_default();
        let plain = text.len() == 10
            || suffix
                .iter()
                .all(|byte| byte.is_ascii_graphic() && *byte != b'-');
        match day {
            Some(day) if plain && exists(&day) => Ok(Self(text.to_owned())),
            _ => Err(MatterError::Date {
                found: text.chars().take(32).collect(),
            }),
        }
    }
}

impl fmt::Display for ManufacturingDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether eight digits are a day of the calendar.
fn exists(digits: &[u8; 8]) -> bool {
    if !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let number = |digits: &[u8]| {
        digits
            .iter()
            .fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'))
    };
    let (year, month, day) = (
        number(&digits[..4]),
        number(&digits[4..6]),
        number(&digits[6..]),
    );
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    year >= 1000 && (1..=last).contains(&day)
}
