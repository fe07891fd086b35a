//! From a text that somebody printed to a judged measurement.
//!
//! Invariants: a number that cannot be read, or is not finite, fails whatever the limits say, and
//! is recorded as the text it was; so that a broken instrument never passes a unit.

use crate::outcome::{Failure, FailureClass, Measurement, Value, Verdict};
use crate::plan::Measure;

/// Longest text that is recorded as a value, in bytes.
const MAX_TEXT: usize = 4096;

/// Returns how a value stands in a template.
pub(in crate::runner) fn value_text(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    }
}

/// Judges what was read for `measure`. The failure, if there is one, follows the measurement.
pub(super) fn judge(measure: &Measure, read: &str) -> (Measurement, Option<Failure>) {
    let text = read.trim();
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    let (value, unreadable) = match (measure.numeric, number) {
        (true, Some(number)) => (Value::Number(number), false),
        (true, None) => (Value::Text(bounded(text)), true),
        (false, _) => (Value::Text(bounded(text)), text.len() > MAX_TEXT),
    };
    let verdict = if unreadable {
        Verdict::Fail
    } else {
        measure.limits.judge(&value)
    };
    let failure = (verdict == Verdict::Fail).then(|| {
        let shown = value_text(&value);
        let unit = measure
            .unit
            .as_deref()
            .map_or(String::new(), |unit| format!(" {unit}"));
        if unreadable {
            let message = format!(
                "`{}` is `{shown}`, which is not a usable value",
                measure.name
            );
            Failure::new(FailureClass::Limit, "unreadable-value", message)
        } else {
            let message = format!(
                "`{}` is {shown}{unit}, {}",
                measure.name,
                limits_text(measure)
            );
            Failure::new(FailureClass::Limit, "out-of-limits", message)
        }
    });
    let measurement = Measurement {
        name: measure.name.clone(),
        value,
        unit: measure.unit.clone(),
        limits: measure.limits.clone(),
        verdict,
    };
    (measurement, failure)
}

fn limits_text(measure: &Measure) -> String {
    let limits = &measure.limits;
    let mut wanted = Vec::new();
    if let Some(min) = limits.min {
        wanted.push(format!("at least {min}"));
    }
    if let Some(max) = limits.max {
        wanted.push(format!("at most {max}"));
    }
    if let Some(text) = &limits.equals {
        wanted.push(format!("exactly `{text}`"));
    }
    format!("wanted {}", wanted.join(" and "))
}

fn bounded(text: &str) -> String {
    let end = (0..=MAX_TEXT.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use crate::outcome::Limits;

    use super::*;

    fn millivolts(numeric: bool) -> Measure {
        Measure {
            name: "vdd".to_owned(),
            unit: Some("mV".to_owned()),
            limits: Limits {
                min: Some(3200.0),
                max: Some(3400.0),
                equals: None,
            },
            numeric,
        }
    }

    #[test]
    fn a_number_is_judged_by_its_limits() {
        let (measurement, failure) = judge(&millivolts(true), " 3301 ");
        assert_eq!(measurement.value, Value::Number(3301.0));
        assert_eq!((measurement.verdict, failure), (Verdict::Pass, None));
        let (measurement, failure) = judge(&millivolts(true), "3500");
        assert_eq!(measurement.verdict, Verdict::Fail);
        let failure = failure.unwrap();
        assert_eq!(failure.class, FailureClass::Limit);
        assert_eq!(
            failure.message,
            "`vdd` is 3500 mV, wanted at least 3200 and at most 3400"
        );
    }

    #[test]
    fn what_is_no_finite_number_fails_even_without_limits() {
        for text in ["nan", "inf", "-inf", "1e999", "", "x", "3,3"] {
            for limits in [millivolts(true).limits, Limits::default()] {
                let measure = Measure {
                    limits,
                    ..millivolts(true)
                };
                let (measurement, failure) = judge(&measure, text);
                assert_eq!(measurement.verdict, Verdict::Fail, "{text}");
                assert!(matches!(measurement.value, Value::Text(_)));
                assert_eq!(failure.unwrap().code, "unreadable-value");
            }
        }
    }

    #[test]
    fn a_text_without_limits_is_only_recorded() {
        let measure = Measure {
            limits: Limits::default(),
            ..millivolts(false)
        };
        let (measurement, failure) = judge(&measure, "v1.2");
        assert_eq!((measurement.verdict, failure), (Verdict::Recorded, None));
    }
}
