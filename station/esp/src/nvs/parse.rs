//! Pages and their entries read from bytes that may be anything.
//!
//! Invariants: every written entry of a readable page is either kept or named in a finding; work
//! and memory are bounded by the length of the bytes. What a page's state and bitmap mean follows
//! ESP-IDF's `nvs_flash`.

use std::borrow::Cow;

use super::error::{Fault, NvsError, Place};
use super::image::{Damage, Finding, Image, Page, PageState};
use super::layout::{
    BITMAP, ENTRIES, ENTRY, FIRST, NAME_FIELD, PAGE, crc, entry_crc, header_crc, kind, state,
};
use super::resolve::resolve;
use super::{MAX_SIZE, NvsKeys, Version};

/// Reads a partition, decrypting it if there are keys.
///
/// # Errors
/// [`Fault::Size`] when the length is not a whole number of pages, zero or beyond [`MAX_SIZE`];
/// damage is listed in the image.
pub fn parse(bytes: &[u8], keys: Option<&NvsKeys>) -> Result<Image, NvsError> {
    let whole = bytes.len().is_multiple_of(PAGE);
    if bytes.is_empty() || bytes.len() > MAX_SIZE as usize || !whole {
        return Err(Place::Partition.fault(Fault::Size(bytes.len() as u64)));
    }
    let mut image = Image::default();
    for (index, page) in bytes.chunks_exact(PAGE).enumerate() {
        let page = read_header(index * PAGE, page, &mut image.findings);
        image.pages.push(page);
    }
    let mut readable: Vec<usize> = (0..image.pages.len())
        .filter(|index| image.pages[*index].version.is_some())
        .collect();
    readable.sort_by_key(|index| image.pages[*index].sequence);
    let plain = match keys {
        Some(keys) => Cow::Owned(decrypt(bytes, &readable, keys)),
        None => Cow::Borrowed(bytes),
    };
    let mut items = Vec::new();
    for index in readable {
        let offset = index * PAGE;
        let Some(page) = plain.get(offset..offset + PAGE) else {
            continue;
        };
        let mut scan = Scan {
            page,
            offset,
            items: &mut items,
            findings: &mut image.findings,
        };
        scan.run(&mut image.pages[index]);
    }
    resolve(&items, &mut image);
    image.findings.sort_by_key(|finding| finding.offset);
    Ok(image)
}

/// An entry with its value's bytes, checksums right.
pub(super) struct Stored<'a> {
    pub(super) offset: u32,
    pub(super) namespace: u8,
    pub(super) kind: u8,
    pub(super) chunk: u8,
    pub(super) key: [u8; NAME_FIELD],
    /// Of a number or index the 8 bytes of its entry, else the whole value.
    pub(super) value: &'a [u8],
}

impl Stored<'_> {
    pub(super) fn key_text(&self) -> String {
        key_text(&self.key)
    }
}

fn key_text(field: &[u8; NAME_FIELD]) -> String {
    let end = field.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&field[..end.unwrap_or(NAME_FIELD)]).into_owned()
}

/// Offsets are within [`MAX_SIZE`].
fn short(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |word| u32::from_le_bytes(*word))
}

/// What a page says of itself; its version stays open if its entries are not to be read.
fn read_header(offset: usize, bytes: &[u8], findings: &mut Vec<Finding>) -> Page {
    let mut page = Page {
        offset: short(offset),
        state: PageState::Corrupt,
        sequence: None,
        version: None,
        written: 0,
        erased: 0,
        free: 0,
    };
    let mut corrupt = |damage| {
        findings.push(Finding {
            offset: short(offset),
            length: short(PAGE),
            key: None,
            damage,
        });
    };
    let code = word(bytes, 0);
    if code == state::EMPTY {
        if bytes.iter().all(|byte| *byte == 0xFF) {
            page.state = PageState::Empty;
        } else {
            corrupt(Damage::NotErased);
        }
        return page;
    }
    let Some(header) = bytes.first_chunk::<ENTRY>() else {
        return page;
    };
    if word(header, 28) != header_crc(header) {
        corrupt(Damage::PageChecksum);
        return page;
    }
    page.sequence = Some(word(header, 4));
    page.state = match code {
        state::ACTIVE => PageState::Active,
        state::FULL => PageState::Full,
        state::FREEING => PageState::Freeing,
        other => {
            corrupt(Damage::PageState(other));
            return page;
        }
    };
    page.version = Version::from_code(header[8]);
    if page.version.is_none() {
        corrupt(Damage::PageVersion(header[8]));
    }
    page
}

/// What the bitmap says of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Free,
    Written,
    Erased,
    Impossible,
}

fn mark(page: &[u8], entry: usize) -> Mark {
    let byte = page.get(BITMAP + entry / 4).copied().unwrap_or(0xFF);
    match (byte >> (entry % 4 * 2)) & 3 {
        3 => Mark::Free,
        2 => Mark::Written,
        0 => Mark::Erased,
        _ => Mark::Impossible,
    }
}

