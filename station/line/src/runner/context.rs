//! What the bays of one run share read-only, and what one bay has for itself.

use std::fmt;
use std::sync::Arc;

use station_device::port::Connector;
use station_device::session::ConnectOptions;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::bay::BayRules;
use super::cursor::StepRule;
use super::message::Message;
use super::prepared::{Ciphertexts, ReadyImage};
use super::resources::ResourcePool;
use crate::approval::ApprovalId;
use crate::clock::Clock;
use crate::event::{BayName, EventKind, Progress, RunId};
use crate::journal::Journal;
use crate::keys::KeyStore;
use crate::outcome::Failure;
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
    /// To be read only.
    pub(super) journal: Journal,
    /// Where keys are, if the run has any.
    pub(super) keys: Option<KeyStore>,
    /// What allows the run to do what cannot be undone.
    pub(super) approval: Option<ApprovalId>,
    /// Images as ciphertext of keys that every unit gets.
    pub(super) ciphertexts: Ciphertexts,
    pub(super) clock: Arc<dyn Clock>,
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

    /// The pen for facts that guard what cannot be undone.
    pub(super) fn pen(&self) -> DurablePen {
        DurablePen {
            bay: self.index,
            messages: self.messages.clone(),
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

/// Writes facts and waits until they are on disk. Outlives the attempt it belongs to: then it is
/// told that nothing is recorded any more.
#[derive(Clone, Debug)]
pub(super) struct DurablePen {
    bay: usize,
    messages: mpsc::Sender<Message>,
}

impl DurablePen {
    /// Records a fact. `Ok` means that it is on disk.
    pub(super) async fn write(&self, kind: EventKind) -> Result<(), Failure> {
        let (reply, answer) = oneshot::channel();
        let bay = self.bay;
        let message = Message::Durable { bay, kind, reply };
        let told = self.messages.send(message).await;
        told.map_err(|_| Failure::journal_lost())?;
        answer
            .await
            .unwrap_or_else(|_| Err(Failure::journal_lost()))
    }
}

impl fmt::Debug for BayContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BayContext")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
