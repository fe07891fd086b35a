//! Check digits: what is appended to a number so that a misread one is noticed.
//!
//! Letters count as A = 10 … Z = 35, small ones as large ones; signs such as `-` count nothing.
//! Sources: Luhn (ISO/IEC 7812-1 annex B, letters as in ISO 6166), ISO 7064 (MOD 97-10, MOD 37-36,
//! MOD 11-2), GS1 General Specifications 7.9 (mod 10).

use std::fmt;
use std::str::FromStr;

/// How the check digits of a number are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckDigit {
    /// Luhn: one digit; letters count as two digits, as in an ISIN.
    Luhn,
    /// GS1 mod 10: one digit, weights 3 and 1; digits only.
    Mod10,
    /// ISO 7064 MOD 11-2: a digit or `X`; digits only.
    Mod11,
    /// ISO 7064 MOD 37-36: one digit or letter.
    Mod36,
    /// ISO 7064 MOD 97-10: two digits.
    Mod97,
}

impl CheckDigit {
    /// Every one of them.
    pub const ALL: [Self; 5] = [
        Self::Luhn,
        Self::Mod10,
        Self::Mod11,
        Self::Mod36,
        Self::Mod97,
    ];

    /// Returns its name in a pattern.
    pub fn word(self) -> &'static str {
        match self {
            Self::Luhn => "luhn",
            Self::Mod10 => "mod10",
            Self::Mod11 => "mod11",
            Self::Mod36 => "mod36",
            Self::Mod97 => "mod97",
        }
    }

    /// Returns how many characters it adds.
    pub fn length(self) -> usize {
        match self {
            Self::Luhn | Self::Mod10 | Self::Mod11 | Self::Mod36 => 1,
            Self::Mod97 => 2,
        }
    }

    /// Returns whether letters can be protected by it.
    pub fn takes_letters(self) -> bool {
        match self {
            Self::Luhn | Self::Mod36 | Self::Mod97 => true,
            Self::Mod10 | Self::Mod11 => false,
        }
    }

    /// Returns the check characters of `text`. Characters that are neither letter nor digit are
    /// passed over; so are letters where only digits count.
    pub fn compute(self, text: &str) -> String {
        match self {
            Self::Luhn => weighted(&decimal_digits(text), |position, digit| {
                let doubled = if position % 2 == 0 { digit * 2 } else { digit };
                doubled / 10 + doubled % 10
            }),
            Self::Mod10 => weighted(&only_digits(text), |position, digit| {
                if position % 2 == 0 { digit * 3 } else { digit }
            }),
            Self::Mod11 => mod_11_2(&only_digits(text)),
            Self::Mod36 => mod_37_36(&values(text)),
            Self::Mod97 => mod_97_10(&decimal_digits(text)),
        }
    }
}

impl fmt::Display for CheckDigit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for CheckDigit {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.word() == text)
            .ok_or(())
    }
}

/// Returns the value, 0 to 35, of every letter and digit.
fn values(text: &str) -> Vec<u32> {
    text.chars()
        .filter(char::is_ascii)
        .filter_map(|character| character.to_digit(36))
        .collect()
}

/// Returns the decimal digits, letters written out as two.
fn decimal_digits(text: &str) -> Vec<u32> {
    values(text)
        .into_iter()
        .flat_map(|value| {
            if value < 10 {
                vec![value]
            } else {
                vec![value / 10, value % 10]
            }
        })
        .collect()
}

fn only_digits(text: &str) -> Vec<u32> {
    text.chars()
        .filter_map(|character| character.to_digit(10))
        .collect()
}

/// Returns the digit that makes the weighted sum a multiple of ten. Position 0 is the rightmost.
fn weighted(digits: &[u32], weight: impl Fn(usize, u32) -> u32) -> String {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(position, digit)| weight(position, *digit))
        .sum();
    ((10 - sum % 10) % 10).to_string()
}

fn mod_11_2(digits: &[u32]) -> String {
    let total = digits
        .iter()
        .fold(0, |total, digit| (total + digit) * 2 % 11);
    match (12 - total) % 11 {
        10 => "X".to_owned(),
        digit => digit.to_string(),
    }
}

fn mod_37_36(values: &[u32]) -> String {
    let product = values.iter().fold(36, |product, value| {
        let sum = (product + value) % 36;
        (if sum == 0 { 36 } else { sum }) * 2 % 37
    });
    let check = (37 - product) % 36;
    char::from_digit(check, 36)
        .unwrap_or('?')
        .to_ascii_uppercase()
        .to_string()
}

fn mod_97_10(digits: &[u32]) -> String {
    let remainder = digits
        .iter()
        .fold(0, |remainder, digit| (remainder * 10 + digit) % 97);
    format!("{:02}", 98 - remainder * 100 % 97)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luhn_agrees_with_published_numbers() {
        assert_eq!(CheckDigit::Luhn.compute("7992739871"), "3");
        // ISO 6166 security numbers of two companies.
        assert_eq!(CheckDigit::Luhn.compute("US037833100"), "5");
        assert_eq!(CheckDigit::Luhn.compute("US594918104"), "5");
        assert_eq!(CheckDigit::Luhn.compute(""), "0");
    }

    #[test]
    fn gs1_agrees_with_published_numbers() {
        assert_eq!(CheckDigit::Mod10.compute("629104150021"), "3");
        assert_eq!(CheckDigit::Mod10.compute("03600029145"), "2");
    }

    #[test]
    fn mod_11_2_agrees_with_published_numbers() {
        // ORCID identifiers, ISO 27729.
        assert_eq!(CheckDigit::Mod11.compute("0000-0002-1825-009"), "7");
        assert_eq!(CheckDigit::Mod11.compute("0000-0001-5109-370"), "0");
        assert_eq!(CheckDigit::Mod11.compute("0000-0002-1694-233"), "X");
    }

    #[test]
    fn mod_37_36_agrees_with_published_numbers() {
        // The worked example of the Global Release Identifier.
        assert_eq!(CheckDigit::Mod36.compute("A1-2425G-ABC1234002-"), "M");
    }

    #[test]
    fn mod_97_10_agrees_with_published_numbers() {
        assert_eq!(CheckDigit::Mod97.compute("794"), "44");
        // A legal entity identifier, ISO 17442.
        assert_eq!(CheckDigit::Mod97.compute("5493001KJTIIGC8Y1R"), "12");
    }

    #[test]
    fn a_wrong_digit_is_noticed_by_every_kind() {
        for kind in CheckDigit::ALL {
            let right = kind.compute("2625-000417");
            for wrong in ["2625-000418", "2625-000317", "3625-000417", "2625-100417"] {
                assert_ne!(
                    kind.compute(wrong),
                    right,
                    "{kind} takes {wrong} for 2625-000417"
                );
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for kind in CheckDigit::ALL {
            assert_eq!(kind.word().parse(), Ok(kind));
            assert_eq!(kind.compute("12").len(), kind.length());
        }
        assert_eq!("crc".parse::<CheckDigit>(), Err(()));
    }
}
