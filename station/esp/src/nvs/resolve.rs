//! Which of the stored entries are live, and what they say.
//!
//! Invariants: entries come in the order of writing, and of those with one namespace and key the
//! last counts; no value is copied more often than it is stored.

use std::collections::{HashMap, HashSet};

use super::Value;
use super::image::{Damage, Finding, Found, Image, Namespace, Superseded};
use super::layout::{ENTRY, MAX_NAMESPACES, NAME_FIELD, kind};
use super::parse::Stored;

type Key = (u8, [u8; NAME_FIELD]);

/// Fills in everything of the image but its pages.
pub(super) fn resolve(stored: &[Stored], image: &mut Image) {
    let names = namespaces(stored, image);
    // The last entry of a key, and the last chunk of a key and chunk number.
    let mut last: HashMap<Key, usize> = HashMap::new();
    let mut chunks: HashMap<(Key, u8), usize> = HashMap::new();
    for (index, entry) in stored.iter().enumerate() {
        if entry.namespace == 0 {
            continue;
        }
        let key = (entry.namespace, entry.key);
        let former = if entry.kind == kind::BLOB_CHUNK {
            chunks.insert((key, entry.chunk), index)
        } else {
            last.insert(key, index)
        };
        if let Some(former) = former.and_then(|former| stored.get(former)) {
            let (offset, by) = (former.offset, entry.offset);
            image.superseded.push(Superseded { offset, by });
        }
    }
    let mut used: HashSet<usize> = HashSet::new();
    for (index, entry) in stored.iter().enumerate() {
        if last.get(&(entry.namespace, entry.key)) != Some(&index) {
            continue;
        }
        let value = if entry.kind == kind::BLOB_INDEX {
            join(entry, stored, &chunks, &mut used)
        } else {
            read(entry)
        };
        match (names.get(&entry.namespace), value) {
            (None, _) => find(image, entry, Damage::NoNamespace(entry.namespace)),
            (Some(_), Err(damage)) => find(image, entry, damage),
            (Some(namespace), Ok((value, exact))) => {
                if !exact {
                    find(image, entry, Damage::Text);
                }
                image.entries.push(Found {
                    namespace: namespace.clone(),
                    key: entry.key_text(),
                    value,
                    exact: exact && entry.key.is_ascii(),
                    offset: entry.offset,
                });
            }
        }
    }
    let mut orphans: Vec<usize> = chunks.into_values().collect();
    orphans.retain(|index| !used.contains(index));
    for entry in orphans.into_iter().filter_map(|index| stored.get(index)) {
        find(image, entry, Damage::Orphan);
    }
}

fn find(image: &mut Image, entry: &Stored, damage: Damage) {
    image.findings.push(Finding {
        offset: entry.offset,
        length: u32::try_from(ENTRY).unwrap_or(0),
        key: Some(entry.key_text()),
        damage,
    });
}

/// The names of the namespaces by number.
fn namespaces(stored: &[Stored], image: &mut Image) -> HashMap<u8, String> {
    let mut last: HashMap<u8, usize> = HashMap::new();
    for (index, entry) in stored.iter().enumerate() {
        if entry.namespace != 0 {
            continue;
        }
        let number = entry.value.first().copied().unwrap_or(0);
        if entry.kind != kind::U8 {
            find(image, entry, Damage::Kind(entry.kind));
        } else if number == 0 || usize::from(number) > MAX_NAMESPACES {
            find(image, entry, Damage::NamespaceNumber(number));
        } else if let Some(former) = last.insert(number, index)
            && let Some(former) = stored.get(former)
        {
            let (offset, by) = (former.offset, entry.offset);
            image.superseded.push(Superseded { offset, by });
        }
    }
    let mut live: Vec<(usize, u8)> = last.into_iter().map(|(key, at)| (at, key)).collect();
    live.sort_unstable();
    let mut names = HashMap::new();
    for (index, number) in live {
        let Some(entry) = stored.get(index) else {
            continue;
        };
        let name = entry.key_text();
        names.insert(number, name.clone());
        image.namespaces.push(Namespace {
            number,
            name,
            offset: entry.offset,
        });
    }
    names
}

/// The value of an entry that is whole, and whether it is exactly what is stored.
fn read(entry: &Stored) -> Result<(Value, bool), Damage> {
    fn first<const N: usize>(entry: &Stored) -> Result<[u8; N], Damage> {
        let length = u32::try_from(N).unwrap_or(0);
        let bytes = entry.value.first_chunk().copied();
        bytes.ok_or(Damage::Length(length))
    }
    let value = match entry.kind {
        kind::U8 => Value::U8(u8::from_le_bytes(first(entry)?)),
        kind::I8 => Value::I8(i8::from_le_bytes(first(entry)?)),
        kind::U16 => Value::U16(u16::from_le_bytes(first(entry)?)),
        kind::I16 => Value::I16(i16::from_le_bytes(first(entry)?)),
        kind::U32 => Value::U32(u32::from_le_bytes(first(entry)?)),
        kind::I32 => Value::I32(i32::from_le_bytes(first(entry)?)),
        kind::U64 => Value::U64(u64::from_le_bytes(first(entry)?)),
        kind::I64 => Value::I64(i64::from_le_bytes(first(entry)?)),
        kind::TEXT => {
            let ended = entry.value.strip_suffix(&[0]);
            let text = String::from_utf8_lossy(ended.unwrap_or(entry.value));
            let exact = ended.is_some() && matches!(text, std::borrow::Cow::Borrowed(_));
            return Ok((Value::String(text.into_owned()), exact));
        }
        kind::BLOB => Value::Blob(entry.value.to_vec()),
        other => return Err(Damage::Kind(other)),
    };
    Ok((value, true))
}

/// The blob of an index.
fn join(
    index: &Stored,
    stored: &[Stored],
    chunks: &HashMap<(Key, u8), usize>,
    used: &mut HashSet<usize>,
) -> Result<(Value, bool), Damage> {
    let [a, b, c, d, count, start, ..] = *index.value else {
        return Err(Damage::Length(8));
    };
    let length = u32::from_le_bytes([a, b, c, d]);
    let key = (index.namespace, index.key);
    let mut bytes = Vec::new();
    let mut missing = None;
    for number in 0..count {
        let number = start.wrapping_add(number);
        match chunks.get(&(key, number)) {
            Some(place) => {
                used.insert(*place);
                bytes.extend_from_slice(stored.get(*place).map_or(&[], |chunk| chunk.value));
            }
            None => missing = missing.or(Some(number)),
        }
    }
    if let Some(number) = missing {
        return Err(Damage::ChunkMissing(number));
    }
    if bytes.len() != length as usize {
        return Err(Damage::BlobLength(length));
    }
    Ok((Value::Blob(bytes), true))
}
