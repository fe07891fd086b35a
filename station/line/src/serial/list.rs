//! Serial numbers from a CSV file: one column holds the number, the others travel with it.
//!
//! Invariants of a list that was read: it has at least one row, every number is there once, none is
//! empty, and there are at most [`MAX_LIST_ROWS`] rows. Rows are counted as a spreadsheet counts
//! them: the header is row 1.

use std::collections::{BTreeMap, HashMap, HashSet};

use thiserror::Error;

/// Most rows a list may have.
pub const MAX_LIST_ROWS: usize = 1_000_000;

/// Largest file, in bytes.
pub const MAX_LIST_BYTES: u64 = 128 * 1024 * 1024;

/// Longest serial number, in bytes.
const MAX_SERIAL: usize = 128;

/// How many rows an error names before it says "and more".
const ROWS_NAMED: usize = 5;

/// One row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvRow {
    /// The serial number.
    pub serial: String,
    /// Every column by its name in the header, the number's own among them.
    pub columns: BTreeMap<String, String>,
}

/// Why a list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ListError {
    /// It is not CSV with equally many fields in every row.
    #[error("row {row} cannot be read: {reason}")]
    Malformed {
        /// Row, the header being 1.
        row: u64,
        /// What the reader says.
        reason: String,
    },
    /// The header has two columns of one name, or one without a name.
    #[error("the header names column `{name}` twice")]
    DuplicateColumn {
        /// Its name; empty for columns without one.
        name: String,
    },
    /// The header does not have the column.
    #[error("there is no column `{column}`")]
    NoColumn {
        /// What was asked for.
        column: String,
        /// What there is.
        found: Vec<String>,
    },
    /// There is a header and nothing else.
    #[error("there are no rows below the header")]
    NoRows,
    /// There are too many.
    #[error("there are more than {MAX_LIST_ROWS} rows")]
    TooManyRows,
    /// Numbers are missing.
    #[error("the serial number is empty in {}", name_rows(.rows))]
    Empty {
        /// In which rows.
        rows: Vec<u64>,
    },
    /// Numbers stand there more than once.
    #[error("{}", name_duplicates(.duplicates))]
    Duplicates {
        /// Number, row where it stands first, row where it stands again.
        duplicates: Vec<(String, u64, u64)>,
    },
    /// A number cannot be printed or scanned.
    #[error("the serial number in row {row} is too long or has a character that cannot be printed")]
    Unprintable {
        /// In which row.
        row: u64,
    },
}

fn name_rows(rows: &[u64]) -> String {
    let named: Vec<_> = rows.iter().take(ROWS_NAMED).map(u64::to_string).collect();
    let more = if rows.len() > ROWS_NAMED {
        format!(" and {} more", rows.len() - ROWS_NAMED)
    } else {
        String::new()
    };
    format!(
        "row{} {}{more}",
        if rows.len() == 1 { "" } else { "s" },
        named.join(", ")
    )
}

fn name_duplicates(duplicates: &[(String, u64, u64)]) -> String {
    let named: Vec<_> = duplicates
        .iter()
        .take(ROWS_NAMED)
        .map(|(serial, first, again)| format!("`{serial}` in rows {first} and {again}"))
        .collect();
    let more = if duplicates.len() > ROWS_NAMED {
        format!(" and {} more", duplicates.len() - ROWS_NAMED)
    } else {
        String::new()
    };
    format!(
        "serial numbers stand there twice: {}{more}",
        named.join(", ")
    )
}

/// Reads a list from CSV with a header (commas, quotes as in RFC 4180, UTF-8, a byte order mark is
/// passed over). Blanks around a field do not count.
///
/// # Errors
/// Everything that would give a unit no number, or two units one.
pub fn read_list(csv: &[u8], column: &str) -> Result<Vec<CsvRow>, ListError> {
    let csv = csv.strip_prefix(b"\xef\xbb\xbf").unwrap_or(csv);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(csv);
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(str::to_owned).collect(),
        Err(error) => return Err(malformed(&error, 1)),
    };
    if let Some(name) = named_twice(header.iter().map(String::as_str)) {
        let name = name.to_owned();
        return Err(ListError::DuplicateColumn { name });
    }
    let Some(position) = header.iter().position(|name| name == column) else {
        return Err(ListError::NoColumn {
            column: column.to_owned(),
            found: header,
        });
    };
    let mut rows = Vec::new();
    let mut empty = Vec::new();
    let mut number = 1;
    for record in reader.records() {
        number += 1;
        let record = record.map_err(|error| malformed(&error, number))?;
        if rows.len() >= MAX_LIST_ROWS {
            return Err(ListError::TooManyRows);
        }
        let serial = record.get(position).unwrap_or_default().to_owned();
        if serial.is_empty() {
            empty.push(number);
        }
        if serial.len() > MAX_SERIAL || serial.chars().any(char::is_control) {
            return Err(ListError::Unprintable { row: number });
        }
        let columns = header
            .iter()
            .cloned()
            .zip(record.iter().map(str::to_owned))
            .collect();
        rows.push(CsvRow { serial, columns });
    }
    if !empty.is_empty() {
        return Err(ListError::Empty { rows: empty });
    }
    if rows.is_empty() {
        return Err(ListError::NoRows);
    }
    refuse_duplicates(&rows)?;
    Ok(rows)
}

