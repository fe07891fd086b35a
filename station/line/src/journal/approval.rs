//! Whether an approval may be used: decided by the writer, under the transaction that records it.
//!
//! Invariants: what the table says of an approval counts only if the chained event that granted it
//! says the same, and if the table has counted every use that was recorded; so a row that somebody
//! wrote, extended or reset by hand allows nothing; an approval of a plan is used only while the
//! plan's release is in force, looked at under the same transaction.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::JournalError;
use super::reader::{Reader, optional_time_at, time_at};
use super::release::in_force;
use super::stamp::{Head, StoredEvent, time_text};
use crate::approval::{Approval, ApprovalId, ApprovalRefusal, ApprovalState, Subject, UseApproval};
use crate::event::EventKind;

/// Approvals of one subject that are looked through for one that can be used.
const MAX_OF_SUBJECT: usize = 1000;

struct Granted {
    id: ApprovalId,
    subject: Subject,
    by: String,
    granted_at: DateTime<Utc>,
    granted_seq: u64,
    expires_at: DateTime<Utc>,
    uses: u32,
    used: u32,
    used_at: Option<DateTime<Utc>>,
    used_by: Option<String>,
}

const COLUMNS: &str = "approval, subject, granted_by, granted_at, granted_seq, expires_at, uses,
    used, used_at, used_by";

impl Granted {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let strange = |column: usize, error: crate::approval::SubjectError| {
            let text = rusqlite::types::Type::Text;
            rusqlite::Error::FromSqlConversionFailure(column, text, error.into())
        };
        let (id, subject): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(Self {
            id: ApprovalId::parse(&id).map_err(|error| strange(0, error))?,
            subject: subject.parse().map_err(|error| strange(1, error))?,
            by: row.get(2)?,
            granted_at: time_at(row, 3)?,
            granted_seq: row.get(4)?,
            expires_at: time_at(row, 5)?,
            uses: row.get(6)?,
            used: row.get(7)?,
            used_at: optional_time_at(row, 8)?,
            used_by: row.get(9)?,
        })
    }

    fn state(&self, now: DateTime<Utc>) -> ApprovalState {
        if self.used >= self.uses {
            ApprovalState::Used
        } else if time_text(self.expires_at) <= time_text(now) {
            ApprovalState::Expired
        } else {
            ApprovalState::Usable
        }
    }

    fn seen(self, now: DateTime<Utc>) -> Approval {
        Approval {
            state: self.state(now),
            id: self.id,
            subject: self.subject,
            by: self.by,
            granted_at: self.granted_at,
            expires_at: self.expires_at,
            used_at: self.used_at,
            used_by: self.used_by,
        }
    }

    fn judge(&self, wanted: &Subject, now: DateTime<Utc>) -> Result<(), ApprovalRefusal> {
        let approval = self.id.clone();
        if self.subject != *wanted {
            return Err(ApprovalRefusal::Mismatch {
                approval,
                allows: self.subject.clone(),
                wanted: wanted.clone(),
            });
        }
        match self.state(now) {
            ApprovalState::Usable => Ok(()),
            ApprovalState::Used => Err(ApprovalRefusal::Used { approval }),
            ApprovalState::Expired => Err(ApprovalRefusal::Expired {
                approval,
                at: self.expires_at,
            }),
        }
    }

    /// Whether the chained record says what the table says.
    fn is_as_recorded(&self, db: &Connection, head: Head) -> rusqlite::Result<bool> {
        let sql = "SELECT seq, at, elapsed_us, run, kind, body, prev_hash, hash FROM event
                   WHERE seq = ?1";
        let stored = db
            .prepare_cached(sql)?
            .query_row(params![self.granted_seq], StoredEvent::from_row)
            .optional()?;
        let Some(stored) = stored else {
            return Ok(false);
        };
        let next: Option<[u8; 32]> = db
            .prepare_cached("SELECT prev_hash FROM event WHERE seq = ?1")?
            .query_row(params![self.granted_seq + 1], |row| row.get(0))
            .optional()?;
        let chained = stored.hash == stored.computed_hash()
            && next.unwrap_or(head.hash) == stored.hash
            && stored.at == time_text(self.granted_at);
        let granted = match stored.event().map(|event| event.kind) {
            Ok(EventKind::Approved {
                approval,
                subject,
                by,
                expires_at,
                uses,
            }) => {
                approval == self.id
                    && subject == self.subject
                    && by == self.by
                    && time_text(expires_at) == time_text(self.expires_at)
                    && uses == self.uses
            }
            _ => false,
        };
        let recorded: u32 = db
            .prepare_cached(
                "SELECT count(*) FROM event
                 WHERE kind = 'approval_used' AND json_extract(body, '$.approval') = ?1",
            )?
            .query_row(params![self.id.as_str()], |row| row.get(0))?;
        Ok(chained && granted && recorded == self.used)
    }
}

