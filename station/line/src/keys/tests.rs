//! Tests of the key store, by what they put at risk.

mod harm;
mod life;
mod many;
mod secrets;
mod signing;
mod token;
mod unsaid;

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use station_esp::secret::Secret;
use tempfile::TempDir;

use super::*;
use crate::event::Mac;
use crate::journal::Durability;

pub(super) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_793_275_200, 0).unwrap()
}

pub(super) fn end(reason: &str, at: DateTime<Utc>) -> Forgotten {
    Forgotten {
        at,
        by: "anna".into(),
        reason: reason.into(),
    }
}

pub(super) fn unit(number: u8) -> KeyOwner {
    KeyOwner::Unit(Mac::new(format!("7c:df:a1:00:00:{number:02x}")))
}

pub(super) fn name(text: &str) -> KeyName {
    KeyName::parse(text).unwrap()
}

pub(super) fn order(key: &str, owner: KeyOwner, kind: KeyKind) -> KeyOrder {
    KeyOrder {
        name: name(key),
        owner,
        kind,
        custody: Custody::Escrow,
        purpose: Some("XTS_AES_128_KEY".into()),
        source: KeySource::Generate,
    }
}

pub(super) fn given(key: &str, owner: KeyOwner, kind: KeyKind, bytes: Vec<u8>) -> KeyOrder {
    KeyOrder {
        source: KeySource::Given(Secret::new(bytes)),
        ..order(key, owner, kind)
    }
}

pub(super) fn quick(folder: &Path) -> KeyStore {
    let options = KeyStoreOptions {
        durability: Durability::Off,
        entropy: Entropy::System,
    };
    KeyStore::open_with(folder, options).unwrap()
}

pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.0.path().join("keys")
    }

    pub(super) fn store(&self) -> KeyStore {
        quick(&self.folder())
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}

/// Every file under a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Fails if bytes hold a key in any of the forms it could be written in.
pub(crate) fn assert_hidden(secret: &Secret, haystack: &[u8], place: &str) {
    let key = secret.expose();
    let reversed: Vec<u8> = key.iter().rev().copied().collect();
    for bytes in [key, &reversed] {
        let listed = format!("{bytes:?}");
        let forms = [
            bytes.to_vec(),
            hex::encode(bytes).into_bytes(),
            hex::encode_upper(bytes).into_bytes(),
            base64(bytes).into_bytes(),
            listed.trim_matches(['[', ']']).as_bytes().to_vec(),
        ];
        for (form, needle) in forms.iter().enumerate() {
            let found = haystack
                .windows(needle.len())
                .any(|window| window == needle);
            assert!(!found, "a key stands in {place}, form {form}");
        }
    }
}

/// Base64 without its tail, which depends on what follows.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks_exact(3) {
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for shift in [18, 12, 6, 0] {
            text.push(char::from(
                DIGITS[usize::try_from(bits >> shift & 63).unwrap()],
            ));
        }
    }
    text
}
