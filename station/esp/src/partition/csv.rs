//! The CSV form of a partition table.
//!
//! Rules of ESP-IDF's gen_esp32part 1.5: rows are separated where Python separates lines; a row
//! that begins with `#` is a comment; missing columns are empty; offsets left open follow the
//! partition before on their alignment; offsets that are given rise from row to row; a negative
//! size says where the partition ends. Ours is stricter on purpose where the tool would keep quiet:
//! it cuts names after 16 bytes, drops a seventh column, and takes variables from the environment.

use std::fmt::Write as _;

use super::error::{Column, Fault, PartitionError, Place};
use super::number::number;
use super::{Entry, Kind, Rules, Subtype, TABLE_SECTOR};

/// Longest text that is looked at; a full table has some 10 KB.
const MAX_TEXT: usize = 256 * 1024;

/// Reads rows and fills in offsets that were left open.
pub(super) fn parse(text: &str, rules: &Rules) -> Result<Vec<(Place, Entry)>, PartitionError> {
    if text.len() > MAX_TEXT {
        return Err(Place::Table.fault(Fault::TooLong(text.len())));
    }
    let first = i64::from(rules.table_offset) + i64::from(TABLE_SECTOR);
    let mut next = first;
    let mut entries: Vec<(Place, Entry)> = Vec::new();
    for (index, line) in Lines(text.strip_prefix('\u{feff}').unwrap_or(text)).enumerate() {
        let row = line.trim();
        if row.is_empty() || row.starts_with('#') {
            continue;
        }
        let place = Place::Line(index + 1);
        let entry = Row::parse(row, rules)
            .and_then(|row| row.placed(next, first))
            .and_then(|entry| in_front(entry, rules.table_offset))
            .map_err(|fault| place.fault(fault))?;
        if !entry.is_primary() {
            next = i64::from(entry.offset) + i64::from(entry.size);
        }
        entries.push((place, entry));
    }
    Ok(entries)
}

/// The lines of a text as Python's `splitlines` has them, so that line numbers agree.
struct Lines<'a>(&'a str);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let ends = |letter: char| {
            matches!(
                letter,
                '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'
                    ..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
            )
        };
        let (line, rest) = match self.0.find(ends) {
            Some(at) => {
                let (line, rest) = self.0.split_at(at);
                let mut letters = rest.chars();
                if letters.next() == Some('\r') && letters.as_str().starts_with('\n') {
                    letters.next();
                }
                (line, letters.as_str())
            }
            None => (self.0, ""),
        };
        self.0 = rest;
        Some(line)
    }
}

/// A row whose offset may be open and whose size may be an end.
struct Row {
    name: String,
    kind: Kind,
    subtype: Subtype,
    offset: Option<i64>,
    size: i64,
    encrypted: bool,
    readonly: bool,
}

impl Row {
    fn parse(row: &str, rules: &Rules) -> Result<Self, Fault> {
        if row.contains('$') {
            return Err(Fault::Variable(row.to_owned()));
        }
        let columns: Vec<&str> = row.split(',').map(str::trim).collect();
        if columns.iter().skip(6).any(|column| !column.is_empty()) {
            return Err(Fault::Columns(columns.len()));
        }
        let column = |at: usize| columns.get(at).copied().unwrap_or("");
        let name = column(0).to_owned();
        let kind = parse_kind(column(1))?;
        let subtype = parse_subtype(kind, column(2), rules)?;
        let offset = parse_offset(kind, subtype, column(3), rules, &name)?;
        let size = parse_size(kind, column(4), rules, &name)?;
        let (encrypted, readonly) = parse_flags(column(5))?;
        Ok(Self {
            name,
            kind,
            subtype,
            offset,
            size,
            encrypted,
            readonly,
        })
    }

    /// The entry that begins at `next` or behind, for a table that lets partitions begin at `first`.
    fn placed(self, next: i64, first: i64) -> Result<Entry, Fault> {
        let beyond = || Fault::BeyondAddresses(self.name.clone());
        let primary = matches!(self.kind, Kind::Bootloader | Kind::PartitionTable)
            && self.subtype == Subtype::PRIMARY;
        let offset = match self.offset {
            Some(offset) if !primary && offset < next => {
                return Err(if offset < first {
                    Fault::BeforeTable {
                        name: self.name,
                        offset: u32::try_from(offset).unwrap_or(0),
                        first: u32::try_from(first).unwrap_or(u32::MAX),
                    }
                } else {
                    Fault::Order {
                        name: self.name,
                        offset: u32::try_from(offset).unwrap_or(u32::MAX),
                        end: u64::try_from(next).unwrap_or(0),
                    }
                });
            }
            Some(offset) => offset,
            None => {
                let unit = i64::from(self.kind.alignment());
                next.checked_add(unit - 1).ok_or_else(beyond)? / unit * unit
            }
        };
        let size = if self.size < 0 {
            let size = -self.size - offset;
            if size < 0 {
                return Err(Fault::EndsBefore {
                    name: self.name,
                    end: -self.size,
                });
            }
            size
        } else {
            self.size
        };
        Ok(Entry {
            offset: u32::try_from(offset).map_err(|_| beyond())?,
            size: u32::try_from(size).map_err(|_| beyond())?,
            name: self.name,
            kind: self.kind,
            subtype: self.subtype,
            encrypted: self.encrypted,
            readonly: self.readonly,
        })
    }
}

