//! In which order steps may do what cannot be undone.
//!
//! Flash encryption comes before secure boot, because secure boot closes the fuses that hide a key;
//! whatever closes the loader comes last, because nothing can be verified afterwards; what a chip
//! reads as ciphertext is not written as plain text again. Source: ESP-IDF, "Host-Based Security
//! Workflows".

use std::ops::Range as Span;

use station_esp::chip::Chip;

use super::Context;
use super::layout::{Layout, Partition, sector_end};
use super::steps::{Steps, chips_of, covers};
use super::writes::nvs_ranges;
use crate::keys::Custody;
use crate::plan::{Action, Efuse, EncryptedBy, Erase, FuseValue, PlanImage, PlanStep, SecureBoot};
use crate::recipe::diagnostic::{Code, Finding};

/// Fields that leave too little of the loader to go on with.
const CLOSING: [&str; 3] = [
    "ENABLE_SECURITY_DOWNLOAD",
    "DIS_DOWNLOAD_MODE",
    "UART_DOWNLOAD_DIS",
];

/// End of the sector with the digest of secure boot version 1.
const DIGEST_END: u32 = 0x1000;

/// The field of a step that closes the loader, if one does.
pub(crate) fn closes(action: &Action) -> Option<&str> {
    let Action::Efuse(Efuse { fields, .. }) = action else {
        return None;
    };
    let closing = fields.iter().find(|field| {
        CLOSING.contains(&field.name.as_str()) && field.value != FuseValue::Number(0)
    });
    closing.map(|field| field.name.as_str())
}

/// Checks the order of everything that cannot be undone.
pub(super) fn check(steps: &Steps, layout: &Layout, chips: &[Chip], context: &mut Context) {
    let host = steps.steps.iter().any(|step| {
        matches!(&step.action, Action::FlashEncryption(step) if step.content == EncryptedBy::Host)
    });
    let mut before = Before {
        host,
        chips,
        ..Before::default()
    };
    for (step, span) in steps.steps.iter().zip(&steps.spans) {
        before.refuse(step, span, layout, context);
        before.learn(step);
    }
}

/// What earlier steps have done.
#[derive(Default)]
struct Before<'a> {
    closed: Option<(&'a PlanStep, &'a str)>,
    encrypted: Option<&'a PlanStep>,
    secure_boot: Option<&'a PlanStep>,
    encrypted_images: Vec<usize>,
    /// Images that are in flash, each with the step that saw to it.
    there: Vec<(usize, &'a PlanStep)>,
    /// The recipe's chips.
    chips: &'a [Chip],
    /// What was erased before encryption.
    erased: Vec<&'a Erase>,
    /// Whether the station encrypts, so that no plain text ever becomes ciphertext later.
    host: bool,
}

impl<'a> Before<'a> {
    fn learn(&mut self, step: &'a PlanStep) {
        if let Some(field) = closes(&step.action) {
            self.closed.get_or_insert((step, field));
        }
        if let Action::FlashEncryption(encryption) = &step.action {
            self.encrypted.get_or_insert(step);
            self.encrypted_images.extend(&encryption.images);
            self.put(&encryption.images, step);
        }
        if let Action::Erase(erase) = &step.action {
            self.erased.push(erase);
        }
        if let Action::Flash(flash) = &step.action {
            self.put(&flash.images, step);
            if flash.encrypted {
                self.encrypted_images.extend(&flash.images);
            }
        }
        if let Action::Check(check) = &step.action {
            self.put(&check.images, step);
        }
        if let Action::SecureBoot(_) = &step.action {
            self.secure_boot.get_or_insert(step);
        }
    }

    fn put(&mut self, images: &[usize], by: &'a PlanStep) {
        self.there.extend(images.iter().map(|image| (*image, by)));
    }

    /// Whether an image is in flash of every unit that a step is for.
    fn is_there(&self, index: usize, image: &PlanImage, step: &PlanStep) -> bool {
        let mut chips = chips_of(step.when.as_ref(), self.chips);
        chips.retain(|chip| image.chips.contains(chip));
        chips.into_iter().all(|chip| {
            self.there.iter().any(|(there, by)| {
                *there == index && covers(by.when.as_ref(), step.when.as_ref(), &[chip])
            })
        })
    }

