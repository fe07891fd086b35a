//! The derived tables, made anew from the events.
//!
//! Invariants: one transaction, so that a reader sees the old tables or the new ones; events, plans
//! and attachments are not touched; an event that does not fit stops it and leaves everything as it
//! was.

use std::path::Path;

use rusqlite::{Connection, Transaction};

use super::error::JournalError;
use super::lock::WriterLock;
use super::projection::{DERIVED_TABLES, project};
use super::schema::{self, Durability};
use super::stamp::StoredEvent;

/// Empties the derived tables and fills them from the events. Returns how many events there are.
///
/// # Errors
/// [`JournalError::InUse`] while a station writes to it; [`JournalError::Refused`] when an event does
/// not fit, which `verify` explains.
pub fn rebuild(path: impl AsRef<Path>) -> Result<u64, JournalError> {
    let path = path.as_ref();
    if let Err(source) = std::fs::metadata(path) {
        return Err(JournalError::Open {
            path: path.to_path_buf(),
            source: source.into(),
        });
    }
    let _lock = WriterLock::acquire(path)?;
    let mut db = schema::open_writer(path, Durability::Full)?;
    let writing = |error| JournalError::writing(&error);
    let transaction = db.transaction().map_err(writing)?;
    empty(&transaction).map_err(writing)?;
    let events = replay(&transaction, &transaction)?;
    transaction.commit().map_err(writing)?;
    Ok(events)
}

fn empty(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for table in DERIVED_TABLES {
        transaction.execute(&format!("DELETE FROM {table}"), [])?;
    }
    Ok(())
}

/// Projects every event of `from` into the derived tables of `into`.
pub(super) fn replay(from: &Connection, into: &Connection) -> Result<u64, JournalError> {
    let sql =
        "SELECT seq, at, elapsed_us, run, kind, body, prev_hash, hash FROM event ORDER BY seq";
    let reading = |error| JournalError::reading(&error);
    let mut statement = from.prepare(sql).map_err(reading)?;
    let mut rows = statement.query([]).map_err(reading)?;
    let mut events = 0;
    while let Some(row) = rows.next().map_err(reading)? {
        let event = StoredEvent::from_row(row).map_err(reading)?.event()?;
        project(into, &event).map_err(|error| {
            let error = JournalError::writing(&error);
            if let JournalError::Refused { what } = error {
                let what = format!("event {}: {what}", event.seq);
                return JournalError::Refused { what };
            }
            error
        })?;
        events += 1;
    }
    Ok(events)
}
