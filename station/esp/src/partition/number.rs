//! Numbers as Espressif's tool takes them.
//!
//! Decimal, hexadecimal, octal or binary with an optional sign, single underscores between digits,
//! and behind them any number of `K` and `M`. A decimal number has no leading zero.

/// The number that `text` says.
pub(super) fn number(text: &str) -> Option<i64> {
    let mut digits = text;
    let mut unit: i64 = 1;
    while let Some((place, letter)) = digits.char_indices().next_back() {
        unit = match letter {
            'k' | 'K' => unit.checked_mul(1024)?,
            'm' | 'M' => unit.checked_mul(1024 * 1024)?,
            _ => break,
        };
        digits = &digits[..place];
    }
    let digits = digits.trim();
    let (negative, digits) = match digits.as_bytes().first()? {
        b'-' => (true, &digits[1..]),
        b'+' => (false, &digits[1..]),
        _ => (false, digits),
    };
    let value = unsigned(digits)?.checked_mul(unit)?;
    Some(if negative { -value } else { value })
}

fn unsigned(text: &str) -> Option<i64> {
    let prefixed = |prefix: [u8; 2]| {
        let head = text.as_bytes().get(..2)?;
        if !head.eq_ignore_ascii_case(&prefix) {
            return None;
        }
        let rest = text.get(2..)?;
        Some(rest.strip_prefix('_').unwrap_or(rest))
    };
    if let Some(rest) = prefixed(*b"0x") {
        return of_radix(rest, 16);
    }
    if let Some(rest) = prefixed(*b"0o") {
        return of_radix(rest, 8);
    }
    if let Some(rest) = prefixed(*b"0b") {
        return of_radix(rest, 2);
    }
    let value = of_radix(text, 10)?;
    if text.starts_with('0') && value != 0 {
        None
    } else {
        Some(value)
    }
}

fn of_radix(text: &str, radix: u32) -> Option<i64> {
    let mut value: i64 = 0;
    for part in text.split('_') {
        if part.is_empty() {
            return None;
        }
        for digit in part.chars() {
            let digit = digit.to_digit(radix)?;
            value = value.checked_mul(radix.into())?.checked_add(digit.into())?;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn every_form_of_number_is_read_and_every_other_refused() {
        let good: &[(&str, i64)] = &[
            ("0", 0),
            ("00", 0),
            ("24", 24),
            ("1_000", 1000),
            ("+5", 5),
            ("-0x1000", -0x1000),
            ("0X1f", 31),
            ("0x_1F", 31),
            ("0o17", 15),
            ("0b101", 5),
            ("24K", 24 * 1024),
            ("6 K", 6 * 1024),
            ("0x10k", 16 * 1024),
            ("1M", 1 << 20),
            ("1kk", 1 << 20),
            ("1mK", 1 << 30),
        ];
        for (text, value) in good {
            assert_eq!(number(text), Some(*value), "{text}");
        }
        for text in [
            "",
            "K",
            "-",
            "010",
            "1__0",
            "_1",
            "1_",
            "0x",
            "0xG",
            "1.5M",
            "- 5",
            "--5",
            "1k k",
            "99999999999999999999",
            "1MMMM",
            "M1",
            "N/A",
            "é",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
