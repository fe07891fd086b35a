//! What attempts and the units they meet leave in the derived tables.

use rusqlite::{Connection, named_params, params};

use super::{execute, refused};
use crate::event::{AttemptId, Event, EventKind, Mac, Serial, StepName};
use crate::journal::stamp::time_text;
use crate::outcome::{Failure, Outcome};

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller has sorted the kinds"
)]
pub(super) fn project(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    let at = time_text(event.at);
    match &event.kind {
        EventKind::AttemptStarted { attempt, bay } => {
            execute(
                db,
                "INSERT INTO attempt (attempt, run, bay, started_at, started_seq, started_us)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    attempt.0,
                    event.run.map(|run| run.0),
                    bay.as_str(),
                    at,
                    event.seq.0,
                    event.elapsed_us
                ],
            )?;
        }
        EventKind::UnitIdentified {
            attempt,
            mac,
            chip,
            revision,
            flash_size,
            ..
        } => {
            let unit = Met {
                mac,
                chip,
                revision,
                flash_size: *flash_size,
            };
            meet_unit(db, &at, *attempt, &unit)?;
        }
        EventKind::AttemptFinished {
            attempt,
            mac,
            serial,
            outcome,
            took_us,
            failure,
            failed_step,
            ..
        } => {
            let ending = Ending {
                attempt: *attempt,
                mac: mac.as_ref(),
                serial: serial.as_ref(),
                outcome: *outcome,
                took_us: *took_us,
                failure: failure.as_ref(),
                failed_step: failed_step.as_ref(),
            };
            finish_attempt(db, &at, &ending)?;
        }
        _ => {}
    }
    Ok(())
}

struct Met<'a> {
    mac: &'a Mac,
    chip: &'a str,
    revision: &'a str,
    flash_size: Option<u64>,
}

fn meet_unit(
    db: &Connection,
    at: &str,
    attempt: AttemptId,
    unit: &Met<'_>,
) -> rusqlite::Result<()> {
    execute(
        db,
        "INSERT INTO unit (mac, chip, revision, flash_size, first_seen_at, last_seen_at,
             first_attempt, last_attempt, attempts)
         VALUES (:mac, :chip, :revision, :flash_size, :at, :at, :attempt, :attempt, 1)
         ON CONFLICT (mac) DO UPDATE SET chip = excluded.chip,
             revision = excluded.revision,
             flash_size = coalesce(excluded.flash_size, flash_size),
             last_seen_at = excluded.last_seen_at,
             attempts = attempts + (last_attempt <> excluded.last_attempt),
             last_attempt = excluded.last_attempt",
        named_params! {
            ":mac": unit.mac.as_str(),
            ":chip": unit.chip,
            ":revision": unit.revision,
            ":flash_size": unit.flash_size,
            ":at": at,
            ":attempt": attempt.0,
        },
    )?;
    execute(
        db,
        "UPDATE attempt SET mac = ?2 WHERE attempt = ?1",
        params![attempt.0, unit.mac.as_str()],
    )
    .map(drop)
}

struct Ending<'a> {
    attempt: AttemptId,
    mac: Option<&'a Mac>,
    serial: Option<&'a Serial>,
    outcome: Outcome,
    took_us: u64,
    failure: Option<&'a Failure>,
    failed_step: Option<&'a StepName>,
}

fn finish_attempt(db: &Connection, at: &str, ending: &Ending<'_>) -> rusqlite::Result<()> {
    let failure = ending.failure;
    if let (Outcome::Pass, Some(mac)) = (ending.outcome, ending.mac) {
        refuse_unsettled(db, mac)?;
    }
    execute(
        db,
        "UPDATE attempt SET serial = ?2, finished_at = ?3, outcome = ?4, took_us = ?5,
             failed_step = ?6, class = ?7, code = ?8, message = ?9, hint = ?10
         WHERE attempt = ?1",
        params![
            ending.attempt.0,
            ending.serial.map(Serial::as_str),
            at,
            ending.outcome.word(),
            ending.took_us.min(i64::MAX.unsigned_abs()),
            ending.failed_step.map(StepName::as_str),
            failure.map(|failure| failure.class.word()),
            failure.map(|failure| &failure.code),
            failure.map(|failure| &failure.message),
            failure.and_then(|failure| failure.hint.as_ref()),
        ],
    )?;
    let Some(mac) = ending.mac else { return Ok(()) };
    execute(
        db,
        "UPDATE unit SET last_outcome = ?2, last_seen_at = ?3 WHERE mac = ?1",
        params![mac.as_str(), ending.outcome.word(), at],
    )?;
    if ending.outcome == Outcome::Pass {
        record_pass(db, ending.attempt, mac)?;
    }
    Ok(())
}

/// A unit of which nobody knows what was burned into it does not pass.
fn refuse_unsettled(db: &Connection, mac: &Mac) -> rusqlite::Result<()> {
    let sql = "SELECT EXISTS (SELECT 1 FROM burn WHERE mac = ?1 AND state IN ('open', 'unclear')),
                   EXISTS (SELECT 1 FROM quarantine WHERE mac = ?1 AND released_at IS NULL)";
    let (open, quarantined) = db
        .prepare_cached(sql)?
        .query_row(params![mac.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match (open, quarantined) {
        (true, _) => Err(refused("a unit whose burn is open does not pass")),
        (false, true) => Err(refused("a quarantined unit does not pass")),
        (false, false) => Ok(()),
    }
}

fn record_pass(db: &Connection, attempt: AttemptId, mac: &Mac) -> rusqlite::Result<()> {
    let first = execute(
        db,
        "INSERT INTO passed (product, revision, mac, attempt)
         SELECT run.product, run.revision, ?2, ?1 FROM attempt JOIN run USING (run)
         WHERE attempt.attempt = ?1
         ON CONFLICT DO NOTHING",
        params![attempt.0, mac.as_str()],
    )?;
    if first == 1 {
        execute(
            db,
            "INSERT INTO passed_count (product, revision, units)
             SELECT run.product, run.revision, 1 FROM attempt JOIN run USING (run)
             WHERE attempt.attempt = ?1
             ON CONFLICT DO UPDATE SET units = units + 1",
            params![attempt.0],
        )?;
    }
    Ok(())
}