/// Finds the approval that allows the request, or says why there is none, or why even an approval
/// does not help. The outer error is one of the journal itself.
pub(super) fn decide(
    db: &Connection,
    head: Head,
    request: &UseApproval,
) -> Result<Result<ApprovalId, JournalError>, JournalError> {
    let reading = |error: rusqlite::Error| JournalError::reading(&error);
    match &request.subject {
        Subject::Plan(plan) => {
            let release = in_force(db, plan, &request.trusted).map_err(reading)?;
            if let Err(refusal) = release {
                return Ok(Err(refusal.into()));
            }
        }
        Subject::Burn(_) | Subject::Operation(_) => {}
    }
    let found = look(db, head, request).map_err(reading)?;
    Ok(found.map_err(JournalError::from))
}

fn look(
    db: &Connection,
    head: Head,
    request: &UseApproval,
) -> rusqlite::Result<Result<ApprovalId, ApprovalRefusal>> {
    let (found, none) = match &request.approval {
        Some(id) => {
            let sql = format!("SELECT {COLUMNS} FROM approval WHERE approval = ?1");
            let mut statement = db.prepare_cached(&sql)?;
            let found = statement.query_map(params![id.as_str()], Granted::from_row)?;
            let found: Vec<_> = found.collect::<rusqlite::Result<_>>()?;
            let approval = id.clone();
            (found, ApprovalRefusal::Unknown { approval })
        }
        None => {
            // The one that ends first is used first; if none can be used, the latest explains.
            let sql = format!(
                "SELECT * FROM (SELECT {COLUMNS} FROM approval
                     WHERE subject = ?1 AND used < uses AND expires_at > ?2
                     ORDER BY expires_at, granted_seq LIMIT {MAX_OF_SUBJECT})
                 UNION ALL
                 SELECT * FROM (SELECT {COLUMNS} FROM approval
                     WHERE subject = ?1 AND NOT (used < uses AND expires_at > ?2)
                     ORDER BY expires_at DESC, granted_seq DESC LIMIT 1)"
            );
            let mut statement = db.prepare_cached(&sql)?;
            let given = params![request.subject.to_string(), time_text(request.at)];
            let found = statement.query_map(given, Granted::from_row)?;
            let found: Vec<_> = found.collect::<rusqlite::Result<_>>()?;
            let subject = request.subject.clone();
            (found, ApprovalRefusal::Missing { subject })
        }
    };
    let mut refusal = none;
    for granted in found {
        if !granted.is_as_recorded(db, head)? {
            refusal = ApprovalRefusal::Altered {
                approval: granted.id,
            };
            continue;
        }
        match granted.judge(&request.subject, request.at) {
            Ok(()) => return Ok(Ok(granted.id)),
            Err(why) => refusal = why,
        }
    }
    Ok(Err(refusal))
}

impl Reader {
    /// Returns the approvals as they are at a time, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn approvals(
        &self,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<Approval>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM approval ORDER BY granted_seq DESC LIMIT ?1");
        self.ask(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map(params![limit.min(super::MAX_EVENTS)], |row| {
                Ok(Granted::from_row(row)?.seen(now))
            })?;
            rows.collect()
        })
    }
}
