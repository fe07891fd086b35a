//! `[images]`: files read, recognised, checked and turned into the bytes that are written.
//!
//! Invariants: a file is read once, with a bound; what is recognised as an ESP image, an ELF or a
//! table is checked as one; nothing is written that does not suit every chip it is for.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use station_esp::chip::Chip;
use station_esp::elf::{self, FlashSettings};
use station_esp::image::Image;
use station_esp::partition;
use toml::Spanned;

use super::Context;
use super::bootloader;
use super::files::read_bounded;
use super::header::{self, Header};
use super::layout::{Partition, Table};
use super::serials::file_finding;
use crate::plan::ImageKind;
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::{ImageTable, KindWord, Place, RecipeFile};

/// Largest image file, in bytes.
const MAX_IMAGE: u64 = 64 * 1024 * 1024;

/// First byte of an ESP image.
const ESP_MAGIC: u8 = 0xE9;

/// First bytes of a binary partition table.
const TABLE_MAGIC: [u8; 2] = [0xAA, 0x50];

/// First bytes of an ELF file.
const ELF_MAGIC: [u8; 4] = *b"\x7fELF";

/// An image before it has its place.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) name_span: Range<usize>,
    pub(super) at: Option<Spanned<Place>>,
    pub(super) origin: String,
    pub(super) kind: ImageKind,
    pub(super) chips: Vec<Chip>,
    pub(super) bytes: Arc<[u8]>,
}

/// One entry of `[images]` and what holds for it.
pub(super) struct Entry<'a> {
    pub(super) name: &'a Spanned<String>,
    pub(super) table: &'a ImageTable,
    pub(super) chips: Vec<Chip>,
    pub(super) min_chip_revision: Option<u16>,
    pub(super) flash_size: Option<u64>,
}

/// What a file turned out to be.
pub(super) struct Recognised {
    pub(super) kind: ImageKind,
    pub(super) bytes: Arc<[u8]>,
    pub(super) origin: String,
    pub(super) partitions: Option<Vec<Partition>>,
}

/// Reads all images; with them comes the partition table and where it stands.
pub(super) fn compile(
    file: &RecipeFile,
    header: &Header,
    flash_size: Option<u64>,
    context: &mut Context,
) -> (Vec<Draft>, Table, Range<usize>) {
    let mut drafts = Vec::new();
    let mut table = Table::Absent;
    let mut table_span = 0..0;
    let mut entries: Vec<_> = file.images.iter().collect();
    // In the order written, so that "the second table" is the one an engineer takes for it.
    entries.sort_by_key(|(name, _)| name.span().start);
    for (name, image) in entries {
        let image = image.get_ref();
        let named = context.check_name("an image", name);
        let entry = Entry {
            name,
            table: image,
            chips: chips(image, header, context),
            min_chip_revision: header.min_chip_revision,
            flash_size,
        };
        let Some(found) = recognise(&entry, context) else {
            // A table that is wrong must not make every partition's name wrong on top.
            if might_be_table(image) {
                table = Table::Broken;
            }
            continue;
        };
        if let Some(partitions) = found.partitions {
            if matches!(table, Table::Absent) {
                table = Table::Known(partitions);
                table_span = name.span();
            } else if matches!(table, Table::Known(_)) {
                let message = format!("`{}` is a second partition table", name.get_ref());
                context.error(Finding::new(Code::TwoTables, name.span(), message));
            }
        }
        if named {
            drafts.push(Draft {
                name: name.get_ref().clone(),
                name_span: name.span(),
                at: image.at.clone(),
                origin: found.origin,
                kind: found.kind,
                chips: entry.chips,
                bytes: found.bytes,
            });
        }
    }
    (drafts, table, table_span)
}

fn might_be_table(image: &ImageTable) -> bool {
    let kind = image.kind.as_ref().map(|kind| *kind.get_ref());
    kind == Some(KindWord::Table)
        || image
            .file
            .as_ref()
            .is_some_and(|file| extension(file.get_ref()) == "csv")
}

/// Chips an image is for, all of them the recipe's.
fn chips(image: &ImageTable, header: &Header, context: &mut Context) -> Vec<Chip> {
    let Some(named) = header::chips(&image.chip, context) else {
        return header.chips.clone();
    };
    let span = image.chip.as_ref().map_or(0..0, Spanned::span);
    for chip in &named {
        if !header.chips.is_empty() && !header.chips.contains(chip) {
            let message = format!("the recipe is not for {}", chip.title());
            context.error(
                Finding::new(Code::WrongChip, span.clone(), message)
                    .hint("add it to `chip` at the top"),
            );
        }
    }
    named
}

