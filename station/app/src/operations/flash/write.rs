//! Images into flash: `esp_flash_firmware`, `esp_flash_multi`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::flash::SECTOR;
use station_device::session::Session;
use station_device::{PreparedImage, WriteOptions};
use station_esp::Chip;

use super::super::attached::{Attached, Reported, reported};
use super::super::flasher_args;
use super::super::images::{RawFile, named};
use super::super::place::place;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Most bytes of all images together: the largest flash, twice, as ELFs are larger than what becomes of them.
const MAX_TOTAL: usize = 256 << 20;
/// Largest number of images in one session.
const MAX_IMAGES: usize = 64;

/// Parameters of `esp_flash_firmware`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WriteParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// File to write: raw bytes, an ESP image, an ELF that is converted, Intel hex, UF2, or the
    /// flasher_args.json of an ESP-IDF build with all its files
    pub file: PathBuf,
    /// Where: an offset like 0x10000, or a partition's name; hex, UF2 and flasher_args.json say it themselves
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Write even what is there already
    #[arg(long)]
    #[serde(default)]
    pub rewrite: bool,
    /// Do not verify afterwards
    #[arg(long)]
    #[serde(default)]
    pub no_verify: bool,
    /// Have the chip encrypt it with the key in its fuses; always written, and never verified, for only
    /// the chip can read it
    #[arg(long)]
    #[serde(default)]
    pub encrypt: bool,
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

/// What is to be written.
#[derive(Default)]
struct List {
    files: Vec<Wanted>,
    /// The chip that a build is for.
    chip: Option<Chip>,
}

/// A file that is to be written.
struct Wanted {
    /// Where; none for a file that says it itself.
    place: Option<String>,
    file: PathBuf,
    /// Whether the chip encrypts it.
    encrypt: Encrypt,
}

/// Whether the chip encrypts what is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encrypt {
    No,
    /// If its flash is encrypted: what a build says of its file.
    IfOn,
    Yes,
}

impl List {
    /// Adds the files of an ESP-IDF build.
    fn add_build(&mut self, station: &Station, list: &Path) -> Result<(), OperationError> {
        let build = flasher_args::read(station, list)?;
        self.chip = build.chip;
        self.files
            .extend(build.files.into_iter().map(|file| Wanted {
                place: Some(format!("{:#x}", file.offset)),
                file: file.file,
                encrypt: match file.encrypted {
                    Some(true) => Encrypt::IfOn,
                    Some(false) | None => Encrypt::No,
                },
            }));
        Ok(())
    }

    fn check(self) -> Result<Self, OperationError> {
        if self.files.is_empty() || self.files.len() > MAX_IMAGES {
            let count = self.files.len();
            let message = format!("give between 1 and {MAX_IMAGES} images, not {count}");
            return Err(OperationError::usage("images-count", message));
        }
        Ok(self)
    }
}

/// How images are written.
fn options(rewrite: bool, no_verify: bool) -> WriteOptions {
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
    list: List,
    options: &WriteOptions,
    call: &Call,
) -> Result<WritesView, OperationError> {
    let mut files = Vec::new();
    let mut total = 0;
    for wanted in list.files {
        let file = RawFile::read(station, &wanted.file).await?;
        total += file.bytes().len();
        if total > MAX_TOTAL {
            let message = format!("the images have more than {MAX_TOTAL} bytes together");
            return Err(OperationError::usage("images-too-large", message));
        }
        file.check_placed(wanted.place.is_some())?;
        files.push((wanted.place, file, wanted.encrypt));
    }
    let mut attached = attached.clone();
    match (attached.chip, list.chip) {
        (Some(asked), Some(built)) if asked != built => {
            let message = format!(
                "the build is for {}, not for {}",
                built.title(),
                asked.title()
            );
            return Err(OperationError::usage("image-wrong-chip", message));
        }
        (asked, built) => attached.chip = asked.or(built),
    }
    let mut session = attached.connect(station, call).await?;
    let written = write_prepared(&mut session, files, options, call).await;
    attached.finish(session, written).await
}

