//! Where a key lies: its sealed file and its record.
//!
//! Invariants: a key that was written is opened again before anybody relies on it; what is read is the
//! key and the record that were asked for, or an error; the caller holds the turn.

use std::path::PathBuf;
use std::sync::Arc;

use station_esp::secret::Secret;

use super::error::KeyError;
use super::kind::{Custody, KeyName, KeyOwner};
use super::record::KeyRecord;
use super::seal::{MAX_SEALED, parse_recipients};
use super::store::{KeyStore, MAX_TEXT, RECIPIENTS};

/// The two files of a key.
pub(super) struct Place {
    pub(super) sealed: PathBuf,
    pub(super) record: PathBuf,
}

impl KeyStore {
    pub(super) fn write_sealed(
        &self,
        place: &Place,
        record: &KeyRecord,
        secret: &Secret,
    ) -> Result<(), KeyError> {
        let others = match record.custody {
            Custody::Escrow => self.escrow()?,
            Custody::Forget => Vec::new(),
        };
        let sealed = self.sealer().seal(secret, &others);
        let sealed = sealed.map_err(|source| KeyError::Io {
            doing: "seal",
            path: place.sealed.clone(),
            source: Arc::new(source),
        })?;
        self.files().write(&place.sealed, &sealed)?;
        // Before anybody relies on it: what is on the disk is this key.
        self.open_sealed(place, record).map(drop)
    }

    /// Destroys what is left of the sealed file of a key. The caller holds the turn.
    pub(super) fn destroy_sealed(&self, name: &KeyName, owner: &KeyOwner) -> Result<(), KeyError> {
        self.files().destroy(&self.place(name, owner).sealed)
    }

    pub(super) fn escrow(&self) -> Result<Vec<age::x25519::Recipient>, KeyError> {
        let path = self.folder().join(RECIPIENTS);
        match self.files().read_text(&path, MAX_TEXT)? {
            None => Ok(Vec::new()),
            Some(text) => {
                // Whoever can add a line gets every key from then on.
                self.files().require_own(&path)?;
                parse_recipients(&text, &path)
            }
        }
    }

    pub(super) fn folder_of(&self, owner: &KeyOwner) -> PathBuf {
        match owner {
            KeyOwner::Shared => self.folder().join("shared"),
            KeyOwner::Unit(mac) => {
                let digits = mac.as_str().replace(':', "");
                self.folder().join("units").join(digits)
            }
        }
    }

    pub(super) fn place(&self, name: &KeyName, owner: &KeyOwner) -> Place {
        let folder = self.folder_of(owner);
        Place {
            sealed: folder.join(format!("{name}.age")),
            record: folder.join(format!("{name}.json")),
        }
    }

    pub(super) fn known(
        &self,
        place: &Place,
        name: &KeyName,
        owner: &KeyOwner,
    ) -> Result<KeyRecord, KeyError> {
        let record = self.read_record(place, name, owner)?;
        let (name, owner) = (name.clone(), owner.clone());
        record.ok_or(KeyError::Unknown { name, owner })
    }

    pub(super) fn read_record(
        &self,
        place: &Place,
        name: &KeyName,
        owner: &KeyOwner,
    ) -> Result<Option<KeyRecord>, KeyError> {
        let strange = |what| KeyError::Format {
            path: place.record.clone(),
            what,
        };
        let Some(text) = self.files().read_text(&place.record, MAX_TEXT)? else {
            return Ok(None);
        };
        let record: KeyRecord =
            serde_json::from_str(&text).map_err(|_| strange("it is no record of a key"))?;
        if record.name != *name || record.owner != *owner {
            return Err(strange("it is the record of another key"));
        }
        Ok(Some(record))
    }

    pub(super) fn write_record(&self, place: &Place, record: &KeyRecord) -> Result<(), KeyError> {
        let text = serde_json::to_string_pretty(record).map_err(|_| KeyError::Format {
            path: place.record.clone(),
            what: "it cannot be written as JSON",
        })?;
        // Nobody could read it again.
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_TEXT {
            return Err(KeyError::Format {
                path: place.record.clone(),
                what: "it would be too large",
            });
        }
        self.files().write(&place.record, text.as_bytes())
    }

    pub(super) fn open_sealed(
        &self,
        place: &Place,
        record: &KeyRecord,
    ) -> Result<Secret, KeyError> {
        if let Some(forgotten) = &record.forgotten {
            return Err(KeyError::Forgotten {
                name: record.name.clone(),
                owner: record.owner.clone(),
                reason: forgotten.reason.clone(),
            });
        }
        let damaged = |what| KeyError::Damaged {
            path: place.sealed.clone(),
            what,
        };
        let sealed = self.files().read(&place.sealed, MAX_SEALED)?;
        let sealed = sealed.ok_or_else(|| damaged("it is gone"))?;
        let secret = self.sealer().open(&sealed, &place.sealed)?;
        if secret.fingerprint() != record.fingerprint {
            return Err(damaged("it holds another key than its record says"));
        }
        Ok(secret)
    }
}
