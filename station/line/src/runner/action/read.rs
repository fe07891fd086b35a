//! `read`: flash content that is recorded or compared.

use station_esp::nvs;

use super::flash::encode;
use super::measure::judge;
use crate::outcome::{Failure, FailureClass, Verdict};
use crate::plan::{Encoding, Read, ReadForm};
use crate::runner::attempt::{Attempt, Turn};
use crate::wish::number;

/// Reads flash; compares it, records its value, stores its bytes, as the step says.
///
/// Bytes that are compared must stand at the beginning, and nothing but padding (0x00, 0xFF) behind
/// them.
pub(super) async fn read(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    what: &Read,
) -> Result<(), Failure> {
    let wanted = match &what.equals {
        Some(template) => Some(template.render(&attempt.values)?),
        None => None,
    };
    let pen = attempt.pen(turn.step);
    let session = attempt.chip.session()?;
    let bytes = session
        .read_flash(what.range.offset, what.range.size, &pen)
        .await?;
    if what.attach {
        attempt.attach(turn, "flash", bytes.clone()).await;
    }
    let seen = match &what.form {
        ReadForm::Bytes(encoding) => of_bytes(what, &bytes, *encoding, wanted.as_deref())?,
        ReadForm::Number { big_endian, .. } => {
            of_number(what, &bytes, *big_endian, wanted.as_deref())?
        }
        ReadForm::Nvs { namespace, key } => {
            of_nvs(&bytes, (namespace.as_str(), key.as_str()), wanted)?
        }
    };
    let (wanted, differs) = match seen.wanted {
        Some((wanted, differs)) => (Some(wanted), differs),
        None => (None, None),
    };
    if let Some(measure) = &what.measure {
        let mut measure = measure.clone();
        measure.limits.equals = wanted;
        let (mut measurement, failure) = judge(&measure, &seen.text?);
        if differs.is_some() {
            measurement.verdict = Verdict::Fail;
        }
        attempt.measured(turn, measurement).await;
        if let (None, Some(failure)) = (&differs, failure) {
            return Err(failure);
        }
    }
    differs.map_or(Ok(()), Err)
}

/// What was found, as text.
struct Seen {
    /// The value, or why it is none.
    text: Result<String, Failure>,
    /// What it should be, and how it differs if it does.
    wanted: Option<(String, Option<Failure>)>,
}

fn differs(message: String) -> Failure {
    Failure::new(FailureClass::Verify, "content-differs", message)
}

fn of_bytes(
    what: &Read,
    bytes: &[u8],
    encoding: Encoding,
    wanted: Option<&str>,
) -> Result<Seen, Failure> {
    let content = without_padding(bytes);
    let wanted = match wanted {
        Some(text) => {
            let wanted = encode(text, encoding)?;
            let other = (!stands_alone(&wanted, bytes)).then(|| {
                let start = &content[..content.len().min(64)];
                differs(format!(
                    "0x{:x} reads `{}`, wanted `{}`",
                    what.range.offset,
                    start.escape_ascii(),
                    wanted.escape_ascii()
                ))
            });
            Some((text_of(without_padding(&wanted), encoding)?, other))
        }
        None => None,
    };
    let text = text_of(content, encoding);
    Ok(Seen { text, wanted })
}

fn of_number(
    what: &Read,
    bytes: &[u8],
    big_endian: bool,
    wanted: Option<&str>,
) -> Result<Seen, Failure> {
    let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    let found = if big_endian {
        bytes.iter().fold(0, fold)
    } else {
        bytes.iter().rev().fold(0, fold)
    };
    let wanted = match wanted {
        Some(text) => {
            let wanted = number(text).ok_or_else(|| {
                Failure::station("value-not-number", format!("`{text}` is no number"))
            })?;
            let other = (found != wanted).then(|| {
                let at = what.range.offset;
                differs(format!("0x{at:x} reads {found}, wanted {wanted}"))
            });
            Some((wanted.to_string(), other))
        }
        None => None,
    };
    let text = Ok(found.to_string());
    Ok(Seen { text, wanted })
}

/// No value appears in a message: some are secrets.
fn of_nvs(
    bytes: &[u8],
    (namespace, key): (&str, &str),
    wanted: Option<String>,
) -> Result<Seen, Failure> {
    let place = format!("`{namespace}`/`{key}`");
    let image = nvs::parse(bytes, None)
        .map_err(|error| Failure::new(FailureClass::Verify, error.code(), error.to_string()))?;
    let Some(found) = image.find(namespace, key) else {
        let why = if image.looks_encrypted() {
            format!("{place} cannot be found, for the partition looks encrypted")
        } else {
            format!("{place} is not there")
        };
        return Err(Failure::new(FailureClass::Verify, "nvs-value-missing", why));
    };
    let text = found.value.text();
    let wanted = wanted.map(|mut wanted| {
        if matches!(found.value, nvs::Value::Blob(_)) {
            wanted.make_ascii_lowercase();
        }
        let other = (wanted != text).then(|| differs(format!("{place} has another value")));
        (wanted, other)
    });
    Ok(Seen {
        text: Ok(text),
        wanted,
    })
}

fn is_padding(byte: &u8) -> bool {
    matches!(byte, 0x00 | 0xFF)
}

fn without_padding(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|byte| !is_padding(byte))
        .map_or(0, |last| last + 1);
    &bytes[..end]
}

/// Whether `bytes` are `wanted` and nothing but padding.
fn stands_alone(wanted: &[u8], bytes: &[u8]) -> bool {
    bytes
        .strip_prefix(wanted)
        .is_some_and(|rest| rest.iter().all(is_padding))
}

fn text_of(content: &[u8], encoding: Encoding) -> Result<String, Failure> {
    match encoding {
        Encoding::Hex | Encoding::Base64 => Ok(hex::encode(content)),
        Encoding::Text => match std::str::from_utf8(content) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => {
                let start = &content[..content.len().min(64)];
                let message = format!("`{}` is not text", start.escape_ascii());
                Err(Failure::new(FailureClass::Verify, "not-text", message))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_padding_may_follow_what_is_compared() {
        assert!(stands_alone(b"SN1", b"SN1"));
        assert!(stands_alone(b"SN1", b"SN1\0\0\xff\xff"));
        assert!(!stands_alone(b"SN1", b"SN12\xff"));
        assert!(!stands_alone(b"SN1", b"SN"));
        assert!(!stands_alone(b"SN1", b"\xffSN1"));
    }

    #[test]
    fn padding_is_no_part_of_the_text() {
        assert_eq!(without_padding(b"a\0b\0\xff"), b"a\0b");
        assert_eq!(without_padding(b"\xff\xff"), b"");
    }
}
