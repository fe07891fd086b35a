//! Who encrypts flash, and when: a bootloader on its first start, or the chip as it is written.
//!
//! A bootloader encrypts in place while the fuses still say that flash is plain text, so everything
//! must be there before it starts, it must be started, and somebody must look whether it is done. A
//! chip encrypts what is sent to it only while nothing forbids that, and only where it reads the
//! result as ciphertext. Whoever encrypts, nothing that the chip reads as ciphertext from then on may
//! stay plain text.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use station_esp::Chip;
use station_esp::efuse::plan::Danger;

use super::Context;
use super::layout::{Layout, sector_end};
use super::steps::{Steps, chips_of, covers};
use crate::keys::Custody;
use crate::plan::{
    Action, Condition, EncryptedBy, Flash, FlashEncryption, FuseValue, ImageKind, PlanImage,
    PlanStep,
};
use crate::recipe::diagnostic::{Code, Finding};

/// Fuses that keep a chip from encrypting what is sent to it.
const FORBIDDING: [&str; 2] = ["DIS_DOWNLOAD_MANUAL_ENCRYPT", "DISABLE_DL_ENCRYPT"];
/// What the log of every ESP-IDF bootloader that encrypts begins its lines with.
const MARK: &[u8] = b"flash_encrypt";
/// What only one says that was built for release mode. Source: ESP-IDF, `flash_encrypt.c`.
const RELEASE: &[u8] = b"Setting CRYPT_CNT for permanent encryption";

/// Checks every step that leaves the encryption to somebody else than the station.
pub(super) fn check(steps: &Steps, layout: &Layout, chips: &[Chip], context: &mut Context) {
    let images: Vec<&PlanImage> = layout.images().map(|(image, _)| image).collect();
    let all = steps.steps.iter().zip(&steps.spans);
    for (at, (step, span)) in all.enumerate() {
        let (before, after) = (
            steps.steps.get(..at).unwrap_or_default(),
            steps.steps.get(at + 1..).unwrap_or_default(),
        );
        let view = View {
            before,
            after,
            own: chips_of(step.when.as_ref(), chips),
            when: step.when.as_ref(),
            span,
            images: &images,
        };
        if let Action::Flash(flash) = &step.action
            && flash.encrypted
        {
            view.by_chip(flash, context);
        } else if let Action::FlashEncryption(encryption) = &step.action
            && encryption.content == EncryptedBy::Bootloader
        {
            view.by_bootloader(encryption, context);
        }
    }
}

/// Checks that what a build wants encrypted does not stay plain text.
pub(super) fn check_wanted(steps: &Steps, layout: &Layout, context: &mut Context) {
    let mut written: BTreeMap<usize, &Range<usize>> = BTreeMap::new();
    let mut covered = BTreeSet::new();
    for (step, span) in steps.steps.iter().zip(&steps.spans) {
        if let Action::FlashEncryption(encryption) = &step.action {
            covered.extend(&encryption.images);
        } else if let Action::Flash(flash) = &step.action {
            for index in &flash.images {
                if flash.encrypted {
                    covered.insert(index);
                } else {
                    written.entry(*index).or_insert(span);
                }
            }
        }
    }
    for (index, (image, _)) in layout.images().enumerate() {
        let wanted = layout.wants_encryption(index) == Some(true);
        if let Some(span) = written.get(&index)
            && wanted
            && !covered.contains(&index)
        {
            let message = format!(
                "the build wants `{}` from {} encrypted, and no step does that",
                image.name, image.origin
            );
            context.error(
                Finding::new(Code::Conflict, (*span).clone(), message)
                    .hint("name it in a step with `flash_encryption`, or build without it"),
            );
        }
    }
}

