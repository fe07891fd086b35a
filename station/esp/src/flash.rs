//! Flash chips: JEDEC ids, sizes as text, and the units they erase and program in.
//!
//! Invariants: sizes in text are powers of two times kibi- or mebibytes and survive the round trip;
//! an unknown maker or size is said to be unknown, never guessed.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes programmed at once at most.
pub const PAGE: u32 = 256;
/// Bytes of the smallest erase.
pub const SECTOR: u32 = 4 * 1024;
/// Bytes of the usual larger erase.
pub const BLOCK: u32 = 64 * 1024;
/// The largest size that image headers and loaders know, in bytes.
pub const LARGEST: u32 = 256 * 1024 * 1024;

/// The answer of a flash chip to command 0x9F.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JedecId {
    /// Maker, by JEDEC's first bank.
    pub maker: u8,
    /// Family, the maker's own number.
    pub family: u8,
    /// Capacity, usually the power of two of bytes.
    pub capacity: u8,
}

impl JedecId {
    /// The id from the three bytes as the chip sends them.
    #[must_use]
    pub const fn new(bytes: [u8; 3]) -> Self {
        Self {
            maker: bytes[0],
            family: bytes[1],
            capacity: bytes[2],
        }
    }

    /// The id from the data register of the flash controller, first byte lowest.
    #[must_use]
    pub const fn from_register(word: u32) -> Self {
        let [maker, family, capacity, _] = word.to_le_bytes();
        Self {
            maker,
            family,
            capacity,
        }
    }

    /// What the data register of the flash controller holds after the command.
    #[must_use]
    pub const fn to_register(self) -> u32 {
        u32::from_le_bytes([self.maker, self.family, self.capacity, 0])
    }

    /// Whether a chip answered at all: an open bus reads all ones, a short one all zeros.
    #[must_use]
    pub const fn is_present(self) -> bool {
        !matches!(self.to_register(), 0 | 0x00FF_FFFF)
    }

    /// Bytes in all, where the capacity byte is one that is known.
    ///
    /// Source: the makers' data sheets and the table of esptool 5.6; codes 0x20 and 0x32 to 0x3A
    /// are used beside the plain powers of two.
    #[must_use]
    pub const fn size(self) -> Option<u32> {
        let power = match self.capacity {
            code @ 0x12..=0x1C => code,
            code @ 0x20..=0x22 => code - 6,
            code @ 0x32..=0x3A => code - 0x20,
            _ => return None,
        };
        Some(1 << power)
    }

    /// The maker's name, where it is known (JEDEC JEP106, first bank).
    #[must_use]
    pub const fn maker_name(self) -> Option<&'static str> {
        Some(match self.maker {
            0x01 => "Infineon",
            0x0B => "XTX",
            0x1C => "EON",
            0x1F => "Adesto",
            0x20 => "XMC or Micron",
            0x25 | 0x85 => "Puya",
            0x46 | 0x54 => "Zbit",
            0x5E => "Zbit Semi",
            0x68 => "Boya",
            0x8C => "ESMT",
            0x9D => "ISSI",
            0xA1 => "Fudan",
            0xBF => "Microchip",
            0xC2 => "Macronix",
            0xC8 => "GigaDevice",
            0xCD => "TH",
            0xD8 => "Jump",
            0xEF => "Winbond",
            _ => return None,
        })
    }

    /// The usual id of a flash chip of `size` bytes by GigaDevice, for tools that need an example.
    #[must_use]
    pub fn example(size: u32) -> Option<Self> {
        let power = u8::try_from(size.ilog2()).ok()?;
        let id = Self {
            maker: 0xC8,
            family: 0x40,
            capacity: power,
        };
        let id = if power > 0x19 {
            Self {
                capacity: power + 6,
                ..id
            }
        } else {
            id
        };
        (id.size() == Some(size)).then_some(id)
    }
}

impl fmt::Display for JedecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:02x}{:02x}{:02x}",
            self.maker, self.family, self.capacity
        )
    }
}

impl Serialize for JedecId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JedecId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 3];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| de::Error::custom(format!("`{text}` is no flash id such as `c84016`")))?;
        Ok(Self::new(bytes))
    }
}

/// A text that is no flash size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no flash size such as `4MB` or `512KB`")]
pub struct ParseSizeError(pub String);

impl ParseSizeError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "flash-size-syntax"
    }
}

/// Bytes of a size such as `4MB` or `512KB`; `K` and `M` stand for 1024 and 1024².
///
/// # Errors
/// When the text is no power of two with `KB` or `MB`, or beyond [`LARGEST`].
pub fn parse_size(text: &str) -> Result<u32, ParseSizeError> {
    let refuse = || ParseSizeError(text.to_owned());
    let upper = text.to_ascii_uppercase();
    let (digits, unit) = if let Some(digits) = upper.strip_suffix("KB") {
        (digits, 1024)
    } else if let Some(digits) = upper.strip_suffix("MB") {
        (digits, 1024 * 1024)
    } else {
        return Err(refuse());
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse());
    }
    let count: u32 = digits.parse().map_err(|_| refuse())?;
    let bytes = count.checked_mul(unit).ok_or_else(refuse)?;
    if bytes.is_power_of_two() && bytes <= LARGEST {
        Ok(bytes)
    } else {
        Err(refuse())
    }
}

/// A size as text: `4MB`, `512KB`, or plain bytes where neither fits.
#[must_use]
pub fn size_text(bytes: u32) -> String {
    const MEBI: u32 = 1024 * 1024;
    match bytes {
        1.. if bytes.is_multiple_of(MEBI) => format!("{}MB", bytes / MEBI),
        1.. if bytes.is_multiple_of(1024) => format!("{}KB", bytes / 1024),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_survive_the_way_through_text() {
        for power in 10..=28 {
            let bytes = 1 << power;
            assert_eq!(parse_size(&size_text(bytes)), Ok(bytes));
        }
        assert_eq!(size_text(4 << 20), "4MB");
        assert_eq!(size_text(512 << 10), "512KB");
    }

    #[test]
    fn sizes_that_no_flash_has_are_refused() {
        for text in [
            "",
            "4",
            "MB",
            "4 MB",
            "3MB",
            "+4MB",
            "512MB",
            "99999999999MB",
            "4GB",
            "0KB",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_common_flash_chip_is_recognised() {
        let id = JedecId::from_register(0x0016_40C8);
        assert_eq!(
            (id.maker_name(), id.size()),
            (Some("GigaDevice"), Some(4 << 20))
        );
        assert_eq!(id.to_string(), "c84016");
        assert_eq!(id.to_register(), 0x0016_40C8);
    }

    #[test]
    fn a_silent_bus_is_no_flash_chip() {
        assert!(!JedecId::new([0xFF; 3]).is_present());
        assert!(!JedecId::new([0; 3]).is_present());
    }

    #[test]
    fn every_example_id_has_the_size_it_was_made_for() {
        for power in 18..=28 {
            assert_eq!(
                JedecId::example(1 << power).and_then(JedecId::size),
                Some(1 << power)
            );
        }
        assert_eq!(JedecId::example(3 << 20), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_size_parser_panic(text in "\\PC{0,24}") {
            let _ = parse_size(&text);
        }
    }
}
