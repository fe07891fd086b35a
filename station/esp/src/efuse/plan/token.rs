//! The state of one block as it may be written down.
//!
//! Invariants: a block that can be hidden from software (keys, digests, ESP32's BLOCK3) is only
//! ever shown as a SHA-256 bound to MAC and block, even while it is blank; a token equals another
//! exactly when the words behind them are equal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::chip::MacAddress;
use crate::efuse::map::{FuseBlock, ReadDisable};

/// The state of one block: `w:00000001,…`, `s:<64 hex digits>` or `hidden`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Token {
    /// The words of an open block.
    Words(Vec<u32>),
    /// A digest over the words of a block that can hold a secret.
    Secret([u8; 32]),
    /// The block is hidden from software and reads as zeros.
    Hidden,
}

impl Token {
    /// The token of `words` in `block` of the chip with `mac`.
    #[must_use]
    pub fn of(mac: MacAddress, block: &FuseBlock, words: &[u32]) -> Self {
        if block.read_disable == ReadDisable::Never {
            Self::Words(words.to_vec())
        } else {
            Self::Secret(sealed(mac, block.number, words))
        }
    }

    /// The words of an open block.
    #[must_use]
    pub fn words(&self) -> Option<&[u32]> {
        match self {
            Self::Words(words) => Some(words),
            Self::Secret(_) | Self::Hidden => None,
        }
    }
}

/// SHA-256 over a domain separator, MAC, block and words.
pub(super) fn sealed(mac: MacAddress, block: u8, words: &[u32]) -> [u8; 32] {
    let mut hash = Sha256::new()
        .chain_update(b"station efuse block\0")
        .chain_update(mac.bytes())
        .chain_update([block]);
    for word in words {
        hash.update(word.to_le_bytes());
    }
    hash.finalize().into()
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => {
                f.write_str("w:")?;
                for (index, word) in words.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "," };
                    write!(f, "{separator}{word:08x}")?;
                }
                Ok(())
            }
            Self::Secret(digest) => write!(f, "s:{}", hex::encode(digest)),
            Self::Hidden => f.write_str("hidden"),
        }
    }
}

/// A text that is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a text of {0} characters is no eFuse token (`w:…`, `s:…` or `hidden`)")]
pub struct ParseTokenError(pub usize);

impl ParseTokenError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "efuse-token-syntax"
    }
}

/// No block has more words.
const MOST_WORDS: usize = 16;

impl FromStr for Token {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let refuse = || ParseTokenError(text.len());
        if text == "hidden" {
            return Ok(Self::Hidden);
        }
        if let Some(digest) = text.strip_prefix("s:") {
            let mut bytes = [0; 32];
            hex::decode_to_slice(digest, &mut bytes).map_err(|_| refuse())?;
            return Ok(Self::Secret(bytes));
        }
        let words = text.strip_prefix("w:").ok_or_else(refuse)?;
        let one = |word: &str| {
            let plain = word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            let value = plain.then(|| u32::from_str_radix(word, 16).ok()).flatten();
            value.ok_or_else(refuse)
        };
        let words = words
            .split(',')
            .take(MOST_WORDS + 1)
            .map(one)
            .collect::<Result<Vec<_>, _>>()?;
        if words.len() > MOST_WORDS {
            return Err(refuse());
        }
        Ok(Self::Words(words))
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
