//! What flash is and holds: `esp_flash_id`, `esp_flash_verify`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::flash::SECTOR;
use station_device::session::Session;

use super::super::attached::{Attached, reported};
use super::super::chip::{FlashView, flash_view};
use super::super::images::RawFile;
use super::super::place::place;
use crate::operation::{Call, Declaration, Effect, Exit, Operation, OperationError};
use crate::station::Station;

/// `esp_flash_id`.
#[derive(Debug)]
pub struct FlashId;

#[async_trait]
impl Operation for FlashId {
    const DECLARATION: Declaration = Declaration {
        name: "esp_flash_id",
        aliases: &[],
        command: &["flash", "id"],
        title: "Identify the flash chip",
        summary: "Reads the flash chip's JEDEC id and returns maker and size.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = super::super::chip::ChipParameters;
    type Output = FlashView;

    async fn invoke(
        station: &Station,
        parameters: super::super::chip::ChipParameters,
        call: &Call,
    ) -> Result<FlashView, OperationError> {
        let session = parameters.attached.connect(station, call).await?;
        let view = Ok(flash_view(session.identity()));
        let view = parameters.attached.finish(session, view).await?;
        view.ok_or_else(|| {
            OperationError::new(
                "secure-download",
                "the chip is in secure download mode and shows no flash id",
            )
        })
    }
}

/// Parameters of `esp_flash_verify`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct VerifyParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// File whose content must be there
    pub file: PathBuf,
    /// Where: an offset like 0x10000, or a partition's name; hex and UF2 say it themselves
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// Whether flash holds a file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct VerifyView {
    /// Whether it does
    pub matches: bool,
    /// Flash offset
    pub offset: u32,
    /// Bytes compared
    pub size: u32,
    /// First sector that differs
    pub first_difference: Option<u32>,
}

/// `esp_flash_verify`.
#[derive(Debug)]
pub struct FlashVerify;

#[async_trait]
impl Operation for FlashVerify {
    const DECLARATION: Declaration = Declaration {
        name: "esp_flash_verify",
        aliases: &["esp_verify_flash"],
        command: &["flash", "verify"],
        title: "Check that flash holds a file",
        summary: "Compares flash with a file by the chip's MD5; where they differ, finds and returns the first sector that does.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = VerifyParameters;
    type Output = VerifyView;

    async fn invoke(
        station: &Station,
        parameters: VerifyParameters,
        call: &Call,
    ) -> Result<VerifyView, OperationError> {
        let file = RawFile::read(station, &parameters.file).await?;
        file.check_placed(parameters.at.is_some())?;
        let mut session = parameters.attached.connect(station, call).await?;
        let comparing = async {
            let at = match &parameters.at {
                Some(at) => Some(place(&mut session, at).await?.0),
                None => None,
            };
            let (chip, flash) = (session.identity().chip, session.flash_size());
            let files = file.for_chip(chip, flash, at).await?;
            let mut view = VerifyView {
                matches: true,
                offset: files.first().map_or(0, |file| file.offset),
                size: 0,
                first_difference: None,
            };
            for file in files {
                let size = u32::try_from(file.content.len()).unwrap_or(u32::MAX);
                view.size = view.size.saturating_add(size);
                if view.matches {
                    view.first_difference =
                        first_difference(&mut session, file.offset, &file.content).await?;
                    view.matches = view.first_difference.is_none();
                }
            }
            Ok(view)
        };
        let compared = reported(call, "comparing", None, comparing).await;
        parameters.attached.finish(session, compared).await
    }

    fn exit(output: &VerifyView) -> Exit {
        if output.matches {
            Exit::Passed
        } else {
            Exit::SomeFailed
        }
    }
}

/// Finds the first sector that differs by halving: each question is one MD5 on the chip.
async fn first_difference(
    session: &mut Session,
    offset: u32,
    content: &[u8],
) -> Result<Option<u32>, OperationError> {
    if session.holds(offset, content).await? {
        return Ok(None);
    }
    let sectors = content.len().div_ceil(SECTOR);
    let (mut good, mut bad) = (0, sectors);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        let range = good * SECTOR..(middle * SECTOR).min(content.len());
        let at = offset.saturating_add(u32::try_from(range.start).unwrap_or(u32::MAX));
        if session.holds(at, &content[range]).await? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(Some(offset.saturating_add(
        u32::try_from(good * SECTOR).unwrap_or(u32::MAX),
    )))
}
