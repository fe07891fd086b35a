//! A pseudo terminal as the port of a bay, under a name that stays.
//!
//! Invariants: the link always names a terminal that exists; the bay keeps the far end open, so
//! that programs come and go without an end of file; the rate a program sets is the rate its bytes
//! are sent at.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;
use tokio::io::AsyncWrite;
use tokio::net::unix::pipe;

use super::control::{BayGone, Control};
use super::host::{Heard, Host, HostKind, Reappears};
use super::memory::poll_stream;

/// The rate a port has before a program sets one.
const FIRST_BAUD: u32 = 115_200;

/// Makes a pseudo terminal for a bay and a symbolic link at `link` that names it.
///
/// The returned guard removes the link when it is dropped.
///
/// # Errors
///
/// No terminal could be made, or something that is no link is in the way.
pub async fn open(control: &Control, link: &Path) -> io::Result<PtyLink> {
    let host = PtyHost::open(link)?;
    let guard = PtyLink {
        link: link.to_owned(),
    };
    control
        .attach(Box::new(host))
        .await
        .map_err(|BayGone| ended())?;
    Ok(guard)
}

/// The link to a bay's terminal; dropped, it is removed.
#[derive(Debug)]
pub struct PtyLink {
    link: PathBuf,
}

impl PtyLink {
    /// Where the link is.
    pub fn path(&self) -> &Path {
        &self.link
    }
}

impl Drop for PtyLink {
    fn drop(&mut self) {
        // Whoever removed it first did the same.
        let _ = std::fs::remove_file(&self.link);
    }
}

/// What a caller is told when the bay ended under its hands.
fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the virtual bay has ended")
}

/// The bay's side of a pseudo terminal.
struct PtyHost {
    link: PathBuf,
    /// The master's two directions. Tokio's pipes only read, write and wait for readiness, which a
    /// terminal can do as well; they own what they are given, so no descriptor can be closed under
    /// them.
    reader: pipe::Receiver,
    writer: pipe::Sender,
    /// Open for as long as the terminal is, or reading the master fails whenever the last program
    /// leaves.
    _slave: OwnedFd,
}

impl PtyHost {
    fn open(link: &Path) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&name, flags, Mode::empty())?;
        let mut settings = rustix::termios::tcgetattr(&slave)?;
        settings.make_raw();
        settings.set_speed(FIRST_BAUD)?;
        rustix::termios::tcsetattr(&slave, OptionalActions::Now, &settings)?;
        point(link, &name.to_string_lossy())?;
        let reader = pipe::Receiver::from_owned_fd_unchecked(master.try_clone()?)?;
        let writer = pipe::Sender::from_owned_fd_unchecked(master)?;
        Ok(Self {
            link: link.to_owned(),
            reader,
            writer,
            _slave: slave,
        })
    }
}

/// Points the link at a terminal, in one step for those who look.
fn point(link: &Path, target: &str) -> io::Result<()> {
    if std::fs::symlink_metadata(link).is_ok_and(|there| !there.file_type().is_symlink()) {
        let problem = format!("`{}` exists and is no link", link.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
    }
    let mut fresh = link.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let _ = std::fs::remove_file(&fresh);
    std::os::unix::fs::symlink(target, &fresh)?;
    std::fs::rename(&fresh, link)
}

impl Host for PtyHost {
    fn kind(&self) -> HostKind {
        HostKind::Pty
    }

    fn poll_heard(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Heard> {
        poll_stream(&mut self.reader, context, buffer)
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(context, bytes)
    }

    fn baud(&self) -> Option<u32> {
        let settings = rustix::termios::tcgetattr(&self.writer).ok()?;
        Some(settings.output_speed()).filter(|baud| *baud > 0)
    }

    fn reenumerate(&mut self) -> io::Result<Reappears> {
        let link = self.link.clone();
        *self = Self::open(&link)?;
        Ok(Reappears::Now)
    }
}
