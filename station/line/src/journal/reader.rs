//! Reading a journal, while a station writes to it or long after.
//!
//! Invariants: a reader cannot change anything, needs no lock, and never holds the writer up; every
//! answer is bounded by a limit the caller gives or a constant here.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::{PlanRecord, Standing};
use super::error::JournalError;
use super::stamp::{Head, StoredEvent, parse_time, time_text};
use super::{schema, statements};
use crate::event::{BayName, Event, Mac, PlanId, RunId, Seq};
use crate::outcome::Outcome;

/// Most events one question returns.
pub const MAX_EVENTS: usize = 10_000;

/// A read-only connection to a journal.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    db: Mutex<Connection>,
}

/// Which journal it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// Random, made with the journal, 32 hex digits.
    pub journal_id: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Number of its schema.
    pub schema_version: i64,
}

impl Reader {
    /// Opens an existing journal.
    ///
    /// # Errors
    /// [`JournalError::Open`] when there is none, [`JournalError::Foreign`],
    /// [`JournalError::Newer`], [`JournalError::Corrupt`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref().to_path_buf();
        let db = Mutex::new(schema::open_reader(&path)?);
        Ok(Self { path, db })
    }

    /// Returns the database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns which journal it is.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn identity(&self) -> Result<Identity, JournalError> {
        let sql = "SELECT journal_id, created_at, (SELECT user_version FROM pragma_user_version)
                   FROM journal";
        self.ask(|db| {
            db.query_row(sql, [], |row| {
                Ok(Identity {
                    journal_id: row.get(0)?,
                    created_at: time_at(row, 1)?,
                    schema_version: row.get(2)?,
                })
            })
        })
    }

    /// Returns the end of the chain.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] when the last row does not match its hash.
    pub fn head(&self) -> Result<Head, JournalError> {
        statements::read_head(&self.connection())
    }

    /// Returns events after a number, of one run or of all, in order; at most `limit` and never more
    /// than [`MAX_EVENTS`].
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn events_since(
        &self,
        after: Seq,
        run: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Event>, JournalError> {
        let limit = limit.min(MAX_EVENTS);
        let rows = self.ask(|db| match run {
            None => {
                let sql = "SELECT seq, at, elapsed_us, run, kind, body, prev_hash, hash FROM event
                           WHERE seq > ?1 ORDER BY seq LIMIT ?2";
                let mut statement = db.prepare_cached(sql)?;
                let rows = statement.query_map(params![after.0, limit], StoredEvent::from_row)?;
                rows.collect::<rusqlite::Result<Vec<_>>>()
            }
            Some(run) => {
                let sql = "SELECT seq, at, elapsed_us, run, kind, body, prev_hash, hash FROM event
                           WHERE run = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2";
                let mut statement = db.prepare_cached(sql)?;
                let given = params![after.0, limit, run.0];
                let rows = statement.query_map(given, StoredEvent::from_row)?;
                rows.collect()
            }
        })?;
        rows.iter().map(StoredEvent::event).collect()
    }

    /// Returns a recorded plan.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn plan(&self, id: &PlanId) -> Result<Option<PlanRecord>, JournalError> {
        let sql = "SELECT id, product, revision, text, images, station FROM plan WHERE id = ?1";
        self.ask(|db| {
            db.prepare_cached(sql)?
                .query_row(params![id.as_str()], |row| {
                    let images: String = row.get(4)?;
                    let images = serde_json::from_str(&images).map_err(|error| {
                        let text = rusqlite::types::Type::Text;
                        rusqlite::Error::FromSqlConversionFailure(4, text, error.into())
                    })?;
                    Ok(PlanRecord {
                        id: PlanId::new(row.get::<_, String>(0)?),
                        product: row.get(1)?,
                        revision: row.get(2)?,
                        text: row.get(3)?,
                        images,
                        station: row.get(5)?,
                    })
                })
                .optional()
        })
    }

    /// Returns the bytes of an attachment.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn attachment(&self, sha256: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.ask(|db| {
            db.prepare_cached("SELECT bytes FROM blob WHERE sha256 = ?1")?
                .query_row(params![sha256], |row| row.get(0))
                .optional()
        })
    }

    /// Returns how a unit and its product stand, as far as is durable.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn standing(
        &self,
        mac: &Mac,
        product: &str,
        revision: Option<&str>,
    ) -> Result<Standing, JournalError> {
        let revision = revision.unwrap_or("");
        self.ask(|db| statements::standing(db, mac.as_str(), product, revision))
    }

    /// Returns the last unit that said who it is in a bay, and whether that attempt passed; nobody
    /// if that unit is, or was since, in another bay: then it is not what is in this one.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub(crate) fn last_in(&self, bay: &BayName) -> Result<Option<(Mac, bool)>, JournalError> {
        // An attempt elsewhere that is still open may have begun before the unit was moved there.
        let sql = "SELECT mac, outcome, EXISTS (
                       SELECT 1 FROM attempt AS other
                       WHERE other.mac = attempt.mac AND other.bay <> attempt.bay
                           AND (other.attempt > attempt.attempt OR other.outcome IS NULL))
                   FROM attempt WHERE bay = ?1 AND mac IS NOT NULL
                   ORDER BY attempt DESC LIMIT 1";
        let last = self.ask(|db| {
            db.query_row(sql, [bay.as_str()], |row| {
                let outcome: Option<String> = row.get(1)?;
                let passed = outcome.as_deref() == Some(Outcome::Pass.word());
                let elsewhere: bool = row.get(2)?;
                Ok((!elsewhere).then_some((Mac::new(row.get::<_, String>(0)?), passed)))
            })
            .optional()
        })?;
        Ok(last.flatten())
    }

    /// Returns the bay in which an attempt with a unit is open, if one is.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn under_way(&self, mac: &Mac) -> Result<Option<BayName>, JournalError> {
        let sql = "SELECT bay FROM attempt WHERE mac = ?1 AND outcome IS NULL LIMIT 1";
        self.ask(|db| {
            db.query_row(sql, [mac.as_str()], |row| {
                Ok(BayName::new(row.get::<_, String>(0)?))
            })
            .optional()
        })
    }

    /// Asks one question.
    pub(crate) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        question(&self.connection()).map_err(|error| JournalError::reading(&error))
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A question that panicked has changed nothing: the connection is read-only.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a column that holds a time.
pub(crate) fn time_at(row: &Row<'_>, column: usize) -> rusqlite::Result<DateTime<Utc>> {
    let text: String = row.get(column)?;
    parse_time(&text).ok_or_else(|| {
        let error = format!("`{text}` is no time").into();
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, error)
    })
}

/// Reads a column that holds a time or nothing.
pub(crate) fn optional_time_at(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    if row.get_ref(column)? == rusqlite::types::ValueRef::Null {
        return Ok(None);
    }
    time_at(row, column).map(Some)
}

/// A time as a column holds it, for comparisons.
pub(crate) fn time_column(at: DateTime<Utc>) -> String {
    time_text(at)
}
