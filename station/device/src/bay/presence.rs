//! Whether a board is in a bay, seen by looking again and again.
//!
//! What is seen is the USB device. Where the bridge is part of the jig and not of the board, that
//! says nothing of the board: such a bay is always occupied.
//!
//! Invariants:
//! - A board that is gone for less than [`GRACE`] and comes back as the same is the same board:
//!   chips with a port of their own re-enumerate when they are reset.
//! - The generation grows with every other board, also when its coming was faster than a look.
//! - One task looks for all bays; it ends with the last holder of its [`BayWatch`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::bay::key::BayKey;
use crate::bay::sysfs::{Sysfs, UsbTty, only};
use crate::port::Presence;

/// Time between two looks.
pub const RESCAN: Duration = Duration::from_millis(300);
/// How long a board may be away without having been taken out.
const GRACE: Duration = Duration::from_millis(1200);

/// Tells boards from re-enumerations, from one look to the next.
#[derive(Clone, Debug, Default)]
pub struct PresenceTracker {
    generation: u64,
    /// Who is there, or was until the grace has passed.
    board: Option<String>,
    missing_since: Option<Instant>,
}

impl PresenceTracker {
    /// Takes in what was seen at `now`: somebody's identity, or nothing.
    pub fn observe(&mut self, now: Instant, seen: Option<String>) -> Presence {
        match seen {
            Some(identity) => {
                self.missing_since = None;
                if self.board.as_ref() != Some(&identity) {
                    self.generation += 1;
                    self.board = Some(identity);
                }
            }
            None => {
                let since = *self.missing_since.get_or_insert(now);
                if now.duration_since(since) >= GRACE {
                    self.board = None;
                }
            }
        }
        if self.board.is_some() {
            Presence::Present(self.generation)
        } else {
            Presence::Absent
        }
    }
}

/// One bay that somebody watches.
struct Watched {
    tracker: PresenceTracker,
    tell: watch::Sender<Presence>,
}

/// Looks at all watched bays.
#[derive(Clone)]
pub struct BayWatch {
    bays: Arc<Bays>,
}

struct Bays {
    sysfs: Sysfs,
    watched: Mutex<HashMap<BayKey, Watched>>,
}

impl std::fmt::Debug for BayWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BayWatch")
            .field("sysfs", &self.bays.sysfs)
            .finish_non_exhaustive()
    }
}

impl BayWatch {
    /// Starts looking, on the runtime this is called in.
    #[must_use]
    pub fn start(sysfs: Sysfs) -> Self {
        let bays = Arc::new(Bays {
            sysfs,
            watched: Mutex::default(),
        });
        tokio::spawn(look(Arc::downgrade(&bays)));
        Self { bays }
    }

    /// The tree that is looked at.
    #[must_use]
    pub fn sysfs(&self) -> &Sysfs {
        &self.bays.sysfs
    }

    /// Whether a board is in the bay `key`; `Unknown` until the first look.
    #[must_use]
    pub fn presence(&self, key: &BayKey) -> watch::Receiver<Presence> {
        let mut watched = self.bays.lock();
        let bay = watched.entry(key.clone()).or_insert_with(|| Watched {
            tracker: PresenceTracker::default(),
            tell: watch::Sender::new(Presence::Unknown),
        });
        bay.tell.subscribe()
    }
}

impl Bays {
    fn lock(&self) -> MutexGuard<'_, HashMap<BayKey, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges every watched bay by one scan.
    fn judge(&self, now: Instant, scan: Option<&[UsbTty]>) {
        for (key, bay) in &mut *self.lock() {
            let presence = match scan {
                // Two ttys in one bay are somebody; opening it will say what is wrong.
                Some(scan) => {
                    let seen = match only(key, scan) {
                        Ok(tty) => Some(tty.identity()),
                        Err(error) => (error.code() == "bay-ambiguous").then(|| error.to_string()),
                    };
                    bay.tracker.observe(now, seen)
                }
                None => Presence::Unknown,
            };
            bay.tell
                .send_if_modified(|told| std::mem::replace(told, presence) != presence);
        }
    }
}

