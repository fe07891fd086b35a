//! One attempt: a plan's steps on the one unit in a bay, from contact to outcome.
//!
//! Invariants: the port is open only while an attempt runs; every step that started ends in the
//! record; after somebody stopped the run or the journal was lost nothing more is done, not even
//! `always` steps; an attempt is about one chip, and a chip that says another MAC ends it; an
//! attempt passes only if every step passed or was skipped and the unit is known.
//!
//! The connection belongs to no step of its own: the first step that needs the chip makes it, and a
//! chip that cannot be reached is that step's failure, to be retried by that step's rule.

use std::collections::BTreeSet;
use std::time::Duration;

use station_device::{Presence, ProgressSink as _};
use tokio::time::Instant;

use super::action;
use super::chip::ChipLink;
use super::context::{BayContext, RunContext};
use super::cursor::{Cursor, Decision, StepEnd};
use super::deadline::Deadline;
use super::ledger::step_outcome;
use super::message::{AttemptEnd, Message};
use super::progress::StepPen;
use super::resources::{Hold, Split};
use super::unit::KnownUnit;
use crate::event::{AttemptId, EventKind, StepName, micros};
use crate::outcome::{Failure, FailureClass, Measurement, Outcome, StepOutcome, blame};
use crate::plan::{Condition, PlanStep};
use crate::template::Values;

/// Most bytes of console output that are kept of one step.
const MAX_CONSOLE: usize = 256 * 1024;

/// How a step that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It did what it should.
    Passed,
    /// It was not to be done on this unit.
    Skipped,
}

/// An attempt under way.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub(super) run: &'a RunContext,
    pub(super) bay: &'a BayContext,
    pub(super) id: AttemptId,
    pub(super) chip: ChipLink,
    pub(super) unit: Option<KnownUnit>,
    pub(super) values: Values,
    /// Whether pulses of earlier attempts, or of this one, have an end that nobody knows.
    pub(super) unsettled: bool,
    /// Whether this attempt has closed the chip's loader for good.
    pub(super) closed: bool,
    /// The board that was there when the chip last said who it is, where anybody can tell.
    board: Presence,
}

/// The clocks a step runs against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks<'a> {
    pub(super) attempt: &'a Deadline,
    pub(super) step: &'a Deadline,
}

/// What may end a step besides its own work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends<'a> {
    run: &'a RunContext,
    clocks: Clocks<'a>,
    /// Whether a failure has decided the attempt already.
    decided: bool,
    timeout: Duration,
}

impl Ends<'_> {
    /// Returns when the step must end, with what to call it.
    pub(super) async fn over(&self) -> Failure {
        tokio::select! {
            biased;
            () = self.run.stop.cancelled() => Failure::stopped(),
            () = self.run.lost.cancelled() => Failure::journal_lost(),
            // What runs after a failure puts things back in order; it has its own time.
            () = self.clocks.attempt.over(), if !self.decided => Failure::new(
                FailureClass::Timeout,
                "attempt-timeout",
                "the attempt took longer than the recipe allows",
            ),
            () = self.clocks.step.over() => Failure::new(
                FailureClass::Timeout,
                "step-timeout",
                format!("the step took longer than {:?}", self.timeout),
            ),
        }
    }

    /// Lets work that may be broken off run until the step must end.
    pub(super) async fn during<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            result = work => result,
            failure = self.over() => Err(failure),
        }
    }
}

/// The step being tried, for whoever records something about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'a> {
    pub(super) step: &'a PlanStep,
    pub(super) try_number: u32,
    pub(super) split: &'a Split,
    pub(super) clocks: Clocks<'a>,
    pub(super) ends: Ends<'a>,
}

impl<'a> Attempt<'a> {
    /// Begins on whatever is in the bay.
    pub(super) fn new(run: &'a RunContext, bay: &'a BayContext, id: AttemptId) -> Self {
        let mut values = Values::default();
        values.set("bay", bay.name.as_str());
        values.set("run", run.run.to_string());
        for (name, value) in [("lot", &run.lot), ("operator", &run.operator)] {
            if let Some(value) = value {
                values.set(name, value.as_str());
            }
        }
        Self {
            run,
            bay,
            id,
            chip: ChipLink::Closed,
            unit: None,
            values,
            unsettled: false,
            closed: false,
            board: *bay.connector.presence().borrow(),
        }
    }

