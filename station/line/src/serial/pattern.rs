//! Serial number patterns: `SN{year:02}{week:02}-{counter:06}{check:luhn}`.
//!
//! Invariants: every field has a fixed width, so every number of a pattern has the same length and
//! its counter can be read back; there is exactly one counter, so no two numbers are equal; a check
//! digit comes last and covers everything before it. With a week in the pattern, the year is the
//! ISO 8601 week-numbering year, so that the last days of December do not get week 1 of the year
//! that ends.

use chrono::{Datelike, NaiveDate};
use thiserror::Error;

use super::CheckDigit;
use crate::braces::{Piece, Unbalanced, pieces};

/// Longest pattern text and longest number, in bytes.
const MAX_LENGTH: usize = 128;

/// Widest counter; every value still fits an unsigned 64-bit number.
const MAX_COUNTER_WIDTH: usize = 18;

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// A brace opens no field, or is never closed.
    #[error("`{{` opens a field that is never closed, or `}}` closes none")]
    Unbalanced,
    /// Nobody knows the field.
    #[error("no field is called `{name}`")]
    UnknownField {
        /// As written.
        name: String,
    },
    /// The width is missing or not one of those the field can have.
    #[error("field `{field}` cannot be `{width}` wide")]
    Width {
        /// Which field.
        field: &'static str,
        /// As written.
        width: String,
    },
    /// No check digit is called so.
    #[error("no check digit is called `{name}`")]
    UnknownCheck {
        /// As written.
        name: String,
    },
    /// Without a counter all numbers are equal.
    #[error("there is no `{{counter:06}}`, so every number would be the same")]
    NoCounter,
    /// Two counters would say the same thing twice.
    #[error("there is more than one counter")]
    TwoCounters,
    /// Something stands behind the check digit.
    #[error("the check digit must come last, for it covers everything before it")]
    CheckNotLast,
    /// Its kind protects digits only, and there are letters.
    #[error("`{kind}` protects digits only, and the pattern has letters")]
    CheckLetters {
        /// Which kind.
        kind: CheckDigit,
    },
    /// Control characters or spaces at the ends cannot be printed or scanned.
    #[error("it has a character that cannot stand in a serial number")]
    Character,
    /// Too long to be handled.
    #[error("it is longer than {MAX_LENGTH} characters")]
    TooLong,
}

impl PatternError {
    /// Returns advice, where there is any.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unbalanced => "write `{{` and `}}` for braces that are meant as such",
            Self::UnknownField { .. } => "fields are `year`, `week`, `day`, `counter`, `check`",
            Self::Width { .. } => {
                "widths: `{year:04}` or `{year:02}`, `{week:02}`, `{day:03}`, `{counter:01}` to \
                 `{counter:18}`"
            }
            Self::UnknownCheck { .. } | Self::CheckLetters { .. } => {
                "check digits are `luhn`, `mod36`, `mod97`, and for digits only `mod10`, `mod11`"
            }
            Self::NoCounter => "add `{counter:06}` for numbers up to 999999",
            Self::TwoCounters => "keep one `{counter:…}`",
            Self::CheckNotLast => "move `{check:…}` to the end",
            Self::Character => "use letters, digits and `-`",
            Self::TooLong => "shorten it",
        }
    }
}

/// A pool has given its last number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the serial pool has run dry: number {position} was asked for, {last} is the last")]
pub struct RanDry {
    /// The position that was asked for.
    pub position: u64,
    /// The last position there is.
    pub last: u64,
}

/// What a serial number looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialPattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Year { width: usize },
    Week,
    Day,
    Counter { width: usize },
    Check(CheckDigit),
}

impl Part {
    fn length(&self) -> usize {
        match self {
            Self::Literal(text) => text.len(),
            Self::Year { width } | Self::Counter { width } => *width,
            Self::Week => 2,
            Self::Day => 3,
            Self::Check(kind) => kind.length(),
        }
    }
}

