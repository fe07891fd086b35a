//! The walk over a recipe's text: compares it with the schema, reports everything that does not
//! belong, and takes it out, so that the rest can still be judged.
//!
//! Invariants: what is left deserializes; every finding has its place; nothing is guessed.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Code, Finding};
use super::quantity::{self, QuantityError};
use super::schema::{Key, Kind, LATER_ACTIONS, Need, RECIPE, STEP, Table};
use super::syntax::RecipeFile;
use crate::template::closest;

/// Most syntax errors that are reported; after the first few they follow from each other.
const MAX_SYNTAX_ERRORS: usize = 10;

/// Reads a recipe's text. `None` if too little is left to be judged.
///
/// `damaged` collects where tables and values begin in tables from which something was taken out:
/// what seems to be missing there later is perhaps only that.
pub(crate) fn read(
    text: &str,
    findings: &mut Vec<Finding>,
    damaged: &mut BTreeSet<usize>,
) -> Option<RecipeFile> {
    let (mut document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        findings.extend(errors.iter().take(MAX_SYNTAX_ERRORS).map(|error| {
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            Finding {
                span: error.span(),
                ..Finding::nowhere(Code::Syntax, message)
            }
        }));
        return None;
    }
    let mut walk = Walk {
        findings: Vec::new(),
        damaged: BTreeSet::new(),
        bruised: false,
    };
    walk.table(document.get_mut(), 0..0, &RECIPE);
    findings.append(&mut walk.findings);
    damaged.append(&mut walk.damaged);
    match serde::Deserialize::deserialize(toml::de::Deserializer::from(document)) {
        Ok(file) => Some(file),
        // The walk has let something through that the structs refuse; say so rather than go on.
        Err(error) => {
            let error: toml::de::Error = error;
            let finding = Finding::nowhere(Code::BadValue, error.message());
            findings.push(Finding {
                span: error.span(),
                ..finding
            });
            None
        }
    }
}

/// What the walk has found so far.
struct Walk {
    findings: Vec<Finding>,
    damaged: BTreeSet<usize>,
    /// Whether something was taken out of a table of names that itself may stay.
    bruised: bool,
}

impl Walk {
    /// Walks one table. `span` is where it stands, for what is missing in it.
    fn table(&mut self, table: &mut DeTable<'_>, span: Range<usize>, schema: &'static Table) {
        // Keys that were there, right or wrong: what was wrong is not missing on top.
        let mut there = BTreeSet::new();
        // What unknown keys were probably meant to be; `None` if nobody can tell.
        let mut meant = BTreeSet::new();
        let mut refused = Vec::new();
        for (name, value) in table.iter_mut() {
            let Some(key) = schema.key(name.get_ref()) else {
                self.findings
                    .push(unknown_key(name.get_ref(), name.span(), schema));
                refused.push(name.clone());
                meant.insert(closest(
                    name.get_ref(),
                    schema.keys.iter().map(|key| key.name),
                ));
                continue;
            };
            there.insert(key.name);
            if !self.value(key.name, value, key.kind) {
                refused.push(name.clone());
            }
        }
        // A misspelt key is reported once, not a second time as the missing one.
        for key in schema.keys.iter().filter(|key| key.need == Need::Required) {
            if !there.contains(key.name) && !meant.contains(&Some(key.name.to_owned())) {
                self.findings.push(missing_key(key, span.clone(), schema));
            }
        }
        if std::ptr::eq(schema, &STEP) {
            let perhaps_action = |name: &Option<String>| {
                let key = name.as_deref().and_then(|name| schema.key(name));
                key.is_none_or(|key| key.need == Need::Action)
            };
            if !meant.iter().any(perhaps_action) {
                check_actions(&there, span.clone(), &mut self.findings);
            }
        }
        if !refused.is_empty() || std::mem::take(&mut self.bruised) {
            self.damaged.insert(span.start);
            self.damaged
                .extend(table.values().map(|value| value.span().start));
        }
        for name in refused {
            table.remove(&name);
        }
    }

