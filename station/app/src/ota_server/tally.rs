//! What has been asked for and sent so far.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counters that connections share.
#[derive(Debug, Default)]
pub struct Tally {
    requests: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
    downloads: AtomicU64,
    changed: Notify,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests.
    pub requests: u64,
    /// Of these, refused ones.
    pub refused: u64,
    /// Bytes of content that were handed to the network.
    pub bytes: u64,
    /// How often the last byte of a package or image was.
    pub downloads: u64,
}

impl Tally {
    /// The counters now.
    pub fn count(&self) -> Count {
        Count {
            requests: self.requests.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            downloads: self.downloads.load(Ordering::Relaxed),
        }
    }

    /// Waits until there were so many downloads.
    pub(super) async fn downloads(&self, wanted: u64) {
        loop {
            let changed = self.changed.notified();
            if self.count().downloads >= wanted {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn downloaded(&self) {
        self.downloads.fetch_add(1, Ordering::Relaxed);
        // One waits; a permit is kept where it looks away.
        self.changed.notify_one();
    }
}
