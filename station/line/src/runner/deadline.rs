//! A deadline that stands still while its owner waits its turn for a shared resource.
//!
//! A bay that queues for the RF box behind thirty others is not slow; only its own work counts
//! against the step's and the attempt's time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// When something must be over; can be held while queueing.
#[derive(Debug)]
pub struct Deadline {
    /// `None` while it stands still.
    until: watch::Sender<Option<Instant>>,
}

/// Keeps a deadline still until it is dropped; then the time spent is added.
#[derive(Debug)]
pub struct Pause<'a> {
    deadline: &'a Deadline,
    since: Instant,
    until: Option<Instant>,
}

impl Deadline {
    /// Starts a deadline `after` from now.
    pub fn after(after: Duration) -> Self {
        let now = Instant::now();
        // Longer than anybody waits, and still representable.
        let far = now + Duration::from_secs(60 * 60 * 24 * 365);
        Self {
            until: watch::Sender::new(Some(now.checked_add(after).unwrap_or(far))),
        }
    }

    /// Lets it stand still until the returned value is dropped. Pauses do not nest: an inner one
    /// has no effect.
    pub fn pause(&self) -> Pause<'_> {
        Pause {
            deadline: self,
            since: Instant::now(),
            until: self.until.send_replace(None),
        }
    }

    /// Whether it is over now.
    pub fn is_over(&self) -> bool {
        self.until
            .borrow()
            .is_some_and(|until| Instant::now() >= until)
    }

    /// Returns when it is over. Safe to drop and to call again.
    pub async fn over(&self) {
        let mut changes = self.until.subscribe();
        loop {
            let until = *changes.borrow_and_update();
            let changed = changes.changed();
            match until {
                None => {
                    if changed.await.is_err() {
                        return;
                    }
                }
                Some(until) => tokio::select! {
                    biased;
                    _ = changed => {}
                    () = tokio::time::sleep_until(until) => return,
                },
            }
        }
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if let Some(until) = self.until {
            let moved = until + self.since.elapsed();
            self.deadline.until.send_replace(Some(moved));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn time_spent_queueing_does_not_count() {
        let deadline = Deadline::after(SECOND * 10);
        let began = Instant::now();
        let work = async {
            tokio::time::sleep(SECOND * 4).await;
            let pause = deadline.pause();
            tokio::time::sleep(SECOND * 100).await;
            drop(pause);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = work => {}
            () = deadline.over() => {}
        }
        assert_eq!(began.elapsed(), SECOND * 110);
        assert!(deadline.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_nobody_holds_ends_on_time() {
        let deadline = Deadline::after(SECOND);
        let began = Instant::now();
        assert!(!deadline.is_over());
        deadline.over().await;
        assert_eq!(began.elapsed(), SECOND);
    }
}
