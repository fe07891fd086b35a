//! Is the journal what it was when it was written?
//!
//! It checks, from the bottom up: SQLite's own integrity check, the hash chain, numbering without
//! gaps, that every body can be read, the grammar, and that the derived tables equal a rebuild. All of
//! it in one snapshot, so a station may go on writing. What it cannot see is a tail that was cut off
//! together with its traces; for that, keep [`VerifyReport::head`] elsewhere.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::JournalError;
use super::grammar::Grammar;
use super::projection::{DERIVED_TABLES, project};
use super::reader::Reader;
use super::schema;
use super::stamp::{Head, StoredEvent};
use crate::event::Seq;

/// Findings after which a check stops listing.
const MAX_FINDINGS: usize = 100;

/// Something in a journal that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable code: `integrity`, `chain`, `gap`, `body`, `grammar`, `plan`, `derived`.
    pub code: String,
    /// The event it concerns, if one.
    pub seq: Option<Seq>,
    /// What is wrong.
    pub message: String,
}

/// What `verify` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyReport {
    /// Events that were read.
    pub events: u64,
    /// Number of the last one.
    pub head_seq: Seq,
    /// Its hash, hex.
    pub head: String,
    /// Whether runs or attempts are open: while a station runs, or after a crash.
    pub open: bool,
    /// Everything that is wrong; at most 100 are listed.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// Returns whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, code: &str, seq: Option<u64>, message: impl Into<String>) {
        if self.0.len() < MAX_FINDINGS {
            let (code, seq) = (code.to_owned(), seq.map(Seq));
            self.0.push(Finding {
                code,
                seq,
                message: message.into(),
            });
        }
    }
}

impl Reader {
    /// Checks the whole journal.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] when it cannot even be read through; [`JournalError::Read`],
    /// [`JournalError::Write`] when there is no room for the comparison.
    pub fn verify(&self) -> Result<VerifyReport, JournalError> {
        let db = self.connection();
        let snapshot = db.unchecked_transaction();
        let snapshot = snapshot.map_err(|error| JournalError::reading(&error))?;
        verify(&snapshot)
    }
}

fn verify(db: &Connection) -> Result<VerifyReport, JournalError> {
    let mut findings = Findings::default();
    let reading = |error| JournalError::reading(&error);
    for line in integrity(db).map_err(reading)? {
        findings.add("integrity", None, line);
    }
    let rebuilt = schema::open_scratch()?;
    copy_named(db, &rebuilt).map_err(|error| JournalError::writing(&error))?;
    let (events, head, open) = read_through(db, &rebuilt, &mut findings)?;
    if findings.0.is_empty() {
        compare_derived(db, &rebuilt, &mut findings).map_err(reading)?;
    }
    Ok(VerifyReport {
        events,
        head_seq: head.seq,
        head: hex::encode(head.hash),
        open,
        findings: findings.0,
    })
}

fn integrity(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = format!("PRAGMA integrity_check({MAX_FINDINGS})");
    let mut statement = db.prepare(&sql)?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut lines: Vec<_> = lines.collect::<rusqlite::Result<_>>()?;
    lines.retain(|line| line != "ok");
    let mut statement = db.prepare("PRAGMA foreign_key_check")?;
    let broken = statement.query_map([], |row| {
        let (table, row, parent): (String, Option<i64>, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!(
            "row {} of `{table}` refers to nothing in `{parent}`",
            row.unwrap_or(0)
        ))
    })?;
    for line in broken.take(MAX_FINDINGS) {
        lines.push(line?);
    }
    Ok(lines)
}

