//! `nvs`: a partition of named values, made for one unit, written, read back and compared.
//!
//! Invariants: no value appears in a message, only where it stands; keys live in memory as secrets
//! and go nowhere but into their own partition; on a unit that is only verified nothing is written,
//! and what its application has added is no difference.

use std::sync::Arc;

use station_device::flash::{PreparedImage, WriteOptions};
use station_esp::nvs::{self, Content, Image, NvsKeys, Value};
use station_esp::secret::Secret;

use super::flash::BLOCK_RETRIES;
use super::secrets;
use crate::keys::system_random;
use crate::outcome::{Failure, FailureClass};
use crate::plan::{Nvs, NvsEncryption, NvsForm, NvsValue, PlanKey, Range};
use crate::runner::attempt::{Attempt, Turn};
use crate::template::Values;

/// What holds the unit's values and belongs to its flash.
const DIFFERS: &str = "nvs-differs";

/// So few bytes are made ready on the spot; more go to another thread.
const AT_ONCE: u32 = 128 * 1024;

/// Writes the unit's partition, or compares it when the unit is only to be verified.
pub(super) async fn nvs(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    what: &Nvs,
) -> Result<(), Failure> {
    let content = content(&attempt.values, what).await?;
    if attempt.is_verified_only() {
        return compare(attempt, turn, what, &content).await;
    }
    let keys = match &what.encryption {
        None => None,
        Some(NvsEncryption::Hmac { key, .. }) => Some(derived(attempt, key).await?),
        Some(NvsEncryption::Partition(range)) => Some(drawn(attempt, turn, *range).await?),
    };
    let bytes = built(what, &content, keys.as_ref())?;
    let used = used(&bytes);
    write(attempt, turn, what.range, bytes.into()).await?;
    // What lies behind is erased, as the chip's MD5 has shown.
    let found = read(attempt, turn, what.range.offset, used).await?;
    let image = parsed(&found, keys.as_ref())?;
    if let Some(damage) = image.findings.first() {
        let message = format!(
            "at 0x{:x}: {}",
            u64::from(what.range.offset) + u64::from(damage.offset),
            damage.damage
        );
        return Err(differs(message));
    }
    equal(&image, &content)?;
    let (found, wanted) = (image.entries.len(), content.entries().count());
    if found != wanted {
        let message = format!("NVS has {found} entries where {wanted} were written");
        return Err(differs(message));
    }
    Ok(())
}

/// Compares what a unit that passed before has with what it should have.
async fn compare(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    what: &Nvs,
    content: &Content,
) -> Result<(), Failure> {
    let keys = match &what.encryption {
        None => None,
        Some(NvsEncryption::Hmac { key, .. }) => Some(derived(attempt, key).await?),
        Some(NvsEncryption::Partition(range)) => {
            must_be_plain(attempt)?;
            Some(stored(attempt, turn, *range).await?)
        }
    };
    let found = read(attempt, turn, what.range.offset, what.range.size).await?;
    equal(&parsed(&found, keys.as_ref())?, content)
}

/// What this unit's partition is to hold.
async fn content(values: &Values, what: &Nvs) -> Result<Content, Failure> {
    let mut content = what.base.clone();
    for value in &what.values {
        let place = || format!("`{}`/`{}`", value.namespace, value.key);
        let text = value.value.render(values)?;
        let made = made(value, text, &place).await?;
        content
            .set(value.namespace.as_str(), value.key.as_str(), made)
            .map_err(|error| unusable(error.code(), &place()))?;
    }
    Ok(content)
}

async fn made(
    value: &NvsValue,
    text: String,
    place: &(impl Fn() -> String + Sync),
) -> Result<Value, Failure> {
    if text.is_empty() {
        let message = format!("{} is empty for this unit", place());
        return Err(Failure::station("value-empty", message));
    }
    match &value.form {
        NvsForm::Encoding(encoding) => {
            Value::from_text(encoding, &text).map_err(|fault| unusable(fault.code(), &place()))
        }
        NvsForm::File(files) => {
            let files = files.clone();
            let read = tokio::task::spawn_blocking(move || files.read(&text)).await;
            match read {
                Ok(Ok(bytes)) => Ok(Value::Blob(bytes)),
                Ok(Err(error)) => {
                    let message = format!("{}: {error}", place());
                    Err(Failure::station(error.code(), message))
                }
                Err(_) => Err(Failure::internal("reading a file")),
            }
        }
    }
}

/// A value that only the unit has shown to be none.
fn unusable(code: &'static str, place: &str) -> Failure {
    let message = format!("the value of {place} for this unit cannot be stored ({code})");
    Failure::station(code, message)
}

