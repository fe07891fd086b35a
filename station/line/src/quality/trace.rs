//! Everything about one unit.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::filter::{collect, plain_mac};
use super::rows::{AttachmentRow, AttemptRow, MeasurementRow, SerialRow, StepRow, UnitRow};
use crate::journal::{JournalError, Reader};

/// Attempts of one unit that a trace tells of, the latest.
pub const MAX_TRACED_ATTEMPTS: usize = 200;

/// Rows of one kind in one attempt that a trace tells of.
const MAX_TRACED_ROWS: i64 = 10_000;

/// Everything about one unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnitTrace {
    /// The unit.
    pub unit: UnitRow,
    /// Every serial number it has or had.
    pub serials: Vec<SerialRow>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptTrace>,
    /// Whether there are older attempts than those told of.
    pub more: bool,
}

/// One attempt with all it contains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptTrace {
    /// The attempt.
    pub attempt: AttemptRow,
    /// Every try of every step, in order.
    pub steps: Vec<StepRow>,
    /// Every measurement, in order.
    pub measurements: Vec<MeasurementRow>,
    /// Every attachment, in order, without bytes.
    pub attachments: Vec<AttachmentRow>,
}

/// Returns everything about the unit with this MAC or serial number, or `None` if there is none.
///
/// # Errors
/// [`JournalError::Read`] and its kin.
pub fn unit_trace(reader: &Reader, name: &str) -> Result<Option<UnitTrace>, JournalError> {
    reader.ask(|db| match find(db, name)? {
        Some(mac) => trace(db, &mac).map(Some),
        None => Ok(None),
    })
}

fn find(db: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached(
        "SELECT mac FROM unit WHERE mac = ?1
         UNION ALL SELECT mac FROM serial WHERE serial = ?2 AND mac IS NOT NULL LIMIT 1",
    )?
    .query_row([plain_mac(name), name.trim().to_owned()], |row| row.get(0))
    .optional()
}

fn trace(db: &Connection, mac: &str) -> rusqlite::Result<UnitTrace> {
    let named = || vec![Value::from(mac.to_owned())];
    let unit = db
        .prepare_cached(&format!("{} WHERE unit.mac = ?1", UnitRow::SELECT))?
        .query_row([mac], UnitRow::read)?;
    let sql = format!(
        "{} WHERE serial.mac = ?1 ORDER BY reserved_at, serial.serial LIMIT {MAX_TRACED_ROWS}",
        SerialRow::SELECT
    );
    let serials = collect(db, &sql, named(), SerialRow::read)?;
    let sql = format!(
        "{} WHERE attempt.mac = ?1 ORDER BY attempt DESC LIMIT {}",
        AttemptRow::SELECT,
        MAX_TRACED_ATTEMPTS + 1
    );
    let mut rows = collect(db, &sql, named(), AttemptRow::read)?;
    let more = rows.len() > MAX_TRACED_ATTEMPTS;
    rows.truncate(MAX_TRACED_ATTEMPTS);
    rows.reverse();
    let attempts = rows.into_iter().map(|attempt| trace_attempt(db, attempt));
    Ok(UnitTrace {
        unit,
        serials,
        attempts: attempts.collect::<rusqlite::Result<_>>()?,
        more,
    })
}

fn trace_attempt(db: &Connection, attempt: AttemptRow) -> rusqlite::Result<AttemptTrace> {
    let number = || {
        vec![Value::from(
            i64::try_from(attempt.attempt).unwrap_or(i64::MAX),
        )]
    };
    let within = |select: &str, table: &str, order: &str| {
        format!(
            "{select} WHERE {table}.attempt = ?1 ORDER BY {table}.{order} LIMIT {MAX_TRACED_ROWS}"
        )
    };
    let steps = within(StepRow::SELECT, "step", "started_seq");
    let measurements = within(MeasurementRow::SELECT, "measurement", "seq");
    let attachments = within(AttachmentRow::SELECT, "attachment", "seq");
    Ok(AttemptTrace {
        steps: collect(db, &steps, number(), StepRow::read)?,
        measurements: collect(db, &measurements, number(), MeasurementRow::read)?,
        attachments: collect(db, &attachments, number(), AttachmentRow::read)?,
        attempt,
    })
}
