//! Which plans an engineer released, as the journal has it.
//!
//! Invariant: a release counts only while the events, not only their table, have it in force.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::JournalError;
use super::reader::{Reader, optional_time_at, time_at};
use crate::event::PlanId;
use crate::release::{Release, ReleaseRefusal, TrustedKeys, Withdrawal, verify};

const COLUMNS: &str = "plan, product, revision, released_by, released_at, key, signature,
    withdrawn_at, withdrawn_by, reason";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Release> {
    let withdrawn = match optional_time_at(row, 7)? {
        None => None,
        Some(at) => Some(Withdrawal {
            at,
            by: row.get(8)?,
            reason: row.get(9)?,
        }),
    };
    Ok(Release {
        plan: PlanId::new(row.get::<_, String>(0)?),
        product: row.get(1)?,
        revision: row.get(2)?,
        by: row.get(3)?,
        released_at: time_at(row, 4)?,
        key: row.get(5)?,
        signature: row.get(6)?,
        withdrawn,
    })
}

/// What took a release back, if the last that was recorded of the plan is that.
fn taken_back(db: &Connection, plan: &PlanId) -> rusqlite::Result<Option<Withdrawal>> {
    let sql = "SELECT at, json_extract(body, '$.by'), json_extract(body, '$.reason'), kind
               FROM event
               WHERE kind IN ('recipe_released', 'recipe_withdrawn')
                   AND json_extract(body, '$.plan') = ?1
               ORDER BY seq DESC LIMIT 1";
    let last = db
        .prepare_cached(sql)?
        .query_row(params![plan.as_str()], |row| {
            if row.get::<_, String>(3)? != "recipe_withdrawn" {
                return Ok(None);
            }
            Ok(Some(Withdrawal {
                at: time_at(row, 0)?,
                by: row.get(1)?,
                reason: row.get(2)?,
            }))
        });
    Ok(last.optional()?.flatten())
}

/// The latest release of a plan, withdrawn or not, as the table has it.
fn latest(db: &Connection, plan: &PlanId) -> rusqlite::Result<Option<Release>> {
    let sql =
        format!("SELECT {COLUMNS} FROM release WHERE plan = ?1 ORDER BY released_seq DESC LIMIT 1");
    db.prepare_cached(&sql)?
        .query_row(params![plan.as_str()], from_row)
        .optional()
}

/// The release a plan may be run under, or why there is none. The writer asks it under the
/// transaction that uses an approval up, so that nobody withdraws in between.
pub(super) fn in_force(
    db: &Connection,
    plan: &PlanId,
    trusted: &TrustedKeys,
) -> rusqlite::Result<Result<Release, ReleaseRefusal>> {
    let Some(mut release) = latest(db, plan)? else {
        return Ok(Err(ReleaseRefusal::Missing { plan: plan.clone() }));
    };
    if release.withdrawn.is_none() {
        // The table could have been made to forget it; the signature stays good.
        release.withdrawn = taken_back(db, plan)?;
    }
    Ok(verify(&release, trusted).map(|()| release))
}

impl Reader {
    /// Returns the releases, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn releases(&self, limit: usize) -> Result<Vec<Release>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM release ORDER BY released_seq DESC LIMIT ?1");
        self.ask(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map(params![limit.min(super::MAX_EVENTS)], from_row)?;
            rows.collect()
        })
    }

    /// Returns the latest release of a plan, withdrawn or not.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn release_of(&self, plan: &PlanId) -> Result<Option<Release>, JournalError> {
        self.ask(|db| latest(db, plan))
    }

    /// Returns the release a plan may be run under: in force, and signed by a key that is trusted.
    ///
    /// # Errors
    /// [`JournalError::Release`] when it is not released, and why; [`JournalError::Read`] and its kin.
    pub fn released(&self, plan: &PlanId, trusted: &TrustedKeys) -> Result<Release, JournalError> {
        Ok(self.ask(|db| in_force(db, plan, trusted))??)
    }
}
