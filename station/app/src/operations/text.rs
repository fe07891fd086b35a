//! Parameters that are written as text: durations, offsets, sizes.

use std::time::Duration;

use crate::operation::OperationError;

/// Longest time any operation may be asked to wait.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// Reads `250ms`, `5s` or `2m`.
///
/// # Errors
/// `duration-invalid`: a bare number, an unknown unit, zero or more than an hour.
pub(super) fn duration(text: &str) -> Result<Duration, OperationError> {
    let refuse = || {
        OperationError::usage("duration-invalid", format!("`{text}` is no duration"))
            .hint("write a number and a unit: `250ms`, `5s` or `2m`; at most an hour")
    };
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| refuse())?;
    let duration = match &text[digits.len()..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err(refuse()),
    };
    if duration.is_zero() || duration > MAX_WAIT {
        Err(refuse())
    } else {
        Ok(duration)
    }
}

/// Reads an address or length: `0x10000`, or `64KB`, `4MB`.
///
/// # Errors
/// `number-invalid`: a bare decimal, where it is unclear whether bytes or hex are meant.
pub(super) fn bytes(text: &str) -> Result<u32, OperationError> {
    let parsed = match text.strip_prefix("0x") {
        // A sign would be taken for a part of the number.
        Some(hex) if hex.contains(['+', '-']) => None,
        Some(hex) => u32::from_str_radix(&hex.replace('_', ""), 16).ok(),
        None => in_units(text),
    };
    parsed.ok_or_else(|| {
        OperationError::usage("number-invalid", format!("`{text}` is no address or size"))
            .hint("write hex, `0x10000`, or a size with its unit, `64KB`")
    })
}

/// Reads `24KB` or `3MB`: any number of them, as partitions have any number of sectors.
fn in_units(text: &str) -> Option<u32> {
    let upper = text.to_ascii_uppercase();
    let (digits, unit) = match upper.strip_suffix("KB") {
        Some(digits) => (digits, 1024),
        None => (upper.strip_suffix("MB")?, 1024 * 1024),
    };
    let plain = digits.bytes().all(|sign| sign.is_ascii_digit());
    let count: u32 = plain.then(|| digits.parse().ok()).flatten()?;
    count.checked_mul(unit)
}

/// Longest reason that a person gives.
const MAX_WORDS: usize = 300;

/// Checks what a person writes into the record: one line, not a book.
///
/// # Errors
/// `words-invalid`.
pub(super) fn words(what: &str, text: &str) -> Result<(), OperationError> {
    let long = text.chars().count() > MAX_WORDS;
    if text.trim().is_empty() || long || text.chars().any(char::is_control) {
        let message = format!("`{what}` must be one line of 1 to {MAX_WORDS} characters");
        return Err(OperationError::usage("words-invalid", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        for wrong in ["5", "", "s", "0s", "5h", "-1s", "99999999999999s", "2h"] {
            assert_eq!(
                duration(wrong).unwrap_err().code,
                "duration-invalid",
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_bare_decimal_is_no_address() {
        assert_eq!(bytes("0x10000").unwrap(), 0x10000);
        assert_eq!(bytes("64KB").unwrap(), 64 * 1024);
        assert_eq!(bytes("24kb").unwrap(), 24 * 1024);
        for wrong in [
            "65536",
            "",
            "0x",
            "0x+10",
            "0x1_0000_0000_0",
            "4 apples",
            "KB",
            "-4KB",
            "4096MB",
        ] {
            assert_eq!(bytes(wrong).unwrap_err().code, "number-invalid", "{wrong}");
        }
    }
}
