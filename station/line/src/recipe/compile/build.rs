//! A build of ESP-IDF as an image: every file of its `flasher_args.json` at its place.
//!
//! Invariants: only files of the build's own folder are read, links resolved; the build is for the one
//! chip that the image is for; what the build says of its flash and what its bootloader's header says
//! are the same.

use std::path::Path;

use station_esp::flasher_args::{BuildFile, FlasherArgs, MAX_LIST, PartKind};
use station_esp::image::Header;
use toml::Spanned;

use super::Context;
use super::files::read_bounded;
use super::images::{self, Entry, Recognised};
use super::serials::file_finding;
use crate::plan::ImageKind;
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::quantity::{parse_size, size_text};
use crate::recipe::syntax::{KindWord, Place};

/// Reads a build; `None` if something was reported.
pub(super) fn read(
    entry: &Entry<'_>,
    list: &Spanned<String>,
    context: &mut Context,
) -> Option<Vec<Recognised>> {
    let path = context.folder.join(list.get_ref());
    let bytes = match read_bounded(&path, MAX_LIST) {
        Ok(bytes) => bytes,
        Err(error) => {
            context.error(file_finding(list, &error));
            return None;
        }
    };
    let build = match FlasherArgs::parse(&bytes) {
        Ok(build) => build,
        Err(error) => {
            let message = format!("`{}` is no list of a build: {error}", list.get_ref());
            context.error(
                Finding::new(Code::BadImage, list.span(), message)
                    .hint("name the `flasher_args.json` that ESP-IDF leaves in `build`"),
            );
            return None;
        }
    };
    let before = context.errors.len();
    check_chip(&build, entry, list, context);
    check_size(&build, entry, list, context);
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut found = Vec::with_capacity(build.files.len());
    for file in &build.files {
        let Some(part) = part(entry, list, &folder, file, context) else {
            continue;
        };
        if part.kind == ImageKind::Bootloader {
            check_header(&build, &part, list, context);
        }
        found.push(part);
    }
    (context.errors.len() == before).then_some(found)
}

fn check_chip(
    build: &FlasherArgs,
    entry: &Entry<'_>,
    list: &Spanned<String>,
    context: &mut Context,
) {
    let Some(chip) = build.chip else { return };
    for other in entry.chips.iter().filter(|other| **other != chip) {
        let message = format!(
            "`{}` is a build for {}, not for {}",
            list.get_ref(),
            chip.title(),
            other.title()
        );
        context.error(
            Finding::new(Code::WrongChip, list.span(), message)
                .hint("say in `chip` which chip the image is for"),
        );
    }
}

/// Reports a build for more flash than there is: its bootloader would not start.
fn check_size(
    build: &FlasherArgs,
    entry: &Entry<'_>,
    list: &Spanned<String>,
    context: &mut Context,
) {
    let built = build
        .flash_size
        .as_deref()
        .and_then(|size| parse_size(&size.to_ascii_uppercase()).ok());
    if let (Some(built), Some(there)) = (built, entry.flash_size)
        && built > there
    {
        let message = format!(
            "`{}` is a build for a flash of {}, and there are {}",
            list.get_ref(),
            size_text(built),
            size_text(there)
        );
        context.error(
            Finding::new(Code::BeyondFlash, list.span(), message)
                .hint("set CONFIG_ESPTOOLPY_FLASHSIZE and build again"),
        );
    }
}

fn part(
    entry: &Entry<'_>,
    list: &Spanned<String>,
    folder: &Path,
    file: &BuildFile,
    context: &mut Context,
) -> Option<Recognised> {
    // As the recipe would name it.
    let beside = Path::new(list.get_ref()).parent().unwrap_or(Path::new(""));
    let shown = beside.join(&file.file).display().to_string();
    let shown = Spanned::new(list.span(), shown);
    let path = folder.join(&file.file);
    if !lies_in(folder, &path) {
        let message = format!("`{}` leads out of the build's folder", shown.get_ref());
        context.error(Finding::new(Code::FileUnreadable, list.span(), message));
        return None;
    }
    let bytes = images::read(&shown, &path, context)?;
    let said = match file.kind {
        PartKind::Bootloader => Some(KindWord::Bootloader),
        PartKind::PartitionTable => Some(KindWord::Table),
        PartKind::Application => Some(KindWord::App),
        PartKind::Other => None,
    };
    let own = entry.part(file.offset, said);
    Some(Recognised {
        own_place: Some(Spanned::new(list.span(), Place::Offset(file.offset))),
        encrypted: file.encrypted,
        ..images::part(&own, &shown, &bytes, context)?
    })
}

/// Whether a file lies in a folder, links resolved. What is not there is reported when it is read.
fn lies_in(folder: &Path, path: &Path) -> bool {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    match (folder.canonicalize(), path.canonicalize()) {
        (Ok(folder), Ok(path)) => path.starts_with(folder),
        (_, _) => true,
    }
}

/// Compares what the build says of its flash with the header of its bootloader, which the chip reads.
fn check_header(
    build: &FlasherArgs,
    part: &Recognised,
    list: &Spanned<String>,
    context: &mut Context,
) {
    // It was read as an image just now.
    let Ok(header) = Header::parse(&part.bytes) else {
        return;
    };
    let frequency = header.flash_frequency().map(|mhz| format!("{mhz}m"));
    let size = header.flash_size();
    let size = size.map(|size| size_text(u64::from(size)));
    let upper = |word: &Option<String>| word.as_deref().map(str::to_ascii_uppercase);
    for (key, said, there) in [
        (
            "flash_mode",
            build.flash_mode.clone(),
            Some(header.flash_mode.name().to_owned()),
        ),
        ("flash_freq", build.flash_frequency.clone(), frequency),
        ("flash_size", upper(&build.flash_size), size),
    ] {
        let (Some(said), Some(there)) = (said, there) else {
            continue;
        };
        if said != there {
            let message = format!(
                "`{}` says `{key}` is {said}, the header of {} says {there}",
                list.get_ref(),
                part.origin
            );
            context.error(
                Finding::new(Code::Conflict, list.span(), message)
                    .hint("build again: the station writes the files as they are"),
            );
        }
    }
}
