//! The fuses of a new chip, burned in thought, step by step: what could never be burned is refused
//! before any board is there.
//!
//! Every chip of the recipe is tried, with the least revision it may have and with the newest. Keys
//! stand for those that are not there yet; values that only a unit has are left out, and checked
//! when it is there.

use std::collections::BTreeSet;
use std::ops::Range;

use chrono::NaiveDate;
use station_esp::chip::{Chip, MacAddress, Revision};
use station_esp::efuse::EfuseImage;
use station_esp::efuse::map::fuse_map;
use station_esp::efuse::plan::{BurnPlan, Danger, Refusals, Snapshot, Wish};
use station_esp::secret::Secret;

use super::Context;
use super::encryption::starts;
use super::header::Header;
use super::serials::Serials;
use super::steps::Steps;
use crate::keys::{KeyKind, for_purpose};
use crate::plan::{Action, EncryptedBy, PlanKey, PlanKeySource, PlanStep, SecureBoot};
use crate::recipe::diagnostic::{Code, Finding};
use crate::serial::SerialSource;
use crate::template::Values;
use crate::wish::{self, WishError};

/// The MAC of the chip that is only thought of.
const MAC: MacAddress = MacAddress([0x7C, 0xDF, 0xA1, 0, 0, 1]);

/// The first ESP32 that has secure boot version 2.
const VERSION_TWO: Revision = Revision::new(3, 0);

/// Burns every step into chips that are only thought of.
pub(super) fn check(
    steps: &Steps,
    header: &Header,
    serials: Option<&Serials>,
    context: &mut Context,
) {
    let mut said = BTreeSet::new();
    for chip in &header.chips {
        let newest = Revision::new(u8::MAX, 99);
        let least = header.least_revision();
        let values = values(*chip, serials);
        let with_newest = burn_all(steps, *chip, [newest, least], &values);
        let with_least = burn_all(steps, *chip, [least, least], &values);
        let (code, refused) = match (with_newest, with_least) {
            (Err(refused), _) => (Code::BurnRefused, refused),
            (Ok(()), Err(refused)) => (Code::RevisionNeeded, refused),
            (Ok(()), Ok(())) => continue,
        };
        let later = code == Code::RevisionNeeded;
        for (message, hint) in &refused.reasons {
            let message = if later {
                format!("{} of revision {least}: {message}", chip.title())
            } else {
                format!("{}: {message}", chip.title())
            };
            if said.insert((refused.span.start, message.clone())) {
                let finding = Finding::new(code, refused.span.clone(), message);
                context.error(if later {
                    finding.hint("declare `min_revision`, or leave it to the chips that can")
                } else {
                    finding.hint(hint.clone())
                });
            }
        }
    }
}

/// Why a step cannot be burned.
struct Refused {
    span: Range<usize>,
    /// What and what to do.
    reasons: Vec<(String, String)>,
}

fn burn_all(
    steps: &Steps,
    chip: Chip,
    [revision, least]: [Revision; 2],
    values: &Values,
) -> Result<(), Refused> {
    let Some(mut snapshot) = blank(chip, revision) else {
        return Ok(());
    };
    // Whether a bootloader is still to burn the count.
    let mut pending = false;
    for (step, span) in steps.steps.iter().zip(&steps.spans) {
        if !super::steps::chips_of(step.when.as_ref(), &[chip]).contains(&chip) {
            continue;
        }
        if let Action::FlashEncryption(encryption) = &step.action {
            pending |= encryption.content == EncryptedBy::Bootloader;
        }
        pending &= !starts(&step.action);
        let refused = |reasons| Refused {
            span: span.clone(),
            reasons,
        };
        let wish = match wish_of(step, chip, revision, values) {
            Ok(Some(wish)) => wish,
            Ok(None) | Err(WishError::Template(_)) => continue,
            Err(error @ WishError::Value { .. }) => {
                let hint = "the value of the first unit is shown".to_owned();
                return Err(refused(vec![(error.to_string(), hint)]));
            }
        };
        let mut wish = wish;
        if revision != least && least < VERSION_TWO {
            // A recipe for old chips, too; a newer one is refused when it is there.
            wish.accepted.push(Danger::SecureBootVersionOne);
        }
        match BurnPlan::make(&snapshot, &wish, &[]) {
            Ok(plan) => {
                burn(&plan, &mut snapshot);
                if pending && is_count_closed(&snapshot) {
                    let what = "the count of flash encryption cannot be burned any more, and the \
                                bootloader is still to do that";
                    let hint = "close it after the step that starts the bootloader";
                    return Err(refused(vec![(what.to_owned(), hint.to_owned())]));
                }
            }
            Err(Refusals(reasons)) => {
                let reasons = reasons.into_iter().map(|refusal| {
                    let message = format!("{}: {} ({})", refusal.place, refusal.what, refusal.code);
                    (message, refusal.hint)
                });
                return Err(refused(reasons.collect()));
            }
        }
    }
    Ok(())
}

