//! Which keys were sealed and forgotten, and which units wait for a person, as the journal has it.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::JournalError;
use super::reader::{Reader, optional_time_at, time_at};
use crate::event::{AttemptId, Mac};

/// A key that was sealed under this journal; never the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyRow {
    /// Its name.
    pub name: String,
    /// Whose it is; nobody's own: shared.
    pub mac: Option<Mac>,
    /// What kind of key; empty when it was forgotten without having been sealed under this journal.
    pub kind: String,
    /// Key purpose it is burned with.
    pub purpose: Option<String>,
    /// A name for its bytes that gives nothing away.
    pub fingerprint: String,
    /// `escrow` or `forget`.
    pub custody: String,
    /// When it was sealed first.
    pub sealed_at: Option<DateTime<Utc>>,
    /// When it was forgotten.
    pub forgotten_at: Option<DateTime<Utc>>,
    /// Why.
    pub reason: Option<String>,
}

/// A unit that waits, or waited, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineRow {
    /// Which unit.
    pub mac: Mac,
    /// Why it waits.
    #[serde(flatten)]
    pub quarantine: Quarantine,
    /// When a person let it go on.
    pub released_at: Option<DateTime<Utc>>,
    /// Who.
    pub released_by: Option<String>,
    /// Why.
    pub released_reason: Option<String>,
}

/// Why a unit waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quarantine {
    /// Stable code.
    pub code: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The attempt that found out, if one did.
    pub attempt: Option<AttemptId>,
}

/// What keeps a unit waiting, if something does: the first reason since a person last looked.
pub(super) fn quarantine_of(db: &Connection, mac: &str) -> rusqlite::Result<Option<Quarantine>> {
    let sql = "SELECT code, reason, since_at, attempt FROM quarantine
               WHERE mac = ?1 AND released_at IS NULL ORDER BY since_seq LIMIT 1";
    db.prepare_cached(sql)?
        .query_row(params![mac], |row| quarantine_at(row, 0))
        .optional()
}

fn quarantine_at(row: &Row<'_>, first: usize) -> rusqlite::Result<Quarantine> {
    Ok(Quarantine {
        code: row.get(first)?,
        reason: row.get(first + 1)?,
        since: time_at(row, first + 2)?,
        attempt: row.get::<_, Option<u64>>(first + 3)?.map(AttemptId),
    })
}

impl Reader {
    /// Returns the keys of a unit, or of all, by name, at most `limit`.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn keys(&self, mac: Option<&Mac>, limit: usize) -> Result<Vec<KeyRow>, JournalError> {
        let sql = "SELECT name, owner, kind, purpose, fingerprint, custody, sealed_at,
                       forgotten_at, reason
                   FROM key WHERE ?1 IS NULL OR owner = ?1 ORDER BY owner, name LIMIT ?2";
        self.ask(|db| {
            let mut statement = db.prepare_cached(sql)?;
            let given = params![mac.map(Mac::as_str), limit.min(super::MAX_EVENTS)];
            let rows = statement.query_map(given, |row| {
                let owner: String = row.get(1)?;
                Ok(KeyRow {
                    name: row.get(0)?,
                    mac: (owner != "shared").then(|| Mac::new(owner)),
                    kind: row.get(2)?,
                    purpose: row.get(3)?,
                    fingerprint: row.get(4)?,
                    custody: row.get(5)?,
                    sealed_at: optional_time_at(row, 6)?,
                    forgotten_at: optional_time_at(row, 7)?,
                    reason: row.get(8)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Whether it is on record that a key was destroyed.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub(crate) fn has_forgotten(
        &self,
        name: &str,
        mac: Option<&Mac>,
        fingerprint: &str,
    ) -> Result<bool, JournalError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM key WHERE name = ?1 AND owner = ?2
                       AND fingerprint = ?3 AND forgotten_at IS NOT NULL)";
        let owner = mac.map_or("shared", Mac::as_str);
        self.ask(|db| db.query_row(sql, params![name, owner, fingerprint], |row| row.get(0)))
    }

    /// Returns why a unit waits for a person, if it does.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn quarantine(&self, mac: &Mac) -> Result<Option<Quarantine>, JournalError> {
        self.ask(|db| quarantine_of(db, mac.as_str()))
    }

    /// Returns the quarantines, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn quarantines(&self, limit: usize) -> Result<Vec<QuarantineRow>, JournalError> {
        let sql = "SELECT mac, code, reason, since_at, attempt, released_at, released_by,
                       released_reason
                   FROM quarantine ORDER BY since_seq DESC LIMIT ?1";
        self.ask(|db| {
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map(params![limit.min(super::MAX_EVENTS)], |row| {
                Ok(QuarantineRow {
                    mac: Mac::new(row.get::<_, String>(0)?),
                    quarantine: quarantine_at(row, 1)?,
                    released_at: optional_time_at(row, 5)?,
                    released_by: row.get(6)?,
                    released_reason: row.get(7)?,
                })
            })?;
            rows.collect()
        })
    }
}