/// Checks that nothing stays plain text that a chip reads as ciphertext once encryption is on.
pub(super) fn check_covered(steps: &Steps, layout: &Layout, chips: &[Chip], context: &mut Context) {
    let images: Vec<&PlanImage> = layout.images().map(|(image, _)| image).collect();
    for (step, span) in steps.steps.iter().zip(&steps.spans) {
        let Action::FlashEncryption(encryption) = &step.action else {
            continue;
        };
        let accepted = &encryption.accepted;
        if accepted.contains(&Danger::EncryptionWithoutContent) || encryption.images.is_empty() {
            continue;
        }
        let mut refuse = |message: String, hint: &str| {
            let finding = Finding::new(Code::IrreversibleOrder, span.clone(), message);
            context.error(finding.hint(hint));
        };
        let sealed = |index: usize, chip: Chip| {
            steps.steps.iter().any(|other| {
                encrypted_by(&other.action).contains(&index)
                    && covers(other.when.as_ref(), step.when.as_ref(), &[chip])
            })
        };
        let own = chips_of(step.when.as_ref(), chips);
        for (index, image) in images.iter().enumerate() {
            let read = own.iter().filter(|chip| image.chips.contains(chip));
            let mut read = read.filter(|chip| is_ciphertext(image, **chip, layout));
            if is_written(index, &steps.steps) && read.any(|chip| !sealed(index, *chip)) {
                let message = format!(
                    "the chip would read image `{}` as ciphertext, and no step encrypts it",
                    image.name
                );
                let hint = "name it in `images`, or write it later with `encrypt = \"chip\"`";
                refuse(message, hint);
            }
        }
        let starts = |chip: &Chip| {
            let mut images = images.iter().enumerate();
            images.any(|(index, image)| {
                image.chips.contains(chip) && holds_bootloader(image, *chip) && sealed(index, *chip)
            })
        };
        if let Some(chip) = own.iter().find(|chip| !starts(chip)) {
            let message = format!(
                "no step encrypts a bootloader, and {} would read the one it has as ciphertext",
                chip.title()
            );
            let hint = "name the bootloader in `images`, or accept `encryption-without-content`";
            refuse(message, hint);
        }
    }
}

/// Images that an action leaves as ciphertext.
fn encrypted_by(action: &Action) -> &[usize] {
    if let Action::FlashEncryption(encryption) = action {
        &encryption.images
    } else if let Action::Flash(flash) = action
        && flash.encrypted
    {
        &flash.images
    } else {
        &[]
    }
}

/// Whether a step writes an image, or finds it there.
fn is_written(index: usize, steps: &[PlanStep]) -> bool {
    steps.iter().any(|step| {
        if let Action::Flash(flash) = &step.action {
            flash.images.contains(&index)
        } else if let Action::Check(check) = &step.action {
            check.images.contains(&index)
        } else {
            false
        }
    })
}

/// Whether the bootloader of a chip is in this image.
fn holds_bootloader(image: &PlanImage, chip: Chip) -> bool {
    let start = u64::from(chip.spec().bootloader_offset);
    u64::from(image.offset) <= start && start < sector_end(image)
}

/// Whether a chip reads an image as ciphertext once encryption is on.
fn is_ciphertext(image: &PlanImage, chip: Chip, layout: &Layout) -> bool {
    let (from, end) = (u64::from(image.offset), sector_end(image));
    let within = |from_other: u64, end_other: u64| from < end_other && from_other < end;
    let mut partitions = layout.partitions().iter();
    match image.kind {
        ImageKind::Bootloader | ImageKind::PartitionTable | ImageKind::Application => true,
        ImageKind::Raw => {
            holds_bootloader(image, chip)
                || partitions.any(|it| it.encrypted && within(u64::from(it.offset), it.end()))
        }
    }
}

/// A step, what comes before and after it, and the chips it may meet.
struct View<'a> {
    before: &'a [PlanStep],
    after: &'a [PlanStep],
    own: Vec<Chip>,
    when: Option<&'a Condition>,
    span: &'a Range<usize>,
    images: &'a [&'a PlanImage],
}

