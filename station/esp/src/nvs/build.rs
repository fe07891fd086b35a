//! Images made of a content.
//!
//! Facts observed at esp-idf-nvs-partition-gen 0.3.0, which firmware does not ask for: text and
//! version 1 blobs never fill the last entry of a page; a version 2 blob begins on the current page
//! even where only its entry fits, with a chunk of no bytes; its index goes to a new page when the
//! last chunk leaves less than an entry of room; the last page that holds anything stays active, and
//! the pages behind it stay erased.

use super::content::{Content, Entry, Row};
use super::error::{Fault, NvsError, Place};
use super::keys::EntryCipher;
use super::layout::{
    BITMAP, ENTRIES, ENTRY, FIRST, MAX_CHUNKS, MAX_ON_PAGE, MAX_V1, NO_CHUNK, PAGE, crc, entry_crc,
    header_crc, kind, state,
};
use super::{MAX_SIZE, MIN_WRITABLE_SIZE, Name, NvsKeys, Value, Version};

/// An image of `size` bytes.
///
/// # Errors
/// When the size is not a whole number of pages, the content does not fit it, or a value does not
/// fit the version.
pub fn build(content: &Content, size: u32, version: Version) -> Result<Vec<u8>, NvsError> {
    assemble(content, size, version, None)
}

/// An encrypted image of `size` bytes; the same keys and content give the same image.
///
/// # Errors
/// As [`build`].
pub fn build_encrypted(
    content: &Content,
    size: u32,
    version: Version,
    keys: &NvsKeys,
) -> Result<Vec<u8>, NvsError> {
    assemble(content, size, version, Some(keys))
}

/// The smallest size of a partition, in bytes, that holds the content and stays writable.
///
/// # Errors
/// When a value does not fit the version or all of them no partition.
pub fn smallest_size(content: &Content, version: Version) -> Result<u32, NvsError> {
    let mut writer = Writer::new(version, MAX_SIZE as usize / PAGE - 1, None);
    writer.write(content, MAX_SIZE)?;
    // One page stays free, into which firmware moves what is still wanted when pages are full.
    let bytes = writer.bytes.len() + PAGE;
    Ok(u32::try_from(bytes)
        .unwrap_or(MAX_SIZE)
        .max(MIN_WRITABLE_SIZE))
}

fn assemble(
    content: &Content,
    size: u32,
    version: Version,
    keys: Option<&NvsKeys>,
) -> Result<Vec<u8>, NvsError> {
    let whole = (size as usize).is_multiple_of(PAGE);
    if size == 0 || size > MAX_SIZE || !whole {
        return Err(Place::Partition.fault(Fault::Size(size.into())));
    }
    let pages = size as usize / PAGE;
    let usable = if size < MIN_WRITABLE_SIZE {
        pages
    } else {
        pages - 1
    };
    let mut writer = Writer::new(version, usable, keys.map(NvsKeys::cipher));
    writer.bytes.reserve_exact(size as usize);
    if let Err(error) = writer.write(content, size) {
        let Fault::TooSmall { .. } = error.fault else {
            return Err(error);
        };
        let needed = smallest_size(content, version)?;
        return Err(error.place.fault(Fault::TooSmall { size, needed }));
    }
    writer.bytes.resize(size as usize, 0xFF);
    Ok(writer.bytes)
}

/// No page is left.
struct Full;

struct Writer {
    version: Version,
    /// Pages begun so far.
    bytes: Vec<u8>,
    /// Pages that may be begun.
    pages: usize,
    /// Entries used on the last page.
    used: usize,
    cipher: Option<EntryCipher>,
}

impl Writer {
    fn new(version: Version, pages: usize, cipher: Option<EntryCipher>) -> Self {
        Self {
            version,
            bytes: Vec::new(),
            pages,
            used: 0,
            cipher,
        }
    }