    /// Runs the plan's steps to the end of the attempt.
    pub(super) async fn run(mut self) -> AttemptEnd {
        let plan = &self.run.plan.contents();
        let deadline = Deadline::after(plan.run.attempt_timeout);
        let mut cursor = Cursor::new(self.run.rules.clone());
        let mut deciding: Option<(StepName, Failure)> = None;
        while let Some((index, try_number)) = cursor.current() {
            let step = &plan.steps[index];
            let decided = cursor.is_decided();
            let failure = match self.step(step, try_number, &deadline, decided).await {
                Ok(Done::Passed) => {
                    cursor.ended(StepEnd::Passed);
                    continue;
                }
                Ok(Done::Skipped) => {
                    cursor.ended(StepEnd::Skipped);
                    continue;
                }
                Err(failure) => failure,
            };
            self.chip.after_failure(failure.class).await;
            let over = failure.class == FailureClass::Cancelled || self.run.lost.is_cancelled();
            if over {
                deciding.get_or_insert((step.name.clone(), failure));
                break;
            }
            // An attempt whose time is up is not tried again, whatever its last failure was.
            let class = if deadline.is_over() {
                FailureClass::Cancelled
            } else {
                failure.class
            };
            match cursor.ended(StepEnd::Failed(class)) {
                Decision::Continue => {}
                Decision::Decided => deciding = Some((step.name.clone(), failure)),
                Decision::Retry { from, pause } => {
                    let from = plan.steps[from].name.clone();
                    self.pause_before_retry(step, from, pause).await;
                }
            }
        }
        self.chip.leave().await;
        self.end(deciding)
    }

    fn end(&self, deciding: Option<(StepName, Failure)>) -> AttemptEnd {
        let deciding = match deciding {
            None if self.unit.is_none() => Some((
                None,
                Failure::station("unit-unknown", "no step asked the chip who it is")
                    .hinted("begin the recipe with an `identify` step"),
            )),
            None => None,
            Some((step, failure)) => Some((Some(step), failure)),
        };
        let outcome = deciding
            .as_ref()
            .map_or(Outcome::Pass, |(_, failure)| blame(failure.class));
        let (failed_step, failure) = deciding.unzip();
        AttemptEnd {
            attempt: self.id,
            outcome,
            failure,
            failed_step: failed_step.flatten(),
        }
    }

