//! What can go wrong with the journal.
//!
//! Two kinds matter to a caller: a *refusal* concerns one request and leaves the journal as it was;
//! a *loss* ([`JournalError::is_loss`]) means that nothing more can be recorded and the line stops.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;
use thiserror::Error;

use super::grammar::GrammarError;
use crate::approval::ApprovalRefusal;
use crate::event::{Mac, Serial};
use crate::release::ReleaseRefusal;

/// Why the journal did not do what it was asked. Cheap to clone: every waiting caller gets one.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file, or a file beside it, cannot be opened or made.
    #[error("cannot open journal `{}`", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Another station writes to it.
    #[error("journal `{}` is in use by another station{}", path.display(), holder(.pid))]
    InUse {
        /// The database file.
        path: PathBuf,
        /// Process that holds it, where the lock file says so.
        pid: Option<u32>,
    },
    /// A newer station made it.
    #[error(
        "journal `{}` has schema version {found}, this station knows up to {known}",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest this station knows.
        known: i64,
    },
    /// It is an SQLite database, but not a journal.
    #[error("`{}` is a database, but not a station's journal", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// Its content is damaged.
    #[error("journal is damaged: {what}")]
    Corrupt {
        /// What was found.
        what: String,
    },
    /// It cannot be written: disk full, read-only, I/O error.
    #[error("cannot write to the journal: {what}")]
    Write {
        /// What SQLite or the system says.
        what: String,
    },
    /// It cannot be read.
    #[error("cannot read the journal: {what}")]
    Read {
        /// What SQLite says.
        what: String,
    },
    /// It was closed, or its thread ended.
    #[error("journal is closed")]
    Closed,
    /// An event would break the grammar of the stream.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// A request does not fit what is recorded.
    #[error("journal refuses {what}")]
    Refused {
        /// What, and why.
        what: String,
    },
    /// The pool has no number left.
    #[error("serial pool `{pool}` is dry after {last} numbers")]
    PoolDry {
        /// Which pool.
        pool: String,
        /// How many it had.
        last: u64,
    },
    /// The unit has no number of this pool and is not to get one.
    #[error("`{mac}` has no serial number of pool `{pool}`")]
    NoSerial {
        /// Which pool.
        pool: String,
        /// Which unit.
        mac: Mac,
    },
    /// The list of serial numbers has no row for the unit.
    #[error("`{file}` has no row for unit `{mac}`")]
    NotListed {
        /// The list.
        file: String,
        /// Which unit.
        mac: Mac,
    },
    /// There is no such serial number, or it cannot be voided any more.
    #[error("serial `{serial}` cannot be voided: {reason}")]
    NotVoidable {
        /// The number.
        serial: Serial,
        /// Why not.
        reason: &'static str,
    },
    /// An approval cannot be used.
    #[error(transparent)]
    Approval(#[from] ApprovalRefusal),
    /// A plan must not be run as released.
    #[error(transparent)]
    Release(#[from] ReleaseRefusal),
    /// A file that would be written is there already.
    #[error("`{}` is there already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
}

fn holder(pid: &Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

impl JournalError {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "journal-open",
            Self::InUse { .. } => "journal-in-use",
            Self::Newer { .. } => "journal-newer",
            Self::Foreign { .. } => "journal-foreign",
            Self::Corrupt { .. } => "journal-corrupt",
            Self::Write { .. } => "journal-write",
            Self::Read { .. } => "journal-read",
            Self::Closed => "journal-closed",
            Self::Grammar(_) => "journal-grammar",
            Self::Refused { .. } => "journal-refused",
            Self::PoolDry { .. } => "serial-pool-dry",
            Self::NoSerial { .. } => "serial-missing",
            Self::NotListed { .. } => "unit-not-listed",
            Self::NotVoidable { .. } => "serial-not-voidable",
            Self::Approval(refusal) => refusal.code(),
            Self::Release(refusal) => refusal.code(),
            Self::Exists { .. } => "file-exists",
        }
    }

    /// Returns what to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InUse { .. } => Some("stop the other station or give this one its own --db"),
            Self::Newer { .. } => Some("use the station version that wrote it, or a newer one"),
            Self::Foreign { .. } => Some("name another file with --db"),
            Self::Corrupt { .. } => {
                Some("run `station journal verify`, then restore the last backup")
            }
            Self::Write { .. } => Some("check free space and permissions of the journal's disk"),
            Self::PoolDry { .. } => {
                Some("extend the list, or give the recipe a pool with a wider counter")
            }
            Self::NoSerial { .. } => {
                Some("a recipe with `seen_before = \"repeat\"` gives the unit a number")
            }
            Self::NotListed { .. } => Some("add the unit to the list, or take the board out"),
            Self::Open { .. } => Some("check the path and its permissions"),
            Self::Approval(refusal) => Some(refusal.hint()),
            Self::Release(refusal) => Some(refusal.hint()),
            Self::Exists { .. } => Some("name another file; nothing is overwritten"),
            Self::Read { .. }
            | Self::Closed
            | Self::Grammar(_)
            | Self::Refused { .. }
            | Self::NotVoidable { .. } => None,
        }
    }

    /// Returns whether nothing more can be recorded.
    pub fn is_loss(&self) -> bool {
        match self {
            Self::Open { .. }
            | Self::InUse { .. }
            | Self::Newer { .. }
            | Self::Foreign { .. }
            | Self::Corrupt { .. }
            | Self::Write { .. }
            | Self::Read { .. }
            | Self::Closed => true,
            Self::Grammar(_)
            | Self::Refused { .. }
            | Self::PoolDry { .. }
            | Self::NoSerial { .. }
            | Self::NotListed { .. }
            | Self::NotVoidable { .. }
            | Self::Approval(_)
            | Self::Release(_)
            | Self::Exists { .. } => false,
        }
    }

    /// What a failed write means: a broken constraint or a value that no column can hold refuses the
    /// request, all else loses the journal.
    pub(super) fn writing(error: &rusqlite::Error) -> Self {
        let what = error.to_string();
        if matches!(error, rusqlite::Error::ToSqlConversionFailure(_)) {
            return Self::Refused { what };
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig) => Self::Refused { what },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { what },
            _ => Self::Write { what },
        }
    }

    /// What a failed read means.
    pub(super) fn reading(error: &rusqlite::Error) -> Self {
        let what = error.to_string();
        // A column that cannot hold what is in it was not written by a station.
        let strange = matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..)
        );
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { what },
            _ if strange => Self::Corrupt { what },
            _ => Self::Read { what },
        }
    }
}
