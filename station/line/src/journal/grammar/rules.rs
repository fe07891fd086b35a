//! The rules of the grammar, as far as they look at what is open.

use std::sync::Arc;

use super::Grammar;
use super::open::{OpenAttempt, OpenRun};
use crate::event::{AttemptId, Event, EventKind, Mac};
use crate::outcome::{Failure, Outcome, StepOutcome};

/// The rule that is broken, if one is.
pub(super) type Rule = Result<(), &'static str>;

/// Returns the rule unless it holds.
pub(super) fn require(holds: bool, rule: &'static str) -> Rule {
    if holds { Ok(()) } else { Err(rule) }
}

impl Grammar {
    /// Judges what the event says, its number aside.
    pub(super) fn check_kind(&self, event: &Event) -> Rule {
        match &event.kind {
            EventKind::RunStarted { .. } | EventKind::RunFinished { .. } => self.check_run(event),
            EventKind::BayChanged { bay, .. } => {
                let run = self.run_of(event)?;
                require(run.bays.contains(bay), "a bay takes part in its run")
            }
            EventKind::CancelRequested { .. } => self.run_of(event).map(drop),
            EventKind::AttemptStarted { .. } | EventKind::AttemptFinished { .. } => {
                self.check_attempt(event)
            }
            EventKind::StepStarted { .. }
            | EventKind::StepFinished { .. }
            | EventKind::StepRetrying { .. } => self.check_step(event),
            EventKind::Measured { .. } | EventKind::AttachmentStored { .. } => {
                self.check_finding(event)
            }
            EventKind::UnitIdentified { .. }
            | EventKind::SerialReserved { .. }
            | EventKind::SerialBound { .. }
            | EventKind::SerialCommitted { .. } => self.check_unit(event),
            EventKind::SerialVoided { .. }
            | EventKind::OperationInvoked { .. }
            | EventKind::Refused { .. }
            | EventKind::ApprovalUsed { .. } => match event.run {
                Some(_) => self.run_of(event).map(drop),
                None => Ok(()),
            },
            EventKind::BurnIntended { .. }
            | EventKind::BurnFinished { .. }
            | EventKind::BurnReconciled { .. }
            | EventKind::KeySealed { .. }
            | EventKind::KeyForgotten { .. }
            | EventKind::UnitQuarantined { .. } => self.check_irreversible(event),
            EventKind::Approved { .. }
            | EventKind::RecipeReleased { .. }
            | EventKind::RecipeWithdrawn { .. }
            | EventKind::UnitReleased { .. } => require(
                event.run.is_none(),
                "what a person decides belongs to no run",
            ),
            EventKind::Recovered { .. } | EventKind::BurnsLeftOpen { .. } => {
                require(event.run.is_none(), "recovery belongs to no run")?;
                require(self.is_at_rest(), "recovery leaves nothing open")
            }
            EventKind::Unknown(_) => Ok(()),
        }
    }

