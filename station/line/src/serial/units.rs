//! What each unit gets of its own, from a CSV file: one column names the unit, by its MAC or by its
//! serial number, the others are values.
//!
//! Invariants of a list that was read: it has at least one row and at most [`MAX_LIST_ROWS`]; every
//! unit is named once, MACs in the journal's form; rows lie in the order of what names them, so that
//! the order in the file does not count. Rows are counted as a spreadsheet counts them: the header
//! is row 1.

use thiserror::Error;

use station_esp::chip::MacAddress;

use super::list::MAX_LIST_ROWS;

/// Longest text that names a unit, in bytes.
const MAX_KEY: usize = 128;

/// How many rows an error names before it says "and more".
const ROWS_NAMED: usize = 5;

/// What names a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKey {
    /// Its MAC.
    Mac,
    /// Its serial number.
    Serial,
}

impl UnitKey {
    /// The name under which templates know it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mac => "mac",
            Self::Serial => "serial",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Mac => "MAC",
            Self::Serial => "serial number",
        }
    }
}

/// Values of units, each row for the unit it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitList {
    file: String,
    key: UnitKey,
    columns: Vec<String>,
    rows: Vec<UnitRow>,
}

/// The values of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitRow {
    /// What names the unit.
    pub unit: String,
    /// Where it stands in the file.
    pub row: u64,
    /// One for each of the list's columns.
    values: Vec<String>,
}

/// Why a list cannot be used. Everything that is wrong with units is found at once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnitListError {
    /// It is not CSV with equally many fields in every row.
    #[error("row {row} cannot be read: {reason}")]
    Malformed {
        /// Row, the header being 1.
        row: u64,
        /// What the reader says.
        reason: String,
    },
    /// The header has two columns of one name.
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
    /// The column that names the unit is the only one.
    #[error("there is no column beside `{column}`")]
    NoValues {
        /// It.
        column: String,
    },
    /// There is a header and nothing else.
    #[error("there are no rows below the header")]
    NoRows,
    /// There are too many.
    #[error("there are more than {MAX_LIST_ROWS} rows")]
    TooManyRows,
    /// Rows name nobody.
    #[error("the {} is empty in {}", key.title(), rows_of(rows))]
    Empty {
        /// What should be there.
        key: UnitKey,
        /// In which rows.
        rows: Vec<u64>,
    },
    /// Rows name what no unit can have.
    #[error("{}", malformed(*key, rows))]
    NoUnit {
        /// What should be there.
        key: UnitKey,
        /// What is there instead, and in which row.
        rows: Vec<(String, u64)>,
    },
    /// Units stand there more than once.
    #[error("{}", twice(*key, units))]
    Duplicates {
        /// What names the units.
        key: UnitKey,
        /// Unit, row where it stands first, row where it stands again.
        units: Vec<(String, u64, u64)>,
    },
}

fn rows_of(rows: &[u64]) -> String {
    let plural = if rows.len() == 1 { "" } else { "s" };
    format!("row{plural} {}", listed(rows, u64::to_string))
}

fn malformed(key: UnitKey, rows: &[(String, u64)]) -> String {
    let each = listed(rows, |(text, row)| format!("`{text}` in row {row}"));
    let what = match key {
        UnitKey::Mac => "no MAC such as `7c:df:a1:00:00:01`",
        UnitKey::Serial => "no serial number: too long, or with characters that cannot be printed",
    };
    format!("{each}: {what}")
}

fn twice(key: UnitKey, units: &[(String, u64, u64)]) -> String {
    let each = listed(units, |(unit, first, again)| {
        format!("`{unit}` in rows {first} and {again}")
    });
    format!("{}s stand there twice: {each}", key.title())
}

/// The first few of many, and how many more there are.
pub(crate) fn listed<T>(all: &[T], show: impl Fn(&T) -> String) -> String {
    let named: Vec<_> = all.iter().take(ROWS_NAMED).map(show).collect();
    let more = if all.len() > ROWS_NAMED {
        format!(" and {} more", all.len() - ROWS_NAMED)
    } else {
        String::new()
    };
    format!("{}{more}", named.join(", "))
}

