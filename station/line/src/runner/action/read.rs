//! `read`: flash content that is recorded or compared.

use super::flash::encode;
use super::measure::judge;
use crate::outcome::{Failure, FailureClass, Limits};
use crate::plan::{Encoding, Measure, Read};
use crate::runner::attempt::{Attempt, Turn};

/// Reads flash; compares it, records its text, stores its bytes, as the step says.
///
/// What is compared must stand at the beginning, and nothing but padding (0x00, 0xFF) behind it.
pub(super) async fn read(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    what: &Read,
) -> Result<(), Failure> {
    let wanted = match &what.equals {
        Some(template) => Some(encode(&template.render(&attempt.values)?, what.encoding)?),
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
    let content = without_padding(&bytes);
    if let Some(name) = &what.measure {
        let measure = Measure {
            name: name.clone(),
            unit: None,
            limits: Limits::default(),
            numeric: false,
        };
        let (measurement, failure) = judge(&measure, &text_of(content, what.encoding)?);
        attempt.measured(turn, measurement).await;
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    match wanted {
        Some(wanted) if !stands_alone(&wanted, &bytes) => {
            let start = &content[..content.len().min(64)];
            let message = format!(
                "0x{:x} reads `{}`, wanted `{}`",
                what.range.offset,
                start.escape_ascii(),
                wanted.escape_ascii()
            );
            Err(Failure::new(
                FailureClass::Verify,
                "content-differs",
                message,
            ))
        }
        Some(_) | None => Ok(()),
    }
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
        Encoding::Hex => Ok(hex::encode(content)),
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