impl View<'_> {
    /// Whether a step may meet one of the chips that this one meets.
    fn concerns(&self, step: &PlanStep) -> bool {
        !chips_of(step.when.as_ref(), &self.own).is_empty()
    }

    fn by_chip(&self, flash: &Flash, context: &mut Context) {
        let mut forbidden = None;
        let mut is_on = false;
        let mut compared = false;
        for step in self.before.iter().filter(|step| self.concerns(step)) {
            if let Some(field) = forbids(&step.action) {
                forbidden.get_or_insert((step, field));
            }
            if let Action::FlashEncryption(encryption) = &step.action {
                is_on |= encryption.content == EncryptedBy::Host;
                compared |= encryption.key.custody == Custody::Escrow;
            }
            if let Action::Check(check) = &step.action {
                is_on |= check.flash_encryption == Some(true);
            }
        }
        if let Some((step, what)) = forbidden {
            let message = format!(
                "{what} in step `{}` keeps the chip from encrypting what is sent to it",
                step.name
            );
            context.error(
                Finding::new(Code::IrreversibleOrder, self.span.clone(), message)
                    .hint("let the station encrypt: name the images in `flash_encryption`"),
            );
        } else if !is_on {
            let message = "no earlier step says that the chip reads its flash as ciphertext";
            context.error(
                Finding::new(Code::IrreversibleOrder, self.span.clone(), message).hint(
                    "put `flash_encryption`, or `check = { flash_encryption = true }`, before it",
                ),
            );
        }
        let shown = compared && flash.verify;
        if !(shown || self.after.iter().any(|step| starts(&step.action))) {
            let message = "nothing shows that what the chip encrypted is right";
            context.warn(
                Finding::new(Code::NotVerified, self.span.clone(), message)
                    .hint("start the application afterwards: add a `boot` or a `test`"),
            );
        }
    }

    /// Whether an earlier step sees to an image on every unit that this one is for.
    fn is_there(&self, index: usize, image: &PlanImage) -> bool {
        let mut chips = self.own.iter().filter(|chip| image.chips.contains(chip));
        chips.all(|chip| {
            self.before.iter().any(|step| {
                is_written(index, std::slice::from_ref(step))
                    && covers(step.when.as_ref(), self.when, &[*chip])
            })
        })
    }

    fn by_bootloader(&self, step: &FlashEncryption, context: &mut Context) {
        let mut refuse = |message: String, hint: &str| {
            let finding = Finding::new(Code::IrreversibleOrder, self.span.clone(), message);
            context.error(finding.hint(hint));
        };
        let named = step.images.iter();
        let named = named.filter_map(|index| Some((*index, *self.images.get(*index)?)));
        for (index, image) in named {
            if !self.is_there(index, image) {
                let message = format!(
                    "no earlier step writes image `{}`, which the bootloader is to encrypt",
                    image.name
                );
                refuse(message, "write the plain images first, with `flash`");
            }
            if self.own.iter().any(|chip| holds_bootloader(image, *chip))
                && let Some((what, hint)) = unfit(image, step.release)
            {
                refuse(format!("bootloader `{}` {what}", image.name), hint);
            }
        }
        let mut started = false;
        let after = self.after.iter();
        let mut after = after.filter(|step| covers(step.when.as_ref(), self.when, &self.own));
        let seen = after.any(|step| {
            started |= starts(&step.action);
            let Action::Check(check) = &step.action else {
                return false;
            };
            started && check.flash_encryption == Some(true)
        });
        if !seen {
            let message = "no later step starts the bootloader and then sees whether it has \
                           encrypted flash";
            let hint = "add a `boot` with a `within` that is long enough, and after it \
                        `check = { flash_encryption = true }`";
            refuse(message.to_owned(), hint);
        }
    }
}

/// Why a bootloader would not encrypt as the step says, and what to do.
fn unfit(image: &PlanImage, release: bool) -> Option<(&'static str, &'static str)> {
    let says = |text: &[u8]| image.bytes.windows(text.len()).any(|part| part == text);
    if !says(MARK) {
        let what = "was built without flash encryption, and would never encrypt";
        let hint = "build it with CONFIG_SECURE_FLASH_ENC_ENABLED, or leave `content` out";
        return Some((what, hint));
    }
    if !release && says(RELEASE) {
        let what = "was built for release mode, which is for good, and the step says development";
        let hint = "build it with CONFIG_SECURE_FLASH_ENCRYPTION_MODE_DEVELOPMENT";
        return Some((what, hint));
    }
    None
}

/// Whether an action starts what is in flash.
pub(super) fn starts(action: &Action) -> bool {
    matches!(action, Action::Boot(_)) || matches!(action, Action::Test(test) if test.boot.is_some())
}

/// What of an action keeps the chip from encrypting what is sent to it.
fn forbids(action: &Action) -> Option<String> {
    if let Action::FlashEncryption(encryption) = action {
        return encryption
            .release
            .then(|| "`mode = \"release\"`".to_owned());
    }
    let Action::Efuse(efuse) = action else {
        return None;
    };
    let field = efuse.fields.iter().find(|field| {
        FORBIDDING.contains(&field.name.as_str()) && field.value != FuseValue::Number(0)
    });
    field.map(|field| format!("`{}`", field.name))
}
