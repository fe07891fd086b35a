//! The part of a representation that a client asks for (RFC 9110, section 14).

use std::ops::Range;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range, one that is malformed, or several, which a server may ignore.
    Whole,
    /// These bytes, at least one.
    Part(Range<usize>),
    /// Bytes that it does not have.
    Unsatisfiable,
}

/// Reads the value of `Range` for a representation of `length` bytes.
pub(super) fn wanted(value: &str, length: usize) -> Wanted {
    let Some((unit, range)) = value.split_once('=') else {
        return Wanted::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return Wanted::Whole;
    };
    let (first, last) = (number(first), number(last));
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    match (first, last) {
        (Number::Is(first), Number::Is(last)) if last < first => Wanted::Whole,
        (Number::Is(first), Number::Is(_) | Number::Absent) if first >= length => {
            Wanted::Unsatisfiable
        }
        (Number::Is(first), Number::Is(last)) => {
            Wanted::Part(first..last.saturating_add(1).min(length))
        }
        (Number::Is(first), Number::Absent) => Wanted::Part(first..length),
        (Number::Absent, Number::Is(0)) => Wanted::Unsatisfiable,
        (Number::Absent, Number::Is(_)) if length == 0 => Wanted::Unsatisfiable,
        (Number::Absent, Number::Is(suffix)) => Wanted::Part(length.saturating_sub(suffix)..length),
        (Number::Absent, Number::Absent) | (Number::No, _) | (_, Number::No) => Wanted::Whole,
    }
}

enum Number {
    Is(usize),
    Absent,
    No,
}

fn number(text: &str) -> Number {
    let text = text.trim();
    if text.is_empty() {
        return Number::Absent;
    }
    if !text.bytes().all(|sign| sign.is_ascii_digit()) {
        return Number::No;
    }
    // More than fits is more than there is.
    Number::Is(text.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_a_part_and_what_is_none_is_ignored() {
        assert_eq!(wanted("bytes=0-0", 10), Wanted::Part(0..1));
        assert_eq!(wanted("Bytes = 2-4", 10), Wanted::Part(2..5));
        assert_eq!(wanted("bytes=2-", 10), Wanted::Part(2..10));
        assert_eq!(wanted("bytes=-3", 10), Wanted::Part(7..10));
        assert_eq!(wanted("bytes=-30", 10), Wanted::Part(0..10));
        assert_eq!(
            wanted("bytes=9-99999999999999999999999", 10),
            Wanted::Part(9..10)
        );
        for beyond in [
            "bytes=10-",
            "bytes=10-12",
            "bytes=-0",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(wanted(beyond, 10), Wanted::Unsatisfiable, "{beyond}");
        }
        for ignored in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=4-2",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=+1-2",
            "bytes=a-b",
        ] {
            assert_eq!(wanted(ignored, 10), Wanted::Whole, "{ignored}");
        }
    }
}
