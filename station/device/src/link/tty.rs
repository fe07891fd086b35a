//! A link over a tty: USB bridges, native USB ports, on-board UARTs and pseudo terminals.
//!
//! Invariants:
//! - Opened exclusively (`TIOCEXCL` and `flock` on the node), raw, 8N1, without flow control.
//!   Opening changes no modem line beyond what the kernel itself does: it asserts both at once, at
//!   which an auto-reset circuit stays idle.
//! - Bytes move without blocking; `open`, `close` and every ioctl that may talk to a USB device run
//!   on a detached thread under a deadline.
//! - `tcdrain` is never called.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use serialport::{ClearBuffer, SerialPort};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_serial::SerialStream;

use crate::error::DeviceError;
use crate::link::memory::discard;
use crate::link::{Link, closed, detached, no_lines, pty};
use crate::lock::{self, PortLock};

/// Longest `open`: a USB control transfer is given five seconds by the kernel.
const OPEN_DEADLINE: Duration = Duration::from_secs(6);
/// Longest ioctl, likewise.
const CALL_DEADLINE: Duration = Duration::from_secs(6);

/// An open tty.
pub struct TtyLink {
    path: PathBuf,
    pseudo: bool,
    port: Option<Box<Tty>>,
    /// A call under way that has the port; its future may have been dropped.
    call: Option<oneshot::Receiver<(Box<Tty>, io::Result<()>)>>,
    _leaving: Leaving,
}

/// Dropped before the device is closed, tells its lock that it is on its way out; also when `open`
/// or a call was cancelled and a thread still has the device.
struct Leaving(Weak<PortLock>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(lock) = self.0.upgrade() {
            lock.closing();
        }
    }
}

/// What must be closed together: the lock goes only after the descriptor.
struct Tty {
    stream: SerialStream,
    _lock: Option<Arc<PortLock>>,
}

impl fmt::Debug for TtyLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TtyLink")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl TtyLink {
    /// Opens the device at `path` at `baud`. `lock` is held until the device is really closed,
    /// which may be after the link was dropped.
    ///
    /// # Errors
    /// `NoBoard` when there is no such device, `PortInUse`, `PortDenied`, `PortBroken`.
    pub async fn open(path: &Path, baud: u32, lock: Option<PortLock>) -> Result<Self, DeviceError> {
        let lock = lock.map(Arc::new);
        let leaving = Leaving(lock.as_ref().map(Arc::downgrade).unwrap_or_default());
        let runtime = Handle::current();
        let node = path.to_owned();
        let opening = detached::start(move || {
            // The descriptor is registered with the reactor that will wait for it.
            let _inside = runtime.enter();
            let builder = tokio_serial::new(node.to_string_lossy(), baud);
            SerialStream::open(&builder).map(|stream| {
                Box::new(Tty {
                    stream,
                    _lock: lock,
                })
            })
        });
        let broken = |error: &io::Error| DeviceError::PortBroken {
            port: path.display().to_string(),
            detail: error.to_string(),
        };
        let mut opening = opening.map_err(|error| broken(&error))?;
        let port = detached::wait(&mut opening, OPEN_DEADLINE)
            .await
            .map_err(|error| broken(&error))?
            .map_err(|error| open_error(path, &error))?;
        lower_latency(path);
        Ok(Self {
            path: path.to_owned(),
            pseudo: pty::is_pty(path),
            port: Some(port),
            call: None,
            _leaving: leaving,
        })
    }

    /// Whether this is a pseudo terminal, which has no modem lines and no wire.
    #[must_use]
    pub fn is_pty(&self) -> bool {
        self.pseudo
    }

    /// The port, after an earlier call that was dropped half-way has given it back.
    async fn port(&mut self) -> io::Result<&mut Tty> {
        if let Some(call) = &mut self.call {
            let (port, _) = detached::wait(call, CALL_DEADLINE).await?;
            self.call = None;
            self.port = Some(port);
        }
        self.port.as_deref_mut().ok_or_else(closed)
    }

    /// Does something to the port that may hang.
    async fn call(
        &mut self,
        work: impl FnOnce(&mut SerialStream) -> serialport::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let pseudo = self.pseudo;
        let port = self.port().await?;
        if pseudo {
            return Ok(work(&mut port.stream)?);
        }
        let mut port = self.port.take().ok_or_else(closed)?;
        let call = detached::start(move || {
            let result = work(&mut port.stream).map_err(io::Error::from);
            (port, result)
        })?;
        let (port, result) = detached::wait(self.call.insert(call), CALL_DEADLINE).await?;
        self.call = None;
        self.port = Some(port);
        result
    }
}