async fn write_prepared(
    session: &mut Session,
    files: Vec<(Option<String>, RawFile, Encrypt)>,
    options: &WriteOptions,
    call: &Call,
) -> Result<WritesView, OperationError> {
    let is_on = session.identity().flash_encryption() == Some(true);
    let mut images: Vec<(Arc<PreparedImage>, bool)> = Vec::new();
    for (at, file, encrypt) in files {
        let encrypt = encrypt == Encrypt::Yes || (encrypt == Encrypt::IfOn && is_on);
        for image in prepared(session, at.as_deref(), file, call).await? {
            if let Some((other, _)) = images.iter().find(|(other, _)| overlap(other, &image)) {
                let message = format!("`{}` and `{}` overlap in flash", other.name(), image.name());
                return Err(OperationError::usage("images-overlap", message).hint(
                    "flash is erased by sectors of 4096 bytes: two images may not share one",
                ));
            }
            images.push((image, encrypt));
        }
    }
    let mut view = WritesView { images: Vec::new() };
    for (image, encrypt) in &images {
        let progress = Reported::to(call);
        let written = match encrypt {
            true => {
                session
                    .write_encrypted(image, options.retries, &progress)
                    .await?
            }
            false => session.write(image, options, &progress).await?,
        };
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

/// A file ready to be written: one image, or as many as a hex or UF2 file has stretches.
async fn prepared(
    session: &mut Session,
    at: Option<&str>,
    file: RawFile,
    call: &Call,
) -> Result<Vec<Arc<PreparedImage>>, OperationError> {
    let (offset, room) = match at {
        None => (None, None),
        Some(at) => {
            let (offset, room) = place(session, at).await?;
            (Some(offset), room)
        }
    };
    let (chip, flash) = (session.identity().chip, session.flash_size());
    let mut images = Vec::new();
    for content in file.for_chip(chip, flash, offset).await? {
        let size = content.content.len() as u64;
        if let Some(room) = room.filter(|room| u64::from(*room) < size) {
            let message = format!(
                "`{}` has {size} bytes, partition `{}` has room for {room}",
                content.name,
                at.unwrap_or_default()
            );
            return Err(OperationError::usage("image-too-large", message));
        }
        images.push(reported(call, "preparing", None, content.prepare()).await?);
    }
    Ok(images)
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
                  An ELF is converted for the chip and the size of its flash, hex, UF2 and flasher_args.json go where they say; \
                  an image for another chip is refused. With `encrypt` the chip encrypts it on the way, which \
                  nobody can verify but by starting it.",
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
        let mut list = List::default();
        let is_list = parameters
            .file
            .extension()
            .is_some_and(|ending| ending == "json");
        if parameters.at.is_none() && is_list {
            list.add_build(station, &parameters.file)?;
        } else {
            list.files.push(Wanted {
                place: parameters.at,
                file: parameters.file,
                encrypt: Encrypt::No,
            });
        }
        if parameters.encrypt {
            list.files
                .iter_mut()
                .for_each(|file| file.encrypt = Encrypt::Yes);
        }
        let options = options(parameters.rewrite, parameters.no_verify);
        let list = list.check()?;
        write_all(station, &parameters.attached, list, &options, call).await
    }
}

/// Parameters of `esp_flash_multi`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MultiParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// Images as PLACE=FILE: 0x0=bootloader.bin, factory=app.elf; hex and UF2 files without a place
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
    /// Every image with its place.
    fn list(&self, station: &Station) -> Result<List, OperationError> {
        let mut list = List::default();
        for image in self.images.iter().take(MAX_IMAGES + 1) {
            let (place, file) = named(image);
            list.files.push(Wanted {
                place,
                file,
                encrypt: Encrypt::No,
            });
        }
        if let Some(arguments) = &self.flasher_args {
            list.add_build(station, arguments)?;
        }
        list.check()
    }
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
        let options = options(parameters.rewrite, parameters.no_verify);
        write_all(station, &parameters.attached, list, &options, call).await
    }
}
