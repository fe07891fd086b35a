//! What sealed and forgotten keys, and units that wait for a person, leave in the derived tables.
//!
//! Invariant: a key is never another one, and none after it was forgotten; an event that says so
//! changes no row and is refused.

use rusqlite::{Connection, params};

use super::irreversible::number;
use super::{execute, one_row, refused};
use crate::event::{Event, EventKind, Mac};
use crate::journal::stamp::time_text;

/// Who owns a key, as the column says it.
fn owner(mac: Option<&Mac>) -> &str {
    mac.map_or("shared", Mac::as_str)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller has sorted the kinds"
)]
pub(super) fn project_key(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    let at = time_text(event.at);
    match &event.kind {
        EventKind::KeySealed {
            attempt,
            key,
            mac,
            key_kind,
            purpose,
            fingerprint,
            custody,
        } => {
            // Said again in every attempt that needs it; what it says must not change, but that a
            // key that was to be forgotten is escrowed after all.
            let changed = execute(
                db,
                "INSERT INTO key (name, owner, kind, purpose, fingerprint, custody, sealed_at,
                     attempt)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (name, owner) DO UPDATE SET
                     purpose = coalesce(purpose, excluded.purpose),
                     custody = CASE excluded.custody WHEN 'escrow' THEN 'escrow' ELSE custody END
                 WHERE fingerprint = excluded.fingerprint AND kind = excluded.kind
                     AND forgotten_at IS NULL",
                params![
                    key,
                    owner(mac.as_ref()),
                    key_kind,
                    purpose,
                    fingerprint,
                    custody.word(),
                    at,
                    number(*attempt)
                ],
            )?;
            one_row(changed, "the key was another one, or is forgotten")
        }
        EventKind::KeyForgotten {
            attempt,
            key,
            mac,
            fingerprint,
            by,
            reason,
        } => {
            let changed = execute(
                db,
                "INSERT INTO key (name, owner, kind, fingerprint, custody, attempt, forgotten_at,
                     forgotten_by, reason)
                 VALUES (?1, ?2, '', ?3, 'forget', ?4, ?5, ?6, ?7)
                 ON CONFLICT (name, owner) DO UPDATE SET
                     forgotten_at = coalesce(forgotten_at, excluded.forgotten_at),
                     forgotten_by = coalesce(forgotten_by, excluded.forgotten_by),
                     reason = coalesce(reason, excluded.reason)
                 WHERE fingerprint = excluded.fingerprint",
                params![
                    key,
                    owner(mac.as_ref()),
                    fingerprint,
                    number(*attempt),
                    at,
                    by,
                    reason
                ],
            )?;
            one_row(changed, "the key was another one")
        }
        _ => Ok(()),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller has sorted the kinds"
)]
pub(super) fn project_quarantine(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    let at = time_text(event.at);
    match &event.kind {
        EventKind::UnitQuarantined {
            attempt,
            mac,
            code,
            reason,
        } => execute(
            db,
            "INSERT INTO quarantine (since_seq, mac, attempt, code, reason, since_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                event.seq.0,
                mac.as_str(),
                number(*attempt),
                code,
                reason,
                at
            ],
        )
        .map(drop),
        EventKind::UnitReleased { mac, by, reason } => {
            let changed = execute(
                db,
                "UPDATE quarantine SET released_at = ?2, released_by = ?3, released_reason = ?4
                 WHERE mac = ?1 AND released_at IS NULL",
                params![mac.as_str(), at, by, reason],
            )?;
            if changed == 0 {
                return Err(refused("the unit is not quarantined"));
            }
            // A person has looked at what the chip could not say.
            let settle = "UPDATE burn SET state = 'released' WHERE mac = ?1 AND state = 'unclear'";
            execute(db, settle, params![mac.as_str()]).map(drop)
        }
        _ => Ok(()),
    }
}
