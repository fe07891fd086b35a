//! What was meant to be burned into units, and what became of it.
//!
//! Invariants: every intent has one row, also the second one of the same pulse; a pulse that is open
//! or unclear has to be compared with the chip before anything else is burned into its unit.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::JournalError;
use super::reader::{Reader, optional_time_at, time_at};
use crate::approval::ApprovalId;
use crate::event::{AttemptId, Mac, PulseRecord, PulseShape, Seq};

/// Most intents that are kept in mind of one unit: a chip has eleven blocks, and a pulse is
/// repeated only after a failure.
const MAX_BURNS_OF_UNIT: usize = 10_000;

/// What is known of a pulse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BurnState {
    /// It was intended, and nobody saw its end.
    Open,
    /// It is there.
    Done,
    /// The chip stopped answering, as the pulse told it to.
    Silent,
    /// The block does not read as expected.
    Failed,
    /// The unit was read: it did not happen.
    NotDone,
    /// The unit was read: some of its bits are there.
    Partly,
    /// The unit was read, and cannot say.
    Unclear,
    /// It was unclear, and a person let the unit go on.
    Released,
}

impl BurnState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Open,
        Self::Done,
        Self::Silent,
        Self::Failed,
        Self::NotDone,
        Self::Partly,
        Self::Unclear,
        Self::Released,
    ];

    /// Returns the word that every face and the journal use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Silent => "silent",
            Self::Failed => "failed",
            Self::NotDone => "not_done",
            Self::Partly => "partly",
            Self::Unclear => "unclear",
            Self::Released => "released",
        }
    }

    /// Returns whether the chip has to be asked before anything else is burned.
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Open | Self::Unclear)
    }

    /// Returns whether some bit of the pulse may be in the chip.
    pub fn may_be_there(self) -> bool {
        self != Self::NotDone
    }
}

/// One intent and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BurnRow {
    /// Number of the event that says it was intended.
    pub seq: Seq,
    /// Which unit.
    pub mac: Mac,
    /// Chip name.
    pub chip: String,
    /// During this attempt, unless outside a run.
    pub attempt: Option<AttemptId>,
    /// The approval that covers it.
    pub approval: Option<ApprovalId>,
    /// When it was intended.
    pub at: DateTime<Utc>,
    /// What it was to do.
    #[schemars(with = "PulseShape")]
    pub pulse: PulseRecord,
    /// What became of it.
    pub state: BurnState,
    /// When that was known.
    pub settled_at: Option<DateTime<Utc>>,
    /// Whether it was known from reading the unit later.
    pub reconciled: bool,
    /// More about it.
    pub detail: Option<String>,
}

const COLUMNS: &str = "intended_seq, mac, chip, attempt, approval, intended_at, pulse, state,
    settled_at, reconciled, detail";

impl BurnRow {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let strange = |column: usize, what: String| {
            let text = rusqlite::types::Type::Text;
            rusqlite::Error::FromSqlConversionFailure(column, text, what.into())
        };
        let approval = row
            .get::<_, Option<String>>(4)?
            .map(|text| ApprovalId::parse(&text).map_err(|error| strange(4, error.to_string())))
            .transpose()?;
        let pulse: String = row.get(6)?;
        let state: String = row.get(7)?;
        Ok(Self {
            seq: Seq(row.get(0)?),
            mac: Mac::new(row.get::<_, String>(1)?),
            chip: row.get(2)?,
            attempt: row.get::<_, Option<u64>>(3)?.map(AttemptId),
            approval,
            at: time_at(row, 5)?,
            pulse: serde_json::from_str(&pulse).map_err(|error| strange(6, error.to_string()))?,
            state: BurnState::ALL
                .into_iter()
                .find(|known| known.word() == state)
                .ok_or_else(|| strange(7, format!("`{state}` is no state of a pulse")))?,
            settled_at: optional_time_at(row, 8)?,
            reconciled: row.get(9)?,
            detail: row.get(10)?,
        })
    }
}

/// Every intent of a unit, in order; of too many the latest, among which are those without an end.
pub(super) fn burns_of(db: &Connection, mac: &Mac) -> rusqlite::Result<Vec<BurnRow>> {
    let sql = format!(
        "SELECT * FROM (SELECT {COLUMNS} FROM burn WHERE mac = ?1
             ORDER BY intended_seq DESC LIMIT {MAX_BURNS_OF_UNIT}) ORDER BY intended_seq"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params![mac.as_str()], BurnRow::from_row)?;
    rows.collect()
}

impl Reader {
    /// Returns every intent ever to burn something into a unit, in order, as far as is durable.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn burns_of(&self, mac: &Mac) -> Result<Vec<BurnRow>, JournalError> {
        self.ask(|db| burns_of(db, mac))
    }

    /// Returns the intents of a unit that have to be compared with the chip first.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn unfinished_burns(&self, mac: &Mac) -> Result<Vec<BurnRow>, JournalError> {
        let mut burns = self.burns_of(mac)?;
        burns.retain(|burn| burn.state.is_unfinished());
        Ok(burns)
    }

    /// Returns the latest intents of all units, newest first, at most `limit`; of units nobody has
    /// settled only, if `unfinished` is set.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn burns(&self, unfinished: bool, limit: usize) -> Result<Vec<BurnRow>, JournalError> {
        let limit = limit.min(super::MAX_EVENTS);
        let sql = format!(
            "SELECT {COLUMNS} FROM burn WHERE NOT ?1 OR state IN ('open', 'unclear')
             ORDER BY intended_seq DESC LIMIT ?2"
        );
        self.ask(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map(params![unfinished, limit], BurnRow::from_row)?;
            rows.collect()
        })
    }
}
