//! What can be wrong with a partition table, and where.

use std::fmt;

use crate::flash::size_text;

/// Where in a table something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Line of the CSV text, from 1.
    Line(usize),
    /// Entry of the table, from 1.
    Entry(usize),
    /// The table as a whole.
    Table,
}

impl Place {
    pub(super) fn fault(self, fault: Fault) -> PartitionError {
        PartitionError { place: self, fault }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Entry(entry) => write!(f, "entry {entry}"),
            Self::Table => f.write_str("partition table"),
        }
    }
}

/// A partition table that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct PartitionError {
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
}

impl PartitionError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.fault.code()
    }

    /// The line of the CSV text, where there is one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self.place {
            Place::Line(line) => Some(line),
            Place::Entry(_) | Place::Table => None,
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No entry at all.
    #[error("no partitions")]
    Empty,
    /// More entries than fit.
    #[error("{0} partitions, of which 95 fit")]
    TooMany(usize),
    /// The text is too long to be a partition table.
    #[error("text of {0} bytes is too long")]
    TooLong(usize),
    /// A row has too few or too many columns.
    #[error("{0} columns; name, type, subtype, offset, size and flags were expected")]
    Columns(usize),
    /// A name that is empty, too long or not plain.
    #[error("name `{0}` is not 1 to 16 printable bytes")]
    Name(String),
    /// Two partitions with one name.
    #[error("name `{0}` is taken")]
    DuplicateName(String),
    /// A type that is neither known nor a number from 0x40 to 0xFE.
    #[error("unknown type `{0}`")]
    Kind(String),
    /// A subtype that its type does not have.
    #[error("unknown subtype `{0}`")]
    Subtype(String),
    /// A flag that does not exist.
    #[error("unknown flag `{0}`")]
    Flag(String),
    /// A number that is none.
    #[error("`{0}` is no number such as `0x9000`, `24K` or `1M`")]
    Number(String),
    /// A size left open or zero.
    #[error("partition `{0}` has no size")]
    NoSize(String),
    /// An offset left open where it cannot be filled in.
    #[error("partition `{0}` needs an offset")]
    NoOffset(String),
    /// An offset that its type does not allow.
    #[error("offset {offset:#x} of `{name}` is not a multiple of {alignment:#x}")]
    Unaligned {
        /// The partition.
        name: String,
        /// Its offset.
        offset: u32,
        /// What it must be a multiple of.
        alignment: u32,
    },
    /// A size that its type does not allow.
    #[error("size {size:#x} of `{name}`: {rule}")]
    Size {
        /// The partition.
        name: String,
        /// Its size.
        size: u32,
        /// What it must be.
        rule: &'static str,
    },
    /// A partition in front of or over the table.
    #[error("partition `{name}` at {offset:#x} is in front of the end of the table at {first:#x}")]
    BeforeTable {
        /// The partition.
        name: String,
        /// Its offset.
        offset: u32,
        /// The first offset allowed.
        first: u32,
    },
    /// Two partitions over each other.
    #[error("partition `{name}` overlaps `{other}`")]
    Overlap {
        /// The later partition.
        name: String,
        /// The earlier one.
        other: String,
    },
    /// A partition beyond the address space.
    #[error("partition `{0}` ends beyond 4 GiB")]
    BeyondAddresses(String),
    /// A partition beyond the flash.
    #[error("partition `{name}` does not fit a flash of {}", size_text(*flash_size))]
    BeyondFlash {
        /// The partition.
        name: String,
        /// Bytes of the flash.
        flash_size: u32,
    },
    /// Two partitions of which there can be one.
    #[error("partition `{name}` has the type and subtype of `{other}`")]
    DuplicateSubtype {
        /// The later partition.
        name: String,
        /// The earlier one.
        other: String,
    },
    /// A binary entry that begins with something else.
    #[error("entry begins with `{0:02x}{1:02x}` instead of `aa50`")]
    Magic(u8, u8),
    /// A binary table that ends without an end mark.
    #[error("no end mark")]
    NoEnd,
    /// A binary table without checksum.
    #[error("no MD5 checksum")]
    NoChecksum,
    /// A binary table with a wrong checksum.
    #[error("MD5 checksum does not match")]
    Checksum,
    /// Something between checksum and end mark.
    #[error("entry behind the checksum")]
    AfterChecksum,
}

impl Fault {
    /// The stable code of this fault.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "partition-empty",
            Self::TooMany(_) => "partition-too-many",
            Self::TooLong(_) => "partition-too-long",
            Self::Columns(_) => "partition-columns",
            Self::Name(_) => "partition-name",
            Self::DuplicateName(_) => "partition-duplicate-name",
            Self::Kind(_) => "partition-type",
            Self::Subtype(_) => "partition-subtype",
            Self::Flag(_) => "partition-flag",
            Self::Number(_) => "partition-number",
            Self::NoSize(_) => "partition-no-size",
            Self::NoOffset(_) => "partition-no-offset",
            Self::Unaligned { .. } => "partition-unaligned",
            Self::Size { .. } => "partition-size",
            Self::BeforeTable { .. } => "partition-before-table",
            Self::Overlap { .. } => "partition-overlap",
            Self::BeyondAddresses(_) => "partition-beyond-addresses",
            Self::BeyondFlash { .. } => "partition-beyond-flash",
            Self::DuplicateSubtype { .. } => "partition-duplicate-subtype",
            Self::Magic(..) => "partition-magic",
            Self::NoEnd => "partition-no-end",
            Self::NoChecksum => "partition-no-checksum",
            Self::Checksum => "partition-checksum",
            Self::AfterChecksum => "partition-after-checksum",
        }
    }
}
