//! Images into flash: `esp_flash_firmware`, `esp_flash_multi`.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::flash::SECTOR;
use station_device::session::Session;
use station_device::{PreparedImage, WriteOptions};

use super::super::attached::{Attached, Reported, reported};
use super::super::images::{RawFile, place};
use super::super::text::bytes;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Largest number of images in one session.
const MAX_IMAGES: usize = 64;

/// Parameters of `esp_flash_firmware`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WriteParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// File to write: raw bytes, an ESP image, or an ELF that is converted
    pub file: PathBuf,
    /// Where: an offset like 0x10000, or a partition's name
    #[arg(long)]
    pub at: String,
    /// Write even what is there already
    #[arg(long)]
    #[serde(default)]
    pub rewrite: bool,
    /// Do not verify afterwards
    #[arg(long)]
    #[serde(default)]
    pub no_verify: bool,
}

/// One image that was written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WrittenView {
    /// The file
    pub file: String,
    /// Flash offset
    pub offset: u32,
    /// Bytes of the image
    pub size: u64,
    /// Whether all of it was there already
    pub unchanged: bool,
    /// Bytes that went over the wire
    pub wire_bytes: u64,
    /// Whether the chip confirmed the content
    pub verified: bool,
    /// How long it took in milliseconds
    pub took_ms: u64,
}

/// Everything that was written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WritesView {
    /// Each image, in the order written
    pub images: Vec<WrittenView>,
}

fn write_options(rewrite: bool, no_verify: bool) -> WriteOptions {
    WriteOptions {
        skip_unchanged: !rewrite,
        verify: !no_verify,
        ..WriteOptions::default()
    }
}

/// Writes files in one session and says what was done. Everything that can be wrong with any of them is
/// found before the first byte is written.
async fn write_all(
    station: &Station,
    attached: &Attached,
    list: &[(String, PathBuf)],
    how: &WriteOptions,
    call: &Call,
) -> Result<WritesView, OperationError> {
    let mut files = Vec::new();
    for (place, file) in list {
        files.push((place.as_str(), RawFile::read(station, file).await?));
    }
    let mut session = attached.connect(station, call).await?;
    let written = write_prepared(&mut session, files, how, call).await;
    attached.finish(session, written).await
}

async fn write_prepared(
    session: &mut Session,
    files: Vec<(&str, RawFile)>,
    how: &WriteOptions,
    call: &Call,
) -> Result<WritesView, OperationError> {
    let mut images: Vec<Arc<PreparedImage>> = Vec::new();
    for (at, file) in files {
        let (offset, room) = place(session, at).await?;
        let content = file.for_chip(session.identity().chip).await?;
        let size = content.content.len() as u64;
        if let Some(room) = room.filter(|room| u64::from(*room) < size) {
            let message = format!(
                "`{}` has {size} bytes, partition `{at}` has room for {room}",
                content.name
            );
            return Err(OperationError::usage("image-too-large", message));
        }
        let image = reported(call, "preparing", None, content.prepare(offset)).await?;
        if let Some(other) = images.iter().find(|other| overlap(other, &image)) {
            let message = format!("`{}` and `{}` overlap in flash", other.name(), image.name());
            return Err(OperationError::usage("images-overlap", message)
                .hint("flash is erased by sectors of 4096 bytes: two images may not share one"));
        }
        images.push(image);
    }
    let mut view = WritesView { images: Vec::new() };
    for image in &images {
        let written = session.write(image, how, &Reported::to(call)).await?;
        view.images.push(WrittenView {
            file: image.name().to_owned(),
            offset: image.offset(),
            size: image.bytes().len() as u64,
            unchanged: written.skipped,
            wire_bytes: written.wire_bytes,
            verified: written.verified,
            took_ms: u64::try_from(written.took.as_millis()).unwrap_or(u64::MAX),
        });
    }
    Ok(view)
}

/// Whether two images need the same sector.
fn overlap(one: &PreparedImage, other: &PreparedImage) -> bool {
    let sectors = |image: &PreparedImage| {
        let first = image.offset() as usize / SECTOR;
        first..(image.offset() as usize + image.bytes().len()).div_ceil(SECTOR)
    };
    let (one, other) = (sectors(one), sectors(other));
    one.start < other.end && other.start < one.end
}

