//! Bays inside this process: a duplex stream instead of a port.
//!
//! Invariant: on tokio's paused clock the same bytes and orders give the same bytes at the same
//! times.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::bay;
use super::control::Control;
use super::host::{Heard, Host, HostKind};
use crate::chip::ChipConfig;

/// Bytes that fit between host and bay in each direction: what a driver would buffer.
const PIPE: usize = 64 * 1024;
/// The rate a port has before anybody sets one.
const FIRST_BAUD: u32 = 115_200;

/// Starts a bay with one board in it and opens its port.
///
/// Must be called inside a tokio runtime. The board boots from its flash; the bay ends when every
/// [`Control`] is dropped.
pub fn spawn(config: ChipConfig) -> (DuplexStream, Control) {
    let (stream, host) = MemoryHost::pair();
    let control = bay::spawn_with(move |bay| {
        bay.attach(Box::new(host));
        bay.insert_new(config, false);
    });
    (stream, control)
}

/// Starts a bay without a board.
///
/// Must be called inside a tokio runtime.
pub fn spawn_empty() -> Control {
    bay::spawn_with(|_| {})
}

/// The bay's side of a port in memory.
pub(super) struct MemoryHost {
    stream: DuplexStream,
    baud: u32,
}

impl MemoryHost {
    /// The program's side and the bay's side of a port.
    pub(super) fn pair() -> (DuplexStream, Self) {
        let (outer, stream) = tokio::io::duplex(PIPE);
        (
            outer,
            Self {
                stream,
                baud: FIRST_BAUD,
            },
        )
    }
}

impl Host for MemoryHost {
    fn kind(&self) -> HostKind {
        HostKind::Memory
    }

    fn poll_heard(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Heard> {
        poll_stream(&mut self.stream, context, buffer)
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn baud(&self) -> Option<u32> {
        Some(self.baud)
    }

    fn set_baud(&mut self, baud: u32) {
        self.baud = baud;
    }
}

/// Reads a stream; its end or failure is a host that has gone.
pub(super) fn poll_stream<S: AsyncRead + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<Heard> {
    let mut read = ReadBuf::new(buffer);
    match Pin::new(stream).poll_read(context, &mut read) {
        Poll::Ready(Ok(())) if !read.filled().is_empty() => {
            Poll::Ready(Heard::Bytes(read.filled().len()))
        }
        Poll::Ready(_) => Poll::Ready(Heard::Gone),
        Poll::Pending => Poll::Pending,
    }
}
