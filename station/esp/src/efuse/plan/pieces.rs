//! Keys as the fuses take them: cut into blocks, in the fuses' byte order, with their protection.
//!
//! Invariants: a piece fills one block, or one half of the ESP32-C2's only key block; nothing here
//! looks at what the chip holds but its coding scheme.

use crate::chip::{Chip, Revision};
use crate::efuse::map::KeyPurpose;
use crate::secret::Secret;

use super::KeyWish;
use super::draft::{Draft, scheme};

/// One block's worth of key, ready for the fuses.
pub(super) struct Piece {
    /// What it is for, in words of the map.
    pub(super) purpose: String,
    /// The purpose's code, on chips with such fields.
    pub(super) code: Option<u8>,
    /// Byte of the block it starts at.
    pub(super) offset: usize,
    /// The bytes as they go into the block.
    pub(super) bytes: Secret,
    /// RD_DIS bits of the block that hide it, by index in [`guards::read_guards`].
    pub(super) hide: Vec<usize>,
    /// Blocks whose slot cannot hold it.
    pub(super) unfit: &'static [u8],
}

/// Where a chip keeps keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyPlaces {
    /// A block for each purpose (ESP32).
    Fixed,
    /// One block in two halves (ESP32-C2).
    Halves,
    /// Slots with a purpose of their own.
    Slots,
}

impl KeyPlaces {
    pub(super) fn of(chip: Chip) -> Self {
        if chip == Chip::Esp32 {
            Self::Fixed
        } else if chip == Chip::Esp32C2 {
            Self::Halves
        } else {
            Self::Slots
        }
    }
}

/// Purposes whose key takes two slots: as wished, first half, second half.
const WIDE: [(&str, [&str; 2]); 3] = [
    (
        "XTS_AES_256_KEY",
        ["XTS_AES_256_KEY_1", "XTS_AES_256_KEY_2"],
    ),
    (
        "XTS_AES_256_PSRAM_KEY",
        ["XTS_AES_256_PSRAM_KEY_1", "XTS_AES_256_PSRAM_KEY_2"],
    ),
    ("ECDSA_KEY_P384", ["ECDSA_KEY_P384_H", "ECDSA_KEY_P384_L"]),
];

/// The purposes of the two slots that a key for `purpose` takes, first half first; `None` when one
/// slot holds it.
#[must_use]
pub fn halves(purpose: &str) -> Option<[&'static str; 2]> {
    let wide = WIDE.iter().find(|(name, _)| *name == purpose)?;
    Some(wide.1)
}