fn recognise(entry: &Entry<'_>, context: &mut Context) -> Option<Recognised> {
    let image = entry.table;
    match (&image.file, &image.bundled) {
        (Some(file), None) => {
            if let Some(crystal) = &image.crystal {
                let message = "`crystal` is for bundled bootloaders only";
                context.error(Finding::new(Code::Conflict, crystal.span(), message));
            }
            from_file(entry, file, context)
        }
        (None, Some(word)) => bootloader::bundled(entry, word.span(), context),
        (Some(_), Some(word)) => {
            let message = "`file` and `bundled` exclude each other";
            context.error(Finding::new(Code::Conflict, word.span(), message));
            None
        }
        (None, None) => {
            context.error(
                Finding::new(
                    Code::MissingKey,
                    entry.name.span(),
                    format!(
                        "image `{}` has neither `file` nor `bundled`",
                        entry.name.get_ref()
                    ),
                )
                .hint("for example `file = \"app.elf\"`"),
            );
            None
        }
    }
}

/// The one chip an image is made for; a bootloader or an ELF cannot suit two.
pub(super) fn only_chip(
    entry: &Entry<'_>,
    what: &str,
    span: Range<usize>,
    context: &mut Context,
) -> Option<Chip> {
    match entry.chips.as_slice() {
        [chip] => Some(*chip),
        // No chip at all was reported at the top.
        [] => None,
        _ => {
            let message = format!("{what} suits one chip, and the recipe has several");
            context.error(
                Finding::new(Code::WrongChip, span, message)
                    .hint("make an image of each chip and say in `chip` which it is for"),
            );
            None
        }
    }
}

fn extension(file: &str) -> String {
    let extension = Path::new(file)
        .extension()
        .and_then(std::ffi::OsStr::to_str);
    extension.unwrap_or_default().to_ascii_lowercase()
}

