//! An open journal: the one thing in the process that can record.
//!
//! Invariants: opening closes what a crash left open; whoever gets an event back may act on it, for
//! it is durable; only the runner can append (the stamping calls are private to this crate), faces
//! can only leave notes of what they were asked. Clones share one writer; the last one to go waits
//! until everything handed over is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use tokio::sync::{broadcast, watch};

use super::allowance::{Allowances, Share};
use super::command::{Command, PlanRecord, SerialRequest, Standing};
use super::crash::CrashPoint;
use super::error::JournalError;
use super::feed::{FEED_DEPTH, Subscription};
use super::queue::{Pending, Queue};
use super::reader::Reader;
use super::schema::Durability;
use super::stamp::Draft;
use super::writer::{Health, Writer};
use crate::event::{AttemptId, Event, EventKind, Mac, RunId, Seq, Serial};

/// Who carries out what is appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Execution {
    /// A thread of its own, so that waiting for the disk holds nobody else up.
    #[default]
    Thread,
    /// The caller, at once: on a paused clock nothing may wait for another thread.
    Inline,
}

/// How to open a journal for writing.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// How hard a commit insists on the disk.
    pub durability: Durability,
    /// Who writes.
    pub execution: Execution,
    /// Wall time of the opening; stands in recovery events.
    pub opened_at: DateTime<Utc>,
    /// Where to die, for tests of what is left behind.
    pub crash: Option<CrashPoint>,
    /// Largest size of the database in pages of 4096 bytes, as if the disk ended there.
    pub page_limit: Option<u32>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            execution: Execution::Thread,
            opened_at: Utc::now(),
            crash: None,
            page_limit: None,
        }
    }
}

impl OpenOptions {
    /// For simulations: the caller writes, nobody waits for the disk, and time is given.
    pub fn simulation(opened_at: DateTime<Utc>) -> Self {
        Self {
            durability: Durability::Off,
            execution: Execution::Inline,
            opened_at,
            ..Self::default()
        }
    }
}

/// A journal that is open for writing.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    queue: Queue,
    feed: broadcast::WeakSender<Arc<Event>>,
    health: watch::Receiver<Health>,
    opened_at_seq: Seq,
    last_run: AtomicU64,
    last_attempt: AtomicU64,
    allowances: Allowances,
}

/// One or more appends that are on their way to the disk.
#[derive(Debug)]
#[must_use = "an event that is not waited for may not be durable"]
pub(crate) struct Acknowledgement(Pending);

impl Acknowledgement {
    /// Waits until the events are durable and returns them.
    pub(crate) async fn durable(self) -> Result<Vec<Arc<Event>>, JournalError> {
        Ok(self.0.await?.events)
    }
}

