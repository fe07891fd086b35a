//! The bootloader that the station brings along, made right for a chip, a crystal and a flash size.

use std::ops::Range;

use station_esp::chip::Revision;
use station_esp::image;
use station_esp::loader;

use super::images::{Entry, Recognised, flash_size, only_chip};
use super::{Context, plain, span_or};
use crate::plan::ImageKind;
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::KindWord;

/// Makes the bootloader that the station brings along.
pub(super) fn bundled(
    entry: &Entry<'_>,
    span: Range<usize>,
    context: &mut Context,
) -> Option<Recognised> {
    if let Some(kind) = &entry.table.kind
        && *kind.get_ref() != KindWord::Bootloader
    {
        let message = "a bundled bootloader is a bootloader";
        context.error(Finding::new(Code::Conflict, kind.span(), message));
    }
    let chip = only_chip(entry, "a bootloader", span.clone(), context)?;
    let crystal = plain(&entry.table.crystal).unwrap_or(chip.spec().typical_crystal_mhz());
    // Without a declared revision the newest silicon is meant.
    let revision = entry
        .min_chip_revision
        .map_or(Revision::new(u8::MAX, 99), |number| {
            let part = |number: u16| u8::try_from(number).unwrap_or(u8::MAX);
            Revision::new(part(number / 100), part(number % 100))
        });
    let Some(bytes) = loader::bootloader_for(chip, crystal, revision) else {
        let span = span_or(&entry.table.crystal, span);
        let message = format!(
            "there is no bootloader for {} with a crystal of {crystal} MHz",
            chip.title()
        );
        context.error(Finding::new(Code::NoBootloader, span, message));
        return None;
    };
    let size = flash_size(entry, span.clone(), context)?;
    let Some(bytes) = image::for_flash_size(bytes, size) else {
        let size = crate::recipe::quantity::size_text(u64::from(size));
        let message = format!("no bootloader can be made for a flash of {size}");
        context.error(Finding::new(Code::NoBootloader, span, message));
        return None;
    };
    let origin = format!(
        "the station's bootloader for {} at {crystal} MHz",
        chip.title()
    );
    Some(Recognised::new(ImageKind::Bootloader, bytes, origin))
}
