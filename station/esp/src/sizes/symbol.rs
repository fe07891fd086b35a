//! Symbols of a program, by size, with the names their authors gave.
//!
//! Invariant: names are kept for the largest symbols only, so that a table whose entries share one
//! long name cannot make much out of little; a demangled name is cut where it grows too long.

use std::fmt::{self, Write};

use super::object::{Object, ObjectError, Raw};
use super::{SectionSize, SymbolSize};

/// Symbols that are reported.
const MAX_SYMBOLS: usize = 20_000;
/// Bytes of all reported names.
const MAX_NAMES: usize = 8 * 1024 * 1024;
/// Longest demangled name.
const MAX_DEMANGLED: usize = 512;

/// The symbols, largest first; what they cover is taken off their sections' unnamed bytes.
pub(super) fn symbols(
    object: &Object<'_>,
    sections: &mut [(usize, SectionSize)],
) -> Result<Vec<SymbolSize>, ObjectError> {
    let mut places = std::collections::HashMap::new();
    for (place, (index, _)) in sections.iter().enumerate() {
        places.insert(*index, place);
    }
    let mut raw: Vec<(usize, Raw<'_>)> = Vec::new();
    for symbol in object.symbols()? {
        let Some(place) = places.get(&symbol.section).copied() else {
            continue;
        };
        let section = &sections[place].1;
        let end = u64::from(section.address) + u64::from(section.size);
        let inside = section.address <= symbol.address
            && u64::from(symbol.address) + u64::from(symbol.size) <= end;
        if inside {
            raw.push((place, symbol));
        }
    }
    raw.sort_by_key(|(place, symbol)| (*place, symbol.address, symbol.size, symbol.name));
    // Aliases, such as the two names of a constructor, are the same bytes.
    raw.dedup_by_key(|(place, symbol)| (*place, symbol.address, symbol.size));
    let mut covered = 0;
    let mut last = usize::MAX;
    for (place, symbol) in &raw {
        if *place != last {
            (last, covered) = (*place, 0);
        }
        let start = u64::from(symbol.address).max(covered);
        let end = u64::from(symbol.address) + u64::from(symbol.size);
        if end > start {
            let section = &mut sections[*place].1;
            let taken = u32::try_from(end - start).unwrap_or(u32::MAX);
            section.unnamed = section.unnamed.saturating_sub(taken);
            covered = end;
        }
    }
    raw.sort_by_key(|(_, symbol)| (std::cmp::Reverse(symbol.size), symbol.address));
    let mut room = MAX_NAMES;
    Ok(raw
        .into_iter()
        .take(MAX_SYMBOLS)
        .map_while(|(section, symbol)| {
            let name = String::from_utf8_lossy(symbol.name).into_owned();
            let demangled = demangled(&name);
            let cost = name.len() + demangled.as_ref().map_or(0, String::len);
            room = room.checked_sub(cost)?;
            Some(SymbolSize {
                name,
                demangled,
                address: symbol.address,
                size: symbol.size,
                section,
            })
        })
        .collect())
}

/// The name that a Rust or C++ author gave; `None` for plain names.
#[must_use]
pub fn demangled(name: &str) -> Option<String> {
    let mut out = Short(String::new());
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        // Too long a name ends in an error, and what fitted stays.
        let _ = write!(out, "{rust:#}");
    } else if name.starts_with("_Z") && name.len() <= MAX_DEMANGLED {
        let symbol = cpp_demangle::Symbol::new(name).ok()?;
        let options = cpp_demangle::DemangleOptions::default();
        let _ = symbol.structured_demangle(&mut out, &options);
    }
    (!out.0.is_empty()).then_some(out.0)
}

/// Text that takes no more than [`MAX_DEMANGLED`] bytes.
struct Short(String);

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_DEMANGLED {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}
