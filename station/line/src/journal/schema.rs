//! Opening the database file: schema steps, version checks, and the settings of a connection.
//!
//! Invariants: a file of a newer schema or of another program is refused before anything in it is
//! changed; readers cannot write; writers use WAL and, unless a simulation says otherwise, wait for
//! the disk at every commit.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};

use super::error::JournalError;

/// The schema's steps, in order. A step that has been released is never edited.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("../../../../migrations/0001_journal.sql")),
    M::up(include_str!(
        "../../../../migrations/0002_burns_approvals_releases_keys.sql"
    )),
];

/// What SQLite's `application_id` says in a journal: `STJN`.
const APPLICATION_ID: i64 = 0x5354_4a4e;

/// Longest wait for a lock that another connection holds for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Statements kept compiled per connection.
const CACHED_STATEMENTS: usize = 96;

/// How hard a commit insists on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A commit returns when the bytes are on the disk.
    #[default]
    Full,
    /// A commit returns when the system has the bytes: for simulations.
    Off,
}

/// The newest schema version this station knows.
pub(super) fn known_version() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// Opens the file for writing, makes it if it is not there, and brings its schema up to date.
pub(super) fn open_writer(path: &Path, durability: Durability) -> Result<Connection, JournalError> {
    let protected = std::fs::metadata(path).is_ok_and(|file| file.permissions().readonly());
    if protected {
        let what = format!("`{}` is write-protected", path.display());
        return Err(JournalError::Write { what });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(|e| JournalError::writing(&e))?;
    refuse_strangers(&db, path, Fresh::Welcome)?;
    let prepared = prepare_writer(&mut db, durability);
    prepared.map_err(|error| JournalError::writing(&error))?;
    migrate(&mut db, path)?;
    Ok(db)
}

fn prepare_writer(db: &mut Connection, durability: Durability) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    db.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Off => "OFF",
    };
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    db.pragma_update(None, "cache_size", -16 * 1024)
}

/// Opens the file for reading.
pub(super) fn open_reader(path: &Path) -> Result<Connection, JournalError> {
    if let Err(source) = std::fs::metadata(path) {
        return Err(JournalError::Open {
            path: path.to_path_buf(),
            source: source.into(),
        });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|e| JournalError::reading(&e))?;
    refuse_strangers(&db, path, Fresh::Stranger)?;
    let prepare = || {
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        db.pragma_update(None, "cell_size_check", true)?;
        db.pragma_update(None, "query_only", true)
    };
    prepare().map_err(|error| JournalError::reading(&error))?;
    Ok(db)
}

/// Makes an empty journal that lives only as long as its connection, for comparisons.
pub(super) fn open_scratch() -> Result<Connection, JournalError> {
    // An empty name is a private file that SQLite deletes, so a large journal does not fill memory.
    let mut db = Connection::open("").map_err(|error| JournalError::writing(&error))?;
    let prepare = |db: &Connection| {
        db.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        db.pragma_update(None, "journal_mode", "OFF")?;
        db.pragma_update(None, "synchronous", "OFF")
    };
    prepare(&db).map_err(|error| JournalError::writing(&error))?;
    migrate(&mut db, Path::new(""))?;
    Ok(db)
}

/// What a database without any table is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fresh {
    /// A journal to be.
    Welcome,
    /// No journal.
    Stranger,
}

fn refuse_strangers(db: &Connection, path: &Path, fresh: Fresh) -> Result<(), JournalError> {
    let number = |sql: &str| -> Result<i64, JournalError> {
        db.query_row(sql, [], |row| row.get(0))
            .map_err(|error| JournalError::reading(&error))
    };
    db.busy_timeout(BUSY_TIMEOUT)
        .map_err(|error| JournalError::reading(&error))?;
    let found = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let empty = tables == 0 && found == 0 && application == 0;
    if application != APPLICATION_ID && !(empty && fresh == Fresh::Welcome) {
        return Err(JournalError::Foreign {
            path: path.to_path_buf(),
        });
    }
    let known = known_version();
    if found > known {
        return Err(JournalError::Newer {
            path: path.to_path_buf(),
            found,
            known,
        });
    }
    if found < known && fresh == Fresh::Stranger {
        let what =
            format!("its schema version is {found}; a run or a rebuild brings it to {known}");
        return Err(JournalError::Read { what });
    }
    Ok(())
}

fn migrate(db: &mut Connection, path: &Path) -> Result<(), JournalError> {
    Migrations::from_slice(STEPS)
        .to_latest(db)
        .map_err(|error| {
            if let rusqlite_migration::Error::RusqliteError { err, .. } = &error {
                return JournalError::writing(err);
            }
            let what = format!(
                "schema of `{}` cannot be brought up to date: {error}",
                path.display()
            );
            JournalError::Write { what }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_steps_are_sound() {
        Migrations::from_slice(STEPS).validate().unwrap();
    }
}
