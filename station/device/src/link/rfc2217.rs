//! A link over an RFC 2217 server: a serial port on the network, with baud and modem lines.
//!
//! Invariants:
//! - Baud is acknowledged by the server or the change has failed. Modem lines and purges are waited
//!   for, but servers exist that never acknowledge them: after one that did not come, later ones
//!   are sent without waiting.
//! - While something is written, input is still taken: neither side can wait for the other for ever.
//! - All state is in the link; a dropped future loses no byte that was taken from the socket.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use async_trait::async_trait;
use rfc2217::{Client, ComPortState, Event, NotReady, PortSettings, Purge, Setting};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::address::endpoint_text;
use crate::error::DeviceError;
use crate::link::{CHUNK, Link, closed, tcp};

/// Longest negotiation, and longest wait for a setting.
const SETTING_DEADLINE: Duration = Duration::from_secs(3);
/// Longest wait for the acknowledgment of a line or a purge.
const LINE_DEADLINE: Duration = Duration::from_secs(1);
/// Decoded bytes above which the socket is not read: TCP then holds back the server.
const INBOX_LIMIT: usize = 256 * 1024;
/// Unsent bytes above which the socket is not read: a server must not grow our answers for ever.
const OUTBOX_LIMIT: usize = 64 * 1024;

/// An RFC 2217 connection.
pub struct Rfc2217Link {
    name: String,
    stream: TcpStream,
    client: Client,
    settings: PortSettings,
    outbox: Vec<u8>,
    /// Bytes of `outbox` that have gone out.
    sent: usize,
    inbox: VecDeque<u8>,
    raw: Box<[u8]>,
    heard: Heard,
    /// Whether this server has let us wait in vain for a line or a purge.
    mute: bool,
    /// Whether what comes is thrown away.
    discarding: bool,
}

/// What the server has acknowledged since it was last asked.
#[derive(Default)]
struct Heard {
    dtr: Option<bool>,
    rts: Option<bool>,
    purged: bool,
}

