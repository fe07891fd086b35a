//! The factory MAC address, by which a unit is known.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Six bytes in transmission order; written lower-case with colons.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// The six bytes in transmission order.
    #[must_use]
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// The address as the chips store it: low word with bytes 2 to 5, high half-word with 0 and 1.
    #[must_use]
    pub const fn to_words(self) -> (u32, u16) {
        let [a, b, c, d, e, f] = self.0;
        (u32::from_be_bytes([c, d, e, f]), u16::from_be_bytes([a, b]))
    }

    /// The address from its two eFuse words; the upper half of `high` is not part of it.
    #[must_use]
    pub const fn from_words(low: u32, high: u32) -> Self {
        let [c, d, e, f] = low.to_be_bytes();
        let [_, _, a, b] = high.to_be_bytes();
        Self([a, b, c, d, e, f])
    }

    /// Whether these bytes can be the address of one device: neither group nor all zero.
    #[must_use]
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        f.pad(&format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"))
    }
}

/// A text that is no MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no MAC address such as `7c:df:a1:00:00:01`")]
pub struct ParseMacError(pub String);

impl ParseMacError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "mac-syntax"
    }
}

impl FromStr for MacAddress {
    type Err = ParseMacError;

    /// Accepts six pairs of hex digits with `:` or `-` between them, or twelve digits without.
    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let refuse = || ParseMacError(text.to_owned());
        let mut bytes = [0; 6];
        if text.len() == 12 {
            hex::decode_to_slice(text, &mut bytes).map_err(|_| refuse())?;
            return Ok(Self(bytes));
        }
        let mut pairs = text.split([':', '-']);
        for byte in &mut bytes {
            let pair = pairs
                .next()
                .filter(|pair| pair.len() == 2)
                .ok_or_else(refuse)?;
            hex::decode_to_slice(pair, std::slice::from_mut(byte)).map_err(|_| refuse())?;
        }
        if pairs.next().is_some() {
            Err(refuse())
        } else {
            Ok(Self(bytes))
        }
    }
}

impl Serialize for MacAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
