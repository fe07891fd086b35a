//! What goes into a new flash so that a package's image starts: `esp_ota_flash_prepare`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::otadata::{Applications, OtaData};
use station_esp::partition::{Entry, Rules, Subtype, Table};

use super::super::partition::{refused, table_file};
use super::super::place::table_offset;
use super::super::target::{FileView, Target, blocking};
use super::super::text::bytes;
use super::choice::{impossible, otadata};
use super::package::{ManifestView, open, read};
use super::select::StateChoice;
use super::trust::TrustParameters;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_ota_flash_prepare`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PrepareParameters {
    /// The package
    pub package: PathBuf,
    /// Whose signature counts
    #[command(flatten)]
    #[serde(flatten)]
    pub trust: TrustParameters,
    /// The partition table, CSV or binary
    #[arg(long, value_name = "FILE")]
    pub partitions: PathBuf,
    /// Where the partition table lies in flash
    #[arg(long, value_name = "OFFSET", default_value = "0x8000")]
    #[serde(default = "table_offset")]
    pub table_offset: String,
    /// Partition the image goes to; default: the one that the package names, or else update slot 0
    #[arg(long, value_name = "NAME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// What is said of its application
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub state: StateChoice,
    /// File to write the image to
    #[arg(long, value_name = "FILE")]
    pub image: PathBuf,
    /// File to write the choice of the slot to
    #[arg(long, value_name = "FILE")]
    pub otadata: PathBuf,
}

/// A file and its place in flash.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PlacedView {
    /// Partition it goes to
    pub partition: String,
    /// Flash offset
    pub offset: u32,
    /// The file that was written
    #[serde(flatten)]
    pub file: FileView,
}

/// What goes into flash.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PrepareView {
    /// What the package says about its image
    pub manifest: ManifestView,
    /// The files, for `station flash write-many`
    pub images: Vec<PlacedView>,
}

/// The partition that the image goes to.
fn place<'a>(table: &'a Table, named: Option<&str>) -> Result<&'a Entry, OperationError> {
    let entry = match named {
        None => table.slot(0),
        Some(name) => table.find(name),
    };
    let entry = entry.ok_or_else(|| {
        let message = format!("the table has no partition `{}`", named.unwrap_or("ota_0"));
        OperationError::usage("partition-unknown", message)
    })?;
    if entry.slot().is_some() || entry.subtype == Subtype::FACTORY {
        Ok(entry)
    } else {
        let message = format!(
            "`{}` is no partition that an application starts from",
            entry.name
        );
        Err(OperationError::usage("ota-slot-unknown", message))
    }
}

impl PrepareParameters {
    fn made(
        &self,
        package: &station_esp::ota::Package<'_>,
        table: &Table,
        targets: &[Target; 2],
    ) -> Result<PrepareView, OperationError> {
        let manifest = package.manifest();
        let named = self.slot.as_deref().or(manifest.partition.as_deref());
        let (choice, slot) = (otadata(table)?, place(table, named)?);
        if manifest.size > slot.size {
            let message = format!(
                "the image has {} bytes, partition `{}` has room for {}",
                manifest.size, slot.name, slot.size
            );
            return Err(OperationError::usage("image-too-large", message));
        }
        let mut data = OtaData::ERASED;
        if let Some(number) = slot.slot() {
            let slots = Applications::of(table).slots;
            data.set(number, slots, self.state.state())
                .map_err(|error| impossible(&error))?;
        }
        let contents = [package.image().to_vec(), data.to_bytes()];
        let mut images = Vec::new();
        for ((entry, target), content) in [slot, choice].iter().zip(targets).zip(&contents) {
            images.push(PlacedView {
                partition: entry.name.clone(),
                offset: entry.offset,
                file: target.write(content)?,
            });
        }
        Ok(PrepareView {
            manifest: ManifestView::of(manifest),
            images,
        })
    }
}

/// `esp_ota_flash_prepare`.
#[derive(Debug)]
pub struct FlashPrepare;

#[async_trait]
impl Operation for FlashPrepare {
    const DECLARATION: Declaration = Declaration {
        name: "esp_ota_flash_prepare",
        aliases: &[],
        command: &["ota", "flash-prepare"],
        title: "Take a package apart for a first flash",
        summary: "Writes the image of a package and the choice of its slot as files that go into flash, and says where each belongs by a \
                  partition table. Refused when the package is not trusted or the image has no room there.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = PrepareParameters;
    type Output = PrepareView;

    async fn invoke(
        station: &Station,
        parameters: PrepareParameters,
        _call: &Call,
    ) -> Result<PrepareView, OperationError> {
        let targets = [
            Target::new(station, &parameters.image)?,
            Target::new(station, &parameters.otadata)?,
        ];
        if targets[0].is(&targets[1]) {
            let message = "image and choice of the slot are two files";
            return Err(OperationError::usage("file-twice", message));
        }
        let rules = Rules::at(bytes(&parameters.table_offset)?);
        let content = table_file(station, &parameters.partitions).await?;
        let name = parameters.partitions.display().to_string();
        let table = Table::parse(&content, &rules).map_err(|error| refused(&name, &error))?;
        let trusted = parameters.trust.required(station).await?;
        let content = read(station, &parameters.package).await?;
        blocking(move || {
            let name = parameters.package.display().to_string();
            let package = open(&name, &content, trusted.as_ref())?;
            parameters.made(&package, &table, &targets)
        })
        .await
    }

    fn words(view: &PrepareView) -> String {
        let line = |one: &PlacedView| {
            format!(
                "{} goes to `{}` at {:#x} ({} bytes)",
                one.file.file, one.partition, one.offset, one.file.size
            )
        };
        let lines: Vec<String> = view.images.iter().map(line).collect();
        format!("{}\n{}", view.manifest.words(), lines.join("\n"))
    }
}