    fn refuse(&self, step: &PlanStep, span: &Span<usize>, layout: &Layout, context: &mut Context) {
        if step.always && step.action.is_irreversible() {
            let message = "what cannot be undone is not done after a failure";
            context.error(
                Finding::new(Code::IrreversibleAlways, span.clone(), message)
                    .hint("leave `always` out"),
            );
        }
        let mut refuse = |message: String, hint: &str| {
            let finding = Finding::new(Code::IrreversibleOrder, span.clone(), message);
            context.error(finding.hint(hint));
        };
        if let Some((closing, field)) = self.closed
            && needs_loader(&step.action)
        {
            let message = format!(
                "after `{field}` in step `{}` the chip does not do this any more",
                closing.name
            );
            // What else is wrong with it follows from that.
            return refuse(
                message,
                "make it the last step before those that start the application",
            );
        }
        self.refuse_sequence(step, &mut refuse);
        self.refuse_plain_text(step, layout, &mut refuse);
        self.refuse_content(step, layout, &mut refuse);
    }

    /// What may be done once, and before what.
    fn refuse_sequence(&self, step: &PlanStep, refuse: &mut impl FnMut(String, &str)) {
        if let (Action::FlashEncryption(_), Some(secure_boot)) = (&step.action, self.secure_boot) {
            let message = format!(
                "flash encryption comes before secure boot, and step `{}` is secure boot",
                secure_boot.name
            );
            let hint = "secure boot closes the fuses that hide the key: exchange the steps";
            refuse(message, hint);
        }
        let twice = if matches!(step.action, Action::FlashEncryption(_)) {
            self.encrypted
        } else if matches!(step.action, Action::SecureBoot(_)) {
            self.secure_boot
        } else {
            None
        };
        if let Some(earlier) = twice
            && step.when.is_none()
            && earlier.when.is_none()
        {
            let message = format!("step `{}` has done this already", earlier.name);
            refuse(message, "a chip can do it once");
        }
    }

    /// Plain text where the chip reads ciphertext.
    fn refuse_plain_text(
        &self,
        step: &PlanStep,
        layout: &Layout,
        refuse: &mut impl FnMut(String, &str),
    ) {
        let plain: &[usize] = if let Action::Flash(flash) = &step.action {
            &flash.images
        } else if let Action::Check(check) = &step.action {
            &check.images
        } else {
            &[]
        };
        for (index, (image, _)) in layout.images().enumerate() {
            if plain.contains(&index) && self.encrypted_images.contains(&index) {
                let message = format!("image `{}` is ciphertext in flash by now", image.name);
                let hint = "the chip would read plain text as rubbish; `flash_encryption` itself \
                            writes and verifies what it encrypts";
                refuse(message, hint);
            }
        }
        if let Some((partition, what)) = self.plain_in_ciphertext(&step.action, layout) {
            let name = &partition.name;
            let message = format!(
                "partition `{name}` is ciphertext with flash encryption, and this {what} plain text"
            );
            let hint = if partition.nvs_keys {
                "take `hmac` keys, or let the bootloader encrypt: `content = \"bootloader\"` in a later \
                 step"
            } else {
                "make it an image and name it in `flash_encryption`, or take the flag `encrypted` \
                 from the partition"
            };
            refuse(message, hint);
        }
    }

