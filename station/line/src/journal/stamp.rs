//! From a draft to a numbered, chained row, and back.
//!
//! Invariants: a row's hash is the SHA-256 over the previous row's hash and its own canonical bytes;
//! the first row's previous hash is 32 zero bytes; what is read back equals what was stamped, so the
//! wall clock is cut to whole microseconds before anyone sees it.
//!
//! Canonical bytes, integers little-endian, texts preceded by their length as 8 bytes:
//! `seq(8) at(text) elapsed_us(8) run-is-there(1) run(8) kind(text) body(text)`.

use chrono::{DateTime, Datelike, NaiveDateTime, SubsecRound, Timelike, Utc};
use rusqlite::Row;
use sha2::{Digest, Sha256};

use super::error::JournalError;
use crate::event::{Event, EventKind, RunId, Seq};
use crate::outcome::Value;

/// Largest body of one event, in bytes of JSON. Anything larger belongs into an attachment.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// An event before the journal has numbered it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    /// Wall clock.
    pub(crate) at: DateTime<Utc>,
    /// Microseconds on the monotonic clock since the run began; 0 outside a run.
    pub(crate) elapsed_us: u64,
    /// The run it belongs to, if any.
    pub(crate) run: Option<RunId>,
    /// What happened.
    pub(crate) kind: EventKind,
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the last event; 0 in an empty journal.
    pub seq: Seq,
    /// Its hash; zeros in an empty journal. Kept elsewhere, it proves that no tail was cut off.
    pub hash: [u8; 32],
}

impl Head {
    /// The head of an empty journal.
    pub const EMPTY: Self = Self {
        seq: Seq(0),
        hash: [0; 32],
    };
}

/// One row of table `event`, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredEvent {
    pub(super) seq: u64,
    pub(super) at: String,
    pub(super) elapsed_us: u64,
    pub(super) run: Option<u64>,
    pub(super) kind: String,
    pub(super) body: String,
    pub(super) prev_hash: [u8; 32],
    pub(super) hash: [u8; 32],
}

/// Gives a draft its number and its place in the chain.
pub(super) fn stamp(head: Head, draft: Draft) -> Result<(Event, StoredEvent), JournalError> {
    refuse_unrecordable(&draft.kind)?;
    let at = without_leap(draft.at).trunc_subsecs(6);
    // SQLite's integers end at 2^63 - 1; that many microseconds are 292 000 years.
    let elapsed_us = draft.elapsed_us.min(i64::MAX.unsigned_abs());
    let event = Event {
        seq: Seq(head.seq.0 + 1),
        at,
        elapsed_us,
        run: draft.run,
        kind: draft.kind,
    };
    let body = body_of(&event.kind)?;
    let mut stored = StoredEvent {
        seq: event.seq.0,
        at: time_text(at),
        elapsed_us,
        run: event.run.map(|run| run.0),
        kind: event.kind.word().to_owned(),
        body,
        prev_hash: head.hash,
        hash: [0; 32],
    };
    if stored.at.len() != 27 {
        return Err(JournalError::Refused {
            what: format!("a time in year {}", at.format("%Y")),
        });
    }
    stored.hash = stored.computed_hash();
    Ok((event, stored))
}

fn refuse_unrecordable(kind: &EventKind) -> Result<(), JournalError> {
    let refused = |what: &str| {
        Err(JournalError::Refused {
            what: what.to_owned(),
        })
    };
    match kind {
        EventKind::Unknown(_) => refused("an event of a kind this station does not know"),
        EventKind::Measured { measurement, .. } => {
            let limits = [measurement.limits.min, measurement.limits.max];
            let number = match measurement.value {
                Value::Number(number) => Some(number),
                Value::Text(_) => None,
            };
            if limits
                .into_iter()
                .chain([number])
                .flatten()
                .all(f64::is_finite)
            {
                Ok(())
            } else {
                refused("a measurement that is not a finite number")
            }
        }
        EventKind::RunStarted { .. }
        | EventKind::BayChanged { .. }
        | EventKind::AttemptStarted { .. }
        | EventKind::UnitIdentified { .. }
        | EventKind::StepStarted { .. }
        | EventKind::StepFinished { .. }
        | EventKind::StepRetrying { .. }
        | EventKind::SerialReserved { .. }
        | EventKind::SerialBound { .. }
        | EventKind::SerialCommitted { .. }
        | EventKind::SerialVoided { .. }
        | EventKind::AttachmentStored { .. }
        | EventKind::AttemptFinished { .. }
        | EventKind::CancelRequested { .. }
        | EventKind::RunFinished { .. }
        | EventKind::OperationInvoked { .. }
        | EventKind::Refused { .. }
        | EventKind::Recovered { .. }
        | EventKind::BurnIntended { .. }
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
        | EventKind::UnitReleased { .. } => Ok(()),
    }
}

