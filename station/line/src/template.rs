//! Templates: text with names in braces that stand for what is known about one unit,
//! `{serial|lower}`.
//!
//! Invariants: a [`Template`] exists only if every name in it was known when it was parsed, so that
//! at the line only a missing *value* can go wrong, and that is an error, never an empty text;
//! rendered text has a bound; rendering never reads its result again, so a value cannot smuggle in
//! another name. `{{` and `}}` are braces. Filters, from left to right: `upper`, `lower` (of A to
//! Z), `nocolon` (takes the colons out, for a MAC), `ascii` (the text's bytes as pairs of hex
//! digits), `padN` (zero bytes behind pairs of hex digits, until they are N).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use thiserror::Error;

use crate::braces::{Piece, Unbalanced, pieces};

/// Longest template, in bytes.
pub const MAX_TEMPLATE: usize = 4096;

/// Longest rendered text, in bytes.
pub const MAX_RENDERED: usize = 64 * 1024;

/// Names that every plan has; `serial` comes on top where there are serial numbers.
pub const COMMON_NAMES: [&str; 6] = ["mac", "bay", "lot", "run", "operator", "chip"];

/// Why a template cannot be used or rendered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// A brace opens no name, or is never closed.
    #[error("`{{` opens a name that is never closed, or `}}` closes none")]
    Unbalanced,
    /// The name is not in the closed set.
    #[error("no value is called `{name}` here")]
    UnknownName {
        /// As written.
        name: String,
        /// The closest known one.
        suggestion: Option<String>,
    },
    /// No filter is called so.
    #[error("no filter is called `{name}`")]
    UnknownFilter {
        /// As written.
        name: String,
        /// The closest known one.
        suggestion: Option<String>,
    },
    /// Longer than [`MAX_TEMPLATE`].
    #[error("it is longer than {MAX_TEMPLATE} bytes")]
    TooLong,
    /// Rendering: nobody has given the value.
    #[error("`{name}` has no value for this unit")]
    NoValue {
        /// Which one.
        name: String,
    },
    /// Rendering: a filter cannot do anything with what it is given.
    #[error("filter `{filter}` cannot be applied to `{text}`: {reason}")]
    BadInput {
        /// The filter as written.
        filter: String,
        /// What it was given.
        text: String,
        /// Why not.
        reason: &'static str,
    },
    /// Rendering: longer than [`MAX_RENDERED`].
    #[error("the text is longer than {MAX_RENDERED} bytes")]
    RenderedTooLong,
}

impl TemplateError {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unbalanced => "template-unbalanced",
            Self::UnknownName { .. } => "template-unknown-name",
            Self::UnknownFilter { .. } => "template-unknown-filter",
            Self::TooLong => "template-too-long",
            Self::NoValue { .. } => "template-no-value",
            Self::BadInput { .. } => "template-bad-input",
            Self::RenderedTooLong => "template-text-too-long",
        }
    }
}

/// The closed set of names a template may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    known: BTreeSet<String>,
}

impl Names {
    /// Returns the names that every plan has, without `serial`.
    pub fn common() -> Self {
        Self {
            known: COMMON_NAMES.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Adds a name: `serial`, `step.measure`, `csv.column`.
    pub fn add(&mut self, name: impl Into<String>) {
        self.known.insert(name.into());
    }

    /// Returns whether it is known.
    pub fn contains(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// Returns them in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(String::as_str)
    }
}

/// What the names stand for, for one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    known: BTreeMap<String, String>,
}

impl Values {
    /// Sets a value, replacing an older one.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.known.insert(name.into(), value.into());
    }

    /// Returns a value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.known.get(name).map(String::as_str)
    }
}

/// Most bytes that `padN` makes.
const MAX_PAD: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    Upper,
    Lower,
    NoColon,
    Ascii,
    /// To so many bytes.
    Pad(usize),
}

