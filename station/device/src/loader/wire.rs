//! Frames over a port, every wait up to a fixed moment.
//!
//! Invariants:
//! - A deadline is a moment, set once by the caller; nothing that arrives can move it. It is looked
//!   at before every read, so that a link which always has bytes cannot starve it.
//! - Memory is one read buffer and the decoder's bound, whatever arrives.
//! - Dropping any future here loses no byte that a later call would need: what was read and not yet
//!   decoded stays in the buffer.

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use station_esp::slip::{Decoded, Decoder};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroize;

use super::baud::ROM_BAUD;
use crate::error::DeviceError;
use crate::port::Port;
use crate::reset::ResetTo;

/// Longest answer a loader gives: a READ_FLASH packet of 4096 bytes, and room.
const MAX_FRAME: usize = 4096 + 64;

/// Frames and stretches of noise that draining takes in.
const MAX_DRAINED: u32 = 256;

/// Bytes taken from the link at once.
const READ_SIZE: usize = 8 * 1024;

/// A port that speaks SLIP.
pub(crate) struct Wire {
    port: Port,
    decoder: Decoder,
    buffer: Vec<u8>,
    /// Part of `buffer` that is not decoded yet.
    pending: std::ops::Range<usize>,
    baud: u32,
    /// Bytes written since the port was taken over.
    sent: u64,
}

impl fmt::Debug for Wire {
    /// Without what was received: it may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("port", &self.port)
            .field("baud", &self.baud)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl Wire {
    /// Takes a port over, its rate unknown until set.
    pub(crate) fn new(port: Port) -> Self {
        Self {
            port,
            decoder: Decoder::new(MAX_FRAME),
            buffer: vec![0; READ_SIZE],
            pending: 0..0,
            baud: ROM_BAUD,
            sent: 0,
        }
    }

    /// Gives the port back.
    pub(crate) fn into_port(self) -> Port {
        self.port
    }

    /// The link's name.
    pub(crate) fn name(&self) -> String {
        self.port.describe()
    }

    /// The port, for what is not a frame.
    pub(crate) fn port(&self) -> &Port {
        &self.port
    }

    /// This side's rate.
    pub(crate) fn baud(&self) -> u32 {
        self.baud
    }

    /// Bytes written so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// How long `bytes` take on the wire at the present rate, both start and stop bit counted.
    pub(crate) fn time_for(&self, bytes: usize) -> Duration {
        Duration::from_micros(bytes as u64 * 10_000_000 / u64::from(self.baud.max(1)))
    }

    /// Sets this side's rate.
    pub(crate) async fn set_baud(&mut self, baud: u32) -> Result<(), DeviceError> {
        if let Err(error) = self.port.link.set_baud(baud).await {
            let refused = matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            );
            if refused {
                return Err(DeviceError::BaudRejected {
                    baud,
                    detail: format!("the port: {error}"),
                });
            }
            self.baud = baud;
            return self.come_back(&error).await;
        }
        self.baud = baud;
        Ok(())
    }

    /// Goes on with the port that came back in the place of one that went away with a reset.
    async fn come_back(&mut self, error: &std::io::Error) -> Result<(), DeviceError> {
        let lost = DeviceError::from_io(&self.name(), error);
        self.port.come_back(Some(self.baud), lost).await?;
        self.pending = 0..0;
        self.decoder.clear();
        Ok(())
    }

    /// Notes that the chip answered: its port is there, and if it goes away now it is lost.
    pub(crate) fn answered(&mut self) {
        self.port.has_returned();
    }

    /// Notes that the chip is about to restart by itself, and its port perhaps with it.
    pub(crate) fn expect_return(&mut self) {
        self.port.expect_return();
    }

    /// Resets the chip through the port's own means.
    pub(crate) async fn reset(&mut self, to: ResetTo) -> Result<(), DeviceError> {
        self.port.restart(to, self.baud).await
    }

    /// Writes bytes before `deadline`. What was lost with a port that went away with a reset is not
    /// sent again: the chip behind it did not wait for it.
    pub(crate) async fn write(
        &mut self,
        bytes: &[u8],
        deadline: Instant,
    ) -> Result<(), DeviceError> {
        let start = Instant::now();
        match timeout_at(deadline, self.port.link.write_all(bytes)).await {
            Ok(Ok(())) => {
                self.sent += bytes.len() as u64;
                Ok(())
            }
            Ok(Err(error)) => self.come_back(&error).await,
            Err(_) => Err(DeviceError::NoReply {
                what: "a write that the link did not take".into(),
                after: start.elapsed(),
            }),
        }
    }

    /// The next thing on the wire, or `None` when `deadline` passed.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Result<Option<Decoded>, DeviceError> {
        loop {
            while !self.pending.is_empty() {
                let (taken, found) = self.decoder.feed(&self.buffer[self.pending.clone()]);
                self.pending.start += taken;
                if found.is_some() {
                    return Ok(found);
                }
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            match timeout_at(deadline, self.port.link.read(&mut self.buffer)).await {
                Ok(Ok(count)) => self.pending = 0..count,
                Ok(Err(error)) => self.come_back(&error).await?,
                Err(_) => return Ok(None),
            }
        }
    }

    /// Wipes what was received and is decoded already.
    pub(crate) fn wipe(&mut self) {
        let pending = self.pending.clone();
        self.buffer[..pending.start].zeroize();
        self.buffer[pending.end..].zeroize();
    }

    /// Gives a frame's buffer back for the next one.
    pub(crate) fn recycle(&mut self, frame: Vec<u8>) {
        self.decoder.recycle(frame);
    }

    /// What arrived outside of frames and was held back so far.
    pub(crate) fn take_noise(&mut self) -> Vec<u8> {
        self.decoder.take_noise()
    }

    /// Forgets everything that has arrived.
    pub(crate) async fn discard(&mut self) -> Result<(), DeviceError> {
        self.pending = 0..0;
        self.decoder.clear();
        match self.port.link.discard_input().await {
            Ok(()) => Ok(()),
            Err(error) => self.come_back(&error).await,
        }
    }

    /// Reads and forgets until nothing came for `silence`, or until `deadline`, or until it is
    /// clear that it will not end.
    pub(crate) async fn drain(
        &mut self,
        silence: Duration,
        deadline: Instant,
    ) -> Result<(), DeviceError> {
        for _ in 0..MAX_DRAINED {
            let quiet = (Instant::now() + silence).min(deadline);
            let nothing = self.next(quiet).await?.is_none() && self.take_noise().is_empty();
            if nothing || Instant::now() >= deadline {
                break;
            }
        }
        self.decoder.clear();
        Ok(())
    }
}
