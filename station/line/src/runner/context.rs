//! What the bays of one run share read-only, and what one bay has for itself.

use std::fmt;
use std::sync::Arc;

use station_device::port::Connector;
use station_device::session::ConnectOptions;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::bay::BayRules;
use super::cursor::StepRule;
use super::message::Message;
use super::prepared::ReadyImage;
use super::resources::ResourcePool;
use crate::event::{BayName, EventKind, Progress, RunId};
use crate::plan::Plan;

/// What every bay of a run reads and none changes.
#[derive(Debug)]
pub(super) struct RunContext {
    pub(super) run: RunId,
    pub(super) plan: Arc<Plan>,
    /// The plan's images, compressed once, in the plan's order.
    pub(super) images: Vec<ReadyImage>,
    pub(super) rules: Vec<StepRule>,
    pub(super) bay_rules: BayRules,
    pub(super) resources: ResourcePool,
    pub(super) lot: Option<String>,
    pub(super) operator: Option<String>,
    pub(super) once: bool,
    /// Running attempts are to be given up.
    pub(super) stop: CancellationToken,
    /// The journal records no more.
    pub(super) lost: CancellationToken,
}

/// One bay's own things.
pub(super) struct BayContext {
    /// Its place among the bays of the run.
    pub(super) index: usize,
    pub(super) name: BayName,
    pub(super) connector: Arc<dyn Connector>,
    /// How to connect; remembers which baud rates work in this bay.
    pub(super) connect: ConnectOptions,
    pub(super) messages: mpsc::Sender<Message>,
    pub(super) progress: watch::Sender<Option<Progress>>,
}

impl BayContext {
    /// Tells the coordinator something. When it is gone nobody records anything any more, and
    /// whoever waits for an answer learns that from the answer that does not come.
    pub(super) async fn tell(&self, message: Message) {
        if self.messages.send(message).await.is_err() {
            tracing::debug!(bay = %self.name, "nobody listens to this bay any more");
        }
    }

    /// Tells the coordinator a fact.
    pub(super) async fn fact(&self, kind: EventKind) {
        self.tell(Message::Fact {
            bay: self.index,
            kind,
        })
        .await;
    }
}

impl fmt::Debug for BayContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BayContext")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
