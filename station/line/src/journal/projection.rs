//! The derived tables: what each event changes in them.
//!
//! Invariants: [`project`] depends on the event, the tables and nothing else, so that a rebuild gives
//! the same rows as the live journal; it runs in the transaction that holds the event; an unknown
//! kind changes nothing.

use rusqlite::{Connection, named_params, params};

mod attempt;
mod custody;
mod irreversible;
mod serial;
mod step;

use super::stamp::time_text;
use crate::event::{Event, EventKind};

/// The derived tables, each after those that refer to it.
pub(super) const DERIVED_TABLES: [&str; 14] = [
    "burn",
    "approval",
    "release",
    "key",
    "quarantine",
    "attachment",
    "measurement",
    "serial",
    "passed_count",
    "passed",
    "step",
    "attempt",
    "unit",
    "run",
];

/// Brings the derived tables up to date with one event.
pub(super) fn project(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    match &event.kind {
        EventKind::RunStarted { .. } | EventKind::RunFinished { .. } => project_run(db, event),
        EventKind::AttemptStarted { .. }
        | EventKind::UnitIdentified { .. }
        | EventKind::AttemptFinished { .. } => attempt::project(db, event),
        EventKind::StepStarted { .. }
        | EventKind::Measured { .. }
        | EventKind::StepFinished { .. }
        | EventKind::AttachmentStored { .. } => step::project(db, event),
        EventKind::SerialReserved { .. }
        | EventKind::SerialBound { .. }
        | EventKind::SerialCommitted { .. }
        | EventKind::SerialVoided { .. } => serial::project(db, event),
        EventKind::BurnIntended { .. }
        | EventKind::BurnFinished { .. }
        | EventKind::BurnReconciled { .. }
        | EventKind::BurnsLeftOpen { .. }
        | EventKind::Approved { .. }
        | EventKind::ApprovalUsed { .. }
        | EventKind::RecipeReleased { .. }
        | EventKind::RecipeWithdrawn { .. }
        | EventKind::KeySealed { .. }
        | EventKind::KeyForgotten { .. }
        | EventKind::UnitQuarantined { .. }
        | EventKind::UnitReleased { .. } => irreversible::project(db, event),
        EventKind::BayChanged { .. }
        | EventKind::StepRetrying { .. }
        | EventKind::CancelRequested { .. }
        | EventKind::OperationInvoked { .. }
        | EventKind::Refused { .. }
        | EventKind::Recovered { .. }
        | EventKind::Unknown(_) => Ok(()),
    }
}

fn execute(
    db: &Connection,
    sql: &'static str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<usize> {
    db.prepare_cached(sql)?.execute(parameters)
}

/// A change that no row takes is a broken constraint like any other.
fn one_row(changed: usize, what: &str) -> rusqlite::Result<()> {
    if changed == 1 {
        return Ok(());
    }
    Err(refused(what))
}

/// A broken constraint that the schema cannot put into words.
fn refused(what: &str) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CONSTRAINT);
    rusqlite::Error::SqliteFailure(code, Some(what.to_owned()))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller has sorted the kinds"
)]
fn project_run(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    let run = event.run.map(|run| run.0);
    let at = time_text(event.at);
    match &event.kind {
        EventKind::RunStarted {
            plan,
            product,
            bays,
            lot,
            operator,
            units,
            station,
        } => {
            let names: Vec<_> = bays
                .iter()
                .map(|bay| serde_json::Value::from(bay.as_str()))
                .collect();
            execute(
                db,
                "INSERT INTO run (run, plan, product, revision, bays, lot, operator, units, station,
                     started_at, started_seq)
                 VALUES (:run, :plan, :product,
                     coalesce((SELECT revision FROM plan WHERE id = :plan), ''),
                     :bays, :lot, :operator, :units, :station, :at, :seq)",
                named_params! {
                    ":run": run,
                    ":plan": plan.as_str(),
                    ":product": product,
                    ":bays": serde_json::Value::from(names).to_string(),
                    ":lot": lot,
                    ":operator": operator,
                    ":units": units,
                    ":station": station,
                    ":at": at,
                    ":seq": event.seq.0,
                },
            )?;
        }
        EventKind::RunFinished { tally, reason } => {
            execute(
                db,
                "UPDATE run SET finished_at = ?2, pass = ?3, fail = ?4, error = ?5, aborted = ?6,
                     reason = ?7 WHERE run = ?1",
                params![
                    run,
                    at,
                    tally.pass,
                    tally.fail,
                    tally.error,
                    tally.aborted,
                    reason
                ],
            )?;
        }
        _ => {}
    }
    Ok(())
}