/// The entry, which as the first bootloader must end where the table begins; a row that says its
/// own place and size can say anything.
fn in_front(entry: Entry, table_offset: u32) -> Result<Entry, Fault> {
    let reaches = entry.end() > table_offset.into();
    if entry.kind == Kind::Bootloader && entry.is_primary() && reaches {
        return Err(Fault::IntoTable {
            name: entry.name,
            table: table_offset,
        });
    }
    Ok(entry)
}

fn parse_kind(text: &str) -> Result<Kind, Fault> {
    let named = || Kind::named(text);
    let numbered = |code: i64| u8::try_from(code).ok().and_then(Kind::from_code);
    number(text)
        .map_or_else(named, numbered)
        .ok_or_else(|| Fault::Kind(text.to_owned()))
}

fn parse_subtype(kind: Kind, text: &str, rules: &Rules) -> Result<Subtype, Fault> {
    let named = || rules.code_of(kind, text);
    let numbered = |code: i64| u8::try_from(code).ok().map(Subtype);
    match (text, kind) {
        ("", Kind::App) => None,
        ("", Kind::Data | Kind::Bootloader | Kind::PartitionTable | Kind::Custom(_)) => {
            Some(Subtype::UNDEFINED)
        }
        (text, _) => number(text).map_or_else(named, numbered),
    }
    .ok_or_else(|| Fault::Subtype(text.to_owned()))
}

fn parse_offset(
    kind: Kind,
    subtype: Subtype,
    text: &str,
    rules: &Rules,
    name: &str,
) -> Result<Option<i64>, Fault> {
    let known = match (kind, subtype) {
        (Kind::Bootloader, Subtype::PRIMARY) => Some(rules.primary_bootloader),
        (Kind::Bootloader, Subtype::RECOVERY) => Some(rules.recovery_bootloader),
        (Kind::PartitionTable, Subtype::PRIMARY) => Some(Some(rules.table_offset)),
        _ => None,
    };
    match known {
        Some(Some(offset)) => Ok(Some(offset.into())),
        // The rules do not say it, but a row that was written from a binary table does.
        Some(None) => match number(text) {
            None => Err(Fault::NoOffset(name.to_owned())),
            Some(_) => offset(text).map(Some),
        },
        None if text.is_empty() => Ok(None),
        None => offset(text).map(Some),
    }
}

fn parse_size(kind: Kind, text: &str, rules: &Rules, name: &str) -> Result<i64, Fault> {
    match kind {
        Kind::PartitionTable => Ok(TABLE_SECTOR.into()),
        Kind::Bootloader => match (rules.bootloader_size(), number(text)) {
            (Some(size), _) => Ok(size.into()),
            (None, None) => Err(Fault::NoSize(name.to_owned())),
            (None, Some(_)) => address(text, Column::Size),
        },
        Kind::App | Kind::Data | Kind::Custom(_) if text.is_empty() => {
            Err(Fault::NoSize(name.to_owned()))
        }
        Kind::App | Kind::Data | Kind::Custom(_) => address(text, Column::Size),
    }
}

/// A place in flash.
fn offset(text: &str) -> Result<i64, Fault> {
    match address(text, Column::Offset)? {
        value @ 0.. => Ok(value),
        _ => Err(Fault::Number {
            column: Column::Offset,
            text: text.to_owned(),
        }),
    }
}

/// A number of no more than 32 bits and a sign.
fn address(text: &str, column: Column) -> Result<i64, Fault> {
    number(text)
        .filter(|value| value.unsigned_abs() <= 1 << 32)
        .ok_or_else(|| Fault::Number {
            column,
            text: text.to_owned(),
        })
}

fn parse_flags(text: &str) -> Result<(bool, bool), Fault> {
    let (mut encrypted, mut readonly) = (false, false);
    for flag in text.split(':') {
        match flag {
            "encrypted" => encrypted = true,
            "readonly" => readonly = true,
            "" => {}
            other => return Err(Fault::Flag(other.to_owned())),
        }
    }
    Ok((encrypted, readonly))
}

/// Writes one row per entry, as Espressif's tool does.
pub(super) fn encode(entries: &[Entry], rules: &Rules) -> String {
    let mut text =
        String::from("# ESP-IDF Partition Table\n# Name, Type, SubType, Offset, Size, Flags\n");
    for entry in entries {
        let flags = match (entry.encrypted, entry.readonly) {
            (false, false) => "",
            (true, false) => "encrypted",
            (false, true) => "readonly",
            (true, true) => "encrypted:readonly",
        };
        let kind = match entry.kind {
            Kind::Custom(code) => code.to_string(),
            Kind::App | Kind::Data | Kind::Bootloader | Kind::PartitionTable => {
                entry.kind.name().into_owned()
            }
        };
        let subtype = rules
            .name_of(entry.kind, entry.subtype.0)
            .unwrap_or_else(|| entry.subtype.0.to_string());
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{},{kind},{subtype},{:#x},{},{flags}",
            entry.name,
            entry.offset,
            size_text(entry.size),
        );
    }
    text
}

fn size_text(size: u32) -> String {
    if size.is_multiple_of(0x10_0000) {
        format!("{}M", size / 0x10_0000)
    } else if size.is_multiple_of(0x400) {
        format!("{}K", size / 0x400)
    } else {
        format!("{size:#x}")
    }
}
