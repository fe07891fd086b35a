//! What the steps do with flash, taken together: written twice, erased again, or never used.
//!
//! Steps with a condition are left out where another step may be meant instead of them.

use std::collections::BTreeSet;
use std::ops::Range as Span;

use super::Context;
use super::layout::{Layout, sector_end};
use super::steps::Steps;
use crate::plan::{Action, Erase, Nvs, NvsEncryption, PlanImage, PlanStep, Range, SecureBoot};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::RecipeFile;

/// What flash is erased by, in bytes.
const SECTOR: u64 = 0x1000;

/// Checks what the steps do with the layout: what is written twice, erased again, or never used.
pub(super) fn check(file: &RecipeFile, steps: &Steps, layout: &Layout, context: &mut Context) {
    let images: Vec<_> = layout.images().map(|(image, _)| image).collect();
    let mut written: Vec<Written> = Vec::new();
    for (step, span) in steps.steps.iter().zip(&steps.spans) {
        for what in of_step(step, &images) {
            what.refuse_on_top(&written, span, context);
            written.push(what);
        }
        if let Action::Erase(erase) = &step.action
            && step.when.is_none()
        {
            refuse_erased(erase, &written, span, context);
        }
    }
    warn_unused(file, steps, layout, context);
    if layout.flash_size().is_none() && !written.is_empty() {
        context.warn(
            Finding::nowhere(
                Code::FlashSizeUnknown,
                "no step declares the flash size, so nothing was checked against it",
            )
            .hint("add a step with `identify = { flash_size = \"4MB\" }`"),
        );
    }
}

/// What a step writes, in its order.
fn of_step(step: &PlanStep, images: &[&PlanImage]) -> Vec<Written> {
    let conditional = step.when.is_some();
    match &step.action {
        Action::Flash(_) | Action::FlashEncryption(_) => {
            let named = written_images(&step.action).iter();
            let named = named.filter_map(|index| images.get(*index));
            let mut written: Vec<_> = named
                .map(|image| Written {
                    what: format!("image `{}`", image.name),
                    from: u64::from(image.offset),
                    end: sector_end(image),
                    conditional,
                    image: true,
                })
                .collect();
            if matches!(&step.action, Action::FlashEncryption(it) if it.digest.is_some()) {
                written.push(Written::digest(conditional));
            }
            written
        }
        Action::SecureBoot(SecureBoot::V1(boot)) if !boot.encrypted => {
            vec![Written::digest(conditional)]
        }
        Action::Data(write) | Action::Serial(write) => {
            let what = format!("what step `{}` writes", step.name);
            vec![Written::range(what, write.range, conditional)]
        }
        Action::Nvs(nvs) => {
            let ranges = nvs_ranges(nvs).into_iter();
            let written = ranges.map(|(range, what)| {
                let what = format!("{what} of step `{}`", step.name);
                Written::range(what, range, conditional)
            });
            written.collect()
        }
        Action::Erase(_)
        | Action::Identify(_)
        | Action::Boot(_)
        | Action::Test(_)
        | Action::Command(_)
        | Action::Check(_)
        | Action::Read(_)
        | Action::Efuse(_)
        | Action::Key(_)
        | Action::SecureBoot(_) => Vec::new(),
    }
}

/// Reports what an erase makes blank that was written on every unit.
fn refuse_erased(erase: &Erase, written: &[Written], span: &Span<usize>, context: &mut Context) {
    for earlier in written.iter().filter(|earlier| !earlier.conditional) {
        let hit = match erase {
            Erase::All => true,
            Erase::Ranges(ranges) => ranges.iter().any(|range| {
                let from = u64::from(range.offset);
                from < earlier.end && earlier.from < from + u64::from(range.size)
            }),
        };
        if hit {
            let message = format!("it erases {} again", earlier.what);
            context.error(Finding::new(Code::ErasesWritten, span.clone(), message));
        }
    }
}

/// What `nvs` writes, and what it is.
pub(super) fn nvs_ranges(nvs: &Nvs) -> Vec<(Range, &'static str)> {
    let mut ranges = vec![(nvs.range, "the NVS partition")];
    if let Some(NvsEncryption::Partition(keys)) = &nvs.encryption {
        ranges.push((*keys, "the keys partition"));
    }
    ranges
}

/// Images that a step writes.
fn written_images(action: &Action) -> &[usize] {
    if let Action::Flash(flash) = action {
        &flash.images
    } else if let Action::FlashEncryption(encryption) = action {
        &encryption.images
    } else {
        &[]
    }
}

/// A range that a step writes.
struct Written {
    what: String,
    from: u64,
    end: u64,
    conditional: bool,
    image: bool,
}

impl Written {
    fn range(what: String, range: Range, conditional: bool) -> Self {
        Self {
            what,
            from: u64::from(range.offset),
            end: u64::from(range.offset) + u64::from(range.size),
            conditional,
            image: false,
        }
    }

    /// The digest of the bootloader, at the start of flash.
    fn digest(conditional: bool) -> Self {
        Self {
            what: "the digest of the bootloader".to_owned(),
            from: 0,
            end: SECTOR,
            conditional,
            image: false,
        }
    }

    /// Reports what this would be written on top of. Two images were compared already.
    fn refuse_on_top(&self, written: &[Self], span: &Span<usize>, context: &mut Context) {
        for earlier in written {
            let both = earlier.from < self.end && self.from < earlier.end;
            let conditional = self.conditional || earlier.conditional;
            let compared = self.image && earlier.image;
            if both && !conditional && !compared {
                let message = format!("{} lies on top of {}", self.what, earlier.what);
                context.error(
                    Finding::new(Code::Overlap, span.clone(), message)
                        .hint("flash is erased in whole sectors of 4096 bytes"),
                );
            }
        }
    }
}

fn warn_unused(file: &RecipeFile, steps: &Steps, layout: &Layout, context: &mut Context) {
    let mut used = BTreeSet::new();
    let mut names = BTreeSet::new();
    for step in &steps.steps {
        match &step.action {
            Action::Flash(flash) => used.extend(flash.images.iter().copied()),
            Action::Check(check) => used.extend(check.images.iter().copied()),
            Action::FlashEncryption(step) => used.extend(step.images.iter().copied()),
            Action::Efuse(_)
            | Action::Key(_)
            | Action::SecureBoot(_)
            | Action::Identify(_)
            | Action::Erase(_)
            | Action::Data(_)
            | Action::Serial(_)
            | Action::Nvs(_)
            | Action::Boot(_)
            | Action::Test(_)
            | Action::Command(_)
            | Action::Read(_) => {}
        }
        names.extend(
            step.templates()
                .into_iter()
                .flat_map(crate::template::Template::names),
        );
    }
    for (index, (image, span)) in layout.images().enumerate() {
        if !used.contains(&index) {
            let message = format!("image `{}` is used by no step", image.name);
            context.warn(Finding::new(Code::UnusedImage, span.clone(), message));
        }
    }
    if let Some(serial) = &file.serial
        && !names.contains("serial")
    {
        let message = "units get a serial number that is written nowhere";
        context.warn(Finding::new(Code::UnusedSerial, serial.span(), message));
    }
}
