//! Exclusive locks of ports: nobody else, no other station and not this one twice.
//!
//! Three locks stand behind one another:
//! - a registry inside this process;
//! - for ttys the UUCP lock file `/var/lock/LCK..name` (Filesystem Hierarchy Standard 3.0, 5.9),
//!   which minicom, picocom and others respect; `flock` and `TIOCEXCL` on the node come with
//!   opening it;
//! - for network addresses a file under `flock` in the runtime directory, named after the endpoint.
//!
//! Invariants:
//! - A lock of a living process is honoured, one of a dead process is removed.
//! - Without permission for the lock directory the station works on, and says so.
//! - Locks go when [`PortLock`] is dropped, which for a tty is after its descriptor was closed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::address::{Address, endpoint_text};
use crate::error::DeviceError;

mod file;
mod holder;

use file::{EndpointLock, UucpLock};
pub use holder::holder_of;

/// How long an open waits for a port that this process is still closing.
const CLOSING_DEADLINE: Duration = Duration::from_secs(6);

/// What this process has.
static HELD: Mutex<Option<Registry>> = Mutex::new(None);
/// Woken whenever something leaves [`HELD`].
static RELEASED: Notify = Notify::const_new();

/// Ports by the name of what can be open once.
#[derive(Default)]
struct Registry {
    ports: HashMap<String, Entry>,
    /// Locks ever given, to tell them apart.
    given: u64,
}

/// One port that this process has.
struct Entry {
    id: u64,
    closing: bool,
}

/// Where lock files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockFolders {
    /// The UUCP lock directory.
    pub uucp: PathBuf,
    /// Where files for network endpoints are; every station of the machine must use the same.
    pub endpoints: PathBuf,
}

impl Default for LockFolders {
    /// `/var/lock`, and the system's directory for temporary files.
    fn default() -> Self {
        Self {
            uucp: PathBuf::from("/var/lock"),
            endpoints: std::env::temp_dir(),
        }
    }
}

/// The right to be the only one on a port.
#[derive(Debug)]
pub struct PortLock {
    /// Dropped before the entry in the registry goes: fields fall after `drop`, so it is explicit.
    files: Option<Files>,
    key: String,
    id: u64,
}

/// The file that belongs to the kind of port. Held, never read.
#[derive(Debug)]
#[expect(dead_code, reason = "what counts is that they are dropped")]
enum Files {
    Uucp(UucpLock),
    Endpoint(EndpointLock),
}

impl PortLock {
    /// Takes every lock of `address`, waiting only for a port that this process is just closing.
    ///
    /// # Errors
    /// `PortInUse`; `PortBroken` when an earlier close of the port has hung.
    pub async fn take(address: &Address, folders: &LockFolders) -> Result<Self, DeviceError> {
        let key = key_of(address);
        let waiting = register(&key, address);
        let own = tokio::time::timeout(CLOSING_DEADLINE, waiting)
            .await
            .map_err(|_| DeviceError::PortBroken {
                port: address.to_string(),
                detail: "its last close has not ended".to_owned(),
            })??;
        let (address, folders) = (address.clone(), folders.clone());
        // Should this future be dropped, the lock goes a moment later, on the other thread.
        let mut cancelled = Cancelled {
            mark: Some((own.key.clone(), own.id)),
        };
        // Lock folders are local file systems: this takes microseconds, and is off the runtime.
        let locking = tokio::task::spawn_blocking(move || own.with_files(&address, &folders));
        let locked = locking.await;
        cancelled.mark = None;
        locked.map_err(|error| DeviceError::Internal {
            what: "locking".to_owned(),
            detail: error.to_string(),
        })?
    }

    /// Adds the lock file of the port's kind.
    fn with_files(mut self, address: &Address, folders: &LockFolders) -> Result<Self, DeviceError> {
        let in_use = |pid| DeviceError::PortInUse {
            port: address.to_string(),
            pid,
        };
        self.files = match address {
            Address::Tty(path) => UucpLock::take(&folders.uucp, &real(path))
                .map_err(|held| in_use(held.pid))?
                .map(Files::Uucp),
            Address::Tcp { host, port } | Address::Rfc2217 { host, port } => {
                EndpointLock::take(&folders.endpoints, &endpoint_text(host, *port))
                    .map_err(|held| in_use(held.pid))?
                    .map(Files::Endpoint)
            }
            Address::Virtual(_) => None,
        };
        Ok(self)
    }

    /// Says that the port is on its way out, so that the next open waits instead of giving up.
    pub(crate) fn closing(&self) {
        mark_closing(&self.key, self.id);
    }
}

/// Marks a lock as closing unless it was disarmed.
struct Cancelled {
    mark: Option<(String, u64)>,
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some((key, id)) = &self.mark {
            mark_closing(key, *id);
        }
    }
}

/// Marks one lock, and no later one of the same port.
fn mark_closing(key: &str, id: u64) {
    let mut held = held();
    if let Some(entry) = held.get_or_insert_default().ports.get_mut(key)
        && entry.id == id
    {
        entry.closing = true;
    }
}

impl Drop for PortLock {
    fn drop(&mut self) {
        self.files = None;
        held().get_or_insert_default().ports.remove(&self.key);
        RELEASED.notify_waiters();
    }
}

/// The registry; a panic elsewhere does not make it wrong.
fn held() -> MutexGuard<'static, Option<Registry>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The device behind a path: links of udev and of virtual bays change, the node is what is locked.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// One name per thing that can be open once.
fn key_of(address: &Address) -> String {
    match address {
        Address::Tty(path) => format!("tty:{}", real(path).display()),
        Address::Tcp { host, port } | Address::Rfc2217 { host, port } => {
            endpoint_text(&host.to_ascii_lowercase(), *port)
        }
        Address::Virtual(number) => format!("virtual:{number}"),
    }
}

/// Enters `key` in the registry as soon as it is not being closed any more.
async fn register(key: &str, address: &Address) -> Result<PortLock, DeviceError> {
    loop {
        let released = RELEASED.notified();
        tokio::pin!(released);
        released.as_mut().enable();
        {
            let mut held = held();
            let held = held.get_or_insert_default();
            match held.ports.get(key) {
                None => {
                    held.given += 1;
                    let id = held.given;
                    held.ports
                        .insert(key.to_owned(), Entry { id, closing: false });
                    return Ok(PortLock {
                        files: None,
                        key: key.to_owned(),
                        id,
                    });
                }
                Some(entry) if entry.closing => {}
                Some(_) => {
                    let pid = Some(std::process::id());
                    return Err(DeviceError::PortInUse {
                        port: address.to_string(),
                        pid,
                    });
                }
            }
        }
        released.await;
    }
}

#[cfg(test)]
mod tests;
