//! Failures the runner itself finds, and those of the rooms below in the words of the record.

use std::error::Error as _;

use station_device::DeviceError;

use crate::outcome::{Failure, FailureClass};
use crate::template::TemplateError;

/// Longest message of a failure, in bytes; what a chip or a program said is cut there.
const MAX_MESSAGE: usize = 1000;

/// Code of an attempt whose journal was lost.
pub const JOURNAL_LOST: &str = "journal-lost";

/// Code of a unit that passed before and is turned away.
pub const ALREADY_PASSED: &str = "already-passed";

/// Code of a unit that was put aside.
pub const QUARANTINED: &str = "unit-quarantined";

/// Code of a unit that the plan's list of values has no row for.
pub(super) const UNIT_NOT_LISTED: &str = "unit-not-listed";

impl Failure {
    /// Makes a failure without a hint.
    pub(super) fn new(class: FailureClass, code: &str, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if message.len() > MAX_MESSAGE {
            let end = (0..=MAX_MESSAGE)
                .rev()
                .find(|at| message.is_char_boundary(*at))
                .unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        Self {
            class,
            code: code.to_owned(),
            message,
            hint: None,
        }
    }

    /// A failure that says nothing about the unit.
    pub(super) fn station(code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Station, code, message)
    }

    /// Adds what to do about it.
    pub(super) fn hinted(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }

    /// Somebody stopped the attempt.
    pub(super) fn stopped() -> Self {
        Self::new(FailureClass::Cancelled, "stopped", "the run was stopped")
    }

    /// The journal records no more, so that nothing may be claimed.
    pub(super) fn journal_lost() -> Self {
        Self::station(JOURNAL_LOST, "the journal records no more")
            .hinted("check the disk of the journal, then start the run again")
    }

    /// Something of the station panicked or broke off.
    pub(super) fn internal(what: &str) -> Self {
        Self::station("internal", format!("{what} broke off inside the station"))
    }
}

impl From<&DeviceError> for Failure {
    fn from(error: &DeviceError) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        let mut failure = Self::new(error.class(), error.code(), message);
        failure.hint = error.hint();
        failure
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        Self::from(&error)
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        Self::station(error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let failure = Failure::station("x", "é".repeat(2000));
        assert!(failure.message.len() <= MAX_MESSAGE + '…'.len_utf8());
        assert!(failure.message.ends_with('…'));
    }
}
