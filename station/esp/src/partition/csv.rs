//! The CSV form of a partition table.

use std::fmt::Write as _;

use super::error::{Fault, PartitionError, Place};
use super::{Entry, Kind, Subtype, TABLE_SECTOR};

/// Longest text that is looked at; a full table has some 10 KB.
const MAX_TEXT: usize = 256 * 1024;

/// Reads rows and fills in offsets that were left open.
pub(super) fn parse(text: &str, table_offset: u32) -> Result<Vec<(Place, Entry)>, PartitionError> {
    if text.len() > MAX_TEXT {
        return Err(Place::Table.fault(Fault::TooLong(text.len())));
    }
    let mut next = u64::from(table_offset) + u64::from(TABLE_SECTOR);
    let mut entries = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let row = line.split('#').next().unwrap_or("").trim();
        if row.is_empty() {
            continue;
        }
        let place = Place::Line(index + 1);
        let entry = parse_row(row, next).map_err(|fault| place.fault(fault))?;
        next = entry.end();
        entries.push((place, entry));
    }
    Ok(entries)
}

fn parse_row(row: &str, next: u64) -> Result<Entry, Fault> {
    let columns: Vec<&str> = row.split(',').map(str::trim).collect();
    let (name, kind, subtype, offset, size, flags) = match columns[..] {
        [name, kind, subtype, offset, size] | [name, kind, subtype, offset, size, ""] => {
            (name, kind, subtype, offset, size, "")
        }
        // A comma at the end of the row is common and harmless.
        [name, kind, subtype, offset, size, flags]
        | [name, kind, subtype, offset, size, flags, ""] => {
            (name, kind, subtype, offset, size, flags)
        }
        _ => return Err(Fault::Columns(columns.len())),
    };
    let kind = parse_kind(kind)?;
    let subtype = match subtype {
        "" if matches!(kind, Kind::Custom(_)) => Subtype(0),
        text => Subtype::parse(kind, text).ok_or_else(|| Fault::Subtype(text.to_owned()))?,
    };
    let (encrypted, readonly) = parse_flags(flags)?;
    let size = match size {
        "" => return Err(Fault::NoSize(name.to_owned())),
        text => number(text).ok_or_else(|| Fault::Number(text.to_owned()))?,
    };
    let offset = match offset {
        "" if matches!(kind, Kind::Bootloader | Kind::PartitionTable) => {
            return Err(Fault::NoOffset(name.to_owned()));
        }
        "" => u32::try_from(next.next_multiple_of(kind.alignment().into()))
            .map_err(|_| Fault::BeyondAddresses(name.to_owned()))?,
        text => number(text).ok_or_else(|| Fault::Number(text.to_owned()))?,
    };
    Ok(Entry {
        name: name.to_owned(),
        kind,
        subtype,
        offset,
        size,
        encrypted,
        readonly,
    })
}

fn parse_kind(text: &str) -> Result<Kind, Fault> {
    match text {
        "app" => Ok(Kind::App),
        "data" => Ok(Kind::Data),
        "bootloader" => Ok(Kind::Bootloader),
        "partition_table" => Ok(Kind::PartitionTable),
        text => number(text)
            .and_then(|code| u8::try_from(code).ok())
            .and_then(Kind::from_code)
            .ok_or_else(|| Fault::Kind(text.to_owned())),
    }
}

fn parse_flags(text: &str) -> Result<(bool, bool), Fault> {
    let (mut encrypted, mut readonly) = (false, false);
    for flag in text
        .split(':')
        .map(str::trim)
        .filter(|flag| !flag.is_empty())
    {
        match flag {
            "encrypted" => encrypted = true,
            "readonly" => readonly = true,
            other => return Err(Fault::Flag(other.to_owned())),
        }
    }
    Ok((encrypted, readonly))
}

/// A decimal or hexadecimal number, or a decimal one with `K` or `M`.
pub(super) fn number(text: &str) -> Option<u32> {
    let plain = |digits: &str, radix| {
        let proper = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        if proper {
            u32::from_str_radix(digits, radix).ok()
        } else {
            None
        }
    };
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return plain(digits, 16);
    }
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1024),
        b'm' | b'M' => (&text[..text.len() - 1], 1024 * 1024),
        _ => (text, 1),
    };
    plain(digits, 10)?.checked_mul(unit)
}

/// Writes one row per entry.
pub(super) fn encode(entries: &[Entry]) -> String {
    let mut text = String::from("# Name, Type, SubType, Offset, Size, Flags\n");
    for entry in entries {
        let flags = match (entry.encrypted, entry.readonly) {
            (false, false) => "",
            (true, false) => "encrypted",
            (false, true) => "readonly",
            (true, true) => "encrypted:readonly",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{},{},{},{:#x},{:#x},{flags}",
            entry.name,
            entry.kind.name(),
            entry.subtype.name(entry.kind),
            entry.offset,
            entry.size,
        );
    }
    text
}