/// The text inside `"data":`, which is what the column holds.
fn body_of(kind: &EventKind) -> Result<String, JournalError> {
    let refused = |what: String| JournalError::Refused { what };
    let whole = serde_json::to_string(kind)
        .map_err(|error| refused(format!("an event that is no JSON: {error}")))?;
    let prefix = format!("{{\"kind\":\"{}\",\"data\":", kind.word());
    let body = whole
        .strip_prefix(&prefix)
        .and_then(|rest| rest.strip_suffix('}'))
        .ok_or_else(|| refused("an event whose JSON is not kind and data".to_owned()))?;
    if body.len() > MAX_BODY_BYTES {
        return Err(refused(format!("an event of {} bytes", body.len())));
    }
    Ok(body.to_owned())
}

impl StoredEvent {
    /// Reads a row whose columns were selected in the order of the fields.
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            elapsed_us: row.get(2)?,
            run: row.get(3)?,
            kind: row.get(4)?,
            body: row.get(5)?,
            prev_hash: row.get(6)?,
            hash: row.get(7)?,
        })
    }

    /// What its hash must be.
    pub(super) fn computed_hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let text = |hasher: &mut Sha256, text: &str| {
            hasher.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        hasher.update(self.prev_hash);
        hasher.update(self.seq.to_le_bytes());
        text(&mut hasher, &self.at);
        hasher.update(self.elapsed_us.to_le_bytes());
        hasher.update([u8::from(self.run.is_some())]);
        hasher.update(self.run.unwrap_or(0).to_le_bytes());
        text(&mut hasher, &self.kind);
        text(&mut hasher, &self.body);
        hasher.finalize().into()
    }

    /// The chain's end if this is the last row.
    pub(super) fn head(&self) -> Head {
        Head {
            seq: Seq(self.seq),
            hash: self.hash,
        }
    }

    /// Reads the event. A kind this station does not know becomes [`EventKind::Unknown`].
    pub(super) fn event(&self) -> Result<Event, JournalError> {
        let corrupt = |what: String| JournalError::Corrupt {
            what: format!("event {}: {what}", self.seq),
        };
        let kind = serde_json::Value::from(self.kind.as_str());
        let whole = format!("{{\"kind\":{kind},\"data\":{}}}", self.body);
        let kind: EventKind =
            serde_json::from_str(&whole).map_err(|error| corrupt(error.to_string()))?;
        if matches!(kind, EventKind::Unknown(_)) && EventKind::WORDS.contains(&self.kind.as_str()) {
            return Err(corrupt(format!("its body is no `{}`", self.kind)));
        }
        Ok(Event {
            seq: Seq(self.seq),
            at: parse_time(&self.at).ok_or_else(|| corrupt(format!("no time: `{}`", self.at)))?,
            elapsed_us: self.elapsed_us,
            run: self.run.map(RunId),
            kind,
        })
    }
}

/// A leap second, which the clock gives as more than a second's worth of nanoseconds, has no text of
/// 27 characters; it becomes the last microsecond before it.
fn without_leap(at: DateTime<Utc>) -> DateTime<Utc> {
    at.with_nanosecond(at.nanosecond().min(999_999_999))
        .unwrap_or(at)
}

/// A time as the journal's columns hold it: UTC, microseconds, 27 characters.
pub(crate) fn time_text(at: DateTime<Utc>) -> String {
    // By hand: this is written for every row, and a format string would be parsed for each.
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.timestamp_subsec_micros().min(999_999),
    )
}

/// The time in a journal's column.
pub(crate) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let naive = NaiveDateTime::parse_from_str(text.strip_suffix('Z')?, "%Y-%m-%dT%H:%M:%S%.f");
    naive.ok().map(|naive| naive.and_utc())
}
