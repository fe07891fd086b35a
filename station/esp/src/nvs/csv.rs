//! The CSV form of a content.
//!
//! Facts observed at esp-idf-nvs-partition-gen 0.3.0, which reads it with Python's `csv`: a line
//! that begins with `#` is a comment; lines end as anywhere, and ends inside quotes become `\n`; a
//! quote counts only at the beginning of a field and is doubled inside; the header may have the
//! columns in any order and others beside them; an empty line is nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::cell;
use super::content::{Content, Row};
use super::error::{Column, Fault, NvsError, Place};
use super::wifi::{self, Wifi};
use super::{Name, Value};

/// Reads rows one after the other; `files` gives what a file holds.
pub(super) fn parse(
    text: &str,
    files: &dyn Fn(&str) -> Result<Vec<u8>, String>,
) -> Result<Content, NvsError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut records = Records {
        lines: text.split_inclusive('\n'),
        line: 0,
    };
    let Some(header) = records.next()? else {
        return Err(at(1, None).fault(Fault::Header(Column::Key)));
    };
    let columns = Columns::find(&header)?;
    let said = said(records.clone(), &columns);
    let mut table = Table {
        content: Content::new(),
        namespace: None,
        wifi: Wifi::default(),
        said,
        files,
    };
    while let Some(record) = records.next()? {
        table.row(&columns, &record)?;
    }
    Ok(table.content)
}

fn at(line: usize, column: Option<Column>) -> Place {
    Place::Line { line, column }
}

/// The rows read so far and what later rows depend on.
struct Table<'a> {
    content: Content,
    namespace: Option<String>,
    wifi: Wifi,
    said: BTreeSet<(String, String)>,
    files: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
}

impl Table<'_> {
    fn row(&mut self, columns: &Columns, record: &Record) -> Result<(), NvsError> {
        let line = record.line;
        if record.fields.len() > columns.named {
            let found = record.fields.len();
            let named = columns.named;
            return Err(at(line, None).fault(Fault::Columns { found, named }));
        }
        let key = columns.get(record, Column::Key)?;
        let kind = columns.get(record, Column::Type)?;
        let name = at(line, Some(Column::Key));
        Name::new(key).map_err(|fault| name.clone().fault(fault))?;
        if kind == "namespace" {
            self.content
                .add_namespace(key)
                .map_err(|error| name.fault(error.fault))?;
            self.namespace = Some(key.to_owned());
            return Ok(());
        }
        let encoding = columns.get(record, Column::Encoding)?;
        let text = columns.get(record, Column::Value)?;
        let in_value = |fault| at(line, Some(cell::column(&fault))).fault(fault);
        let value = match kind {
            "data" => cell::from_text(encoding, text).map_err(in_value)?,
            "file" => {
                let bytes = (self.files)(text).map_err(|why| {
                    let name = text.to_owned();
                    at(line, Some(Column::Value)).fault(Fault::File { name, why })
                })?;
                cell::from_file(encoding, bytes).map_err(in_value)?
            }
            other => {
                let fault = Fault::Type(other.chars().take(64).collect());
                return Err(at(line, Some(Column::Type)).fault(fault));
            }
        };
        let text = if kind == "file" {
            value.text()
        } else {
            text.to_owned()
        };
        self.entries(key, &text, value)
            .map_err(|error| in_value(error.fault))
    }

    /// Adds an entry and what the tool adds around the entries of a Wi-Fi configuration.
    fn entries(&mut self, key: &str, text: &str, value: Value) -> Result<(), NvsError> {
        let Some(namespace) = self.namespace.clone() else {
            return Err(Place::Partition.fault(Fault::NoNamespace));
        };
        if let Some((key, value)) = self.wifi.before(key, text) {
            self.around(&namespace, key, value)?;
        }
        self.content.push(&namespace, key, value)?;
        for (key, value) in self.wifi.behind(key) {
            self.around(&namespace, key, value)?;
        }
        Ok(())
    }

    /// Adds what goes with another row, unless it has a row of its own, as in CSV of what was read.
    fn around(&mut self, namespace: &str, key: &str, value: Value) -> Result<(), NvsError> {
        if self.said.contains(&(namespace.to_owned(), key.to_owned())) {
            return Ok(());
        }
        self.content.push(namespace, key, value)
    }
}

/// Namespace and key of the rows that say themselves what would be added around others.
fn said(mut records: Records<'_>, columns: &Columns) -> BTreeSet<(String, String)> {
    let (mut said, mut namespace) = (BTreeSet::new(), String::new());
    // Where the table is broken, reading it tells.
    while let Ok(Some(record)) = records.next() {
        let key = columns.get(&record, Column::Key);
        let (Ok(key), Ok(kind)) = (key, columns.get(&record, Column::Type)) else {
            continue;
        };
        if kind == "namespace" {
            key.clone_into(&mut namespace);
        } else if wifi::is_added(key) {
            said.insert((namespace.clone(), key.to_owned()));
        }
    }
    said
}

