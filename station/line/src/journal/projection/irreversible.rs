//! What pulses, approvals and releases leave in the derived tables.
//!
//! Invariants: these tables carry the rules that look far back (a pulse is not burned twice, an
//! approval is not used twice, a key is never another one), so that they hold live, in a rebuild and
//! in a verification alike: an event that breaks one changes no row and is refused.

use rusqlite::{Connection, params};

use super::{custody, execute, one_row, refused};
use crate::approval::ApprovalId;
use crate::event::{AttemptId, BurnVerdict, Event, EventKind, PulseRecord, ReconcileVerdict};
use crate::journal::stamp::time_text;

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller has sorted the kinds"
)]
pub(super) fn project(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    match &event.kind {
        EventKind::BurnIntended { .. }
        | EventKind::BurnFinished { .. }
        | EventKind::BurnReconciled { .. }
        | EventKind::BurnsLeftOpen { .. } => project_burn(db, event),
        EventKind::Approved { .. } | EventKind::ApprovalUsed { .. } => project_approval(db, event),
        EventKind::RecipeReleased { .. } | EventKind::RecipeWithdrawn { .. } => {
            project_release(db, event)
        }
        EventKind::KeySealed { .. } | EventKind::KeyForgotten { .. } => {
            custody::project_key(db, event)
        }
        EventKind::UnitQuarantined { .. } | EventKind::UnitReleased { .. } => {
            custody::project_quarantine(db, event)
        }
        _ => Ok(()),
    }
}

pub(super) fn number(attempt: Option<AttemptId>) -> Option<u64> {
    attempt.map(|attempt| attempt.0)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller has sorted the kinds"
)]
fn project_burn(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    match &event.kind {
        EventKind::BurnIntended { .. } => intend(db, event),
        EventKind::BurnFinished {
            attempt,
            mac,
            plan,
            number: pulse,
            verdict,
            tries,
            before,
            after,
            detail,
        } => {
            let changed = execute(
                db,
                // Nobody but who began it has seen its end, and nobody after a restart.
                "UPDATE burn SET state = ?4, settled_seq = ?5, settled_at = ?6, tries = ?7,
                     before = ?8, after = ?9, detail = ?10
                 WHERE mac = ?1 AND plan = ?2 AND number = ?3 AND state = 'open'
                     AND left_open = 0 AND attempt IS ?11",
                params![
                    mac.as_str(),
                    plan,
                    pulse,
                    BurnVerdict::word(*verdict),
                    event.seq.0,
                    time_text(event.at),
                    tries,
                    before.to_string(),
                    after.to_string(),
                    detail,
                    number(*attempt)
                ],
            )?;
            one_row(changed, "the pulse is not under way")
        }
        EventKind::BurnReconciled {
            attempt,
            mac,
            plan,
            number: pulse,
            verdict,
            detail,
        } => {
            let changed = execute(
                db,
                // While its attempt goes on, the pulse may still be under way.
                "UPDATE burn SET state = ?4, settled_seq = ?5, settled_at = ?6, detail = ?7,
                     reconciled = 1
                 WHERE mac = ?1 AND plan = ?2 AND number = ?3 AND state IN ('open', 'unclear')
                     AND (attempt IS ?8 OR NOT EXISTS (SELECT 1 FROM attempt AS its
                         WHERE its.attempt = burn.attempt AND its.outcome IS NULL))",
                params![
                    mac.as_str(),
                    plan,
                    pulse,
                    ReconcileVerdict::word(*verdict),
                    event.seq.0,
                    time_text(event.at),
                    detail,
                    number(*attempt)
                ],
            )?;
            one_row(changed, "the pulse is neither open nor unclear")
        }
        EventKind::BurnsLeftOpen { burns, units } => count_left_open(db, (*burns, *units)),
        _ => Ok(()),
    }
}

fn count_left_open(db: &Connection, said: (u64, u64)) -> rusqlite::Result<()> {
    let sql = "SELECT count(*), count(DISTINCT mac) FROM burn
               WHERE state = 'open' AND left_open = 0";
    let found: (u64, u64) = db
        .prepare_cached(sql)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if found != said {
        return Err(refused("another number of pulses is open"));
    }
    let mark = "UPDATE burn SET left_open = 1 WHERE state = 'open'";
    execute(db, mark, []).map(drop)
}

