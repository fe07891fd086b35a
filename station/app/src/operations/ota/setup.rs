//! A partition table for a package: `esp_ota_partition_setup`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::partition::{AppSize, OtaLayout, Rules, Secure, Slots};

use super::super::partition::TableView;
use super::super::place::table_offset;
use super::super::target::{FileView, Target, blocking};
use super::super::text::bytes;
use super::package::{ManifestView, open, read};
use super::trust::TrustParameters;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Bytes of key-value storage: as in ESP-IDF's own tables.
const NVS: u32 = 0x6000;

/// Parameters of `esp_ota_partition_setup`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SetupParameters {
    /// The package whose image every slot must hold
    pub package: PathBuf,
    /// Whose signature counts
    #[command(flatten)]
    #[serde(flatten)]
    pub trust: TrustParameters,
    /// Bytes of flash: 4MB
    #[arg(long, value_name = "SIZE")]
    pub flash_size: String,
    /// Update slots
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=16))]
    #[serde(default = "two")]
    #[schemars(range(min = 2, max = 16))]
    pub slots: u8,
    /// An application besides that stays as the factory wrote it
    #[arg(long)]
    #[serde(default)]
    pub factory: bool,
    /// Bytes that every slot must have besides for updates that are larger: 256KB; default: slots as large as the flash allows
    #[arg(long, value_name = "SIZE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headroom: Option<String>,
    /// Where the table lies in flash
    #[arg(long, value_name = "OFFSET", default_value = "0x8000")]
    #[serde(default = "table_offset")]
    pub table_offset: String,
    /// File to write the table to, CSV
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
}

fn two() -> u8 {
    2
}

/// A table for a package.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SetupView {
    /// What the package says about its image
    pub manifest: ManifestView,
    /// The table
    pub table: TableView,
    /// Bytes of every slot
    pub slot_size: u32,
    /// Bytes of a slot that the image leaves free
    pub slot_free: u32,
    /// The file that was written
    pub file: Option<FileView>,
}

impl SetupParameters {
    fn layout(&self, image: u32) -> Result<OtaLayout, OperationError> {
        let headroom = self.headroom.as_deref().map(bytes).transpose()?;
        let app = match headroom {
            None => AppSize::Largest,
            Some(headroom) => AppSize::Holding(image.saturating_add(headroom)),
        };
        Ok(OtaLayout {
            flash_size: bytes(&self.flash_size)?,
            table_offset: bytes(&self.table_offset)?,
            secure: Secure::Off,
            slots: match self.factory {
                true => Slots::FactoryAndOta(self.slots),
                false => Slots::Ota(self.slots),
            },
            app,
            nvs: Some(NVS),
            nvs_keys: false,
            phy: false,
            coredump: None,
            storage: None,
        })
    }
}

/// `esp_ota_partition_setup`.
#[derive(Debug)]
pub struct PartitionSetup;

#[async_trait]
impl Operation for PartitionSetup {
    const DECLARATION: Declaration = Declaration {
        name: "esp_ota_partition_setup",
        aliases: &[],
        command: &["ota", "partition-setup"],
        title: "Lay out a partition table for a package",
        summary: "Makes a partition table with update slots that hold the image of a package and updates larger by a headroom; says how \
                  much room a slot leaves, and writes the table if asked. `partition create-ota` has more choices.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = SetupParameters;
    type Output = SetupView;

    async fn invoke(
        station: &Station,
        parameters: SetupParameters,
        _call: &Call,
    ) -> Result<SetupView, OperationError> {
        let out = parameters.out.as_ref();
        let target = out.map(|out| Target::new(station, out)).transpose()?;
        let trusted = parameters.trust.required(station).await?;
        let content = read(station, &parameters.package).await?;
        blocking(move || {
            let name = parameters.package.display().to_string();
            let package = open(&name, &content, trusted.as_ref())?;
            let manifest = package.manifest();
            let layout = parameters.layout(manifest.size)?;
            let table = layout
                .plan()
                .map_err(|error| OperationError::usage(error.code(), error.to_string()))?;
            let mut rules = Rules::at(layout.table_offset);
            rules.flash_size = Some(layout.flash_size);
            let slot_size = table.slot(0).map_or(0, |slot| slot.size);
            let slot_free = slot_size.checked_sub(manifest.size).ok_or_else(|| {
                let message = format!(
                    "`{name}` has an image of {} bytes, and the flash leaves {slot_size} to a slot",
                    manifest.size
                );
                OperationError::usage("image-too-large", message)
            })?;
            let named = manifest.partition.as_deref();
            if let Some(missing) = named.filter(|name| table.find(name).is_none()) {
                let message =
                    format!("`{name}` is for partition `{missing}`, which the table does not have");
                return Err(OperationError::usage("partition-unknown", message));
            }
            let text = table.to_csv_with(&rules);
            let file = target
                .map(|target| target.write(text.as_bytes()))
                .transpose()?;
            Ok(SetupView {
                manifest: ManifestView::of(manifest),
                table: TableView::of(&table, &rules),
                slot_size,
                slot_free,
                file,
            })
        })
        .await
    }

    fn words(view: &SetupView) -> String {
        let mut text = format!(
            "{}\na slot has {} bytes, of which the image leaves {}",
            view.table.words(),
            view.slot_size,
            view.slot_free
        );
        if let Some(file) = &view.file {
            text.push_str(&format!("\n{}", file.words()));
        }
        text
    }
}
