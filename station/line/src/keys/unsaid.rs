//! Destroyed keys that the journal has not heard of: a crash came between the tombstone and its event.
//!
//! Invariants: before a key becomes a tombstone, a mark in folder `unsaid` says that its end is still to
//! be put on record, and the mark goes only after that; so whoever looks next, at start-up or at the
//! key, makes up for it. A mark without a tombstone means that nothing had happened yet.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::error::KeyError;
use super::kind::{KeyName, KeyOwner};
use super::list::mac_of_folder;
use super::record::KeyRecord;
use super::store::{KeyStore, MAX_LISTED};
use crate::event::{AttemptId, EventKind};
use crate::journal::{Journal, JournalError};

/// Folder of the marks.
const MARKS: &str = "unsaid";

/// Owner of a shared key, in the name of a mark.
const SHARED: &str = "shared";

/// Why the end of a key could not be put on record.
#[derive(Clone, Debug, Error)]
pub enum UnsaidError {
    /// The key store does not answer.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The journal does not take it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The program ends.
    #[error("a question to the key store broke off")]
    Broken,
}

impl UnsaidError {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Keys(error) => error.code(),
            Self::Journal(error) => error.code(),
            Self::Broken => "internal",
        }
    }
}

impl KeyRecord {
    /// What the record says of the end of this key, if it has ended.
    pub fn end(&self, attempt: Option<AttemptId>) -> Option<EventKind> {
        let forgotten = self.forgotten.as_ref()?;
        Some(EventKind::KeyForgotten {
            attempt,
            key: self.name.to_string(),
            mac: self.owner.mac().cloned(),
            fingerprint: self.fingerprint.clone(),
            by: forgotten.by.clone(),
            reason: forgotten.reason.clone(),
        })
    }
}

impl KeyStore {
    /// Whether a store in this folder has anything unsaid; the store itself is not opened.
    pub fn is_unsaid_in(folder: &Path) -> bool {
        let marks = std::fs::read_dir(folder.join(MARKS));
        marks.is_ok_and(|mut marks| marks.next().is_some())
    }

    fn mark_of(&self, name: &KeyName, owner: &KeyOwner) -> PathBuf {
        let owner = match owner {
            KeyOwner::Shared => SHARED.to_owned(),
            KeyOwner::Unit(mac) => mac.as_str().replace(':', ""),
        };
        self.folder().join(MARKS).join(format!("{owner}.{name}"))
    }

    /// Marks a key that is about to be destroyed. The caller holds the turn.
    pub(super) fn mark(&self, name: &KeyName, owner: &KeyOwner) -> Result<(), KeyError> {
        self.files().make(&self.folder().join(MARKS))?;
        self.files().write(&self.mark_of(name, owner), b"")
    }

    /// Returns the destroyed keys whose end is not on record yet, as far as the store knows.
    ///
    /// # Errors
    /// [`KeyError::Format`] for a mark that names no key, [`KeyError::Io`].
    pub fn unsaid(&self) -> Result<Vec<KeyRecord>, KeyError> {
        let folder = self.folder().join(MARKS);
        let mut unsaid = Vec::new();
        for mark in self.files().names(&folder, MAX_LISTED)? {
            // Cut off while it was written.
            if mark.ends_with(".new") {
                continue;
            }
            let (name, owner) = marked(&mark).ok_or_else(|| KeyError::Format {
                path: folder.join(&mark),
                what: "it is named after no key",
            })?;
            unsaid.extend(self.unsaid_of(&name, &owner)?);
        }
        Ok(unsaid)
    }

    /// Returns the record of a destroyed key if its end is not on record yet. What a crash left of
    /// the key itself is destroyed by then.
    ///
    /// # Errors
    /// [`KeyError::Format`], [`KeyError::Io`].
    pub fn unsaid_of(
        &self,
        name: &KeyName,
        owner: &KeyOwner,
    ) -> Result<Option<KeyRecord>, KeyError> {
        let _turn = self.files().turn()?;
        let mark = self.mark_of(name, owner);
        if self.files().read(&mark, 0)?.is_none() {
            return Ok(None);
        }
        let record = self.record(name, owner)?;
        match record.filter(|record| record.forgotten.is_some()) {
            Some(record) => {
                self.destroy_sealed(name, owner)?;
                Ok(Some(record))
            }
            None => {
                // Nothing had happened when it was cut off.
                self.files().destroy(&mark)?;
                Ok(None)
            }
        }
    }

    /// Learns that the end of a key is on record.
    ///
    /// # Errors
    /// [`KeyError::Io`]; then it is said again later, which changes nothing.
    pub fn said(&self, record: &KeyRecord) -> Result<(), KeyError> {
        let _turn = self.files().turn()?;
        self.files()
            .destroy(&self.mark_of(&record.name, &record.owner))
    }

    /// Puts on record what was destroyed and is not said yet. Returns how many keys that were.
    ///
    /// # Errors
    /// Whatever keeps the store from answering or the journal from recording; what is still unsaid
    /// then is said by the next call.
    pub async fn say_unsaid(
        &self,
        journal: &Journal,
        at: DateTime<Utc>,
    ) -> Result<usize, UnsaidError> {
        let (store, known) = (self.clone(), journal.clone());
        let unsaid = away(move || {
            let mut unsaid = Vec::new();
            for record in store.unsaid()? {
                if is_said(&known, &record)? {
                    store.said(&record)?;
                } else {
                    unsaid.push(record);
                }
            }
            Ok(unsaid)
        })
        .await?;
        let count = unsaid.len();
        for record in unsaid {
            if let Some(end) = record.end(None) {
                journal.note(at, end).await?;
            }
            let store = self.clone();
            away(move || Ok(store.said(&record)?)).await?;
        }
        Ok(count)
    }
}

/// Whether the journal has the end of this key: a crash may have come just after it did.
///
/// # Errors
/// [`JournalError::Read`] and its kin.
pub(crate) fn is_said(journal: &Journal, record: &KeyRecord) -> Result<bool, JournalError> {
    journal.reader()?.has_forgotten(
        record.name.as_str(),
        record.owner.mac(),
        &record.fingerprint,
    )
}

async fn away<T: Send + 'static>(
    question: impl FnOnce() -> Result<T, UnsaidError> + Send + 'static,
) -> Result<T, UnsaidError> {
    tokio::task::spawn_blocking(question)
        .await
        .map_err(|_| UnsaidError::Broken)?
}

fn marked(mark: &str) -> Option<(KeyName, KeyOwner)> {
    let (owner, name) = mark.split_once('.')?;
    let owner = match owner {
        SHARED => KeyOwner::Shared,
        digits => KeyOwner::Unit(mac_of_folder(digits)?),
    };
    Some((KeyName::parse(name).ok()?, owner))
}
