//! ELF files as applications and bootloaders, with the choices of `esptool elf2image`.

use std::ops::Range;
use std::sync::Arc;

use station_esp::Chip;
use station_esp::chip::Revision;
use station_esp::elf::{self, ElfError, FlashSettings, ImageOptions, SecurePad};
use station_esp::image::{FlashMode, Image, ImageError};
use toml::Spanned;

use super::images::{Entry, flash_size, only_chip};
use super::{Context, plain};
use crate::plan::ImageKind;
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::quantity::parse_revision;
use crate::recipe::syntax::{HashWord, ImageTable, PadWord, Size};

/// Reports choices that an image has which is no ELF.
pub(super) fn refuse_options(entry: &Entry<'_>, context: &mut Context) {
    fn place<T>(key: Option<&Spanned<T>>) -> Option<Range<usize>> {
        key.map(Spanned::span)
    }
    let table = entry.table;
    for (name, place) in [
        ("flash_mode", place(table.flash_mode.as_ref())),
        ("flash_freq", place(table.flash_freq.as_ref())),
        ("min_revision", place(table.min_revision.as_ref())),
        ("max_revision", place(table.max_revision.as_ref())),
        ("mmu_page_size", place(table.mmu_page_size.as_ref())),
        ("secure_pad", place(table.secure_pad.as_ref())),
        ("pad_to_size", place(table.pad_to_size.as_ref())),
        ("hash", place(table.hash.as_ref())),
        ("elf_sha256_offset", place(table.elf_sha256_offset.as_ref())),
        ("use_segments", place(table.use_segments.as_ref())),
        ("ram_only_header", place(table.ram_only_header.as_ref())),
    ] {
        if let Some(place) = place {
            let message = format!("`{name}` is for ELF files only; other files stay as they are");
            context.error(Finding::new(Code::Conflict, place, message));
        }
    }
}

/// Makes an application or a bootloader of an ELF; `None` if something was reported.
pub(super) fn convert(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    kind: ImageKind,
    bytes: &[u8],
    context: &mut Context,
) -> Option<Arc<[u8]>> {
    let chip = only_chip(entry, "an ELF file", file.span(), context)?;
    let size = flash_size(entry, file.span(), context)?;
    let options = options(entry.table, chip, size, context)?;
    match image(bytes, chip, kind, &options) {
        Ok(image) => Some(Arc::from(image)),
        Err(error) => {
            let message = format!("`{}` cannot be converted: {error}", file.get_ref());
            let finding = Finding::new(Code::BadElf, file.span(), message);
            let what = match kind {
                ImageKind::Bootloader => "a bootloader",
                ImageKind::Application | ImageKind::PartitionTable | ImageKind::Raw => {
                    "an application"
                }
            };
            let is_foreign = matches!(
                error,
                ElfError::NotElf
                    | ElfError::WrongMachine { .. }
                    | ElfError::Empty
                    | ElfError::Image(ImageError::NothingMapped)
            );
            context.error(match is_foreign {
                true => finding.hint(format!("it must be {what} for {}", chip.title())),
                false => finding,
            });
            None
        }
    }
}

/// As the chip would start it.
fn image(
    bytes: &[u8],
    chip: Chip,
    kind: ImageKind,
    options: &ImageOptions,
) -> Result<Vec<u8>, ElfError> {
    let image = elf::to_image(bytes, chip, options)?;
    let parsed = Image::parse(&image)?;
    parsed.check_chip(chip, None)?;
    // What is mapped is not in the header where it counts RAM only.
    if kind == ImageKind::Application && !options.ram_only_header {
        parsed.check_application()?;
    }
    Ok(image)
}

/// A revision that an image's header is to state; `None` if there is none, or what was reported.
fn revision(
    name: &str,
    text: Option<&Spanned<String>>,
    context: &mut Context,
) -> Result<Option<Revision>, Reported> {
    let Some(text) = text else { return Ok(None) };
    match parse_revision(text.get_ref()) {
        Ok(value) => Ok(Some(Revision::from_value(value))),
        Err(error) => {
            let message = format!("`{name}`: {error}");
            context.error(
                Finding::new(Code::BadValue, text.span(), message)
                    .hint("write major and minor, for example `\"0.3\"`"),
            );
            Err(Reported)
        }
    }
}

/// Something is wrong, and the context has it.
struct Reported;

/// The choices; `None` if something was reported.
fn options(
    table: &ImageTable,
    chip: Chip,
    size: u32,
    context: &mut Context,
) -> Option<ImageOptions> {
    let oldest = revision("min_revision", table.min_revision.as_ref(), context);
    let newest = revision("max_revision", table.max_revision.as_ref(), context);
    let (Ok(oldest), Ok(newest)) = (oldest, newest) else {
        return None;
    };
    let mut flash = FlashSettings::usual(chip, size);
    let word = table
        .flash_mode
        .as_ref()
        .map(|word| word.get_ref().as_str());
    let modes = [
        FlashMode::Qio,
        FlashMode::Qout,
        FlashMode::Dio,
        FlashMode::Dout,
    ];
    if let Some(mode) = modes.into_iter().find(|mode| Some(mode.name()) == word) {
        flash.mode = mode;
    }
    // One of the words of the language; the conversion knows which of them the chip has.
    let word = table.flash_freq.as_ref();
    let word = word.and_then(|word| word.get_ref().strip_suffix("MHz"));
    if let Some(mhz) = word.and_then(|digits| digits.parse().ok()) {
        flash.frequency_mhz = mhz;
    }
    let mut options = ImageOptions::new(flash);
    // The conversion refuses what is too large.
    let bytes = |size: &Spanned<Size>| u32::try_from(size.get_ref().0).unwrap_or(u32::MAX);
    options.mmu_page_size = table.mmu_page_size.as_ref().map(bytes);
    options.pad_to_multiple = table.pad_to_size.as_ref().map(bytes);
    options.min_revision = oldest.unwrap_or_default();
    options.max_revision = newest;
    let hash = table.hash.as_ref().map(|word| *word.get_ref());
    options.hash = hash != Some(HashWord::None);
    options.elf_sha256_offset = table.elf_sha256_offset.as_ref().map(|at| *at.get_ref());
    options.use_segments = plain(&table.use_segments).unwrap_or(false);
    options.ram_only_header = plain(&table.ram_only_header).unwrap_or(false);
    options.secure_pad = match table.secure_pad.as_ref().map(|word| *word.get_ref()) {
        Some(PadWord::V1) => SecurePad::V1,
        Some(PadWord::V2) => SecurePad::V2,
        Some(PadWord::None) | None => SecurePad::None,
    };
    Some(options)
}
