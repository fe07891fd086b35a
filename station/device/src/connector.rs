//! Opens a port by address or by bay key.
//!
//! Invariants:
//! - A bay key is resolved again at every open: names of ttys change.
//! - Nothing is opened without its locks, and the locks outlive the open device.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::address::Address;
use crate::bay::{BayKey, BayWatch, PresenceTracker, RESCAN, ResetConfig, Sysfs};
use crate::error::DeviceError;
use crate::link::pty;
use crate::link::rfc2217::Rfc2217Link;
use crate::link::tcp::TcpLink;
use crate::link::tty::TtyLink;
use crate::lock::{LockFolders, PortLock};
use crate::port::{Connector, Port, Presence};
use crate::reset::{ControlSocket, ModemLines, NoReset, ResetControl};

/// Rate of a port that was just opened: at which every ROM bootloader of the family listens.
pub const FIRST_BAUD: u32 = 115_200;

/// Where to connect.
#[derive(Clone, Debug)]
enum Place {
    Address(Address),
    Key(BayKey, BayWatch),
}

/// Opens one port, as often as needed.
#[derive(Clone)]
pub struct AddressConnector {
    name: String,
    place: Place,
    reset: Option<ResetConfig>,
    folders: LockFolders,
    presence: OnceLock<watch::Receiver<Presence>>,
}

impl fmt::Debug for AddressConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressConnector")
            .field("name", &self.name)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl AddressConnector {
    /// A connector called `name` to `address`, resetting as fits the port.
    pub fn new(name: impl Into<String>, address: Address) -> Self {
        Self::at(name.into(), Place::Address(address))
    }

    /// A connector called `name` to whatever is in the bay `key`.
    pub fn for_bay(name: impl Into<String>, key: BayKey, watch: BayWatch) -> Self {
        Self::at(name.into(), Place::Key(key, watch))
    }

    fn at(name: String, place: Place) -> Self {
        Self {
            name,
            place,
            reset: None,
            folders: LockFolders::default(),
            presence: OnceLock::new(),
        }
    }

    /// The same connector with a reset control of its own; `None` keeps what fits the port.
    #[must_use]
    pub fn with_reset(mut self, reset: Option<ResetConfig>) -> Self {
        self.reset = reset;
        self
    }

    /// The same connector with other folders for lock files.
    #[must_use]
    pub fn with_lock_folders(mut self, folders: LockFolders) -> Self {
        self.folders = folders;
        self
    }

    /// The reset control of a port, or what fits it.
    fn reset(&self, fitting: impl FnOnce() -> Box<dyn ResetControl>) -> Box<dyn ResetControl> {
        self.reset
            .as_ref()
            .map_or_else(fitting, ResetConfig::control)
    }

    async fn open_tty(&self, path: &Path, native: bool) -> Result<Port, DeviceError> {
        let lock = PortLock::take(&Address::Tty(path.to_owned()), &self.folders).await?;
        let link = TtyLink::open(path, FIRST_BAUD, Some(lock)).await?;
        let reset = self.reset(|| {
            if link.is_pty() {
                match pty::control_socket(path) {
                    Some(socket) => Box::new(ControlSocket::new(socket)),
                    None => Box::new(NoReset),
                }
            } else if native {
                Box::new(ModemLines::UsbJtag)
            } else {
                Box::new(ModemLines::default())
            }
        });
        // Whatever is plugged in with the board may go away when the chip is reset.
        Ok(Port::new(Box::new(link), reset).returning(Arc::new(self.clone())))
    }

    async fn open_address(&self, address: &Address) -> Result<Port, DeviceError> {
        match address {
            Address::Tty(path) => {
                let native = Sysfs::default().at(path).is_some_and(|tty| tty.is_native());
                self.open_tty(path, native).await
            }
            Address::Tcp { host, port } => {
                let lock = PortLock::take(address, &self.folders).await?;
                let link = TcpLink::connect(host, *port).await?;
                Ok(Port::locked(
                    Box::new(link),
                    self.reset(|| Box::new(NoReset)),
                    lock,
                ))
            }
            Address::Rfc2217 { host, port } => {
                let lock = PortLock::take(address, &self.folders).await?;
                let link = Rfc2217Link::connect(host, *port, FIRST_BAUD).await?;
                let reset = self.reset(|| Box::new(ModemLines::default()));
                Ok(Port::locked(Box::new(link), reset, lock))
            }
            Address::Virtual(_) => Err(DeviceError::Unsupported {
                what: format!("`{address}`"),
                detail: "no virtual chips run inside this station".to_owned(),
            }),
        }
    }
}

#[async_trait]
impl Connector for AddressConnector {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn open(&self) -> Result<Port, DeviceError> {
        match &self.place {
            Place::Address(address) => self.open_address(address).await,
            Place::Key(key, watch) => {
                let (sysfs, key) = (watch.sysfs().clone(), key.clone());
                let resolving = tokio::task::spawn_blocking(move || sysfs.resolve(&key));
                let tty = resolving.await.map_err(|error| DeviceError::Internal {
                    what: "looking for a bay".to_owned(),
                    detail: error.to_string(),
                })??;
                self.open_tty(&tty.path, tty.is_native()).await
            }
        }
    }

    /// Must be called inside a runtime: the first call starts to look.
    fn presence(&self) -> watch::Receiver<Presence> {
        let start = || match &self.place {
            Place::Key(key, watch) => watch.presence(key),
            Place::Address(Address::Tty(path)) => watch_path(path.clone()),
            Place::Address(Address::Tcp { .. } | Address::Rfc2217 { .. } | Address::Virtual(_)) => {
                // Nobody sends any more; the last value stays readable.
                watch::Sender::new(Presence::Unknown).subscribe()
            }
        };
        self.presence.get_or_init(start).clone()
    }
}

/// Looks at a device node until nobody asks any more.
fn watch_path(path: PathBuf) -> watch::Receiver<Presence> {
    let mut tracker = PresenceTracker::default();
    let (tell, told) = watch::channel(tracker.observe(Instant::now(), identity(&path)));
    tokio::spawn(async move {
        let mut rhythm = tokio::time::interval(RESCAN);
        rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = rhythm.tick() => {}
                () = tell.closed() => return,
            }
            // A look at one name in a local file system; `/dev` is in memory.
            let presence = tracker.observe(Instant::now(), identity(&path));
            tell.send_if_modified(|last| std::mem::replace(last, presence) != presence);
        }
    });
    told
}

/// What tells the board behind a device node from the next one under the same name. A node is made
/// anew when its device re-enumerates, so that it says nothing itself; where USB does not know the
/// device either, only its absence tells.
fn identity(path: &Path) -> Option<String> {
    let node = fs::metadata(path).ok()?;
    let known = Sysfs::default().at(path).map(|tty| tty.identity());
    Some(known.unwrap_or_else(|| format!("{:?}", node.file_type())))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod virtual_chips;
