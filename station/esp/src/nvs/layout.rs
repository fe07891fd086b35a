//! How pages and entries lie in flash.
//!
//! Facts (ESP-IDF's NVS guide): a page is a sector of 32 bytes header, 32 bytes bitmap with two bits
//! per entry, and 126 entries of 32 bytes. Header: state, sequence number, version, CRC-32 over the
//! bytes between. Entry: namespace, type, span in entries, chunk, CRC-32 over the rest, 16 bytes
//! key, 8 bytes data. Variable-length data follows its entry; there the 8 bytes are its length (u16)
//! and its CRC-32. All numbers are little-endian; CRCs start as 0xFFFFFFFF does in zlib's `crc32`.

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Bytes of an entry, and of header and bitmap each.
pub(super) const ENTRY: usize = 32;
/// Where the bitmap begins.
pub(super) const BITMAP: usize = 32;
/// Where entries begin.
pub(super) const FIRST: usize = 64;
/// Entries of a page.
pub(super) const ENTRIES: usize = 126;
/// Bytes of the key field.
pub(super) const NAME_FIELD: usize = 16;
/// Namespaces an image can number: 0 is the list of namespaces, 255 stands for any.
pub(super) const MAX_NAMESPACES: usize = 254;
/// Longest text or version 1 blob, by what fits a page beside its entry.
pub(super) const MAX_ON_PAGE: usize = (ENTRIES - 1) * ENTRY;
/// Longest text or blob of version 1.
pub(super) const MAX_V1: usize = 1984;
/// Chunks of a blob; the upper half of the chunk numbers is the blob's next value.
pub(super) const MAX_CHUNKS: u8 = 127;
/// The chunk of an entry that is none.
pub(super) const NO_CHUNK: u8 = 0xFF;

/// Page states, each reached from the one before by clearing bits.
pub(super) mod state {
    pub(in super::super) const EMPTY: u32 = 0xFFFF_FFFF;
    pub(in super::super) const ACTIVE: u32 = 0xFFFF_FFFE;
    pub(in super::super) const FULL: u32 = 0xFFFF_FFFC;
    pub(in super::super) const FREEING: u32 = 0xFFFF_FFF8;
}

/// Types of entries.
pub(super) mod kind {
    pub(in super::super) const U8: u8 = 0x01;
    pub(in super::super) const I8: u8 = 0x11;
    pub(in super::super) const U16: u8 = 0x02;
    pub(in super::super) const I16: u8 = 0x12;
    pub(in super::super) const U32: u8 = 0x04;
    pub(in super::super) const I32: u8 = 0x14;
    pub(in super::super) const U64: u8 = 0x08;
    pub(in super::super) const I64: u8 = 0x18;
    pub(in super::super) const TEXT: u8 = 0x21;
    pub(in super::super) const BLOB: u8 = 0x41;
    pub(in super::super) const BLOB_CHUNK: u8 = 0x42;
    pub(in super::super) const BLOB_INDEX: u8 = 0x48;
}

/// CRC-32 as NVS starts it.
pub(super) fn crc(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(0xFFFF_FFFF);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// Checksum of a page header.
pub(super) fn header_crc(header: &[u8; ENTRY]) -> u32 {
    crc(&[&header[4..28]])
}

/// Checksum of an entry.
pub(super) fn entry_crc(entry: &[u8; ENTRY]) -> u32 {
    crc(&[&entry[..4], &entry[8..]])
}
