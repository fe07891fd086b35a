//! Where everything goes: partitions resolved, sectors aligned, nothing on top of anything else.
//!
//! Invariants of what comes out, if nothing was reported: no two images for one chip share a
//! sector; everything lies within its partition, and within flash where its size is declared; an
//! application lies in an application's partition.

use std::collections::BTreeSet;
use std::ops::Range as Span;

use toml::Spanned;

use super::Context;
use super::header::Header;
use super::images::{self, Draft};
use crate::plan::{ImageKind, PlanImage, Range};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::quantity::size_text;
use crate::recipe::syntax::{At, Place, RecipeFile, Size};
use crate::template::closest;

/// Smallest piece of flash that can be erased.
pub(super) const SECTOR: u32 = 4096;

/// How exactly a range must be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    /// It is erased or written: whole sectors.
    Sector,
    /// It is only read.
    Byte,
}

/// A range of flash with a name and a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) name: String,
    pub(super) offset: u32,
    pub(super) size: u32,
    /// Whether its type is `app`.
    pub(super) application: bool,
    /// Whether it is ciphertext once flash encryption is on.
    pub(super) encrypted: bool,
    /// Whether it is where firmware looks for NVS keys.
    pub(super) nvs_keys: bool,
}

impl Partition {
    pub(super) fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }
}

/// What is known of the recipe's partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// There is none.
    Absent,
    /// There is one that is wrong, which was reported; what follows from it is not.
    Broken,
    /// There is one.
    Known(Vec<Partition>),
}

/// Images and partitions with their places.
#[derive(Debug)]
pub(super) struct Layout {
    images: Vec<PlanImage>,
    /// Where the name of each image stands.
    spans: Vec<Span<usize>>,
    /// Of each image, the name in the recipe, and whether its build wants it encrypted.
    wholes: Vec<(String, Option<bool>)>,
    /// Names of all images, also of those that are wrong.
    declared: BTreeSet<String>,
    table: Table,
    flash_size: Option<u64>,
}

pub(super) fn compile(file: &RecipeFile, header: &Header, context: &mut Context) -> Layout {
    let flash_size = flash_size(file);
    let (drafts, table, table_span) = images::compile(file, header, flash_size, context);
    let mut layout = Layout {
        images: Vec::new(),
        spans: Vec::new(),
        wholes: Vec::new(),
        declared: file
            .images
            .keys()
            .map(|name| name.get_ref().clone())
            .collect(),
        table,
        flash_size,
    };
    if let Some(size) = flash_size {
        for partition in layout
            .partitions()
            .iter()
            .filter(|partition| partition.end() > size)
        {
            context.error(Finding::new(
                Code::BeyondFlash,
                table_span.clone(),
                format!(
                    "partition `{}` ends at {:#x}, beyond the flash of {}",
                    partition.name,
                    partition.end(),
                    size_text(size)
                ),
            ));
        }
    }
    for draft in drafts {
        let span = draft.name_span.clone();
        let whole = (draft.whole.clone(), draft.encrypted);
        if let Some(image) = layout.settle(draft, context) {
            layout.images.push(image);
            layout.spans.push(span);
            layout.wholes.push(whole);
        }
    }
    layout.refuse_overlaps(context);
    layout
}

/// The smallest flash that a step declares.
fn flash_size(file: &RecipeFile) -> Option<u64> {
    file.step
        .iter()
        .filter_map(|step| {
            step.get_ref()
                .identify
                .as_ref()?
                .get_ref()
                .flash_size
                .as_ref()
        })
        .map(|size| size.get_ref().0)
        .min()
}

/// Returns the first byte after the last sector an image touches.
pub(super) fn sector_end(image: &PlanImage) -> u64 {
    let length = u64::try_from(image.bytes.len()).unwrap_or(u64::MAX);
    (u64::from(image.offset).saturating_add(length)).next_multiple_of(u64::from(SECTOR))
}

impl Layout {
    pub(super) fn partitions(&self) -> &[Partition] {
        match &self.table {
            Table::Known(partitions) => partitions,
            Table::Absent | Table::Broken => &[],
        }
    }

    /// The images with where the name of each stands.
    pub(super) fn images(&self) -> impl Iterator<Item = (&PlanImage, &Span<usize>)> {
        self.images.iter().zip(&self.spans)
    }

    /// The smallest flash that a step declares.
    pub(super) fn flash_size(&self) -> Option<u64> {
        self.flash_size
    }

    pub(super) fn into_images(self) -> Vec<PlanImage> {
        self.images
    }

