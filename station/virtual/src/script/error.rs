//! What can be wrong with a script.

use thiserror::Error;

/// Why a script was refused. Each message names the place in the script.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// The text is longer than a script may be.
    #[error("script is {bytes} bytes long, more than the {limit} allowed")]
    TooLong {
        /// Length found, in bytes.
        bytes: usize,
        /// Longest allowed, in bytes.
        limit: usize,
    },
    /// The text is not TOML, or has a key or type that scripts do not have.
    #[error("script is not understood: {0}")]
    Syntax(String),
    /// A value is outside what it may be, or contradicts another.
    #[error("{place}: {problem}")]
    Value {
        /// Where, for example `command 2 (adc vdd)`.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// A text has a `{name}` that scripts do not know, or unbalanced braces.
    #[error("{place}: template {text:?}: {problem}")]
    Template {
        /// Where, for example `boot line 1`.
        place: String,
        /// The whole text.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ScriptError {
    /// A stable name for this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "script-too-long",
            Self::Syntax(_) => "script-syntax",
            Self::Value { .. } => "script-value",
            Self::Template { .. } => "script-template",
        }
    }

    /// A refused value at a place of the script.
    pub(super) fn value(place: &str, problem: impl Into<String>) -> Self {
        Self::Value {
            place: place.to_owned(),
            problem: problem.into(),
        }
    }
}