fn built(what: &Nvs, content: &Content, keys: Option<&NvsKeys>) -> Result<Vec<u8>, Failure> {
    let (size, version) = (what.range.size, what.version);
    let built = match keys {
        None => nvs::build(content, size, version),
        Some(keys) => nvs::build_encrypted(content, size, version, keys),
    };
    built.map_err(|error| Failure::station(error.code(), error.to_string()))
}

/// Bytes up to the end of the last page that holds anything.
fn used(bytes: &[u8]) -> u32 {
    let pages = bytes.chunks(nvs::PAGE);
    let begun = pages.take_while(|page| page.first_chunk::<4>() != Some(&[0xFF; 4]));
    u32::try_from(begun.count() * nvs::PAGE).unwrap_or(u32::MAX)
}

fn parsed(bytes: &[u8], keys: Option<&NvsKeys>) -> Result<Image, Failure> {
    // Whole pages of a partition of the plan.
    nvs::parse(bytes, keys).map_err(|error| Failure::station(error.code(), error.to_string()))
}

/// Checks that every value is there.
fn equal(image: &Image, content: &Content) -> Result<(), Failure> {
    for entry in content.entries() {
        let (namespace, key) = (entry.namespace.as_str(), entry.key.as_str());
        match image.find(namespace, key) {
            Some(found) if found.value == entry.value => {}
            Some(_) => return Err(differs(format!("`{namespace}`/`{key}` has another value"))),
            None => return Err(differs(format!("`{namespace}`/`{key}` is not there"))),
        }
    }
    Ok(())
}

fn differs(message: String) -> Failure {
    Failure::new(FailureClass::Verify, DIFFERS, message)
}

async fn write(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    range: Range,
    bytes: Arc<[u8]>,
) -> Result<(), Failure> {
    let name = turn.step.name.to_string();
    let prepare = move || PreparedImage::prepare(name, range.offset, bytes);
    let image = if range.size <= AT_ONCE {
        prepare()?
    } else {
        let prepared = tokio::task::spawn_blocking(prepare).await;
        prepared.map_err(|_| Failure::internal("the preparation of flash"))??
    };
    let options = WriteOptions {
        skip_unchanged: true,
        verify: true,
        retries: BLOCK_RETRIES,
    };
    let pen = attempt.pen(turn.step);
    let session = attempt.chip.session()?;
    session.write(&image, &options, &pen).await?;
    Ok(())
}

async fn read(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    offset: u32,
    length: u32,
) -> Result<Vec<u8>, Failure> {
    let pen = attempt.pen(turn.step);
    let session = attempt.chip.session()?;
    Ok(session.read_flash(offset, length, &pen).await?)
}

/// The keys that follow from the one the chip holds.
async fn derived(attempt: &mut Attempt<'_>, key: &PlanKey) -> Result<NvsKeys, Failure> {
    let Some(secret) = secrets::known(attempt, key).await? else {
        let message = format!("the key store has no key `{}` of this unit", key.name);
        return Err(Failure::station("key-unknown", message));
    };
    NvsKeys::from_hmac(&secret).map_err(|error| of_keys(&error))
}

/// Keys in flash are plain text to the station, and ciphertext once the chip encrypts.
fn must_be_plain(attempt: &mut Attempt<'_>) -> Result<(), Failure> {
    if attempt.chip.session()?.identity().flash_encryption() == Some(true) {
        let message = "flash encryption is on, and only the chip can read and write its NVS keys";
        return Err(Failure::station("nvs-keys-closed", message)
            .hinted("take `hmac` keys for units that come back after flash encryption"));
    }
    Ok(())
}

/// New keys, in their partition.
async fn drawn(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    range: Range,
) -> Result<NvsKeys, Failure> {
    must_be_plain(attempt)?;
    let mut chance =
        system_random().map_err(|error| Failure::station(error.code(), error.to_string()))?;
    let keys = NvsKeys::generate(&mut chance);
    let page = keys.to_partition();
    write(attempt, turn, range, page.expose().into()).await?;
    let read = stored(attempt, turn, range).await?;
    if read == keys {
        return Ok(keys);
    }
    Err(differs(
        "the keys partition reads back otherwise".to_owned(),
    ))
}

/// The keys that a unit has.
async fn stored(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    range: Range,
) -> Result<NvsKeys, Failure> {
    let page = Secret::new(read(attempt, turn, range.offset, range.size).await?);
    NvsKeys::parse_partition(&page).map_err(|error| {
        let message = format!(
            "the keys partition at 0x{:x}: {}",
            range.offset, error.fault
        );
        Failure::new(FailureClass::Verify, error.code(), message)
    })
}

fn of_keys(error: &nvs::NvsError) -> Failure {
    Failure::station(error.code(), error.to_string())
}
