//! The byte pipe to a chip, whatever it is made of.
//!
//! Invariants:
//! - `read` is cancel-safe: a dropped read has taken nothing.
//! - A dropped `write_all` may have written a part; the link stays usable.
//! - No operation blocks the runtime, and dropping a link neither waits nor drags others along.
//! - A link that is gone says so with an error, never with an endless `Ok(0)`.

use std::io;

use async_trait::async_trait;

pub(crate) mod detached;
pub mod memory;
pub mod pty;
pub mod rfc2217;
pub mod tcp;
pub mod tty;

/// A byte pipe to a chip.
///
/// Callers put a deadline around every call; links themselves bound only what would otherwise
/// hold up a thread.
#[async_trait]
pub trait Link: Send {
    /// Waits for bytes and takes what is there, at least one byte unless `buffer` is empty.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other side closed, whatever the system says otherwise.
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Hands all of `bytes` over to the system.
    ///
    /// # Errors
    /// Whatever the system says; a part may have been written.
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Sets the rate on this side, in baud. Links without a rate (raw TCP) accept it silently.
    ///
    /// # Errors
    /// `InvalidInput` when the port cannot do that rate.
    async fn set_baud(&mut self, baud: u32) -> io::Result<()>;

    /// Drops every byte that has arrived and was not read.
    ///
    /// # Errors
    /// Whatever the system says.
    async fn discard_input(&mut self) -> io::Result<()>;

    /// Sets the modem lines; `true` asserts (the pin goes low). Both given change back to back.
    ///
    /// # Errors
    /// `Unsupported` where there are none.
    async fn set_lines(&mut self, dtr: Option<bool>, rts: Option<bool>) -> io::Result<()>;

    /// The link's name for people, `tty:/dev/ttyUSB0`.
    fn describe(&self) -> String;
}

/// Largest number of bytes one `discard_input` throws away: a flooding peer must not hold it up.
pub(crate) const DISCARD_LIMIT: usize = 1 << 20;
/// Bytes read at once where a link needs a buffer of its own.
pub(crate) const CHUNK: usize = 16 * 1024;

/// A link that is no more; keeps its name.
#[derive(Debug)]
pub(crate) struct Gone {
    name: String,
}

impl Gone {
    /// What is left of the link called `name`.
    pub(crate) fn new(name: String) -> Self {
        Self { name }
    }
}

#[async_trait]
impl Link for Gone {
    async fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(closed())
    }

    async fn write_all(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Err(closed())
    }

    async fn set_baud(&mut self, _baud: u32) -> io::Result<()> {
        Err(closed())
    }

    async fn discard_input(&mut self) -> io::Result<()> {
        Err(closed())
    }

    async fn set_lines(&mut self, _dtr: Option<bool>, _rts: Option<bool>) -> io::Result<()> {
        Err(closed())
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

/// The error of a link whose other side closed.
pub(crate) fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the other side closed")
}

/// The error of a link without modem lines.
pub(crate) fn no_lines() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this link has no modem lines")
}