/// One for a burn plan covers each of its pulses once; one for a recipe's plan covers what is burned
/// in one run of it; one for an operation covers no pulse.
fn require_approval(
    db: &Connection,
    approval: &ApprovalId,
    attempt: Option<AttemptId>,
    pulse: &PulseRecord,
) -> rusqlite::Result<()> {
    let covers = "
        SELECT 1 FROM approval
        LEFT JOIN attempt ON attempt.attempt = ?3 LEFT JOIN run ON run.run = attempt.run
        WHERE approval.approval = ?1 AND approval.used > 0 AND (
            approval.subject = 'burn:' || ?2
                AND NOT EXISTS (SELECT 1 FROM burn WHERE burn.approval = ?1 AND burn.number = ?4)
            OR approval.subject = 'plan:' || run.plan
                AND run.run = coalesce((
                    SELECT before.run FROM burn JOIN attempt AS before USING (attempt)
                    WHERE burn.approval = ?1 ORDER BY burn.intended_seq LIMIT 1), run.run))";
    let given = params![approval.as_str(), pulse.plan, number(attempt), pulse.number];
    if db.prepare_cached(covers)?.exists(given)? {
        return Ok(());
    }
    Err(refused(
        "the pulse names an approval that was not used for it",
    ))
}

fn intend(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    let EventKind::BurnIntended {
        attempt,
        mac,
        chip,
        approval,
        pulse,
    } = &event.kind
    else {
        return Ok(());
    };
    let quarantined = "SELECT 1 FROM quarantine WHERE mac = ?1 AND released_at IS NULL";
    if db
        .prepare_cached(quarantined)?
        .exists(params![mac.as_str()])?
    {
        return Err(refused("a quarantined unit is not burned"));
    }
    let unclear = "SELECT 1 FROM burn WHERE mac = ?1 AND state = 'unclear'";
    if db.prepare_cached(unclear)?.exists(params![mac.as_str()])? {
        return Err(refused(
            "a unit that has an unclear pulse is not burned before it is settled",
        ));
    }
    if let Some(approval) = approval {
        require_approval(db, approval, *attempt, pulse)?;
    }
    let record = serde_json::to_string(pulse)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    execute(
        db,
        "INSERT INTO burn (intended_seq, mac, chip, plan, number, of, block, pulse, attempt,
             approval, intended_at, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'open')",
        params![
            event.seq.0,
            mac.as_str(),
            chip,
            pulse.plan,
            pulse.number,
            pulse.of,
            pulse.block,
            record,
            number(*attempt),
            approval.as_ref().map(ApprovalId::as_str),
            time_text(event.at)
        ],
    )
    .map(drop)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller has sorted the kinds"
)]
fn project_approval(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    let at = time_text(event.at);
    match &event.kind {
        EventKind::Approved {
            approval,
            subject,
            by,
            expires_at,
            uses,
        } => execute(
            db,
            "INSERT INTO approval (approval, subject, granted_by, granted_at, granted_seq,
                 expires_at, uses)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                approval.as_str(),
                subject.to_string(),
                by,
                at,
                event.seq.0,
                time_text(*expires_at),
                uses
            ],
        )
        .map(drop),
        EventKind::ApprovalUsed {
            approval,
            subject,
            by,
        } => {
            let changed = execute(
                db,
                "UPDATE approval SET used = used + 1, used_at = ?3, used_by = ?4
                 WHERE approval = ?1 AND subject = ?2 AND used < uses AND expires_at > ?3",
                params![approval.as_str(), subject.to_string(), at, by],
            )?;
            one_row(changed, "no such approval, or it is used up or expired")
        }
        _ => Ok(()),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller has sorted the kinds"
)]
fn project_release(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    let at = time_text(event.at);
    match &event.kind {
        EventKind::RecipeReleased {
            plan,
            product,
            revision,
            by,
            key,
            signature,
        } => execute(
            db,
            "INSERT INTO release (released_seq, plan, product, revision, released_by,
                 released_at, key, signature)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                event.seq.0,
                plan.as_str(),
                product,
                revision,
                by,
                at,
                key,
                signature
            ],
        )
        .map(drop),
        EventKind::RecipeWithdrawn { plan, by, reason } => {
            let changed = execute(
                db,
                "UPDATE release SET withdrawn_at = ?2, withdrawn_by = ?3, reason = ?4
                 WHERE plan = ?1 AND withdrawn_at IS NULL",
                params![plan.as_str(), at, by, reason],
            )?;
            one_row(changed, "the plan is not released")
        }
        _ => Ok(()),
    }
}
