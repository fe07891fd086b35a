//! Which part of the record a question is about.

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::RunId;
use crate::journal::{JournalError, Reader, time_column};

/// Most rows one question returns.
pub const MAX_ROWS: usize = 100_000;

/// Which part of the record a question is about. Everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// This run.
    pub run: Option<RunId>,
    /// Runs of this lot.
    pub lot: Option<String>,
    /// This bay.
    pub bay: Option<String>,
    /// Runs of this product.
    pub product: Option<String>,
    /// This unit, by its chip's MAC in any usual form.
    pub mac: Option<String>,
    /// Attempts started at or after this time.
    pub since: Option<DateTime<Utc>>,
    /// Attempts started before this time.
    pub until: Option<DateTime<Utc>>,
    /// At most this many rows, the latest; never more than [`MAX_ROWS`].
    pub limit: Option<usize>,
}

/// Rows, and whether there were more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rows<T> {
    /// The rows, oldest first.
    pub rows: Vec<T>,
    /// Whether the limit cut off older ones.
    pub more: bool,
}

/// Conditions in SQL with their values.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    clauses: Vec<&'static str>,
    values: Vec<Value>,
}

impl Conditions {
    pub(super) fn add(&mut self, clause: &'static str, value: impl Into<Value>) {
        self.clauses.push(clause);
        self.values.push(value.into());
    }

    /// Adds a condition without a value.
    pub(super) fn require(&mut self, clause: &'static str) {
        self.clauses.push(clause);
    }

    /// The values alone, for a statement that has its clauses in it already.
    pub(super) fn bound(&self) -> Self {
        Self {
            clauses: Vec::new(),
            values: self.values.clone(),
        }
    }

    /// `WHERE …`, or nothing.
    pub(super) fn sql(&self) -> String {
        if self.clauses.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.clauses.join(" AND "))
        }
    }

    pub(super) fn values(&self) -> Vec<Value> {
        self.values.clone()
    }
}

impl Filter {
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(MAX_ROWS).min(MAX_ROWS)
    }

    /// Conditions for a statement that names `run` and `attempt`.
    pub(super) fn on_attempts(&self) -> Conditions {
        let mut conditions = self.on_runs();
        if let Some(bay) = &self.bay {
            conditions.add("attempt.bay = ?", bay.clone());
        }
        if let Some(mac) = &self.mac {
            conditions.add("attempt.mac = ?", plain_mac(mac));
        }
        if let Some(since) = self.since {
            conditions.add("attempt.started_at >= ?", time_column(since));
        }
        if let Some(until) = self.until {
            conditions.add("attempt.started_at < ?", time_column(until));
        }
        conditions
    }

    /// Conditions for a statement that names `run`; bay, unit and time are left out.
    pub(super) fn on_runs(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(run) = self.run {
            conditions.add("run.run = ?", i64::try_from(run.0).unwrap_or(i64::MAX));
        }
        if let Some(lot) = &self.lot {
            conditions.add("run.lot = ?", lot.clone());
        }
        if let Some(product) = &self.product {
            conditions.add("run.product = ?", product.clone());
        }
        conditions
    }
}

/// A MAC in the journal's form, from colons, dashes or nothing between its digits, in either case.
pub(super) fn plain_mac(text: &str) -> String {
    let lower = text.trim().to_ascii_lowercase();
    let digits: String = lower.chars().filter(|c| !matches!(c, ':' | '-')).collect();
    if digits.len() != 12 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return lower;
    }
    let pairs: Vec<_> = digits
        .as_bytes()
        .chunks(2)
        .map(String::from_utf8_lossy)
        .collect();
    pairs.join(":")
}

/// Reads the latest rows: `select` with the conditions, ordered by `key`.
pub(super) fn latest<T>(
    reader: &Reader,
    (select, key): (&str, &str),
    conditions: &Conditions,
    limit: usize,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Rows<T>, JournalError> {
    let sql = format!("{select} {} ORDER BY {key} DESC LIMIT ?", conditions.sql());
    let mut values = conditions.values();
    values.push(Value::from(
        i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
    ));
    let mut rows = reader.ask(|db| collect(db, &sql, values, read))?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    rows.reverse();
    Ok(Rows { rows, more })
}

/// Reads every row of a statement that bounds itself.
pub(super) fn collect<T>(
    db: &Connection,
    sql: &str,
    values: Vec<Value>,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    db.prepare_cached(sql)?
        .query_map(params_from_iter(values), read)?
        .collect()
}
