//! What the bytes of an image file are, and what goes into flash for them.
//!
//! Invariants: what the recipe says goes before the file's name, and that before its first bytes; an
//! ESP image and a table are checked as ROM and bootloader check them.

use station_esp::chip::Chip;
use station_esp::image::{Image, MAGIC as ESP_MAGIC};
use station_esp::partition;
use toml::Spanned;

use super::super::Context;
use super::super::elf;
use super::super::layout::Partition;
use super::{Entry, Recognised, extension};
use crate::plan::ImageKind;
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::{KindWord, Place};

/// First bytes of a binary partition table.
const TABLE_MAGIC: [u8; 2] = [0xAA, 0x50];

/// A file of a kind as what goes into flash; `None` if something was reported.
pub(super) fn of_kind(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    kind: FileKind,
    bytes: &[u8],
    context: &mut Context,
) -> Option<Recognised> {
    let origin = file.get_ref().clone();
    let esp = |kind| Recognised::new(kind, bytes, origin.clone());
    match kind {
        FileKind::Raw => Some(esp(ImageKind::Raw)),
        FileKind::App => {
            check_esp(entry, file, bytes, true, context).then(|| esp(ImageKind::Application))
        }
        FileKind::Bootloader => {
            check_esp(entry, file, bytes, false, context).then(|| esp(ImageKind::Bootloader))
        }
        FileKind::Elf(kind) => {
            let bytes = elf::convert(entry, file, kind, bytes, context)?;
            Some(Recognised::new(kind, bytes, origin))
        }
        FileKind::CsvTable | FileKind::BinaryTable => {
            let parsed = table(entry, file, kind, bytes, context)?;
            let binary = parsed.to_binary();
            Some(Recognised {
                partitions: Some(parsed.entries().iter().map(known).collect()),
                ..Recognised::new(ImageKind::PartitionTable, binary, origin)
            })
        }
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Raw,
    App,
    Bootloader,
    /// An ELF, and what is made of it.
    Elf(ImageKind),
    CsvTable,
    BinaryTable,
}

impl FileKind {
    /// Whether it is converted, with the choices for that.
    pub(super) fn is_elf(self) -> bool {
        matches!(self, Self::Elf(_))
    }
}

/// Tells what a file is from what the recipe says, its name and its first bytes.
pub(super) fn kind(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    bytes: &[u8],
    context: &mut Context,
) -> Option<FileKind> {
    let extension = extension(file.get_ref());
    let is_elf = station_esp::elf::is_elf(bytes);
    match (entry.said, extension.as_str()) {
        (Some(KindWord::Table) | None, "csv") => Some(FileKind::CsvTable),
        (Some(KindWord::App), _) if is_elf => Some(FileKind::Elf(ImageKind::Application)),
        (Some(KindWord::Bootloader), _) if is_elf => Some(FileKind::Elf(ImageKind::Bootloader)),
        // Also without the magic: then the conversion says what is wrong with it.
        (None, extension) if is_elf || extension == "elf" => {
            Some(FileKind::Elf(match is_at_bootloader(entry) {
                true => ImageKind::Bootloader,
                false => ImageKind::Application,
            }))
        }
        (Some(_), _) | (None, "bin") => Some(binary_kind(entry, bytes)),
        (None, _) => {
            let message = format!("it cannot be told what `{}` is", file.get_ref());
            context.error(
                Finding::new(Code::FileKind, file.span(), message)
                    .hint("say it: `kind = \"raw\"`, `\"app\"`, `\"bootloader\"` or `\"table\"`"),
            );
            None
        }
    }
}

/// Whether it goes where one of its chips looks for a bootloader.
fn is_at_bootloader(entry: &Entry<'_>) -> bool {
    let looked_at = |chip: &Chip, offset| chip.spec().bootloader_offset == offset;
    match entry.at {
        Some(Place::Offset(offset)) => entry.chips.iter().any(|chip| looked_at(chip, offset)),
        Some(Place::Partition(_)) | None => false,
    }
}

/// Tells what bytes for flash are from what somebody says, their place and the first of them.
pub(super) fn binary_kind(entry: &Entry<'_>, bytes: &[u8]) -> FileKind {
    match entry.said {
        Some(KindWord::Raw) => return FileKind::Raw,
        Some(KindWord::Bootloader) => return FileKind::Bootloader,
        Some(KindWord::Table) => return FileKind::BinaryTable,
        Some(KindWord::App) => return FileKind::App,
        None => {}
    }
    let esp = bytes.first() == Some(&ESP_MAGIC);
    if esp && is_at_bootloader(entry) {
        FileKind::Bootloader
    } else if esp {
        FileKind::App
    } else if bytes.starts_with(&TABLE_MAGIC) {
        FileKind::BinaryTable
    } else {
        FileKind::Raw
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

fn table(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    kind: FileKind,
    bytes: &[u8],
    context: &mut Context,
) -> Option<partition::Table> {
    let offset = match entry.at {
        Some(Place::Offset(offset)) => offset,
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
    let data = |subtype| entry.kind == partition::Kind::Data && entry.subtype == subtype;
    let nvs_keys = data(partition::Subtype::NVS_KEYS);
    let always =
        entry.kind == partition::Kind::App || nvs_keys || data(partition::Subtype::OTADATA);
    Partition {
        name: entry.name.clone(),
        offset: entry.offset,
        size: entry.size,
        application: entry.kind == partition::Kind::App,
        // Bootloaders encrypt these, and read them as ciphertext, even without the flag. Source:
        // ESP-IDF, `flash_encrypt.c` and `esp_partition`.
        encrypted: entry.encrypted || always,
        nvs_keys,
    }
}
