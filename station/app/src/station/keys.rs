//! The sealed keys of this station: a folder beside the journal, opened the first time a key is needed.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use chrono::Utc;
use station_line::journal::Journal;
use station_line::keys::{Custody, KeyStore};
use station_line::plan::Plan;

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

    /// Puts on record which keys were destroyed when a crash kept that from the journal.
    pub(super) async fn say_unsaid(&self, journal: &Journal) {
        if !KeyStore::is_unsaid_in(&self.keys_path()) {
            return;
        }
        let said = async {
            let store = self.keys().await?;
            Ok::<_, OperationError>(store.say_unsaid(journal, Utc::now()).await?)
        };
        // A journal can be used without keys; the marks stay until somebody can read them.
        if let Err(error) = said.await {
            tracing::warn!(code = %error.code, "the end of a key is not on record: {}", error.message);
        }
    }

    /// What to say where a plan's keys are escrowed to nobody but this station; nothing where they are
    /// escrowed, forgotten or not there.
    pub(crate) fn escrow_warning(&self, plan: &Plan) -> Option<String> {
        let mut steps = plan.contents().steps.iter();
        let keeps = steps.any(|step| {
            let key = step.action.key();
            key.is_some_and(|key| key.custody == Custody::Escrow)
        });
        keeps.then(|| self.own_escrow()).flatten()
    }

    /// What to say of an escrowed key while there is no recipient but the station itself.
    pub(crate) fn own_escrow(&self) -> Option<String> {
        let folder = self.keys_path();
        (!KeyStore::is_escrowed_in(&folder)).then(|| {
            format!(
                "ONLY THIS STATION CAN OPEN THE KEYS IT KEEPS: `{}` names nobody, so `escrow` seals them to the \
                 station alone, and they are lost with its disk; add age public keys, then `station keys escrow`",
                folder.join("recipients.txt").display()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use station_line::event::{EventKind, Seq};
    use station_line::keys::{Forgotten, KeyKind, KeyName, KeyOrder, KeyOwner, KeySource};
    use tempfile::TempDir;

    use super::*;
    use crate::station::StationOptions;

    fn station(folder: &TempDir) -> Station {
        let options = StationOptions {
            journal: Some(folder.path().join("line.db")),
            ..StationOptions::default()
        };
        Station::open(options).unwrap()
    }

    async fn ends(station: &Station) -> Vec<EventKind> {
        let events = station
            .read(|reader| Ok(reader.events_since(Seq(0), None, 1000)?))
            .await
            .unwrap();
        let kinds = events.into_iter().map(|event| event.kind);
        kinds
            .filter(|kind| matches!(kind, EventKind::KeyForgotten { .. }))
            .collect()
    }

    #[tokio::test]
    async fn the_end_of_a_key_that_a_crash_kept_from_the_record_is_said_at_the_next_start() {
        let folder = TempDir::new().unwrap();
        let first = station(&folder);
        let store = first.keys().await.unwrap();
        let (name, owner) = (KeyName::parse("flash").unwrap(), KeyOwner::Shared);
        let order = KeyOrder {
            name: name.clone(),
            owner: owner.clone(),
            kind: KeyKind::Hmac,
            custody: Custody::Forget,
            purpose: None,
            source: KeySource::Generate,
        };
        store.obtain(&order, Utc::now()).unwrap();
        drop(first.journal().await.unwrap());
        let end = Forgotten {
            at: Utc::now(),
            by: "anna".to_owned(),
            reason: "the chip has it".to_owned(),
        };
        store.forget(&name, &owner, end).unwrap();
        // Nothing more comes of this process.
        assert_eq!(ends(&first).await, []);
        drop(first);
        for _ in 0..2 {
            let next = station(&folder);
            drop(next.journal().await.unwrap());
            let said = ends(&next).await;
            let [EventKind::KeyForgotten { key, by, .. }] = said.as_slice() else {
                panic!("{said:?}");
            };
            assert_eq!((key.as_str(), by.as_str()), ("flash", "anna"));
        }
    }

    #[tokio::test]
    async fn a_station_that_alone_can_open_its_keys_says_so() {
        let folder = TempDir::new().unwrap();
        let station = station(&folder);
        let said = |station: &Station| station.own_escrow().is_some();
        assert!(said(&station), "there is no store yet");
        let store = station.keys().await.unwrap();
        assert!(said(&station));
        let recipients = store.folder().join("recipients.txt");
        std::fs::write(&recipients, "# nobody yet\n").unwrap();
        assert!(said(&station));
        let safe = KeyStore::open(folder.path().join("safe")).unwrap();
        std::fs::write(&recipients, format!("# safe\n{}\n", safe.recipient())).unwrap();
        assert!(!said(&station));
    }
}