/// Sorts out why a port did not open. `NoDevice` is serialport's word for "somebody has it".
fn open_error(path: &Path, error: &serialport::Error) -> DeviceError {
    let port = path.display().to_string();
    if fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return DeviceError::NoBoard { place: port };
    }
    match error.kind() {
        serialport::ErrorKind::NoDevice => DeviceError::PortInUse {
            port,
            pid: lock::holder_of(path),
        },
        serialport::ErrorKind::Io(io::ErrorKind::PermissionDenied) => {
            DeviceError::PortDenied { port }
        }
        serialport::ErrorKind::Io(_)
        | serialport::ErrorKind::InvalidInput
        | serialport::ErrorKind::Unknown => DeviceError::PortBroken {
            port,
            detail: error.to_string(),
        },
    }
}

/// Asks an FTDI bridge to hand over bytes after 1 ms instead of 16, where we may.
fn lower_latency(path: &Path) {
    let Some(name) = fs::canonicalize(path).ok().and_then(|path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    }) else {
        return;
    };
    let timer = format!("/sys/class/tty/{name}/device/latency_timer");
    if fs::read_to_string(&timer).is_ok_and(|now| now.trim() != "1")
        && let Err(error) = fs::write(&timer, "1")
    {
        tracing::debug!(%error, timer, "the bridge keeps its latency");
    }
}

#[async_trait]
impl Link for TtyLink {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.port().await?.stream.read(buffer).await? {
            0 if !buffer.is_empty() => Err(closed()),
            count => Ok(count),
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.port().await?.stream.write_all(bytes).await
    }

    async fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        if baud == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "0 baud hangs up",
            ));
        }
        self.call(move |stream| stream.set_baud_rate(baud)).await
    }

    async fn discard_input(&mut self) -> io::Result<()> {
        let port = self.port().await?;
        port.stream.clear(ClearBuffer::Input)?;
        // What a pseudo terminal or a driver holds back arrives right after the flush.
        discard(&mut port.stream).await
    }

    async fn set_lines(&mut self, dtr: Option<bool>, rts: Option<bool>) -> io::Result<()> {
        if self.pseudo {
            return Err(no_lines());
        }
        self.call(move |stream| {
            if let Some(dtr) = dtr {
                stream.write_data_terminal_ready(dtr)?;
            }
            if let Some(rts) = rts {
                stream.write_request_to_send(rts)?;
            }
            Ok(())
        })
        .await
    }

    fn describe(&self) -> String {
        format!("tty:{}", self.path.display())
    }
}