/// What events refer to but do not contain. The comparison needs only what projections read.
fn copy_named(from: &Connection, into: &Connection) -> rusqlite::Result<()> {
    into.pragma_update(None, "foreign_keys", false)?;
    into.execute_batch("BEGIN")?;
    let mut plans = from.prepare("SELECT id, product, revision FROM plan")?;
    let mut rows = plans.query([])?;
    let insert = "INSERT INTO plan (id, product, revision, text, images, station, stored_at)
                  VALUES (?1, ?2, ?3, '', '[]', '', '')";
    while let Some(row) = rows.next()? {
        let named: (String, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        into.prepare_cached(insert)?.execute(named)?;
    }
    Ok(())
}

fn read_through(
    db: &Connection,
    rebuilt: &Connection,
    findings: &mut Findings,
) -> Result<(u64, Head, bool), JournalError> {
    let reading = |error| JournalError::reading(&error);
    let sql =
        "SELECT seq, at, elapsed_us, run, kind, body, prev_hash, hash FROM event ORDER BY seq";
    let mut statement = db.prepare(sql).map_err(reading)?;
    let mut rows = statement.query([]).map_err(reading)?;
    let mut grammar = Some(Grammar::new());
    let mut head = Head::EMPTY;
    let mut events = 0;
    while let Some(row) = rows.next().map_err(reading)? {
        let stored = StoredEvent::from_row(row).map_err(reading)?;
        check_chain(head, &stored, findings);
        check_event(&stored, &mut grammar, rebuilt, findings);
        head = stored.head();
        events += 1;
    }
    Ok((
        events,
        head,
        grammar.is_some_and(|grammar| !grammar.is_at_rest()),
    ))
}

fn check_chain(head: Head, stored: &StoredEvent, findings: &mut Findings) {
    let seq = Some(stored.seq);
    if stored.seq != head.seq.0 + 1 {
        let message = format!(
            "events {} to {} are missing",
            head.seq.0 + 1,
            stored.seq - 1
        );
        findings.add("gap", seq, message);
    }
    if stored.prev_hash != head.hash {
        findings.add("chain", seq, "it does not continue the event before it");
    }
    if stored.hash != stored.computed_hash() {
        findings.add("chain", seq, "its content does not match its hash");
    }
}

/// After the first event that does not fit, the rest would only fail for the same reason.
fn check_event(
    stored: &StoredEvent,
    grammar: &mut Option<Grammar>,
    rebuilt: &Connection,
    findings: &mut Findings,
) {
    let event = match stored.event() {
        Ok(event) => event,
        Err(error) => {
            *grammar = None;
            return findings.add("body", Some(stored.seq), error.to_string());
        }
    };
    let Some(checker) = grammar else { return };
    if let Err(error) = checker.accept(&event) {
        *grammar = None;
        return findings.add("grammar", Some(stored.seq), error.rule);
    }
    if let Err(error) = project(rebuilt, &event) {
        *grammar = None;
        findings.add(
            "derived",
            Some(stored.seq),
            format!("it does not fit the tables: {error}"),
        );
    }
}

/// The order in which a derived table's rows are compared: its primary key.
fn key_of(table: &str) -> &'static str {
    match table {
        "run" => "run",
        "unit" => "mac",
        "attempt" => "attempt",
        "step" => "attempt, step, try_number",
        "serial" => "serial",
        "passed" => "product, revision, mac",
        "passed_count" => "product, revision",
        "burn" => "intended_seq",
        "approval" => "approval",
        "release" => "released_seq",
        "key" => "name, owner",
        "quarantine" => "since_seq",
        _ => "seq",
    }
}

fn compare_derived(
    db: &Connection,
    rebuilt: &Connection,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    for table in DERIVED_TABLES {
        let sql = format!("SELECT * FROM {table} ORDER BY {}", key_of(table));
        let (mut live, mut made) = (db.prepare(&sql)?, rebuilt.prepare(&sql)?);
        let columns = live.column_count();
        let (mut live, mut made) = (live.query([])?, made.query([])?);
        let mut number = 0_u64;
        loop {
            number += 1;
            let (live, made) = (live.next()?, made.next()?);
            let message = match (live, made) {
                (None, None) => break,
                (Some(_), None) => format!("`{table}` has rows that no event explains"),
                (None, Some(_)) => format!("`{table}` lacks rows that events explain"),
                (Some(live), Some(made)) if rows_equal(live, made, columns)? => continue,
                (Some(_), Some(_)) => format!("`{table}` differs from a rebuild in row {number}"),
            };
            findings.add("derived", None, message);
            break;
        }
    }
    Ok(())
}

fn rows_equal(
    live: &rusqlite::Row<'_>,
    made: &rusqlite::Row<'_>,
    columns: usize,
) -> rusqlite::Result<bool> {
    for column in 0..columns {
        let (live, made): (ValueRef<'_>, ValueRef<'_>) =
            (live.get_ref(column)?, made.get_ref(column)?);
        if live != made {
            return Ok(false);
        }
    }
    Ok(true)
}
