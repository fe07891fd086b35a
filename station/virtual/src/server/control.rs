//! The hand that moves boards, power and reset lines of one bay.
//!
//! Invariant: an order is answered after it has taken effect, or not at all because the bay has
//! ended.

use thiserror::Error;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::bay::{Bay, BayState, Presence};
use super::host::Host;
use super::memory::MemoryHost;
use crate::chip::{ChipConfig, VirtualChip};

/// Something to be done to a bay on its own task.
pub(super) type Order = Box<dyn FnOnce(&mut Bay) + Send>;

/// Where a reset leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTo {
    /// The loader in the ROM waits for commands.
    Bootloader,
    /// The chip boots what is in its flash.
    Application,
}

/// The bay's task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the virtual bay has ended")]
pub struct BayGone;

impl BayGone {
    /// A stable name for this error.
    pub fn code(self) -> &'static str {
        "virtual-bay-gone"
    }
}

/// A handle to one bay. Clones control the same bay; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Control {
    orders: mpsc::Sender<Order>,
    presence: watch::Receiver<Presence>,
}

impl Control {
    pub(super) fn new(orders: mpsc::Sender<Order>, presence: watch::Receiver<Presence>) -> Self {
        Self { orders, presence }
    }

    /// Has `act` done on the bay's task and returns what it returns.
    pub(super) async fn order<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Bay) -> T + Send + 'static,
    ) -> Result<T, BayGone> {
        let (done, answer) = oneshot::channel();
        let order: Order = Box::new(move |bay| {
            // Whoever asked may have lost interest; the order has been carried out all the same.
            let _ = done.send(act(bay));
        });
        self.orders.send(order).await.map_err(|_| BayGone)?;
        answer.await.map_err(|_| BayGone)
    }

    /// Resets the chip.
    ///
    /// # Errors
    ///
    /// The bay has ended; so for every order below.
    pub async fn reset(&self, to: ResetTo) -> Result<(), BayGone> {
        self.order(move |bay| bay.reset(to)).await
    }

    /// Switches the board's supply.
    ///
    /// # Errors
    ///
    /// The bay has ended.
    pub async fn power(&self, on: bool) -> Result<(), BayGone> {
        self.order(move |bay| bay.power(on)).await
    }

    /// Sets the modem lines of the auto-reset circuit; `true` is asserted.
    ///
    /// # Errors
    ///
    /// The bay has ended.
    pub async fn set_lines(&self, dtr: bool, rts: bool) -> Result<(), BayGone> {
        self.order(move |bay| bay.set_lines(dtr, rts)).await
    }

    /// Sets the baud rate of the host's end, behind every byte sent before.
    ///
    /// # Errors
    ///
    /// The bay has ended.
    pub async fn set_baud(&self, baud: u32) -> Result<(), BayGone> {
        self.order(move |bay| bay.set_baud(baud)).await
    }

    /// Puts another board in the bay, in the place of the one that may be there. It boots from
    /// flash.
    ///
    /// # Errors
    ///
    /// The bay has ended.
    pub async fn replace(&self, config: ChipConfig) -> Result<(), BayGone> {
        self.order(move |bay| bay.insert_new(config, false)).await
    }

    /// Puts a board in the bay that keeps its flash and fuses; `strapped` starts it in download
    /// mode.
    ///
    /// # Errors
    ///
    /// The bay has ended.
    pub async fn insert(&self, chip: VirtualChip, strapped: bool) -> Result<(), BayGone> {
        self.order(move |bay| bay.insert(chip, strapped)).await
    }

    /// Takes the board out of the bay and returns it, to be inspected or inserted elsewhere.
    ///
    /// # Errors
    ///
    /// The bay has ended.
    pub async fn remove(&self) -> Result<Option<VirtualChip>, BayGone> {
        self.order(Bay::remove).await
    }

    /// Every port of the bay vanishes and comes back under another name, as after a USB reset.
    ///
    /// # Errors
    ///
    /// The bay has ended.
    pub async fn reenumerate(&self) -> Result<(), BayGone> {
        self.order(Bay::reenumerate).await
    }

    /// What the bay looks like.
    ///
    /// # Errors
    ///
    /// The bay has ended.
    pub async fn state(&self) -> Result<BayState, BayGone> {
        self.order(|bay| bay.state()).await
    }

    /// Looks at the chip in the bay.
    ///
    /// # Errors
    ///
    /// The bay has ended.
    pub async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(Option<&VirtualChip>) -> T + Send + 'static,
    ) -> Result<T, BayGone> {
        self.order(move |bay| look(bay.chip())).await
    }

    /// Changes the chip in the bay behind its back: its fuses, its flash, its faults.
    ///
    /// # Errors
    ///
    /// The bay has ended.
    pub async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(Option<&mut VirtualChip>) -> T + Send + 'static,
    ) -> Result<T, BayGone> {
        self.order(move |bay| change(bay.chip_mut())).await
    }

    /// Takes the board out of the bay and puts the same one back: it starts from power-on, strapped
    /// as before, and counts as another board that was seen. False when there is none.
    ///
    /// # Errors
    ///
    /// The bay has ended.
    pub async fn reseat(&self) -> Result<bool, BayGone> {
        self.order(Bay::reseat).await
    }

    /// A count that goes up whenever the board may have been changed from outside.
    pub(crate) async fn activity(&self) -> Result<u64, BayGone> {
        self.order(|bay| bay.activity()).await
    }

    /// Whether a board is in the bay, and which.
    pub fn presence(&self) -> watch::Receiver<Presence> {
        self.presence.clone()
    }

    /// Opens the port in memory; an earlier opening sees the end of its stream.
    ///
    /// # Errors
    ///
    /// The bay has ended.
    pub async fn open(&self) -> Result<DuplexStream, BayGone> {
        let (stream, host) = MemoryHost::pair();
        self.attach(Box::new(host)).await?;
        Ok(stream)
    }

    pub(super) async fn attach(&self, host: Box<dyn Host>) -> Result<(), BayGone> {
        self.order(move |bay| bay.attach(host)).await
    }
}