    /// Returns the indices of an image's parts; none if it is unknown or wrong, which was reported.
    pub(super) fn parts(&self, name: &Spanned<String>, context: &mut Context) -> Vec<usize> {
        let text = name.get_ref();
        if !self.declared.contains(text) {
            let shown: String = text.chars().take(60).collect();
            let finding = Finding::new(
                Code::UnknownImage,
                name.span(),
                format!("the recipe has no image `{shown}`"),
            );
            context.error(
                match closest(text, self.declared.iter().map(String::as_str)) {
                    Some(suggestion) => finding.suggest(Some(suggestion)),
                    None => finding.hint("add it to `[images]`"),
                },
            );
        }
        let all = self.wholes.iter().enumerate();
        all.filter(|(_, (whole, _))| whole == text)
            .map(|(index, _)| index)
            .collect()
    }

    /// Whether the build of an image wants it encrypted; `None` if nobody says.
    pub(super) fn wants_encryption(&self, index: usize) -> Option<bool> {
        self.wholes.get(index).and_then(|(_, encrypted)| *encrypted)
    }

    /// An image as messages call it: a part with the file it is from.
    fn title(&self, index: usize) -> String {
        let (Some(image), Some((whole, _))) = (self.images.get(index), self.wholes.get(index))
        else {
            return String::new();
        };
        if image.name == *whole {
            format!("`{}`", image.name)
        } else {
            format!("`{}` from {}", image.name, image.origin)
        }
    }

    /// Returns the partition of that name; `None` if there is none, which was reported.
    fn partition(
        &self,
        name: &str,
        span: Span<usize>,
        context: &mut Context,
    ) -> Option<&Partition> {
        let shown: String = name.chars().take(60).collect();
        let partitions = match &self.table {
            Table::Broken => return None,
            Table::Absent => {
                context.error(
                    Finding::new(
                        Code::UnknownPartition,
                        span,
                        format!("`{shown}` cannot be a partition, for the recipe has no table"),
                    )
                    .hint(
                        "add a partition table to `[images]`, or write an offset such as 0x10000",
                    ),
                );
                return None;
            }
            Table::Known(partitions) => partitions,
        };
        let found = partitions.iter().find(|partition| partition.name == name);
        if found.is_none() {
            let names: Vec<_> = partitions
                .iter()
                .map(|partition| partition.name.as_str())
                .collect();
            let message = format!("the partition table has no `{shown}`");
            let finding = Finding::new(Code::UnknownPartition, span, message);
            context.error(match closest(name, names.iter().copied()) {
                Some(suggestion) => finding.suggest(Some(suggestion)),
                None => finding.hint(format!("partitions are {}", names.join(", "))),
            });
        }
        found
    }

    /// Resolves a place; `None` if something was reported.
    pub(super) fn range(
        &self,
        at: &At<Place>,
        size: &At<Size>,
        grain: Grain,
        context: &mut Context,
    ) -> Option<Range> {
        let at = at.as_ref()?;
        let span = at.span();
        let wanted = match size {
            Some(size) => Some((u32::try_from(size.get_ref().0).ok()?, size.span())),
            None => None,
        };
        if let Some((0, span)) = &wanted {
            context.error(Finding::new(
                Code::OutOfRange,
                span.clone(),
                "`size` must not be zero",
            ));
            return None;
        }
        let range = match at.get_ref() {
            Place::Partition(name) => {
                let partition = self.partition(name, span.clone(), context)?;
                let size = wanted.as_ref().map_or(partition.size, |(size, _)| *size);
                if size > partition.size {
                    let span = wanted.map_or(span, |(_, span)| span);
                    let room = size_text(u64::from(partition.size));
                    let message = format!("partition `{name}` has only {room}");
                    context.error(Finding::new(Code::TooLarge, span, message));
                    return None;
                }
                Range {
                    offset: partition.offset,
                    size,
                }
            }
            Place::Offset(offset) => {
                let Some((size, _)) = &wanted else {
                    let message = "`size` is missing beside an offset";
                    context.missing(span, message, "for example `size = \"4KB\"`");
                    return None;
                };
                Range {
                    offset: *offset,
                    size: *size,
                }
            }
        };
        self.check_range(range, grain, span, context)
            .then_some(range)
    }

    fn check_range(
        &self,
        range: Range,
        grain: Grain,
        span: Span<usize>,
        context: &mut Context,
    ) -> bool {
        let aligned = range.offset.is_multiple_of(SECTOR) && range.size.is_multiple_of(SECTOR);
        if grain == Grain::Sector && !aligned {
            context.error(
                Finding::new(
                    Code::Unaligned,
                    span,
                    format!(
                        "{:#x} with {:#x} bytes is not whole sectors",
                        range.offset, range.size
                    ),
                )
                .hint("offsets and sizes are multiples of 4096, 0x1000, `\"4KB\"`"),
            );
            return false;
        }
        let end = u64::from(range.offset) + u64::from(range.size);
        let flash = self.flash_size.unwrap_or(u64::from(u32::MAX) + 1);
        if end > flash {
            let message = format!(
                "it ends at {end:#x}, beyond the flash of {}",
                size_text(flash)
            );
            context.error(Finding::new(Code::BeyondFlash, span, message));
            return false;
        }
        true
    }

