//! Rows of reports: flat, named as the journal's columns, in the order a table shows them.

use chrono::{DateTime, Utc};
use rusqlite::Row;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::journal::{optional_time_at, time_at};

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunRow {
    /// Its number.
    pub run: u64,
    /// Product made.
    pub product: String,
    /// Revision of the product; empty when it has none.
    pub revision: String,
    /// Lot, if one was given.
    pub lot: Option<String>,
    /// Operator, if one was given.
    pub operator: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; nothing while it is open.
    pub finished_at: Option<DateTime<Utc>>,
    /// Attempts that passed.
    pub pass: u64,
    /// Attempts that failed.
    pub fail: u64,
    /// Attempts the station could not judge.
    pub error: u64,
    /// Attempts somebody stopped.
    pub aborted: u64,
    /// How many units were asked for.
    pub units: Option<u64>,
    /// Why it ended early, if it did.
    pub reason: Option<String>,
    /// Plan it ran.
    pub plan: String,
    /// Version of the station.
    pub station: String,
}

impl RunRow {
    /// While a run is open its tally is counted from its attempts.
    pub(super) const SELECT: &'static str = "
        SELECT run.run, product, revision, lot, operator, started_at, finished_at,
            iif(finished_at IS NULL, (SELECT count(*) FROM attempt AS a
                WHERE a.run = run.run AND a.outcome = 'pass'), pass),
            iif(finished_at IS NULL, (SELECT count(*) FROM attempt AS a
                WHERE a.run = run.run AND a.outcome = 'fail'), fail),
            iif(finished_at IS NULL, (SELECT count(*) FROM attempt AS a
                WHERE a.run = run.run AND a.outcome = 'error'), error),
            iif(finished_at IS NULL, (SELECT count(*) FROM attempt AS a
                WHERE a.run = run.run AND a.outcome = 'aborted'), aborted),
            units, reason, plan, station
        FROM run";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            run: row.get(0)?,
            product: row.get(1)?,
            revision: row.get(2)?,
            lot: row.get(3)?,
            operator: row.get(4)?,
            started_at: time_at(row, 5)?,
            finished_at: optional_time_at(row, 6)?,
            pass: row.get(7)?,
            fail: row.get(8)?,
            error: row.get(9)?,
            aborted: row.get(10)?,
            units: row.get(11)?,
            reason: row.get(12)?,
            plan: row.get(13)?,
            station: row.get(14)?,
        })
    }
}

/// One unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnitRow {
    /// MAC of its chip.
    pub mac: String,
    /// Serial number bound last and not void.
    pub serial: Option<String>,
    /// Chip name.
    pub chip: String,
    /// Chip revision.
    pub revision: String,
    /// Flash size in bytes.
    pub flash_size: Option<u64>,
    /// When it was seen first.
    pub first_seen_at: DateTime<Utc>,
    /// When it was seen last.
    pub last_seen_at: DateTime<Utc>,
    /// Attempts on it.
    pub attempts: u64,
    /// How the latest ended; nothing before the first end.
    pub last_outcome: Option<String>,
}

impl UnitRow {
    pub(super) const SELECT: &'static str = "
        SELECT unit.mac,
            (SELECT serial FROM serial WHERE serial.mac = unit.mac AND state <> 'void'
                ORDER BY serial.attempt DESC, serial LIMIT 1),
            chip, revision, flash_size, first_seen_at, last_seen_at, attempts, last_outcome
        FROM unit";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            mac: row.get(0)?,
            serial: row.get(1)?,
            chip: row.get(2)?,
            revision: row.get(3)?,
            flash_size: row.get(4)?,
            first_seen_at: time_at(row, 5)?,
            last_seen_at: time_at(row, 6)?,
            attempts: row.get(7)?,
            last_outcome: row.get(8)?,
        })
    }
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptRow {
    /// Its number.
    pub attempt: u64,
    /// Its run.
    pub run: u64,
    /// Where.
    pub bay: String,
    /// The unit, once known.
    pub mac: Option<String>,
    /// Its serial number, once bound.
    pub serial: Option<String>,
    /// How it ended: `pass`, `fail`, `error`, `aborted`; nothing while it is open.
    pub outcome: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How long it took, in microseconds.
    pub took_us: Option<u64>,
    /// The step that decided it.
    pub failed_step: Option<String>,
    /// Class of the failure that decided it.
    pub class: Option<String>,
    /// Its code.
    pub code: Option<String>,
    /// What it says.
    pub message: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Product made.
    pub product: String,
    /// Lot, if one was given.
    pub lot: Option<String>,
}

impl AttemptRow {
    pub(super) const SELECT: &'static str = "
        SELECT attempt, attempt.run, bay, mac, serial, outcome, attempt.started_at,
            attempt.finished_at, took_us, failed_step, class, code, message, hint, product, lot
        FROM attempt JOIN run ON run.run = attempt.run";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            attempt: row.get(0)?,
            run: row.get(1)?,
            bay: row.get(2)?,
            mac: row.get(3)?,
            serial: row.get(4)?,
            outcome: row.get(5)?,
            started_at: time_at(row, 6)?,
            finished_at: optional_time_at(row, 7)?,
            took_us: row.get(8)?,
            failed_step: row.get(9)?,
            class: row.get(10)?,
            code: row.get(11)?,
            message: row.get(12)?,
            hint: row.get(13)?,
            product: row.get(14)?,
            lot: row.get(15)?,
        })
    }
}

