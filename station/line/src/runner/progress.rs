//! How far along each bay is. Lossy: only the latest word of a bay is kept, and nothing waits for a
//! reader.

use station_device::ProgressSink;
use tokio::sync::watch;

use crate::event::{BayName, Progress, StepName};

/// The latest progress of every bay, in the order of the bays.
#[derive(Clone, Debug)]
pub struct ProgressBoard {
    bays: Vec<watch::Receiver<Option<Progress>>>,
}

impl ProgressBoard {
    /// Makes a board and the pens that write on it.
    pub(super) fn new(bays: usize) -> (Self, Vec<watch::Sender<Option<Progress>>>) {
        let (pens, bays) = (0..bays).map(|_| watch::channel(None)).unzip();
        (Self { bays }, pens)
    }

    /// Returns what every busy bay is doing now.
    pub fn latest(&self) -> Vec<Progress> {
        self.bays
            .iter()
            .filter_map(|bay| bay.borrow().clone())
            .collect()
    }

    /// Returns a watch of one bay, counted in the order of the bays; `None` while it does nothing.
    pub fn watch(&self, bay: usize) -> Option<watch::Receiver<Option<Progress>>> {
        self.bays.get(bay).cloned()
    }
}

/// Writes one step's progress of one bay.
#[derive(Debug)]
pub(super) struct StepPen<'a> {
    pub(super) pen: &'a watch::Sender<Option<Progress>>,
    pub(super) bay: BayName,
    pub(super) step: StepName,
}

impl ProgressSink for StepPen<'_> {
    fn progress(&self, phase: &str, done: u64, total: Option<u64>) {
        self.pen.send_replace(Some(Progress {
            bay: self.bay.clone(),
            step: self.step.clone(),
            phase: phase.to_owned(),
            done,
            total,
        }));
    }
}
