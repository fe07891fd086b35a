//! `[serial]`: a pattern or a list, checked as far as it goes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use toml::Spanned;

use super::files::{FileError, read_bounded};
use super::header::Header;
use super::script::regex;
use super::security::UnitKeys;
use super::{Context, plain, units};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::SerialTable;
use crate::serial::{ListError, MAX_LIST_BYTES, SerialPattern, SerialSource, read_list};
use crate::template::closest;

/// What numbers look like unless the recipe says otherwise.
const DEFAULT_ALLOW: &str = "[A-Za-z0-9-]{1,50}";

/// What the rest of the recipe may know of serial numbers.
#[derive(Debug)]
pub(super) struct Serials {
    /// `None` if it is wrong, which was reported.
    pub(super) source: Option<SerialSource>,
    /// Columns of the list.
    pub(super) columns: BTreeSet<String>,
    /// Whether it is a list.
    pub(super) is_list: bool,
    /// Keys by serial number, for every column that holds keys; it is no column any more.
    pub(super) keys: BTreeMap<String, UnitKeys>,
    /// Columns that should hold keys and do not.
    pub(super) bad_keys: BTreeSet<String>,
}

impl Serials {
    fn new(source: Option<SerialSource>, columns: BTreeSet<String>, is_list: bool) -> Self {
        Self {
            source,
            columns,
            is_list,
            keys: BTreeMap::new(),
            bad_keys: BTreeSet::new(),
        }
    }

    /// Whether the list has a column of that name, of keys or not.
    pub(super) fn has_column(&self, name: &str) -> bool {
        self.columns.contains(name) || self.keys.contains_key(name) || self.bad_keys.contains(name)
    }
}

pub(super) fn compile(
    table: &Spanned<SerialTable>,
    header: &Header,
    context: &mut Context,
) -> Serials {
    let serial = table.get_ref();
    let nothing = Serials::new(None, BTreeSet::new(), serial.from.is_some());
    if let Some(pool) = &serial.pool
        && !context.check_name("a serial pool", pool)
    {
        return nothing;
    }
    match (&serial.pattern, &serial.from) {
        (Some(pattern), None) => {
            if let Some(column) = &serial.column {
                context.error(Finding::new(
                    Code::Conflict,
                    column.span(),
                    "`column` belongs to `from`, and there is a `pattern`",
                ));
            }
            if let Some(column) = &serial.mac {
                let message = "`mac` belongs to `from`, and there is a `pattern`";
                context.error(Finding::new(Code::Conflict, column.span(), message));
            }
            let name = plain(&serial.pool)
                .or_else(|| header.product.clone())
                .unwrap_or_default();
            let source = from_pattern(pattern, serial, context)
                .map(|pattern| SerialSource::Pool { name, pattern });
            Serials::new(source, BTreeSet::new(), false)
        }
        (None, Some(from)) => from_list(from, table, context).unwrap_or(nothing),
        (Some(_), Some(from)) => {
            let message = "`pattern` and `from` exclude each other";
            context.error(Finding::new(Code::Conflict, from.span(), message));
            nothing
        }
        (None, None) => {
            context.missing(
                table.span(),
                "`[serial]` has neither `pattern` nor `from`",
                "for example `pattern = \"SN{counter:06}\"`",
            );
            nothing
        }
    }
}

/// Returns the expression every number must match from end to end.
fn allowed(serial: &SerialTable, context: &mut Context) -> Option<(regex::Regex, String)> {
    let text = plain(&serial.allow).unwrap_or_else(|| DEFAULT_ALLOW.to_owned());
    let span = serial.allow.as_ref().map_or(0..0, Spanned::span);
    // Compiled alone first, so that an unbalanced bracket cannot reach beyond the anchors.
    regex(&Spanned::new(span.clone(), text.clone()), context)?;
    let anchored = Spanned::new(span, format!(r"\A(?:{text})\z"));
    regex(&anchored, context).map(|regex| (regex, text))
}

