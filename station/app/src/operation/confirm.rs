//! A person's yes to something that cannot be undone.
//!
//! Invariants: nobody answering is a no; the yes is typed, never picked: the first digits of the digest of
//! exactly what was shown, so that it cannot be said out of habit or about something else.

use std::time::Duration;

use async_trait::async_trait;

use super::error::{Exit, OperationError};

/// How many digits of a digest a person types.
pub const TYPED_DIGITS: usize = 8;

/// Code of a question whose answer comes with the next call.
pub const OPEN: &str = "confirmation-open";

/// What a person is asked to say yes to.
#[derive(Clone, Debug)]
pub struct Question {
    /// What would be done, in words.
    pub text: String,
    /// What is to be typed: the first [`TYPED_DIGITS`] digits of its digest.
    pub digits: String,
}

impl Question {
    /// Asks about what has this digest (hex).
    pub fn about(text: impl Into<String>, digest: &str) -> Self {
        Self {
            text: text.into(),
            digits: digest.chars().take(TYPED_DIGITS).collect(),
        }
    }

    /// Judges what was typed.
    ///
    /// # Errors
    /// `confirmation-declined` when nothing was, `confirmation-wrong` when something else was.
    pub fn judge(&self, typed: &str) -> Result<(), OperationError> {
        let typed = typed.trim();
        if typed.eq_ignore_ascii_case(&self.digits) {
            return Ok(());
        }
        Err(if typed.is_empty() {
            declined()
        } else {
            OperationError::new(
                "confirmation-wrong",
                "what was typed is not the digest of what was shown",
            )
            .hint(format!(
                "type its first {TYPED_DIGITS} digits, or nothing to leave it"
            ))
            .exit(Exit::Refused)
        })
    }
}

/// The error of somebody who said no, or nothing.
pub fn declined() -> OperationError {
    OperationError::new(
        "confirmation-declined",
        "nobody confirmed it; nothing was done",
    )
    .exit(Exit::Refused)
}

/// Who can be asked.
#[async_trait]
pub trait Confirmation: Send + Sync {
    /// Whether a person sits at this face and can be asked in the middle of an operation.
    fn at_hand(&self) -> bool;

    /// How long what is confirmed here may wait for its use, if not as long as others of its kind.
    fn validity(&self) -> Option<Duration> {
        None
    }

    /// Asks.
    ///
    /// # Errors
    /// `confirmation-impossible` when nobody can be asked, `confirmation-declined`, `confirmation-wrong`.
    async fn confirm(&self, question: &Question) -> Result<(), OperationError>;
}

/// Nobody: every question is refused.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

#[async_trait]
impl Confirmation for Nobody {
    fn at_hand(&self) -> bool {
        false
    }

    async fn confirm(&self, _question: &Question) -> Result<(), OperationError> {
        Err(impossible())
    }
}

/// The error of a face at which nobody can be asked.
pub fn impossible() -> OperationError {
    OperationError::new(
        "confirmation-impossible",
        "nobody can be asked to confirm it here",
    )
    .hint("an operator grants it at the station's command line: `station approval grant SUBJECT`")
    .exit(Exit::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_answering_is_a_no() {
        let question = Question::about("burn it", "0123456789abcdef");
        let refused = Nobody.confirm(&question).await.unwrap_err();
        assert_eq!(refused.code, "confirmation-impossible");
        assert_eq!(
            question.judge("").unwrap_err().code,
            "confirmation-declined"
        );
    }

    #[test]
    fn only_the_first_digits_of_the_digest_are_a_yes() {
        let question = Question::about("burn it", "0123456789abcdef");
        question.judge("01234567").unwrap();
        question.judge(" 01234567\n").unwrap();
        for wrong in ["yes", "y", "0123456", "012345678", "76543210"] {
            assert_eq!(
                question.judge(wrong).unwrap_err().code,
                "confirmation-wrong",
                "{wrong}"
            );
        }
    }
}
