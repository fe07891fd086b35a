//! The value of a CSV row, by its encoding.
//!
//! Facts observed at esp-idf-nvs-partition-gen 0.3.0: integers are decimal as Python's `int` takes
//! them, with a sign, leading zeros, single underscores between digits and space around; the
//! encodings of integers are taken in capitals too; files are read in every encoding;
//! `blob_fill(LENGTH;0xBYTE)` is the text filled up with the byte, `blob_sz_fill` has the text's
//! length before it, in four little-endian bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::{Column, Fault};
use super::{MAX_BLOB, Value};

/// The value of a `data` row.
pub(super) fn from_text(encoding: &str, text: &str) -> Result<Value, Fault> {
    if let Some(value) = integer(encoding, text)? {
        return Ok(value);
    }
    match encoding {
        "string" => Ok(Value::String(text.to_owned())),
        "hex2bin" => Ok(Value::Blob(from_hex(text.as_bytes())?)),
        "base64" => Ok(Value::Blob(from_base64(text.as_bytes())?)),
        "binary" if text.is_ascii() => Ok(Value::Blob(text.as_bytes().to_vec())),
        "binary" => Err(Fault::NotAscii),
        other => filled(other, text),
    }
}

/// The value of a `file` row, whose file holds these bytes.
pub(super) fn from_file(encoding: &str, bytes: Vec<u8>) -> Result<Value, Fault> {
    match encoding {
        "string" => {
            let text = String::from_utf8(bytes).map_err(|_| Fault::NotText)?;
            Ok(Value::String(text))
        }
        "hex2bin" => Ok(Value::Blob(from_hex(&bytes)?)),
        "base64" => Ok(Value::Blob(from_base64(&bytes)?)),
        "binary" => Ok(Value::Blob(bytes)),
        other => {
            let text = String::from_utf8_lossy(&bytes);
            integer(other, &text)?.ok_or_else(|| unknown(other))
        }
    }
}

/// The column that a fault is in.
pub(super) fn column(fault: &Fault) -> Column {
    if matches!(fault, Fault::Encoding(_)) {
        Column::Encoding
    } else if matches!(fault, Fault::Duplicate | Fault::NoNamespace) {
        Column::Key
    } else {
        Column::Value
    }
}

fn unknown(encoding: &str) -> Fault {
    Fault::Encoding(encoding.chars().take(64).collect())
}

/// An integer, or nothing when the encoding is none of an integer.
fn integer(encoding: &str, text: &str) -> Result<Option<Value>, Fault> {
    let lower = encoding.to_ascii_lowercase();
    let value = match lower.as_str() {
        "u8" => Value::U8(number(text, "u8")?),
        "i8" => Value::I8(number(text, "i8")?),
        "u16" => Value::U16(number(text, "u16")?),
        "i16" => Value::I16(number(text, "i16")?),
        "u32" => Value::U32(number(text, "u32")?),
        "i32" => Value::I32(number(text, "i32")?),
        "u64" => Value::U64(number(text, "u64")?),
        "i64" => Value::I64(number(text, "i64")?),
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn number<T: TryFrom<i128>>(text: &str, encoding: &'static str) -> Result<T, Fault> {
    decimal(text)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| Fault::Number {
            value: text.chars().take(64).collect(),
            encoding,
        })
}

fn decimal(text: &str) -> Option<i128> {
    let text = text.trim_matches(is_space);
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let mut number: i128 = 0;
    let mut after_digit = false;
    for letter in digits.bytes() {
        match letter {
            b'0'..=b'9' => {
                number = number
                    .checked_mul(10)?
                    .checked_add(i128::from(letter - b'0'))?;
                after_digit = true;
            }
            b'_' if after_digit => after_digit = false,
            _ => return None,
        }
    }
    after_digit.then_some(sign * number)
}

/// Space as Python strips it, within ASCII.
fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r' | '\x0B' | '\x0C')
}

fn from_hex(text: &[u8]) -> Result<Vec<u8>, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::Hex)?;
    hex::decode(text.trim_matches(is_space)).map_err(|_| Fault::Hex)
}

/// Lines may be broken anywhere, as in files that other programs write.
fn from_base64(text: &[u8]) -> Result<Vec<u8>, Fault> {
    let dense: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !is_space(char::from(*byte)))
        .collect();
    STANDARD.decode(dense).map_err(|_| Fault::Base64)
}

fn filled(encoding: &str, text: &str) -> Result<Value, Fault> {
    let (sized, rest) = if let Some(rest) = encoding.strip_prefix("blob_fill(") {
        (false, rest)
    } else if let Some(rest) = encoding.strip_prefix("blob_sz_fill(") {
        (true, rest)
    } else {
        return Err(unknown(encoding));
    };
    let inner = rest.strip_suffix(')').ok_or_else(|| unknown(encoding))?;
    let (length, fill) = inner.split_once(';').ok_or_else(|| unknown(encoding))?;
    let plain = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let fill = fill.strip_prefix("0x").filter(|digits| digits.len() == 2);
    let fill = fill.and_then(|digits| hex::decode(digits).ok());
    let (true, Some([fill])) = (plain, fill.as_deref()) else {
        return Err(unknown(encoding));
    };
    // Digits that do not fit a number are as much too long.
    let length = length.parse().unwrap_or(usize::MAX);
    if length > MAX_BLOB {
        let most = MAX_BLOB;
        return Err(Fault::TooLong { length, most });
    }
    if text.len() > length {
        let (length, most) = (text.len(), length);
        return Err(Fault::TooLong { length, most });
    }
    let mut bytes = Vec::with_capacity(length + 4);
    if sized {
        let size = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&size.to_le_bytes());
    }
    let end = bytes.len() + length;
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(end, *fill);
    Ok(Value::Blob(bytes))
}
