//! `erase`, `flash`, `data`, `serial`, `check`: bytes in flash, written or only looked at.

use station_device::flash::{Phase, PreparedImage, ProgressSink, SECTOR, WriteOptions};

use super::policy;
use crate::outcome::{Failure, FailureClass};
use crate::plan::{Action, Check, Encoding, EncryptedBy, Erase, Flash, Range, WriteBytes};
use crate::runner::attempt::{Attempt, Turn};
use crate::runner::prepared::ReadyImage;
use crate::template::Values;

/// How often a block is sent again within one try of a step.
pub(super) const BLOCK_RETRIES: u32 = 2;

/// So few bytes are made ready on the spot; more go to another thread.
const AT_ONCE: usize = 128 * 1024;

/// Erased flash.
const ERASED: u8 = 0xFF;

/// Makes flash blank.
pub(super) async fn erase(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    what: &Erase,
) -> Result<(), Failure> {
    let pen = attempt.pen(turn.step);
    let session = attempt.chip.session()?;
    match what {
        Erase::All => {
            pen.progress(Phase::Erase.word(), 0, None);
            session.erase_flash().await?;
        }
        Erase::Ranges(ranges) => {
            for range in ranges {
                pen.progress(Phase::Erase.word(), 0, Some(u64::from(range.size)));
                session.erase_region(range.offset, range.size).await?;
            }
        }
    }
    Ok(())
}

/// Writes images, or compares them when the unit is only to be verified.
pub(super) async fn flash(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    what: &Flash,
) -> Result<(), Failure> {
    let options = WriteOptions {
        skip_unchanged: what.skip_unchanged,
        verify: what.verify,
        retries: BLOCK_RETRIES,
    };
    let pen = attempt.pen(turn.step);
    // On a chip whose flash is encrypted already plain text would be rubbish; what is there is the
    // ciphertext of an earlier attempt, which the encryption step compares.
    let encrypted = attempt.chip.session()?.identity().flash_encryption() == Some(true);
    let plan = &attempt.run.plan;
    let written: Vec<usize> = what
        .images
        .iter()
        .copied()
        .filter(|index| !(encrypted && plan.is_encrypted(*index)))
        .collect();
    if attempt.is_verified_only() {
        return compare(attempt, turn, &written).await;
    }
    for image in meant_for_unit(attempt, &written)? {
        let session = attempt.chip.session()?;
        session.write(&image.prepared, &options, &pen).await?;
    }
    Ok(())
}

/// Compares images with what is on the chip, by the MD5 the chip computes.
async fn compare(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    images: &[usize],
) -> Result<(), Failure> {
    let pen = attempt.pen(turn.step);
    for image in meant_for_unit(attempt, images)? {
        let (name, offset) = (image.prepared.name(), image.prepared.offset());
        pen.progress(Phase::Verify.word(), 0, Some(u64::from(image.length)));
        let found = attempt.chip.session()?.md5(offset, image.length).await?;
        if found != image.md5 {
            let message = format!("what is at 0x{offset:x} differs from image `{name}`");
            return Err(Failure::new(FailureClass::Verify, "image-differs", message));
        }
    }
    Ok(())
}

/// Of these images, the ones for the unit's chip.
fn meant_for_unit<'a>(
    attempt: &mut Attempt<'a>,
    images: &[usize],
) -> Result<Vec<&'a ReadyImage>, Failure> {
    let run = attempt.run;
    let chip = attempt.chip.session()?.identity().chip;
    let all = run.plan.contents().images.iter().zip(&run.images);
    let all: Vec<_> = all.collect();
    let mut meant = Vec::with_capacity(images.len());
    for index in images {
        let (planned, ready) = all
            .get(*index)
            .ok_or_else(|| Failure::internal("the plan's list of images"))?;
        if planned.chips.contains(&chip) {
            meant.push(*ready);
        }
    }
    Ok(meant)
}

/// Writes bytes made for this unit and has the chip verify them.
pub(super) async fn data(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    what: &WriteBytes,
) -> Result<(), Failure> {
    let bytes = rendered(&attempt.values, what).await?;
    write(attempt, turn, what, &bytes).await
}

/// Writes the serial number and reads it back, byte for byte.
pub(super) async fn serial(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    what: &WriteBytes,
) -> Result<(), Failure> {
    let bytes = rendered(&attempt.values, what).await?;
    write(attempt, turn, what, &bytes).await?;
    let length = length_of(&bytes)?;
    let pen = attempt.pen(turn.step);
    let session = attempt.chip.session()?;
    let found = session.read_flash(what.range.offset, length, &pen).await?;
    if found == bytes {
        return Ok(());
    }
    let message = format!(
        "serial at 0x{:x} reads back as `{}`",
        what.range.offset,
        found.escape_ascii()
    );
    Err(Failure::new(
        FailureClass::Verify,
        "serial-mismatch",
        message,
    ))
}