    fn write(&mut self, content: &Content, size: u32) -> Result<(), NvsError> {
        let full = |place: Place| place.fault(Fault::TooSmall { size, needed: size });
        self.begin_page().map_err(|Full| full(Place::Partition))?;
        let mut names: Vec<Name> = Vec::new();
        for row in content.rows() {
            match row {
                Row::Namespace(name) => {
                    names.push(*name);
                    let number = number(names.len());
                    let mut data = [0xFF; 8];
                    data[0] = number;
                    self.single(0, name, kind::U8, data)
                        .map_err(|Full| full(Place::Namespace(name.to_string())))?;
                }
                Row::Entry(entry) => {
                    let at = || Place::entry(entry.namespace.as_str(), entry.key.as_str());
                    // Most entries belong to the namespace named last.
                    let place = names.iter().rposition(|name| *name == entry.namespace);
                    let namespace = number(place.map_or(0, |place| place + 1));
                    check(&entry.value, self.version).map_err(|fault| at().fault(fault))?;
                    self.entry(namespace, entry)
                        .map_err(|Full| full(at()))?
                        .map_err(|fault| at().fault(fault))?;
                }
            }
        }
        Ok(())
    }

    /// The inner error is about the value, the outer about room.
    fn entry(&mut self, namespace: u8, entry: &Entry) -> Result<Result<(), Fault>, Full> {
        let key = &entry.key;
        match &entry.value {
            Value::String(text) => {
                let mut bytes = Vec::with_capacity(text.len() + 1);
                bytes.extend_from_slice(text.as_bytes());
                bytes.push(0);
                self.on_one_page(namespace, key, kind::TEXT, &bytes)?;
            }
            Value::Blob(bytes) => match self.version {
                Version::V1 => self.on_one_page(namespace, key, kind::BLOB, bytes)?,
                Version::V2 => return self.in_chunks(namespace, key, bytes),
            },
            Value::U8(_)
            | Value::I8(_)
            | Value::U16(_)
            | Value::I16(_)
            | Value::U32(_)
            | Value::I32(_)
            | Value::U64(_)
            | Value::I64(_) => {
                if let Some((kind, data)) = primitive(&entry.value) {
                    self.single(namespace, key, kind, data)?;
                }
            }
        }
        Ok(Ok(()))
    }

    fn single(&mut self, namespace: u8, key: &Name, kind: u8, data: [u8; 8]) -> Result<(), Full> {
        if self.used >= ENTRIES {
            self.begin_page()?;
        }
        self.put(header(namespace, kind, 1, NO_CHUNK, key, data));
        Ok(())
    }

    fn on_one_page(
        &mut self,
        namespace: u8,
        key: &Name,
        kind: u8,
        bytes: &[u8],
    ) -> Result<(), Full> {
        let span = 1 + bytes.len().div_ceil(ENTRY);
        // Only what fills a whole page may use its last entry.
        let fits = self.used + span < ENTRIES || (self.used == 0 && span == ENTRIES);
        if !fits {
            self.begin_page()?;
        }
        let data = with_crc(bytes);
        self.put(header(namespace, kind, number(span), NO_CHUNK, key, data));
        self.put_bytes(bytes);
        Ok(())
    }

    fn in_chunks(
        &mut self,
        namespace: u8,
        key: &Name,
        bytes: &[u8],
    ) -> Result<Result<(), Fault>, Full> {
        if self.used >= ENTRIES {
            self.begin_page()?;
        }
        let mut rest = bytes;
        let mut chunks = 0;
        loop {
            if chunks == MAX_CHUNKS {
                return Ok(Err(Fault::TooManyChunks));
            }
            let room = (ENTRIES - self.used - 1) * ENTRY;
            let (chunk, later) = rest.split_at(rest.len().min(room));
            let span = number(1 + chunk.len().div_ceil(ENTRY));
            let data = with_crc(chunk);
            self.put(header(namespace, kind::BLOB_CHUNK, span, chunks, key, data));
            self.put_bytes(chunk);
            chunks += 1;
            rest = later;
            if !rest.is_empty() || room - chunk.len() < ENTRY {
                self.begin_page()?;
            }
            if rest.is_empty() {
                break;
            }
        }
        let mut data = [0xFF; 8];
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        data[..4].copy_from_slice(&length.to_le_bytes());
        data[4] = chunks;
        data[5] = 0;
        self.put(header(namespace, kind::BLOB_INDEX, 1, NO_CHUNK, key, data));
        Ok(Ok(()))
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(ENTRY) {
            let mut entry = [0xFF; ENTRY];
            entry[..part.len()].copy_from_slice(part);
            self.put(entry);
        }
    }

