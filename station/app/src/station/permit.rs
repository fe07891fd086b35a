//! Leave to do what cannot be undone: an approval of exactly that, used once, or a refusal that says how to
//! get one.
//!
//! Invariants: every refusal is recorded before it is told; an approval is used before the first pulse, so
//! that a crash cannot make it good twice; nothing is taken for a yes but an approval or a person's typing.

use chrono::Utc;
use serde_json::json;
use station_line::approval::{ApprovalId, Grant, Subject, UseApproval};
use station_line::event::EventKind;
use station_line::journal::Journal;
use station_line::release::TrustedKeys;

use crate::operation::{Call, Exit, Face, OPEN, OperationError, Question};

/// What is asked for: by whom, and what exactly it is.
pub(crate) struct Asked<'a> {
    /// The operation.
    pub operation: &'static str,
    /// What an approval of it is bound to.
    pub subject: Subject,
    /// What would be done, in words.
    pub text: &'a str,
}

/// The digest that a subject names, hex.
pub(crate) fn digest(subject: &Subject) -> &str {
    match subject {
        Subject::Plan(plan) => plan.as_str(),
        Subject::Burn(digest) | Subject::Operation(digest) => digest,
    }
}

/// Code of the refusal of something that nobody approved.
pub(crate) const NEEDED: &str = "approval-needed";

/// Most characters of a plan that a refusal carries.
const MOST_TEXT: usize = 6000;

/// Uses the approval that was given, or asks the person at this face, or refuses.
///
/// # Errors
/// `approval-needed` without an approval; `approval-unknown`, `approval-expired`, `approval-used`,
/// `approval-mismatch`, `approval-altered` with one that does not fit; those of a person who says no.
pub(crate) async fn permit(
    journal: &Journal,
    call: &Call,
    asked: &Asked<'_>,
    approval: Option<&str>,
) -> Result<ApprovalId, OperationError> {
    let approval = named(journal, call, asked, approval).await?;
    let used = journal
        .use_approval(UseApproval {
            at: Utc::now(),
            run: None,
            elapsed_us: 0,
            approval: Some(approval),
            subject: asked.subject.clone(),
            by: call.by.clone(),
            operation: asked.operation.to_owned(),
            // What a run may begin with is decided when it begins; nothing here is allowed by a release.
            trusted: TrustedKeys::default(),
        })
        .await;
    used.map_err(|error| OperationError::from(error).exit(Exit::Refused))
}

/// The approval that was given, or one that the person at this face grants now; not used yet.
///
/// # Errors
/// `approval-needed`, `approval-unknown`; those of a person who says no.
pub(crate) async fn named(
    journal: &Journal,
    call: &Call,
    asked: &Asked<'_>,
    approval: Option<&str>,
) -> Result<ApprovalId, OperationError> {
    match approval {
        Some(text) => match ApprovalId::parse(text) {
            Ok(id) => Ok(id),
            Err(_) => {
                let message = "what was given as an approval is none";
                let error = refusal("approval-unknown", message)
                    .hint("an approval is 32 hex digits: `station approval list` shows them");
                Err(record(journal, asked.operation, error).await?)
            }
        },
        None if call.confirmation.at_hand() => ask(journal, call, asked).await,
        None => Err(record(journal, asked.operation, needed(asked)).await?),
    }
}

/// Asks the person at hand, and grants what that person confirms.
async fn ask(
    journal: &Journal,
    call: &Call,
    asked: &Asked<'_>,
) -> Result<ApprovalId, OperationError> {
    let question = Question::about(asked.text, digest(&asked.subject));
    if let Err(error) = call.confirmation.confirm(&question).await {
        return Err(record(journal, asked.operation, error).await?);
    }
    let granted = journal
        .grant(Grant {
            at: Utc::now(),
            subject: asked.subject.clone(),
            by: call.by.clone(),
            valid: call
                .confirmation
                .validity()
                .unwrap_or_else(|| asked.subject.default_validity()),
        })
        .await?;
    Ok(granted.id)
}

/// A person's yes to what an operator does at the command line without being asked: a client is no operator.
///
/// # Errors
/// Those of a person who cannot be asked or says no.
pub(crate) async fn person(call: &Call, text: String, digest: &str) -> Result<(), OperationError> {
    match call.face {
        Face::Cli => Ok(()),
        Face::Mcp => {
            call.confirmation
                .confirm(&Question::about(text, digest))
                .await
        }
    }
}

/// Who confirmed it, for the record: a client calls itself what it likes, also an operator's name.
pub(crate) fn confirmed_by(call: &Call) -> String {
    match call.face {
        Face::Cli => call.by.clone(),
        Face::Mcp => format!("{} (mcp client)", call.by),
    }
}

fn refusal(code: &str, message: impl Into<String>) -> OperationError {
    OperationError::new(code, message).exit(Exit::Refused)
}

/// The refusal of something that nobody approved: what it is, its digest, and how it is granted.
fn needed(asked: &Asked<'_>) -> OperationError {
    let mut text: String = asked.text.chars().take(MOST_TEXT).collect();
    if text.len() < asked.text.len() {
        // Nobody is to approve a part for the whole.
        text +=
            "\n… cut off here: this is NOT all of it; ask for the plan itself before approving it";
    }
    let mut error = refusal(
        NEEDED,
        format!("{} cannot be undone and nobody approved it", asked.operation),
    )
    .hint(format!(
        "an operator grants it with `station approval grant {}`; then ask again with `approval` set to its id{}",
        asked.subject,
        if matches!(asked.subject, Subject::Plan(_)) {
            " (at the command line: `--arm`)"
        } else {
            ""
        }
    ));
    error.detail = Some(Box::new(json!({
        "subject": asked.subject.to_string(),
        "digest": digest(&asked.subject),
        "plan": text,
    })));
    error.picture = Some(format!("{}\nsubject: {}", asked.text.trim_end(), asked.subject).into());
    error
}

/// Records a refusal, so that it can be told.
///
/// # Errors
/// Those of the journal.
pub(crate) async fn record(
    journal: &Journal,
    operation: &str,
    error: OperationError,
) -> Result<OperationError, OperationError> {
    // An open question is no refusal yet: the same call comes again with the answer.
    if error.code == OPEN {
        return Ok(error);
    }
    let reason = match error.detail.as_deref() {
        // The plan stands in the record, so that whoever is to approve it reads what was asked for.
        Some(detail) if error.code == NEEDED => format!(
            "{}\n{}",
            detail["subject"].as_str().unwrap_or_default(),
            detail["plan"].as_str().unwrap_or_default()
        ),
        Some(_) | None => error.message.clone(),
    };
    let kind = EventKind::Refused {
        operation: operation.to_owned(),
        code: error.code.clone(),
        reason,
    };
    journal.note(Utc::now(), kind).await?;
    Ok(error)
}
