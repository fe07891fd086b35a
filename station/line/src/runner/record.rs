//! The coordinator's pen: stamps facts, hands them to the journal in order, waits for the disk.
//!
//! Invariants: facts reach the journal in the order they were added; after a loss, or a refusal,
//! which would leave a hole, nothing is added any more; no wait is longer than [`PATIENCE`].

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

use super::burns::LastClosed;
use crate::clock::Clock;
use crate::event::{AttemptId, BayName, EventKind, Mac, RunId, Serial, StepName, micros};
use crate::journal::{
    Acknowledgement, BurnRow, BurnState, Claim, Draft, Health, Journal, JournalError,
    SerialRequest, Standing,
};
use crate::serial::SerialSource;

/// Longest the disk may take for anything; a disk that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one run writes into the journal.
#[derive(Debug)]
pub(super) struct Record {
    journal: Journal,
    clock: Arc<dyn Clock>,
    run: RunId,
    began: Instant,
    drafts: Vec<Draft>,
    handed_over: VecDeque<Acknowledgement>,
    loss: Option<JournalError>,
}

impl Record {
    pub(super) fn new(journal: Journal, clock: Arc<dyn Clock>, run: RunId) -> Self {
        Self {
            journal,
            clock,
            run,
            began: Instant::now(),
            drafts: Vec::new(),
            handed_over: VecDeque::new(),
            loss: None,
        }
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.journal.health()
    }

    pub(super) fn next_attempt(&self) -> AttemptId {
        self.journal.next_attempt()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.loss.is_some()
    }

    pub(super) fn into_loss(self) -> Option<JournalError> {
        self.loss
    }

    /// Takes note of a loss; returns whether it is the first.
    pub(super) fn lose(&mut self, error: JournalError) -> bool {
        let first = self.loss.is_none();
        self.loss.get_or_insert(error);
        self.drafts.clear();
        self.handed_over.clear();
        first
    }

    /// Stamps a fact. It is recorded with the next flush.
    pub(super) fn add(&mut self, kind: EventKind) {
        if self.loss.is_none() {
            let draft = self.stamp(kind);
            self.drafts.push(draft);
        }
    }

    fn stamp(&self, kind: EventKind) -> Draft {
        Draft {
            at: self.clock.now(),
            elapsed_us: micros(self.began.elapsed()),
            run: Some(self.run),
            kind,
        }
    }

    /// Hands over what was added, without waiting for the disk.
    async fn hand_over(&mut self) -> Result<(), JournalError> {
        if !self.drafts.is_empty() {
            let drafts = std::mem::take(&mut self.drafts);
            let handed_over = patiently(async { Ok(self.journal.submit(drafts).await) }).await?;
            self.handed_over.push_back(handed_over);
        }
        Ok(())
    }

    /// Waits until everything added is on disk.
    pub(super) async fn flush(&mut self) -> Result<(), JournalError> {
        self.hand_over().await?;
        while let Some(handed_over) = self.handed_over.pop_front() {
            patiently(handed_over.durable()).await?;
        }
        Ok(())
    }

    /// Stores bytes together with the fact that they are stored.
    pub(super) async fn attach(
        &mut self,
        attempt: AttemptId,
        step: StepName,
        name: String,
        bytes: Vec<u8>,
    ) -> Result<(), JournalError> {
        if self.loss.is_some() {
            return Ok(());
        }
        let kind = EventKind::AttachmentStored {
            attempt,
            step,
            name,
            sha256: hex::encode(Sha256::digest(&bytes)),
            size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        };
        let draft = self.stamp(kind);
        self.hand_over().await?;
        patiently(self.journal.attach(draft, bytes.into()))
            .await
            .map(drop)
    }

    /// How a unit and its product stand, after everything added so far.
    pub(super) async fn standing(
        &mut self,
        mac: &Mac,
        product: &str,
        revision: Option<&str>,
    ) -> Result<Standing, JournalError> {
        self.check()?;
        self.hand_over().await?;
        patiently(self.journal.standing(mac, product, revision)).await
    }

    /// A serial number, bound to its unit.
    pub(super) async fn reserve(
        &mut self,
        attempt: AttemptId,
        mac: Mac,
        source: Arc<SerialSource>,
        claim: Claim,
    ) -> Result<Serial, JournalError> {
        self.check()?;
        self.hand_over().await?;
        let request = SerialRequest {
            at: self.clock.now(),
            elapsed_us: micros(self.began.elapsed()),
            run: self.run,
            attempt,
            mac,
            source,
            claim,
        };
        patiently(self.journal.reserve_serial(request)).await
    }

    /// Every pulse that was ever meant for a unit, after everything added so far.
    pub(super) async fn burns(&mut self, mac: &Mac) -> Result<Vec<BurnRow>, JournalError> {
        self.check()?;
        self.hand_over().await?;
        patiently(self.journal.burns_of(mac)).await
    }

    /// Records a fact about a unit that is not the attempt's, and waits for the disk.
    pub(super) async fn note(&mut self, kind: EventKind) -> Result<(), JournalError> {
        self.check()?;
        self.hand_over().await?;
        let at = self.clock.now();
        patiently(self.journal.note(at, kind)).await.map(drop)
    }

    /// The last unit that said who it is in a bay, if a pulse that closes the loader was meant for
    /// it and it has not passed since.
    pub(super) async fn last_closed_in(
        &mut self,
        bay: &BayName,
    ) -> Result<Option<LastClosed>, JournalError> {
        self.check()?;
        self.flush().await?;
        let reader = self.journal.reader()?;
        let Some((mac, false)) = reader.last_in(bay)? else {
            return Ok(None);
        };
        let mut burns = reader.burns_of(&mac)?.into_iter();
        let closing = burns.rfind(|burn| {
            let perhaps = match burn.state {
                BurnState::Open | BurnState::Unclear | BurnState::Done | BurnState::Silent => true,
                BurnState::Failed
                | BurnState::NotDone
                | BurnState::Partly
                | BurnState::Released => false,
            };
            burn.pulse.last_contact && perhaps
        });
        let Some(burn) = closing else {
            return Ok(None);
        };
        let quarantine = reader.quarantine(&mac)?;
        Ok(Some(LastClosed { burn, quarantine }))
    }

    fn check(&self) -> Result<(), JournalError> {
        match self.loss {
            Some(_) => Err(JournalError::Closed),
            None => Ok(()),
        }
    }
}

async fn patiently<T>(
    work: impl Future<Output = Result<T, JournalError>>,
) -> Result<T, JournalError> {
    let slow = JournalError::Write {
        what: format!("the disk did not answer within {PATIENCE:?}"),
    };
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or(Err(slow))
}
