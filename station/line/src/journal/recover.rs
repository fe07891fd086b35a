//! What a crash left open, closed as new events.
//!
//! Invariants: nothing recorded is changed; the closing events follow from the derived tables and the
//! time alone; after them nothing is open, so that a second pass finds nothing; an interrupted attempt
//! ends as an error, never as a pass. A pulse that was under way stays open, and is counted once.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};

use super::error::JournalError;
use super::stamp::Draft;
use crate::event::{AttemptId, BayName, EventKind, Mac, RunId, Serial, StepName, Tally};
use crate::outcome::{Failure, FailureClass, Outcome, StepOutcome};

/// Code of a failure whose attempt or step was cut off.
pub const INTERRUPTED: &str = "interrupted";

/// Returns the events that close everything that is open, in order; none if nothing is.
pub(super) fn closing_events(
    db: &Connection,
    at: DateTime<Utc>,
) -> Result<Vec<Draft>, JournalError> {
    collect(db, at).map_err(|error| JournalError::reading(&error))
}

fn collect(db: &Connection, at: DateTime<Utc>) -> rusqlite::Result<Vec<Draft>> {
    let mut drafts = Vec::new();
    let attempts = rows(db, OPEN_ATTEMPTS, OpenAttempt::from_row)?;
    for attempt in &attempts {
        close_attempt(db, at, attempt, &mut drafts)?;
    }
    let outside = |kind| Draft {
        at,
        elapsed_us: 0,
        run: None,
        kind,
    };
    let loose = rows(db, LOOSE_SERIALS, |row| {
        Ok(EventKind::SerialVoided {
            pool: row.get(0)?,
            serial: Serial::new(row.get::<_, String>(1)?),
            reason: "the station stopped before it was bound".to_owned(),
        })
    })?;
    let serials = count(&loose);
    drafts.extend(loose.into_iter().map(outside));
    let runs = rows(db, OPEN_RUNS, |row| Ok((RunId(row.get(0)?), row.get(1)?)))?;
    for (run, last_us) in &runs {
        let kind = EventKind::RunFinished {
            tally: tally(db, *run)?,
            reason: Some("the station stopped while the run was under way".to_owned()),
        };
        drafts.push(Draft {
            at,
            elapsed_us: *last_us,
            run: Some(*run),
            kind,
        });
    }
    if !drafts.is_empty() {
        let (attempts, runs) = (count(&attempts), count(&runs));
        drafts.push(outside(EventKind::Recovered {
            attempts,
            runs,
            serials,
        }));
    }
    // Attempts end here, pulses do not: only the chip can say what became of them.
    let left =
        "SELECT count(*), count(DISTINCT mac) FROM burn WHERE state = 'open' AND left_open = 0";
    let (burns, units) = db.query_row(left, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if burns > 0 {
        drafts.push(outside(EventKind::BurnsLeftOpen { burns, units }));
    }
    Ok(drafts)
}

fn close_attempt(
    db: &Connection,
    at: DateTime<Utc>,
    attempt: &OpenAttempt,
    drafts: &mut Vec<Draft>,
) -> rusqlite::Result<()> {
    let (elapsed_us, run) = (attempt.last_us, Some(attempt.run));
    let draft = |kind| Draft {
        at,
        elapsed_us,
        run,
        kind,
    };
    let step = open_step(db, attempt)?;
    let failed_step = step.as_ref().map(|(step, ..)| step.clone());
    if let Some((step, try_number, started_us)) = step {
        drafts.push(draft(EventKind::StepFinished {
            attempt: attempt.id,
            step,
            try_number,
            outcome: StepOutcome::Error,
            took_us: attempt.last_us.saturating_sub(started_us),
            failure: Some(interrupted()),
        }));
    }
    drafts.push(draft(EventKind::AttemptFinished {
        attempt: attempt.id,
        bay: attempt.bay.clone(),
        mac: attempt.mac.clone(),
        serial: attempt.serial.clone(),
        outcome: Outcome::Error,
        took_us: attempt.last_us.saturating_sub(attempt.started_us),
        failure: Some(interrupted()),
        failed_step,
    }));
    Ok(())
}

fn count<T>(list: &[T]) -> u64 {
    u64::try_from(list.len()).unwrap_or(u64::MAX)
}

fn interrupted() -> Failure {
    Failure {
        class: FailureClass::Station,
        code: INTERRUPTED.to_owned(),
        message: "the station stopped while this was under way".to_owned(),
        hint: Some("start the unit again".to_owned()),
    }
}

/// Open attempts. The run's clock stood where its last event was.
const OPEN_ATTEMPTS: &str = "
    SELECT attempt.attempt, attempt.run, attempt.bay, attempt.mac, attempt.started_us,
        (SELECT serial FROM serial WHERE serial.attempt = attempt.attempt AND state <> 'void'
             AND serial.mac IS NOT NULL ORDER BY serial LIMIT 1),
        (SELECT elapsed_us FROM event WHERE event.run = attempt.run ORDER BY seq DESC LIMIT 1)
    FROM attempt WHERE attempt.outcome IS NULL ORDER BY attempt.attempt";

const LOOSE_SERIALS: &str =
    "SELECT pool, serial FROM serial WHERE state = 'reserved' ORDER BY serial";

const OPEN_RUNS: &str = "
    SELECT run, (SELECT elapsed_us FROM event WHERE event.run = run.run ORDER BY seq DESC LIMIT 1)
    FROM run WHERE finished_at IS NULL ORDER BY run";

struct OpenAttempt {
    id: AttemptId,
    run: RunId,
    bay: BayName,
    mac: Option<Mac>,
    started_us: u64,
    serial: Option<Serial>,
    last_us: u64,
}

impl OpenAttempt {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: AttemptId(row.get(0)?),
            run: RunId(row.get(1)?),
            bay: BayName::new(row.get::<_, String>(2)?),
            mac: row.get::<_, Option<String>>(3)?.map(Mac::new),
            started_us: row.get(4)?,
            serial: row.get::<_, Option<String>>(5)?.map(Serial::new),
            last_us: row.get(6)?,
        })
    }
}

fn rows<T>(
    db: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    db.prepare(sql)?.query_map([], |row| read(row))?.collect()
}

fn open_step(
    db: &Connection,
    attempt: &OpenAttempt,
) -> rusqlite::Result<Option<(StepName, u32, u64)>> {
    let sql = "SELECT step, try_number, started_us FROM step
               WHERE attempt = ?1 AND outcome IS NULL ORDER BY started_seq";
    let mut statement = db.prepare(sql)?;
    let mut open = statement.query_map(params![attempt.id.0], |row| {
        Ok((
            StepName::new(row.get::<_, String>(0)?),
            row.get(1)?,
            row.get(2)?,
        ))
    })?;
    open.next().transpose()
}

/// The run's attempts by outcome, those that are about to be closed as errors included.
fn tally(db: &Connection, run: RunId) -> rusqlite::Result<Tally> {
    let sql = "SELECT coalesce(outcome, 'error'), count(*) FROM attempt WHERE run = ?1 GROUP BY 1";
    let mut statement = db.prepare(sql)?;
    let counts = statement.query_map(params![run.0], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))
    })?;
    let mut tally = Tally::default();
    for counted in counts {
        let (outcome, number) = counted?;
        match outcome.as_str() {
            "pass" => tally.pass = number,
            "fail" => tally.fail = number,
            "aborted" => tally.aborted = number,
            _ => tally.error = number,
        }
    }
    Ok(tally)
}
