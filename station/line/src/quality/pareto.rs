//! What fails most, and how much of all failing it explains.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::filter::{Filter, collect};
use super::interval::as_float;
use crate::journal::{JournalError, Reader};

/// One kind of failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParetoRow {
    /// The step that decided, if one did.
    pub failed_step: Option<String>,
    /// Class of the failure.
    pub class: String,
    /// Its code.
    pub code: String,
    /// Attempts it decided.
    pub count: u64,
    /// Units among them; attempts that never learnt their unit count as none.
    pub units: u64,
    /// Its part of all failures, 0 to 1.
    pub share: f64,
    /// Its part and that of all rows before it, 0 to 1.
    pub cumulative: f64,
}

/// Returns attempts that ended `fail` or `error` by step and code, the most frequent first.
///
/// The shares are of all that failed, rows cut off by the limit included.
///
/// # Errors
/// [`JournalError::Read`] and its kin.
pub fn failure_pareto(reader: &Reader, filter: &Filter) -> Result<Vec<ParetoRow>, JournalError> {
    let mut conditions = filter.on_attempts();
    conditions.require("attempt.outcome IN ('fail', 'error')");
    let sql = format!(
        "SELECT failed_step, coalesce(class, ''), coalesce(code, ''), count(*),
             count(DISTINCT mac)
         FROM attempt JOIN run ON run.run = attempt.run {}
         GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 3, 2",
        conditions.sql()
    );
    let mut rows = reader.ask(|db| {
        collect(db, &sql, conditions.values(), |row| {
            Ok(ParetoRow {
                failed_step: row.get(0)?,
                class: row.get(1)?,
                code: row.get(2)?,
                count: row.get(3)?,
                units: row.get(4)?,
                share: 0.0,
                cumulative: 0.0,
            })
        })
    })?;
    let all: u64 = rows.iter().map(|row| row.count).sum();
    let mut so_far = 0;
    for row in &mut rows {
        so_far += row.count;
        row.share = as_float(row.count) / as_float(all);
        row.cumulative = as_float(so_far) / as_float(all);
    }
    rows.truncate(filter.limit());
    Ok(rows)
}
