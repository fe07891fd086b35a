//! How another process asks this one to end its runs: SIGUSR1 drains, SIGUSR2 stops.
//!
//! SIGINT and SIGTERM are not used for that: a second SIGINT means stop, however it was meant, and a
//! server that is asked to stop its runs goes on serving.

use rustix::process::{Pid, Signal};
use station_line::event::CancelMode;
use tokio::signal::unix::{self, SignalKind};

use crate::operation::OperationError;

/// Asks a process to end its runs.
pub(super) fn ask(process: Pid, mode: CancelMode) -> Result<(), OperationError> {
    let signal = match mode {
        CancelMode::Drain => Signal::USR1,
        CancelMode::Stop => Signal::USR2,
    };
    rustix::process::kill_process(process, signal).map_err(|error| {
        let process = process.as_raw_nonzero();
        OperationError::new(
            "cancel-refused",
            format!("cannot signal process {process}: {error}"),
        )
    })
}

/// What other processes ask of this one. Caught before the journal is opened, for whoever has it open
/// is asked.
#[derive(Debug)]
pub struct CancelSignals {
    drain: unix::Signal,
    stop: unix::Signal,
}

impl CancelSignals {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// `signals` when the system does not let it.
    pub fn catch() -> Result<Self, OperationError> {
        Ok(Self {
            drain: catch(SignalKind::user_defined1())?,
            stop: catch(SignalKind::user_defined2())?,
        })
    }

    /// Waits until it is asked. Asking twice to drain is asking once.
    pub async fn asked(&mut self) -> CancelMode {
        tokio::select! {
            _ = self.stop.recv() => CancelMode::Stop,
            _ = self.drain.recv() => CancelMode::Drain,
        }
    }
}

/// What ends this process: Ctrl-C, SIGTERM, or its terminal going away.
#[derive(Debug)]
pub struct EndSignals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
}

impl EndSignals {
    /// Catches the signals from now on; what comes before anybody asks is not lost.
    ///
    /// # Errors
    /// `signals` when the system does not let it.
    pub fn catch() -> Result<Self, OperationError> {
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    /// Waits for one and names it. Ctrl-C may mean less than the others.
    pub async fn asked(&mut self) -> EndSignal {
        tokio::select! {
            _ = self.terminate.recv() => EndSignal::Terminate,
            _ = self.hangup.recv() => EndSignal::Hangup,
            _ = self.interrupt.recv() => EndSignal::Interrupt,
        }
    }
}

/// One of the signals that end a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndSignal {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// The terminal is gone.
    Hangup,
}

impl EndSignal {
    /// What the record calls who sent it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Interrupt => "Ctrl-C",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "the terminal going away",
        }
    }
}

fn catch(kind: SignalKind) -> Result<unix::Signal, OperationError> {
    unix::signal(kind)
        .map_err(|error| OperationError::new("signals", format!("cannot catch signals: {error}")))
}