    /// Writes an entry and marks it written; there is room, and a page has been begun.
    fn put(&mut self, mut entry: [u8; ENTRY]) {
        let page = self.bytes.len() - PAGE;
        let at = page + FIRST + self.used * ENTRY;
        if let Some(cipher) = &self.cipher {
            cipher.encrypt(at, &mut entry);
        }
        self.bytes[at..at + ENTRY].copy_from_slice(&entry);
        let bit = self.used * 2;
        self.bytes[page + BITMAP + bit / 8] &= !(1 << (bit % 8));
        self.used += 1;
    }

    fn begin_page(&mut self) -> Result<(), Full> {
        let begun = self.bytes.len() / PAGE;
        if begun == self.pages {
            return Err(Full);
        }
        if let Some(last) = self.bytes.len().checked_sub(PAGE) {
            self.bytes[last..last + 4].copy_from_slice(&state::FULL.to_le_bytes());
        }
        let mut header = [0xFF; ENTRY];
        header[..4].copy_from_slice(&state::ACTIVE.to_le_bytes());
        let sequence = u32::try_from(begun).unwrap_or(u32::MAX);
        header[4..8].copy_from_slice(&sequence.to_le_bytes());
        header[8] = self.version.code();
        let crc = header_crc(&header);
        header[28..].copy_from_slice(&crc.to_le_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.resize((begun + 1) * PAGE, 0xFF);
        self.used = 0;
        Ok(())
    }
}

/// Numbers within a page or of namespaces, which are checked to fit a byte.
fn number(of: usize) -> u8 {
    u8::try_from(of).unwrap_or(u8::MAX)
}

fn header(namespace: u8, kind: u8, span: u8, chunk: u8, key: &Name, data: [u8; 8]) -> [u8; ENTRY] {
    let mut entry = [0xFF; ENTRY];
    entry[..4].copy_from_slice(&[namespace, kind, span, chunk]);
    entry[8..24].copy_from_slice(key.field());
    entry[24..].copy_from_slice(&data);
    let crc = entry_crc(&entry);
    entry[4..8].copy_from_slice(&crc.to_le_bytes());
    entry
}

fn with_crc(bytes: &[u8]) -> [u8; 8] {
    let mut data = [0xFF; 8];
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    data[..2].copy_from_slice(&length.to_le_bytes());
    data[4..].copy_from_slice(&crc(&[bytes]).to_le_bytes());
    data
}

/// Type and data of an integer.
fn primitive(value: &Value) -> Option<(u8, [u8; 8])> {
    fn data<const N: usize>(kind: u8, bytes: [u8; N]) -> Option<(u8, [u8; 8])> {
        let mut data = [0xFF; 8];
        data[..N].copy_from_slice(&bytes);
        Some((kind, data))
    }
    match value {
        Value::U8(number) => data(kind::U8, number.to_le_bytes()),
        Value::I8(number) => data(kind::I8, number.to_le_bytes()),
        Value::U16(number) => data(kind::U16, number.to_le_bytes()),
        Value::I16(number) => data(kind::I16, number.to_le_bytes()),
        Value::U32(number) => data(kind::U32, number.to_le_bytes()),
        Value::I32(number) => data(kind::I32, number.to_le_bytes()),
        Value::U64(number) => data(kind::U64, number.to_le_bytes()),
        Value::I64(number) => data(kind::I64, number.to_le_bytes()),
        Value::String(_) | Value::Blob(_) => None,
    }
}

fn check(value: &Value, version: Version) -> Result<(), Fault> {
    let most = match (value, version) {
        (Value::String(_) | Value::Blob(_), Version::V1) => MAX_V1,
        (Value::String(_), Version::V2) => MAX_ON_PAGE,
        _ => return Ok(()),
    };
    let length = value.length();
    if length > most {
        return Err(Fault::TooLong { length, most });
    }
    Ok(())
}