impl SerialPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The first reason why it cannot be used.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_LENGTH {
            return Err(PatternError::TooLong);
        }
        let pattern = Self {
            text: text.to_owned(),
            parts: split(text)?,
        };
        pattern.check()?;
        Ok(pattern)
    }

    fn check(&self) -> Result<(), PatternError> {
        let counters = self
            .parts
            .iter()
            .filter(|part| matches!(part, Part::Counter { .. }))
            .count();
        match counters {
            0 => return Err(PatternError::NoCounter),
            1 => {}
            _ => return Err(PatternError::TwoCounters),
        }
        let literal = self.literal_text();
        if literal
            .chars()
            .any(|character| !character.is_ascii() || character.is_ascii_control())
            || self.text.trim() != self.text
        {
            return Err(PatternError::Character);
        }
        if self.length() > MAX_LENGTH {
            return Err(PatternError::TooLong);
        }
        let check = self
            .parts
            .iter()
            .position(|part| matches!(part, Part::Check(_)));
        if let Some(position) = check {
            if position + 1 != self.parts.len() {
                return Err(PatternError::CheckNotLast);
            }
            if let Some(Part::Check(kind)) = self.parts.get(position)
                && !kind.takes_letters()
                && literal
                    .chars()
                    .any(|character| character.is_ascii_alphabetic())
            {
                return Err(PatternError::CheckLetters { kind: *kind });
            }
        }
        Ok(())
    }

    fn literal_text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Literal(text) => Some(text.as_str()),
                Part::Year { .. }
                | Part::Week
                | Part::Day
                | Part::Counter { .. }
                | Part::Check(_) => None,
            })
            .collect()
    }

    /// Returns the number for a counter on a day.
    ///
    /// # Errors
    /// [`RanDry`] when the counter is 0 or needs more digits than it has.
    pub fn format(&self, counter: u64, on: NaiveDate) -> Result<String, RanDry> {
        let last = self.last_counter();
        if counter == 0 || counter > last {
            return Err(RanDry {
                position: counter,
                last,
            });
        }
        let by_week = self.parts.contains(&Part::Week);
        let year = if by_week {
            on.iso_week().year()
        } else {
            on.year()
        }
        .rem_euclid(10_000);
        let mut serial = String::with_capacity(self.length());
        for part in &self.parts {
            let piece = match part {
                Part::Literal(text) => text.clone(),
                Part::Year { width: 2 } => format!("{:02}", year % 100),
                Part::Year { .. } => format!("{year:04}"),
                Part::Week => format!("{:02}", on.iso_week().week()),
                Part::Day => format!("{:03}", on.ordinal()),
                Part::Counter { width } => format!("{counter:0width$}"),
                Part::Check(kind) => kind.compute(&serial),
            };
            serial.push_str(&piece);
        }
        Ok(serial)
    }

    /// Returns the counter inside a number of this pattern, or `None` if it is none.
    pub fn counter_of(&self, serial: &str) -> Option<u64> {
        if serial.len() != self.length() || !serial.is_ascii() {
            return None;
        }
        let mut found = None;
        let mut at = 0;
        for part in &self.parts {
            let piece = serial.get(at..at + part.length())?;
            let digits = piece.bytes().all(|byte| byte.is_ascii_digit());
            let fits = match part {
                Part::Literal(text) => text == piece,
                Part::Year { .. } | Part::Week | Part::Day => digits,
                Part::Counter { .. } => {
                    found = piece.parse().ok();
                    digits
                }
                Part::Check(kind) => kind.compute(serial.get(..at)?) == piece,
            };
            if !fits {
                return None;
            }
            at += part.length();
        }
        found
    }

    /// Returns the largest counter, at which the pool has run dry.
    pub fn last_counter(&self) -> u64 {
        self.parts
            .iter()
            .find_map(|part| match part {
                Part::Counter { width } => 10_u64
                    .checked_pow(u32::try_from(*width).ok()?)
                    .map(|power| power - 1),
                Part::Literal(_) | Part::Year { .. } | Part::Week | Part::Day | Part::Check(_) => {
                    None
                }
            })
            .unwrap_or(0)
    }

    /// Returns the length of every number, in bytes.
    pub fn length(&self) -> usize {
        self.parts.iter().map(Part::length).sum()
    }

    /// Returns the pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn split(text: &str) -> Result<Vec<Part>, PatternError> {
    let pieces = pieces(text).into_iter();
    let parts = pieces.map(
        |piece| match piece.map_err(|Unbalanced| PatternError::Unbalanced)? {
            Piece::Literal(literal) => Ok(Part::Literal(literal)),
            Piece::Field(field) => parse_field(&field),
        },
    );
    parts.collect()
}

