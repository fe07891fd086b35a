//! A bay behind a Telnet COM port server (RFC 2217): bytes, baud rate and the lines that reset the
//! chip.
//!
//! Invariants: what a client sends takes effect in the order it was sent; what waits to be written
//! is bounded; when a client leaves, its lines are released.
//!
//! A client drives DTR and RTS one at a time and lets a tenth of a second pass between them. On the
//! way from reset into the boot loader both are asserted for that long, which on a real auto-reset
//! circuit releases the chip too early; a bridge therefore has to replay the step tightly. This one
//! holds it back until the next step follows.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rfc2217::{ModemState, PortSettings, Server, ServerEvent};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use super::control::Control;
use super::host::{Heard, Host, HostKind};
use super::memory::poll_stream;
use super::tcp::{TcpServer, serve_as};

/// The rate of the port before a client sets one.
const FIRST_BAUD: u32 = 115_200;
/// Bytes that wait to be written to the client, above which nothing more is taken from the chip.
const MOST_WAITING: usize = 32 * 1024;
/// Bytes read from the client at once.
const READ: usize = 4096;
/// How long a step into the state that releases the chip early waits for the next.
const HOLD: Duration = Duration::from_millis(400);

/// Serves a bay by RFC 2217 on `port` of this machine; port 0 takes any free one.
///
/// # Errors
///
/// The port cannot be listened on.
pub async fn serve(control: &Control, port: u16) -> io::Result<TcpServer> {
    serve_as(control, port, |stream, permit| {
        Box::new(Rfc2217Host::new(stream, permit))
    })
    .await
}

/// The two modem lines that matter here; `true` is asserted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    dtr: bool,
    rts: bool,
}

/// A client that speaks RFC 2217.
struct Rfc2217Host {
    stream: TcpStream,
    protocol: Server,
    read: Vec<u8>,
    at: usize,
    end: usize,
    write: VecDeque<u8>,
    /// What the client has asked for.
    wanted: Lines,
    /// What the board has been shown.
    shown: Lines,
    hold: Option<Pin<Box<Sleep>>>,
    baud: u32,
    leaving: bool,
    _one: OwnedSemaphorePermit,
}

impl Rfc2217Host {
    fn new(stream: TcpStream, permit: OwnedSemaphorePermit) -> Self {
        let settings = PortSettings {
            baud_rate: FIRST_BAUD,
            ..PortSettings::default()
        };
        let mut protocol = Server::new(settings).with_signature("station virtual bay");
        let lines = ModemState::CTS | ModemState::DSR | ModemState::CD;
        // Stored without fail while the client has not enabled the option yet.
        let _ = protocol.try_set_modem_state(lines);
        Self {
            stream,
            protocol,
            read: vec![0; READ],
            at: 0,
            end: 0,
            write: VecDeque::new(),
            wanted: Lines::default(),
            shown: Lines::default(),
            hold: None,
            baud: FIRST_BAUD,
            leaving: false,
            _one: permit,
        }
    }

    /// Applies what the client has requested since; true when its lines have to be shown to the
    /// board.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum is open: later versions may add events"
    )]
    fn apply_events(&mut self) -> bool {
        while let Some(event) = self.protocol.poll_event() {
            match event {
                ServerEvent::SettingsChanged(settings) => self.baud = settings.baud_rate.max(1),
                ServerEvent::Dtr(on) => {
                    return self.want(Lines {
                        dtr: on,
                        ..self.wanted
                    });
                }
                ServerEvent::Rts(on) => {
                    return self.want(Lines {
                        rts: on,
                        ..self.wanted
                    });
                }
                // What was purged has passed already; a break means nothing to the chip.
                _ => {}
            }
        }
        false
    }

    /// Takes a step of the lines; true when it has to be shown now.
    fn want(&mut self, lines: Lines) -> bool {
        self.wanted = lines;
        let in_reset = self.shown
            == Lines {
                dtr: false,
                rts: true,
            };
        if in_reset
            && lines
                == (Lines {
                    dtr: true,
                    rts: true,
                })
        {
            self.hold = Some(Box::pin(tokio::time::sleep(HOLD)));
            return false;
        }
        self.hold = None;
        true
    }

    /// Shows the board what the client has asked for.
    fn show(&mut self) -> Poll<Heard> {
        self.shown = self.wanted;
        Poll::Ready(Heard::Lines {
            dtr: self.shown.dtr,
            rts: self.shown.rts,
        })
    }

    /// Moves what the protocol has to say behind what already waits.
    fn collect(&mut self) {
        while self.protocol.has_output() {
            let output = self.protocol.output();
            let count = output.len();
            self.write.extend(output);
            self.protocol.consume_output(count);
        }
    }

    /// Writes what waits; an error is a client that has gone.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.collect();
        while !self.write.is_empty() {
            let (front, _) = self.write.as_slices();
            match Pin::new(&mut self.stream).poll_write(context, front) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => drop(self.write.drain(..count)),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// The client has gone: its lines are released first.
    fn leave(&mut self) -> Poll<Heard> {
        self.hold = None;
        self.wanted = Lines::default();
        if self.leaving || self.shown == self.wanted {
            return Poll::Ready(Heard::Gone);
        }
        self.leaving = true;
        self.show()
    }
}

impl Host for Rfc2217Host {
    fn kind(&self) -> HostKind {
        HostKind::Rfc2217
    }

    fn poll_heard(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Heard> {
        if self.leaving {
            return Poll::Ready(Heard::Gone);
        }
        loop {
            if self.apply_events() {
                return self.show();
            }
            if self.poll_flush(context).is_err() {
                return self.leave();
            }
            if self
                .hold
                .as_mut()
                .is_some_and(|hold| hold.as_mut().poll(context).is_ready())
            {
                self.hold = None;
                return self.show();
            }
            if self.at < self.end {
                // A client that reads nothing gets no answers, and is not listened to until it
                // does.
                if self.write.len() > MOST_WAITING {
                    return Poll::Pending;
                }
                let progress = self
                    .protocol
                    .receive_into(&self.read[self.at..self.end], buffer);
                self.at += progress.consumed;
                if progress.payload_len > 0 {
                    return Poll::Ready(Heard::Bytes(progress.payload_len));
                }
                continue;
            }
            match poll_stream(&mut self.stream, context, &mut self.read) {
                Poll::Ready(Heard::Bytes(count)) => (self.at, self.end) = (0, count),
                Poll::Ready(_) => return self.leave(),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut taken = 0;
        if let Err(error) = self.poll_flush(context) {
            return Poll::Ready(Err(error));
        }
        while taken < bytes.len() && self.write.len() < MOST_WAITING {
            match self.protocol.try_write_data(&bytes[taken..]) {
                Ok(0) | Err(_) => break,
                Ok(count) => taken += count,
            }
            self.collect();
        }
        match self.poll_flush(context) {
            Err(error) => Poll::Ready(Err(error)),
            Ok(()) if taken == 0 => Poll::Pending,
            Ok(()) => Poll::Ready(Ok(taken)),
        }
    }

    fn baud(&self) -> Option<u32> {
        Some(self.baud)
    }
}
