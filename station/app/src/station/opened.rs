//! The journal of this process, opened for writing at most once at a time.
//!
//! Invariants: however many ask at once, one opens and the others wait for it; whoever asks and goes away
//! meanwhile leaves it open for the next, and never half open; a journal that was lost is opened anew.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use station_line::journal::{CrashPoint, Health, Journal, JournalError, OpenOptions};

use crate::operation::OperationError;

/// The journal, if it is open.
#[derive(Debug, Default)]
pub(super) struct OpenJournal {
    journal: Mutex<Option<Journal>>,
    opening: Arc<tokio::sync::Mutex<()>>,
}

impl OpenJournal {
    /// The journal, if it is open and can still be written.
    pub(super) fn get(&self) -> Option<Journal> {
        let journal = self
            .journal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        journal.filter(|journal| matches!(*journal.health().borrow(), Health::Sound))
    }

    /// Opens it, unless it is open.
    ///
    /// # Errors
    /// Those of the journal.
    pub(super) async fn open(
        self: &Arc<Self>,
        path: PathBuf,
        crash: Option<CrashPoint>,
    ) -> Result<Journal, OperationError> {
        let turn = Arc::clone(&self.opening).lock_owned().await;
        if let Some(journal) = self.get() {
            return Ok(journal);
        }
        let place = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            // What is left of a lost journal holds the file; runs that recorded in it have their own hold.
            place.close();
            let journal = Journal::open(
                &path,
                &OpenOptions {
                    crash,
                    ..OpenOptions::default()
                },
            )?;
            // Nothing of it is returned: an answer that nobody waits for would hold the file a while
            // longer than this turn lasts.
            *place.journal.lock().unwrap_or_else(PoisonError::into_inner) = Some(journal);
            Ok::<(), JournalError>(())
        })
        .await
        .map_err(|error| {
            OperationError::new(
                "internal",
                format!("opening the journal broke off: {error}"),
            )
        })??;
        Ok(self.get().ok_or(JournalError::Closed)?)
    }

    /// Lets go of it. The file is closed when nobody else writes any more.
    pub(super) fn close(&self) {
        let journal = self
            .journal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(journal);
    }
}
