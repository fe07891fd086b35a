//! Shared resources of the jig: an RF box, a label printer, a power supply. One bay holds one at a
//! time.
//!
//! Fair (first come, first served), released by dropping the hold. Names are always taken in sorted
//! order, so that no two bays can wait for each other; [`Split`] moves what a later exchange would
//! take out of order up to its whole step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::plan::{Action, PlanStep};

/// Every resource a plan names, each free or held by one bay.
#[derive(Debug, Default)]
pub struct ResourcePool {
    places: BTreeMap<String, Arc<Semaphore>>,
}

/// Resources held until this is dropped.
#[derive(Debug, Default)]
pub struct Hold {
    permits: Vec<OwnedSemaphorePermit>,
}

impl ResourcePool {
    /// Makes a pool of these names, all free.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a String>) -> Self {
        let places = names
            .into_iter()
            .map(|name| (name.clone(), Arc::new(Semaphore::new(1))))
            .collect();
        Self { places }
    }

    /// Makes the pool for a plan's steps.
    pub fn for_steps(steps: &[PlanStep]) -> Self {
        let mut names: BTreeSet<String> = BTreeSet::new();
        for step in steps {
            names.extend(step.needs.iter().cloned());
            for needs in exchange_needs(step) {
                names.extend(needs.iter().cloned());
            }
        }
        Self::new(&names)
    }

    /// Takes all of `names` at once if that needs no waiting.
    pub fn try_acquire(&self, names: &BTreeSet<String>) -> Option<Hold> {
        let mut hold = Hold::default();
        for place in self.named(names) {
            hold.permits.push(place.try_acquire_owned().ok()?);
        }
        Some(hold)
    }

    /// Waits for all of `names`, in sorted order. Dropping the future gives back what it had.
    pub async fn acquire(&self, names: &BTreeSet<String>) -> Hold {
        let mut hold = Hold::default();
        for place in self.named(names) {
            // A pool's semaphores are never closed, so that this cannot fail.
            if let Ok(permit) = place.acquire_owned().await {
                hold.permits.push(permit);
            }
        }
        hold
    }

    fn named<'a>(
        &'a self,
        names: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = Arc<Semaphore>> + 'a {
        names
            .iter()
            .filter_map(|name| self.places.get(name).cloned())
    }
}

/// Which resources of a step are held throughout and which only during an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Taken before the step and held until it ends.
    pub step: BTreeSet<String>,
}

impl Split {
    /// Decides for one step. An exchange keeps its own resource unless its name sorts before one
    /// that the step already holds: taking it then would be out of order.
    pub fn of(step: &PlanStep) -> Self {
        let mut held = step.needs.clone();
        if let Some(last) = held.last().cloned() {
            for needs in exchange_needs(step) {
                held.extend(needs.iter().filter(|name| **name < last).cloned());
            }
        }
        Self { step: held }
    }

    /// Returns what an exchange with `needs` has still to take.
    pub fn still_needed(&self, needs: &BTreeSet<String>) -> BTreeSet<String> {
        needs.difference(&self.step).cloned().collect()
    }
}

fn exchange_needs(step: &PlanStep) -> Vec<&BTreeSet<String>> {
    match &step.action {
        Action::Test(test) => test.script.iter().map(|exchange| &exchange.needs).collect(),
        Action::Identify(_)
        | Action::Erase(_)
        | Action::Flash(_)
        | Action::Data(_)
        | Action::Serial(_)
        | Action::Nvs(_)
        | Action::Boot(_)
        | Action::Command(_)
        | Action::Check(_)
        | Action::Read(_)
        | Action::Efuse(_)
        | Action::Key(_)
        | Action::FlashEncryption(_)
        | Action::SecureBoot(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    fn names(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_resource_is_never_held_twice_and_nobody_starves() {
        let pool = Arc::new(ResourcePool::new(&names(&["printer", "rf-box"])));
        let inside = Arc::new(AtomicU32::new(0));
        let mut bays = tokio::task::JoinSet::new();
        for bay in 0..64u64 {
            let (pool, inside) = (pool.clone(), inside.clone());
            bays.spawn(async move {
                for round in 0..5 {
                    let both = names(&["rf-box", "printer"]);
                    let one = names(&["rf-box"]);
                    let wanted = if (bay + round) % 2 == 0 { both } else { one };
                    let hold = pool.acquire(&wanted).await;
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::time::sleep(Duration::from_millis(bay % 7)).await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(hold);
                }
            });
        }
        let all = tokio::time::timeout(Duration::from_secs(60), bays.join_all()).await;
        assert_eq!(all.expect("every bay gets its turn").len(), 64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_leaves_nothing_held() {
        let pool = ResourcePool::new(&names(&["a", "b"]));
        let b = pool.acquire(&names(&["b"])).await;
        let both = names(&["a", "b"]);
        let waiting = pool.acquire(&both);
        let given_up = tokio::time::timeout(Duration::from_millis(10), waiting).await;
        assert!(given_up.is_err());
        assert!(pool.try_acquire(&names(&["a"])).is_some());
        drop(b);
        assert!(pool.try_acquire(&names(&["a", "b"])).is_some());
    }
}
