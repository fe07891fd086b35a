//! Which step comes next, as a pure cursor: retry by class, groups, and steps that always run.
//!
//! Invariants, checked by property tests: a class that a step does not list is never tried again,
//! and a cancelled step never is; one step causes at most `retry.times` repeats, so that every plan
//! ends; the first failure that is not retried decides, whatever happens after it; after it only
//! `always` steps run, each in plan order, and a group is no longer repeated.
//!
//! Deliberately absent: `when`. Whoever runs the step evaluates it and reports
//! [`StepEnd::Skipped`].

use std::time::Duration;

use station_device::FailureClass;

use crate::plan::{PlanStep, Retry};

/// What the cursor needs to know of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRule {
    /// When to try again.
    pub retry: Retry,
    /// Whether it runs even after a failure.
    pub always: bool,
    /// Index of the first step of its group; its own index when it has none.
    pub group_first: usize,
}

/// How one try of a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    /// It did what it should.
    Passed,
    /// Its `when` was not met.
    Skipped,
    /// It failed with this class.
    Failed(FailureClass),
}

/// What follows the end of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on with whatever [`Cursor::current`] says.
    Continue,
    /// The failure stands and is the one that decides the attempt.
    Decided,
    /// Wait `pause`, then go on from step `from`.
    Retry {
        /// First step that is repeated.
        from: usize,
        /// How long to wait first.
        pause: Duration,
    },
}

/// A place in a plan's steps, with the tries used so far.
#[derive(Clone, Debug)]
pub struct Cursor {
    rules: Vec<StepRule>,
    position: usize,
    started: Vec<u32>,
    repeats: Vec<u32>,
    decided: bool,
}

/// Returns the rules of a plan's steps. Consecutive steps that name the same group form one.
pub fn rules_of(steps: &[PlanStep]) -> Vec<StepRule> {
    let mut rules: Vec<StepRule> = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let continues = step.group.is_some() && index > 0 && steps[index - 1].group == step.group;
        let group_first = if continues {
            rules[index - 1].group_first
        } else {
            index
        };
        rules.push(StepRule {
            retry: step.retry.clone(),
            always: step.always,
            group_first,
        });
    }
    rules
}

impl Cursor {
    /// Stands before the first step.
    pub fn new(rules: Vec<StepRule>) -> Self {
        let count = rules.len();
        Self {
            rules,
            position: 0,
            started: vec![0; count],
            repeats: vec![0; count],
            decided: false,
        }
    }

    /// Returns the step to run now and the number of this try (from 1), or `None` at the end.
    pub fn current(&self) -> Option<(usize, u32)> {
        let tries = self.started.get(self.position)?;
        Some((self.position, tries + 1))
    }

    /// Whether a failure has already decided the attempt.
    pub fn is_decided(&self) -> bool {
        self.decided
    }

    /// Takes note of how the current step's try ended and moves on.
    pub fn ended(&mut self, end: StepEnd) -> Decision {
        let Some((index, try_number)) = self.current() else {
            return Decision::Continue;
        };
        self.started[index] = try_number;
        match end {
            StepEnd::Passed | StepEnd::Skipped => {
                self.advance();
                Decision::Continue
            }
            StepEnd::Failed(class) => self.failed(index, class),
        }
    }

    fn failed(&mut self, index: usize, class: FailureClass) -> Decision {
        let rule = &self.rules[index];
        let listed = class != FailureClass::Cancelled && rule.retry.on.contains(&class);
        if listed && self.repeats[index] < rule.retry.times {
            self.repeats[index] += 1;
            // After a decided failure the steps before this one are not to run any more.
            let from = if self.decided {
                index
            } else {
                rule.group_first
            };
            let pause = rule.retry.pause;
            self.position = from;
            return Decision::Retry { from, pause };
        }
        let first = !self.decided;
        self.decided = true;
        self.advance();
        if first {
            Decision::Decided
        } else {
            Decision::Continue
        }
    }

