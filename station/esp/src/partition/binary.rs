//! The form of a partition table in flash.
//!
//! 32 bytes an entry: `AA 50`, type, subtype, offset, size, 16 bytes of name, flags; then an entry
//! `EB EB FF…` whose last 16 bytes are the MD5 of all entries before it; then all ones, at least one
//! row of them within [`TABLE_LENGTH`].
//!
//! A name ends with its first zero. What stands behind that in its 16 bytes is covered by the MD5,
//! so it is no damage; ESP-IDF's bootloader and gen_esp32part never look at it, and neither do we:
//! it is not written again. Flags are looked at by firmware, so unknown ones are refused.

use md5::{Digest, Md5};

use super::error::{Fault, PartitionError, Place};
use super::{Checksum, ENTRY_LENGTH, Entry, Kind, Subtype, TABLE_LENGTH};

const MAGIC: [u8; 2] = [0xAA, 0x50];
const CHECKSUM_MARK: [u8; 16] = {
    let mut mark = [0xFF; 16];
    mark[0] = 0xEB;
    mark[1] = 0xEB;
    mark
};

/// Whether bytes begin as a binary table does.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Entries that fit beside the end mark and, where there is one, the checksum.
pub(super) fn most_entries(checksum: Checksum) -> usize {
    let rows = TABLE_LENGTH / ENTRY_LENGTH - 1;
    match checksum {
        Checksum::Md5 => rows - 1,
        Checksum::Off => rows,
    }
}

/// Reads entries up to the end mark and checks the checksum.
pub(super) fn parse(
    bytes: &[u8],
    checksum: Checksum,
) -> Result<Vec<(Place, Entry)>, PartitionError> {
    let mut entries = Vec::new();
    let mut checked = false;
    let (rows, _) = bytes.as_chunks::<ENTRY_LENGTH>();
    // What the bootloader reads: a table whose end mark lies behind that has none.
    for (at, row) in rows.iter().enumerate().take(TABLE_LENGTH / ENTRY_LENGTH) {
        let place = Place::Entry(at + 1);
        if row == &[0xFF; ENTRY_LENGTH] {
            return match checksum {
                Checksum::Md5 if !checked => Err(Place::Table.fault(Fault::NoChecksum)),
                Checksum::Md5 | Checksum::Off => Ok(entries),
            };
        }
        if checked {
            return Err(place.fault(Fault::AfterChecksum));
        }
        if row.starts_with(&CHECKSUM_MARK) {
            let digest = Md5::digest(&bytes[..at * ENTRY_LENGTH]);
            if row[16..] != digest[..] {
                return Err(Place::Table.fault(Fault::Checksum));
            }
            checked = true;
        } else if row.starts_with(&CHECKSUM_MARK[..2]) {
            return Err(place.fault(Fault::ChecksumRow));
        } else {
            entries.push((place, parse_row(row).map_err(|fault| place.fault(fault))?));
        }
    }
    Err(Place::Table.fault(Fault::NoEnd))
}

fn parse_row(row: &[u8; ENTRY_LENGTH]) -> Result<Entry, Fault> {
    if row[..2] != MAGIC {
        return Err(Fault::Magic(row[0], row[1]));
    }
    let word = |at: usize| u32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
    let name = row[12..28].split(|byte| *byte == 0).next().unwrap_or(&[]);
    let name = std::str::from_utf8(name)
        .map_err(|_| Fault::Name(String::from_utf8_lossy(name).into_owned()))?;
    let flags = word(28);
    if flags >> 2 != 0 {
        return Err(Fault::Flag(format!("{flags:#x}")));
    }
    Ok(Entry {
        name: name.to_owned(),
        kind: Kind::from_code(row[2]).ok_or_else(|| Fault::Kind(format!("{:#04x}", row[2])))?,
        subtype: Subtype(row[3]),
        offset: word(4),
        size: word(8),
        encrypted: flags & 1 != 0,
        readonly: flags & 2 != 0,
    })
}

/// Writes entries, checksum and padding.
pub(super) fn encode(entries: &[Entry], checksum: Checksum) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(TABLE_LENGTH);
    for entry in entries {
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[entry.kind.code(), entry.subtype.0]);
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
        bytes.extend_from_slice(&entry.size.to_le_bytes());
        let mut name = [0; 16];
        for (place, byte) in name.iter_mut().zip(entry.name.bytes()) {
            *place = byte;
        }
        bytes.extend_from_slice(&name);
        bytes.extend_from_slice(&entry.flags().to_le_bytes());
    }
    if checksum == Checksum::Md5 {
        let digest = Md5::digest(&bytes);
        bytes.extend_from_slice(&CHECKSUM_MARK);
        bytes.extend_from_slice(&digest);
    }
    bytes.resize(TABLE_LENGTH, 0xFF);
    bytes
}
