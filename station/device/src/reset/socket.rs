//! Reset through the control socket beside a pseudo terminal.
//!
//! The protocol is lines of text: `reset` restarts into the application, `reset download` into the
//! bootloader; a reply is one line, which begins with `error` when it went wrong.
//!
//! Invariant: one short connection per reset, under a deadline, with a bounded reply.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::error::DeviceError;
use crate::link::Link;
use crate::reset::{ResetControl, ResetMeans, ResetTo};

/// Longest exchange.
const DEADLINE: Duration = Duration::from_secs(3);
/// Longest reply that is read, in bytes.
const MAX_REPLY: u64 = 1024;

/// Reset by a word on a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSocket {
    path: PathBuf,
}

impl ControlSocket {
    /// The socket at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where the socket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says `command` and returns the reply, without its line end.
    ///
    /// # Errors
    /// `ResetFailed` when nobody answers in time or the reply begins with `error`.
    pub async fn say(&self, command: &str) -> Result<String, DeviceError> {
        let failed = |detail: String| DeviceError::ResetFailed {
            means: ResetMeans::ControlSocket.to_string(),
            detail: format!("`{}`: {detail}", self.path.display()),
        };
        let reply = tokio::time::timeout(DEADLINE, self.exchange(command))
            .await
            .map_err(|_| failed(format!("no reply within {DEADLINE:?}")))?
            .map_err(|error| failed(error.to_string()))?;
        if reply.starts_with("error") {
            Err(failed(reply))
        } else {
            Ok(reply)
        }
    }

    async fn exchange(&self, command: &str) -> io::Result<String> {
        let mut stream = UnixStream::connect(&self.path).await?;
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        let mut reply = Vec::new();
        BufReader::new(stream.take(MAX_REPLY))
            .read_until(b'\n', &mut reply)
            .await?;
        if reply.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "closed without a reply",
            ));
        }
        Ok(String::from_utf8_lossy(&reply).trim_end().to_owned())
    }
}

#[async_trait]
impl ResetControl for ControlSocket {
    async fn apply(&self, _link: &mut dyn Link, to: ResetTo) -> Result<(), DeviceError> {
        let command = match to {
            ResetTo::Bootloader => "reset download",
            ResetTo::Application => "reset",
        };
        self.say(command).await.map(|_| ())
    }

    fn means(&self) -> ResetMeans {
        ResetMeans::ControlSocket
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// A socket that answers every command with `reply` and returns the commands it heard.
    fn server(path: &Path, reply: &'static str) -> tokio::task::JoinHandle<String> {
        let listener = UnixListener::bind(path).unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut heard = String::new();
            stream.read_line(&mut heard).await.unwrap();
            stream.get_mut().write_all(reply.as_bytes()).await.unwrap();
            heard
        })
    }

    #[tokio::test]
    async fn the_command_is_one_line_and_the_reply_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bay.ctl");
        let heard = server(&path, "ok\n");
        let reply = ControlSocket::new(&path)
            .say("reset download")
            .await
            .unwrap();
        assert_eq!(reply, "ok");
        assert_eq!(heard.await.unwrap(), "reset download\n");
    }

    #[tokio::test]
    async fn an_error_reply_and_a_missing_socket_are_failures() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bay.ctl");
        let missing = ControlSocket::new(&path).say("reset").await.unwrap_err();
        assert_eq!(missing.code(), "reset-failed");
        let _heard = server(&path, "error no board\n");
        let refused = ControlSocket::new(&path).say("reset").await.unwrap_err();
        assert!(refused.to_string().contains("no board"), "{refused}");
    }

    #[tokio::test]
    async fn a_silent_socket_costs_its_deadline_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bay.ctl");
        let _listener = UnixListener::bind(&path).unwrap();
        let error = ControlSocket::new(&path).say("state").await.unwrap_err();
        assert!(error.to_string().contains("no reply"), "{error}");
    }
}
