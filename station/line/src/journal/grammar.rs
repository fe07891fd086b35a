//! The grammar of the event stream, as a checker.
//!
//! It reads one event after the other and remembers only what is open. The writer asks it before it
//! appends, so that no bug above the journal can record a unit that passed without having finished;
//! `verify` and the tests ask it again about whole journals. Beyond the shape given in
//! [`crate::event`] it demands: a passing attempt knows its unit and its last try of every step
//! passed or was skipped; a try with a failed measurement does not pass; a tally equals the recount.
//!
//! What looks back farther than to what is open (a pulse is not burned twice, an approval not used
//! twice, a key is never another one) is not here: the derived tables carry those rules.
//!
//! Events of unknown kinds are passed over: a newer station may have a reason for them.

mod numbers;
mod open;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use numbers::Numbers;
use open::{OpenAttempt, OpenRun, OpenStep};
use rules::require;
use thiserror::Error;

use super::stamp::Head;
use crate::event::{AttemptId, Event, EventKind, RunId, Seq};
use crate::outcome::Verdict;

/// An event that does not fit what came before it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("event {seq} breaks the grammar: {rule}")]
pub struct GrammarError {
    /// Number of the event.
    pub seq: Seq,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// What is open in a stream of events.
#[derive(Clone, Debug, Default)]
pub struct Grammar {
    last: u64,
    run_ids: Numbers,
    attempt_ids: Numbers,
    runs: BTreeMap<RunId, Arc<OpenRun>>,
    attempts: BTreeMap<AttemptId, Arc<OpenAttempt>>,
}

impl Grammar {
    /// Begins at the start of a journal.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on after `head`, where nothing is open and these are the largest numbers used.
    pub(super) fn resume(head: Head, last_run: u64, last_attempt: u64) -> Self {
        Self {
            last: head.seq.0,
            run_ids: Numbers::used_up_to(last_run),
            attempt_ids: Numbers::used_up_to(last_attempt),
            ..Self::default()
        }
    }

    /// Takes the next event of the stream.
    ///
    /// # Errors
    /// The rule it breaks; the checker is then as it was before.
    pub fn accept(&mut self, event: &Event) -> Result<(), GrammarError> {
        self.check(event)?;
        self.apply(event);
        Ok(())
    }

    /// Returns whether no run and no attempt is open.
    pub fn is_at_rest(&self) -> bool {
        self.runs.is_empty() && self.attempts.is_empty()
    }

    /// Judges the next event without taking it.
    pub(super) fn check(&self, event: &Event) -> Result<(), GrammarError> {
        let rule = require(
            event.seq.0 == self.last + 1,
            "events are numbered without gaps",
        )
        .and_then(|()| self.check_kind(event));
        rule.map_err(|rule| GrammarError {
            seq: event.seq,
            rule,
        })
    }

    /// Takes an event that was checked.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the rest happens in an attempt"
    )]
    pub(super) fn apply(&mut self, event: &Event) {
        self.last = event.seq.0;
        match &event.kind {
            EventKind::RunStarted { bays, .. } => {
                if let Some(id) = event.run {
                    self.run_ids.take(id.0);
                    self.runs.insert(id, Arc::new(OpenRun::new(bays)));
                }
            }
            EventKind::RunFinished { .. } => {
                if let Some(id) = event.run {
                    self.runs.remove(&id);
                }
            }
            EventKind::AttemptStarted { attempt, bay } => {
                if let Some(id) = event.run {
                    self.attempt_ids.take(attempt.0);
                    self.attempts
                        .insert(*attempt, Arc::new(OpenAttempt::new(id, bay)));
                    self.in_run(id, |run| run.open_attempts += 1);
                }
            }
            EventKind::AttemptFinished {
                attempt, outcome, ..
            } => {
                if let Some(open) = self.attempts.remove(attempt) {
                    self.in_run(open.run, |run| {
                        run.open_attempts -= 1;
                        run.tally.add(*outcome);
                    });
                }
            }
            other => self.apply_in_attempt(other),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other kinds change nothing"
    )]
    fn apply_in_attempt(&mut self, kind: &EventKind) {
        match kind {
            EventKind::UnitIdentified { attempt, mac, .. } => {
                self.in_attempt(*attempt, |open| open.mac = Some(mac.clone()));
            }
            EventKind::SerialBound {
                attempt, serial, ..
            } => {
                self.in_attempt(*attempt, |open| {
                    if !open.serials.contains(serial) {
                        open.serials.push(serial.clone());
                    }
                });
            }
            EventKind::StepStarted {
                attempt,
                step,
                try_number,
            } => {
                self.in_attempt(*attempt, |open| {
                    open.retry_from = None;
                    open.step = Some(OpenStep::new(step, *try_number));
                });
            }
            EventKind::Measured {
                attempt,
                measurement,
                ..
            } => {
                let failed = measurement.verdict == Verdict::Fail;
                self.in_attempt(*attempt, |open| {
                    if let Some(step) = &mut open.step {
                        step.measured_failure |= failed;
                    }
                });
            }
            EventKind::StepFinished {
                attempt, outcome, ..
            } => {
                self.in_attempt(*attempt, |open| open.finish_step(*outcome));
            }
            EventKind::StepRetrying { attempt, from, .. } => {
                self.in_attempt(*attempt, |open| open.retry_from = Some(from.clone()));
            }
            _ => {}
        }
    }

    fn in_run(&mut self, id: RunId, change: impl FnOnce(&mut OpenRun)) {
        if let Some(run) = self.runs.get_mut(&id) {
            change(Arc::make_mut(run));
        }
    }

    fn in_attempt(&mut self, id: AttemptId, change: impl FnOnce(&mut OpenAttempt)) {
        if let Some(attempt) = self.attempts.get_mut(&id) {
            change(Arc::make_mut(attempt));
        }
    }
}

#[cfg(test)]
mod tests;
