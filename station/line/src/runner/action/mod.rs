//! What each action of a plan does to a chip, or without one.
//!
//! Invariants: an action reports through its attempt and decides nothing about retries; every wait
//! in it is bounded by the step's deadline, which its caller watches; it may be dropped at any
//! await, except for those that cannot be undone, which see to that themselves. On a unit that
//! passed before and is only to be verified, and on one that the recipe is not for, nothing on the
//! chip is changed.

mod burn;
mod chip_encrypts;
mod command;
mod console;
mod first_boot;
mod flash;
mod identify;
mod measure;
mod nvs;
mod policy;
mod read;
mod secrets;
mod witness;

pub(super) use burn::Ciphertext;
pub(super) use measure::value_text;

use super::attempt::{Attempt, Done, Turn};
use crate::outcome::Failure;
use crate::plan::Action;

/// Runs one try of a step.
pub(super) async fn perform(attempt: &mut Attempt<'_>, turn: Turn<'_>) -> Result<Done, Failure> {
    let action = &turn.step.action;
    if let Action::Command(host) = action {
        return match skipped_by_now(attempt, action) {
            true => Ok(Done::Skipped),
            false => command::run(attempt, turn, host)
                .await
                .map(|()| Done::Passed),
        };
    }
    if let Action::Test(test) = action
        && test.boot.is_none()
    {
        return console::test(attempt, turn, test)
            .await
            .map(|()| Done::Passed);
    }
    // Until then nothing has been done that must be left alone.
    turn.ends.during(attempt.contact()).await?;
    if let Action::Identify(wanted) = action {
        let checked = identify::check(attempt, wanted);
        attempt.belongs(checked.is_ok());
        checked?;
        attempt.ensure_serial().await?;
        return Ok(Done::Passed);
    }
    turn.ends.during(attempt.ensure_serial()).await?;
    if skipped_by_now(attempt, action) {
        return Ok(Done::Skipped);
    }
    match action {
        Action::Identify(_) | Action::Command(_) => {}
        Action::Erase(what) => flash::erase(attempt, turn, what).await?,
        Action::Flash(what) if what.encrypted => {
            chip_encrypts::flash(attempt, turn, what).await?;
        }
        Action::Flash(what) => flash::flash(attempt, turn, what).await?,
        Action::Data(what) => flash::data(attempt, turn, what).await?,
        Action::Serial(what) => flash::serial(attempt, turn, what).await?,
        Action::Nvs(what) => nvs::nvs(attempt, turn, what).await?,
        Action::Boot(boot) => console::boot(attempt, turn, boot).await?,
        Action::Test(test) => console::test(attempt, turn, test).await?,
        Action::Check(what) => flash::check(attempt, turn, what).await?,
        Action::Read(what) => read::read(attempt, turn, what).await?,
        Action::Efuse(_) | Action::Key(_) | Action::FlashEncryption(_) | Action::SecureBoot(_) => {
            burn::perform(attempt, turn).await?;
        }
    }
    Ok(Done::Passed)
}

/// Whether the step is left out because of what its unit is.
fn skipped_by_now(attempt: &Attempt<'_>, action: &Action) -> bool {
    let (verified_only, foreign) = (attempt.is_verified_only(), attempt.is_foreign());
    match action {
        Action::Erase(_) | Action::Data(_) | Action::Serial(_) => verified_only || foreign,
        // On a unit that is only verified they compare instead of writing.
        Action::Flash(_)
        | Action::Nvs(_)
        | Action::Efuse(_)
        | Action::Key(_)
        | Action::FlashEncryption(_)
        | Action::SecureBoot(_) => foreign,
        // For all the station knows it changes the world; for all it knows it switches power off.
        Action::Command(_) => verified_only,
        Action::Identify(_)
        | Action::Boot(_)
        | Action::Test(_)
        | Action::Check(_)
        | Action::Read(_) => false,
    }
}

/// Whether what the application printed belongs into the record of the step.
pub(super) fn talks_to_application(action: &Action) -> bool {
    match action {
        Action::Boot(_) | Action::Test(_) => true,
        Action::Identify(_)
        | Action::Erase(_)
        | Action::Flash(_)
        | Action::Data(_)
        | Action::Serial(_)
        | Action::Nvs(_)
        | Action::Command(_)
        | Action::Check(_)
        | Action::Read(_)
        | Action::Efuse(_)
        | Action::Key(_)
        | Action::FlashEncryption(_)
        | Action::SecureBoot(_) => false,
    }
}