    /// Walks one value and returns whether it may stay.
    fn value(&mut self, name: &str, value: &mut Spanned<DeValue<'_>>, kind: Kind) -> bool {
        let span = value.span();
        match kind {
            Kind::Table(schema) => {
                let DeValue::Table(table) = value.get_mut() else {
                    return self.wrong_type(name, value.get_ref(), "a table", span);
                };
                self.table(table, span, schema);
                true
            }
            Kind::Named(schema) => {
                let DeValue::Table(table) = value.get_mut() else {
                    return self.wrong_type(name, value.get_ref(), "a table", span);
                };
                let mut refused = Vec::new();
                for (inner, entry) in table.iter_mut() {
                    if !self.value(inner.get_ref(), entry, Kind::Table(schema)) {
                        refused.push(inner.clone());
                    }
                }
                for inner in refused {
                    table.remove(&inner);
                }
                true
            }
            Kind::Tables(schema) => self.list(name, value, Kind::Table(schema), "tables"),
            Kind::Choices(words) => self.list(name, value, Kind::Choice(words), "texts"),
            Kind::WordOrTable(_, schema) if value.get_ref().is_table() => {
                self.value(name, value, Kind::Table(schema))
            }
            Kind::WordOrTable(words, _) if value.get_ref().is_str() => {
                self.value(name, value, Kind::Choice(words))
            }
            Kind::WordOrTable(..) => {
                self.wrong_type(name, value.get_ref(), "a word or a table", span)
            }
            Kind::NamedTemplates | Kind::FuseValues => self.named_values(name, value, kind),
            Kind::TextList => self.list(name, value, Kind::Text, "texts"),
            Kind::IntegerList(least, most) => {
                self.list(name, value, Kind::Integer(least, most), "whole numbers")
            }
            Kind::Texts if value.get_ref().is_array() => {
                self.list(name, value, Kind::Text, "texts")
            }
            Kind::Text
            | Kind::Template
            | Kind::Pattern
            | Kind::Flag
            | Kind::Integer(..)
            | Kind::Number
            | Kind::Duration
            | Kind::Size
            | Kind::Place
            | Kind::TemplateOrInteger
            | Kind::Choice(_)
            | Kind::Texts => match judge(name, value.get_ref(), kind) {
                Ok(()) => true,
                Err(finding) => {
                    self.findings.push(Finding {
                        span: Some(span),
                        ..finding
                    });
                    false
                }
            },
        }
    }

    /// Walks a table of values whose keys are names.
    fn named_values(&mut self, name: &str, value: &mut Spanned<DeValue<'_>>, kind: Kind) -> bool {
        let span = value.span();
        let DeValue::Table(table) = value.get_mut() else {
            return self.wrong_type(name, value.get_ref(), "a table", span);
        };
        let mut refused = Vec::new();
        for (inner, entry) in table.iter_mut() {
            let right = match (kind, entry.get_ref()) {
                (_, DeValue::String(_)) => true,
                (Kind::FuseValues, DeValue::Boolean(_)) => true,
                (Kind::FuseValues, number @ DeValue::Integer(_)) => {
                    match integer(inner.get_ref(), number) {
                        Ok(number) if number >= 0 => true,
                        Ok(_) | Err(_) => {
                            let shown: String = inner.get_ref().chars().take(60).collect();
                            let message = format!("`{shown}` takes no such number");
                            self.findings.push(Finding::new(
                                Code::OutOfRange,
                                entry.span(),
                                message,
                            ));
                            refused.push(inner.clone());
                            continue;
                        }
                    }
                }
                (_, _) => false,
            };
            if !right {
                let wanted = if matches!(kind, Kind::FuseValues) {
                    "a number, `true` or text"
                } else {
                    "text"
                };
                self.wrong_type(inner.get_ref(), entry.get_ref(), wanted, entry.span());
                refused.push(inner.clone());
            }
        }
        self.bruised |= !refused.is_empty();
        for inner in refused {
            table.remove(&inner);
        }
        true
    }

    fn list(&mut self, name: &str, value: &mut Spanned<DeValue<'_>>, kind: Kind, of: &str) -> bool {
        let span = value.span();
        let DeValue::Array(list) = value.get_mut() else {
            return self.wrong_type(name, value.get_ref(), &format!("a list of {of}"), span);
        };
        let mut whole = true;
        for entry in list.iter_mut() {
            whole &= self.value(name, entry, kind);
        }
        whole
    }

    fn wrong_type(
        &mut self,
        name: &str,
        value: &DeValue<'_>,
        wanted: &str,
        span: Range<usize>,
    ) -> bool {
        self.findings.push(type_finding(name, value, wanted, span));
        false
    }
}

