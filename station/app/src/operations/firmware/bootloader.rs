//! A bootloader for a board: `esp_bootloader_build`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::chip::Revision;
use station_esp::image::{Header, HeaderChange, Image, patch};
use station_esp::{Chip, loader};

use super::super::images::{FileForm, RawFile};
use super::super::target::{FileView, Target, blocking};
use super::report::HeaderView;
use super::settings::{FlashParameters, RevisionParameters};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_bootloader_build`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BootloaderParameters {
    /// The bootloader to change; default: the one that comes with the station
    pub file: Option<PathBuf>,
    /// The chip
    #[arg(long)]
    #[schemars(with = "String")]
    pub chip: Chip,
    /// File to write
    #[arg(long)]
    pub out: PathBuf,
    /// What the header is to say about the flash; what is not named is kept
    #[command(flatten)]
    #[serde(flatten)]
    pub flash: FlashParameters,
    /// Revisions of the chip that it is to run on
    #[command(flatten)]
    #[serde(flatten)]
    pub revisions: RevisionParameters,
    /// Crystal of the board in MHz, for the station's own bootloader; default: the chip's usual one
    #[arg(long, value_name = "MHZ", conflicts_with = "file")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crystal: Option<u8>,
    /// Revision of the chip, for the station's own bootloader; default: the newest
    #[arg(long, value_name = "REVISION", conflicts_with = "file")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub revision: Option<Revision>,
}

/// A bootloader that was made.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BootloaderView {
    /// The file that was written
    #[serde(flatten)]
    pub file: FileView,
    /// The chip it is for
    pub chip: String,
    /// Where it belongs in flash
    pub offset: u32,
    /// Whether it is the station's own
    pub bundled: bool,
    /// Its header
    pub header: HeaderView,
}

/// `esp_bootloader_build`.
#[derive(Debug)]
pub struct BootloaderBuild;

#[async_trait]
impl Operation for BootloaderBuild {
    const DECLARATION: Declaration = Declaration {
        name: "esp_bootloader_build",
        aliases: &[],
        command: &["firmware", "bootloader"],
        title: "Make a bootloader for a board",
        summary: "Puts flash mode, clock, size and revisions into the header of a bootloader, a given one or the station's own, and \
                  makes its SHA-256 right again. A signed one is refused: the signature covers the header.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = BootloaderParameters;
    type Output = BootloaderView;

    async fn invoke(
        station: &Station,
        parameters: BootloaderParameters,
        _call: &Call,
    ) -> Result<BootloaderView, OperationError> {
        let change = HeaderChange {
            min_revision: parameters.revisions.min_revision,
            max_revision: parameters.revisions.max_revision,
            ..parameters.flash.change()?
        };
        let bundled = parameters.file.is_none();
        if !bundled && (parameters.crystal.is_some() || parameters.revision.is_some()) {
            let message =
                "`crystal` and `revision` choose the station's own bootloader, and a file is named";
            return Err(OperationError::usage("bootloader-option", message)
                .hint("leave them out, or the file"));
        }
        let target = Target::new(station, &parameters.out)?;
        let (name, content) = match &parameters.file {
            Some(file) => given(RawFile::read(station, file).await?)?,
            None => (
                "the station's bootloader".to_owned(),
                own(&parameters)?.to_vec(),
            ),
        };
        let chip = parameters.chip;
        blocking(move || {
            let refused = |error: station_esp::image::ImageError| {
                OperationError::usage(error.code(), format!("{name}: {error}"))
            };
            let image = Image::parse(&content).map_err(refused)?;
            image.check_chip(chip, None).map_err(refused)?;
            let made = match change.is_empty() {
                true => content,
                false => patch(&content, &change).map_err(refused)?,
            };
            let header = Header::parse(&made).map_err(refused)?;
            Ok(BootloaderView {
                file: target.write(&made)?,
                chip: chip.name().to_owned(),
                offset: chip.spec().bootloader_offset,
                bundled,
                header: HeaderView::of(&header, image.entry_is_loaded()),
            })
        })
        .await
    }
}

fn given(file: RawFile) -> Result<(String, Vec<u8>), OperationError> {
    let name = format!("`{}`", file.name());
    if file.form() == FileForm::Plain {
        return Ok((name, file.into_bytes()));
    }
    let message = format!("{name} is no image as it lies in flash");
    Err(OperationError::usage("image-form", message)
        .hint("make one of an ELF with `station firmware elf-to-binary`"))
}

fn own(parameters: &BootloaderParameters) -> Result<&'static [u8], OperationError> {
    let chip = parameters.chip;
    let crystal = parameters.crystal;
    let crystal = crystal.unwrap_or_else(|| chip.spec().typical_crystal_mhz());
    let revision = parameters.revision.unwrap_or(Revision::new(u8::MAX, 99));
    loader::bootloader_for(chip, crystal, revision).ok_or_else(|| {
        let message = format!(
            "there is no bootloader for {} at {crystal} MHz",
            chip.title()
        );
        OperationError::usage("bootloader-missing", message).hint("give one as a file")
    })
}