impl UnitList {
    /// Reads a list from CSV with a header (commas, quotes as in RFC 4180, UTF-8, a byte order mark
    /// is passed over). Blanks around a field do not count. `file` is what people call it, `column`
    /// the one that names the unit.
    ///
    /// # Errors
    /// Everything that would give a unit no row or two, and what is no such CSV.
    pub fn read(
        file: &str,
        csv: &[u8],
        key: UnitKey,
        column: &str,
    ) -> Result<Self, Vec<UnitListError>> {
        let csv = csv.strip_prefix(b"\xef\xbb\xbf").unwrap_or(csv);
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(csv);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(vec![unreadable(&error, 1)]),
        };
        let position = place_of(&header, column).map_err(|error| vec![error])?;
        let mut units = Vec::new();
        let mut rows = Vec::new();
        for (record, row) in reader.records().zip(2_u64..) {
            let record = record.map_err(|error| vec![unreadable(&error, row)])?;
            if rows.len() >= MAX_LIST_ROWS {
                return Err(vec![UnitListError::TooManyRows]);
            }
            units.push((record.get(position).unwrap_or_default().to_owned(), row));
            let values = record.iter().enumerate();
            let values = values.filter(|(at, _)| *at != position);
            rows.push(values.map(|(_, value)| value.to_owned()).collect());
        }
        if rows.is_empty() {
            return Err(vec![UnitListError::NoRows]);
        }
        let units = settle(key, &units)?;
        let mut rows: Vec<_> = units
            .into_iter()
            .zip(2_u64..)
            .zip(rows)
            .map(|((unit, row), values)| UnitRow { unit, row, values })
            .collect();
        rows.sort_by(|left, right| left.unit.cmp(&right.unit));
        let columns = header.iter().enumerate();
        let columns = columns.filter(|(at, _)| *at != position);
        Ok(Self {
            file: file.to_owned(),
            key,
            columns: columns.map(|(_, name)| name.to_owned()).collect(),
            rows,
        })
    }

    /// The file's name, for people.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What names a unit.
    pub fn key(&self) -> UnitKey {
        self.key
    }

    /// The columns besides the one that names the unit, in their order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The rows, in the order of what names their units.
    pub fn rows(&self) -> &[UnitRow] {
        &self.rows
    }

    /// The row of a unit.
    pub fn find(&self, unit: &str) -> Option<&UnitRow> {
        let found = self
            .rows
            .binary_search_by(|row| row.unit.as_str().cmp(unit));
        found.ok().and_then(|at| self.rows.get(at))
    }

    /// The value of a row in a column.
    pub fn value<'a>(&self, row: &'a UnitRow, column: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|name| name == column)?;
        row.values.get(at).map(String::as_str)
    }

    /// The values of a row, each with its column.
    pub fn values<'a>(&'a self, row: &'a UnitRow) -> impl Iterator<Item = (&'a str, &'a str)> {
        let columns = self.columns.iter().map(String::as_str);
        columns.zip(row.values.iter().map(String::as_str))
    }
}

/// Where the column is that names the unit.
fn place_of(header: &csv::StringRecord, column: &str) -> Result<usize, UnitListError> {
    if let Some(name) = super::list::named_twice(header.iter()) {
        let name = name.to_owned();
        return Err(UnitListError::DuplicateColumn { name });
    }
    let column = column.to_owned();
    let Some(position) = header.iter().position(|name| name == column) else {
        let found = header.iter().map(str::to_owned).collect();
        return Err(UnitListError::NoColumn { column, found });
    };
    if header.len() == 1 {
        return Err(UnitListError::NoValues { column });
    }
    Ok(position)
}

fn unreadable(error: &csv::Error, row: u64) -> UnitListError {
    UnitListError::Malformed {
        row,
        reason: super::list::reason(error),
    }
}

/// Checks what names the units and brings MACs into the journal's form. Everything wrong is found.
pub(super) fn settle(
    key: UnitKey,
    units: &[(String, u64)],
) -> Result<Vec<String>, Vec<UnitListError>> {
    let mut settled = Vec::with_capacity(units.len());
    let (mut empty, mut none) = (Vec::new(), Vec::new());
    for (text, row) in units {
        if text.is_empty() {
            empty.push(*row);
            continue;
        }
        match own_form(key, text) {
            Some(unit) => settled.push((unit, *row)),
            None => none.push((text.escape_debug().take(60).collect(), *row)),
        }
    }
    let mut errors = Vec::new();
    if !empty.is_empty() {
        errors.push(UnitListError::Empty { key, rows: empty });
    }
    if !none.is_empty() {
        errors.push(UnitListError::NoUnit { key, rows: none });
    }
    let units = duplicates(&settled);
    if !units.is_empty() {
        errors.push(UnitListError::Duplicates { key, units });
    }
    if errors.is_empty() {
        Ok(settled.into_iter().map(|(unit, _)| unit).collect())
    } else {
        Err(errors)
    }
}

