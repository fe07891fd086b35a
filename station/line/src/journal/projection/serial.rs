//! What becomes of serial numbers in the derived tables.

use rusqlite::{Connection, params};

use super::{execute, one_row};
use crate::event::{Event, EventKind};
use crate::journal::stamp::time_text;

/// Why a change of a serial number takes no row.
const STATE: &str = "the serial number is not in a state that allows this";

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller has sorted the kinds"
)]
pub(super) fn project(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    match &event.kind {
        EventKind::SerialReserved {
            attempt,
            pool,
            position,
            serial,
        } => {
            execute(
                db,
                "INSERT INTO serial (serial, pool, position, state, reserved_at, attempt)
                 VALUES (?1, ?2, ?3, 'reserved', ?4, ?5)",
                params![
                    serial.as_str(),
                    pool,
                    position,
                    time_text(event.at),
                    attempt.0
                ],
            )?;
        }
        EventKind::SerialBound {
            attempt,
            pool,
            serial,
            mac,
        } => {
            // A number that is another unit's, or void, stays as it is: then no row changes.
            let changed = execute(
                db,
                "UPDATE serial SET mac = ?3, attempt = ?4,
                     state = iif(state = 'committed', 'committed', 'bound')
                 WHERE serial = ?1 AND pool = ?2 AND state <> 'void'
                     AND (mac IS NULL OR mac = ?3)",
                params![serial.as_str(), pool, mac.as_str(), attempt.0],
            )?;
            one_row(changed, STATE)?;
        }
        EventKind::SerialCommitted {
            attempt,
            pool,
            serial,
            mac,
        } => {
            let changed = execute(
                db,
                "UPDATE serial SET state = 'committed', attempt = ?4
                 WHERE serial = ?1 AND pool = ?2 AND mac = ?3 AND state IN ('bound', 'committed')",
                params![serial.as_str(), pool, mac.as_str(), attempt.0],
            )?;
            one_row(changed, STATE)?;
        }
        EventKind::SerialVoided {
            pool,
            serial,
            reason,
        } => {
            let changed = execute(
                db,
                "UPDATE serial SET state = 'void', reason = ?3
                 WHERE serial = ?1 AND pool = ?2 AND state IN ('reserved', 'bound')",
                params![serial.as_str(), pool, reason],
            )?;
            one_row(changed, STATE)?;
        }
        _ => {}
    }
    Ok(())
}
