//! Quantities as recipes write them: durations, sizes, addresses, chip revisions. Each has its
//! unit.
//!
//! Invariants: a number without a unit is refused where a unit is meant; nothing overflows; nothing
//! is rounded without saying so; what is printed is read back as the same value.

use std::time::Duration;

use thiserror::Error;

/// Longest duration a recipe may name: a day.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a quantity cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum QuantityError {
    /// Only a number.
    #[error("`{text}` has no unit")]
    MissingUnit {
        /// As written.
        text: String,
    },
    /// Something else.
    #[error("`{text}` is no {what}")]
    Malformed {
        /// As written.
        text: String,
        /// What was expected.
        what: &'static str,
    },
    /// Too large to be meant.
    #[error("`{text}` is more than {most}")]
    TooLarge {
        /// As written.
        text: String,
        /// The bound.
        most: &'static str,
    },
}

/// Reads `250ms`, `5s`, `1.5s`, `2m`, `1h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    let too_large = || QuantityError::TooLarge {
        text: text.to_owned(),
        most: "a day (`24h`)",
    };
    let (number, unit) = split_unit(text, "duration")?;
    let factor: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" | "min" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return Err(malformed(text, "duration")),
    };
    let micros = scale(number, factor).ok_or_else(|| malformed(text, "duration"))?;
    let duration = Duration::from_micros(micros.ok_or_else(too_large)?);
    if duration > MAX_DURATION {
        Err(too_large())
    } else {
        Ok(duration)
    }
}

/// Reads `4MB`, `16KB`, `512B`; K and M are powers of 1024, as on flash chips.
pub(crate) fn parse_size(text: &str) -> Result<u64, QuantityError> {
    let (number, unit) = split_unit(text, "size")?;
    let factor = match unit.to_ascii_uppercase().as_str() {
        "B" => 1,
        "K" | "KB" | "KIB" => 1024,
        "M" | "MB" | "MIB" => 1024 * 1024,
        _ => return Err(malformed(text, "size")),
    };
    let size = scale(number, factor).ok_or_else(|| malformed(text, "size"))?;
    let most = u64::from(u32::MAX);
    size.filter(|size| *size <= most)
        .ok_or_else(|| QuantityError::TooLarge {
            text: text.to_owned(),
            most: "4096MB",
        })
}

/// Reads `0x8000` or `32768`; `None` if it is neither, so that it may be a partition's name.
pub(crate) fn parse_address(text: &str) -> Option<Result<u32, QuantityError>> {
    let written = text.replace('_', "");
    let (digits, radix) = match written
        .strip_prefix("0x")
        .or_else(|| written.strip_prefix("0X"))
    {
        Some(digits) => (digits, 16),
        None => (written.as_str(), 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    Some(
        u32::from_str_radix(digits, radix).map_err(|_| QuantityError::TooLarge {
            text: text.to_owned(),
            most: "0xffffffff",
        }),
    )
}

/// Reads a chip revision, `0.3`, as major × 100 + minor.
pub(crate) fn parse_revision(text: &str) -> Result<u16, QuantityError> {
    let digits = |part: &str| {
        let plain = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse::<u16>().ok()).flatten()
    };
    text.split_once('.')
        .and_then(|(major, minor)| Some(digits(major)? * 100 + digits(minor)?))
        .ok_or_else(|| malformed(text, "chip revision"))
}

/// Returns a duration as a recipe would write it.
pub(crate) fn duration_text(duration: Duration) -> String {
    let micros = duration.as_micros();
    let units = [(60_000_000, "m"), (1_000_000, "s"), (1_000, "ms")];
    match units
        .into_iter()
        .find(|(factor, _)| micros >= *factor && micros.is_multiple_of(*factor))
    {
        Some((factor, unit)) => format!("{}{unit}", micros / factor),
        None if micros == 0 => "0s".to_owned(),
        None => format!("{micros}us"),
    }
}

/// Returns a size as a recipe would write it.
pub(crate) fn size_text(size: u64) -> String {
    match size {
        0 => "0B".to_owned(),
        size if size.is_multiple_of(1024 * 1024) => format!("{}MB", size / (1024 * 1024)),
        size if size.is_multiple_of(1024) => format!("{}KB", size / 1024),
        size => format!("{size}B"),
    }
}

fn malformed(text: &str, what: &'static str) -> QuantityError {
    // Long nonsense is not repeated in full.
    let text = text.chars().take(60).collect();
    QuantityError::Malformed { text, what }
}

fn split_unit<'a>(text: &'a str, what: &'static str) -> Result<(&'a str, &'a str), QuantityError> {
    let text = text.trim();
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err(malformed(text, what));
    }
    match unit.trim_start() {
        "" => Err(QuantityError::MissingUnit {
            text: text.to_owned(),
        }),
        unit => Ok((number, unit)),
    }
}

