//! A run under way, for whoever started it.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::coordinator::Control;
use super::progress::ProgressBoard;
use super::report::RunReport;
use crate::event::{BayName, CancelMode, RunId};
use crate::journal::Subscription;

/// What can be asked of a run while it is under way. Any number of faces may hold one; asking a run
/// that has ended does nothing.
#[derive(Clone, Debug)]
pub struct RunControl {
    run: RunId,
    controls: mpsc::Sender<Control>,
    progress: ProgressBoard,
}

/// A run under way. Dropping it does not end the run.
#[derive(Debug)]
pub struct RunHandle {
    control: RunControl,
    events: Option<Subscription>,
    coordinator: JoinHandle<RunReport>,
}

impl RunControl {
    pub(super) fn new(
        run: RunId,
        controls: mpsc::Sender<Control>,
        progress: ProgressBoard,
    ) -> Self {
        Self {
            run,
            controls,
            progress,
        }
    }

    /// The run's number.
    pub fn id(&self) -> RunId {
        self.run
    }

    /// How far along each bay is.
    pub fn progress(&self) -> &ProgressBoard {
        &self.progress
    }

    /// Asks the run to end: first to drain, then, if that takes too long, to stop.
    pub async fn cancel(&self, mode: CancelMode, by: impl Into<String>) {
        let by = by.into();
        self.ask(Control::Cancel { mode, by }).await;
    }

    /// Starts what is in a bay, or in every bay; in carrier mode always every bay.
    pub async fn start(&self, bay: Option<BayName>) {
        self.ask(Control::Start { bay }).await;
    }

    /// Puts a quarantined bay back into service.
    pub async fn clear(&self, bay: BayName) {
        self.ask(Control::Clear { bay }).await;
    }

    /// Whether the run has ended.
    pub fn is_over(&self) -> bool {
        self.controls.is_closed()
    }

    async fn ask(&self, control: Control) {
        if self.controls.send(control).await.is_err() {
            tracing::debug!(run = %self.run, "the run is over already");
        }
    }
}

impl RunHandle {
    pub(super) fn new(
        control: RunControl,
        events: Subscription,
        coordinator: JoinHandle<RunReport>,
    ) -> Self {
        Self {
            control,
            events: Some(events),
            coordinator,
        }
    }

    /// The run's number.
    pub fn id(&self) -> RunId {
        self.control.run
    }

    /// What can be asked of it, to be kept elsewhere.
    pub fn control(&self) -> RunControl {
        self.control.clone()
    }

    /// How far along each bay is.
    pub fn progress(&self) -> &ProgressBoard {
        &self.control.progress
    }

    /// The journal's events from just before the run's first one. Can be taken once.
    pub fn take_events(&mut self) -> Option<Subscription> {
        self.events.take()
    }

    /// Asks the run to end: first to drain, then, if that takes too long, to stop.
    pub async fn cancel(&self, mode: CancelMode, by: impl Into<String>) {
        self.control.cancel(mode, by).await;
    }

    /// Waits for the end of the run.
    ///
    /// Without a report the coordinator itself broke off, which is a bug; the journal's next
    /// opening closes what it left open.
    pub async fn join(self) -> Option<RunReport> {
        self.coordinator.await.ok()
    }
}
