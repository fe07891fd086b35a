//! One command of a script: what it listens for and what it answers.
//!
//! Invariant: a pattern matches a whole line or nothing.

use std::time::Duration;

use regex::Regex;

use super::template::Template;
use super::value::Value;

/// A command and its answer.
#[derive(Clone, Debug)]
pub(super) struct Command {
    /// The line it listens for.
    pub(super) listens: Listens,
    /// What it answers.
    pub(super) answer: Template,
    /// What it answers instead once a value of this unit was outside its limits.
    pub(super) otherwise: Option<Template>,
    /// The value it shows.
    pub(super) value: Option<Value>,
    /// Time from the end of the line to the answer.
    pub(super) delay: Duration,
}

/// What a command listens for.
#[derive(Clone, Debug)]
pub(super) enum Listens {
    /// Exactly this line.
    Line(String),
    /// A whole line that this pattern matches.
    Pattern(Regex),
}

impl Listens {
    /// What the pattern's groups matched if `line` is meant: nothing for an exact line.
    pub(super) fn heard(&self, line: &str) -> Option<Vec<String>> {
        match self {
            Self::Line(wanted) => (wanted == line).then(Vec::new),
            Self::Pattern(pattern) => pattern.captures(line).map(|found| {
                found
                    .iter()
                    .skip(1)
                    .map(|group| group.map_or_else(String::new, |text| text.as_str().to_owned()))
                    .collect()
            }),
        }
    }

    /// How many groups a match has.
    pub(super) fn groups(&self) -> usize {
        match self {
            Self::Line(_) => 0,
            Self::Pattern(pattern) => pattern.captures_len().saturating_sub(1),
        }
    }
}
