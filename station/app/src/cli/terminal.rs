//! The person at the terminal, asked to confirm what cannot be undone.

use std::io::IsTerminal;
use std::sync::Arc;

use async_trait::async_trait;

use super::output::{Output, Quiet};
use crate::operation::{Confirmation, Nobody, OperationError, Question, declined};

/// Somebody who reads standard error and types on standard input.
struct Terminal(Quiet);

/// Who can be asked at this command line: a person, if there is a terminal for both ways.
pub(super) fn person(output: &Output) -> Arc<dyn Confirmation> {
    let there = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if there && !output.is_json() {
        Arc::new(Terminal(output.quiet()))
    } else {
        Arc::new(Nobody)
    }
}

#[async_trait]
impl Confirmation for Terminal {
    fn at_hand(&self) -> bool {
        true
    }

    async fn confirm(&self, question: &Question) -> Result<(), OperationError> {
        let words = format!(
            "{}\nThis cannot be undone. Type the first {} digits of its digest to have it done: ",
            question.text.trim_end(),
            question.digits.len()
        );
        let quiet = self.0.clone();
        // The reading thread is not waited for; it ends with the line or with the program.
        let line = tokio::task::spawn_blocking(move || quiet.ask(&words)).await;
        match line {
            Ok(Ok(line)) => question.judge(&line),
            Ok(Err(_)) | Err(_) => Err(declined()),
        }
    }
}
