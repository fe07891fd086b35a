//! Ranges of flash: `esp_flash_read`, `esp_flash_erase`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::session::Session;

use super::super::attached::{Attached, Reported, reported};
use super::super::place::place;
use super::super::target::{Target, blocking};
use super::super::text::bytes;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_flash_read`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReadParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// Where from: an offset like 0x10000, or a partition's name
    #[arg(long)]
    pub at: String,
    /// How much: 0x1000, 64KB; a whole partition if one is named
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// File to write
    #[arg(long)]
    pub out: PathBuf,
}

/// What was read.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReadView {
    /// The file
    pub file: String,
    /// Flash offset
    pub offset: u32,
    /// Bytes
    pub size: u32,
    /// SHA-256 of them
    pub sha256: String,
}

/// `esp_flash_read`.
#[derive(Debug)]
pub struct FlashRead;

#[async_trait]
impl Operation for FlashRead {
    const DECLARATION: Declaration = Declaration {
        name: "esp_flash_read",
        aliases: &[],
        command: &["flash", "read"],
        title: "Read flash into a file",
        summary: "Reads a range or a partition into a file, checked by the chip's MD5, written whole or not at all.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ReadParameters;
    type Output = ReadView;

    async fn invoke(
        station: &Station,
        parameters: ReadParameters,
        call: &Call,
    ) -> Result<ReadView, OperationError> {
        let target = Target::new(station, &parameters.out)?;
        let size = parameters.size.as_deref().map(bytes).transpose()?;
        let mut session = parameters.attached.connect(station, call).await?;
        let read = async {
            let (offset, size) = range(&mut session, &parameters.at, size).await?;
            Ok((
                offset,
                size,
                session
                    .read_flash(offset, size, &Reported::to(call))
                    .await?,
            ))
        };
        let read = read.await;
        let (offset, size, content) = parameters.attached.finish(session, read).await?;
        let written = blocking(move || target.write(&content)).await?;
        Ok(ReadView {
            file: written.file,
            offset,
            size,
            sha256: written.sha256,
        })
    }
}

/// Parameters of `esp_flash_erase`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EraseParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// Where: a sector-aligned offset, or a partition's name
    #[arg(long, required_unless_present = "all", conflicts_with = "all")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// How much: 0x1000, 64KB; a whole partition if one is named
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Erase the whole flash
    #[arg(long)]
    #[serde(default)]
    pub all: bool,
}

/// What was erased.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EraseView {
    /// Flash offset
    pub offset: u32,
    /// Bytes
    pub size: u32,
}

/// `esp_flash_erase`.
#[derive(Debug)]
pub struct FlashErase;

#[async_trait]
impl Operation for FlashErase {
    const DECLARATION: Declaration = Declaration {
        name: "esp_flash_erase",
        aliases: &[],
        command: &["flash", "erase"],
        title: "Erase flash",
        summary: "Erases a region, a partition, or the whole flash. Ranges must be sector aligned; nothing beside them is touched.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = EraseParameters;
    type Output = EraseView;

    async fn invoke(
        station: &Station,
        parameters: EraseParameters,
        call: &Call,
    ) -> Result<EraseView, OperationError> {
        let size = parameters.size.as_deref().map(bytes).transpose()?;
        if parameters.at.is_some() == parameters.all || parameters.all && size.is_some() {
            let message =
                "say either where to erase (`at`, with a `size` if it is an offset) or `all`";
            return Err(OperationError::usage("range-missing", message));
        }
        let mut session = parameters.attached.connect(station, call).await?;
        let erasing = async {
            let Some(at) = &parameters.at else {
                session.erase_flash().await?;
                return Ok(EraseView {
                    offset: 0,
                    size: session.flash_size(),
                });
            };
            let (offset, size) = range(&mut session, at, size).await?;
            session.erase_region(offset, size).await?;
            Ok(EraseView { offset, size })
        };
        let erased = reported(call, "erasing", None, erasing).await;
        parameters.attached.finish(session, erased).await
    }
}

/// The range that is meant: a partition is as large as it is, an offset needs a size, and no range leaves
/// the partition it is named by.
async fn range(
    session: &mut Session,
    at: &str,
    size: Option<u32>,
) -> Result<(u32, u32), OperationError> {
    let (offset, room) = place(session, at).await?;
    match (size, room) {
        (Some(size), Some(room)) if size > room => {
            let message = format!("partition `{at}` has {room} bytes, not {size}");
            Err(OperationError::usage("range-too-large", message))
        }
        (Some(size), _) | (None, Some(size)) => Ok((offset, size)),
        (None, None) => Err(
            OperationError::usage("size-missing", "an offset needs a size")
                .hint("say how much, `0x1000`, or name a partition"),
        ),
    }
}
