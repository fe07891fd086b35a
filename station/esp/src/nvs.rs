//! NVS partitions: tables of named values as CSV, as images in flash, and read back from flash.
//!
//! Invariants: what [`build`] makes is exactly as long as it was asked to be, and [`parse`] gives
//! back the same entries in the same order; [`parse`] takes any bytes, lists what is damaged with
//! its offset and never fails for it; images equal those of esp-idf-nvs-partition-gen 0.3.0 byte for
//! byte, except where the list below says otherwise. Sources: that program's observed output,
//! ESP-IDF's NVS guide and its `nvs_flash` component.
//!
//! # Differences from esp-idf-nvs-partition-gen
//!
//! What it writes although firmware could not read it, or would read something else, is refused:
//! - a key or namespace that is empty, is longer than 15 bytes or has other than printable ASCII
//!   (beyond ASCII it counts letters instead of bytes and shifts the rest of the entry);
//! - the same key twice in a namespace, a value before the first namespace, more than 254
//!   namespaces, a type other than `data`, `file` or `namespace` (it takes any for `data`);
//! - encodings in capitals, except those of integers (it takes `String` but forgets the end mark);
//! - text with a NUL, and `binary` text beyond ASCII (it counts letters instead of bytes);
//! - base64 with padding missing, in the middle or too long, or with letters that are not base64;
//! - integers in digits other than ASCII; `hex2bin` padded with other than ASCII space;
//! - no header, or one without all four columns, even if no row follows;
//! - more columns in a row than in the header, quotes left open, text behind a closing quote, and a
//!   line beginning with `#` inside quotes (it drops that line from the value);
//! - blobs of more than [`MAX_BLOB`] bytes or 127 chunks, contents and sizes beyond [`MAX_SIZE`];
//! - `blob_fill` for a `file`, and text behind the parenthesis of `blob_fill`;
//! - an HMAC key that is not 32 bytes, and a keys partition whose checksum is wrong.
//!
//! Done otherwise:
//! - rows behind a namespace that was named before go into that namespace (it puts them into the
//!   namespace that was new last);
//! - images of one or two pages, which only suit read-only partitions, are filled up to their size
//!   (it leaves off unused pages, so that old ones would stay in flash);
//! - what goes with a Wi-Fi name or password and has a row of its own is what that row says (it
//!   writes the key twice);
//! - a Wi-Fi name or password given as `file` is what the file holds (it takes the file's name);
//! - a field may be longer than 131 072 letters, and the text may begin with a byte order mark;
//! - text that fills a page, 3968 to 3999 bytes, gets a page of its own (it gives up).

mod build;
mod cell;
mod content;
mod csv;
mod error;
mod image;
mod keys;
mod layout;
mod name;
mod parse;
mod resolve;
#[cfg(test)]
mod tests;
mod value;
mod wifi;

pub use build::{build, build_encrypted, smallest_size};
pub use content::{Content, Entry, Row};
pub use error::{Column, Fault, NvsError, Place};
pub use image::{Damage, Finding, Found, Image, Namespace, Page, PageState, Superseded};
pub use keys::NvsKeys;
pub use layout::PAGE;
pub use name::Name;
pub use parse::parse;
pub use value::Value;

/// Largest image and largest sum of values, in bytes: the flash of the largest common module.
pub const MAX_SIZE: u32 = 16 * 1024 * 1024;
/// Largest blob that firmware reads: 127 chunks of a page's 4000 bytes each.
pub const MAX_BLOB: usize = 127 * 4000;
/// Smallest partition that firmware can write to; smaller ones are read-only.
pub const MIN_WRITABLE_SIZE: u32 = 3 * PAGE as u32;

/// The form of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// Blobs lie within one page and have at most 1984 bytes.
    V1,
    /// Blobs may be cut into chunks on several pages: ESP-IDF 3.3 and later.
    #[default]
    V2,
}

impl Version {
    /// The version byte of a page header.
    fn code(self) -> u8 {
        match self {
            Self::V1 => 0xFF,
            Self::V2 => 0xFE,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            0xFF => Some(Self::V1),
            0xFE => Some(Self::V2),
            _ => None,
        }
    }
}