    async fn pause_before_retry(&mut self, step: &PlanStep, from: StepName, pause: Duration) {
        self.bay
            .fact(EventKind::StepRetrying {
                attempt: self.id,
                step: step.name.clone(),
                from,
                after_us: micros(pause),
            })
            .await;
        tokio::select! {
            biased;
            () = self.run.stop.cancelled() => {}
            () = self.run.lost.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Tries one step and records how that ended.
    async fn step(
        &mut self,
        step: &PlanStep,
        try_number: u32,
        attempt: &Deadline,
        decided: bool,
    ) -> Result<Done, Failure> {
        if self.run.stop.is_cancelled() {
            return Err(Failure::stopped());
        }
        let split = Split::of(step);
        let clocks_before = Clocks {
            attempt,
            step: attempt,
        };
        // Queueing comes before the step: its time is the step's own.
        let hold = self.take(&split.step, step, clocks_before).await?;
        self.bay
            .fact(EventKind::StepStarted {
                attempt: self.id,
                step: step.name.clone(),
                try_number,
            })
            .await;
        let began = Instant::now();
        let step_deadline = Deadline::after(step.timeout);
        let clocks = Clocks {
            attempt,
            step: &step_deadline,
        };
        let turn = Turn {
            step,
            try_number,
            split: &split,
            clocks,
            ends: Ends {
                run: self.run,
                clocks,
                decided,
                timeout: step.timeout,
            },
        };
        let result = self.race(turn).await;
        let result = self.unless_board_left(turn, result);
        drop(hold);
        self.store_console(turn).await;
        self.bay.progress.send_replace(None);
        let (outcome, failure) = match &result {
            Ok(Done::Passed) => (StepOutcome::Pass, None),
            Ok(Done::Skipped) => (StepOutcome::Skipped, None),
            Err(failure) => (step_outcome(failure.class), Some(failure.clone())),
        };
        self.bay
            .fact(EventKind::StepFinished {
                attempt: self.id,
                step: step.name.clone(),
                try_number,
                outcome,
                took_us: micros(began.elapsed()),
                failure,
            })
            .await;
        result
    }

    /// The chip said that it is still the one of this attempt: so is the board it is on.
    pub(super) fn stays(&mut self) {
        self.board = *self.bay.connector.presence().borrow();
    }

    /// Whether the board is known to be the one that was asked who it is.
    pub(super) fn board_is_the_same(&self) -> bool {
        let now = *self.bay.connector.presence().borrow();
        matches!(now, Presence::Present(_)) && now == self.board
    }

    /// Silence says nothing about a unit that was pulled out, and an answer nothing about a unit
    /// that another one was put in the place of. What a chip did say stands.
    fn unless_board_left(
        &self,
        turn: Turn<'_>,
        result: Result<Done, Failure>,
    ) -> Result<Done, Failure> {
        let now = *self.bay.connector.presence().borrow();
        let Presence::Present(_) = self.board else {
            return result;
        };
        if now == self.board {
            return result;
        }
        let replaced = matches!(now, Presence::Present(_));
        let message = match &result {
            Err(failure) if failure.class == FailureClass::Boot => {
                format!("the board left its bay: {}", failure.message)
            }
            Ok(Done::Passed) if replaced && action::talks_to_application(&turn.step.action) => {
                "another board is in the bay than the one that was asked who it is".to_owned()
            }
            Ok(_) | Err(_) => return result,
        };
        Err(Failure::new(FailureClass::Contact, "board-left", message)
            .hinted("leave the board in its bay until the result is shown"))
    }

    /// Lets the step's action run against everything that may end it.
    async fn race(&mut self, turn: Turn<'_>) -> Result<Done, Failure> {
        // What cannot be undone hears itself that it should end, and does so between pulses.
        let droppable = !turn.step.action.is_irreversible();
        let ends = turn.ends;
        tokio::select! {
            biased;
            result = self.perform(turn) => result,
            failure = ends.over(), if droppable => Err(failure),
        }
    }

    async fn perform(&mut self, turn: Turn<'_>) -> Result<Done, Failure> {
        if let Some(condition) = &turn.step.when
            && !self.holds(condition)?
        {
            return Ok(Done::Skipped);
        }
        action::perform(self, turn).await
    }

    /// Whether a step is for this unit.
    pub(super) fn is_meant(&self, step: &PlanStep) -> Result<bool, Failure> {
        step.when
            .as_ref()
            .map_or(Ok(true), |condition| self.holds(condition))
    }

    fn holds(&self, condition: &Condition) -> Result<bool, Failure> {
        let text = condition.subject.render(&self.values)?;
        Ok((text == condition.text) == condition.equal)
    }

    /// Waits for shared resources; the clocks stand still meanwhile.
    pub(super) async fn take(
        &mut self,
        names: &BTreeSet<String>,
        step: &PlanStep,
        clocks: Clocks<'_>,
    ) -> Result<Hold, Failure> {
        if let Some(hold) = self.run.resources.try_acquire(names) {
            return Ok(hold);
        }
        let list: Vec<&str> = names.iter().map(String::as_str).collect();
        let phase = format!("waiting for {}", list.join(", "));
        self.pen(step).progress(&phase, 0, None);
        let _attempt_stands = clocks.attempt.pause();
        let _step_stands = clocks.step.pause();
        tokio::select! {
            biased;
            hold = self.run.resources.acquire(names) => Ok(hold),
            () = self.run.stop.cancelled() => Err(Failure::stopped()),
            () = self.run.lost.cancelled() => Err(Failure::journal_lost()),
        }
    }

    /// A pen for the step's progress.
    pub(super) fn pen(&self, step: &PlanStep) -> StepPen<'a> {
        StepPen {
            pen: &self.bay.progress,
            bay: self.bay.name.clone(),
            step: step.name.clone(),
        }
    }

    /// Records a measurement; its value can be used by later templates.
    pub(super) async fn measured(&mut self, turn: Turn<'_>, measurement: Measurement) {
        let name = format!("{}.{}", turn.step.name, measurement.name);
        self.values
            .set(name, action::value_text(&measurement.value));
        self.bay
            .fact(EventKind::Measured {
                attempt: self.id,
                step: turn.step.name.clone(),
                try_number: turn.try_number,
                measurement,
            })
            .await;
    }

    /// Stores bytes beside the events. Whoever calls has bounded them.
    pub(super) async fn attach(&mut self, turn: Turn<'_>, name: &str, bytes: Vec<u8>) {
        self.bay
            .tell(Message::Attachment {
                bay: self.bay.index,
                attempt: self.id,
                step: turn.step.name.clone(),
                name: name.to_owned(),
                bytes,
            })
            .await;
    }

    /// Keeps what the application said during a step that talked to it.
    async fn store_console(&mut self, turn: Turn<'_>) {
        if !action::talks_to_application(&turn.step.action) {
            return;
        }
        if let Some(text) = self.chip.transcript()
            && !text.is_empty()
        {
            let mut bytes = text.into_bytes();
            // The end is where things went wrong.
            bytes.drain(..bytes.len().saturating_sub(MAX_CONSOLE));
            self.attach(turn, "console", bytes).await;
        }
    }
}
