//! The raw form that both records share.

use super::VERSION;
use super::error::RecordError;

const MAGIC: [u8; 4] = *b"ESPR";
const HEADER: usize = 16;
const COVERED: usize = 12;
const FIELD: usize = 4;

/// One field.
pub(super) struct Field<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Its place among the fields, and in the bytes.
    pub(super) number: usize,
    pub(super) offset: usize,
}

impl Field<'_> {
    pub(super) fn malformed(&self) -> RecordError {
        RecordError::Field {
            number: self.number,
            offset: self.offset,
        }
    }

    pub(super) fn text(&self) -> Result<String, RecordError> {
        let text = std::str::from_utf8(self.content);
        text.map(str::to_owned).map_err(|_| self.malformed())
    }
}

/// Writes fields, each a tag and less than 64 KiB of content.
pub(super) fn write(kind: u8, fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (tag, content) in fields {
        body.extend([*tag, 0]);
        let length = u16::try_from(content.len()).expect("records bound their fields");
        body.extend(length.to_le_bytes());
        body.extend(content);
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend([kind, VERSION]);
    let count = u16::try_from(fields.len()).expect("records bound the number of fields");
    bytes.extend(count.to_le_bytes());
    let length = u32::try_from(body.len()).expect("both bounds together are below 4 GiB");
    bytes.extend(length.to_le_bytes());
    bytes.extend(checksum(&bytes, &body).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// Reads the fields of a record of this kind.
pub(super) fn read(kind: u8, bytes: &[u8]) -> Result<Vec<Field<'_>>, RecordError> {
    let (header, rest) = bytes
        .split_first_chunk::<HEADER>()
        .ok_or(RecordError::Truncated {
            offset: bytes.len(),
        })?;
    if header[..4] != MAGIC || header[4] != kind {
        return Err(RecordError::Kind);
    }
    if header[5] != VERSION {
        return Err(RecordError::Version { found: header[5] });
    }
    let count = usize::from(u16::from_le_bytes([header[6], header[7]]));
    let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (body, behind) = rest
        .split_at_checked(length)
        .ok_or(RecordError::Truncated {
            offset: bytes.len(),
        })?;
    if header[COVERED..] != checksum(&header[..COVERED], body).to_le_bytes() {
        return Err(RecordError::Checksum);
    }
    if let Some(at) = behind.iter().position(|byte| *byte != 0xFF) {
        let offset = HEADER + length + at;
        return Err(RecordError::Trailing { offset });
    }
    fields(body, count)
}

fn fields(body: &[u8], count: usize) -> Result<Vec<Field<'_>>, RecordError> {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < body.len() || fields.len() < count {
        let number = fields.len();
        let offset = HEADER + at;
        let malformed = RecordError::Field { number, offset };
        let Some(&[tag, 0, low, high]) = body.get(at..at + FIELD) else {
            return Err(malformed);
        };
        let start = at + FIELD;
        let end = start + usize::from(u16::from_le_bytes([low, high]));
        let Some(content) = body.get(start..end).filter(|_| number < count) else {
            return Err(malformed);
        };
        fields.push(Field {
            tag,
            content,
            number,
            offset,
        });
        at = end;
    }
    Ok(fields)
}

fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(body);
    hasher.finalize()
}