/// One try of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepRow {
    /// Its attempt.
    pub attempt: u64,
    /// Its name.
    pub step: String,
    /// Which try, from 1.
    pub try_number: u32,
    /// How it ended; nothing while it is open.
    pub outcome: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took, in microseconds.
    pub took_us: Option<u64>,
    /// Class of its failure.
    pub class: Option<String>,
    /// Code of its failure.
    pub code: Option<String>,
    /// What the failure says.
    pub message: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The unit, once known.
    pub mac: Option<String>,
    /// Where.
    pub bay: String,
}

impl StepRow {
    pub(super) const SELECT: &'static str = "
        SELECT step.attempt, step, try_number, step.outcome, step.started_at, step.took_us,
            step.class, step.code, step.message, step.hint, attempt.mac, attempt.bay
        FROM step JOIN attempt ON attempt.attempt = step.attempt
            JOIN run ON run.run = attempt.run";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            attempt: row.get(0)?,
            step: row.get(1)?,
            try_number: row.get(2)?,
            outcome: row.get(3)?,
            started_at: time_at(row, 4)?,
            took_us: row.get(5)?,
            class: row.get(6)?,
            code: row.get(7)?,
            message: row.get(8)?,
            hint: row.get(9)?,
            mac: row.get(10)?,
            bay: row.get(11)?,
        })
    }
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MeasurementRow {
    /// Number of the event that recorded it.
    pub seq: u64,
    /// Its attempt.
    pub attempt: u64,
    /// Its step.
    pub step: String,
    /// Which try of the step.
    pub try_number: u32,
    /// Its name.
    pub name: String,
    /// The value, if it is a number.
    pub number: Option<f64>,
    /// The value, if it is text.
    pub text: Option<String>,
    /// Unit of the value and its limits.
    pub unit: Option<String>,
    /// Smallest good number.
    pub min: Option<f64>,
    /// Largest good number.
    pub max: Option<f64>,
    /// The one good value.
    pub equals: Option<String>,
    /// How it was judged: `pass`, `fail`, `recorded`.
    pub verdict: String,
    /// The unit, once known.
    pub mac: Option<String>,
    /// Serial number of the attempt, once it ended.
    pub serial: Option<String>,
    /// Where.
    pub bay: String,
}

impl MeasurementRow {
    pub(super) const SELECT: &'static str = "
        SELECT measurement.seq, measurement.attempt, step, try_number, name, number, text, unit,
            min, max, equals, verdict, attempt.mac, attempt.serial, attempt.bay
        FROM measurement JOIN attempt ON attempt.attempt = measurement.attempt
            JOIN run ON run.run = attempt.run";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            attempt: row.get(1)?,
            step: row.get(2)?,
            try_number: row.get(3)?,
            name: row.get(4)?,
            number: row.get(5)?,
            text: row.get(6)?,
            unit: row.get(7)?,
            min: row.get(8)?,
            max: row.get(9)?,
            equals: row.get(10)?,
            verdict: row.get(11)?,
            mac: row.get(12)?,
            serial: row.get(13)?,
            bay: row.get(14)?,
        })
    }
}

/// One serial number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SerialRow {
    /// The number.
    pub serial: String,
    /// Its pool.
    pub pool: String,
    /// Which one of its pool, from 1.
    pub position: u64,
    /// `reserved`, `bound`, `committed` or `void`.
    pub state: String,
    /// Whose it is.
    pub mac: Option<String>,
    /// When it was reserved.
    pub reserved_at: DateTime<Utc>,
    /// The latest attempt that used it.
    pub attempt: u64,
    /// Why it is void.
    pub reason: Option<String>,
}

impl SerialRow {
    pub(super) const SELECT: &'static str = "
        SELECT serial.serial, pool, position, state, serial.mac, reserved_at, serial.attempt,
            serial.reason
        FROM serial JOIN attempt ON attempt.attempt = serial.attempt
            JOIN run ON run.run = attempt.run";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            serial: row.get(0)?,
            pool: row.get(1)?,
            position: row.get(2)?,
            state: row.get(3)?,
            mac: row.get(4)?,
            reserved_at: time_at(row, 5)?,
            attempt: row.get(6)?,
            reason: row.get(7)?,
        })
    }
}

/// One attachment; its bytes are asked for by their digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttachmentRow {
    /// Number of the event that recorded it.
    pub seq: u64,
    /// Its attempt.
    pub attempt: u64,
    /// Its step.
    pub step: String,
    /// What it is.
    pub name: String,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// How many bytes.
    pub size: u64,
}

impl AttachmentRow {
    pub(super) const SELECT: &'static str = "
        SELECT attachment.seq, attachment.attempt, step, name, sha256, size
        FROM attachment JOIN attempt ON attempt.attempt = attachment.attempt
            JOIN run ON run.run = attempt.run";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            attempt: row.get(1)?,
            step: row.get(2)?,
            name: row.get(3)?,
            sha256: row.get(4)?,
            size: row.get(5)?,
        })
    }
}