impl Filter {
    /// The words of the filters; the number of the last is an example.
    const WORDS: [&'static str; 5] = ["upper", "lower", "nocolon", "ascii", "pad32"];

    fn parse(word: &str) -> Option<Self> {
        match word {
            "upper" => Some(Self::Upper),
            "lower" => Some(Self::Lower),
            "nocolon" => Some(Self::NoColon),
            "ascii" => Some(Self::Ascii),
            _ => {
                let count = word.strip_prefix("pad")?;
                let plain = !count.starts_with('0') && count.bytes().all(|b| b.is_ascii_digit());
                let count = count.parse().ok()?;
                (plain && (1..=MAX_PAD).contains(&count)).then_some(Self::Pad(count))
            }
        }
    }

    fn apply(self, text: &str) -> Result<String, TemplateError> {
        let refuse = |filter: String, reason| {
            let text = text.chars().take(80).collect();
            Err(TemplateError::BadInput {
                filter,
                text,
                reason,
            })
        };
        match self {
            Self::Upper => Ok(text.to_ascii_uppercase()),
            Self::Lower => Ok(text.to_ascii_lowercase()),
            Self::NoColon => Ok(text.replace(':', "")),
            Self::Ascii if !text.is_ascii() => {
                refuse("ascii".to_owned(), "it has other characters than ASCII")
            }
            Self::Ascii => Ok(hex::encode(text)),
            Self::Pad(count) => {
                let hex = text.len().is_multiple_of(2)
                    && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                if !hex {
                    return refuse(format!("pad{count}"), "it is not pairs of hex digits");
                }
                if text.len() / 2 > count {
                    return refuse(format!("pad{count}"), "it has more bytes already");
                }
                Ok(format!("{text:0<width$}", width = count * 2))
            }
        }
    }

    /// The longest text it makes of one that has at most `length` bytes.
    fn longest(self, length: usize) -> usize {
        match self {
            Self::Upper | Self::Lower | Self::NoColon => length,
            Self::Ascii => length * 2,
            Self::Pad(count) => count * 2,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Name { name: String, filters: Vec<Filter> },
}

/// Text with names in braces, every one of them known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

impl Template {
    /// Reads a template whose names must be among `names`.
    ///
    /// # Errors
    /// The first reason why it cannot be used.
    pub fn parse(text: &str, names: &Names) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLong);
        }
        let pieces = pieces(text).into_iter();
        let parts =
            pieces.map(
                |piece| match piece.map_err(|Unbalanced| TemplateError::Unbalanced)? {
                    Piece::Literal(literal) => Ok(Part::Literal(literal)),
                    Piece::Field(field) => parse_name(&field, names),
                },
            );
        let parts = parts.collect::<Result<_, _>>()?;
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// Returns the text for one unit.
    ///
    /// # Errors
    /// [`TemplateError::NoValue`] if a name has no value, [`TemplateError::RenderedTooLong`].
    pub fn render(&self, values: &Values) -> Result<String, TemplateError> {
        self.render_with(|name| values.get(name).map(Cow::Borrowed))
    }

    /// Returns the text for one unit, of which `value` knows what the names stand for.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_with<'a>(
        &self,
        value: impl Fn(&str) -> Option<Cow<'a, str>>,
    ) -> Result<String, TemplateError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Name { name, filters } => {
                    let value =
                        value(name).ok_or_else(|| TemplateError::NoValue { name: name.clone() })?;
                    if value.len() > MAX_RENDERED {
                        return Err(TemplateError::RenderedTooLong);
                    }
                    let filtered = filters
                        .iter()
                        .try_fold(value.into_owned(), |text, filter| filter.apply(&text))?;
                    text.push_str(&filtered);
                }
            }
            if text.len() > MAX_RENDERED {
                return Err(TemplateError::RenderedTooLong);
            }
        }
        Ok(text)
    }

    /// Returns the names it uses, each once.
    pub fn names(&self) -> BTreeSet<&str> {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Name { name, .. } => Some(name.as_str()),
                Part::Literal(_) => None,
            })
            .collect()
    }

    /// Returns the template as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the longest text it can give, in bytes, if `longest` knows that for every name.
    pub fn longest(&self, longest: impl Fn(&str) -> Option<usize>) -> Option<usize> {
        self.parts.iter().try_fold(0_usize, |sum, part| match part {
            Part::Literal(text) => Some(sum + text.len()),
            Part::Name { name, filters } => {
                let of_name = longest(name)?;
                let filtered = filters
                    .iter()
                    .fold(of_name, |now, filter| filter.longest(now));
                Some(sum + filtered)
            }
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

fn parse_name(inside: &str, names: &Names) -> Result<Part, TemplateError> {
    let mut pieces = inside.split('|').map(str::trim);
    let name = pieces.next().unwrap_or_default();
    if !names.contains(name) {
        return Err(TemplateError::UnknownName {
            name: name.to_owned(),
            suggestion: closest(name, names.iter()),
        });
    }
    let filters = pieces
        .map(|word| {
            Filter::parse(word).ok_or_else(|| TemplateError::UnknownFilter {
                name: word.to_owned(),
                suggestion: closest(word, Filter::WORDS),
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Part::Name {
        name: name.to_owned(),
        filters,
    })
}

/// Returns the candidate that was probably meant, if one is close enough to be worth a question.
pub(crate) fn closest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    // Long nonsense is not compared: the distance costs the product of both lengths.
    if written.len() > 64 {
        return None;
    }
    let written = written.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= 64)
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&written, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| {
            *distance <= (candidate.chars().count().max(written.chars().count()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Names {
        let mut names = Names::common();
        names.add("serial");
        names.add("self test.vdd");
        names.add("csv.key");
        names
    }

    fn values() -> Values {
        let mut values = Values::default();
        values.set("mac", "7c:df:a1:00:00:0f");
        values.set("serial", "Sn-1");
        values.set("self test.vdd", "3301");
        values
    }

    #[test]
    fn names_and_filters_are_rendered() {
        let template = Template::parse(
            "{{{serial|upper}}} {mac|nocolon|upper} {self test.vdd} {serial | lower}",
            &names(),
        )
        .unwrap();
        assert_eq!(
            template.render(&values()).unwrap(),
            "{SN-1} 7CDFA100000F 3301 sn-1"
        );
        let used: Vec<_> = template.names().into_iter().collect();
        assert_eq!(used, ["mac", "self test.vdd", "serial"]);
    }

    #[test]
    fn a_missing_value_is_an_error_and_never_an_empty_text() {
        let template = Template::parse("{lot}", &names()).unwrap();
        let error = template.render(&values()).unwrap_err();
        assert_eq!(error, TemplateError::NoValue { name: "lot".into() });
    }

    #[test]
    fn a_value_with_braces_is_not_read_as_a_template() {
        let mut values = values();
        values.set("serial", "{mac}");
        let template = Template::parse("{serial}", &names()).unwrap();
        assert_eq!(template.render(&values).unwrap(), "{mac}");
    }

    #[test]
    fn unknown_names_and_filters_come_with_a_suggestion() {
        assert_eq!(
            Template::parse("{seriall}", &names()),
            Err(TemplateError::UnknownName {
                name: "seriall".into(),
                suggestion: Some("serial".into())
            })
        );
        assert_eq!(
            Template::parse("{mac|uper}", &names()),
            Err(TemplateError::UnknownFilter {
                name: "uper".into(),
                suggestion: Some("upper".into())
            })
        );
        assert!(matches!(
            Template::parse("{}", &names()),
            Err(TemplateError::UnknownName {
                suggestion: None,
                ..
            })
        ));
    }

    #[test]
    fn text_becomes_bytes_of_a_fixed_number() {
        let bytes = |text: &str| Template::parse(text, &names()).unwrap().render(&values());
        assert_eq!(bytes("{serial|ascii}").unwrap(), "536e2d31");
        assert_eq!(bytes("{serial|ascii|pad6}").unwrap(), "536e2d310000");
        assert_eq!(bytes("{mac|nocolon|pad8}").unwrap(), "7cdfa100000f0000");
        for wrong in ["{serial|ascii|pad3}", "{mac|pad8}"] {
            let error = bytes(wrong).unwrap_err();
            assert_eq!(error.code(), "template-bad-input", "{wrong}");
        }
        for unknown in ["pad", "pad0", "pad08", "pad257", "pad+8"] {
            let text = format!("{{serial|{unknown}}}");
            let error = Template::parse(&text, &names()).unwrap_err();
            assert_eq!(error.code(), "template-unknown-filter", "{unknown}");
        }
        let template = Template::parse("{serial|ascii|pad32}", &names()).unwrap();
        assert_eq!(template.longest(|_| Some(9)), Some(64));
        assert_eq!(template.longest(|_| None), None);
    }

    #[test]
    fn braces_must_balance() {
        for text in ["{serial", "serial}", "{ser{ial}}", "{"] {
            assert_eq!(
                Template::parse(text, &names()),
                Err(TemplateError::Unbalanced),
                "{text}"
            );
        }
    }

    #[test]
    fn texts_are_bounded() {
        let long = "x".repeat(MAX_TEMPLATE + 1);
        assert_eq!(
            Template::parse(&long, &names()),
            Err(TemplateError::TooLong)
        );
        let template = Template::parse(&"{serial}".repeat(500), &names()).unwrap();
        let mut values = values();
        values.set("serial", "x".repeat(1000));
        assert_eq!(
            template.render(&values),
            Err(TemplateError::RenderedTooLong)
        );
    }

    #[test]
    fn the_longest_text_is_known_when_every_name_is_bounded() {
        let template = Template::parse("ab{mac}{serial}", &names()).unwrap();
        let known = |name: &str| match name {
            "mac" => Some(17),
            "serial" => Some(5),
            _ => None,
        };
        assert_eq!(template.longest(known), Some(24));
        assert_eq!(
            Template::parse("{lot}", &names()).unwrap().longest(known),
            None
        );
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_judged(text in "[ -~{}|é]{0,60}") {
            if let Ok(template) = Template::parse(&text, &names()) {
                let _ = template.render(&values());
            }
        }

        #[test]
        fn text_with_doubled_braces_renders_as_itself(text in ".{0,60}") {
            let written = text.replace('{', "{{").replace('}', "}}");
            let template = Template::parse(&written, &names()).unwrap();
            prop_assert_eq!(template.render(&Values::default()).unwrap(), text);
        }
    }
}
