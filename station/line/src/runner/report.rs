//! What a run came to, for whoever started it.

use std::time::Duration;

use crate::event::{AttemptId, BayName, Mac, RunId, Serial, StepName, Tally};
use crate::journal::JournalError;
use crate::outcome::{Failure, Measurement, Outcome};

/// One attempt, as it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptReport {
    /// Its number.
    pub attempt: AttemptId,
    /// Where.
    pub bay: BayName,
    /// Whose, once known.
    pub mac: Option<Mac>,
    /// With which serial number, once bound.
    pub serial: Option<Serial>,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether that is in the journal. Never a pass otherwise.
    pub recorded: bool,
    /// The failure that decided it.
    pub failure: Option<Failure>,
    /// The step that decided it.
    pub failed_step: Option<StepName>,
    /// Every measurement, in order, of every try.
    pub measures: Vec<(StepName, Measurement)>,
    /// How long it took.
    pub took: Duration,
}

/// What a whole run says, worst first. The faces turn it into an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunVerdict {
    /// The journal was lost or an attempt ended in error.
    StationError,
    /// Somebody stopped running attempts, or cancelled before anything was done.
    Cancelled,
    /// A unit failed or was turned away.
    SomeFailed,
    /// Everything that was begun passed.
    AllPassed,
}

/// A whole run, as it ended.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// Its number.
    pub run: RunId,
    /// Its attempts by outcome.
    pub tally: Tally,
    /// Every attempt, in the order they ended.
    pub attempts: Vec<AttemptReport>,
    /// Why it ended early, if it did.
    pub reason: Option<String>,
    /// Whether somebody asked for its end.
    pub cancelled: bool,
    /// Why the journal recorded no more, if that ended the run. Then the run has no last event.
    pub journal_lost: Option<JournalError>,
    /// How long it took.
    pub took: Duration,
}

impl RunReport {
    /// Returns what the run says as a whole.
    pub fn verdict(&self) -> RunVerdict {
        let stopped = self.cancelled
            && self
                .attempts
                .iter()
                .any(|attempt| attempt.outcome == Outcome::Aborted);
        if self.journal_lost.is_some() || self.tally.error > 0 {
            RunVerdict::StationError
        } else if stopped || (self.cancelled && self.attempts.is_empty()) {
            RunVerdict::Cancelled
        } else if self.tally.fail > 0 || self.tally.aborted > 0 {
            RunVerdict::SomeFailed
        } else {
            RunVerdict::AllPassed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: &[Outcome], cancelled: bool, lost: bool) -> RunReport {
        let mut tally = Tally::default();
        let attempts = outcomes
            .iter()
            .map(|outcome| {
                tally.add(*outcome);
                AttemptReport {
                    attempt: AttemptId(1),
                    bay: BayName::new("1"),
                    mac: None,
                    serial: None,
                    outcome: *outcome,
                    recorded: true,
                    failure: None,
                    failed_step: None,
                    measures: Vec::new(),
                    took: Duration::ZERO,
                }
            })
            .collect();
        RunReport {
            run: RunId(1),
            tally,
            attempts,
            reason: None,
            cancelled,
            journal_lost: lost.then_some(JournalError::Closed),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn the_worst_that_happened_is_what_a_run_says() {
        use Outcome::{Aborted, Error, Fail, Pass};
        let table = [
            (report(&[Pass, Pass], false, false), RunVerdict::AllPassed),
            (report(&[Pass, Fail], false, false), RunVerdict::SomeFailed),
            (
                report(&[Pass, Aborted], false, false),
                RunVerdict::SomeFailed,
            ),
            (report(&[Pass, Aborted], true, false), RunVerdict::Cancelled),
            (report(&[Pass], true, false), RunVerdict::AllPassed),
            (report(&[], true, false), RunVerdict::Cancelled),
            (
                report(&[Fail, Error], false, false),
                RunVerdict::StationError,
            ),
            (report(&[Pass], false, true), RunVerdict::StationError),
        ];
        for (report, verdict) in table {
            assert_eq!(report.verdict(), verdict, "{report:?}");
        }
    }
}