fn refuse_duplicates(rows: &[CsvRow]) -> Result<(), ListError> {
    let mut seen: HashMap<&str, u64> = HashMap::with_capacity(rows.len());
    let mut duplicates = Vec::new();
    for (row, number) in rows.iter().zip(2_u64..) {
        match seen.get(row.serial.as_str()) {
            Some(first) => duplicates.push((row.serial.clone(), *first, number)),
            None => {
                seen.insert(&row.serial, number);
            }
        }
    }
    if duplicates.is_empty() {
        Ok(())
    } else {
        Err(ListError::Duplicates { duplicates })
    }
}

fn malformed(error: &csv::Error, row: u64) -> ListError {
    let reason = reason(error);
    ListError::Malformed { row, reason }
}

/// The first name that stands there a second time.
pub(super) fn named_twice<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    let mut names = names;
    names.find(|name| !seen.insert(*name))
}

/// What is wrong with a row, in words.
pub(super) fn reason(error: &csv::Error) -> String {
    if let csv::ErrorKind::UnequalLengths {
        expected_len, len, ..
    } = error.kind()
    {
        format!("it has {len} fields where the header has {expected_len}")
    } else if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) {
        "it is not UTF-8".to_owned()
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_columns_travel_with_the_number() {
        let rows = read_list(
            b"\xef\xbb\xbfserial , key\nA1, x\n\"A2\",\"y, z\"\n",
            "serial",
        )
        .unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].serial, "A1");
        assert_eq!(rows[1].columns["key"], "y, z");
        assert_eq!(rows[1].columns["serial"], "A2");
    }

    #[test]
    fn duplicates_are_refused_with_their_rows() {
        let error = read_list(b"serial\nA1\nA2\nA1\nA2\n", "serial").unwrap_err();
        assert_eq!(
            error.to_string(),
            "serial numbers stand there twice: `A1` in rows 2 and 4, `A2` in rows 3 and 5"
        );
    }

    #[test]
    fn empty_numbers_are_refused_with_their_rows() {
        let error = read_list(b"serial,x\nA1,1\n ,2\n,3\n", "serial").unwrap_err();
        assert_eq!(error.to_string(), "the serial number is empty in rows 3, 4");
    }

    #[test]
    fn a_list_without_the_column_or_rows_is_refused() {
        let error = read_list(b"sn,x\nA1,1\n", "serial").unwrap_err();
        let found = vec!["sn".to_owned(), "x".to_owned()];
        assert_eq!(
            error,
            ListError::NoColumn {
                column: "serial".into(),
                found
            }
        );
        assert_eq!(read_list(b"serial\n", "serial"), Err(ListError::NoRows));
        assert_eq!(
            read_list(b"serial,x,x\n", "serial"),
            Err(ListError::DuplicateColumn { name: "x".into() })
        );
        assert!(matches!(
            read_list(b"", "serial"),
            Err(ListError::NoColumn { .. })
        ));
    }

    #[test]
    fn rows_of_another_length_and_control_characters_are_refused() {
        let error = read_list(b"serial,x\nA1,1\nA2\n", "serial").unwrap_err();
        assert_eq!(
            error.to_string(),
            "row 3 cannot be read: it has 1 fields where the header has 2"
        );
        let error = read_list(b"serial\n\"A\n1\"\n", "serial").unwrap_err();
        assert_eq!(error, ListError::Unprintable { row: 2 });
        assert!(matches!(
            read_list(b"serial\n\xff\xfe\n", "serial"),
            Err(ListError::Malformed { row: 2, .. })
        ));
    }

    #[test]
    fn a_million_rows_is_the_bound() {
        let mut csv = String::from("serial\n");
        for number in 0..=MAX_LIST_ROWS {
            csv.push_str(&number.to_string());
            csv.push('\n');
        }
        assert_eq!(
            read_list(csv.as_bytes(), "serial"),
            Err(ListError::TooManyRows)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange_to_be_judged(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_list(&bytes, "serial");
        }
    }
}
