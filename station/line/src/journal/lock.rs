//! The right to write: at most one station has a journal open for writing.
//!
//! Invariants: the right is an advisory lock on `<database>.lock`, which the kernel lets go when the
//! process ends however it ends; it is given back when it is dropped, also while a program that is
//! just being started still shares the file; the lock file stays behind and its presence means
//! nothing. Readers need no right.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::JournalError;

/// Longest content of a lock file that is looked at, in bytes.
const MAX_PID_TEXT: u64 = 32;

/// The right to write, held until dropped.
#[derive(Debug)]
pub(super) struct WriterLock {
    file: File,
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // Closing is not enough: between fork and exec a child has the same open file, and with it
        // the lock.
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the journal's lock goes with its file");
        }
    }
}

impl WriterLock {
    /// Takes the right, without waiting.
    pub(super) fn acquire(database: &Path) -> Result<Self, JournalError> {
        let path = lock_path(database);
        let open = |source| JournalError::Open {
            path: path.clone(),
            source: Arc::new(source),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(open)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = read_pid(&mut file);
                return Err(JournalError::InUse {
                    path: database.to_path_buf(),
                    pid,
                });
            }
            Err(TryLockError::Error(source)) => return Err(open(source)),
        }
        // The number is a courtesy to whoever is refused; the lock does not depend on it.
        let _ = write_pid(&mut file);
        Ok(Self { file })
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(MAX_PID_TEXT).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_was_dropped_is_free_though_a_child_still_shares_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("line.db");
        let lock = WriterLock::acquire(&database).unwrap();
        // What a child has between its fork and its exec: the same open file.
        let shared = lock.file.try_clone().unwrap();
        assert!(matches!(
            WriterLock::acquire(&database),
            Err(JournalError::InUse { .. })
        ));
        drop(lock);
        WriterLock::acquire(&database).unwrap();
        drop(shared);
    }
}
