//! Burns under way in this process: whoever asked may go away, a pulse may not be dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use super::Station;

/// Longest the station waits for burns when it closes: a pulse takes a second at most, with its repeats
/// and a chip that stops answering a few.
const CLOSE_PATIENCE: Duration = Duration::from_secs(30);

/// Every burn that this process has begun.
#[derive(Debug, Default)]
pub(super) struct Burns(Arc<RwLock<()>>);

impl Burns {
    /// Waits until none is under way, for a bounded time.
    pub(super) async fn wait(&self) {
        if tokio::time::timeout(CLOSE_PATIENCE, self.0.write())
            .await
            .is_err()
        {
            tracing::error!(
                "a burn did not end in time; its chip is looked at when it comes again"
            );
        }
    }
}

/// Held as long as a burn is under way.
#[derive(Debug)]
pub struct BurnGuard(#[expect(dead_code, reason = "held, not looked at")] OwnedRwLockReadGuard<()>);

impl Station {
    /// Says that a burn begins; the station does not close before the guard is dropped.
    pub async fn burning(&self) -> BurnGuard {
        BurnGuard(Arc::clone(&self.burns.0).read_owned().await)
    }
}