/// A chip as it comes from its maker.
fn blank(chip: Chip, revision: Revision) -> Option<Snapshot> {
    let mut fuses = EfuseImage::new(chip);
    fuses.set_mac(MAC).ok()?;
    Some(Snapshot {
        chip,
        revision,
        mac: MAC,
        crystal_mhz: chip.spec().typical_crystal_mhz(),
        fuses,
        errors: Vec::new(),
    })
}

/// Sets what a plan would have set.
fn burn(plan: &BurnPlan, snapshot: &mut Snapshot) {
    for pulse in plan.pulses() {
        let words = snapshot.fuses.block_mut(pulse.block);
        let expected = pulse.expected(words.len());
        for (word, after) in words.iter_mut().zip(expected) {
            *word = after;
        }
    }
}

/// Whether nobody can burn the count of flash encryption any more.
fn is_count_closed(snapshot: &Snapshot) -> bool {
    let map = snapshot.map();
    let names = ["SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT"];
    let count = names.into_iter().find_map(|name| map.field(name));
    let closing = count.and_then(|field| field.write_disable);
    let closed = map
        .field("WR_DIS")
        .and_then(|field| snapshot.fuses.number(field));
    closing
        .zip(closed)
        .is_some_and(|(bit, closed)| closed >> bit & 1 == 1)
}

fn wish_of(
    step: &PlanStep,
    chip: Chip,
    revision: Revision,
    values: &Values,
) -> Result<Option<Wish>, WishError> {
    let map = fuse_map(chip, revision);
    Ok(match &step.action {
        Action::Efuse(step) => Some(wish::of_efuse(step, values)?),
        Action::Key(step) => {
            let key = stand_in(&step.key);
            let key = for_purpose(&step.purpose, &key).unwrap_or(key);
            Some(wish::of_key(step, key))
        }
        Action::FlashEncryption(step) => {
            let key = stand_in(&step.key);
            Some(wish::of_flash_encryption(step, map, false, Some(key)))
        }
        Action::SecureBoot(SecureBoot::V2(step)) => Some(wish::of_secure_boot(step, map)),
        Action::SecureBoot(SecureBoot::V1(step)) => {
            let key = stand_in(&step.digest.key);
            Some(wish::of_first_secure_boot(&step.digest, Some(key)))
        }
        Action::Identify(_)
        | Action::Erase(_)
        | Action::Flash(_)
        | Action::Data(_)
        | Action::Serial(_)
        | Action::Nvs(_)
        | Action::Boot(_)
        | Action::Test(_)
        | Action::Command(_)
        | Action::Check(_)
        | Action::Read(_) => None,
    })
}

/// A key of the right length in place of one that is not there yet.
fn stand_in(key: &PlanKey) -> Secret {
    match &key.source {
        PlanKeySource::File { key, .. } => key.clone(),
        PlanKeySource::Generate | PlanKeySource::Csv { .. } | PlanKeySource::Shared => {
            let length = match key.kind {
                KeyKind::Aes128 => 16,
                KeyKind::XtsAes256 => 64,
                KeyKind::Raw(count) => usize::from(count),
                KeyKind::EcdsaP192 => 24,
                KeyKind::EcdsaP384 => 48,
                KeyKind::XtsAes128
                | KeyKind::Hmac
                | KeyKind::EcdsaP256
                | KeyKind::Rsa3072
                | KeyKind::Ed25519 => 32,
            };
            // Different keys for different names, so that no two blocks look alike.
            let seed = key
                .name
                .as_str()
                .bytes()
                .fold(0x5A_u8, |seed, byte| seed.rotate_left(3) ^ byte);
            Secret::new(
                (0..length)
                    .map(|at: usize| seed ^ at.to_le_bytes()[0] | 1)
                    .collect(),
            )
        }
    }
}

/// What is known before there is a unit: the first number, the first row.
fn values(chip: Chip, serials: Option<&Serials>) -> Values {
    let mut values = Values::default();
    values.set("mac", MAC.to_string());
    values.set("chip", chip.name());
    values.set("bay", "1");
    values.set("run", "1");
    let Some(source) = serials.and_then(|serials| serials.source.as_ref()) else {
        return values;
    };
    let day = NaiveDate::from_yo_opt(2026, 1).unwrap_or_default();
    if let Ok(serial) = source.serial(1, day) {
        values.set("serial", serial);
    }
    if let SerialSource::Csv { rows, .. } = source
        && let Some(row) = rows.first()
    {
        for (column, value) in &row.columns {
            values.set(format!("csv.{column}"), value.as_str());
        }
    }
    values
}
