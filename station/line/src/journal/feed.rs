//! Events to whoever watches, after they are durable.
//!
//! Invariants: a subscriber sees events in order and none twice; it can never slow the writer, nor
//! make it remember more than a fixed number of events; one that falls behind is told the last number
//! it saw and reads on from the database.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::broadcast;

use crate::event::{Event, Seq};

/// Events that are kept for slow subscribers.
pub(super) const FEED_DEPTH: usize = 4096;

/// Why a subscriber got no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FeedError {
    /// It fell behind. Events after the given one must be read from the database.
    #[error("subscriber fell behind after event {0}")]
    Lagged(Seq),
    /// The journal is closed.
    #[error("journal is closed")]
    Closed,
}

/// One reader of the live stream.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Arc<Event>>,
    last: Seq,
}

impl Subscription {
    pub(super) fn new(receiver: broadcast::Receiver<Arc<Event>>, last: Seq) -> Self {
        Self { receiver, last }
    }

    /// Returns the number of the last event it saw or was told to read; to begin with, one that was
    /// durable when it subscribed, and after which it misses nothing.
    pub fn last(&self) -> Seq {
        self.last
    }

    /// Goes on after an event that was read from the database.
    pub fn resume_after(&mut self, seq: Seq) {
        self.last = self.last.max(seq);
    }

    /// Waits for the next event after [`Self::last`].
    ///
    /// # Errors
    /// [`FeedError::Lagged`] with the last event it saw: read the rest from the database, call
    /// [`Self::resume_after`], and go on. [`FeedError::Closed`] after the last event of a journal.
    pub async fn next(&mut self) -> Result<Arc<Event>, FeedError> {
        loop {
            match self.receiver.recv().await {
                // What was read from the database meanwhile is not shown again.
                Ok(event) if event.seq <= self.last => {}
                Ok(event) if event.seq.0 == self.last.0 + 1 => {
                    self.last = event.seq;
                    return Ok(event);
                }
                // Events between were dropped from the queue; this one is now lost to it as well,
                // but none is lost to the database.
                Ok(_) => return Err(FeedError::Lagged(self.last)),
                // Whether that matters shows with the oldest event that is left.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Err(FeedError::Closed),
            }
        }
    }
}
