//! The bytes of a bay over TCP, raw, for one client at a time.
//!
//! Invariants: only this machine can connect; connecting and leaving reset nothing; a second client
//! is turned away by closing its connection.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use super::control::Control;
use super::host::{Heard, Host, HostKind};
use super::memory::poll_stream;

/// How long a new client waits for the one before it to be seen leaving.
const CHANGE_OVER: Duration = Duration::from_secs(1);

/// A listening TCP port of a bay; dropped, it is closed.
#[derive(Debug)]
pub struct TcpServer {
    address: SocketAddr,
    accepting: AbortHandle,
}

impl TcpServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves a bay's bytes on `port` of this machine; port 0 takes any free one.
///
/// # Errors
///
/// The port cannot be listened on.
pub async fn serve(control: &Control, port: u16) -> io::Result<TcpServer> {
    serve_as(control, port, |stream, permit| {
        Box::new(TcpHost {
            stream,
            baud: None,
            _one: permit,
        })
    })
    .await
}

/// Accepts clients one after the other and attaches what `host` makes of them.
pub(super) async fn serve_as(
    control: &Control,
    port: u16,
    host: impl Fn(TcpStream, OwnedSemaphorePermit) -> Box<dyn Host> + Send + 'static,
) -> io::Result<TcpServer> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    let control = control.clone();
    let accepting = tokio::spawn(async move {
        let seat = Arc::new(Semaphore::new(1));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, most likely: others have to leave first.
                tokio::time::sleep(CHANGE_OVER).await;
                continue;
            };
            let seat = tokio::time::timeout(CHANGE_OVER, Arc::clone(&seat).acquire_owned()).await;
            let Ok(Ok(permit)) = seat else { continue };
            // Small answers must not wait for each other.
            if stream.set_nodelay(true).is_err() {
                continue;
            }
            if control.attach(host(stream, permit)).await.is_err() {
                return;
            }
        }
    });
    Ok(TcpServer {
        address,
        accepting: accepting.abort_handle(),
    })
}

/// A client that sends and takes raw bytes.
struct TcpHost {
    stream: TcpStream,
    /// The rate of the serial port behind the socket, once somebody has set it.
    baud: Option<u32>,
    _one: OwnedSemaphorePermit,
}

impl Host for TcpHost {
    fn kind(&self) -> HostKind {
        HostKind::Tcp
    }

    fn poll_heard(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Heard> {
        poll_stream(&mut self.stream, context, buffer)
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn baud(&self) -> Option<u32> {
        self.baud
    }

    fn set_baud(&mut self, baud: u32) {
        self.baud = Some(baud);
    }
}
