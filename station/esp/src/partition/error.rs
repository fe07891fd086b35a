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

/// A column of the CSV text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// The first.
    Name,
    /// The second.
    Type,
    /// The third.
    Subtype,
    /// The fourth.
    Offset,
    /// The fifth.
    Size,
    /// The sixth.
    Flags,
}

impl Column {
    /// Which column it is, from 1.
    #[must_use]
    pub fn number(self) -> usize {
        match self {
            Self::Name => 1,
            Self::Type => 2,
            Self::Subtype => 3,
            Self::Offset => 4,
            Self::Size => 5,
            Self::Flags => 6,
        }
    }

    /// What the column says.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Type => "type",
            Self::Subtype => "subtype",
            Self::Offset => "offset",
            Self::Size => "size",
            Self::Flags => "flags",
        }
    }
}

/// A partition table that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}{}: {fault}", in_column(*place, fault))]
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

    /// The column of the row, where one is to blame.
    #[must_use]
    pub fn column(&self) -> Option<Column> {
        self.fault.column()
    }
}

/// The words for the column, for text that has columns.
fn in_column(place: Place, fault: &Fault) -> String {
    match (place, fault.column()) {
        (Place::Line(_), Some(column)) => {
            format!(", column {} ({})", column.number(), column.name())
        }
        _ => String::new(),
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No entry at all.
    #[error("no partitions")]
    Empty,
    /// More entries than fit.
    #[error("{count} partitions, of which {most} fit")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// The text is too long to be a partition table.
    #[error("text of {0} bytes is too long")]
    TooLong(usize),
    /// The bytes are neither a binary table nor text.
    #[error("neither a binary table nor text in UTF-8 or UTF-16")]
    NotText,
    /// A row has too many columns.
    #[error("{0} columns; name, type, subtype, offset, size and flags were expected")]
    Columns(usize),
    /// A row with a variable, which no environment fills in here.
    #[error("variable in `{0}`")]
    Variable(String),
    /// A name that is empty, too long or not plain.
    #[error("name `{0}` is not 1 to 16 printable bytes without `,` and `$`")]
    Name(String),
    /// Two partitions with one name.
    #[error("name `{0}` is taken")]
    DuplicateName(String),
    /// A type that is neither known nor a number up to 0xFE.
    #[error("unknown type `{0}`")]
    Kind(String),
    /// A subtype that its type does not have.
    #[error("unknown subtype `{0}`")]
    Subtype(String),
    /// A flag that does not exist.
    #[error("unknown flag `{0}`")]
    Flag(String),
    /// A number that is none.
    #[error("`{text}` is no number such as `0x9000`, `24K` or `1M`")]
    Number {
        /// Where it stands.
        column: Column,
        /// What stands there.
        text: String,
    },
    /// A subtype to add that is none, or is there already.
    #[error("`{0}` is no new subtype such as `data, mine, 0x40`")]
    ExtraSubtype(String),
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
    /// A partition that ends in front of its beginning.
    #[error("partition `{name}` ends at {end:#x}, in front of where it begins")]
    EndsBefore {
        /// The partition.
        name: String,
        /// Where it is to end.
        end: i64,
    },
    /// A partition that the application must be able to write.
    #[error("partition `{0}` is always written and cannot be read-only")]
    ReadOnly(String),
    /// A bootloader behind the table.
    #[error("the bootloader at {offset:#x} is not in front of the table at {table:#x}")]
    BootloaderBehindTable {
        /// Where the bootloader lies.
        offset: u32,
        /// Where the table lies.
        table: u32,
    },
    /// A row whose offset lies in front of the end of the partition above.
    #[error("partition `{name}` at {offset:#x} is in front of {end:#x}, where the one above ends")]
    Order {
        /// The partition.
        name: String,
        /// Its offset.
        offset: u32,
        /// The end of the partition above.
        end: u64,
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
    /// A row for the bootloader that reaches into the table.
    #[error("partition `{name}` reaches into the table at {table:#x}")]
    IntoTable {
        /// The partition.
        name: String,
        /// Where the table lies.
        table: u32,
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
    /// A row of the checksum with something between mark and digest.
    #[error("the row of the MD5 checksum has other bytes than `ff` between mark and digest")]
    ChecksumRow,
    /// A binary table with a wrong checksum.
    #[error("MD5 checksum does not match")]
    Checksum,
    /// Something between checksum and end mark.
    #[error("entry behind the checksum")]
    AfterChecksum,
}

impl Fault {
    /// The column to blame.
    fn column(&self) -> Option<Column> {
        match self {
            Self::Name(_) | Self::DuplicateName(_) => Some(Column::Name),
            Self::Kind(_) => Some(Column::Type),
            Self::Subtype(_) | Self::DuplicateSubtype { .. } => Some(Column::Subtype),
            Self::NoOffset(_)
            | Self::Unaligned { .. }
            | Self::Order { .. }
            | Self::BeforeTable { .. }
            | Self::Overlap { .. } => Some(Column::Offset),
            Self::NoSize(_)
            | Self::IntoTable { .. }
            | Self::Size { .. }
            | Self::EndsBefore { .. }
            | Self::BeyondAddresses(_)
            | Self::BeyondFlash { .. } => Some(Column::Size),
            Self::Flag(_) | Self::ReadOnly(_) => Some(Column::Flags),
            Self::Number { column, .. } => Some(*column),
            Self::Empty
            | Self::TooMany { .. }
            | Self::TooLong(_)
            | Self::NotText
            | Self::Columns(_)
            | Self::Variable(_)
            | Self::ExtraSubtype(_)
            | Self::BootloaderBehindTable { .. }
            | Self::Magic(..)
            | Self::NoEnd
            | Self::NoChecksum
            | Self::ChecksumRow
            | Self::Checksum
            | Self::AfterChecksum => None,
        }
    }

    /// The stable code of this fault.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "partition-empty",
            Self::TooMany { .. } => "partition-too-many",
            Self::TooLong(_) => "partition-too-long",
            Self::NotText => "partition-not-text",
            Self::Columns(_) => "partition-columns",
            Self::Variable(_) => "partition-variable",
            Self::Name(_) => "partition-name",
            Self::DuplicateName(_) => "partition-duplicate-name",
            Self::Kind(_) => "partition-type",
            Self::Subtype(_) => "partition-subtype",
            Self::Flag(_) => "partition-flag",
            Self::Number { .. } => "partition-number",
            Self::NoSize(_) => "partition-no-size",
            Self::NoOffset(_) => "partition-no-offset",
            Self::Unaligned { .. } => "partition-unaligned",
            Self::Size { .. } => "partition-size",
            Self::ExtraSubtype(_) => "partition-extra-subtype",
            Self::EndsBefore { .. } => "partition-ends-before",
            Self::ReadOnly(_) => "partition-read-only",
            Self::BootloaderBehindTable { .. } => "partition-bootloader-behind-table",
            Self::Order { .. } => "partition-order",
            Self::BeforeTable { .. } => "partition-before-table",
            Self::IntoTable { .. } => "partition-into-table",
            Self::Overlap { .. } => "partition-overlap",
            Self::BeyondAddresses(_) => "partition-beyond-addresses",
            Self::BeyondFlash { .. } => "partition-beyond-flash",
            Self::DuplicateSubtype { .. } => "partition-duplicate-subtype",
            Self::Magic(..) => "partition-magic",
            Self::NoEnd => "partition-no-end",
            Self::NoChecksum => "partition-no-checksum",
            Self::ChecksumRow => "partition-checksum-row",
            Self::Checksum => "partition-checksum",
            Self::AfterChecksum => "partition-after-checksum",
        }
    }
}