/// Which field of a record is which column.
struct Columns {
    places: [usize; 4],
    named: usize,
}

impl Columns {
    fn find(header: &Record) -> Result<Self, NvsError> {
        let mut places = [0; 4];
        for (place, column) in places.iter_mut().zip(Column::ALL) {
            let mut found = header.fields.iter().enumerate();
            let mut found = found.by_ref().filter(|(_, name)| *name == column.name());
            match (found.next(), found.next()) {
                (Some((index, _)), None) => *place = index,
                _ => return Err(at(header.line, None).fault(Fault::Header(column))),
            }
        }
        let named = header.fields.len();
        Ok(Self { places, named })
    }

    fn get<'a>(&self, record: &'a Record, column: Column) -> Result<&'a str, NvsError> {
        let place = Column::ALL.iter().position(|other| *other == column);
        let place = place.map_or(usize::MAX, |index| self.places[index]);
        record.fields.get(place).map(String::as_str).ok_or_else(|| {
            let (found, named) = (record.fields.len(), self.named);
            at(record.line, Some(column)).fault(Fault::Columns { found, named })
        })
    }
}

/// The fields of a row, which may lie on several lines.
struct Record {
    /// The first line, from 1.
    line: usize,
    fields: Vec<String>,
}

#[derive(Clone)]
struct Records<'a> {
    lines: std::str::SplitInclusive<'a, char>,
    line: usize,
}

/// Where in a field the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Start,
    Plain,
    Quotes,
    /// Behind a quote inside quotes: the end, or half of a doubled one.
    Quote,
}

impl Records<'_> {
    fn next(&mut self) -> Result<Option<Record>, NvsError> {
        let first = loop {
            let Some(line) = self.lines.next() else {
                return Ok(None);
            };
            self.line += 1;
            if !line.starts_with('#') && line != "\n" {
                break line;
            }
        };
        let begin = self.line;
        let mut fields = vec![String::new()];
        let mut inside = Inside::Start;
        let mut line = first;
        loop {
            for letter in line.chars() {
                inside = step(inside, letter, &mut fields)
                    .map_err(|fault| at(self.line, None).fault(fault))?;
            }
            if inside != Inside::Quotes {
                break;
            }
            let Some(next) = self.lines.next() else {
                return Err(at(begin, None).fault(Fault::Quotes));
            };
            self.line += 1;
            if next.starts_with('#') {
                return Err(at(self.line, None).fault(Fault::CommentInQuotes));
            }
            line = next;
        }
        let line = begin;
        Ok(Some(Record { line, fields }))
    }
}

fn step(inside: Inside, letter: char, fields: &mut Vec<String>) -> Result<Inside, Fault> {
    let keep = |fields: &mut Vec<String>| {
        if let Some(field) = fields.last_mut() {
            field.push(letter);
        }
    };
    Ok(match (inside, letter) {
        (Inside::Start, '"') => Inside::Quotes,
        (Inside::Start | Inside::Plain | Inside::Quote, ',') => {
            fields.push(String::new());
            Inside::Start
        }
        (Inside::Start | Inside::Plain | Inside::Quote, '\n') => Inside::Start,
        (Inside::Start | Inside::Plain, _) => {
            keep(fields);
            Inside::Plain
        }
        (Inside::Quotes, '"') => Inside::Quote,
        (Inside::Quotes, _) => {
            keep(fields);
            Inside::Quotes
        }
        (Inside::Quote, '"') => {
            keep(fields);
            Inside::Quotes
        }
        (Inside::Quote, _) => return Err(Fault::Quotes),
    })
}

/// Writes a row per namespace and entry; a namespace is named again where entries return to it.
pub(super) fn encode(rows: &[Row]) -> Result<String, NvsError> {
    let mut text = String::from("key,type,encoding,value\n");
    let mut current: Option<Name> = None;
    for row in rows {
        match row {
            Row::Namespace(name) => {
                namespace(&mut text, *name);
                current = Some(*name);
            }
            Row::Entry(entry) => {
                if current != Some(entry.namespace) {
                    namespace(&mut text, entry.namespace);
                    current = Some(entry.namespace);
                }
                let value = entry.value.text();
                if value.contains('\r') || value.contains("\n#") {
                    let place = Place::entry(entry.namespace.as_str(), entry.key.as_str());
                    return Err(place.fault(Fault::NotCsv));
                }
                let (key, value) = (quoted(entry.key.as_str()), quoted(&value));
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{key},data,{},{value}", entry.value.encoding());
            }
        }
    }
    Ok(text)
}

fn namespace(text: &mut String, name: Name) {
    let _ = writeln!(text, "{},namespace,,", quoted(name.as_str()));
}

fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\n']) || field.starts_with('#') {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
