//! How an operation fails, for every face: a stable code, a message, a hint, an exit code.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// The exit codes of the program (`docs/operating.md` has the table).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All passed.
    Passed,
    /// The command line or a parameter is wrong.
    Usage,
    /// Some unit did not pass.
    SomeFailed,
    /// The station cannot say or cannot do it.
    StationError,
    /// The recipe is refused.
    RecipeRefused,
    /// Something that cannot be undone is refused: nobody approved it, or its plan is not allowed.
    Refused,
    /// Somebody stopped it.
    Cancelled,
}

impl Exit {
    /// The number the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Usage => 2,
            Self::SomeFailed => 30,
            Self::StationError => 50,
            Self::RecipeRefused | Self::Refused => 70,
            Self::Cancelled => 192,
        }
    }
}

/// Why an operation was not done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OperationError {
    /// Stable code, kebab-case.
    pub code: String,
    /// What went wrong and where.
    pub message: String,
    /// What to do about it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<Box<str>>,
    /// What lies underneath, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What a program needs to go on: the plan that waits for an approval, with its digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<serde_json::Value>>,
    /// The same for people where more than a line is needed: a recipe's errors with their source lines.
    #[serde(skip)]
    pub picture: Option<Box<str>>,
    /// What the CLI ends with.
    #[serde(rename = "exit", serialize_with = "exit_number")]
    #[schemars(with = "u8")]
    pub exit: Exit,
}

fn exit_number<S: Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(exit.code())
}

impl OperationError {
    /// An error with a code and a message; the exit code is that of a station error.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            hint: None,
            causes: Vec::new(),
            detail: None,
            picture: None,
            exit: Exit::StationError,
        }
    }

    /// A parameter that cannot be meant.
    pub fn usage(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::new(code, message)
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into());
        self
    }

    /// Sets what the CLI ends with.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Adds the chain under `error`, without `error` itself.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = error.source();
        while let Some(cause) = next {
            self.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.code)
    }
}

impl std::error::Error for OperationError {}