fn from_pattern(
    pattern: &Spanned<String>,
    serial: &SerialTable,
    context: &mut Context,
) -> Option<SerialPattern> {
    let allowed = allowed(serial, context);
    let parsed = SerialPattern::parse(pattern.get_ref())
        .map_err(|error| {
            context.error(
                Finding::new(Code::BadSerialPattern, pattern.span(), error.to_string())
                    .hint(error.hint()),
            );
        })
        .ok()?;
    // Every number has the same length and the same letters in the same places, except for check
    // digits; so a few hundred stand for all of them.
    let (allowed, text) = allowed?;
    let days = [(2026, 1), (2027, 365), (2099, 180)];
    let days = days
        .into_iter()
        .filter_map(|(year, day)| NaiveDate::from_yo_opt(year, day));
    for day in days {
        let last = parsed.last_counter();
        for counter in (1..=last.min(100)).chain([last]) {
            let Ok(number) = parsed.format(counter, day) else {
                continue;
            };
            if !allowed.is_match(&number) {
                context.error(
                    Finding::new(
                        Code::SerialCharacters,
                        pattern.span(),
                        format!("`{number}` would be a number and does not match `{text}`"),
                    )
                    .hint("change the pattern, or say in `allow` what a number may be"),
                );
                return None;
            }
        }
    }
    Some(parsed)
}

fn from_list(
    from: &Spanned<String>,
    table: &Spanned<SerialTable>,
    context: &mut Context,
) -> Option<Serials> {
    let serial = table.get_ref();
    let allowed = allowed(serial, context);
    let Some(column) = &serial.column else {
        context.missing(
            from.span(),
            "`from` needs `column`",
            "for example `column = \"serial\"`",
        );
        return None;
    };
    let bytes = match read_bounded(&context.folder.join(from.get_ref()), MAX_LIST_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            context.error(file_finding(from, &error));
            return None;
        }
    };
    let rows = match read_list(&bytes, column.get_ref()) {
        Ok(rows) => rows,
        Err(error) => {
            context.error(list_finding(&error, from, column));
            return None;
        }
    };
    let (allowed, text) = allowed?;
    if let Some((row, number)) = rows
        .iter()
        .zip(2_u64..)
        .find_map(|(row, number)| (!allowed.is_match(&row.serial)).then_some((&row.serial, number)))
    {
        let shown: String = row.chars().take(60).collect();
        context.error(
            Finding::new(
                Code::SerialCharacters,
                from.span(),
                format!("`{shown}` in row {number} does not match `{text}`"),
            )
            .hint("say in `allow` what a number may be"),
        );
        return None;
    }
    let columns = rows
        .first()
        .map(|row| row.columns.keys().cloned().collect())
        .unwrap_or_default();
    let name = plain(&serial.pool).unwrap_or_else(|| {
        let path = std::path::Path::new(from.get_ref());
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    });
    let units = units::row_units(&serial.mac, from, &rows, context)?;
    let source = SerialSource::Csv { name, rows, units };
    Some(Serials::new(Some(source), columns, true))
}

fn list_finding(error: &ListError, from: &Spanned<String>, column: &Spanned<String>) -> Finding {
    let (place, hint) = match error {
        ListError::NoColumn {
            column: wanted,
            found,
        } => {
            let hint = match closest(wanted, found.iter().map(String::as_str)) {
                Some(suggestion) => format!("did you mean `{suggestion}`?"),
                None => {
                    let found: Vec<_> = found.iter().take(20).cloned().collect();
                    format!("the header has {}", found.join(", "))
                }
            };
            (column, Some(hint))
        }
        ListError::Malformed { .. }
        | ListError::DuplicateColumn { .. }
        | ListError::NoRows
        | ListError::TooManyRows
        | ListError::Empty { .. }
        | ListError::Duplicates { .. }
        | ListError::Unprintable { .. } => (from, None),
    };
    let finding = Finding::new(
        Code::BadSerialList,
        place.span(),
        format!("`{}`: {error}", from.get_ref()),
    );
    Finding { hint, ..finding }
}

/// Returns what to say about a file that was not read.
pub(super) fn file_finding(file: &Spanned<String>, error: &FileError) -> Finding {
    let name = file.get_ref();
    match error {
        FileError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => Finding::new(
            Code::FileUnreadable,
            file.span(),
            format!("`{name}` does not exist"),
        )
        .hint("paths are relative to the recipe's folder"),
        FileError::Io(error) => Finding::new(
            Code::FileUnreadable,
            file.span(),
            format!("`{name}` cannot be read: {error}"),
        ),
        FileError::TooLarge { most } => Finding::new(
            Code::FileTooLarge,
            file.span(),
            format!(
                "`{name}` is larger than {}",
                crate::recipe::quantity::size_text(*most)
            ),
        ),
    }
}