fn missing_key(key: &Key, span: Range<usize>, schema: &Table) -> Finding {
    let message = format!("`{}` is missing in {}", key.name, plain(schema.title));
    Finding::new(Code::MissingKey, span, message).hint(format!("for example `{}`", key.example))
}

fn check_actions(there: &BTreeSet<&str>, span: Range<usize>, findings: &mut Vec<Finding>) {
    let actions: Vec<_> = STEP
        .keys
        .iter()
        .filter(|key| key.need == Need::Action && there.contains(key.name))
        .map(|key| format!("`{}`", key.name))
        .collect();
    match actions.len() {
        0 => {
            let all: Vec<_> = STEP
                .keys
                .iter()
                .filter(|key| key.need == Need::Action)
                .map(|key| format!("`{}`", key.name))
                .collect();
            findings.push(
                Finding::new(Code::NoAction, span, "the step has no action")
                    .hint(format!("actions are {}", all.join(", "))),
            );
        }
        1 => {}
        _ => findings.push(
            Finding::new(
                Code::ManyActions,
                span,
                format!("the step has more than one action: {}", actions.join(", ")),
            )
            .hint("make a `[[step]]` of each"),
        ),
    }
}

fn unknown_key(name: &str, span: Range<usize>, schema: &'static Table) -> Finding {
    if std::ptr::eq(schema, &STEP) && LATER_ACTIONS.contains(&name) {
        return Finding::new(
            Code::ActionUnavailable,
            span,
            format!("action `{name}` is not available in this version of the station"),
        );
    }
    let shown: String = name.chars().take(60).collect();
    let message = format!("{} has no key `{shown}`", plain(schema.title));
    let finding = Finding::new(Code::UnknownKey, span, message);
    match closest(name, schema.keys.iter().map(|key| key.name)) {
        Some(suggestion) => finding.suggest(Some(suggestion)),
        None => {
            let names: Vec<_> = schema
                .keys
                .iter()
                .map(|key| format!("`{}`", key.name))
                .collect();
            finding.hint(format!("keys here are {}", names.join(", ")))
        }
    }
}

/// Returns a title without what follows its name: "`[run]`: how a run goes" is "`[run]`".
fn plain(title: &str) -> String {
    match title.split_once(':') {
        Some((name, _)) => name.to_owned(),
        None => title.to_lowercase(),
    }
}

fn type_finding(name: &str, value: &DeValue<'_>, wanted: &str, span: Range<usize>) -> Finding {
    let found = match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let name: String = name.chars().take(60).collect();
    Finding::new(
        Code::WrongType,
        span,
        format!("`{name}` takes {wanted}, not {found}"),
    )
}

