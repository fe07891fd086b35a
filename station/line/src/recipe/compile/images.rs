//! `[images]`: files read, recognised, checked and turned into the bytes that are written.
//!
//! Invariants: a file is read once, with a bound; what is recognised as an ESP image, an ELF or a
//! table is checked as one; nothing is written that does not suit every chip it is for.

mod content;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use station_esp::chip::Chip;
use toml::Spanned;

use self::content::{binary_kind, kind, of_kind};

use super::Context;
use super::bootloader;
use super::build;
use super::elf;
use super::files::read_bounded;
use super::header::{self, Header};
use super::layout::{Partition, Table};
use super::parts;
use super::serials::file_finding;
use crate::plan::ImageKind;
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::{ImageTable, KindWord, Place, RecipeFile};

/// Largest image file, in bytes.
pub(super) const MAX_IMAGE: u64 = 64 * 1024 * 1024;

/// An image, or a part of one, before it has its place.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    /// The name in the recipe, which stands for all parts.
    pub(super) whole: String,
    pub(super) name_span: Range<usize>,
    pub(super) at: Option<Spanned<Place>>,
    pub(super) origin: String,
    pub(super) kind: ImageKind,
    pub(super) chips: Vec<Chip>,
    pub(super) bytes: Arc<[u8]>,
    /// Whether its build wants it encrypted; `None` if nobody says.
    pub(super) encrypted: Option<bool>,
}

/// One entry of `[images]` and what holds for it.
pub(super) struct Entry<'a> {
    pub(super) name: &'a Spanned<String>,
    pub(super) table: &'a ImageTable,
    /// Where the table stands.
    pub(super) span: Range<usize>,
    pub(super) chips: Vec<Chip>,
    pub(super) min_chip_revision: Option<u16>,
    pub(super) flash_size: Option<u64>,
    /// Where it goes, as far as the recipe or the file says.
    pub(super) at: Option<Place>,
    /// What it is, if somebody says.
    pub(super) said: Option<KindWord>,
}

impl Entry<'_> {
    /// The same for one part at its own place.
    pub(super) fn part(&self, offset: u32, said: Option<KindWord>) -> Self {
        Self {
            name: self.name,
            table: self.table,
            span: self.span.clone(),
            chips: self.chips.clone(),
            min_chip_revision: self.min_chip_revision,
            flash_size: self.flash_size,
            at: Some(Place::Offset(offset)),
            said,
        }
    }
}

/// What a file turned out to be.
pub(super) struct Recognised {
    pub(super) kind: ImageKind,
    pub(super) bytes: Arc<[u8]>,
    pub(super) origin: String,
    pub(super) partitions: Option<Vec<Partition>>,
    /// Where it goes, if its file says so.
    pub(super) own_place: Option<Spanned<Place>>,
    /// Whether its build wants it encrypted; `None` if nobody says.
    pub(super) encrypted: Option<bool>,
}

impl Recognised {
    pub(super) fn new(kind: ImageKind, bytes: impl Into<Arc<[u8]>>, origin: String) -> Self {
        Self {
            kind,
            bytes: bytes.into(),
            origin,
            partitions: None,
            own_place: None,
            encrypted: None,
        }
    }
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
        let (span, image) = (image.span(), image.get_ref());
        let named = context.check_name("an image", name);
        let entry = Entry {
            name,
            table: image,
            span,
            chips: chips(image, header, context),
            min_chip_revision: header.min_chip_revision,
            flash_size,
            at: image.at.as_ref().map(|at| at.get_ref().clone()),
            said: image.kind.as_ref().map(|kind| *kind.get_ref()),
        };
        let Some(found) = recognise(&entry, context) else {
            // A table that is wrong must not make every partition's name wrong on top.
            if might_be_table(image) {
                table = Table::Broken;
            }
            continue;
        };
        let several = found.len() > 1;
        for mut part in found {
            if let Some(partitions) = part.partitions.take() {
                if matches!(table, Table::Absent) {
                    table = Table::Known(partitions);
                    table_span = name.span();
                } else if matches!(table, Table::Known(_)) {
                    let message = format!("`{}` is a second partition table", name.get_ref());
                    context.error(Finding::new(Code::TwoTables, name.span(), message));
                }
            }
            if named {
                drafts.push(draft(&entry, part, several));
            }
        }
    }
    (drafts, table, table_span)
}

