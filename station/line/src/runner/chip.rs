//! The way to the chip within one attempt: closed, in its loader, or talking to its application.
//!
//! Invariants: at most one of the three; a port is opened only here, lazily, by the first step that
//! needs the chip, whose failure it then is; after a failure that may have left the conversation in
//! the middle of an exchange the port is closed, so that whatever comes next begins afresh.

use std::sync::Arc;
use std::time::Duration;

use station_device::port::{Connector, Port};
use station_device::session::{AfterSession, ConnectOptions, Session};
use station_device::terminal::Terminal;

use crate::outcome::{Failure, FailureClass};

/// Longest a chip may take to be left in peace after an attempt.
const LEAVE: Duration = Duration::from_secs(3);

/// The way to the chip.
#[derive(Debug, Default)]
pub(super) enum ChipLink {
    /// The port is not open.
    #[default]
    Closed,
    /// The loader listens.
    Session(Box<Session>),
    /// The application runs.
    Terminal(Box<Terminal>),
}

/// Whether a session was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// It is the one of before.
    Same,
    /// It was just made: the chip must say who it is.
    Fresh,
}

impl ChipLink {
    /// Brings the chip into its loader, unless it is there.
    pub(super) async fn connect(
        &mut self,
        connector: &Arc<dyn Connector>,
        options: &ConnectOptions,
    ) -> Result<Contact, Failure> {
        let port: Port = match std::mem::take(self) {
            Self::Session(session) => {
                *self = Self::Session(session);
                return Ok(Contact::Same);
            }
            Self::Terminal(terminal) => terminal.into_port().await?,
            // A chip with USB of its own may take its port along when it is reset.
            Self::Closed => connector.open().await?.returning(Arc::clone(connector)),
        };
        let session = Session::connect(port, options).await?;
        *self = Self::Session(Box::new(session));
        Ok(Contact::Fresh)
    }

    /// The loader, if it listens.
    pub(super) fn session(&mut self) -> Result<&mut Session, Failure> {
        match self {
            Self::Session(session) => Ok(session),
            Self::Closed | Self::Terminal(_) => Err(Failure::internal("the session")),
        }
    }

    /// The loader itself, if it listens, to be given back with [`ChipLink::give_back`].
    pub(super) fn take(&mut self) -> Result<Box<Session>, Failure> {
        match std::mem::take(self) {
            Self::Session(session) => Ok(session),
            other @ (Self::Closed | Self::Terminal(_)) => {
                *self = other;
                Err(Failure::internal("the session"))
            }
        }
    }

    /// Takes the loader back.
    pub(super) fn give_back(&mut self, session: Box<Session>) {
        *self = Self::Session(session);
    }

    /// Resets from the loader into the application.
    pub(super) async fn boot(&mut self, baud: u32) -> Result<&mut Terminal, Failure> {
        match std::mem::take(self) {
            Self::Session(session) => {
                let terminal = session.boot(baud).await?;
                *self = Self::Terminal(Box::new(terminal));
            }
            other @ (Self::Closed | Self::Terminal(_)) => *self = other,
        }
        self.terminal()
    }

    /// The application, if an earlier step started it.
    pub(super) fn terminal(&mut self) -> Result<&mut Terminal, Failure> {
        match self {
            Self::Terminal(terminal) => Ok(terminal),
            Self::Closed | Self::Session(_) => Err(Failure::station(
                "no-application",
                "no application is running that an earlier step started",
            )
            .hinted("give the step `boot = true`, or group it with the step that boots")),
        }
    }

    /// Everything the application printed, if it runs.
    pub(super) fn transcript(&self) -> Option<String> {
        match self {
            Self::Terminal(terminal) => Some(terminal.transcript()),
            Self::Closed | Self::Session(_) => None,
        }
    }

    /// Closes the port after a failure, unless the conversation is known to be whole: a value
    /// outside its limits or a failed comparison leaves both sides between two exchanges.
    pub(super) async fn after_failure(&mut self, class: FailureClass) {
        match class {
            FailureClass::Limit | FailureClass::Verify => {}
            FailureClass::Contact
            | FailureClass::Link
            | FailureClass::Flash
            | FailureClass::Boot
            | FailureClass::Timeout
            | FailureClass::Efuse
            | FailureClass::Cancelled
            | FailureClass::Station => self.close().await,
        }
    }

    /// Closes the port and waits for that, so that the next to open it finds it free.
    pub(super) async fn close(&mut self) {
        match std::mem::take(self) {
            Self::Closed => {}
            Self::Session(session) => drop(session),
            Self::Terminal(terminal) => {
                // A port that will not close is given up; it must not take its bay along.
                let _ = tokio::time::timeout(LEAVE, terminal.into_port()).await;
            }
        }
    }

    /// Lets the chip run its application and closes the port. What goes wrong here says nothing
    /// about the unit any more.
    pub(super) async fn leave(&mut self) {
        if let Self::Session(session) = std::mem::take(self) {
            let closing = session.close(AfterSession::Application);
            let _ = tokio::time::timeout(LEAVE, closing).await;
        } else {
            self.close().await;
        }
    }
}
