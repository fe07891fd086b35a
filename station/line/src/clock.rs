//! Wall time as the line sees it: the machine's clock, or one derived from tokio's time.
//!
//! Wall time is for people; arithmetic uses [`tokio::time::Instant`], which both clocks share. On
//! tokio's paused clock a [`SimulatedClock`] makes every time stamp a function of what was awaited,
//! so that a simulation with the same seed writes the same journal.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// Tells the time of day.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the wall time now.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock that started at a given wall time and runs as tokio's time runs.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedClock {
    epoch: DateTime<Utc>,
    start: Instant,
}

impl SimulatedClock {
    /// Starts a clock that shows `epoch` now. Must be called where tokio's time is available.
    pub fn starting_at(epoch: DateTime<Utc>) -> Self {
        Self {
            epoch,
            start: Instant::now(),
        }
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.start.elapsed()).unwrap_or(TimeDelta::MAX);
        self.epoch
            .checked_add_signed(passed)
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_follows_tokio_time_exactly() {
        let epoch = DateTime::<Utc>::UNIX_EPOCH;
        let clock = SimulatedClock::starting_at(epoch);
        assert_eq!(clock.now(), epoch);
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(clock.now(), epoch + TimeDelta::milliseconds(1500));
    }
}
