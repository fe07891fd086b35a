//! A link over any byte stream inside this process, with a board behind it.
//!
//! Invariant: the link owns nothing but the stream; what baud and reset mean is the board's.

use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::DeviceError;
use crate::link::{CHUNK, DISCARD_LIMIT, Link, closed, no_lines};
use crate::reset::{ResetControl, ResetMeans, ResetTo};

/// What a board in this process lets its host do beside moving bytes.
#[async_trait]
pub trait BoardControl: Send + Sync {
    /// Resets the board into its bootloader or application.
    ///
    /// # Errors
    /// When the board is gone.
    async fn reset(&self, to: ResetTo) -> io::Result<()>;

    /// Tells the board at which rate its host now sends and listens, in baud.
    ///
    /// # Errors
    /// When the board is gone.
    async fn set_baud(&self, baud: u32) -> io::Result<()> {
        let _ = baud;
        Ok(())
    }

    /// Sets the modem lines, where the board has them.
    ///
    /// # Errors
    /// `Unsupported` where it has none.
    async fn set_lines(&self, dtr: Option<bool>, rts: Option<bool>) -> io::Result<()> {
        let _ = (dtr, rts);
        Err(no_lines())
    }
}

/// A link over an in-memory stream.
pub struct MemoryLink<S> {
    stream: S,
    board: Arc<dyn BoardControl>,
    name: String,
}

impl<S> MemoryLink<S> {
    /// A link called `name` over the host's end of a stream.
    pub fn new(name: impl Into<String>, stream: S, board: Arc<dyn BoardControl>) -> Self {
        Self {
            stream,
            board,
            name: name.into(),
        }
    }
}

impl<S> fmt::Debug for MemoryLink<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLink")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Link for MemoryLink<S> {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer).await? {
            0 if !buffer.is_empty() => Err(closed()),
            count => Ok(count),
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    async fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        self.board.set_baud(baud).await
    }

    async fn discard_input(&mut self) -> io::Result<()> {
        discard(&mut self.stream).await
    }

    async fn set_lines(&mut self, dtr: Option<bool>, rts: Option<bool>) -> io::Result<()> {
        self.board.set_lines(dtr, rts).await
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

/// Throws away what can be read from `stream` without waiting, up to [`DISCARD_LIMIT`].
pub(crate) async fn discard<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut dropped = 0;
    while dropped < DISCARD_LIMIT {
        // Out of tokio's budget a read would say "pending" while bytes are there.
        let ready = tokio::task::unconstrained(async {
            tokio::select! {
                biased;
                count = stream.read(&mut buffer) => Some(count),
                () = std::future::ready(()) => None,
            }
        });
        match ready.await {
            None => return Ok(()),
            Some(Ok(0)) => return Err(closed()),
            Some(Ok(count)) => dropped += count,
            Some(Err(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Resets a board in this process by asking it.
pub struct BoardReset {
    board: Arc<dyn BoardControl>,
}

impl BoardReset {
    /// The reset of `board`.
    #[must_use]
    pub fn new(board: Arc<dyn BoardControl>) -> Self {
        Self { board }
    }
}

impl fmt::Debug for BoardReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoardReset")
    }
}

#[async_trait]
impl ResetControl for BoardReset {
    async fn apply(&self, _link: &mut dyn Link, to: ResetTo) -> Result<(), DeviceError> {
        self.board
            .reset(to)
            .await
            .map_err(|error| DeviceError::ResetFailed {
                means: self.means().to_string(),
                detail: error.to_string(),
            })
    }

    fn means(&self) -> ResetMeans {
        ResetMeans::Board
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Board {
        resets: Mutex<Vec<ResetTo>>,
        baud: Mutex<u32>,
    }

    #[async_trait]
    impl BoardControl for Board {
        async fn reset(&self, to: ResetTo) -> io::Result<()> {
            self.resets.lock().unwrap().push(to);
            Ok(())
        }

        async fn set_baud(&self, baud: u32) -> io::Result<()> {
            *self.baud.lock().unwrap() = baud;
            Ok(())
        }
    }

    #[tokio::test]
    async fn baud_and_reset_reach_the_board() {
        let board = Arc::new(Board::default());
        let (host, _chip) = tokio::io::duplex(64);
        let mut link = MemoryLink::new("virtual:1", host, board.clone());
        link.set_baud(921_600).await.unwrap();
        BoardReset::new(board.clone())
            .apply(&mut link, ResetTo::Bootloader)
            .await
            .unwrap();
        assert_eq!(*board.baud.lock().unwrap(), 921_600);
        assert_eq!(*board.resets.lock().unwrap(), [ResetTo::Bootloader]);
        let lines = link.set_lines(Some(true), None).await.unwrap_err();
        assert_eq!(lines.kind(), io::ErrorKind::Unsupported);
    }

    #[tokio::test]
    async fn discarded_bytes_are_gone_and_later_ones_are_not() {
        let (host, mut chip) = tokio::io::duplex(1 << 16);
        let mut link = MemoryLink::new("virtual:1", host, Arc::new(Board::default()));
        chip.write_all(&[7; 40_000]).await.unwrap();
        link.discard_input().await.unwrap();
        chip.write_all(b"new").await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(link.read(&mut buffer).await.unwrap(), 3);
        assert_eq!(&buffer[..3], b"new");
    }

    #[tokio::test]
    async fn a_board_that_went_away_is_an_error_and_not_silence() {
        let (host, chip) = tokio::io::duplex(64);
        let mut link = MemoryLink::new("virtual:1", host, Arc::new(Board::default()));
        drop(chip);
        let error = link.read(&mut [0; 4]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