impl Drop for TtyLink {
    fn drop(&mut self) {
        let Some(port) = self.port.take() else { return };
        // Bytes nobody will read any more would hold up `close` for the driver's closing wait.
        let flush = |port: &Tty| {
            if let Err(error) = port.stream.clear(ClearBuffer::All) {
                tracing::debug!(%error, "a port was not flushed before it was closed");
            }
        };
        if self.pseudo {
            flush(&port);
        } else {
            detached::dispose(port, move |port| flush(port));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use rustix::pty::OpenptFlags;
    use tokio::fs::File;

    use super::*;

    /// The far end of a pseudo terminal, and the path of the near one.
    fn pty_pair() -> (File, PathBuf) {
        let master: OwnedFd = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        (
            File::from_std(master.into()),
            PathBuf::from(name.into_string().unwrap()),
        )
    }

    #[tokio::test]
    async fn bytes_pass_a_pseudo_terminal_unchanged_both_ways() {
        let (mut master, path) = pty_pair();
        let mut link = TtyLink::open(&path, 115_200, None).await.unwrap();
        let all: Vec<u8> = (0..=255).collect();
        link.write_all(&all).await.unwrap();
        let mut got = vec![0; 256];
        master.read_exact(&mut got).await.unwrap();
        assert_eq!(got, all);
        master.write_all(&all).await.unwrap();
        let mut back = Vec::new();
        let mut buffer = [0; 4096];
        while back.len() < 256 {
            let count = link.read(&mut buffer).await.unwrap();
            back.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(back, all);
    }

    #[tokio::test]
    async fn a_pseudo_terminal_takes_any_baud_and_has_no_lines() {
        let (_master, path) = pty_pair();
        let mut link = TtyLink::open(&path, 115_200, None).await.unwrap();
        for baud in [9600, 74_880, 921_600, 1_500_000, 3_000_000] {
            link.set_baud(baud).await.unwrap();
            assert_eq!(
                link.port.as_ref().unwrap().stream.baud_rate().unwrap(),
                baud
            );
        }
        assert!(link.is_pty());
        let error = link.set_lines(Some(true), Some(false)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        let error = link.set_baud(0).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn a_reader_of_a_silent_peer_can_be_dropped_at_its_deadline() {
        let (mut master, path) = pty_pair();
        let mut link = TtyLink::open(&path, 115_200, None).await.unwrap();
        let mut buffer = [0; 64];
        let silent = tokio::time::timeout(Duration::from_millis(20), link.read(&mut buffer)).await;
        assert!(silent.is_err());
        master.write_all(b"late").await.unwrap();
        master.flush().await.unwrap();
        assert_eq!(link.read(&mut buffer).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn a_writer_to_a_stalled_peer_can_be_dropped_at_its_deadline() {
        let (_master, path) = pty_pair();
        let mut link = TtyLink::open(&path, 115_200, None).await.unwrap();
        let flood = vec![0x55; 1 << 20];
        let stalled = tokio::time::timeout(Duration::from_millis(50), link.write_all(&flood)).await;
        assert!(stalled.is_err());
        drop(link);
    }

    #[tokio::test]
    async fn a_peer_that_hangs_up_is_an_error() {
        let (master, path) = pty_pair();
        let mut link = TtyLink::open(&path, 115_200, None).await.unwrap();
        drop(master.into_std().await);
        assert!(link.read(&mut [0; 8]).await.is_err());
    }

    #[tokio::test]
    async fn discarded_input_is_gone() {
        let (mut master, path) = pty_pair();
        let mut link = TtyLink::open(&path, 115_200, None).await.unwrap();
        master.write_all(b"old").await.unwrap();
        master.flush().await.unwrap();
        link.discard_input().await.unwrap();
        master.write_all(b"new").await.unwrap();
        master.flush().await.unwrap();
        let mut buffer = [0; 64];
        let count = link.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], b"new");
    }

    #[tokio::test]
    async fn a_device_that_is_open_is_refused_with_the_holder() {
        let (_master, path) = pty_pair();
        let _first = TtyLink::open(&path, 115_200, None).await.unwrap();
        let error = TtyLink::open(&path, 115_200, None).await.unwrap_err();
        assert!(
            matches!(error, DeviceError::PortInUse { pid: Some(pid), .. }
                if pid == std::process::id()),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_missing_device_is_an_empty_bay_and_a_plain_file_is_no_port() {
        let folder = tempfile::tempdir().unwrap();
        let missing = TtyLink::open(&folder.path().join("tty"), 115_200, None)
            .await
            .unwrap_err();
        assert_eq!(missing.code(), "no-board");
        let plain = folder.path().join("file");
        fs::write(&plain, "").unwrap();
        let broken = TtyLink::open(&plain, 115_200, None).await.unwrap_err();
        assert_eq!(broken.code(), "port-broken");
    }
}