fn from_file(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    context: &mut Context,
) -> Option<Recognised> {
    let bytes = match read_bounded(&context.folder.join(file.get_ref()), MAX_IMAGE) {
        Ok(bytes) => bytes,
        Err(error) => {
            context.error(file_finding(file, &error));
            return None;
        }
    };
    if bytes.is_empty() {
        let message = format!("`{}` is empty", file.get_ref());
        context.error(Finding::new(Code::FileEmpty, file.span(), message));
        return None;
    }
    let kind = kind(entry, file, &bytes, context)?;
    let origin = file.get_ref().clone();
    let esp = |kind| Recognised {
        kind,
        bytes: Arc::from(bytes.as_slice()),
        origin: origin.clone(),
        partitions: None,
    };
    match kind {
        FileKind::Raw => Some(esp(ImageKind::Raw)),
        FileKind::App => {
            check_esp(entry, file, &bytes, true, context).then(|| esp(ImageKind::Application))
        }
        FileKind::Bootloader => {
            check_esp(entry, file, &bytes, false, context).then(|| esp(ImageKind::Bootloader))
        }
        FileKind::Elf => {
            let bytes = convert(entry, file, &bytes, context)?;
            Some(Recognised {
                kind: ImageKind::Application,
                bytes,
                origin,
                partitions: None,
            })
        }
        FileKind::CsvTable | FileKind::BinaryTable => {
            let parsed = table(entry, file, kind, &bytes, context)?;
            Some(Recognised {
                kind: ImageKind::PartitionTable,
                bytes: Arc::from(parsed.to_binary()),
                origin,
                partitions: Some(parsed.entries().iter().map(known).collect()),
            })
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileKind {
    Raw,
    App,
    Bootloader,
    Elf,
    CsvTable,
    BinaryTable,
}

/// Tells what a file is from what the recipe says, its name and its first bytes.
fn kind(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    bytes: &[u8],
    context: &mut Context,
) -> Option<FileKind> {
    let extension = extension(file.get_ref());
    let esp = bytes.first() == Some(&ESP_MAGIC);
    let at_bootloader = match entry.table.at.as_ref().map(Spanned::get_ref) {
        Some(Place::Offset(offset)) => entry
            .chips
            .iter()
            .any(|chip| chip.spec().bootloader_offset == *offset),
        Some(Place::Partition(_)) | None => false,
    };
    let said = entry.table.kind.as_ref().map(|kind| *kind.get_ref());
    match said {
        Some(KindWord::Raw) => return Some(FileKind::Raw),
        Some(KindWord::Bootloader) => return Some(FileKind::Bootloader),
        Some(KindWord::Table) if extension == "csv" => return Some(FileKind::CsvTable),
        Some(KindWord::Table) => return Some(FileKind::BinaryTable),
        Some(KindWord::App) if bytes.starts_with(&ELF_MAGIC) => return Some(FileKind::Elf),
        Some(KindWord::App) => return Some(FileKind::App),
        None => {}
    }
    match extension.as_str() {
        "csv" => Some(FileKind::CsvTable),
        // Also without the magic: then the conversion says what is wrong with it.
        "elf" => Some(FileKind::Elf),
        _ if bytes.starts_with(&ELF_MAGIC) => Some(FileKind::Elf),
        "bin" if esp && at_bootloader => Some(FileKind::Bootloader),
        "bin" if esp => Some(FileKind::App),
        "bin" if bytes.starts_with(&TABLE_MAGIC) => Some(FileKind::BinaryTable),
        "bin" => Some(FileKind::Raw),
        _ => {
            let message = format!("it cannot be told what `{}` is", file.get_ref());
            context.error(
                Finding::new(Code::FileKind, file.span(), message)
                    .hint("say it: `kind = \"raw\"`, `\"app\"`, `\"bootloader\"` or `\"table\"`"),
            );
            None
        }
    }
}

/// Checks an ESP image as the ROM and the bootloader would, and that it is for the right chips.
fn check_esp(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    bytes: &[u8],
    application: bool,
    context: &mut Context,
) -> bool {
    let parsed = Image::parse(bytes).and_then(|image| match application {
        true => image.check_application().map(|()| image),
        false => Ok(image),
    });
    let image = match parsed {
        Ok(image) => image,
        Err(error) => {
            let message = format!("`{}` is no good image: {error}", file.get_ref());
            context.error(
                Finding::new(Code::BadImage, file.span(), message)
                    .hint("build it again, or write `kind = \"raw\"` if it is none"),
            );
            return false;
        }
    };
    let mut good = true;
    for chip in entry.chips.iter().filter(|chip| **chip != image.chip) {
        let made_for = image.chip.title();
        let message = format!(
            "`{}` is made for {made_for}, not for {}",
            file.get_ref(),
            chip.title()
        );
        context.error(Finding::new(Code::WrongChip, file.span(), message));
        good = false;
    }
    good
}

/// The flash size, which an image's header states; `None` if no step declares it, which is
/// reported.
pub(super) fn flash_size(
    entry: &Entry<'_>,
    span: Range<usize>,
    context: &mut Context,
) -> Option<u32> {
    let size = entry.flash_size.and_then(|size| u32::try_from(size).ok());
    if size.is_none() {
        context.error(
            Finding::new(
                Code::FlashSizeNeeded,
                span,
                "the image's header states the flash size, and no step declares it",
            )
            .hint("add a step with `identify = { flash_size = \"4MB\" }`"),
        );
    }
    size
}

fn convert(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    bytes: &[u8],
    context: &mut Context,
) -> Option<Arc<[u8]>> {
    let chip = only_chip(entry, "an ELF file", file.span(), context)?;
    let size = flash_size(entry, file.span(), context)?;
    match elf::to_flash_image(bytes, chip, &FlashSettings::usual(chip, size)) {
        Ok(image) => Some(Arc::from(image)),
        Err(error) => {
            let message = format!("`{}` cannot be converted: {error}", file.get_ref());
            context.error(
                Finding::new(Code::BadElf, file.span(), message)
                    .hint(format!("it must be an application for {}", chip.title())),
            );
            None
        }
    }
}

fn table(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    kind: FileKind,
    bytes: &[u8],
    context: &mut Context,
) -> Option<partition::Table> {
    let offset = match entry.table.at.as_ref().map(Spanned::get_ref) {
        Some(Place::Offset(offset)) => *offset,
        Some(Place::Partition(_)) | None => partition::DEFAULT_TABLE_OFFSET,
    };
    let parsed = if kind == FileKind::CsvTable {
        match std::str::from_utf8(bytes) {
            Ok(text) => partition::Table::parse_csv_at(text, offset).map_err(|e| e.to_string()),
            Err(_) => Err("it is not UTF-8".to_owned()),
        }
    } else {
        partition::Table::parse_binary(bytes).map_err(|error| error.to_string())
    };
    parsed
        .map_err(|reason| {
            let message = format!("`{}` is no good partition table: {reason}", file.get_ref());
            context.error(Finding::new(Code::BadTable, file.span(), message));
        })
        .ok()
}

fn known(entry: &partition::Entry) -> Partition {
    Partition {
        name: entry.name.clone(),
        offset: entry.offset,
        size: entry.size,
        application: entry.kind == partition::Kind::App,
        encrypted: entry.encrypted || entry.kind == partition::Kind::App,
    }
}
