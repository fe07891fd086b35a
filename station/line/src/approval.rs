//! Permission for one thing that cannot be undone: bound to what it allows, used once, and short-lived.
//!
//! Invariants: an approval names the digest of what it allows, so that a changed plan has none; whether
//! one may be used is decided by the journal's writer together with the record of its use, so that two
//! who ask at once are not both answered yes; every refusal has a code of its own.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::event::{PlanId, RunId};
use crate::release::TrustedKeys;

/// Longest time an approval can be given for.
pub const MAX_VALIDITY: Duration = Duration::from_secs(7 * 24 * 3600);

/// An approval's name: 128 random bits as 32 lower-case hex digits.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct ApprovalId(#[schemars(regex(pattern = "^[0-9a-f]{32}$"))] String);

impl ApprovalId {
    /// Makes one from 128 bits of chance.
    pub(crate) fn from_bits(bits: [u8; 16]) -> Self {
        Self(hex::encode(bits))
    }

    /// Reads one.
    ///
    /// # Errors
    /// The text is not 32 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        if is_lower_hex(text, 32) {
            Ok(Self(text.to_owned()))
        } else {
            Err(SubjectError::Id)
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ApprovalId {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ApprovalId {
    type Error = SubjectError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ApprovalId> for String {
    fn from(id: ApprovalId) -> Self {
        id.0
    }
}

/// What an approval allows.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Subject {
    /// One run of this plan.
    Plan(PlanId),
    /// Burning the plan of this digest: one chip in one state.
    Burn(String),
    /// One invocation of an operation with exactly these parameters.
    Operation(String),
}

/// Why a text names no approval or nothing that can be approved.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubjectError {
    /// Not a subject.
    #[error(
        "`{0}` is nothing that can be approved, expected `plan:`, `burn:` or `operation:` and 64 lower-case hex digits"
    )]
    Subject(String),
    /// Not an approval's name.
    #[error("an approval is named by 32 lower-case hex digits")]
    Id,
}

impl SubjectError {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Subject(_) => "approval-subject",
            Self::Id => "approval-id",
        }
    }
}

impl Subject {
    /// Names one invocation of an operation: a digest over its name and its parameters, in the order
    /// they are in.
    pub fn operation(name: &str, parameters: &serde_json::Value) -> Self {
        let digest = Sha256::new()
            .chain_update(b"station operation\0")
            .chain_update(name.as_bytes())
            .chain_update([0])
            .chain_update(parameters.to_string().as_bytes())
            .finalize();
        Self::Operation(hex::encode(digest))
    }

    /// Returns how long an approval is good for unless somebody says otherwise: a shift for a plan, a
    /// quarter of an hour for one chip.
    pub fn default_validity(&self) -> Duration {
        match self {
            Self::Plan(_) => Duration::from_secs(12 * 3600),
            Self::Burn(_) | Self::Operation(_) => Duration::from_secs(15 * 60),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(plan) => write!(f, "plan:{plan}"),
            Self::Burn(digest) => write!(f, "burn:{digest}"),
            Self::Operation(digest) => write!(f, "operation:{digest}"),
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let strange = || SubjectError::Subject(text.chars().take(80).collect());
        let (what, digest) = text.split_once(':').ok_or_else(strange)?;
        if !is_lower_hex(digest, 64) {
            return Err(strange());
        }
        match what {
            "plan" => Ok(Self::Plan(PlanId::new(digest))),
            "burn" => Ok(Self::Burn(digest.to_owned())),
            "operation" => Ok(Self::Operation(digest.to_owned())),
            _ => Err(strange()),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = SubjectError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

/// Whether a text is exactly so many lower-case hex digits.
pub(crate) fn is_lower_hex(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Somebody allows something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Wall clock.
    pub at: DateTime<Utc>,
    /// What is allowed.
    pub subject: Subject,
    /// Who allows it.
    pub by: String,
    /// For how long, at most [`MAX_VALIDITY`].
    pub valid: Duration,
}

/// Somebody wants to do what was allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseApproval {
    /// Wall clock.
    pub at: DateTime<Utc>,
    /// The run it is for, if that has begun.
    pub run: Option<RunId>,
    /// Microseconds since the run began; 0 outside a run.
    pub elapsed_us: u64,
    /// Which approval; without one, any that allows the subject.
    pub approval: Option<ApprovalId>,
    /// What is about to be done.
    pub subject: Subject,
    /// Who does it.
    pub by: String,
    /// The operation that stands in the record if this is refused.
    pub operation: String,
    /// Whose releases count: an approval of a plan is used only while the plan is released.
    pub trusted: TrustedKeys,
}

/// Whether an approval can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// It can.
    Usable,
    /// It was used.
    Used,
    /// Its time is over.
    Expired,
}

impl ApprovalState {
    /// Returns the word that every face uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Used => "used",
            Self::Expired => "expired",
        }
    }
}

