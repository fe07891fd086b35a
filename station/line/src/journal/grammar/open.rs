//! What the checker remembers of a run, an attempt and a step that have not ended.

use crate::event::{BayName, Mac, RunId, Serial, StepName, Tally};
use crate::outcome::StepOutcome;

/// A run between its start and its end.
#[derive(Clone, Debug)]
pub(super) struct OpenRun {
    pub(super) bays: Vec<BayName>,
    pub(super) open_attempts: u64,
    pub(super) tally: Tally,
}

impl OpenRun {
    pub(super) fn new(bays: &[BayName]) -> Self {
        Self {
            bays: bays.to_vec(),
            open_attempts: 0,
            tally: Tally::default(),
        }
    }
}

/// A step between its start and its end.
#[derive(Clone, Debug)]
pub(super) struct OpenStep {
    pub(super) step: StepName,
    pub(super) try_number: u32,
    pub(super) measured_failure: bool,
}

impl OpenStep {
    pub(super) fn new(step: &StepName, try_number: u32) -> Self {
        Self {
            step: step.clone(),
            try_number,
            measured_failure: false,
        }
    }
}

/// The latest try of a step that ended.
#[derive(Clone, Debug)]
pub(super) struct EndedTry {
    pub(super) step: StepName,
    pub(super) try_number: u32,
    pub(super) outcome: StepOutcome,
}

impl EndedTry {
    pub(super) fn is_good(&self) -> bool {
        matches!(self.outcome, StepOutcome::Pass | StepOutcome::Skipped)
    }
}

/// An attempt between its start and its end.
#[derive(Clone, Debug)]
pub(super) struct OpenAttempt {
    pub(super) run: RunId,
    pub(super) bay: BayName,
    pub(super) mac: Option<Mac>,
    pub(super) serials: Vec<Serial>,
    pub(super) step: Option<OpenStep>,
    /// The latest try of each step, the one that ended last at the end.
    pub(super) tries: Vec<EndedTry>,
    pub(super) retry_from: Option<StepName>,
}

impl OpenAttempt {
    pub(super) fn new(run: RunId, bay: &BayName) -> Self {
        Self {
            run,
            bay: bay.clone(),
            mac: None,
            serials: Vec::new(),
            step: None,
            tries: Vec::new(),
            retry_from: None,
        }
    }

    pub(super) fn last_try(&self, step: &StepName) -> Option<&EndedTry> {
        self.tries.iter().find(|ended| ended.step == *step)
    }

    pub(super) fn is_in(&self, step: &StepName, try_number: u32) -> bool {
        self.step
            .as_ref()
            .is_some_and(|open| open.step == *step && open.try_number == try_number)
    }

    pub(super) fn every_step_is_good(&self) -> bool {
        self.tries.iter().all(EndedTry::is_good)
    }

    pub(super) fn finish_step(&mut self, outcome: StepOutcome) {
        if let Some(OpenStep {
            step, try_number, ..
        }) = self.step.take()
        {
            self.tries.retain(|ended| ended.step != step);
            self.tries.push(EndedTry {
                step,
                try_number,
                outcome,
            });
        }
    }
}
