//! What can be wrong with an NVS table, its size or its keys, and where.

use std::fmt;

/// A column of the CSV form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The name of the key or namespace.
    Key,
    /// `data`, `file` or `namespace`.
    Type,
    /// How the value is written.
    Encoding,
    /// The value, or the name of a file.
    Value,
}

impl Column {
    pub(super) const ALL: [Self; 4] = [Self::Key, Self::Type, Self::Encoding, Self::Value];

    /// The name in the header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Type => "type",
            Self::Encoding => "encoding",
            Self::Value => "value",
        }
    }
}

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of the CSV text, from 1, and the column if it is one column's fault.
    Line {
        /// The line on which the row begins.
        line: usize,
        /// The column.
        column: Option<Column>,
    },
    /// A namespace.
    Namespace(String),
    /// An entry.
    Entry {
        /// Its namespace.
        namespace: String,
        /// Its key.
        key: String,
    },
    /// The partition as a whole.
    Partition,
    /// The keys partition or a key it is made of.
    Keys,
}

impl Place {
    pub(super) fn entry(namespace: &str, key: &str) -> Self {
        let cut = |name: &str| name.chars().take(64).collect();
        Self::Entry {
            namespace: cut(namespace),
            key: cut(key),
        }
    }

    pub(super) fn fault(self, fault: Fault) -> NvsError {
        NvsError { place: self, fault }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, column } => match column {
                Some(column) => write!(f, "line {line}, column `{}`", column.name()),
                None => write!(f, "line {line}"),
            },
            Self::Namespace(name) => write!(f, "namespace `{name}`"),
            Self::Entry { namespace, key } => write!(f, "`{namespace}`/`{key}`"),
            Self::Partition => f.write_str("NVS partition"),
            Self::Keys => f.write_str("NVS keys"),
        }
    }
}

/// An NVS table or key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct NvsError {
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
}

impl NvsError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.fault.code()
    }

    /// The line of the CSV text, where there is one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self.place {
            Place::Line { line, .. } => Some(line),
            Place::Namespace(_) | Place::Entry { .. } | Place::Partition | Place::Keys => None,
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No header, or one that lacks a column or has it twice.
    #[error("the header does not name the column `{}` exactly once", .0.name())]
    Header(Column),
    /// A row with too many or too few columns.
    #[error("{found} columns, of which the header names {named}")]
    Columns {
        /// In the row.
        found: usize,
        /// In the header.
        named: usize,
    },
    /// Quotes that are not closed, or text behind a closing quote.
    #[error("quotes are not closed at the end of the field")]
    Quotes,
    /// A comment inside a quoted field.
    #[error("a line inside quotes begins with `#`, which makes it a comment")]
    CommentInQuotes,
    /// A name that is empty, too long or not plain.
    #[error("name `{0}` is not 1 to 15 printable ASCII letters")]
    Name(String),
    /// A type that does not exist.
    #[error("type `{0}` is neither `data`, `file` nor `namespace`")]
    Type(String),
    /// An encoding that does not exist or does not suit the type.
    #[error("encoding `{0}` is not known here")]
    Encoding(String),
    /// No decimal number, or one that does not fit.
    #[error("`{value}` is no decimal number that fits `{encoding}`")]
    Number {
        /// What stands there.
        value: String,
        /// The encoding.
        encoding: &'static str,
    },
    /// Digits that are not pairs of hex digits.
    #[error("value is not pairs of hex digits")]
    Hex,
    /// Text that is not base64.
    #[error("value is not base64 with its padding")]
    Base64,
    /// Text in a file that is not UTF-8.
    #[error("file is not UTF-8 text")]
    NotText,
    /// Text given for bytes that is not ASCII.
    #[error("`binary` text is not ASCII; use `hex2bin` or a file")]
    NotAscii,
    /// Text with a NUL in it.
    #[error("text contains a NUL")]
    Nul,
    /// The same key twice.
    #[error("the key stands twice in its namespace")]
    Duplicate,
    /// A name or password of an access point beside the hash of another one.
    #[error(
        "`ap.pmk_info` of this table was computed from another name or password; leave the rows of \
         the access point out of the table, or give all units the same"
    )]
    Hashed,
    /// A value before the first namespace.
    #[error("a value stands before the first namespace")]
    NoNamespace,
    /// More namespaces than an image can number.
    #[error("more than 254 namespaces")]
    TooManyNamespaces,
    /// All values together are too long.
    #[error("values are longer than 16 MiB together")]
    TooMuch,
    /// A value longer than its kind can be.
    #[error("value of {length} bytes, of which {most} fit")]
    TooLong {
        /// Length as stored, with the NUL of text.
        length: usize,
        /// Most that fits.
        most: usize,
    },
    /// A blob that would be cut into too many pieces.
    #[error("blob would need more than 127 chunks")]
    TooManyChunks,
    /// A file that cannot be had.
    #[error("file `{name}`: {why}")]
    File {
        /// As written.
        name: String,
        /// In words.
        why: String,
    },
    /// A size that is no whole number of pages, zero or too large.
    #[error("size {0:#x} is not a multiple of 0x1000 from 0x1000 to 0x1000000")]
    Size(u64),
    /// The content does not fit.
    #[error("content does not fit {size:#x} bytes; it needs {needed:#x}")]
    TooSmall {
        /// Size asked for.
        size: u32,
        /// Size that would do.
        needed: u32,
    },
    /// Text that the CSV form cannot carry.
    #[error("text cannot be written as CSV: it has a carriage return or a line like a comment")]
    NotCsv,
    /// A part of a Wi-Fi configuration, to which reading it as CSV would add.
    #[error("what goes with a Wi-Fi configuration is missing, and reading it as CSV would add it")]
    PartOfWifi,
    /// A keys partition or key of the wrong length.
    #[error("{found} bytes, where {expected} are expected")]
    KeyLength {
        /// Bytes there.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// A keys partition that was never written.
    #[error("the keys partition is empty")]
    NoKeys,
    /// A keys partition whose checksum is wrong.
    #[error("the checksum of the keys partition is wrong")]
    KeyChecksum,
}

impl Fault {
    /// The stable code of this fault.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Header(_) => "nvs-header",
            Self::Columns { .. } => "nvs-columns",
            Self::Quotes => "nvs-quotes",
            Self::CommentInQuotes => "nvs-comment-in-quotes",
            Self::Name(_) => "nvs-name",
            Self::Type(_) => "nvs-type",
            Self::Encoding(_) => "nvs-encoding",
            Self::Number { .. } => "nvs-number",
            Self::Hex => "nvs-hex",
            Self::Base64 => "nvs-base64",
            Self::NotText => "nvs-not-text",
            Self::NotAscii => "nvs-not-ascii",
            Self::Nul => "nvs-nul",
            Self::Duplicate => "nvs-duplicate",
            Self::Hashed => "nvs-hashed",
            Self::NoNamespace => "nvs-no-namespace",
            Self::TooManyNamespaces => "nvs-too-many-namespaces",
            Self::TooMuch => "nvs-too-much",
            Self::TooLong { .. } => "nvs-too-long",
            Self::TooManyChunks => "nvs-too-many-chunks",
            Self::File { .. } => "nvs-file",
            Self::Size(_) => "nvs-size",
            Self::TooSmall { .. } => "nvs-too-small",
            Self::NotCsv => "nvs-not-csv",
            Self::PartOfWifi => "nvs-part-of-wifi",
            Self::KeyLength { .. } => "nvs-key-length",
            Self::NoKeys => "nvs-no-keys",
            Self::KeyChecksum => "nvs-key-checksum",
        }
    }
}