    fn run_of(&self, event: &Event) -> Result<&OpenRun, &'static str> {
        let run = event.run.ok_or("an event of a run names it")?;
        self.runs
            .get(&run)
            .map(Arc::as_ref)
            .ok_or("a run is open from its start to its end")
    }

    fn attempt_of(&self, event: &Event, id: AttemptId) -> Result<&OpenAttempt, &'static str> {
        let attempt = self.attempts.get(&id).map(Arc::as_ref);
        let attempt = attempt.ok_or("an attempt is open from its start to its end")?;
        require(
            event.run == Some(attempt.run),
            "an attempt belongs to one run",
        )?;
        Ok(attempt)
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller has sorted the kinds"
    )]
    fn check_run(&self, event: &Event) -> Rule {
        let id = event.run.ok_or("an event of a run names it")?;
        match &event.kind {
            EventKind::RunStarted { bays, .. } => {
                require(self.run_ids.is_fresh(id.0), "a run's number is used once")?;
                let mut sorted: Vec<_> = bays.iter().collect();
                sorted.sort();
                sorted.dedup();
                require(!bays.is_empty(), "a run has at least one bay")?;
                require(sorted.len() == bays.len(), "a run names each bay once")
            }
            EventKind::RunFinished { tally, .. } => {
                let run = self.run_of(event)?;
                require(run.open_attempts == 0, "a run ends after its attempts")?;
                require(run.tally == *tally, "a run's tally counts its attempts")
            }
            _ => Ok(()),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller has sorted the kinds"
    )]
    fn check_attempt(&self, event: &Event) -> Rule {
        match &event.kind {
            EventKind::AttemptStarted { attempt, bay } => {
                let run = self.run_of(event)?;
                require(
                    self.attempt_ids.is_fresh(attempt.0),
                    "an attempt's number is used once",
                )?;
                require(run.bays.contains(bay), "an attempt is in a bay of its run")?;
                let overlaps = self
                    .attempts
                    .values()
                    .any(|open| Some(open.run) == event.run && open.bay == *bay);
                require(!overlaps, "attempts of one bay do not overlap")
            }
            EventKind::AttemptFinished {
                attempt,
                bay,
                mac,
                serial,
                outcome,
                failure,
                failed_step,
                ..
            } => {
                let open = self.attempt_of(event, *attempt)?;
                require(open.step.is_none(), "an attempt ends after its steps")?;
                require(open.bay == *bay, "an attempt ends in its bay")?;
                require(
                    open.mac == *mac,
                    "an attempt ends with the unit it identified",
                )?;
                let known = serial
                    .as_ref()
                    .is_none_or(|serial| open.serials.contains(serial));
                require(known, "an attempt ends with a serial that was bound in it")?;
                require(
                    serial.is_some() || open.serials.is_empty(),
                    "an attempt that bound a serial ends with it",
                )?;
                check_verdict(open, *outcome, failure.as_ref())?;
                let named = failed_step
                    .as_ref()
                    .is_none_or(|_| *outcome != Outcome::Pass);
                require(named, "a passing attempt has no failed step")
            }
            _ => Ok(()),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller has sorted the kinds"
    )]
    fn check_step(&self, event: &Event) -> Rule {
        match &event.kind {
            EventKind::StepStarted {
                attempt,
                step,
                try_number,
            } => {
                let open = self.attempt_of(event, *attempt)?;
                require(open.step.is_none(), "steps of one attempt do not overlap")?;
                let earlier = open.last_try(step).map_or(0, |last| last.try_number);
                require(
                    *try_number == earlier + 1,
                    "tries of a step are numbered from 1",
                )?;
                let expected = open.retry_from.as_ref().is_none_or(|from| from == step);
                require(expected, "a retry begins with the step it named")
            }
            EventKind::StepFinished {
                attempt,
                step,
                try_number,
                outcome,
                failure,
                ..
            } => {
                let open = self.attempt_of(event, *attempt)?;
                require(
                    open.is_in(step, *try_number),
                    "a step ends once, after it started",
                )?;
                let good = matches!(outcome, StepOutcome::Pass | StepOutcome::Skipped);
                require(
                    good == failure.is_none(),
                    "a step has a failure unless it passed",
                )?;
                let failed = open.step.as_ref().is_some_and(|open| open.measured_failure);
                require(
                    !(good && failed),
                    "a try with a failed measurement does not pass",
                )
            }
            EventKind::StepRetrying {
                attempt,
                step,
                from,
                ..
            } => {
                let open = self.attempt_of(event, *attempt)?;
                require(open.step.is_none(), "a retry follows the end of a step")?;
                let last = open.tries.last().filter(|last| last.step == *step);
                let last = last.ok_or("a retry names the step that ended last")?;
                require(!last.is_good(), "a step that passed is not retried")?;
                require(
                    open.last_try(from).is_some(),
                    "a retry goes back to a step that ran",
                )
            }
            _ => Ok(()),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller has sorted the kinds"
    )]
    fn check_unit(&self, event: &Event) -> Rule {
        match &event.kind {
            EventKind::UnitIdentified { attempt, mac, .. } => {
                let open = self.attempt_of(event, *attempt)?;
                require(
                    mac.is_valid(),
                    "a unit's MAC is an address in lower-case colon form",
                )?;
                let same = open.mac.as_ref().is_none_or(|known| known == mac);
                require(same, "an attempt is about one unit")
            }
            EventKind::SerialReserved {
                attempt, serial, ..
            } => {
                self.attempt_of(event, *attempt)?;
                require(!serial.as_str().is_empty(), "a serial is not empty")
            }
            EventKind::SerialBound { attempt, mac, .. }
            | EventKind::SerialCommitted { attempt, mac, .. } => {
                let open = self.attempt_of(event, *attempt)?;
                require(
                    open.mac.as_ref() == Some(mac),
                    "a serial goes to the identified unit",
                )
            }
            _ => Ok(()),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller has sorted the kinds"
    )]
    fn check_finding(&self, event: &Event) -> Rule {
        match &event.kind {
            EventKind::Measured {
                attempt,
                step,
                try_number,
                ..
            } => {
                let open = self.attempt_of(event, *attempt)?;
                require(
                    open.is_in(step, *try_number),
                    "a measurement is taken in an open step",
                )
            }
            EventKind::AttachmentStored { attempt, step, .. } => {
                let open = self.attempt_of(event, *attempt)?;
                let inside = open.step.as_ref().is_some_and(|open| open.step == *step);
                require(inside, "an attachment is stored in an open step")
            }
            _ => Ok(()),
        }
    }
}

/// What concerns one unit and cannot be undone, in an attempt or outside every run.
impl Grammar {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller has sorted the kinds"
    )]
    fn check_irreversible(&self, event: &Event) -> Rule {
        let (attempt, mac) = match &event.kind {
            EventKind::BurnIntended { attempt, mac, .. }
            | EventKind::BurnFinished { attempt, mac, .. }
            | EventKind::BurnReconciled { attempt, mac, .. }
            | EventKind::UnitQuarantined { attempt, mac, .. } => (attempt, Some(mac)),
            EventKind::KeySealed { attempt, mac, .. }
            | EventKind::KeyForgotten { attempt, mac, .. } => (attempt, mac.as_ref()),
            _ => return Ok(()),
        };
        require(
            mac.is_none_or(Mac::is_valid),
            "a unit's MAC is an address in lower-case colon form",
        )?;
        let Some(attempt) = attempt else {
            return require(event.run.is_none(), "an event of a run names its attempt");
        };
        let open = self.attempt_of(event, *attempt)?;
        require(
            mac.is_none() || open.mac.as_ref() == mac,
            "what is burned and sealed in an attempt is its unit's",
        )
    }
}

fn check_verdict(open: &OpenAttempt, outcome: Outcome, failure: Option<&Failure>) -> Rule {
    if outcome != Outcome::Pass {
        return require(
            failure.is_some(),
            "an attempt has a failure unless it passed",
        );
    }
    require(failure.is_none(), "a passing attempt has no failure")?;
    require(open.mac.is_some(), "a passing attempt knows its unit")?;
    require(
        open.every_step_is_good(),
        "a passing attempt's steps passed or were skipped",
    )
}