impl Journal {
    /// Opens a journal, makes it if it is not there, and closes what a crash left open.
    ///
    /// # Errors
    /// [`JournalError::InUse`] while another station writes to it, [`JournalError::Newer`] when a
    /// newer one made it, [`JournalError::Corrupt`], [`JournalError::Write`] when it is read-only.
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self, JournalError> {
        let path = path.as_ref().to_path_buf();
        let (feed, _) = broadcast::channel(FEED_DEPTH);
        let (health, healthy) = watch::channel(Health::Sound);
        let weak = feed.downgrade();
        let (writer, numbers) = Writer::open(&path, options, feed, health)?;
        let opened_at_seq = writer.head().seq;
        let queue = match options.execution {
            Execution::Inline => Queue::inline(writer),
            Execution::Thread => Queue::threaded(writer).map_err(|source| JournalError::Open {
                path: path.clone(),
                source: Arc::new(source),
            })?,
        };
        let inner = Inner {
            path,
            queue,
            feed: weak,
            health: healthy,
            opened_at_seq,
            last_run: AtomicU64::new(numbers.run),
            last_attempt: AtomicU64::new(numbers.attempt),
            allowances: Allowances::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Opens a connection for reading. It sees everything that was acknowledged.
    ///
    /// # Errors
    /// [`JournalError::Read`] and its kin.
    pub fn reader(&self) -> Result<Reader, JournalError> {
        Reader::open(&self.inner.path)
    }

    /// Begins to watch events that become durable from now on.
    pub fn subscribe(&self) -> Subscription {
        let receiver = match self.inner.feed.upgrade() {
            Some(feed) => feed.subscribe(),
            // The writer is gone: a closed channel says so.
            None => broadcast::channel(1).1,
        };
        // Read after subscribing, so that no event falls between.
        let last = self.reader().and_then(|reader| reader.head());
        Subscription::new(
            receiver,
            last.map_or(self.inner.opened_at_seq, |head| head.seq),
        )
    }

    /// Returns whether the journal can still record, and tells of the moment it cannot.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.inner.health.clone()
    }

    /// Records that a face was asked for something that writes ([`EventKind::OperationInvoked`]),
    /// that it was refused ([`EventKind::Refused`]), or what was done to one unit and its keys
    /// outside every run.
    ///
    /// # Errors
    /// [`JournalError::Refused`] for any other kind; whatever keeps it from being recorded.
    pub async fn note(
        &self,
        at: DateTime<Utc>,
        kind: EventKind,
    ) -> Result<Arc<Event>, JournalError> {
        if !matches!(
            kind,
            EventKind::OperationInvoked { .. }
                | EventKind::Refused { .. }
                | EventKind::BurnIntended { attempt: None, .. }
                | EventKind::BurnFinished { attempt: None, .. }
                | EventKind::BurnReconciled { attempt: None, .. }
                | EventKind::KeySealed { attempt: None, .. }
                | EventKind::KeyForgotten { attempt: None, .. }
                | EventKind::UnitQuarantined { attempt: None, .. }
                | EventKind::UnitReleased { .. }
        ) {
            let what = format!("a note of kind `{}`", kind.word());
            return Err(JournalError::Refused { what });
        }
        self.outside_a_run(at, kind).await
    }

    /// Records what belongs to no run.
    pub(super) async fn outside_a_run(
        &self,
        at: DateTime<Utc>,
        kind: EventKind,
    ) -> Result<Arc<Event>, JournalError> {
        self.append(Draft {
            at,
            elapsed_us: 0,
            run: None,
            kind,
        })
        .await
    }

    /// Keeps a plan; must come before the first run of it. One that is there already is left alone.
    ///
    /// # Errors
    /// Whatever keeps it from being recorded.
    pub async fn store_plan(
        &self,
        at: DateTime<Utc>,
        plan: PlanRecord,
    ) -> Result<(), JournalError> {
        self.ask(Command::StorePlan(at, Box::new(plan))).await?;
        Ok(())
    }

    /// Makes a serial number void: it will never be given out again, and its unit gets another one.
    ///
    /// # Errors
    /// [`JournalError::NotVoidable`] for numbers never reserved, committed, or in use right now.
    pub async fn void_serial(
        &self,
        at: DateTime<Utc>,
        serial: Serial,
        reason: String,
    ) -> Result<Arc<Event>, JournalError> {
        only(self.ask(Command::Void { at, serial, reason }).await?.events)
    }

    /// Returns how a unit and its product stand, after everything handed over so far.
    ///
    /// # Errors
    /// Whatever keeps the journal from answering.
    pub async fn standing(
        &self,
        mac: &Mac,
        product: &str,
        revision: Option<&str>,
    ) -> Result<Standing, JournalError> {
        let command = Command::Stand {
            mac: mac.clone(),
            product: product.to_owned(),
            revision: revision.map(str::to_owned),
        };
        Ok(self.ask(command).await?.standing.unwrap_or_default())
    }

    pub(super) async fn ask(
        &self,
        command: Command,
    ) -> Result<super::command::Receipt, JournalError> {
        self.inner.queue.submit(command).await.await
    }
}

/// What the coordinator alone may do.
impl Journal {
    /// Gives out the next run number.
    pub(crate) fn next_run(&self) -> RunId {
        RunId(self.inner.last_run.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Gives out the next attempt number.
    pub(crate) fn next_attempt(&self) -> AttemptId {
        AttemptId(self.inner.last_attempt.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Lets a run take part in what may still be begun of a product.
    pub(crate) fn share(&self, product: &str, revision: Option<&str>, run: RunId) -> Share {
        self.inner.allowances.share(product, revision, run)
    }

    /// Appends one event and returns it once it is durable.
    pub(crate) async fn append(&self, draft: Draft) -> Result<Arc<Event>, JournalError> {
        only(self.submit(vec![draft]).await.durable().await?)
    }

    /// Hands over events that are recorded together or not at all, without waiting for the disk.
    /// A passing end of an attempt commits its serial numbers in the same transaction.
    pub(crate) async fn submit(&self, drafts: Vec<Draft>) -> Acknowledgement {
        Acknowledgement(self.inner.queue.submit(Command::Append(drafts)).await)
    }

    /// Appends an [`EventKind::AttachmentStored`] together with its bytes.
    pub(crate) async fn attach(
        &self,
        draft: Draft,
        bytes: Arc<[u8]>,
    ) -> Result<Arc<Event>, JournalError> {
        only(
            self.ask(Command::Attach(Box::new(draft), bytes))
                .await?
                .events,
        )
    }

    /// Gives a unit its serial number: the one it has in this pool or, if the request claims that,
    /// the next one. Reserved and bound when this returns; it is committed when the attempt passes.
    ///
    /// # Errors
    /// [`JournalError::PoolDry`] when there is none left, [`JournalError::NoSerial`] when the unit
    /// has none and is not to get one.
    pub(crate) async fn reserve_serial(
        &self,
        request: SerialRequest,
    ) -> Result<Serial, JournalError> {
        self.ask(Command::Reserve(request))
            .await?
            .serial
            .ok_or(JournalError::Closed)
    }

    /// Runs a closure with the writer's connection, to break it.
    #[cfg(test)]
    pub(super) fn sabotage(&self, harm: impl FnOnce(&rusqlite::Connection)) {
        if let Queue::Inline(writer) = &self.inner.queue {
            harm(writer.lock().unwrap().connection());
        }
    }
}

fn only(events: Vec<Arc<Event>>) -> Result<Arc<Event>, JournalError> {
    events.into_iter().next().ok_or(JournalError::Closed)
}
