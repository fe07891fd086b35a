//! The chip an operation talks to: which port, how fast, and what becomes of it afterwards.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::flash::ProgressSink;
use station_device::session::{AfterSession, ConnectOptions, Session};
use station_esp::Chip;
use tokio::time::Instant;

use crate::operation::{Call, CallProgress, OperationError};
use crate::station::Station;

/// Which chip, and how to talk to it.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Attached {
    /// Bay name or address: tty:/dev/ttyUSB0, tcp://host:port, rfc2217://host:port, virtual:N
    #[arg(long, short)]
    pub port: String,
    /// Baud rate for the conversation; slower ones are tried if it does not work
    #[arg(long, value_parser = clap::value_parser!(u32).range(1_200..=5_000_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_200, max = 5_000_000))]
    pub baud: Option<u32>,
    /// Refuse any other chip
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub chip: Option<Chip>,
    /// Talk to the ROM loader only; load no flasher stub
    #[arg(long)]
    #[serde(default)]
    pub no_stub: bool,
    /// Do not reset the chip first; it must already wait in its bootloader
    #[arg(long)]
    #[serde(default)]
    pub no_reset: bool,
}

impl Attached {
    /// The chip at a port, talked to in the ordinary way.
    pub(super) fn to(port: String) -> Self {
        Self {
            port,
            baud: None,
            chip: None,
            no_stub: false,
            no_reset: false,
        }
    }

    /// How to connect.
    pub(super) fn options(&self) -> ConnectOptions {
        let mut options = ConnectOptions {
            chips: self.chip.into_iter().collect(),
            stub: !self.no_stub,
            reset: !self.no_reset,
            ..ConnectOptions::default()
        };
        if let Some(baud) = self.baud {
            options.bauds.retain(|slower| *slower < baud);
            options.bauds.insert(0, baud);
        }
        options
    }

    /// Opens the port and talks to the chip until it has said who it is.
    pub(super) async fn connect(
        &self,
        station: &Station,
        call: &Call,
    ) -> Result<Session, OperationError> {
        let connected = async {
            let port = station.connector(&self.port)?.open().await?;
            Ok(Session::connect(port, &self.options()).await?)
        };
        reported(call, "connecting", None, connected).await
    }

    /// Ends the conversation, whatever came of it: the chip is reset into its application, unless it was
    /// not reset before. A failure is that of what was done, rather than that of the farewell.
    pub(super) async fn finish<T>(
        &self,
        session: Session,
        outcome: Result<T, OperationError>,
    ) -> Result<T, OperationError> {
        let after = if self.no_reset {
            AfterSession::Stay
        } else {
            AfterSession::Application
        };
        let closed = session.close(after).await;
        let answer = outcome?;
        closed?;
        Ok(answer)
    }
}

/// Pause between reports of something that cannot say how far along it is.
const REPORT_PAUSE: Duration = Duration::from_millis(500);

/// Waits for something and says twice a second for how long already, in milliseconds; `within` is how long
/// it takes at most.
pub(super) async fn reported<F: Future>(
    call: &Call,
    phase: &str,
    within: Option<Duration>,
    work: F,
) -> F::Output {
    let started = Instant::now();
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut tick = tokio::time::interval(REPORT_PAUSE);
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = tick.tick() => call.progress.progress(phase, ms(started.elapsed()), within.map(ms)),
        }
    }
}

/// Progress of the device room as progress of a call.
pub(super) struct Reported(Arc<dyn CallProgress>);

impl Reported {
    pub(super) fn to(call: &Call) -> Self {
        Self(Arc::clone(&call.progress))
    }
}

impl ProgressSink for Reported {
    fn progress(&self, phase: &str, done: u64, total: Option<u64>) {
        self.0.progress(phase, done, total);
    }
}