impl fmt::Debug for Rfc2217Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rfc2217Link")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Rfc2217Link {
    /// Connects to `host:port` and agrees on 8N1 at `baud`.
    ///
    /// # Errors
    /// `Unreachable` when nobody is there or it is no RFC 2217 server, within eight seconds;
    /// `BaudRejected` when the port cannot do the rate.
    pub async fn connect(host: &str, port: u16, baud: u32) -> Result<Self, DeviceError> {
        let name = format!("rfc2217://{}", endpoint_text(host, port));
        let stream = tcp::connect(&name, host, port).await?;
        let settings = PortSettings {
            baud_rate: baud,
            ..PortSettings::default()
        };
        let mut link = Self {
            name,
            stream,
            client: Client::new(settings),
            settings,
            outbox: Vec::new(),
            sent: 0,
            inbox: VecDeque::new(),
            raw: vec![0; CHUNK].into_boxed_slice(),
            heard: Heard::default(),
            mute: false,
            discarding: false,
        };
        match link.settle_baud().await {
            Ok(()) => Ok(link),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                Err(DeviceError::BaudRejected {
                    baud,
                    detail: error.to_string(),
                })
            }
            Err(error) => Err(DeviceError::Unreachable {
                link: link.name,
                detail: error.to_string(),
            }),
        }
    }

    /// Waits until the server has answered the rate that was asked for.
    async fn settle_baud(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + SETTING_DEADLINE;
        loop {
            let reason = match self.client.readiness() {
                Ok(()) => return Ok(()),
                Err(reason) => reason,
            };
            let agreed = self.client.com_port_state() == ComPortState::Active
                && !self.client.pending_settings().contains(Setting::BaudRate);
            if agreed
                && self
                    .client
                    .mismatched_settings()
                    .contains(Setting::BaudRate)
            {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
            }
            if agreed {
                // Some servers never answer flow control; the rate is what matters.
                return Ok(());
            }
            if matches!(reason, NotReady::Refused) {
                return Err(io::Error::other(reason));
            }
            if !self.pump_until(deadline).await? {
                return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
            }
        }
    }

    /// Waits until what the server acknowledged satisfies `enough`.
    async fn acknowledged(&mut self, enough: impl Fn(&Heard) -> bool + Send) -> io::Result<()> {
        let deadline = Instant::now() + LINE_DEADLINE;
        loop {
            let flushed = self.sent == self.outbox.len() && !self.client.has_output();
            if flushed && (self.mute || enough(&self.heard)) {
                return Ok(());
            }
            if self.pump_until(deadline).await? {
                continue;
            }
            if !flushed {
                let detail = "the server takes no commands";
                return Err(io::Error::new(io::ErrorKind::TimedOut, detail));
            }
            // Behind a full inbox an acknowledgment may be waiting; that server is not mute.
            self.mute = self.inbox.len() < INBOX_LIMIT;
            tracing::debug!(link = self.name, self.mute, "a line was not acknowledged");
            return Ok(());
        }
    }

    /// Pumps once unless `deadline` has passed, however much there is to pump.
    async fn pump_until(&mut self, deadline: Instant) -> io::Result<bool> {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        match tokio::time::timeout_at(deadline, self.pump()).await {
            Ok(result) => result.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// One step: waits for the socket, takes what came, sends what it takes.
    async fn pump(&mut self) -> io::Result<()> {
        self.outbox.append(&mut self.client.take_output());
        let wants_write = self.sent < self.outbox.len();
        let wants_read =
            self.inbox.len() < INBOX_LIMIT && self.outbox.len() - self.sent < OUTBOX_LIMIT;
        let interest = match (wants_read, wants_write) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            // Only a reader can make room, and it is not this one: the deadline ends it.
            (false, false) => return std::future::pending().await,
        };
        // A peer that never lets the socket run dry must not keep the thread from others.
        tokio::task::consume_budget().await;
        let ready = self.stream.ready(interest).await?;
        if ready.is_readable() && wants_read {
            match self.stream.try_read(&mut self.raw) {
                Ok(0) => return Err(closed()),
                Ok(count) => self.take(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if ready.is_writable() && wants_write {
            match self.stream.try_write(&self.outbox[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if self.sent == self.outbox.len() {
                self.outbox.clear();
                self.sent = 0;
            }
        }
        Ok(())
    }

    /// Decodes the first `count` bytes of what was read.
    fn take(&mut self, count: usize) {
        let payload = self.client.receive(&self.raw[..count]);
        if !self.discarding {
            self.inbox.extend(payload);
        }
        while let Some(event) = self.client.poll_event() {
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "the rest is kept by the client"
            )]
            match event {
                Event::Dtr(on) => self.heard.dtr = Some(on),
                Event::Rts(on) => self.heard.rts = Some(on),
                Event::Purged(_) => self.heard.purged = true,
                _ => {}
            }
        }
    }
}

#[async_trait]
impl Link for Rfc2217Link {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.discarding = false;
        while self.inbox.is_empty() {
            self.pump().await?;
        }
        self.inbox.read(buffer)
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.discarding = false;
        for chunk in bytes.chunks(CHUNK) {
            self.client.write_data(chunk);
            while self.sent < self.outbox.len() || self.client.has_output() {
                self.pump().await?;
            }
        }
        Ok(())
    }

    async fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        // To the server a rate of 0 is a question.
        if baud == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "0 baud is no rate",
            ));
        }
        self.settings.baud_rate = baud;
        self.client.set_port_settings(self.settings);
        self.settle_baud().await
    }

    async fn discard_input(&mut self) -> io::Result<()> {
        self.heard.purged = false;
        self.client.purge(Purge::Receive);
        // What was under way arrives before the acknowledgment and goes with the rest.
        self.inbox.clear();
        self.discarding = true;
        let result = self.acknowledged(|heard| heard.purged).await;
        self.discarding = false;
        result
    }

    async fn set_lines(&mut self, dtr: Option<bool>, rts: Option<bool>) -> io::Result<()> {
        self.discarding = false;
        self.heard = Heard::default();
        if let Some(on) = dtr {
            self.client.set_dtr(on);
        }
        if let Some(on) = rts {
            self.client.set_rts(on);
        }
        self.acknowledged(|heard| {
            (dtr.is_none() || heard.dtr == dtr) && (rts.is_none() || heard.rts == rts)
        })
        .await
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

#[cfg(test)]
mod tests;