/// An approval as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// Its name.
    pub id: ApprovalId,
    /// What it allows.
    pub subject: Subject,
    /// Who granted it.
    pub by: String,
    /// When.
    pub granted_at: DateTime<Utc>,
    /// Until when it can be used.
    pub expires_at: DateTime<Utc>,
    /// When it was used.
    pub used_at: Option<DateTime<Utc>>,
    /// By whom.
    pub used_by: Option<String>,
    /// Whether it can be used now.
    pub state: ApprovalState,
}

/// Why an approval was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApprovalRefusal {
    /// Nobody ever allowed this.
    #[error("nobody approved `{subject}`")]
    Missing {
        /// What was asked for.
        subject: Subject,
    },
    /// There is no such approval in this journal.
    #[error("there is no approval `{approval}`")]
    Unknown {
        /// Which.
        approval: ApprovalId,
    },
    /// Its time is over.
    #[error("approval `{approval}` expired at {}", at.format("%Y-%m-%d %H:%M:%S UTC"))]
    Expired {
        /// Which.
        approval: ApprovalId,
        /// When.
        at: DateTime<Utc>,
    },
    /// It was used before.
    #[error("approval `{approval}` has been used")]
    Used {
        /// Which.
        approval: ApprovalId,
    },
    /// It allows something else.
    #[error("approval `{approval}` allows `{allows}`, not `{wanted}`")]
    Mismatch {
        /// Which.
        approval: ApprovalId,
        /// What it allows.
        allows: Subject,
        /// What was asked for.
        wanted: Subject,
    },
    /// What the journal's tables say of it is not what was recorded when it was granted.
    #[error("approval `{approval}` was altered after it was granted")]
    Altered {
        /// Which.
        approval: ApprovalId,
    },
}

impl ApprovalRefusal {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "approval-missing",
            Self::Unknown { .. } => "approval-unknown",
            Self::Expired { .. } => "approval-expired",
            Self::Used { .. } => "approval-used",
            Self::Mismatch { .. } => "approval-mismatch",
            Self::Altered { .. } => "approval-altered",
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Unknown { .. } => {
                "ask the engineer for `station approval grant`"
            }
            Self::Expired { .. } | Self::Used { .. } => {
                "an approval is good once and for a short time; ask for a new one"
            }
            Self::Mismatch { .. } => {
                "what would be done is not what was approved; show the new plan and ask again"
            }
            Self::Altered { .. } => "run `station journal verify` and find out who edited the file",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_comes_back_from_its_text_and_nothing_else_does() {
        let digest = "0a".repeat(32);
        for text in ["plan", "burn", "operation"].map(|what| format!("{what}:{digest}")) {
            let subject: Subject = text.parse().unwrap();
            assert_eq!(subject.to_string(), text);
            let json = serde_json::to_string(&subject).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Subject>(&json).unwrap(), subject);
        }
        for text in [
            "",
            "plan",
            "plan:",
            "plan:0a",
            "erase:0a",
            &format!("plan:{}", digest.to_uppercase()),
            &format!("Plan:{digest}"),
            &format!("plan:{digest}0"),
            &format!("plan: {}", &digest[1..]),
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_operation_with_other_parameters_is_another_subject() {
        let one = Subject::operation("keys forget", &serde_json::json!({ "name": "a" }));
        let two = Subject::operation("keys forget", &serde_json::json!({ "name": "b" }));
        let three = Subject::operation("keys import", &serde_json::json!({ "name": "a" }));
        assert_ne!(one, two);
        assert_ne!(one, three);
        assert_eq!(one.to_string().parse::<Subject>().unwrap(), one);
    }

    #[test]
    fn an_approval_is_named_by_32_lower_case_hex_digits() {
        let id = ApprovalId::from_bits([0xAB; 16]);
        assert_eq!(ApprovalId::parse(id.as_str()).unwrap(), id);
        for text in ["", "ab", &"AB".repeat(16), &"ab".repeat(17)] {
            assert!(ApprovalId::parse(text).is_err(), "{text}");
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<ApprovalId>(&json).is_err());
        }
    }
}
