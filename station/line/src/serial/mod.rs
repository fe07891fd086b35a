//! Serial numbers as values: where they come from and what they look like.
//!
//! Invariants: nothing here remembers which numbers are taken, that is the journal's; every number
//! a source yields has one fixed length (patterns) or stands in the list as it is (CSV); a source
//! that is used up says so and never starts again from the beginning. Values of units that come with
//! no number lie beside them, for they are found by number or MAC.

mod check_digit;
mod list;
mod pattern;
mod units;

pub use check_digit::CheckDigit;
pub use list::{CsvRow, ListError, MAX_LIST_BYTES, MAX_LIST_ROWS, read_list};
pub use pattern::{PatternError, RanDry, SerialPattern};
pub(crate) use units::listed;
pub use units::{UnitKey, UnitList, UnitListError, UnitRow};

use chrono::NaiveDate;

/// Where the serial numbers of a plan come from.
#[derive(Clone, Debug)]
pub enum SerialSource {
    /// A counter that a pattern turns into numbers. The counter begins at 1 and never goes back.
    Pool {
        /// Name of the pool; two recipes with the same pool share its counter.
        name: String,
        /// What a number looks like.
        pattern: SerialPattern,
    },
    /// A list that somebody else has made.
    Csv {
        /// Name of the pool; two recipes with the same pool share what is taken.
        name: String,
        /// The numbers, in the order they are given out. No two are equal, none is empty.
        rows: Vec<CsvRow>,
        /// Which unit each row is for, if every row names one; then order does not count.
        units: Option<RowUnits>,
    },
}

/// The unit that each row of a serial list names, by its MAC. No MAC is there twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowUnits {
    file: String,
    column: String,
    /// MACs in order, each with its row.
    places: Vec<(String, usize)>,
}

impl RowUnits {
    /// Takes the MACs of all rows from a column.
    ///
    /// # Errors
    /// Rows that name nobody, or a unit that another names.
    pub fn read(file: &str, column: &str, rows: &[CsvRow]) -> Result<Self, Vec<UnitListError>> {
        let macs = rows.iter().zip(2_u64..).map(|(row, number)| {
            let mac = row.columns.get(column);
            (mac.cloned().unwrap_or_default(), number)
        });
        let macs = units::settle(UnitKey::Mac, &macs.collect::<Vec<_>>())?;
        let mut places: Vec<_> = macs.into_iter().zip(0..).collect();
        places.sort();
        Ok(Self {
            file: file.to_owned(),
            column: column.to_owned(),
            places,
        })
    }

    /// The file's name, for people.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The column that names units.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Which row, from 0, is for the unit with this MAC, in the journal's form.
    pub fn row_of(&self, mac: &str) -> Option<usize> {
        let found = self
            .places
            .binary_search_by(|(unit, _)| unit.as_str().cmp(mac));
        found
            .ok()
            .and_then(|at| self.places.get(at))
            .map(|(_, row)| *row)
    }

    /// The MACs, in their order, with the row of each, from 0.
    pub fn macs(&self) -> impl Iterator<Item = (&str, usize)> {
        self.places.iter().map(|(mac, row)| (mac.as_str(), *row))
    }
}

impl SerialSource {
    /// Returns the name under which the journal keeps what is taken.
    pub fn name(&self) -> &str {
        match self {
            Self::Pool { name, .. } | Self::Csv { name, .. } => name,
        }
    }

    /// Returns how many numbers it has from first to last.
    pub fn capacity(&self) -> u64 {
        match self {
            Self::Pool { pattern, .. } => pattern.last_counter(),
            Self::Csv { rows, .. } => u64::try_from(rows.len()).unwrap_or(u64::MAX),
        }
    }

    /// Returns the `position`th number, from 1: the counter of a pattern, the row of a list.
    ///
    /// `on` is the day that year, week and day stand for.
    ///
    /// # Errors
    /// [`RanDry`] past the last one, and for position 0.
    pub fn serial(&self, position: u64, on: NaiveDate) -> Result<String, RanDry> {
        match self {
            Self::Pool { pattern, .. } => pattern.format(position, on),
            Self::Csv { rows, .. } => position
                .checked_sub(1)
                .and_then(|index| usize::try_from(index).ok())
                .and_then(|index| rows.get(index))
                .map(|row| row.serial.clone())
                .ok_or(RanDry {
                    position,
                    last: self.capacity(),
                }),
        }
    }

    /// Returns the list's row of that number; a pattern has none.
    pub fn row(&self, serial: &str) -> Option<&CsvRow> {
        match self {
            Self::Pool { .. } => None,
            Self::Csv { rows, .. } => rows.iter().find(|row| row.serial == serial),
        }
    }

    /// Returns the longest number it can give, in bytes.
    pub fn longest(&self) -> usize {
        match self {
            Self::Pool { pattern, .. } => pattern.length(),
            Self::Csv { rows, .. } => rows.iter().map(|row| row.serial.len()).max().unwrap_or(0),
        }
    }
}