/// `esp_flash_firmware`.
#[derive(Debug)]
pub struct FlashFirmware;

#[async_trait]
impl Operation for FlashFirmware {
    const DECLARATION: Declaration = Declaration {
        name: "esp_flash_firmware",
        aliases: &[],
        command: &["flash", "write"],
        title: "Write one image",
        summary: "Writes one image at an offset or into a partition, skips what is there already, and has the chip verify it by MD5. \
                  An ELF is converted; an image for another chip is refused.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = WriteParameters;
    type Output = WritesView;

    async fn invoke(
        station: &Station,
        parameters: WriteParameters,
        call: &Call,
    ) -> Result<WritesView, OperationError> {
        let how = write_options(parameters.rewrite, parameters.no_verify);
        let list = [(parameters.at, parameters.file)];
        write_all(station, &parameters.attached, &list, &how, call).await
    }
}

/// Parameters of `esp_flash_multi`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MultiParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// Images as PLACE=FILE: 0x0=bootloader.bin, factory=app.elf
    #[arg(value_name = "PLACE=FILE")]
    #[serde(default)]
    pub images: Vec<String>,
    /// A flasher_args.json of an ESP-IDF build; its images come after the others
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flasher_args: Option<PathBuf>,
    /// Write even what is there already
    #[arg(long)]
    #[serde(default)]
    pub rewrite: bool,
    /// Do not verify afterwards
    #[arg(long)]
    #[serde(default)]
    pub no_verify: bool,
}

impl MultiParameters {
    /// Every image as place and file.
    fn list(&self, station: &Station) -> Result<Vec<(String, PathBuf)>, OperationError> {
        let mut list = Vec::new();
        for image in &self.images {
            let (place, file) = image.split_once('=').ok_or_else(|| {
                OperationError::usage("image-invalid", format!("`{image}` is not PLACE=FILE"))
                    .hint("write an offset or a partition, `=`, and the file: 0x10000=app.bin")
            })?;
            list.push((place.to_owned(), PathBuf::from(file)));
        }
        if let Some(arguments) = &self.flasher_args {
            list.extend(flasher_args(&station.readable(arguments)?)?);
        }
        if list.is_empty() || list.len() > MAX_IMAGES {
            let message = format!("give between 1 and {MAX_IMAGES} images, not {}", list.len());
            return Err(OperationError::usage("images-count", message));
        }
        Ok(list)
    }
}

/// The images that an ESP-IDF build lists, in the order of their offsets.
fn flasher_args(path: &std::path::Path) -> Result<Vec<(String, PathBuf)>, OperationError> {
    #[derive(Deserialize)]
    struct FlasherArgs {
        flash_files: std::collections::BTreeMap<String, PathBuf>,
    }
    let read = crate::station::read_bounded(path, 1 << 20)?;
    let arguments: FlasherArgs = serde_json::from_slice(&read).map_err(|error| {
        OperationError::usage(
            "flasher-args-invalid",
            format!("`{}`: {error}", path.display()),
        )
    })?;
    let folder = path.parent().unwrap_or(std::path::Path::new("."));
    let mut files = Vec::new();
    for (offset, file) in arguments.flash_files {
        files.push((bytes(&offset)?, offset, folder.join(file)));
    }
    files.sort_by_key(|(at, ..)| *at);
    Ok(files
        .into_iter()
        .map(|(_, offset, file)| (offset, file))
        .collect())
}

/// `esp_flash_multi`.
#[derive(Debug)]
pub struct FlashMulti;

#[async_trait]
impl Operation for FlashMulti {
    const DECLARATION: Declaration = Declaration {
        name: "esp_flash_multi",
        aliases: &[],
        command: &["flash", "write-many"],
        title: "Write several images in one session",
        summary: "Writes several images in one session, each at an offset or into a partition; takes an ESP-IDF flasher_args.json too. \
                  Unchanged images are skipped and each is verified by MD5.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = MultiParameters;
    type Output = WritesView;

    async fn invoke(
        station: &Station,
        parameters: MultiParameters,
        call: &Call,
    ) -> Result<WritesView, OperationError> {
        let list = parameters.list(station)?;
        let how = write_options(parameters.rewrite, parameters.no_verify);
        write_all(station, &parameters.attached, &list, &how, call).await
    }
}
