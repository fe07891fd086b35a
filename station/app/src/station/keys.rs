//! The sealed keys of this station: a folder beside the journal, opened the first time a key is needed.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use station_line::keys::KeyStore;

use super::Station;
use crate::operation::OperationError;

/// The key store, if it is open.
#[derive(Debug, Default)]
pub(super) struct OpenKeys(Mutex<Option<KeyStore>>);

impl Station {
    /// The folder of sealed keys, whether or not it exists.
    pub fn keys_path(&self) -> PathBuf {
        match &self.options.keys {
            Some(folder) => folder.clone(),
            None => self.journal_path().with_extension("keys"),
        }
    }

    /// Whether there are any keys: a store that only something is read from is not made.
    pub fn has_keys(&self) -> bool {
        self.keys_path().exists()
    }

    /// The key store. Made if it is not there.
    ///
    /// # Errors
    /// Those of the store: `key-store-permissions`, `key-store-io` …
    pub async fn keys(&self) -> Result<KeyStore, OperationError> {
        let open = |store: &OpenKeys| {
            store
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        if let Some(store) = open(&self.keys) {
            return Ok(store);
        }
        let folder = self.keys_path();
        let store = tokio::task::spawn_blocking(move || KeyStore::open(folder))
            .await
            .map_err(|error| OperationError::new("internal", error.to_string()))??;
        let mut place = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(place.get_or_insert(store).clone())
    }
}