async fn write(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    what: &WriteBytes,
    bytes: &[u8],
) -> Result<(), Failure> {
    let Range { offset, size } = what.range;
    let mut content = bytes.to_vec();
    let room = usize::try_from(size).unwrap_or(usize::MAX);
    let filled = if what.pad == ERASED {
        content.len().next_multiple_of(SECTOR).min(room)
    } else {
        room
    };
    if what.clear {
        // To the end of the last sector, so that what is not written is known to be blank too.
        content.resize(filled, what.pad);
    }
    let name = turn.step.name.to_string();
    let at_once = content.len() <= AT_ONCE;
    let prepare = move || PreparedImage::prepare(name, offset, content.into());
    let image = if at_once {
        prepare()?
    } else {
        let prepared = tokio::task::spawn_blocking(prepare).await;
        prepared.map_err(|_| Failure::internal("the preparation of flash"))??
    };
    let options = WriteOptions {
        skip_unchanged: false,
        verify: true,
        retries: BLOCK_RETRIES,
    };
    let pen = attempt.pen(turn.step);
    let session = attempt.chip.session()?;
    session.write(&image, &options, &pen).await?;
    if what.clear && filled < room {
        let rest = length_of_count(room - filled)?;
        let from = offset + length_of_count(filled)?;
        session.erase_region(from, rest).await?;
    }
    Ok(())
}

/// The bytes of this unit; never none, never more than there is room for.
async fn rendered(values: &Values, what: &WriteBytes) -> Result<Vec<u8>, Failure> {
    let text = what.value.render(values)?;
    if let Some(files) = &what.files {
        let files = files.clone();
        let read = tokio::task::spawn_blocking(move || files.read(&text)).await;
        let read = read.map_err(|_| Failure::internal("reading a file"))?;
        return read.map_err(|error| Failure::station(error.code(), error.to_string()));
    }
    let bytes = encode(&text, what.encoding)?;
    let room = usize::try_from(what.range.size).unwrap_or(usize::MAX);
    if bytes.is_empty() {
        let message = format!("`{}` gives no bytes for this unit", what.value);
        return Err(Failure::station("value-empty", message));
    }
    if bytes.len() > room {
        // What it is may be a secret.
        let message = format!(
            "the value of this unit has {} bytes, there is room for {room}",
            bytes.len()
        );
        return Err(Failure::station("value-too-long", message));
    }
    Ok(bytes)
}

/// Turns text into bytes.
pub(super) fn encode(text: &str, encoding: Encoding) -> Result<Vec<u8>, Failure> {
    let code = match encoding {
        Encoding::Text | Encoding::Hex => "value-not-hex",
        Encoding::Base64 => "value-not-base64",
    };
    let decoded = encoding.decode(text);
    decoded.map_err(|reason| Failure::station(code, format!("the value of this unit: {reason}")))
}

fn length_of(bytes: &[u8]) -> Result<u32, Failure> {
    length_of_count(bytes.len())
}

fn length_of_count(count: usize) -> Result<u32, Failure> {
    u32::try_from(count)
        .map_err(|_| Failure::station("value-too-long", "more bytes than any flash"))
}

/// Checks what is on the chip without changing it.
pub(super) async fn check(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    what: &Check,
) -> Result<(), Failure> {
    compare(attempt, turn, &what.images).await?;
    for range in &what.blank {
        blank(attempt, turn, *range).await?;
    }
    if let Some(policy) = &what.policy {
        policy::check(attempt, turn, policy).await?;
    }
    if what.secure_boot.is_none() && what.flash_encryption.is_none() {
        return Ok(());
    }
    let identity = attempt.chip.session()?.identity();
    let found = [
        ("secure boot", what.secure_boot, identity.secure_boot()),
        (
            "flash encryption",
            what.flash_encryption,
            identity.flash_encryption(),
        ),
    ];
    for (name, wanted, found) in found {
        match (wanted, found) {
            (Some(wanted), Some(found)) if wanted != found => {
                let state = if found { "on" } else { "off" };
                let message = format!("{name} is {state} on this chip");
                return Err(Failure::new(
                    FailureClass::Verify,
                    "security-differs",
                    message,
                ));
            }
            (Some(_), None) => {
                let message = format!("this chip does not say whether {name} is on");
                return Err(Failure::station("security-unknown", message));
            }
            (Some(_), Some(_)) | (None, _) => {}
        }
    }
    if what.flash_encryption == Some(true) && identity.is_encrypted_for_good() == Some(false) {
        return refuse_for_now(attempt, turn);
    }
    Ok(())
}

/// A bootloader that was to encrypt for good has burned its count by now; one that was built for
/// development leaves bits with which encryption can be switched off.
fn refuse_for_now(attempt: &Attempt<'_>, turn: Turn<'_>) -> Result<(), Failure> {
    let steps = attempt.run.plan.contents().steps.iter();
    for step in steps.take_while(|step| step.name != turn.step.name) {
        if let Action::FlashEncryption(encryption) = &step.action
            && encryption.release
            && encryption.content == EncryptedBy::Bootloader
            && attempt.is_meant(step)?
        {
            let message = "flash encryption can be switched off again on this chip";
            let failure = Failure::new(FailureClass::Verify, "security-differs", message);
            return Err(failure.hinted(
                "the bootloader was built for development: build it with \
                 CONFIG_SECURE_FLASH_ENCRYPTION_MODE_RELEASE",
            ));
        }
    }
    Ok(())
}

async fn blank(attempt: &mut Attempt<'_>, turn: Turn<'_>, range: Range) -> Result<(), Failure> {
    let pen = attempt.pen(turn.step);
    pen.progress(Phase::Verify.word(), 0, Some(u64::from(range.size)));
    if attempt
        .chip
        .session()?
        .is_blank(range.offset, range.size)
        .await?
    {
        return Ok(());
    }
    let message = format!(
        "0x{:x} bytes at 0x{:x} are not blank",
        range.size, range.offset
    );
    Err(Failure::new(FailureClass::Verify, "not-blank", message))
}
