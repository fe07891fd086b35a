//! Lock files that other programs respect, and our own for network endpoints.
//!
//! Invariants:
//! - A UUCP lock appears with its content or not at all (it is linked into place), and is removed
//!   only by who wrote it or when its process is dead.
//! - No symbolic link is followed in a directory that anyone can write to.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::lock::holder::holder_of;

/// Most bytes of a lock file that are read: a pid and some blanks.
const MAX_LOCK_TEXT: u64 = 64;
/// Age at which a lock without a readable pid is left-over: its writer had time to finish.
const UNREADABLE_AGE: Duration = Duration::from_secs(60);
/// Tries to replace stale locks before somebody else is assumed to be faster.
const TRIES: usize = 4;

/// Somebody else has the lock.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Its process, where that is known.
    pub(super) pid: Option<u32>,
}

/// A lock file of the UUCP kind, removed on drop.
#[derive(Debug)]
pub(super) struct UucpLock {
    path: PathBuf,
}

impl UucpLock {
    /// Takes `folder/LCK..name` for the device node `node`; `None` where that is not permitted.
    pub(super) fn take(folder: &Path, node: &Path) -> Result<Option<Self>, Held> {
        let path = folder.join(format!("LCK..{}", lock_name(node)));
        for _ in 0..TRIES {
            match place(folder, &path) {
                Ok(()) => return Ok(Some(Self { path })),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    tracing::warn!(%error, lock = %path.display(), "no lock file for this port");
                    return Ok(None);
                }
            }
            match owner(&path) {
                Owner::Gone => {}
                Owner::Alive(pid) => return Err(Held { pid: Some(pid) }),
                Owner::Unreadable => return Err(Held { pid: None }),
                Owner::Dead => {
                    tracing::info!(lock = %path.display(), "removing the lock of a dead process");
                    if let Err(error) = fs::remove_file(&path)
                        && error.kind() != io::ErrorKind::NotFound
                    {
                        tracing::warn!(%error, lock = %path.display(), "a stale lock stays");
                        return Ok(None);
                    }
                }
            }
        }
        Err(Held { pid: None })
    }
}

impl Drop for UucpLock {
    fn drop(&mut self) {
        if read_pid(&self.path) == Ok(Some(std::process::id()))
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, lock = %self.path.display(), "a lock file stays behind");
        }
    }
}

/// What follows `LCK..`: the node's path below `/dev` (or its last part), without slashes.
fn lock_name(node: &Path) -> String {
    let below = node
        .strip_prefix("/dev")
        .unwrap_or_else(|_| Path::new(node.file_name().unwrap_or(OsStr::new("port"))));
    below.to_string_lossy().replace('/', "_")
}

/// Writes our pid beside `path` and links it there: readers never see a half-written lock.
fn place(folder: &Path, path: &Path) -> io::Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let pid = std::process::id();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let draft = folder.join(format!("LTMP..{pid}.{count}"));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&draft)?;
    let written = writeln!(file, "{pid:>10}").and_then(|()| fs::hard_link(&draft, path));
    if let Err(error) = fs::remove_file(&draft) {
        tracing::warn!(%error, draft = %draft.display(), "a draft of a lock file stays behind");
    }
    written
}

/// Who holds an existing lock.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// The file has just gone.
    Gone,
    /// Its process is dead, or was an earlier one with our own pid.
    Dead,
    Alive(u32),
    Unreadable,
}

fn owner(path: &Path) -> Owner {
    match read_pid(path) {
        // The registry has refused a second lock of this process before this is reached.
        Ok(Some(pid)) if pid == std::process::id() => Owner::Dead,
        Ok(Some(pid)) if is_alive(pid) => Owner::Alive(pid),
        Ok(Some(_)) => Owner::Dead,
        Ok(None) => {
            let age = fs::symlink_metadata(path)
                .and_then(|meta| meta.modified())
                .map(|written| {
                    SystemTime::now()
                        .duration_since(written)
                        .unwrap_or_default()
                });
            match age {
                Ok(age) if age > UNREADABLE_AGE => Owner::Dead,
                Ok(_) => Owner::Unreadable,
                Err(_) => Owner::Gone,
            }
        }
        Err(io::ErrorKind::NotFound) => Owner::Gone,
        Err(_) => Owner::Unreadable,
    }
}

/// The pid in a lock file: ten columns of text (HDB UUCP), or four bytes of an older kind.
fn read_pid(path: &Path) -> Result<Option<u32>, io::ErrorKind> {
    let read = || {
        let mut content = Vec::new();
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(path)?;
        file.take(MAX_LOCK_TEXT).read_to_end(&mut content)?;
        Ok::<_, io::Error>(content)
    };
    let content = read().map_err(|error| error.kind())?;
    let text = std::str::from_utf8(&content).unwrap_or_default();
    let first = text
        .split_ascii_whitespace()
        .next()
        .and_then(|pid| pid.parse().ok());
    let pid = first.or_else(|| Some(u32::from_ne_bytes(content.try_into().ok()?)));
    Ok(pid.filter(|pid| *pid != 0))
}

/// Whether a process with this id lives; one that we may not signal does.
fn is_alive(pid: u32) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// A file under `flock` that stands for a network endpoint. It stays when the lock goes.
#[derive(Debug)]
pub(super) struct EndpointLock {
    file: File,
}

impl Drop for EndpointLock {
    fn drop(&mut self) {
        // Closing is not enough: between fork and exec a child has the same open file, and with it
        // the lock.
        if let Err(error) = rustix::fs::flock(&self.file, FlockOperation::Unlock) {
            tracing::debug!(%error, "an endpoint's lock goes with its file");
        }
    }
}

impl EndpointLock {
    /// Locks the file for `endpoint` in `folder`; `None` where there can be no file.
    pub(super) fn take(folder: &Path, endpoint: &str) -> Result<Option<Self>, Held> {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '_'
            }
        };
        let name: String = endpoint.to_ascii_lowercase().chars().map(plain).collect();
        let path = folder.join(format!("station-{name}.lock"));
        let mut file = match open(&path) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(%error, lock = %path.display(), "no lock file for this endpoint");
                return Ok(None);
            }
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(Held {
                    pid: holder_of(&path).or_else(|| read_pid(&path).ok()?),
                });
            }
            Err(error) => {
                tracing::warn!(%error, lock = %path.display(), "no lock on this endpoint");
                return Ok(None);
            }
        }
        let pid = std::process::id();
        if let Err(error) = file.set_len(0).and_then(|()| writeln!(file, "{pid:>10}")) {
            // Another user's file: the lock itself works all the same.
            tracing::debug!(%error, lock = %path.display(), "this lock does not name its owner");
        }
        Ok(Some(Self { file }))
    }
}

/// Opens or makes a lock file; one of another user is opened for reading, which `flock` accepts.
fn open(path: &Path) -> io::Result<File> {
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    let made = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(nofollow)
        .open(path);
    let file = match made {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => fs::OpenOptions::new()
            .read(true)
            .custom_flags(nofollow)
            .open(path)?,
        other => other?,
    };
    if file.metadata()?.nlink() == 0 {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the lock file was removed",
        ));
    }
    Ok(file)
}
