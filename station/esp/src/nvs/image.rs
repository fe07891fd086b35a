//! An NVS partition as it was read from flash.

use std::fmt;

use super::content::Content;
use super::error::{Fault, NvsError, Place};
use super::{Value, Version};

/// What a partition holds, and in what state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// All pages in the order they lie in flash.
    pub pages: Vec<Page>,
    /// Namespaces in the order they were written.
    pub namespaces: Vec<Namespace>,
    /// Live entries in the order they were written.
    pub entries: Vec<Found>,
    /// Entries that a later one of the same key replaced but that were not erased.
    pub superseded: Vec<Superseded>,
    /// What is damaged or cannot be understood, by offset.
    pub findings: Vec<Finding>,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where it begins in the partition.
    pub offset: u32,
    /// What firmware last made of it.
    pub state: PageState,
    /// Its place in the order of writing; none if the page was never used or its header is damaged.
    pub sequence: Option<u32>,
    /// Its version, if that is a known one.
    pub version: Option<Version>,
    /// Entries marked as written, of 126; 0 like the next two if the page is not read.
    pub written: u32,
    /// Entries marked as erased.
    pub erased: u32,
    /// Entries still free.
    pub free: u32,
}

/// The state of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageState {
    /// Erased and never used since.
    Empty,
    /// Being filled.
    Active,
    /// Filled.
    Full,
    /// Being emptied: what is live is moved to another page.
    Freeing,
    /// Marked as corrupt, or its header is.
    Corrupt,
}

impl PageState {
    /// The state in a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Active => "active",
            Self::Full => "full",
            Self::Freeing => "freeing",
            Self::Corrupt => "corrupt",
        }
    }
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// The number that entries name it by.
    pub number: u8,
    /// Its name; letters that are not UTF-8 are replaced.
    pub name: String,
    /// Where its entry lies in the partition.
    pub offset: u32,
}

/// A live entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name of its namespace.
    pub namespace: String,
    /// Its key; letters that are not UTF-8 are replaced.
    pub key: String,
    /// Its value; of a text that is not UTF-8 the letters that are not are replaced.
    pub value: Value,
    /// Whether nothing had to be replaced.
    pub exact: bool,
    /// Where its entry lies in the partition; of a blob in chunks, where its index lies.
    pub offset: u32,
}

/// An entry that a later one replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Superseded {
    /// Where it lies in the partition.
    pub offset: u32,
    /// Where the later one lies.
    pub by: u32,
}

/// Something damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it begins in the partition.
    pub offset: u32,
    /// How many bytes are concerned.
    pub length: u32,
    /// The key concerned, as far as it could be read.
    pub key: Option<String>,
    /// What is wrong.
    pub damage: Damage,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}: ", self.offset)?;
        if let Some(key) = &self.key {
            write!(f, "`{}`: ", key.escape_debug())?;
        }
        self.damage.fmt(f)
    }
}

/// What is wrong with a page or an entry; none of it is read, except where said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The page is marked as unused but is not erased.
    #[error("page is marked as empty but is not erased")]
    NotErased,
    /// The page's header has a wrong checksum.
    #[error("checksum of the page header is wrong")]
    PageChecksum,
    /// The page is in a state that firmware never gives it, or marked as corrupt.
    #[error("page is in state {0:#010x}")]
    PageState(u32),
    /// The page is of a version that is not known.
    #[error("page is of unknown version {0:#04x}")]
    PageVersion(u8),
    /// The two bits of an entry say what they never should.
    #[error("bitmap has an impossible state")]
    Bitmap,
    /// Entries have a wrong checksum: damaged, or encrypted with other keys.
    #[error("checksum of the entry is wrong")]
    EntryChecksum,
    /// The entry is of a type that is not known.
    #[error("entry is of unknown type {0:#04x}")]
    Kind(u8),
    /// The key is empty or has no end.
    #[error("key is empty or has no end")]
    Key,
    /// The entry claims no entries or more than are left on the page.
    #[error("entry spans {0} entries")]
    Span(u8),
    /// Not all entries of the value are written: the power failed, or it is half erased.
    #[error("value is not written to its end")]
    Unfinished,
    /// The value's length does not fit its entries.
    #[error("value of {0} bytes does not fit its entries")]
    Length(u32),
    /// The value has a wrong checksum.
    #[error("checksum of the value is wrong")]
    ValueChecksum,
    /// A text without end mark or that is not UTF-8; it is read as far as it is text.
    #[error("text has no end mark or is not UTF-8")]
    Text,
    /// A namespace of a number that stands for something else.
    #[error("namespace has the impossible number {0}")]
    NamespaceNumber(u8),
    /// An entry of a namespace that has no name.
    #[error("entry belongs to namespace {0}, which has no name")]
    NoNamespace(u8),
    /// A blob's index names a chunk that is not there.
    #[error("chunk {0} of the blob is missing")]
    ChunkMissing(u8),
    /// A blob's chunks are not as long as its index says.
    #[error("chunks of the blob do not have the {0} bytes of its index")]
    BlobLength(u32),
    /// A chunk that no index names: a blob that was being written or erased.
    #[error("chunk belongs to no blob")]
    Orphan,
}

