//! How many units of a product may still be begun, over all runs that write to one journal.
//!
//! A quota is the product's and not the run's: two runs at once share it.
//!
//! Invariants: passed units and units under way in all runs together never exceed the quota that any
//! of them was given; the share of a run that is gone is free again, and those who wait hear of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::event::RunId;

/// A product and its revision.
type Product = (String, Option<String>);

/// The allowances of every product that a journal has runs of.
#[derive(Debug, Default)]
pub(super) struct Allowances(Mutex<BTreeMap<Product, Arc<Allowance>>>);

/// What all runs together have passed and have under way of one product.
#[derive(Debug, Default)]
struct Allowance {
    count: Mutex<Count>,
    /// Told when something that was under way has ended.
    freed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Count {
    /// Units that passed, durable or about to be.
    passed: u64,
    under_way: BTreeMap<RunId, u64>,
}

/// One run's part in an allowance.
#[derive(Debug)]
pub(crate) struct Share {
    allowance: Arc<Allowance>,
    run: RunId,
}

impl Allowances {
    /// Takes part for one run.
    pub(super) fn share(&self, product: &str, revision: Option<&str>, run: RunId) -> Share {
        let product = (product.to_owned(), revision.map(str::to_owned));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let allowance = Arc::clone(all.entry(product).or_default());
        Share { allowance, run }
    }
}

impl Share {
    /// Learns how many units the journal says have passed.
    pub(crate) fn learn(&self, passed: u64) {
        let mut count = self.count();
        count.passed = count.passed.max(passed);
    }

    /// One more unit passed.
    pub(crate) fn add_pass(&self) {
        self.count().passed += 1;
    }

    /// How many units may still pass.
    pub(crate) fn left(&self, quota: u64) -> u64 {
        quota.saturating_sub(self.count().passed)
    }

    /// Begins what may be begun: `begin` is told what the other runs leave of the quota, and says
    /// how many units this run has under way then.
    pub(crate) fn begin<T>(
        &self,
        quota: Option<u64>,
        begin: impl FnOnce(Option<u64>) -> (T, u64),
    ) -> T {
        let mut count = self.count();
        let others = count.under_way.iter().filter(|(run, _)| **run != self.run);
        let taken = others.map(|(_, units)| units).sum::<u64>() + count.passed;
        let (begun, under_way) = begin(quota.map(|quota| quota.saturating_sub(taken)));
        let before = count.under_way.insert(self.run, under_way);
        drop(count);
        if before.is_some_and(|before| under_way < before) {
            self.allowance.freed.send_replace(());
        }
        begun
    }

    /// Changes whenever something that was under way has ended, in any run.
    pub(crate) fn freed(&self) -> watch::Receiver<()> {
        self.allowance.freed.subscribe()
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.allowance
            .count
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.count().under_way.remove(&self.run);
        self.allowance.freed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a run begin as many as it may, of `wanted`.
    fn begin(share: &Share, quota: u64, wanted: u64) -> u64 {
        share.begin(Some(quota), |left| {
            let units = left.unwrap().min(wanted);
            (units, units)
        })
    }

    #[test]
    fn what_one_run_has_under_way_another_cannot_begin() {
        let all = Allowances::default();
        let one = all.share("node", None, RunId(1));
        let other = all.share("node", None, RunId(2));
        let stranger = all.share("node", Some("B"), RunId(3));
        assert_eq!(begin(&one, 3, 2), 2);
        assert_eq!(begin(&other, 3, 5), 1);
        assert_eq!(begin(&stranger, 3, 5), 3, "another revision");
        one.add_pass();
        assert_eq!(begin(&one, 3, 1), 1, "one passed, one is under way");
        assert_eq!((one.left(3), other.left(3)), (2, 2));
        drop(one);
        assert_eq!(begin(&other, 3, 5), 2, "the share of a run that ended");
        other.learn(3);
        assert_eq!(begin(&other, 3, 5), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_hears_when_a_share_is_free_again() {
        let all = Allowances::default();
        let one = all.share("node", None, RunId(1));
        let other = all.share("node", None, RunId(2));
        let mut freed = other.freed();
        begin(&one, 1, 1);
        assert!(!freed.has_changed().unwrap());
        drop(one);
        freed.changed().await.unwrap();
        assert_eq!(begin(&other, 1, 1), 1);
    }
}