/// Looks until nobody holds the watch any more.
async fn look(bays: Weak<Bays>) {
    let mut rhythm = tokio::time::interval(RESCAN);
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rhythm.tick().await;
        let Some(bays) = bays.upgrade() else { return };
        let looked = tokio::task::spawn_blocking(move || {
            let scan = bays.sysfs.scan();
            if let Err(error) = &scan {
                tracing::debug!(%error, "no look at the USB ports");
            }
            bays.judge(Instant::now(), scan.ok().as_deref());
        });
        if looked.await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bay::sysfs::tests::{FakeSysfs, PCI};

    fn board(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[tokio::test]
    async fn a_reset_that_re_enumerates_is_not_a_new_board() {
        let mut tracker = PresenceTracker::default();
        let start = Instant::now();
        assert_eq!(tracker.observe(start, board("a")), Presence::Present(1));
        assert_eq!(tracker.observe(start + RESCAN, None), Presence::Present(1));
        assert_eq!(
            tracker.observe(start + 2 * RESCAN, board("a")),
            Presence::Present(1)
        );
    }

    #[tokio::test]
    async fn a_board_that_was_taken_out_leaves_the_bay_empty_and_returns_as_a_new_one() {
        let mut tracker = PresenceTracker::default();
        let start = Instant::now();
        tracker.observe(start, board("a"));
        tracker.observe(start + RESCAN, None);
        assert_eq!(
            tracker.observe(start + RESCAN + GRACE, None),
            Presence::Absent
        );
        assert_eq!(
            tracker.observe(start + 2 * GRACE, board("a")),
            Presence::Present(2)
        );
    }

    #[tokio::test]
    async fn a_swap_between_two_looks_is_seen() {
        let mut tracker = PresenceTracker::default();
        let start = Instant::now();
        tracker.observe(start, board("a"));
        assert_eq!(
            tracker.observe(start + RESCAN, board("b")),
            Presence::Present(2)
        );
    }

    #[tokio::test]
    async fn an_empty_bay_is_absent_from_the_start() {
        let mut tracker = PresenceTracker::default();
        let start = Instant::now();
        tracker.observe(start, None);
        assert_eq!(tracker.observe(start + GRACE, None), Presence::Absent);
        assert_eq!(
            PresenceTracker::default().observe(start, None),
            Presence::Absent
        );
    }

    #[tokio::test]
    async fn plugging_and_unplugging_are_seen_for_every_watched_bay() {
        let fake = FakeSysfs::new();
        let key: BayKey = "pci-0000:00:14.0/4:1.0".parse().unwrap();
        let watch = BayWatch::start(fake.sysfs());
        let mut presence = watch.presence(&key);
        let mut other = watch.presence(&"pci-0000:00:14.0/5".parse().unwrap());
        presence
            .wait_for(|now| *now == Presence::Absent)
            .await
            .unwrap();
        let device = fake.plug(PCI, "usb1/1-4", ("10c4", "ea60"), 3);
        fake.tty(&device, "1.0", Some(0), "ttyUSB1");
        presence
            .wait_for(|now| *now == Presence::Present(1))
            .await
            .unwrap();
        fake.unplug(&device, &["ttyUSB1"]);
        presence
            .wait_for(|now| *now == Presence::Absent)
            .await
            .unwrap();
        let device = fake.plug(PCI, "usb1/1-4", ("10c4", "ea60"), 4);
        fake.tty(&device, "1.0", Some(0), "ttyUSB0");
        presence
            .wait_for(|now| *now == Presence::Present(2))
            .await
            .unwrap();
        other
            .wait_for(|now| *now == Presence::Absent)
            .await
            .unwrap();
    }
}