fn own_form(key: UnitKey, text: &str) -> Option<String> {
    match key {
        UnitKey::Mac => text.parse::<MacAddress>().ok().map(|mac| mac.to_string()),
        UnitKey::Serial => {
            let sound = text.len() <= MAX_KEY && !text.chars().any(char::is_control);
            sound.then(|| text.to_owned())
        }
    }
}

fn duplicates(units: &[(String, u64)]) -> Vec<(String, u64, u64)> {
    let mut seen = std::collections::HashMap::with_capacity(units.len());
    let mut again = Vec::new();
    for (unit, row) in units {
        match seen.get(unit.as_str()) {
            Some(first) => again.push((unit.clone(), *first, *row)),
            None => {
                seen.insert(unit.as_str(), *row);
            }
        }
    }
    again
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(csv: &str) -> Result<UnitList, String> {
        UnitList::read("units.csv", csv.as_bytes(), UnitKey::Mac, "mac").map_err(|errors| {
            let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
            lines.join("\n")
        })
    }

    #[test]
    fn a_unit_is_found_however_its_mac_is_written_and_wherever_its_row_stands() {
        let csv = "\u{feff}zone, mac ,name\n1,7CDFA1000002,b\n2,7c-df-a1-00-00-01, a \n";
        let list = read(csv).unwrap();
        assert_eq!(list.columns(), ["zone", "name"]);
        let row = list.find("7c:df:a1:00:00:01").unwrap();
        assert_eq!(row.row, 3);
        let values: Vec<_> = list.values(row).collect();
        assert_eq!(values, [("zone", "2"), ("name", "a")]);
        assert_eq!(list.value(row, "name"), Some("a"));
        assert_eq!(list.find("7c:df:a1:00:00:03"), None);
    }

    #[test]
    fn everything_that_is_wrong_with_units_is_said_at_once() {
        let csv = "mac,x\n7c:df:a1:00:00:01,1\n,2\n7cdfa1000001,3\n7c:df,4\nnobody,5\n,6\n";
        assert_eq!(
            read(csv).unwrap_err(),
            "the MAC is empty in rows 3, 7\n\
             `7c:df` in row 5, `nobody` in row 6: no MAC such as `7c:df:a1:00:00:01`\n\
             MACs stand there twice: `7c:df:a1:00:00:01` in rows 2 and 4"
        );
    }

    #[test]
    fn a_header_of_very_many_columns_is_judged_at_once() {
        // One look at each against all others would take hours.
        let header: Vec<_> = (0..1_000_000).map(|at| format!("c{at}")).collect();
        let csv = format!("mac,{}\n", header.join(","));
        assert_eq!(
            read(&csv).unwrap_err(),
            "there are no rows below the header"
        );
    }

    #[test]
    fn what_is_no_list_of_units_is_refused() {
        for (csv, error) in [
            ("", "there is no column `mac`"),
            ("mac\n7cdfa1000001\n", "there is no column beside `mac`"),
            ("mac,x,x\n", "the header names column `x` twice"),
            ("mac,x\n", "there are no rows below the header"),
            (
                "mac,x\n7cdfa1000001\n",
                "row 2 cannot be read: it has 1 fields where the header has 2",
            ),
        ] {
            assert_eq!(read(csv).unwrap_err(), error, "{csv}");
        }
    }

    proptest! {
        #[test]
        fn every_row_is_found_again_in_any_order(
            units in proptest::collection::btree_set(0_u64..1 << 46, 1..40),
            turn in 0_usize..40,
        ) {
            let mut macs: Vec<_> = units.iter().map(|unit| format!("{:012x}", unit << 1)).collect();
            let turn = turn % macs.len();
            macs.rotate_left(turn);
            let rows: String = macs.iter().map(|mac| format!("{mac},v{mac}\n")).collect();
            let list = read(&format!("mac,v\n{rows}")).unwrap();
            for mac in macs {
                let unit = mac.parse::<MacAddress>().unwrap().to_string();
                let row = list.find(&unit).unwrap();
                let wanted = format!("v{mac}");
                prop_assert_eq!(list.value(row, "v"), Some(wanted.as_str()));
            }
        }

        #[test]
        fn no_bytes_are_too_strange_to_be_judged(
            bytes in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            let _ = UnitList::read("x", &bytes, UnitKey::Serial, "serial");
        }
    }
}
