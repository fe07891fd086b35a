//! A link over a raw TCP connection: bytes and nothing else.
//!
//! Invariant: no modem lines and no baud; a rate that is set is accepted and changes nothing.

use std::fmt;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::address::endpoint_text;
use crate::error::DeviceError;
use crate::link::memory::discard;
use crate::link::{Link, closed, no_lines};

/// Longest wait for a connection, name lookup included.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// A TCP connection to a serial port, or to a chip made of software.
pub struct TcpLink {
    name: String,
    stream: TcpStream,
}

impl fmt::Debug for TcpLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpLink")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl TcpLink {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// `Unreachable`, within five seconds.
    pub async fn connect(host: &str, port: u16) -> Result<Self, DeviceError> {
        let name = format!("tcp://{}", endpoint_text(host, port));
        let stream = connect(&name, host, port).await?;
        Ok(Self { name, stream })
    }
}

/// Connects without delaying small writes.
pub(crate) async fn connect(name: &str, host: &str, port: u16) -> Result<TcpStream, DeviceError> {
    let unreachable = |detail: String| DeviceError::Unreachable {
        link: name.to_owned(),
        detail,
    };
    let connecting = async {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(stream)
    };
    tokio::time::timeout(CONNECT_DEADLINE, connecting)
        .await
        .map_err(|_| unreachable(format!("no connection within {CONNECT_DEADLINE:?}")))?
        .map_err(|error| unreachable(error.to_string()))
}

#[async_trait]
impl Link for TcpLink {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer).await? {
            0 if !buffer.is_empty() => Err(closed()),
            count => Ok(count),
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    async fn set_baud(&mut self, _baud: u32) -> io::Result<()> {
        Ok(())
    }

    async fn discard_input(&mut self) -> io::Result<()> {
        discard(&mut self.stream).await
    }

    async fn set_lines(&mut self, _dtr: Option<bool>, _rts: Option<bool>) -> io::Result<()> {
        Err(no_lines())
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn bytes_pass_and_a_closed_peer_is_an_error() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut link = TcpLink::connect("127.0.0.1", port).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        link.write_all(b"ping").await.unwrap();
        let mut got = [0; 4];
        peer.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"ping");
        link.set_baud(921_600).await.unwrap();
        let lines = link.set_lines(Some(true), None).await.unwrap_err();
        assert_eq!(lines.kind(), io::ErrorKind::Unsupported);
        drop(peer);
        assert!(link.read(&mut got).await.is_err());
    }

    #[tokio::test]
    async fn nobody_listening_is_unreachable_and_a_contact_failure() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = TcpLink::connect("127.0.0.1", port).await.unwrap_err();
        assert_eq!(error.code(), "unreachable");
        assert_eq!(error.class(), crate::FailureClass::Contact);
    }
}