/// Multiplies a decimal number exactly. `None`: no number, or it does not come out even;
/// `Some(None)`: it overflows.
fn scale(number: &str, factor: u64) -> Option<Option<u64>> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || number.ends_with('.') || fraction.contains('.') {
        return None;
    }
    if whole.len() > 18 {
        return Some(None);
    }
    let whole: u64 = whole.parse().ok()?;
    let mut total = whole.checked_mul(factor);
    if !fraction.is_empty() {
        let numerator = fraction.parse::<u64>().ok()?.checked_mul(factor);
        let denominator = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
        total = match (total, numerator) {
            (Some(total), Some(numerator)) => {
                if numerator % denominator != 0 {
                    return None;
                }
                total.checked_add(numerator / denominator)
            }
            (Some(_) | None, None) | (None, Some(_)) => None,
        };
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_units() {
        let cases = [
            ("5s", 5_000),
            ("250ms", 250),
            ("2m", 120_000),
            ("1.5s", 1_500),
            ("1h", 3_600_000),
            ("90 s", 90_000),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
        assert_eq!(
            parse_duration("5"),
            Err(QuantityError::MissingUnit { text: "5".into() })
        );
        for text in [
            "",
            "s",
            "-5s",
            "5 parsecs",
            "1.2.3s",
            "1.s",
            ".5s",
            "5S",
            "1e3s",
            "0.0000001s",
        ] {
            assert!(
                matches!(parse_duration(text), Err(QuantityError::Malformed { .. })),
                "{text}"
            );
        }
        for text in ["25h", "99999999999999999999s", "999999999999999999h"] {
            assert!(
                matches!(parse_duration(text), Err(QuantityError::TooLarge { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("4MB"), Ok(4 * 1024 * 1024));
        assert_eq!(parse_size("16KB"), Ok(16 * 1024));
        assert_eq!(parse_size("24K"), Ok(24 * 1024));
        assert_eq!(parse_size("512B"), Ok(512));
        assert_eq!(parse_size("1.5MB"), Ok(1_572_864));
        assert_eq!(
            parse_size("4096"),
            Err(QuantityError::MissingUnit {
                text: "4096".into()
            })
        );
        assert!(matches!(
            parse_size("4GB"),
            Err(QuantityError::Malformed { .. })
        ));
        assert!(matches!(
            parse_size("5000MB"),
            Err(QuantityError::TooLarge { .. })
        ));
    }

    #[test]
    fn addresses_are_numbers_and_anything_else_is_a_name() {
        assert_eq!(parse_address("0x8000"), Some(Ok(0x8000)));
        assert_eq!(parse_address("0x1_0000"), Some(Ok(0x1_0000)));
        assert_eq!(parse_address("32768"), Some(Ok(32768)));
        assert_eq!(parse_address("factory"), None);
        assert_eq!(parse_address("0x"), None);
        assert!(matches!(
            parse_address("0x1ffffffff"),
            Some(Err(QuantityError::TooLarge { .. }))
        ));
    }

    #[test]
    fn revisions_are_major_and_minor() {
        assert_eq!(parse_revision("0.3"), Ok(3));
        assert_eq!(parse_revision("1.12"), Ok(112));
        for text in ["3", "v0.3", "0.3.1", "0.", "1.123", "+1.2"] {
            assert!(parse_revision(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_judged(text in ".{0,40}") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
            let _ = parse_address(&text);
            let _ = parse_revision(&text);
        }

        #[test]
        fn a_printed_duration_is_read_back(micros in 0_u64..86_400_000_000) {
            let duration = Duration::from_micros(micros);
            prop_assert_eq!(parse_duration(&duration_text(duration)), Ok(duration));
        }

        #[test]
        fn a_printed_size_is_read_back(size in 0_u64..=0xffff_ffff) {
            prop_assert_eq!(parse_size(&size_text(size)), Ok(size));
        }
    }
}