    fn advance(&mut self) {
        self.position += 1;
        while self.decided
            && self
                .rules
                .get(self.position)
                .is_some_and(|rule| !rule.always)
        {
            self.position += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const CLASSES: [FailureClass; 10] = [
        FailureClass::Contact,
        FailureClass::Link,
        FailureClass::Flash,
        FailureClass::Verify,
        FailureClass::Boot,
        FailureClass::Limit,
        FailureClass::Timeout,
        FailureClass::Efuse,
        FailureClass::Cancelled,
        FailureClass::Station,
    ];

    fn rule(times: u32, on: &[FailureClass], always: bool, group_first: usize) -> StepRule {
        StepRule {
            retry: Retry {
                times,
                on: on.iter().copied().collect(),
                pause: Duration::from_millis(5),
            },
            always,
            group_first,
        }
    }

    #[test]
    fn steps_that_pass_run_once_in_order() {
        let mut cursor = Cursor::new(vec![rule(2, &CLASSES, false, 0), rule(0, &[], false, 1)]);
        assert_eq!(cursor.current(), Some((0, 1)));
        assert_eq!(cursor.ended(StepEnd::Passed), Decision::Continue);
        assert_eq!(cursor.current(), Some((1, 1)));
        assert_eq!(cursor.ended(StepEnd::Skipped), Decision::Continue);
        assert_eq!(cursor.current(), None);
        assert!(!cursor.is_decided());
    }

    #[test]
    fn a_limit_failure_is_never_retried_unless_the_recipe_lists_it() {
        let unlisted = [FailureClass::Link, FailureClass::Verify];
        let mut cursor = Cursor::new(vec![rule(3, &unlisted, false, 0)]);
        let limit = StepEnd::Failed(FailureClass::Limit);
        assert_eq!(cursor.ended(limit), Decision::Decided);
        assert_eq!(cursor.current(), None);
        let mut cursor = Cursor::new(vec![rule(1, &[FailureClass::Limit], false, 0)]);
        assert!(matches!(
            cursor.ended(limit),
            Decision::Retry { from: 0, .. }
        ));
        assert_eq!(cursor.current(), Some((0, 2)));
        assert_eq!(cursor.ended(limit), Decision::Decided);
    }

    #[test]
    fn a_group_is_repeated_from_its_first_step_with_rising_try_numbers() {
        let link = [FailureClass::Link];
        let mut cursor = Cursor::new(vec![
            rule(0, &[], false, 0),
            rule(0, &[], false, 1),
            rule(1, &link, false, 1),
        ]);
        cursor.ended(StepEnd::Passed);
        cursor.ended(StepEnd::Passed);
        let failed = StepEnd::Failed(FailureClass::Link);
        assert!(matches!(
            cursor.ended(failed),
            Decision::Retry { from: 1, .. }
        ));
        assert_eq!(cursor.current(), Some((1, 2)));
        cursor.ended(StepEnd::Passed);
        assert_eq!(cursor.current(), Some((2, 2)));
        assert_eq!(cursor.ended(failed), Decision::Decided);
    }

    #[test]
    fn after_a_failure_only_always_steps_run() {
        let mut cursor = Cursor::new(vec![
            rule(0, &[], false, 0),
            rule(0, &[], false, 1),
            rule(0, &[], true, 2),
        ]);
        let decided = cursor.ended(StepEnd::Failed(FailureClass::Flash));
        assert_eq!(decided, Decision::Decided);
        assert_eq!(cursor.current(), Some((2, 1)));
        let later = cursor.ended(StepEnd::Failed(FailureClass::Link));
        assert_eq!(
            later,
            Decision::Continue,
            "the first failure stays the deciding one"
        );
    }

    fn any_rules() -> impl Strategy<Value = Vec<StepRule>> {
        let one = (
            0u32..4,
            proptest::collection::vec(0usize..CLASSES.len(), 0..6),
            any::<bool>(),
            any::<bool>(),
        );
        proptest::collection::vec(one, 1..8).prop_map(|drawn| {
            let mut rules: Vec<StepRule> = Vec::new();
            for (index, (times, on, always, joined)) in drawn.into_iter().enumerate() {
                let first = match rules.last() {
                    Some(last) if joined => last.group_first,
                    Some(_) | None => index,
                };
                let classes: Vec<_> = on.into_iter().map(|at| CLASSES[at]).collect();
                rules.push(rule(times, &classes, always, first));
            }
            rules
        })
    }

    proptest! {
        /// Any plan with any luck ends, within the tries its rules allow, and never repeats a class
        /// that was not listed.
        #[test]
        fn every_plan_ends_within_its_tries(
            rules in any_rules(),
            luck in proptest::collection::vec(0usize..14, 1..400),
        ) {
            let budget: u32 = rules.iter().map(|rule| rule.retry.times).sum();
            let allowed = rules.len() * (1 + budget as usize);
            let mut cursor = Cursor::new(rules.clone());
            let mut caused = vec![0u32; rules.len()];
            let mut decided_at: Option<usize> = None;
            let mut turns = 0;
            while let Some((index, try_number)) = cursor.current() {
                turns += 1;
                prop_assert!(turns <= allowed, "more tries than the rules allow");
                if let Some(at) = decided_at {
                    prop_assert!(rules[index].always, "step {} after a failure", index);
                    prop_assert!(index > at, "went back behind the failure");
                }
                let draw = luck[turns % luck.len()];
                let class = CLASSES.get(draw).copied();
                let end = class.map_or(StepEnd::Passed, StepEnd::Failed);
                let decision = cursor.ended(end);
                match (decision, end) {
                    (Decision::Retry { from, .. }, StepEnd::Failed(class)) => {
                        prop_assert!(rules[index].retry.on.contains(&class));
                        prop_assert!(class != FailureClass::Cancelled);
                        caused[index] += 1;
                        prop_assert!(caused[index] <= rules[index].retry.times);
                        let first = rules[index].group_first;
                        let want = if decided_at.is_some() { index } else { first };
                        prop_assert_eq!(from, want);
                        let again = cursor.current().expect("a retry has a step");
                        prop_assert_eq!(again.0, from);
                        prop_assert!(from != index || again.1 == try_number + 1);
                    }
                    (Decision::Decided, StepEnd::Failed(_)) => {
                        prop_assert!(decided_at.is_none());
                        decided_at = Some(index);
                    }
                    (Decision::Continue, StepEnd::Failed(_)) => prop_assert!(decided_at.is_some()),
                    (Decision::Continue, _) => {}
                    (odd, _) => prop_assert!(false, "{:?} after {:?}", odd, end),
                }
            }
            prop_assert_eq!(cursor.is_decided(), decided_at.is_some());
        }

        /// A step is tried exactly once more for each repeat that reaches it.
        #[test]
        fn without_failures_every_step_runs_exactly_once(rules in any_rules()) {
            let mut cursor = Cursor::new(rules.clone());
            let mut ran = BTreeSet::new();
            while let Some((index, try_number)) = cursor.current() {
                prop_assert_eq!(try_number, 1);
                prop_assert!(ran.insert(index));
                cursor.ended(StepEnd::Passed);
            }
            prop_assert_eq!(ran.len(), rules.len());
        }
    }
}
