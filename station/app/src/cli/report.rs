//! `station report`: the record as tables, CSV or JSON.

use std::io::Write;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, ValueEnum};
use comfy_table::{LineStyle, Table, presets};
use serde::Serialize;
use serde_json::Value;
use station_line::journal::Reader;
use station_line::quality::{self, GroupBy, Rows};

use super::command::{GlobalOptions, block_on};
use super::output::Output;
use crate::operation::{Exit, OperationError};
use crate::operations::Selection;
use crate::station::Station;

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum List {
    Runs,
    Units,
    Attempts,
    Steps,
    Measurements,
    Serials,
    Yield,
    Failures,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
}

/// The command's declaration.
pub(super) fn command() -> Command {
    Selection::augment_args(
        Command::new("report").arg(
            Arg::new("list")
                .required(true)
                .value_parser(clap::value_parser!(List))
                .help("What to list"),
        ),
    )
    .about("The record as tables, CSV or JSON")
    .arg(
        Arg::new("format")
            .long("format")
            .value_parser(clap::value_parser!(Format))
            .default_value("table")
            .help("How to write it"),
    )
    .arg(
        Arg::new("by")
            .long("by")
            .value_parser(clap::value_parser!(GroupBy))
            .default_value("product")
            .help("What yield is grouped by: product, recipe, bay, lot, day, run"),
    )
    .arg(
        Arg::new("limit")
            .long("limit")
            .value_name("N")
            .value_parser(clap::value_parser!(u32).range(1..=100_000))
            .help("Most rows, the latest"),
    )
}

/// Prints the list.
pub(super) fn run(
    matches: &ArgMatches,
    options: &GlobalOptions,
    output: &Output,
) -> Result<Exit, OperationError> {
    let selection = Selection::from_arg_matches(matches)
        .map_err(|error| OperationError::usage("parameters-invalid", error.to_string()))?;
    let list = matches.get_one("list").copied().unwrap_or(List::Runs);
    let by = matches.get_one("by").copied().unwrap_or_default();
    let limit = matches
        .get_one::<u32>("limit")
        .and_then(|limit| usize::try_from(*limit).ok());
    let format = match matches.get_one("format").copied() {
        Some(Format::Table) | None if output.is_json() => Format::Json,
        Some(format) => format,
        None => Format::Table,
    };
    let rows = block_on(async {
        let station = Station::open(options.station())?;
        station
            .read(move |reader| read(reader, list, by, &selection, limit))
            .await
    })?;
    match format {
        Format::Json => rows.rows.iter().for_each(|row| output.value(row)),
        Format::Csv => output.words(csv_text(&rows.rows)?.trim_end()),
        Format::Table => output.words(&table(&rows.rows)),
    }
    if rows.more {
        output.note("there is more: narrow the selection or raise --limit");
    }
    Ok(Exit::Passed)
}

fn read(
    reader: &Reader,
    list: List,
    by: GroupBy,
    selection: &Selection,
    limit: Option<usize>,
) -> Result<Rows<Value>, OperationError> {
    let filter = selection.filter(limit);
    match list {
        List::Runs => plain(&quality::runs(reader, &filter)?),
        List::Units => plain(&quality::units(reader, &filter)?),
        List::Attempts => plain(&quality::attempts(reader, &filter)?),
        List::Steps => plain(&quality::steps(reader, &filter)?),
        List::Measurements => plain(&quality::measurements(reader, &filter)?),
        List::Serials => plain(&quality::serials(reader, &filter)?),
        List::Yield => plain(&Rows {
            rows: quality::yields(reader, by, &filter)?,
            more: false,
        }),
        List::Failures => plain(&Rows {
            rows: quality::failure_pareto(reader, &filter)?,
            more: false,
        }),
    }
}

fn plain<T: Serialize>(rows: &Rows<T>) -> Result<Rows<Value>, OperationError> {
    let more = rows.more;
    let rows: Result<Vec<Value>, _> = rows.rows.iter().map(serde_json::to_value).collect();
    let rows =
        rows.map_err(|error| OperationError::new("answer-unprintable", error.to_string()))?;
    Ok(Rows { rows, more })
}

/// A row's fields, in the order they were declared.
fn fields(row: &Value) -> impl Iterator<Item = (&String, &Value)> {
    row.as_object().into_iter().flatten()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{}", (float * 10_000.0).round() / 10_000.0),
            Some(_) | None => number.to_string(),
        },
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn table(rows: &[Value]) -> String {
    let Some(first) = rows.first() else {
        return "nothing yet".to_owned();
    };
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
    table.set_header(fields(first).map(|(name, _)| name.replace('_', " ")));
    for row in rows {
        table.add_row(fields(row).map(|(_, value)| super::live::shown(&short(&cell(value)))));
    }
    table.to_string()
}

/// Hashes are shown by their beginning, as plans are everywhere.
fn short(text: &str) -> String {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash {
        text[..12].to_owned()
    } else {
        text.to_owned()
    }
}

/// Whether a spreadsheet would take a text for a formula. Numbers are not, whatever their sign.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err()
}

/// RFC 4180, with a header. Text that a spreadsheet would take for a formula gets a leading apostrophe.
fn csv_text(rows: &[Value]) -> Result<String, OperationError> {
    let refuse = |error: csv::Error| OperationError::new("answer-unprintable", error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    if let Some(first) = rows.first() {
        writer
            .write_record(fields(first).map(|(name, _)| name))
            .map_err(refuse)?;
    }
    for row in rows {
        let record = fields(row).map(|(_, value)| match value {
            Value::String(text) if is_formula(text) => format!("'{text}"),
            Value::Number(number) => number.to_string(),
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => cell(value),
        });
        writer.write_record(record).map_err(refuse)?;
    }
    let mut bytes = writer
        .into_inner()
        .map_err(|error| OperationError::new("answer-unprintable", error.to_string()))?;
    bytes
        .flush()
        .map_err(|error| OperationError::new("answer-unprintable", error.to_string()))?;
    String::from_utf8(bytes)
        .map_err(|error| OperationError::new("answer-unprintable", error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_spreadsheet_is_given_no_formula() {
        let rows: Vec<Value> = [
            "=1+1", "+1+1", "-1+1", "@sum", "\tx", "-12.5", "plain", "a,\"b\"",
        ]
        .iter()
        .map(|text| json!({ "lot": text, "value": -1.5 }))
        .collect();
        let text = csv_text(&rows).unwrap();
        let mut read = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(read.headers().unwrap(), vec!["lot", "value"]);
        let read: Vec<String> = read
            .records()
            .map(|row| row.unwrap()[0].to_owned())
            .collect();
        let expected = [
            "'=1+1", "'+1+1", "'-1+1", "'@sum", "'\tx", "-12.5", "plain", "a,\"b\"",
        ];
        assert_eq!(read, expected);
        assert!(text.contains(",-1.5\n"), "numbers stay numbers: {text}");
    }

    #[test]
    fn tables_shorten_hashes_and_move_no_cursor() {
        let hash = "0123456789abcdef".repeat(4);
        let shown = table(&[json!({"plan": hash, "lot": "a\u{1b}[2Jb", "bay": null})]);
        assert!(
            shown.contains("0123456789ab") && !shown.contains("0123456789abc"),
            "{shown}"
        );
        assert!(!shown.contains('\u{1b}'), "{shown}");
        assert_eq!(table(&[]), "nothing yet");
    }
}
