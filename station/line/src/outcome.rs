//! How things end: outcomes of attempts and steps, failures, and measurements with their limits.
//!
//! One total `match` turns a failure class into blame: the unit is bad (`Fail`), the station cannot
//! say (`Error`), or somebody stopped it (`Aborted`). When unsure, the station says error, never pass.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use station_device::FailureClass;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every step passed and the whole record is on disk.
    Pass,
    /// The unit is bad.
    Fail,
    /// The station cannot say.
    Error,
    /// Somebody stopped it.
    Aborted,
}

impl Outcome {
    /// Returns the word that every face and the journal use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Aborted => "aborted",
        }
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It did what the recipe asks.
    Pass,
    /// The unit is bad.
    Fail,
    /// The station cannot say.
    Error,
    /// Somebody stopped it.
    Aborted,
    /// Its `when` was not met.
    Skipped,
}

impl StepOutcome {
    /// Returns the word that every face and the journal use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Aborted => "aborted",
            Self::Skipped => "skipped",
        }
    }
}

/// Why a step did not pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What kind of trouble; decides retry and blame.
    #[schemars(with = "String")]
    pub class: FailureClass,
    /// Stable code, `verify-mismatch`.
    pub code: String,
    /// What and where, lower case, no final period.
    pub message: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

/// Whom a failure of this class is laid to.
pub fn blame(class: FailureClass) -> Outcome {
    match class {
        FailureClass::Limit
        | FailureClass::Verify
        | FailureClass::Boot
        | FailureClass::Flash
        | FailureClass::Efuse => Outcome::Fail,
        FailureClass::Contact
        | FailureClass::Link
        | FailureClass::Timeout
        | FailureClass::Station => Outcome::Error,
        FailureClass::Cancelled => Outcome::Aborted,
    }
}

/// What a measurement says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A finite number, in the measurement's unit.
    Number(f64),
    /// Text.
    Text(String),
}

/// What a measurement is judged by. No limit at all is legal: then the value is only recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Smallest good number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min: Option<f64>,
    /// Largest good number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max: Option<f64>,
    /// The one good value as text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub equals: Option<String>,
}

/// How a measurement was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Within its limits.
    Pass,
    /// Outside its limits.
    Fail,
    /// It has no limits.
    Recorded,
}

impl Verdict {
    /// Returns the word that every face and the journal use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Recorded => "recorded",
        }
    }
}

/// A named value with unit and the limits it was judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// Name, unique in its step.
    pub name: String,
    /// The value.
    pub value: Value,
    /// Unit of the value and its limits, `mV`.
    pub unit: Option<String>,
    /// What it was judged by.
    pub limits: Limits,
    /// How.
    pub verdict: Verdict,
}

impl Limits {
    /// Judges a value. A number that is not finite, or text where a number is bounded, fails.
    pub fn judge(&self, value: &Value) -> Verdict {
        if self.min.is_none() && self.max.is_none() && self.equals.is_none() {
            return Verdict::Recorded;
        }
        let bounded = self.min.is_some() || self.max.is_some();
        let within = match value {
            Value::Number(number) => {
                number.is_finite()
                    && self.min.is_none_or(|min| *number >= min)
                    && self.max.is_none_or(|max| *number <= max)
                    && self.equals.as_ref().is_none_or(|text| {
                        text.parse::<f64>().is_ok_and(|wanted| wanted == *number)
                    })
            }
            Value::Text(text) => {
                !bounded && self.equals.as_ref().is_none_or(|wanted| wanted == text)
            }
        };
        if within { Verdict::Pass } else { Verdict::Fail }
    }
}
