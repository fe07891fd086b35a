//! Copies of a journal: SQLite's online backup, and events as lines of JSON.
//!
//! Invariants: a backup is whole or not there, never overwrites a file, and can be made while a
//! station writes; it is a journal like its original.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::error::JournalError;
use super::reader::{MAX_EVENTS, Reader};
use crate::event::{RunId, Seq};

impl Reader {
    /// Copies the journal, as it stands at this moment, into a new file.
    ///
    /// # Errors
    /// [`JournalError::Exists`] when the file is there; [`JournalError::Write`] when it cannot be
    /// made, and nothing is left behind then.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<(), JournalError> {
        let to = to.as_ref();
        if to.exists() {
            return Err(JournalError::Exists {
                path: to.to_path_buf(),
            });
        }
        let folder = match to.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let open = |source| JournalError::Open {
            path: to.to_path_buf(),
            source: Arc::new(source),
        };
        let file = tempfile::Builder::new()
            .prefix(".backup-")
            .suffix(".db")
            .tempfile_in(&folder)
            .map_err(open)?;
        self.copy_into(file.path())?;
        file.as_file().sync_all().map_err(open)?;
        file.persist_noclobber(to).map_err(|error| {
            if error.error.kind() == std::io::ErrorKind::AlreadyExists {
                JournalError::Exists {
                    path: to.to_path_buf(),
                }
            } else {
                open(error.error)
            }
        })?;
        std::fs::File::open(&folder)
            .and_then(|folder| folder.sync_all())
            .map_err(open)
    }

    fn copy_into(&self, path: &Path) -> Result<(), JournalError> {
        let writing = |error| JournalError::writing(&error);
        let mut copy = Connection::open(path).map_err(writing)?;
        let source = self.connection();
        let backup = Backup::new(&source, &mut copy).map_err(writing)?;
        // All pages in one step: a step holds one snapshot, and in WAL mode it holds nobody up.
        if backup.step(-1).map_err(writing)? != StepResult::Done {
            let what = "backup was held up by another connection".to_owned();
            return Err(JournalError::Write { what });
        }
        drop(backup);
        // One file, without a write-ahead log beside it, until somebody writes to it.
        copy.pragma_update(None, "journal_mode", "DELETE")
            .map_err(writing)?;
        copy.close().map_err(|(_, error)| writing(error))
    }

    /// Writes events as lines of JSON, of one run or of all. Returns how many.
    ///
    /// # Errors
    /// [`JournalError::Write`] when `to` cannot be written; [`JournalError::Read`] and its kin.
    pub fn export(&self, run: Option<RunId>, to: &mut dyn Write) -> Result<u64, JournalError> {
        let writing = |error: std::io::Error| JournalError::Write {
            what: error.to_string(),
        };
        let mut after = Seq(0);
        let mut count = 0;
        loop {
            let events = self.events_since(after, run, MAX_EVENTS)?;
            let Some(last) = events.last() else { break };
            after = last.seq;
            for event in &events {
                serde_json::to_writer(&mut *to, event).map_err(|error| writing(error.into()))?;
                to.write_all(b"\n").map_err(writing)?;
                count += 1;
            }
        }
        to.flush().map_err(writing)?;
        Ok(count)
    }
}
