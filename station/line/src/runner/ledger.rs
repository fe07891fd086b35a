//! What the coordinator remembers of attempts that are open, so that it can always close them.
//!
//! It learns from the facts it records and from nothing else: what is open here is open in the
//! journal.

use std::time::Duration;

use tokio::time::Instant;

use super::message::AttemptEnd;
use super::report::AttemptReport;
use crate::event::{AttemptId, BayName, EventKind, Mac, Serial, StepName, micros};
use crate::outcome::{Failure, FailureClass, Measurement, Outcome, StepOutcome, blame};

/// A step that started and has not ended.
#[derive(Clone, Debug)]
struct OpenStep {
    name: StepName,
    try_number: u32,
    began: Instant,
}

/// An attempt that started and has not ended.
#[derive(Debug)]
pub(super) struct OpenAttempt {
    pub(super) id: AttemptId,
    pub(super) mac: Option<Mac>,
    pub(super) serial: Option<Serial>,
    /// Whether the unit had passed before this attempt.
    pub(super) passed_before: bool,
    began: Instant,
    step: Option<OpenStep>,
    measures: Vec<(StepName, Measurement)>,
}

impl OpenAttempt {
    pub(super) fn new(id: AttemptId) -> Self {
        Self {
            id,
            mac: None,
            serial: None,
            passed_before: false,
            began: Instant::now(),
            step: None,
            measures: Vec::new(),
        }
    }

    /// Learns from a fact that is about to be recorded.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only three kinds open or close something within an attempt"
    )]
    pub(super) fn learn(&mut self, kind: &EventKind) {
        match kind {
            EventKind::StepStarted {
                step, try_number, ..
            } => {
                self.step = Some(OpenStep {
                    name: step.clone(),
                    try_number: *try_number,
                    began: Instant::now(),
                });
            }
            EventKind::StepFinished { .. } => self.step = None,
            EventKind::Measured {
                step, measurement, ..
            } => {
                self.measures.push((step.clone(), measurement.clone()));
            }
            _ => {}
        }
    }

    /// The facts that close it, in order, and what is reported of it once they are recorded.
    pub(super) fn close(self, bay: BayName, end: AttemptEnd) -> (Vec<EventKind>, AttemptReport) {
        let mut end = end;
        if end.outcome != Outcome::Pass && end.failure.is_none() {
            end.failure = Some(Failure::internal("the attempt"));
        }
        let mut facts = Vec::with_capacity(2);
        if let Some(step) = &self.step {
            // A step that never ended has no part in a pass.
            let failure = end
                .failure
                .clone()
                .unwrap_or_else(|| Failure::internal("the step"));
            if end.outcome == Outcome::Pass {
                end.outcome = Outcome::Error;
                end.failure = Some(failure.clone());
            }
            end.failed_step.get_or_insert_with(|| step.name.clone());
            facts.push(EventKind::StepFinished {
                attempt: self.id,
                step: step.name.clone(),
                try_number: step.try_number,
                outcome: step_outcome(failure.class),
                took_us: micros(step.began.elapsed()),
                failure: Some(failure),
            });
        }
        let took: Duration = self.began.elapsed();
        facts.push(EventKind::AttemptFinished {
            attempt: self.id,
            bay: bay.clone(),
            mac: self.mac.clone(),
            serial: self.serial.clone(),
            outcome: end.outcome,
            took_us: micros(took),
            failure: end.failure.clone(),
            failed_step: end.failed_step.clone(),
        });
        let report = AttemptReport {
            attempt: self.id,
            bay,
            mac: self.mac,
            serial: self.serial,
            outcome: end.outcome,
            recorded: true,
            failure: end.failure,
            failed_step: end.failed_step,
            measures: self.measures,
            took,
        };
        (facts, report)
    }
}

/// Returns how a step ended that failed with this class.
pub(super) fn step_outcome(class: FailureClass) -> StepOutcome {
    match blame(class) {
        Outcome::Fail => StepOutcome::Fail,
        Outcome::Aborted => StepOutcome::Aborted,
        // Nothing is laid to `Pass`.
        Outcome::Error | Outcome::Pass => StepOutcome::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_open_step_is_closed_before_its_attempt_and_spoils_a_pass() {
        let mut open = OpenAttempt::new(AttemptId(7));
        open.learn(&EventKind::StepStarted {
            attempt: AttemptId(7),
            step: StepName::new("flash"),
            try_number: 2,
        });
        let end = AttemptEnd {
            attempt: AttemptId(7),
            outcome: Outcome::Pass,
            failure: None,
            failed_step: None,
        };
        let (facts, report) = open.close(BayName::new("1"), end);
        assert_eq!(report.outcome, Outcome::Error);
        assert_eq!(report.failed_step, Some(StepName::new("flash")));
        assert!(matches!(
            facts.as_slice(),
            [
                EventKind::StepFinished {
                    try_number: 2,
                    outcome: StepOutcome::Error,
                    ..
                },
                EventKind::AttemptFinished {
                    outcome: Outcome::Error,
                    failure: Some(_),
                    ..
                }
            ]
        ));
    }
}
