//! What the station itself signs with, and whose signatures count.

use chrono::{DateTime, Utc};
use station_esp::secure::signature::PrivateKey;

use super::asymmetric::signing_key;
use super::error::KeyError;
use super::kind::{Custody, KeyKind, KeyName, KeyOwner};
use super::order::{KeyOrder, KeySource};
use super::store::{KeyStore, MAX_LISTED, MAX_TEXT};
use crate::release::{StationKey, TrustedKeys, parse_public};

/// Name of the shared key that signs releases; the station alone makes and uses it.
pub const STATION_KEY: &str = "station-release";

impl KeyStore {
    /// Returns the key this station signs releases with; the first time, makes it.
    ///
    /// # Errors
    /// As [`Self::obtain`].
    pub fn station_key(&self, at: DateTime<Utc>) -> Result<StationKey, KeyError> {
        let order = KeyOrder {
            name: KeyName::parse(STATION_KEY)?,
            owner: KeyOwner::Shared,
            kind: KeyKind::Ed25519,
            custody: Custody::Escrow,
            purpose: None,
            source: KeySource::Generate,
        };
        let (_, secret) = self.obtain_any(&order, at)?;
        StationKey::from_secret(&secret).ok_or(KeyError::Damaged {
            path: self.folder().join("shared"),
            what: "no key is of that size",
        })
    }

    /// Returns the public keys whose releases count here: the station's own, if it has one, and those
    /// in folder `trusted`.
    ///
    /// # Errors
    /// [`KeyError::Format`] for a file that holds no public key, [`KeyError::Permissions`] for one
    /// that others can change, [`KeyError::Io`].
    pub fn trusted_keys(&self) -> Result<TrustedKeys, KeyError> {
        let own = self.record(&KeyName::parse(STATION_KEY)?, &KeyOwner::Shared)?;
        let own = own.filter(|record| record.forgotten.is_none());
        let mut keys: Vec<String> = own.and_then(|record| record.public).into_iter().collect();
        let folder = self.folder().join("trusted");
        if folder.exists() {
            self.files().require_own(&folder)?;
        }
        for name in self.files().names(&folder, MAX_LISTED)? {
            if !name.ends_with(".pub") {
                continue;
            }
            let path = folder.join(name);
            let text = self.files().read_text(&path, MAX_TEXT)?;
            self.files().require_own(&path)?;
            let text = text.map(|text| text.trim().to_ascii_lowercase());
            let key = text.filter(|text| parse_public(text).is_some());
            keys.push(key.ok_or(KeyError::Format {
                path,
                what: "it holds no Ed25519 public key of 64 hex digits",
            })?);
        }
        Ok(TrustedKeys::new(keys))
    }

    /// Returns the private key of a kind that signs firmware, ready to sign.
    ///
    /// # Errors
    /// As [`Self::reveal`]; [`KeyError::Unreadable`] when keys of its kind do not sign firmware.
    pub fn signer(&self, name: &KeyName, owner: &KeyOwner) -> Result<PrivateKey, KeyError> {
        let (record, secret) = self.reveal_with_record(name, owner)?;
        signing_key(record.kind, &secret)
    }
}
