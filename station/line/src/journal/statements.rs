//! Single statements that the writer and readers share.

use rusqlite::{Connection, OptionalExtension, params};

use super::command::{PlanRecord, Standing};
use super::custody::quarantine_of;
use super::error::JournalError;
use super::stamp::{Head, StoredEvent};

/// The largest numbers in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastNumbers {
    pub(super) run: u64,
    pub(super) attempt: u64,
}

/// Writes one row of table `event`.
pub(super) fn insert_event(db: &Connection, stored: &StoredEvent) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO event (seq, at, elapsed_us, run, kind, body, prev_hash, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        stored.seq,
        stored.at,
        stored.elapsed_us,
        stored.run,
        stored.kind,
        stored.body,
        stored.prev_hash,
        stored.hash,
    ])
    .map(drop)
}

/// Keeps a plan, unless it is there already.
pub(super) fn store_plan(db: &Connection, at: &str, plan: &PlanRecord) -> rusqlite::Result<()> {
    let images = serde_json::to_string(&plan.images)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    db.execute(
        "INSERT INTO plan (id, product, revision, text, images, station, stored_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
        params![
            plan.id.as_str(),
            plan.product,
            plan.revision,
            plan.text,
            images,
            plan.station,
            at
        ],
    )
    .map(drop)
}

/// Reads how a unit and its product stand.
pub(super) fn standing(
    db: &Connection,
    mac: &str,
    product: &str,
    revision: &str,
) -> rusqlite::Result<Standing> {
    db.prepare_cached(
        "SELECT coalesce((SELECT attempts FROM unit WHERE mac = ?1), 0),
             EXISTS (SELECT 1 FROM passed WHERE product = ?2 AND revision = ?3 AND mac = ?1),
             coalesce(
                 (SELECT units FROM passed_count WHERE product = ?2 AND revision = ?3), 0),
             (SELECT count(*) FROM burn WHERE mac = ?1 AND state IN ('open', 'unclear'))",
    )?
    .query_row(params![mac, product, revision], |row| {
        Ok(Standing {
            attempts: row.get(0)?,
            passed: row.get(1)?,
            passed_units: row.get(2)?,
            open_burns: row.get(3)?,
            quarantine: quarantine_of(db, mac)?,
        })
    })
}

/// Reads the end of the chain and checks its last row.
pub(super) fn read_head(db: &Connection) -> Result<Head, JournalError> {
    let sql = "SELECT seq, at, elapsed_us, run, kind, body, prev_hash, hash FROM event
               ORDER BY seq DESC LIMIT 1";
    let last = db.query_row(sql, [], StoredEvent::from_row).optional();
    match last.map_err(|error| JournalError::reading(&error))? {
        None => Ok(Head::EMPTY),
        Some(last) if last.hash == last.computed_hash() => Ok(last.head()),
        Some(last) => {
            let what = format!("event {}, the last one, does not match its hash", last.seq);
            Err(JournalError::Corrupt { what })
        }
    }
}

/// Reads the largest numbers in use.
pub(super) fn last_numbers(db: &Connection) -> rusqlite::Result<LastNumbers> {
    db.query_row(
        "SELECT coalesce((SELECT max(run) FROM run), 0),
             coalesce((SELECT max(attempt) FROM attempt), 0)",
        [],
        |row| {
            Ok(LastNumbers {
                run: row.get(0)?,
                attempt: row.get(1)?,
            })
        },
    )
}
