//! What steps, measurements and attachments leave in the derived tables.

use rusqlite::{Connection, params};

use super::execute;
use crate::event::{AttemptId, Event, EventKind, StepName};
use crate::journal::stamp::time_text;
use crate::outcome::{Failure, Measurement, StepOutcome, Value};

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller has sorted the kinds"
)]
pub(super) fn project(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    match &event.kind {
        EventKind::StepStarted {
            attempt,
            step,
            try_number,
        } => {
            execute(
                db,
                "INSERT INTO step (attempt, step, try_number, started_at, started_seq, started_us)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    attempt.0,
                    step.as_str(),
                    try_number,
                    time_text(event.at),
                    event.seq.0,
                    event.elapsed_us
                ],
            )?;
        }
        EventKind::Measured {
            attempt,
            step,
            try_number,
            measurement,
        } => {
            record_measurement(db, event, *attempt, (step, *try_number), measurement)?;
        }
        EventKind::StepFinished {
            attempt,
            step,
            try_number,
            outcome,
            took_us,
            failure,
        } => {
            let ending = (*outcome, *took_us, failure.as_ref());
            finish_step(db, *attempt, (step, *try_number), ending)?;
        }
        EventKind::AttachmentStored {
            attempt,
            step,
            name,
            sha256,
            size,
        } => {
            execute(
                db,
                "INSERT INTO attachment (seq, attempt, step, name, sha256, size)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![event.seq.0, attempt.0, step.as_str(), name, sha256, size],
            )?;
        }
        _ => {}
    }
    Ok(())
}

fn finish_step(
    db: &Connection,
    attempt: AttemptId,
    (step, try_number): (&StepName, u32),
    (outcome, took_us, failure): (StepOutcome, u64, Option<&Failure>),
) -> rusqlite::Result<()> {
    execute(
        db,
        "UPDATE step SET outcome = ?4, took_us = ?5, class = ?6, code = ?7, message = ?8, hint = ?9
         WHERE attempt = ?1 AND step = ?2 AND try_number = ?3",
        params![
            attempt.0,
            step.as_str(),
            try_number,
            outcome.word(),
            took_us.min(i64::MAX.unsigned_abs()),
            failure.map(|failure| failure.class.word()),
            failure.map(|failure| &failure.code),
            failure.map(|failure| &failure.message),
            failure.and_then(|failure| failure.hint.as_ref()),
        ],
    )
    .map(drop)
}

fn record_measurement(
    db: &Connection,
    event: &Event,
    attempt: AttemptId,
    (step, try_number): (&StepName, u32),
    measurement: &Measurement,
) -> rusqlite::Result<()> {
    let (number, text) = match &measurement.value {
        Value::Number(number) => (Some(*number), None),
        Value::Text(text) => (None, Some(text)),
    };
    execute(
        db,
        "INSERT INTO measurement (seq, attempt, step, try_number, name, number, text, unit, min, max,
             equals, verdict)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            event.seq.0,
            attempt.0,
            step.as_str(),
            try_number,
            measurement.name,
            number,
            text,
            measurement.unit,
            measurement.limits.min,
            measurement.limits.max,
            measurement.limits.equals,
            measurement.verdict.word(),
        ],
    )?;
    Ok(())
}