/// A copy with all written entries of these pages decrypted.
fn decrypt(bytes: &[u8], pages: &[usize], keys: &NvsKeys) -> Vec<u8> {
    let cipher = keys.cipher();
    let mut plain = bytes.to_vec();
    for page in pages {
        let offset = page * PAGE;
        let Some(page) = plain.get_mut(offset..offset + PAGE) else {
            continue;
        };
        for index in 0..ENTRIES {
            let at = FIRST + index * ENTRY;
            if mark(page, index) == Mark::Written
                && let Some(entry) = page.get_mut(at..).and_then(<[u8]>::first_chunk_mut)
            {
                cipher.decrypt(offset + at, entry);
            }
        }
    }
    plain
}

/// One page being read.
struct Scan<'a, 'b> {
    page: &'a [u8],
    offset: usize,
    items: &'b mut Vec<Stored<'a>>,
    findings: &'b mut Vec<Finding>,
}

impl<'a> Scan<'a, '_> {
    fn run(&mut self, page: &mut Page) {
        for index in 0..ENTRIES {
            match mark(self.page, index) {
                Mark::Free => page.free += 1,
                Mark::Written => page.written += 1,
                Mark::Erased => page.erased += 1,
                Mark::Impossible => self.find(index, 1, None, Damage::Bitmap),
            }
        }
        let mut index = 0;
        while index < ENTRIES {
            index += match mark(self.page, index) {
                Mark::Written => self.entry(index),
                Mark::Free | Mark::Erased | Mark::Impossible => 1,
            };
        }
    }

    fn at(&self, index: usize) -> usize {
        self.offset + FIRST + index * ENTRY
    }

    fn find(&mut self, index: usize, entries: usize, key: Option<String>, damage: Damage) {
        let offset = short(self.at(index));
        let length = short(entries * ENTRY);
        // A damaged entry leaves its data behind, each of which would be a finding of its own.
        if damage == Damage::EntryChecksum
            && let Some(last) = self.findings.last_mut()
            && last.damage == damage
            && last.offset + last.length == offset
        {
            last.length += length;
            return;
        }
        self.findings.push(Finding {
            offset,
            length,
            key,
            damage,
        });
    }

    /// Reads the written entry at `index`; how many entries were looked at.
    fn entry(&mut self, index: usize) -> usize {
        let begin = FIRST + index * ENTRY;
        let page = self.page;
        let Some(entry) = page.get(begin..).and_then(<[u8]>::first_chunk::<ENTRY>) else {
            return 1;
        };
        if word(entry, 4) != entry_crc(entry) {
            self.find(index, 1, None, Damage::EntryChecksum);
            return 1;
        }
        let mut key = [0; NAME_FIELD];
        key.copy_from_slice(&entry[8..8 + NAME_FIELD]);
        let span = usize::from(entry[2]);
        if span == 0 || span > ENTRIES - index {
            self.find(index, 1, Some(key_text(&key)), Damage::Span(entry[2]));
            return 1;
        }
        let written = (index..index + span)
            .take_while(|index| mark(page, *index) == Mark::Written)
            .count();
        if written < span {
            self.find(index, written, Some(key_text(&key)), Damage::Unfinished);
            return written.max(1);
        }
        let data = page.get(begin + ENTRY..begin + span * ENTRY).unwrap_or(&[]);
        match value(entry, data) {
            Ok(_) if key[0] == 0 || key[NAME_FIELD - 1] != 0 => {
                self.find(index, span, Some(key_text(&key)), Damage::Key);
            }
            Ok(value) => self.items.push(Stored {
                offset: short(self.at(index)),
                namespace: entry[0],
                kind: entry[1],
                chunk: entry[3],
                key,
                value: value.unwrap_or(&page[begin + 24..begin + ENTRY]),
            }),
            Err(damage) => self.find(index, span, Some(key_text(&key)), damage),
        }
        span
    }
}

/// The bytes of a value of variable length; nothing for a value within its entry.
fn value<'a>(entry: &[u8; ENTRY], data: &'a [u8]) -> Result<Option<&'a [u8]>, Damage> {
    match entry[1] {
        kind::U8
        | kind::I8
        | kind::U16
        | kind::I16
        | kind::U32
        | kind::I32
        | kind::U64
        | kind::I64
        | kind::BLOB_INDEX => {
            if data.is_empty() {
                Ok(None)
            } else {
                Err(Damage::Span(entry[2]))
            }
        }
        kind::TEXT | kind::BLOB | kind::BLOB_CHUNK => {
            let length = usize::from(u16::from_le_bytes([entry[24], entry[25]]));
            let value = data.get(..length).ok_or(Damage::Length(short(length)))?;
            if word(entry, 28) != crc(&[value]) {
                return Err(Damage::ValueChecksum);
            }
            Ok(Some(value))
        }
        other => Err(Damage::Kind(other)),
    }
}