fn draft(entry: &Entry<'_>, part: Recognised, several: bool) -> Draft {
    let whole = entry.name.get_ref().clone();
    let name = match part.own_place.as_ref().map(Spanned::get_ref) {
        Some(Place::Offset(offset)) if several => format!("{whole}@{offset:#x}"),
        Some(_) | None => whole.clone(),
    };
    Draft {
        name,
        whole,
        name_span: entry.name.span(),
        at: part.own_place.or_else(|| entry.table.at.clone()),
        origin: part.origin,
        kind: part.kind,
        chips: entry.chips.clone(),
        bytes: part.bytes,
        encrypted: part.encrypted,
    }
}

fn might_be_table(image: &ImageTable) -> bool {
    let kind = image.kind.as_ref().map(|kind| *kind.get_ref());
    kind == Some(KindWord::Table)
        || image.file.as_ref().is_some_and(|file| {
            let extension = extension(file.get_ref());
            extension == "csv" || has_parts(&extension)
        })
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

/// Whether files of this kind say themselves where their parts go.
fn has_parts(extension: &str) -> bool {
    matches!(extension, "json" | "hex" | "ihex" | "uf2")
}

fn recognise(entry: &Entry<'_>, context: &mut Context) -> Option<Vec<Recognised>> {
    let image = entry.table;
    if let Some(file) = &image.file
        && image.bundled.is_none()
        && has_parts(&extension(file.get_ref()))
    {
        return with_own_places(entry, file, context);
    }
    let found = alone(entry, context);
    if image.at.is_none() {
        let message = format!("image `{}` has no `at`", entry.name.get_ref());
        context.missing(
            entry.span.clone(),
            message,
            "say where it goes: an offset or a partition, as in `at = \"factory\"`",
        );
        return None;
    }
    found.map(|found| vec![found])
}

/// A file that says itself where its parts go.
fn with_own_places(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    context: &mut Context,
) -> Option<Vec<Recognised>> {
    elf::refuse_options(entry, context);
    let shown = file.get_ref();
    let mut refused = false;
    let mut refuse = |span: Range<usize>, message: String, hint: &str| {
        context.error(Finding::new(Code::Conflict, span, message).hint(hint));
        refused = true;
    };
    if let Some(at) = &entry.table.at {
        let message = format!("`{shown}` says itself where its parts go");
        refuse(at.span(), message, "leave `at` out");
    }
    if let Some(crystal) = &entry.table.crystal {
        let message = "`crystal` is for bundled bootloaders only".to_owned();
        refuse(crystal.span(), message, "leave it out");
    }
    let build = extension(shown) == "json";
    if let Some(kind) = &entry.table.kind
        && (build || *kind.get_ref() != KindWord::Raw)
    {
        let message = format!("`{shown}` has parts, each of its own kind");
        let hint = "leave `kind` out; `\"raw\"` takes every part of a hex or UF2 file as it is";
        refuse(kind.span(), message, hint);
    }
    if refused {
        return None;
    }
    if build {
        build::read(entry, file, context)
    } else {
        parts::read(entry, file, context)
    }
}

/// A file, or what the station brings along, that goes to one place.
fn alone(entry: &Entry<'_>, context: &mut Context) -> Option<Recognised> {
    let image = entry.table;
    match (&image.file, &image.bundled) {
        (Some(file), None) => {
            if let Some(crystal) = &image.crystal {
                let message = "`crystal` is for bundled bootloaders only";
                context.error(Finding::new(Code::Conflict, crystal.span(), message));
            }
            from_file(entry, file, context)
        }
        (None, Some(word)) => {
            elf::refuse_options(entry, context);
            bootloader::bundled(entry, word.span(), context)
        }
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
    let bytes = read(file, &context.folder.join(file.get_ref()), context)?;
    let kind = kind(entry, file, &bytes, context)?;
    if !kind.is_elf() {
        elf::refuse_options(entry, context);
    }
    of_kind(entry, file, kind, &bytes, context)
}

/// Reads a file that an image is made of; `None` if something was reported.
pub(super) fn read(file: &Spanned<String>, path: &Path, context: &mut Context) -> Option<Vec<u8>> {
    let bytes = match read_bounded(path, MAX_IMAGE) {
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
    Some(bytes)
}

/// A part whose place is known, as bytes for flash. `file` is what errors call it.
pub(super) fn part(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    bytes: &[u8],
    context: &mut Context,
) -> Option<Recognised> {
    of_kind(entry, file, binary_kind(entry, bytes), bytes, context)
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
