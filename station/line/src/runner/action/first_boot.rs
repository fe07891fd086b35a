//! Secure boot version 1 of the ESP32: the chip's own key, the digest of the bootloader that is made
//! with it, and then the fuses.
//!
//! Invariants: the digest is in flash, read back, before the fuse that makes the ROM compare it;
//! the same key and bootloader give the same digest, so that an interrupted write is repeated and a
//! finished unit can be compared.

use std::sync::Arc;

use station_device::flash::ProgressSink;
use station_esp::Chip;
use station_esp::image::Image;
use station_esp::secret::Secret;
use station_esp::secure::encryption::{self, FlashKey, Scheme};
use station_esp::secure::signature::v1;

use super::burn::{self, Ciphertext};
use super::secrets::{self, Held};
use crate::outcome::{Failure, FailureClass};
use crate::plan::{BootloaderDigest, PlanImage, SecureBootV1};
use crate::runner::attempt::{Attempt, Turn};
use crate::wish::{self, FIRST_SECURE_BOOT};

/// Carries out `secure_boot` with version 1.
pub(super) async fn secure_boot(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    step: &SecureBootV1,
) -> Result<(), Failure> {
    let key = &step.digest.key;
    let held = secrets::obtain(attempt, key, FIRST_SECURE_BOOT);
    match turn.ends.during(held).await? {
        Held::Absent => Err(burn::not_there(FIRST_SECURE_BOOT)),
        Held::Forgotten => {
            let snapshot = turn.ends.during(burn::read(attempt)).await?;
            secrets::note_forgotten(attempt, key).await?;
            let wish = wish::of_first_secure_boot(&step.digest, None);
            let plan = turn.ends.during(burn::plan(attempt, &wish)).await;
            match plan {
                Ok(plan) if plan.is_empty() && burn::holds(&snapshot, FIRST_SECURE_BOOT) => Ok(()),
                Ok(_) | Err(_) => Err(burn::lost(FIRST_SECURE_BOOT)),
            }
        }
        Held::Key(secret) => {
            let wish = wish::of_first_secure_boot(&step.digest, Some(secret.clone()));
            // What the fuses would refuse is known before flash is touched.
            let plan = turn.ends.during(burn::plan(attempt, &wish)).await?;
            must_read_digest(attempt, turn, step).await?;
            if !step.encrypted {
                let written = digest(attempt, turn, &step.digest, &secret, None);
                turn.ends.during(written).await?;
            }
            burn::carry_out(attempt, turn, plan).await?;
            burn::forget(attempt, turn, key).await
        }
    }
}

/// The digest must be what the ROM takes it for: it reads plain text on a chip whose flash is
/// encrypted, and ciphertext on one whose flash is not, as rubbish, and then starts nothing any more.
async fn must_read_digest(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    step: &SecureBootV1,
) -> Result<(), Failure> {
    let snapshot = turn.ends.during(burn::read(attempt)).await?;
    let (state, digest) = match (burn::is_encrypted(&snapshot), step.encrypted) {
        (true, false) => ("on", "plain text"),
        (false, true) => ("off", "ciphertext"),
        (true, true) | (false, false) => return Ok(()),
    };
    let message = format!(
        "flash encryption is {state} on this chip, and the digest of the bootloader is {digest}"
    );
    let failure = Failure::new(FailureClass::Verify, "security-differs", message);
    Err(failure.hinted("the recipe is for chips whose flash encryption is as its steps leave it"))
}

/// Writes the digest as ciphertext of the unit's flash encryption key, or compares it. One whose key
/// is forgotten was written before: its key is forgotten after the chip has it.
pub(super) async fn ciphertext(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    step: &BootloaderDigest,
    flash_key: &Secret,
) -> Result<(), Failure> {
    match secrets::obtain(attempt, &step.key, FIRST_SECURE_BOOT).await? {
        Held::Key(secret) => {
            // What the fuses would refuse later is known before anything is burned.
            let wish = wish::of_first_secure_boot(step, Some(secret.clone()));
            burn::plan(attempt, &wish).await?;
            digest(attempt, turn, step, &secret, Some(flash_key)).await
        }
        Held::Forgotten => Ok(()),
        Held::Absent => Err(burn::not_there(FIRST_SECURE_BOOT)),
    }
}

async fn digest(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    step: &BootloaderDigest,
    key: &Secret,
    flash_key: Option<&Secret>,
) -> Result<(), Failure> {
    let images = &attempt.run.plan.contents().images;
    let image = images
        .get(step.bootloader)
        .ok_or_else(|| Failure::internal("the plan's list of images"))?;
    attempt.pen(turn.step).progress("digest", 0, None);
    let ready = made(image, key.clone(), flash_key.cloned()).await?;
    let what = format!("the digest of image `{}`", image.name);
    burn::put(attempt, turn, &ready, &what).await
}

/// Makes the digest away from the runtime's own threads.
async fn made(
    image: &PlanImage,
    key: Secret,
    flash_key: Option<Secret>,
) -> Result<Ciphertext, Failure> {
    let (name, bytes) = (image.name.clone(), Arc::clone(&image.bytes));
    let work = tokio::task::spawn_blocking(move || {
        let failed = |code: &'static str, error: &dyn std::fmt::Display| {
            Failure::station(code, format!("the digest of image `{name}`: {error}"))
        };
        // The ROM looks at the image, not at what may lie behind it.
        let parsed = Image::parse(&bytes).map_err(|error| failed(error.code(), &error))?;
        let length = usize::try_from(parsed.length).unwrap_or(usize::MAX);
        let bootloader = bytes.get(..length).unwrap_or(&bytes);
        let plain =
            v1::steady_digest(&key, bootloader).map_err(|error| failed(error.code(), &error))?;
        let bytes = match flash_key {
            None => plain,
            Some(key) => {
                let key = FlashKey::new(Scheme::of(Chip::Esp32), key)
                    .map_err(|error| failed(error.code(), &error))?;
                encryption::encrypt(&key, 0, &plain)
                    .map_err(|error| failed(error.code(), &error))?
            }
        };
        Ciphertext::prepare(&format!("digest of {name}"), 0, bytes)
    });
    work.await
        .unwrap_or_else(|_| Err(Failure::internal("the digest of the bootloader")))
}
