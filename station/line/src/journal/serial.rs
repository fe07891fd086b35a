//! Which serial number a unit gets: reserve, bind, commit, void.
//!
//! Invariants: decided inside the writer's transaction, so that no number is given twice; a MAC that
//! has a number of a pool gets that one again, whatever became of its earlier attempts; a number once
//! reserved is never given to another MAC, and a voided one to nobody.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::command::Claim;
use super::error::JournalError;
use crate::event::{AttemptId, EventKind, Mac, Serial};
use crate::serial::{CsvRow, SerialSource};

/// Numbers of a pattern that may be taken by other pools before the pool counts as unusable.
const MAX_COLLISIONS: u64 = 100_000;

/// Column of a list that says for which unit a row is meant.
const MAC_COLUMN: &str = "mac";

/// How far each list has been used: rows before the mark are known to be taken.
#[derive(Debug, Default)]
pub(super) struct ListMarks(HashMap<String, (Arc<SerialSource>, usize)>);

/// What a pool gives to a unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grant {
    pub(super) serial: Serial,
    /// What must be appended to make it so, in order.
    pub(super) facts: Vec<EventKind>,
}

/// Who asks for a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub(super) attempt: AttemptId,
    pub(super) mac: &'a Mac,
    pub(super) on: chrono::NaiveDate,
    pub(super) claim: Claim,
}

/// Finds the number of this unit or, where it may have a new one, the next one.
pub(super) fn grant(
    db: &Connection,
    marks: &mut ListMarks,
    source: &Arc<SerialSource>,
    asker: Asker<'_>,
) -> Result<Grant, JournalError> {
    let pool = source.name();
    let own = own_row(source, asker.mac)?;
    if let Some((serial, bound_in)) = held(db, pool, asker.mac)? {
        if let Some((_, listed)) = own
            && listed != serial.as_str()
        {
            let mac = asker.mac;
            let what = format!("`{listed}` for `{mac}`: the unit has `{serial}` already");
            return Err(JournalError::Refused { what });
        }
        let bind = bound(asker, pool, &serial);
        let facts = if bound_in == asker.attempt.0 {
            vec![]
        } else {
            vec![bind]
        };
        return Ok(Grant { serial, facts });
    }
    if asker.claim == Claim::OwnOnly {
        return Err(JournalError::NoSerial {
            pool: pool.to_owned(),
            mac: asker.mac.clone(),
        });
    }
    let (position, serial) = match (own, source.as_ref()) {
        (Some((_, serial)), _) if is_taken(db, serial)? => {
            let what = format!("`{serial}` for `{}`: it is taken", asker.mac);
            return Err(JournalError::Refused { what });
        }
        (Some((index, serial)), _) => (row_number(index), serial.to_owned()),
        (None, SerialSource::Pool { .. }) => next_of_pattern(db, source, asker)?,
        (None, SerialSource::Csv { rows, .. }) => next_of_list(db, marks, source, rows, asker.mac)?,
    };
    let serial = Serial::new(serial);
    let reserve = EventKind::SerialReserved {
        attempt: asker.attempt,
        pool: pool.to_owned(),
        position,
        serial: serial.clone(),
    };
    let bind = bound(asker, pool, &serial);
    Ok(Grant {
        serial,
        facts: vec![reserve, bind],
    })
}

/// The row that names this unit and its number, where every row names one.
fn own_row<'a>(
    source: &'a SerialSource,
    mac: &Mac,
) -> Result<Option<(usize, &'a str)>, JournalError> {
    let SerialSource::Csv {
        rows,
        units: Some(units),
        ..
    } = source
    else {
        return Ok(None);
    };
    let row = units.row_of(mac.as_str());
    match row.and_then(|index| Some((index, rows.get(index)?.serial.as_str()))) {
        Some(own) => Ok(Some(own)),
        None => Err(JournalError::NotListed {
            file: units.file().to_owned(),
            mac: mac.clone(),
        }),
    }
}

fn bound(asker: Asker<'_>, pool: &str, serial: &Serial) -> EventKind {
    EventKind::SerialBound {
        attempt: asker.attempt,
        pool: pool.to_owned(),
        serial: serial.clone(),
        mac: asker.mac.clone(),
    }
}

fn held(db: &Connection, pool: &str, mac: &Mac) -> Result<Option<(Serial, u64)>, JournalError> {
    let sql = "SELECT serial, attempt FROM serial WHERE pool = ?1 AND mac = ?2 AND state <> 'void'";
    let row = db.prepare_cached(sql).and_then(|mut statement| {
        statement
            .query_row(params![pool, mac.as_str()], |row| {
                Ok((Serial::new(row.get::<_, String>(0)?), row.get(1)?))
            })
            .optional()
    });
    row.map_err(|error| JournalError::writing(&error))
}

fn is_taken(db: &Connection, serial: &str) -> Result<bool, JournalError> {
    db.prepare_cached("SELECT 1 FROM serial WHERE serial = ?1")
        .and_then(|mut statement| statement.exists(params![serial]))
        .map_err(|error| JournalError::writing(&error))
}

