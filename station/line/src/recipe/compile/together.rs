//! What secure boot needs of the flash encryption before it, because a chip cannot do it later.
//!
//! The ESP32-C2 has one key block, coded as a whole and burned once: the digest that secure boot
//! trusts goes into it in the pulse that burns the key. The ESP32 with secure boot version 1 reads
//! the digest of its bootloader as ciphertext, and the key to make that may be forgotten by then.

use std::ops::Range;

use station_esp::chip::Chip;

use super::Context;
use super::header::Header;
use super::steps::{Steps, chips_of, covers};
use crate::keys::KeyKind;
use crate::plan::{
    Action, BootloaderDigest, Condition, EncryptedBy, FlashEncryption, PlanStep, SecureBoot,
    TrustedKey,
};
use crate::recipe::diagnostic::{Code, Finding};

/// Gives every `flash_encryption` what the `secure_boot` behind it needs.
pub(super) fn join(steps: &mut Steps, header: &Header, context: &mut Context) {
    for at in 0..steps.steps.len() {
        let (before, after) = steps.steps.split_at_mut(at + 1);
        let (Some(step), Some(span)) = (before.last_mut(), steps.spans.get(at)) else {
            continue;
        };
        let chips = chips_of(step.when.as_ref(), &header.chips);
        let Action::FlashEncryption(encryption) = &mut step.action else {
            continue;
        };
        let digests = meeting(after, Chip::Esp32C2, &chips).filter_map(|(boot, _)| match boot {
            SecureBoot::V2(boot) => boot.digests.first().cloned(),
            SecureBoot::V1(_) => None,
        });
        let digests: Vec<TrustedKey> = digests.collect();
        if encryption.key.kind == KeyKind::Aes128 {
            encryption.trusted = only(&digests, span, context);
        } else if !digests.is_empty() {
            let message = "this key fills the only key block of the ESP32-C2, and secure boot \
                           comes later";
            context.error(
                Finding::new(Code::IrreversibleOrder, span.clone(), message)
                    .hint("`kind = \"xts128_derived\"` leaves the half that its digest needs"),
            );
        }
        first(encryption, step.when.as_ref(), &chips, after, span, context);
    }
}

/// The steps that switch secure boot on for a chip, if the chip is among those of another step, each
/// with its condition.
fn meeting<'a>(
    steps: &'a mut [PlanStep],
    chip: Chip,
    chips: &[Chip],
) -> impl Iterator<Item = (&'a mut SecureBoot, Option<&'a Condition>)> {
    let own = if chips.contains(&chip) {
        vec![chip]
    } else {
        Vec::new()
    };
    steps.iter_mut().filter_map(move |step| {
        let meets = !chips_of(step.when.as_ref(), &own).is_empty();
        if let Action::SecureBoot(boot) = &mut step.action
            && meets
        {
            return Some((boot, step.when.as_ref()));
        }
        None
    })
}

/// The one there is; more than one is reported.
fn only<T: Clone>(found: &[T], span: &Range<usize>, context: &mut Context) -> Option<T> {
    match found {
        [] => None,
        [one] => Some(one.clone()),
        [..] => {
            let message = "what secure boot needs is burned or written together with this, and more \
                           than one step may switch it on";
            context.error(
                Finding::new(Code::Conflict, span.clone(), message)
                    .hint("write one `secure_boot` for the chip"),
            );
            None
        }
    }
}

/// The ESP32 with secure boot version 1.
fn first(
    encryption: &mut FlashEncryption,
    when: Option<&Condition>,
    chips: &[Chip],
    after: &mut [PlanStep],
    span: &Range<usize>,
    context: &mut Context,
) {
    let mut digests: Vec<BootloaderDigest> = Vec::new();
    for (boot, of_boot) in meeting(after, Chip::Esp32, chips) {
        let SecureBoot::V1(boot) = boot else { continue };
        if !covers(when, of_boot, &[Chip::Esp32]) {
            let message = "secure boot version 1 comes later, also for units that this leaves out: \
                           whether their digest is ciphertext nobody could tell";
            context.error(
                Finding::new(Code::IrreversibleOrder, span.clone(), message)
                    .hint("give the step with `secure_boot` the same `when`"),
            );
        }
        boot.encrypted = true;
        digests.push(boot.digest.clone());
    }
    let Some(digest) = only(&digests, span, context) else {
        return;
    };
    if encryption.content == EncryptedBy::Host {
        encryption.digest = Some(digest);
        return;
    }
    let message = "with secure boot version 1 the digest of the bootloader is ciphertext, too, and \
                   must be there before the bootloader starts";
    context.error(
        Finding::new(Code::IrreversibleOrder, span.clone(), message)
            .hint("leave `content = \"bootloader\"` out: the station encrypts"),
    );
}
