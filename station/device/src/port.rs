//! An open way to one chip, and what opens it.
//!
//! Invariants:
//! - A port is one link, one reset control and the locks that keep others out; dropping it gives
//!   all of them back.
//! - A connector opens a fresh port per attempt: names of ttys change when chips are reset.
//! - A port that goes away with a reset, as that of a chip with USB of its own may, is opened anew
//!   through its connector, by a moment fixed at the reset. One that goes away after its chip has
//!   answered is lost: who would come back is not known.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::DeviceError;
use crate::link::{Gone, Link};
use crate::lock::PortLock;
use crate::reset::{ResetControl, ResetTo};

/// How long a chip's own USB port may take to come back after a reset: a second for the chip and
/// its host, and as much for the system to make its node and say who may open it, with room.
const RETURN: Duration = Duration::from_secs(5);
/// Wait between two looks for it.
const LOOK: Duration = Duration::from_millis(20);

/// An exclusively open way to one chip.
pub struct Port {
    /// The byte pipe.
    pub link: Box<dyn Link>,
    /// How to reset what is at its end.
    pub reset: Box<dyn ResetControl>,
    /// Keeps others out; none for boards inside this process.
    lock: Option<PortLock>,
    /// Opens it anew when it went away with a reset.
    connector: Option<Arc<dyn Connector>>,
    /// Until when it may come back after the last reset.
    returns_by: Option<Instant>,
}

impl Port {
    /// A port that needs no lock: nobody else can reach the board.
    #[must_use]
    pub fn new(link: Box<dyn Link>, reset: Box<dyn ResetControl>) -> Self {
        Self {
            link,
            reset,
            lock: None,
            connector: None,
            returns_by: None,
        }
    }

    /// A port that holds `lock` while it lives.
    #[must_use]
    pub fn locked(link: Box<dyn Link>, reset: Box<dyn ResetControl>, lock: PortLock) -> Self {
        Self {
            lock: Some(lock),
            ..Self::new(link, reset)
        }
    }

    /// The same port, opened anew through `connector` when it goes away with a reset.
    #[must_use]
    pub fn returning(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connector = Some(connector);
        self
    }

    /// Resets the chip through the port's own means, with this side at `baud`.
    ///
    /// # Errors
    /// Those of [`ResetControl::apply`]; not that the port went away with the reset, if it came
    /// back.
    pub(crate) async fn restart(&mut self, to: ResetTo, baud: u32) -> Result<(), DeviceError> {
        self.expect_return();
        match self.reset.apply(self.link.as_mut(), to).await {
            Err(lost @ DeviceError::LinkLost { .. }) => self.come_back(Some(baud), lost).await,
            result => result,
        }
    }

    /// Notes that the chip restarts now, by whatever means: its port may go away and come back.
    pub(crate) fn expect_return(&mut self) {
        self.returns_by = Some(Instant::now() + RETURN);
    }

    /// Notes that the chip has answered since: if the port goes away now, it is lost.
    pub(crate) fn has_returned(&mut self) {
        self.returns_by = None;
    }

    /// Opens the port anew after it was `lost`, if it went away with a reset, and sets its rate.
    ///
    /// # Errors
    /// `lost` itself where nobody waits for its return; why it did not come back in time otherwise.
    pub(crate) async fn come_back(
        &mut self,
        baud: Option<u32>,
        lost: DeviceError,
    ) -> Result<(), DeviceError> {
        let (Some(connector), Some(by)) = (self.connector.clone(), self.returns_by) else {
            return Err(lost);
        };
        if !matches!(lost, DeviceError::LinkLost { .. }) {
            return Err(lost);
        }
        tracing::debug!(port = self.describe(), "it went away with a reset");
        // Closed first: its node, and its locks, must be free before it can be opened again.
        let name = self.describe();
        self.link = Box::new(Gone::new(name));
        self.lock = None;
        let mut why = lost;
        // However often it goes and comes: the moment is the reset's.
        while Instant::now() < by {
            let opening = timeout_at(by, connector.open());
            match opening.await {
                Err(_) => break,
                Ok(Ok(port)) => {
                    (self.link, self.reset, self.lock) = (port.link, port.reset, port.lock);
                    let Some(baud) = baud else { return Ok(()) };
                    match self.link.set_baud(baud).await {
                        Ok(()) => return Ok(()),
                        Err(error) => why = DeviceError::from_io(&self.describe(), &error),
                    }
                }
                Ok(Err(error)) => {
                    why = DeviceError::LinkLost {
                        link: self.describe(),
                        detail: format!("it did not come back after a reset: {error}"),
                    };
                }
            }
            sleep(LOOK).await;
        }
        Err(why)
    }

    /// The link's name.
    #[must_use]
    pub fn describe(&self) -> String {
        self.link.describe()
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("link", &self.link.describe())
            .field("reset", &self.reset.means())
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

/// Whether a board is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// A board is there; the number grows with every board that is put in.
    Present(u64),
    /// The bay is empty.
    Absent,
    /// This kind of link cannot say.
    Unknown,
}

/// Opens the way to the chip in one bay.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Bay or address, for people and for the journal.
    fn name(&self) -> String;

    /// Opens the port, exclusively. Ends by itself within a few seconds; cancelled by dropping.
    ///
    /// # Errors
    /// `PortInUse`, `NoBoard`, `PortDenied`, `PortBroken`, `Unreachable`, `BayAmbiguous`, …
    async fn open(&self) -> Result<Port, DeviceError>;

    /// Whether a board is there, now and as it changes.
    fn presence(&self) -> watch::Receiver<Presence>;
}