fn next_of_pattern(
    db: &Connection,
    source: &SerialSource,
    asker: Asker<'_>,
) -> Result<(u64, String), JournalError> {
    let last: u64 = db
        .prepare_cached("SELECT coalesce(max(position), 0) FROM serial WHERE pool = ?1")
        .and_then(|mut statement| statement.query_row(params![source.name()], |row| row.get(0)))
        .map_err(|error| JournalError::writing(&error))?;
    for position in last + 1..=last + MAX_COLLISIONS {
        let serial = source.serial(position, asker.on).map_err(|_| dry(source))?;
        if !is_taken(db, &serial)? {
            return Ok((position, serial));
        }
    }
    let pool = source.name();
    let what = format!("pool `{pool}`: its next {MAX_COLLISIONS} numbers belong to other pools");
    Err(JournalError::Refused { what })
}

fn dry(source: &SerialSource) -> JournalError {
    JournalError::PoolDry {
        pool: source.name().to_owned(),
        last: source.capacity(),
    }
}

fn next_of_list(
    db: &Connection,
    marks: &mut ListMarks,
    source: &Arc<SerialSource>,
    rows: &[CsvRow],
    mac: &Mac,
) -> Result<(u64, String), JournalError> {
    let start = marks.start(source);
    let mut all_taken_so_far = true;
    let mut spare = None;
    for (index, row) in rows.iter().enumerate().skip(start) {
        let wanted = meant_for(row);
        let open = wanted.as_ref().is_none_or(|wanted| wanted == mac.as_str());
        // Without a column of MACs the first free row ends the search; with one, a row that names
        // this unit is better than an earlier one that names nobody.
        let keyed = row
            .columns
            .keys()
            .any(|name| name.eq_ignore_ascii_case(MAC_COLUMN));
        let taken = (open || all_taken_so_far) && is_taken(db, &row.serial)?;
        if taken && all_taken_so_far {
            marks.advance(source, index + 1);
        }
        all_taken_so_far &= taken;
        if taken || !open {
            continue;
        }
        if !keyed || wanted.is_some() {
            return Ok((row_number(index), row.serial.clone()));
        }
        spare.get_or_insert((index, &row.serial));
    }
    let (index, serial) = spare.ok_or_else(|| dry(source))?;
    Ok((row_number(index), serial.clone()))
}

fn row_number(index: usize) -> u64 {
    u64::try_from(index).map_or(u64::MAX, |index| index + 1)
}

/// The MAC a row names, in the journal's form.
fn meant_for(row: &CsvRow) -> Option<String> {
    let (_, text) = row
        .columns
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(MAC_COLUMN))?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    if digits.is_empty() {
        return None;
    }
    let pairs: Vec<_> = digits
        .as_bytes()
        .chunks(2)
        .map(String::from_utf8_lossy)
        .collect();
    Some(pairs.join(":").to_ascii_lowercase())
}

impl ListMarks {
    fn start(&mut self, source: &Arc<SerialSource>) -> usize {
        match self.0.get(source.name()) {
            Some((known, mark)) if Arc::ptr_eq(known, source) => *mark,
            _ => {
                self.0
                    .insert(source.name().to_owned(), (Arc::clone(source), 0));
                0
            }
        }
    }

    fn advance(&mut self, source: &SerialSource, mark: usize) {
        if let Some((_, known)) = self.0.get_mut(source.name()) {
            *known = mark;
        }
    }

    /// Forgets everything: after a transaction that was rolled back.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Numbers of an attempt that become final when it passes, as facts to append before its end.
pub(super) fn commitments(
    db: &Connection,
    attempt: AttemptId,
) -> Result<Vec<EventKind>, JournalError> {
    let sql = "SELECT pool, serial, mac FROM serial WHERE attempt = ?1 AND state = 'bound'
               ORDER BY serial";
    let read = || {
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map(params![attempt.0], |row| {
            Ok(EventKind::SerialCommitted {
                attempt,
                pool: row.get(0)?,
                serial: Serial::new(row.get::<_, String>(1)?),
                mac: Mac::new(row.get::<_, String>(2)?),
            })
        })?;
        rows.collect::<rusqlite::Result<_>>()
    };
    read().map_err(|error| JournalError::writing(&error))
}

/// The fact that makes a number void.
pub(super) fn voiding(
    db: &Connection,
    serial: &Serial,
    reason: &str,
) -> Result<EventKind, JournalError> {
    let row: Option<(String, String, bool)> = db
        .prepare_cached(
            "SELECT pool, state, EXISTS (SELECT 1 FROM attempt
                 WHERE attempt.attempt = serial.attempt AND attempt.outcome IS NULL)
             FROM serial WHERE serial = ?1",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![serial.as_str()], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()
        })
        .map_err(|error| JournalError::writing(&error))?;
    let refuse = |reason| {
        Err(JournalError::NotVoidable {
            serial: serial.clone(),
            reason,
        })
    };
    let Some((pool, state, in_use)) = row else {
        return refuse("it was never reserved");
    };
    match state.as_str() {
        "committed" => return refuse("a unit passed with it"),
        "void" => return refuse("it is void already"),
        _ if in_use => return refuse("an attempt is using it"),
        _ => {}
    }
    Ok(EventKind::SerialVoided {
        pool,
        serial: serial.clone(),
        reason: reason.to_owned(),
    })
}
