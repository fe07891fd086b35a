//! Plain lists of what is recorded.
//!
//! All return the latest rows that the filter lets through, oldest first, and fail as
//! [`Reader`] does.

use super::filter::{Filter, Rows, latest, plain_mac};
use super::rows::{AttachmentRow, AttemptRow, MeasurementRow, RunRow, SerialRow, StepRow, UnitRow};
use crate::journal::{JournalError, Reader, time_column};

/// Returns runs; bay and unit of the filter do not matter.
///
/// # Errors
/// [`JournalError::Read`] and its kin.
pub fn runs(reader: &Reader, filter: &Filter) -> Result<Rows<RunRow>, JournalError> {
    let mut conditions = filter.on_runs();
    if let Some(since) = filter.since {
        conditions.add("run.started_at >= ?", time_column(since));
    }
    if let Some(until) = filter.until {
        conditions.add("run.started_at < ?", time_column(until));
    }
    latest(
        reader,
        (RunRow::SELECT, "run.run"),
        &conditions,
        filter.limit(),
        RunRow::read,
    )
}

/// Returns units that have an attempt the filter lets through.
///
/// # Errors
/// [`JournalError::Read`] and its kin.
pub fn units(reader: &Reader, filter: &Filter) -> Result<Rows<UnitRow>, JournalError> {
    let conditions = filter.on_attempts();
    let select = format!(
        "{} WHERE unit.mac IN (SELECT attempt.mac FROM attempt JOIN run ON run.run = attempt.run {})",
        UnitRow::SELECT,
        conditions.sql()
    );
    let limit = filter.limit();
    // The conditions stand inside the parentheses already; only their values are still to come.
    latest(
        reader,
        (&select, "unit.first_attempt"),
        &conditions.bound(),
        limit,
        UnitRow::read,
    )
}

/// Returns attempts.
///
/// # Errors
/// [`JournalError::Read`] and its kin.
pub fn attempts(reader: &Reader, filter: &Filter) -> Result<Rows<AttemptRow>, JournalError> {
    let by = (AttemptRow::SELECT, "attempt.attempt");
    latest(
        reader,
        by,
        &filter.on_attempts(),
        filter.limit(),
        AttemptRow::read,
    )
}

/// Returns tries of steps.
///
/// # Errors
/// [`JournalError::Read`] and its kin.
pub fn steps(reader: &Reader, filter: &Filter) -> Result<Rows<StepRow>, JournalError> {
    let by = (StepRow::SELECT, "step.attempt DESC, step.started_seq");
    latest(
        reader,
        by,
        &filter.on_attempts(),
        filter.limit(),
        StepRow::read,
    )
}

/// Returns measurements.
///
/// # Errors
/// [`JournalError::Read`] and its kin.
pub fn measurements(
    reader: &Reader,
    filter: &Filter,
) -> Result<Rows<MeasurementRow>, JournalError> {
    let by = (MeasurementRow::SELECT, "measurement.seq");
    latest(
        reader,
        by,
        &filter.on_attempts(),
        filter.limit(),
        MeasurementRow::read,
    )
}

/// Returns serial numbers by the attempt that used them last.
///
/// # Errors
/// [`JournalError::Read`] and its kin.
pub fn serials(reader: &Reader, filter: &Filter) -> Result<Rows<SerialRow>, JournalError> {
    let mut conditions = Filter {
        mac: None,
        ..filter.clone()
    }
    .on_attempts();
    if let Some(mac) = &filter.mac {
        conditions.add("serial.mac = ?", plain_mac(mac));
    }
    let by = (SerialRow::SELECT, "serial.attempt DESC, serial.serial");
    latest(reader, by, &conditions, filter.limit(), SerialRow::read)
}

/// Returns attachments, without their bytes.
///
/// # Errors
/// [`JournalError::Read`] and its kin.
pub fn attachments(reader: &Reader, filter: &Filter) -> Result<Rows<AttachmentRow>, JournalError> {
    let by = (AttachmentRow::SELECT, "attachment.seq");
    latest(
        reader,
        by,
        &filter.on_attempts(),
        filter.limit(),
        AttachmentRow::read,
    )
}