/// Judges a value that is neither table nor list. The caller sets the place.
fn judge(name: &str, value: &DeValue<'_>, kind: Kind) -> Result<(), Finding> {
    let mistyped = |wanted: &str| Err(type_finding(name, value, wanted, 0..0));
    match (kind, value) {
        (Kind::Flag, DeValue::Boolean(_))
        | (Kind::Text | Kind::Template | Kind::Pattern | Kind::Texts, DeValue::String(_)) => Ok(()),
        (Kind::Flag, _) => mistyped("`true` or `false`"),
        (Kind::Text | Kind::Template, _) => mistyped("text"),
        (Kind::TemplateOrInteger, DeValue::String(_)) => Ok(()),
        (Kind::TemplateOrInteger, DeValue::Integer(_)) => integer(name, value).map(|_| ()),
        (Kind::TemplateOrInteger, _) => mistyped("text or a whole number"),
        (Kind::Pattern, _) => mistyped("a regular expression as text"),
        (Kind::Texts, _) => mistyped("text or a list of texts"),
        (Kind::Number, DeValue::Float(_)) => Ok(()),
        (Kind::Number, DeValue::Integer(_)) => integer(name, value).map(|_| ()),
        (Kind::Number, _) => mistyped("a number"),
        (Kind::Integer(least, most), DeValue::Integer(_)) => {
            within(name, integer(name, value)?, least, most)
        }
        (Kind::Integer(..), _) => mistyped("a whole number"),
        (Kind::Duration, DeValue::String(text)) => quantity::parse_duration(text)
            .map(|_| ())
            .map_err(|error| bad(name, &error, "5s")),
        (Kind::Size, DeValue::String(text)) => quantity::parse_size(text)
            .map(|_| ())
            .map_err(|error| bad(name, &error, "4MB")),
        (Kind::Duration, DeValue::Integer(_) | DeValue::Float(_)) => {
            Err(no_unit(name, value, &["s", "ms"], "a duration"))
        }
        (Kind::Size, DeValue::Integer(_) | DeValue::Float(_)) => {
            Err(no_unit(name, value, &["KB", "MB"], "a size"))
        }
        (Kind::Duration, _) => mistyped("a duration such as `\"5s\"`"),
        (Kind::Size, _) => mistyped("a size such as `\"4MB\"`"),
        (Kind::Place, DeValue::Integer(_)) => match u32::try_from(integer(name, value)?) {
            Ok(_) => Ok(()),
            Err(_) => Err(nowhere(
                Code::OutOfRange,
                format!("`{name}` must be a flash offset from 0 to 0xffffffff"),
            )),
        },
        (Kind::Place, DeValue::String(text)) => match quantity::parse_address(text) {
            Some(Err(error)) => Err(bad(name, &error, "0x8000")),
            Some(Ok(_)) | None => Ok(()),
        },
        (Kind::Place, _) => mistyped("a flash offset or the name of a partition"),
        (Kind::Choice(words), DeValue::String(text)) => choice(name, text, words),
        (Kind::Choice(_), _) => mistyped("text"),
        // Tables and lists never come here.
        (
            Kind::TextList
            | Kind::IntegerList(..)
            | Kind::Table(_)
            | Kind::Tables(_)
            | Kind::Named(_)
            | Kind::Choices(_)
            | Kind::WordOrTable(..)
            | Kind::NamedTemplates
            | Kind::FuseValues,
            _,
        ) => Ok(()),
    }
}

fn within(name: &str, number: i64, least: i64, most: i64) -> Result<(), Finding> {
    if (least..=most).contains(&number) {
        return Ok(());
    }
    let bounds = if most == i64::MAX {
        format!("at least {least}")
    } else {
        format!("from {least} to {most}")
    };
    let message = format!("`{name}` must be {bounds}, not {number}");
    Err(nowhere(Code::OutOfRange, message))
}

fn choice(name: &str, text: &str, words: &[&str]) -> Result<(), Finding> {
    if words.contains(&text) {
        return Ok(());
    }
    let shown: String = text.chars().take(60).collect();
    let finding = nowhere(Code::BadValue, format!("`{name}` cannot be `{shown}`"));
    Err(match closest(text, words.iter().copied()) {
        Some(suggestion) => finding.suggest(Some(suggestion)),
        None => {
            let all: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            finding.hint(format!("it is one of {}", all.join(", ")))
        }
    })
}

fn integer(name: &str, value: &DeValue<'_>) -> Result<i64, Finding> {
    let number = value
        .as_integer()
        .and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok());
    number.ok_or_else(|| nowhere(Code::OutOfRange, format!("`{name}` is too large a number")))
}

fn no_unit(name: &str, value: &DeValue<'_>, units: &[&str], what: &str) -> Finding {
    let number = match value {
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
        DeValue::Float(float) => float.as_str(),
        DeValue::Integer(_)
        | DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => "16",
    };
    let examples: Vec<_> = units
        .iter()
        .map(|unit| format!("`\"{number}{unit}\"`"))
        .collect();
    nowhere(
        Code::MissingUnit,
        format!("`{name}` is {what} and needs a unit"),
    )
    .hint(format!("write {}", examples.join(" or ")))
}

fn bad(name: &str, error: &QuantityError, example: &str) -> Finding {
    match error {
        QuantityError::MissingUnit { .. } => {
            nowhere(Code::MissingUnit, format!("`{name}`: {error}"))
        }
        QuantityError::Malformed { .. } => nowhere(Code::BadValue, format!("`{name}`: {error}")),
        QuantityError::TooLarge { .. } => nowhere(Code::OutOfRange, format!("`{name}`: {error}")),
    }
    .hint(format!("for example `\"{example}\"`"))
}

fn nowhere(code: Code, message: String) -> Finding {
    Finding::nowhere(code, message)
}
