//! An image looked at: `esp_firmware_analyze`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::Chip;
use station_esp::image::Report;

use super::super::images::{FileForm, RawFile};
use super::super::target::blocking;
use super::super::text::bytes;
use super::elf::{refused, usual};
use super::report::{AnalyzeView, said};
use crate::operation::{Call, Declaration, Effect, Exit, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_firmware_analyze`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AnalyzeParameters {
    /// The image: raw, in a raw, hex or UF2 file of a whole flash, or an ELF that is converted first
    pub file: PathBuf,
    /// Where in the file or flash the image begins; default: where the file begins
    #[arg(long, value_name = "OFFSET")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The chip that it must be for; an ELF does not say it itself
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub chip: Option<Chip>,
}

/// `esp_firmware_analyze`.
#[derive(Debug)]
pub struct FirmwareAnalyze;

#[async_trait]
impl Operation for FirmwareAnalyze {
    const DECLARATION: Declaration = Declaration {
        name: "esp_firmware_analyze",
        aliases: &[],
        command: &["firmware", "analyze"],
        title: "Look at an image",
        summary: "Returns all that an image says: header, segments with the memory they go to, what application or bootloader say \
                  about themselves, checksum, SHA-256 and signatures, each judged, and why a chip would refuse it. Fails where \
                  it would.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = AnalyzeParameters;
    type Output = AnalyzeView;

    async fn invoke(
        station: &Station,
        parameters: AnalyzeParameters,
        _call: &Call,
    ) -> Result<AnalyzeView, OperationError> {
        let at = parameters.at.as_deref().map(bytes).transpose()?;
        let file = RawFile::read_elf(station, &parameters.file).await?;
        let chip = parameters.chip;
        blocking(move || {
            let image = image_in(&file, at, chip)?;
            let report = Report::of(&image).map_err(|error| {
                let message = format!("`{}`: {error}", file.name());
                OperationError::usage(error.code(), message)
            })?;
            Ok(AnalyzeView::of(&report, chip))
        })
        .await
    }

    fn words(output: &AnalyzeView) -> String {
        said(output)
    }

    fn exit(output: &AnalyzeView) -> Exit {
        if output.is_sound() {
            Exit::Passed
        } else {
            Exit::SomeFailed
        }
    }
}

/// The image in a file, with what follows it.
pub(super) fn image_in(
    file: &RawFile,
    at: Option<u32>,
    chip: Option<Chip>,
) -> Result<Vec<u8>, OperationError> {
    let nothing = |at: u32| {
        let message = format!("`{}` has nothing at {at:#x}", file.name());
        OperationError::usage("image-place-empty", message)
    };
    match file.form() {
        FileForm::Elf => {
            let chip = chip.ok_or_else(|| {
                let message = format!(
                    "`{}` is an ELF and does not say for which chip",
                    file.name()
                );
                OperationError::usage("chip-missing", message).hint("give `chip`")
            })?;
            station_esp::elf::to_flash_image(file.bytes(), chip, &usual(chip))
                .map_err(|error| refused(file.name(), &error))
        }
        FileForm::Hex | FileForm::Uf2 => {
            let parts = file.addressed(None)?;
            let first = parts.first().map_or(0, |part| part.address);
            let at = at.unwrap_or(first);
            let found = parts.iter().find_map(|part| {
                let from = at.checked_sub(part.address)? as usize;
                part.bytes.get(from..).filter(|rest| !rest.is_empty())
            });
            found.map(<[u8]>::to_vec).ok_or_else(|| nothing(at))
        }
        FileForm::Plain => {
            let at = at.unwrap_or(0);
            let found = file.bytes().get(at as usize..);
            let found = found.filter(|rest| !rest.is_empty());
            found.map(<[u8]>::to_vec).ok_or_else(|| nothing(at))
        }
    }
}