fn parse_field(field: &str) -> Result<Part, PatternError> {
    let (name, argument) = match field.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (field, None),
    };
    // Widths are written like `06`; the zero says that the number is padded.
    let width = |field: &'static str, allowed: std::ops::RangeInclusive<usize>| {
        let written = argument.unwrap_or_default();
        let plain = (1..=2).contains(&written.len()) && written.bytes().all(|b| b.is_ascii_digit());
        match written.parse::<usize>() {
            Ok(width) if plain && allowed.contains(&width) => Ok(width),
            Ok(_) | Err(_) => Err(PatternError::Width {
                field,
                width: written.to_owned(),
            }),
        }
    };
    match name {
        "year" if argument.is_none() => Ok(Part::Year { width: 4 }),
        "year" => match width("year", 2..=4)? {
            3 => Err(PatternError::Width {
                field: "year",
                width: "03".to_owned(),
            }),
            width => Ok(Part::Year { width }),
        },
        "week" if argument.is_none() => Ok(Part::Week),
        "week" => width("week", 2..=2).map(|_| Part::Week),
        "day" if argument.is_none() => Ok(Part::Day),
        "day" => width("day", 3..=3).map(|_| Part::Day),
        "counter" => width("counter", 1..=MAX_COUNTER_WIDTH).map(|width| Part::Counter { width }),
        "check" => {
            let name = argument.unwrap_or_default();
            name.parse()
                .map(Part::Check)
                .map_err(|()| PatternError::UnknownCheck {
                    name: name.to_owned(),
                })
        }
        other => Err(PatternError::UnknownField {
            name: other.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(year: i32, month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, day).unwrap()
    }

    #[test]
    fn a_number_has_date_counter_and_check_digit() {
        let pattern =
            SerialPattern::parse("SN{year:02}{week:02}-{counter:06}{check:luhn}").unwrap();
        let serial = pattern.format(417, day(2026, 6, 17)).unwrap();
        let check = CheckDigit::Luhn.compute("SN2625-000417");
        assert_eq!(serial, format!("SN2625-000417{check}"));
        assert_eq!(serial.len(), pattern.length());
        assert_eq!(pattern.counter_of(&serial), Some(417));
    }

    #[test]
    fn the_year_of_a_week_is_the_year_the_week_belongs_to() {
        let by_week = SerialPattern::parse("{year}{week}{counter:02}").unwrap();
        assert_eq!(by_week.format(1, day(2027, 1, 1)).unwrap(), "20265301");
        assert_eq!(by_week.format(1, day(2024, 12, 30)).unwrap(), "20250101");
        let by_day = SerialPattern::parse("{year}{day}{counter:02}").unwrap();
        assert_eq!(by_day.format(1, day(2024, 12, 31)).unwrap(), "202436601");
    }

    #[test]
    fn a_counter_that_needs_more_digits_has_run_dry() {
        let pattern = SerialPattern::parse("A{counter:02}").unwrap();
        assert_eq!(pattern.last_counter(), 99);
        assert_eq!(pattern.format(99, day(2026, 1, 1)).unwrap(), "A99");
        assert_eq!(
            pattern.format(100, day(2026, 1, 1)),
            Err(RanDry {
                position: 100,
                last: 99
            })
        );
        assert!(pattern.format(0, day(2026, 1, 1)).is_err());
        let widest = SerialPattern::parse("{counter:18}").unwrap();
        assert_eq!(widest.last_counter(), 999_999_999_999_999_999);
    }

    #[test]
    fn a_number_with_a_wrong_check_digit_is_not_of_the_pattern() {
        let pattern = SerialPattern::parse("{counter:04}{check:mod97}").unwrap();
        let serial = pattern.format(12, day(2026, 1, 1)).unwrap();
        assert_eq!(pattern.counter_of(&serial), Some(12));
        let other = serial.replace("0012", "0021");
        assert_eq!(pattern.counter_of(&other), None);
        assert_eq!(pattern.counter_of("ü234"), None);
    }

    #[test]
    fn what_cannot_be_a_pattern_says_why() {
        use PatternError as E;
        let cases = [
            ("SN", E::NoCounter),
            ("{counter:3}{counter:3}", E::TwoCounters),
            (
                "{counter:0}",
                E::Width {
                    field: "counter",
                    width: "0".into(),
                },
            ),
            (
                "{counter}",
                E::Width {
                    field: "counter",
                    width: String::new(),
                },
            ),
            (
                "{counter:19}",
                E::Width {
                    field: "counter",
                    width: "19".into(),
                },
            ),
            (
                "{counter:+6}",
                E::Width {
                    field: "counter",
                    width: "+6".into(),
                },
            ),
            (
                "{year:3}{counter:1}",
                E::Width {
                    field: "year",
                    width: "03".into(),
                },
            ),
            (
                "{month}{counter:1}",
                E::UnknownField {
                    name: "month".into(),
                },
            ),
            (
                "{counter:3}{check:crc}",
                E::UnknownCheck { name: "crc".into() },
            ),
            ("{check:luhn}{counter:3}", E::CheckNotLast),
            (
                "S{counter:3}{check:mod10}",
                E::CheckLetters {
                    kind: CheckDigit::Mod10,
                },
            ),
            ("{counter:3", E::Unbalanced),
            ("counter}", E::Unbalanced),
            ("é{counter:3}", E::Character),
            (" {counter:3}", E::Character),
        ];
        for (text, wanted) in cases {
            assert_eq!(SerialPattern::parse(text), Err(wanted), "{text}");
        }
        let long = format!("{}{{counter:3}}", "A".repeat(130));
        assert_eq!(SerialPattern::parse(&long), Err(E::TooLong));
    }

    #[test]
    fn doubled_braces_are_braces() {
        let pattern = SerialPattern::parse("{{{counter:02}}}").unwrap();
        assert_eq!(pattern.format(7, day(2026, 1, 1)).unwrap(), "{07}");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_judged(text in ".{0,80}") {
            let _ = SerialPattern::parse(&text);
        }

        #[test]
        fn every_counter_is_read_back(counter in 1_u64..=999_999, days in 1_i32..1_000_000) {
            let pattern =
                SerialPattern::parse("X{year}{week}{day}-{counter:06}{check:mod36}").unwrap();
            let on = NaiveDate::from_num_days_from_ce_opt(days).unwrap();
            let serial = pattern.format(counter, on).unwrap();
            prop_assert_eq!(pattern.counter_of(&serial), Some(counter));
        }
    }
}
