//! The record as a stranger reads it: plain SQL on the journal's file, and what must hold in any journal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::Value;

/// Every table that is derived from events.
const DERIVED: [&str; 14] = [
    "run",
    "unit",
    "attempt",
    "step",
    "measurement",
    "serial",
    "attachment",
    "passed",
    "passed_count",
    "burn",
    "approval",
    "release",
    "key",
    "quarantine",
];

/// A journal that is looked at.
pub struct Record(Connection);

impl Record {
    pub fn of(path: &Path) -> Self {
        let db = Connection::open(path).unwrap();
        db.busy_timeout(super::PATIENCE).unwrap();
        Self(db)
    }

    /// The connection, for tests that damage things.
    pub fn sql(&self) -> &Connection {
        &self.0
    }

    /// One number.
    pub fn number(&self, sql: &str) -> i64 {
        self.0.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// The first column as text, one for each row.
    pub fn column(&self, sql: &str) -> Vec<String> {
        let mut statement = self.0.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Number, kind and data of every event, in order.
    pub fn events(&self) -> Vec<(i64, String, Value)> {
        let mut statement = self
            .0
            .prepare("SELECT seq, kind, body FROM event ORDER BY seq")
            .unwrap();
        let rows = statement
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
            })
            .unwrap();
        rows.map(Result::unwrap)
            .map(|(seq, kind, body)| (seq, kind, serde_json::from_str(&body).unwrap()))
            .collect()
    }

    /// Every row of every derived table as text.
    pub fn derived(&self) -> BTreeMap<&'static str, Vec<String>> {
        DERIVED
            .into_iter()
            .map(|table| (table, self.table(table)))
            .collect()
    }

    fn table(&self, table: &str) -> Vec<String> {
        let mut statement = self.0.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<Cell> = (0..columns)
                .map(|column| row.get(column).unwrap())
                .collect();
            all.push(format!("{cells:?}"));
        }
        all.sort();
        all
    }

    /// Asserts what must hold in a journal of a station that is not running: everything ended, every
    /// pass has its full record, no serial number has two owners, and no unit of a pool has two numbers.
    pub fn assert_sound(&self, steps: &[&str]) {
        assert_eq!(
            self.number("SELECT count(*) FROM run WHERE finished_at IS NULL"),
            0,
            "an open run"
        );
        assert_eq!(
            self.number("SELECT count(*) FROM attempt WHERE outcome IS NULL"),
            0,
            "an open attempt"
        );
        assert_eq!(
            self.number("SELECT count(*) FROM step WHERE outcome IS NULL"),
            0,
            "an open step"
        );
        self.assert_passes_are_whole(steps);
        self.assert_serials_have_one_owner();
    }

    fn assert_passes_are_whole(&self, steps: &[&str]) {
        for attempt in
            self.column("SELECT CAST(attempt AS TEXT) FROM attempt WHERE outcome = 'pass'")
        {
            let of_attempt =
                |what: &str| format!("{what} AND json_extract(body, '$.attempt') = {attempt}");
            let passed = self.column(&format!(
                "SELECT step FROM step AS last WHERE attempt = {attempt} AND outcome IN ('pass', 'skipped')
                 AND try_number = (SELECT max(try_number) FROM step WHERE attempt = last.attempt AND step = last.step)"
            ));
            let passed: BTreeSet<&str> = passed.iter().map(String::as_str).collect();
            assert_eq!(
                passed,
                steps.iter().copied().collect(),
                "attempt {attempt} passed without these"
            );
            for kind in ["attempt_started", "unit_identified", "attempt_finished"] {
                let found = self.number(&of_attempt(&format!(
                    "SELECT count(*) FROM event WHERE kind = '{kind}'"
                )));
                assert_eq!(found, 1, "{kind} of attempt {attempt}");
            }
            let failed = self.number(&format!(
                "SELECT count(*) FROM measurement AS last WHERE attempt = {attempt} AND verdict = 'fail'
                 AND try_number = (SELECT max(try_number) FROM step WHERE attempt = last.attempt AND step = last.step)"
            ));
            assert_eq!(failed, 0, "attempt {attempt} passed with a bad measurement");
        }
    }

    fn assert_serials_have_one_owner(&self) {
        let mut owner: BTreeMap<String, String> = BTreeMap::new();
        let mut number: BTreeMap<(String, String), String> = BTreeMap::new();
        for (seq, kind, data) in self.events() {
            if kind != "serial_bound" && kind != "serial_committed" {
                continue;
            }
            let text = |name: &str| data[name].as_str().unwrap().to_owned();
            let (serial, mac, pool) = (text("serial"), text("mac"), text("pool"));
            let of = owner.entry(serial.clone()).or_insert_with(|| mac.clone());
            assert_eq!(*of, mac, "event {seq}: `{serial}` has two owners");
            let has = number
                .entry((pool, mac.clone()))
                .or_insert_with(|| serial.clone());
            assert_eq!(*has, serial, "event {seq}: {mac} has two numbers");
        }
    }
}
