//! What is in a store, without opening any key.

use std::path::Path;

use super::error::KeyError;
use super::kind::{KeyName, KeyOwner};
use super::record::KeyRecord;
use super::seal::parse_recipients;
use super::store::{KeyStore, MAX_LISTED, MAX_TEXT, RECIPIENTS};
use crate::event::Mac;

impl KeyStore {
    /// Whether anybody but the station can open the keys that a store in this folder keeps from now
    /// on; the store itself is not opened, and need not be there.
    pub fn is_escrowed_in(folder: &Path) -> bool {
        let path = folder.join(RECIPIENTS);
        let small = std::fs::metadata(&path).is_ok_and(|found| found.len() <= MAX_TEXT);
        small
            && std::fs::read_to_string(&path).is_ok_and(|text| {
                parse_recipients(&text, &path).is_ok_and(|recipients| !recipients.is_empty())
            })
    }

    /// Returns what is known of every key, forgotten ones included, without opening any: shared ones
    /// first, then by unit.
    ///
    /// # Errors
    /// [`KeyError::Format`] for the first record that is none, [`KeyError::Io`].
    pub fn list(&self) -> Result<Vec<KeyRecord>, KeyError> {
        let mut records = Vec::new();
        self.list_owner(&KeyOwner::Shared, &mut records)?;
        let units = self.folder().join("units");
        for name in self.files().names(&units, MAX_LISTED)? {
            let Some(mac) = mac_of_folder(&name) else {
                return Err(KeyError::Format {
                    path: units.join(name),
                    what: "it is named after no unit",
                });
            };
            self.list_owner(&KeyOwner::Unit(mac), &mut records)?;
        }
        Ok(records)
    }

    fn list_owner(&self, owner: &KeyOwner, records: &mut Vec<KeyRecord>) -> Result<(), KeyError> {
        let path = self.folder_of(owner);
        for file in self.files().names(&path, MAX_LISTED)? {
            let Some(name) = file.strip_suffix(".json") else {
                continue;
            };
            let name = KeyName::parse(name).map_err(|_| KeyError::Format {
                path: path.join(&file),
                what: "it is named after no key",
            })?;
            records.extend(self.record(&name, owner)?);
        }
        Ok(())
    }
}

pub(super) fn mac_of_folder(name: &str) -> Option<Mac> {
    if name.len() != 12 || !name.is_ascii() {
        return None;
    }
    let pairs: Vec<&str> = (0..6).map(|pair| &name[pair * 2..pair * 2 + 2]).collect();
    Some(Mac::new(pairs.join(":"))).filter(Mac::is_valid)
}
