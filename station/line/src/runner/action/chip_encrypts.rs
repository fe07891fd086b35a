//! `flash` with `encrypt = "chip"`: plain images that the chip encrypts on their way into flash.
//!
//! Invariants: nothing is sent to a chip that does not read its flash as ciphertext; where the
//! station holds the unit's key, what is in flash is compared with the ciphertext that this key
//! makes, before and afterwards; where it does not, every image is written, and only the
//! application's start can show that it is right.

use station_device::flash::{Phase, ProgressSink};
use station_esp::secret::Secret;

use super::flash::BLOCK_RETRIES;
use super::{burn, secrets};
use crate::outcome::{Failure, FailureClass};
use crate::plan::{Action, Flash, PlanKey};
use crate::runner::attempt::{Attempt, Turn};

/// Writes the images, or compares them as far as that is possible.
pub(super) async fn flash(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    what: &Flash,
) -> Result<(), Failure> {
    let session = attempt.chip.session()?;
    let chip = session.identity().chip;
    must_be_on(attempt).await?;
    let key = key(attempt, turn).await?;
    let pen = attempt.pen(turn.step);
    let run = attempt.run;
    for index in &what.images {
        let planned = run.plan.contents().images.get(*index);
        let (Some(planned), Some(ready)) = (planned, run.images.get(*index)) else {
            return Err(Failure::internal("the plan's list of images"));
        };
        if !planned.chips.contains(&chip) {
            continue;
        }
        let proof = match &key {
            Some((secret, shared)) => {
                let made = burn::made_once(run, chip, *index, secret, *shared).await?;
                Some(made.proof())
            }
            None => None,
        };
        let verified_only = attempt.is_verified_only();
        let session = attempt.chip.session()?;
        let mut there = None;
        if let Some((length, md5)) = proof
            && (verified_only || what.skip_unchanged)
        {
            pen.progress(Phase::Compare.word(), 0, Some(u64::from(length)));
            there = Some(session.md5(planned.offset, length).await? == md5);
        }
        match (verified_only, there) {
            (_, Some(true)) | (true, None) => continue,
            (true, Some(false)) => return Err(differs(&planned.name)),
            (false, Some(false) | None) => {}
        }
        session
            .write_encrypted(&ready.prepared, BLOCK_RETRIES, &pen)
            .await?;
        if let Some((length, md5)) = proof
            && what.verify
        {
            pen.progress(Phase::Verify.word(), 0, Some(u64::from(length)));
            if session.md5(planned.offset, length).await? != md5 {
                return Err(differs(&planned.name));
            }
        }
    }
    Ok(())
}

fn differs(name: &str) -> Failure {
    let message = format!("what is in flash differs from image `{name}` as ciphertext");
    Failure::new(FailureClass::Verify, "image-differs", message)
}

/// The chip must read its flash as ciphertext. What it said at contact may be of before an earlier
/// step, so the fuses are asked where it said no.
async fn must_be_on(attempt: &mut Attempt<'_>) -> Result<(), Failure> {
    let session = attempt.chip.session()?;
    if session.identity().flash_encryption() == Some(true)
        || burn::is_encrypted(&session.fuse_snapshot().await?)
    {
        return Ok(());
    }
    let message = "flash encryption is off, and the chip would read ciphertext as rubbish";
    Err(Failure::new(
        FailureClass::Verify,
        "encryption-off",
        message,
    ))
}

/// The unit's key and whether all units have it, if an earlier step of the plan put it into this
/// chip and the store still has it.
async fn key(attempt: &mut Attempt<'_>, turn: Turn<'_>) -> Result<Option<(Secret, bool)>, Failure> {
    let plan = std::sync::Arc::clone(&attempt.run.plan);
    let steps = plan.contents().steps.iter();
    let earlier = steps.take_while(|step| step.name != turn.step.name);
    let mut found: Option<&PlanKey> = None;
    for step in earlier {
        if let Action::FlashEncryption(encryption) = &step.action
            && attempt.is_meant(step)?
        {
            found = Some(&encryption.key);
        }
    }
    let Some(key) = found else {
        return Ok(None);
    };
    let held = secrets::known(attempt, key).await?;
    Ok(held.map(|secret| (secret, key.source.is_shared())))
}