    /// What must be in flash before, and must not be lost again.
    fn refuse_content(
        &self,
        step: &PlanStep,
        layout: &Layout,
        refuse: &mut impl FnMut(String, &str),
    ) {
        let images: Vec<_> = layout.images().map(|(image, _)| image).collect();
        if let Action::FlashEncryption(encryption) = &step.action
            && encryption.key.custody == Custody::Forget
            && images.iter().enumerate().any(|(index, image)| {
                encryption.images.contains(&index)
                    && self.erased.iter().any(|erase| hits(erase, image))
            })
        {
            let message = "a second attempt would erase the ciphertext before this step, and could \
                           not make it again without the forgotten key";
            let hint = "leave the erase out: images are erased as they are written";
            refuse(message.to_owned(), hint);
        }
        if self.loses_digest(&step.action) {
            let message = "a second attempt would erase the digest of the bootloader before this \
                           step, and could not make it again without the forgotten key";
            let hint = "leave the erase out, or keep the keys";
            refuse(message.to_owned(), hint);
        }
        if let Action::SecureBoot(secure_boot) = &step.action {
            let signed = secure_boot.signed().iter();
            let mut signed = signed.filter_map(|index| Some((*index, *images.get(*index)?)));
            let missing = signed.find(|(index, image)| !self.is_there(*index, image, step));
            if let Some((index, image)) = missing {
                let name = &image.name;
                if self.there.iter().any(|(there, _)| *there == index) {
                    let message = format!(
                        "image `{name}` is not in flash of every unit that this is for, and the \
                         chip must start it from then on"
                    );
                    refuse(
                        message,
                        "give this step and the one that writes it the same `when`",
                    );
                } else {
                    let message = format!(
                        "no earlier step writes or checks image `{name}`, which the chip must \
                         start from then on"
                    );
                    refuse(message, "write the signed images first");
                }
            }
        }
    }
}

impl Before<'_> {
    /// Whether an earlier step erases the digest of secure boot version 1 that this one writes, and
    /// one of the keys it takes is forgotten.
    fn loses_digest(&self, action: &Action) -> bool {
        let forgets = if let Action::FlashEncryption(step) = action
            && let Some(digest) = &step.digest
        {
            step.key.custody == Custody::Forget || digest.key.custody == Custody::Forget
        } else if let Action::SecureBoot(SecureBoot::V1(step)) = action {
            !step.encrypted && step.digest.key.custody == Custody::Forget
        } else {
            false
        };
        forgets
            && self.erased.iter().any(|erase| match erase {
                Erase::All => true,
                Erase::Ranges(ranges) => ranges.iter().any(|range| range.offset < DIGEST_END),
            })
    }

    /// The encrypted partition in which a step writes or reads plain text.
    fn plain_in_ciphertext<'l>(
        &self,
        action: &Action,
        layout: &'l Layout,
    ) -> Option<(&'l Partition, &'static str)> {
        let (ranges, what) = match action {
            Action::Data(write) | Action::Serial(write) => (vec![write.range], "writes"),
            Action::Nvs(nvs) => {
                let ranges = nvs_ranges(nvs).into_iter();
                (ranges.map(|(range, _)| range).collect(), "writes")
            }
            Action::Read(read) => (vec![read.range], "reads"),
            Action::Identify(_)
            | Action::Erase(_)
            | Action::Flash(_)
            | Action::Boot(_)
            | Action::Test(_)
            | Action::Command(_)
            | Action::Check(_)
            | Action::Efuse(_)
            | Action::Key(_)
            | Action::FlashEncryption(_)
            | Action::SecureBoot(_) => return None,
        };
        if !(self.host || self.encrypted.is_some()) {
            return None;
        }
        let mut partitions = layout.partitions().iter();
        let hit = partitions.find(|partition| {
            let hit = ranges.iter().any(|range| {
                let end = u64::from(range.offset) + u64::from(range.size);
                u64::from(partition.offset) < end && u64::from(range.offset) < partition.end()
            });
            partition.encrypted && hit
        });
        hit.map(|partition| (partition, what))
    }
}

/// Whether an erase makes any of an image blank.
fn hits(erase: &Erase, image: &PlanImage) -> bool {
    match erase {
        Erase::All => true,
        Erase::Ranges(ranges) => ranges.iter().any(|range| {
            let from = u64::from(range.offset);
            from < sector_end(image) && u64::from(image.offset) < from + u64::from(range.size)
        }),
    }
}

/// Whether an action needs more of the loader than a reset into the application.
fn needs_loader(action: &Action) -> bool {
    match action {
        Action::Boot(_) | Action::Test(_) | Action::Command(_) => false,
        Action::Identify(_)
        | Action::Erase(_)
        | Action::Flash(_)
        | Action::Data(_)
        | Action::Serial(_)
        | Action::Nvs(_)
        | Action::Check(_)
        | Action::Read(_)
        | Action::Efuse(_)
        | Action::Key(_)
        | Action::FlashEncryption(_)
        | Action::SecureBoot(_) => true,
    }
}