impl Draft<'_> {
    /// The key in blocks, or refusals.
    pub(super) fn pieces(&mut self, key: &KeyWish) -> Option<Vec<Piece>> {
        match KeyPlaces::of(self.map.chip) {
            KeyPlaces::Fixed => self.esp32_pieces(key),
            KeyPlaces::Halves => self.half_pieces(key),
            KeyPlaces::Slots => self.purpose_pieces(key),
        }
    }

    fn unknown_purpose<T>(&mut self, key: &KeyWish) -> Option<T> {
        let what = format!("{} knows no such purpose", self.map.chip.title());
        let hint = "`station efuse read` lists the purposes of this chip";
        self.refuse("purpose-unknown", &key.purpose, what, hint);
        None
    }

    fn check_length(&mut self, key: &KeyWish, allowed: &[usize]) -> bool {
        let fits = allowed.contains(&key.key.len());
        if !fits {
            let lengths: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            let what = format!(
                "its key has {} bytes, not {}",
                key.key.len(),
                lengths.join(" or ")
            );
            self.refuse("key-length", &key.purpose, what, "give the whole key, raw");
        }
        fits
    }

    fn esp32_pieces(&mut self, key: &KeyWish) -> Option<Vec<Piece>> {
        let (reversed, hidden) = match key.purpose.as_str() {
            "flash_encryption" | "secure_boot_v1" => (true, true),
            "secure_boot_v2" => (false, false),
            _ => return self.unknown_purpose(key),
        };
        let quarters = scheme(self.map, &self.now) == 1;
        if key.purpose == "secure_boot_v2" {
            if quarters {
                let what = "a digest of 32 bytes does not fit a 3/4 coded block";
                let hint = "secure boot v2 needs the coding scheme NONE; take another chip";
                self.refuse("scheme-unfit", &key.purpose, what, hint);
                return None;
            }
            if self.snapshot.revision < Revision::new(3, 0) {
                let what = format!("revision {} has no such ROM", self.snapshot.revision);
                let hint = "secure boot v2 needs revision 3.0 or later";
                self.refuse("revision-too-old", &key.purpose, what, hint);
                return None;
            }
        }
        let length = if quarters { 24 } else { 32 };
        self.check_length(key, &[length]).then(|| {
            vec![Piece {
                purpose: key.purpose.clone(),
                code: None,
                offset: 0,
                bytes: ordered(key.key.expose(), reversed),
                hide: if hidden { vec![0] } else { Vec::new() },
                unfit: &[],
            }]
        })
    }

    /// ESP32-C2: one key block of two halves, each with its own RD_DIS bit.
    fn half_pieces(&mut self, key: &KeyWish) -> Option<Vec<Piece>> {
        let lengths: &[usize] = match key.purpose.as_str() {
            "XTS_AES_128_KEY" | "USER" => &[32],
            "XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS" => &[16],
            "SECURE_BOOT_DIGEST" => &[16, 32],
            _ => return self.unknown_purpose(key),
        };
        if !self.check_length(key, lengths) {
            return None;
        }
        if key.purpose == "XTS_AES_128_KEY" {
            self.ask_number("XTS_KEY_LENGTH_256", 1);
        }
        let (offset, bytes, hide) = half(key)?;
        Some(vec![Piece {
            purpose: key.purpose.clone(),
            code: None,
            offset,
            bytes,
            hide,
            unfit: &[],
        }])
    }

    fn purpose_pieces(&mut self, key: &KeyWish) -> Option<Vec<Piece>> {
        let names = match halves(&key.purpose) {
            Some(halves) => halves.to_vec(),
            None => vec![key.purpose.as_str()],
        };
        let purposes: Vec<&'static KeyPurpose> = names
            .iter()
            .filter_map(|name| self.map.purpose(name))
            .collect();
        if purposes.len() != names.len() {
            return self.unknown_purpose(key);
        }
        let length = match key.purpose.as_str() {
            "ECDSA_KEY_P192" => 24,
            "ECDSA_KEY_P384" => 48,
            _ => names.len() * 32,
        };
        if !self.check_length(key, &[length]) {
            return None;
        }
        let mut whole = vec![0; names.len() * 32 - length];
        whole.extend_from_slice(key.key.expose());
        let whole = Secret::new(whole);
        let halves = whole.expose().chunks(32);
        let pieces = purposes.iter().zip(halves).map(|(purpose, bytes)| Piece {
            purpose: purpose.name.to_owned(),
            code: Some(purpose.code),
            offset: 0,
            bytes: ordered(bytes, purpose.reversed),
            hide: if purpose.hidden { vec![0] } else { Vec::new() },
            unfit: purpose.unfit,
        });
        Some(pieces.collect())
    }
}

/// ESP32-C2: first byte, bytes in the order of the fuses, and which halves are hidden. Of a digest
/// of 32 bytes the chip keeps the first 16.
pub(super) fn half(key: &KeyWish) -> Option<(usize, Secret, Vec<usize>)> {
    let bytes = key.key.expose();
    match (key.purpose.as_str(), bytes.len()) {
        ("XTS_AES_128_KEY", 32) => Some((0, ordered(bytes, true), vec![0, 1])),
        ("XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS", 16) => {
            Some((0, ordered(bytes, true), vec![0]))
        }
        ("SECURE_BOOT_DIGEST", 16 | 32) => Some((16, ordered(&bytes[..16], false), Vec::new())),
        ("USER", 32) => Some((0, ordered(bytes, false), Vec::new())),
        _ => None,
    }
}

fn ordered(bytes: &[u8], reversed: bool) -> Secret {
    let mut bytes = bytes.to_vec();
    if reversed {
        bytes.reverse();
    }
    Secret::new(bytes)
}