    /// Gives an image its place; `None` if something was reported.
    fn settle(&self, draft: Draft, context: &mut Context) -> Option<PlanImage> {
        let at = draft.at?;
        let span = at.span();
        let length = u64::try_from(draft.bytes.len()).unwrap_or(u64::MAX);
        let (offset, partition) = match at.get_ref() {
            Place::Offset(offset) => {
                let partition = self
                    .partitions()
                    .iter()
                    .find(|partition| partition.offset == *offset);
                (*offset, partition)
            }
            Place::Partition(name) => {
                let partition = self.partition(name, span.clone(), context)?;
                (partition.offset, Some(partition))
            }
        };
        let image = PlanImage {
            sha256: super::identity::sha256_hex(&draft.bytes),
            name: draft.name,
            origin: draft.origin,
            kind: draft.kind,
            chips: draft.chips,
            offset,
            bytes: draft.bytes,
        };
        if let Some(partition) = partition {
            check_partition(&image, partition, length, span.clone(), context);
        }
        self.check_bootloader(&image, span.clone(), context);
        if !offset.is_multiple_of(SECTOR) {
            context.error(
                Finding::new(
                    Code::Unaligned,
                    span,
                    format!("{offset:#x} is not on a sector border"),
                )
                .hint(format!(
                    "offsets are multiples of 0x1000; the next is {:#x}",
                    u64::from(offset).next_multiple_of(u64::from(SECTOR))
                )),
            );
            return Some(image);
        }
        let flash = self.flash_size.unwrap_or(u64::from(u32::MAX) + 1);
        if u64::from(offset).saturating_add(length) > flash {
            let end = u64::from(offset).saturating_add(length);
            context.error(Finding::new(
                Code::BeyondFlash,
                span,
                format!(
                    "image `{}` ends at {end:#x}, beyond the flash of {}",
                    image.name,
                    size_text(flash)
                ),
            ));
        }
        Some(image)
    }

    fn check_bootloader(&self, image: &PlanImage, span: Span<usize>, context: &mut Context) {
        if image.kind != ImageKind::Bootloader {
            return;
        }
        for chip in &image.chips {
            let wanted = chip.spec().bootloader_offset;
            if image.offset != wanted {
                context.error(
                    Finding::new(
                        Code::BootloaderOffset,
                        span.clone(),
                        format!("{} looks for its bootloader at {wanted:#x}", chip.title()),
                    )
                    .hint(format!("write `at = {wanted:#x}`")),
                );
            }
        }
    }

    fn refuse_overlaps(&self, context: &mut Context) {
        for (index, image) in self.images.iter().enumerate() {
            for (before, earlier) in self.images.iter().take(index).enumerate() {
                let shared = image.chips.iter().any(|chip| earlier.chips.contains(chip));
                let apart = sector_end(earlier) <= u64::from(image.offset)
                    || sector_end(image) <= u64::from(earlier.offset);
                if shared && !apart {
                    let message = format!(
                        "images {} ({:#x} to {:#x}) and {} ({:#x} to {:#x}) overlap",
                        self.title(before),
                        earlier.offset,
                        sector_end(earlier),
                        self.title(index),
                        image.offset,
                        sector_end(image),
                    );
                    let span = self.spans.get(index).cloned().unwrap_or_default();
                    context.error(
                        Finding::new(Code::Overlap, span, message)
                            .hint("flash is erased in whole sectors of 4096 bytes"),
                    );
                }
            }
        }
    }
}

fn check_partition(
    image: &PlanImage,
    partition: &Partition,
    length: u64,
    span: Span<usize>,
    context: &mut Context,
) {
    if length > u64::from(partition.size) {
        context.error(Finding::new(
            Code::TooLarge,
            span.clone(),
            format!(
                "image `{}` has {length} bytes, partition `{}` has {}",
                image.name, partition.name, partition.size
            ),
        ));
    }
    let application = image.kind == ImageKind::Application;
    if application != partition.application {
        let (what, of) = if application {
            ("an application", "another type than `app`")
        } else {
            ("no application", "type `app`")
        };
        context.error(Finding::new(
            Code::PartitionType,
            span,
            format!(
                "image `{}` is {what}, and partition `{}` has {of}",
                image.name, partition.name
            ),
        ));
    }
}