impl Damage {
    /// The stable code of this damage.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotErased => "nvs-not-erased",
            Self::PageChecksum => "nvs-page-checksum",
            Self::PageState(_) => "nvs-page-state",
            Self::PageVersion(_) => "nvs-page-version",
            Self::Bitmap => "nvs-bitmap",
            Self::EntryChecksum => "nvs-entry-checksum",
            Self::Kind(_) => "nvs-kind",
            Self::Key => "nvs-key",
            Self::Span(_) => "nvs-span",
            Self::Unfinished => "nvs-unfinished",
            Self::Length(_) => "nvs-length",
            Self::ValueChecksum => "nvs-value-checksum",
            Self::Text => "nvs-text",
            Self::NamespaceNumber(_) => "nvs-namespace-number",
            Self::NoNamespace(_) => "nvs-nameless-namespace",
            Self::ChunkMissing(_) => "nvs-chunk-missing",
            Self::BlobLength(_) => "nvs-blob-length",
            Self::Orphan => "nvs-orphan-chunk",
        }
    }
}

impl Image {
    /// The live entry of a key.
    #[must_use]
    pub fn find(&self, namespace: &str, key: &str) -> Option<&Found> {
        let same = |entry: &&Found| entry.namespace == namespace && entry.key == key;
        self.entries.iter().rev().find(same)
    }

    /// Entries marked as erased, on all pages.
    #[must_use]
    pub fn erased(&self) -> u32 {
        self.pages.iter().map(|page| page.erased).sum()
    }

    /// Whether there are entries but none has a right checksum: the image is encrypted, or with
    /// other keys than it was read with.
    #[must_use]
    pub fn looks_encrypted(&self) -> bool {
        let failed = |finding: &Finding| finding.damage == Damage::EntryChecksum;
        let written: u32 = self.pages.iter().map(|page| page.written).sum();
        let failed = self.findings.iter().filter(|finding| failed(finding));
        let failed: u32 = failed.map(|finding| finding.length / 32).sum();
        written > 0 && failed == written
    }

    /// What the partition holds, as it could be built again.
    ///
    /// # Errors
    /// When a name or text is not what a table can hold, or a key is there twice.
    pub fn content(&self) -> Result<Content, NvsError> {
        let mut content = Content::new();
        // Both lists are in the order of writing; this merges them by where each row stood.
        let order = |offset: u32| {
            let page = self.pages.get(offset as usize / super::PAGE);
            (page.and_then(|page| page.sequence), offset)
        };
        let mut namespaces = self.namespaces.iter().peekable();
        for entry in &self.entries {
            let before = |namespace: &&Namespace| order(namespace.offset) < order(entry.offset);
            while let Some(namespace) = namespaces.next_if(before) {
                content.add_namespace(&namespace.name)?;
            }
            if !entry.exact {
                return Err(Place::entry(&entry.namespace, &entry.key).fault(Fault::NotText));
            }
            content.push(&entry.namespace, &entry.key, entry.value.clone())?;
        }
        for namespace in namespaces {
            content.add_namespace(&namespace.name)?;
        }
        Ok(content)
    }

    /// The live entries as CSV.
    ///
    /// # Errors
    /// As [`Image::content`] and [`Content::to_csv`].
    pub fn to_csv(&self) -> Result<String, NvsError> {
        self.content()?.to_csv()
    }
}
