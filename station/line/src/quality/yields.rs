//! First-pass and final yield.
//!
//! A unit is one MAC of one product. Its first attempt is the first that was not aborted, wherever
//! and whenever; first-pass yield of a group counts the units whose first attempt is in the group.
//! Final yield counts each unit once, by its last attempt in the group. An error counts as not passed,
//! as the unit was not shown to be good; attempts that never learnt their unit are counted apart.

use rusqlite::Row;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::filter::{Filter, collect};
use super::interval::{as_float, wilson};
use crate::journal::{JournalError, Reader};

/// What attempts are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// Product.
    #[default]
    Product,
    /// Plan, as product and the first digits of the plan's hash.
    Recipe,
    /// Bay.
    Bay,
    /// Lot.
    Lot,
    /// Day of the start, UTC.
    Day,
    /// Run.
    Run,
}

impl GroupBy {
    /// Every way to group.
    pub const ALL: [Self; 6] = [
        Self::Product,
        Self::Recipe,
        Self::Bay,
        Self::Lot,
        Self::Day,
        Self::Run,
    ];

    /// Returns the word every face uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Recipe => "recipe",
            Self::Bay => "bay",
            Self::Lot => "lot",
            Self::Day => "day",
            Self::Run => "run",
        }
    }

    fn expression(self) -> &'static str {
        match self {
            Self::Product => "run.product",
            Self::Recipe => "run.product || ' ' || substr(run.plan, 1, 12)",
            Self::Bay => "attempt.bay",
            Self::Lot => "coalesce(run.lot, '')",
            Self::Day => "substr(attempt.started_at, 1, 10)",
            Self::Run => "CAST(run.run AS TEXT)",
        }
    }
}

impl std::str::FromStr for GroupBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|group| group.word() == text);
        found.ok_or_else(|| {
            let words: Vec<_> = Self::ALL.into_iter().map(Self::word).collect();
            format!(
                "unknown group `{text}`, expected one of {}",
                words.join(", ")
            )
        })
    }
}

/// Yield of one group. Proportions and bounds are 0 to 1, and missing where there are no units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct YieldRow {
    /// The group.
    pub group: String,
    /// Attempts that ended, aborted ones left out.
    pub attempts: u64,
    /// Units whose first attempt is in the group.
    pub first_units: u64,
    /// Of these, units that passed it.
    pub first_pass: u64,
    /// First-pass yield.
    pub first_yield: Option<f64>,
    /// Its lower 95 % bound.
    pub first_low: Option<f64>,
    /// Its upper 95 % bound.
    pub first_high: Option<f64>,
    /// Units with an attempt in the group.
    pub units: u64,
    /// Of these, units whose last attempt in the group passed.
    pub final_pass: u64,
    /// Final yield.
    pub final_yield: Option<f64>,
    /// Its lower 95 % bound.
    pub final_low: Option<f64>,
    /// Its upper 95 % bound.
    pub final_high: Option<f64>,
    /// Attempts that ended before the unit was known.
    pub unidentified: u64,
}

/// Returns yield by group, groups in the order of their first attempt.
///
/// # Errors
/// [`JournalError::Read`] and its kin.
pub fn yields(
    reader: &Reader,
    by: GroupBy,
    filter: &Filter,
) -> Result<Vec<YieldRow>, JournalError> {
    let mut conditions = filter.on_attempts();
    conditions.require("attempt.outcome <> 'aborted'");
    let sql = format!(
        "WITH first AS (
             SELECT min(attempt.attempt) AS attempt
             FROM attempt JOIN run ON run.run = attempt.run
             WHERE attempt.outcome <> 'aborted' AND attempt.mac IS NOT NULL
             GROUP BY run.product, attempt.mac
         ), chosen AS (
             SELECT {group} AS grouped, attempt.attempt, attempt.outcome, attempt.mac,
                 attempt.attempt IN (SELECT attempt FROM first) AS is_first,
                 attempt.mac IS NOT NULL AND row_number() OVER (
                     PARTITION BY {group}, run.product, attempt.mac
                     ORDER BY attempt.attempt DESC) = 1 AS is_last
             FROM attempt JOIN run ON run.run = attempt.run {conditions}
         )
         SELECT grouped, count(*),
             count(*) FILTER (WHERE is_first),
             count(*) FILTER (WHERE is_first AND outcome = 'pass'),
             count(*) FILTER (WHERE is_last),
             count(*) FILTER (WHERE is_last AND outcome = 'pass'),
             count(*) FILTER (WHERE mac IS NULL)
         FROM chosen GROUP BY grouped ORDER BY min(attempt) LIMIT {limit}",
        group = by.expression(),
        conditions = conditions.sql(),
        limit = filter.limit(),
    );
    reader.ask(|db| collect(db, &sql, conditions.values(), read))
}

fn read(row: &Row<'_>) -> rusqlite::Result<YieldRow> {
    let (first_units, first_pass) = (row.get(2)?, row.get(3)?);
    let (units, final_pass) = (row.get(4)?, row.get(5)?);
    let (first, last) = (wilson(first_pass, first_units), wilson(final_pass, units));
    Ok(YieldRow {
        group: row.get(0)?,
        attempts: row.get(1)?,
        first_units,
        first_pass,
        first_yield: first.map(|_| as_float(first_pass) / as_float(first_units)),
        first_low: first.map(|interval| interval.low),
        first_high: first.map(|interval| interval.high),
        units,
        final_pass,
        final_yield: last.map(|_| as_float(final_pass) / as_float(units)),
        final_low: last.map(|interval| interval.low),
        final_high: last.map(|interval| interval.high),
        unidentified: row.get(6)?,
    })
}
