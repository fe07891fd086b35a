//! Partition tables made: `esp_partition_create_ota`, `esp_partition_custom`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::partition::{AppSize, Kind, LayoutError, OtaLayout, Rules, Slots, Storage, Table};

use super::super::images::RawFile;
use super::super::place::TABLE_OFFSET;
use super::super::target::{FileView, Target, blocking};
use super::super::text::bytes;
use super::convert::Form;
use super::table::{RuleParameters, SecureBoot, TableView, refused};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Most rows that are taken: more than any table has room for.
const MAX_ROWS: usize = 128;

/// Parameters of `esp_partition_create_ota`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OtaParameters {
    /// Bytes of flash: 4MB
    #[arg(long, value_name = "SIZE")]
    pub flash_size: String,
    /// Update slots, 2 to 16; 0 for one application that is never updated
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=16))]
    #[serde(default = "two")]
    #[schemars(range(min = 0, max = 16))]
    pub slots: u8,
    /// An application besides that stays as the factory wrote it
    #[arg(long)]
    #[serde(default)]
    pub factory: bool,
    /// Bytes of the application that every slot must hold; default: slots as large as the flash allows
    #[arg(long, value_name = "SIZE", conflicts_with = "app")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_size: Option<String>,
    /// The application itself, whose bytes every slot must hold
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<PathBuf>,
    /// Bytes of key-value storage, 0KB for none
    #[arg(long, value_name = "SIZE", default_value = "0x6000")]
    #[serde(default = "nvs")]
    pub nvs: String,
    /// A partition for the keys of encrypted key-value storage
    #[arg(long)]
    #[serde(default)]
    pub nvs_keys: bool,
    /// A partition for the calibration of the radio
    #[arg(long)]
    #[serde(default)]
    pub phy: bool,
    /// Bytes for what a crash leaves: 64KB
    #[arg(long, value_name = "SIZE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coredump: Option<String>,
    /// Files, as NAME:SUBTYPE or NAME:SUBTYPE:SIZE, where the subtype is fat, spiffs, littlefs or a number; without
    /// a size they get what is left
    #[arg(long, value_name = "NAME:SUBTYPE:SIZE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Secure boot of the applications
    #[arg(long, value_name = "VERSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<SecureBoot>,
    /// Where the table lies in flash; default: 0x8000
    #[arg(long, value_name = "OFFSET")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_offset: Option<String>,
    /// File to write: binary if its name ends in .bin, else CSV
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
}

fn two() -> u8 {
    2
}

fn nvs() -> String {
    "0x6000".to_owned()
}

/// A table that was made.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LayoutView {
    /// The table
    pub table: TableView,
    /// Bytes behind the last partition, where the size of the flash is known
    pub free: Option<u64>,
    /// The file that was written
    pub file: Option<FileView>,
}

impl LayoutView {
    /// Writes the table, if that was asked for, and shows it.
    async fn of(
        table: Table,
        rules: Rules,
        target: Option<Target>,
    ) -> Result<Self, OperationError> {
        let view = TableView::of(&table, &rules);
        let free = rules
            .flash_size
            .map(|size| u64::from(size).saturating_sub(table.end()));
        let file = match target {
            None => None,
            Some(target) => {
                let form = Form::of_name(&target).unwrap_or(Form::Csv);
                Some(blocking(move || target.write(&form.of(&table, &rules))).await?)
            }
        };
        Ok(Self {
            table: view,
            free,
            file,
        })
    }

    fn words(&self) -> String {
        let mut text = self.table.words();
        if let Some(free) = self.free {
            text.push_str(&format!("\n{free} bytes free behind it"));
        }
        if let Some(file) = &self.file {
            text.push_str(&format!("\n{}", file.words()));
        }
        text
    }
}

fn target(station: &Station, out: Option<&PathBuf>) -> Result<Option<Target>, OperationError> {
    out.map(|out| Target::new(station, out)).transpose()
}

impl OtaParameters {
    async fn layout(&self, station: &Station) -> Result<OtaLayout, OperationError> {
        let number = |text: &Option<String>| text.as_deref().map(bytes).transpose();
        let app = match (&self.app, number(&self.app_size)?) {
            (Some(_), Some(_)) => {
                let message = "name the application or its size, not both";
                return Err(OperationError::usage("app-size-ambiguous", message));
            }
            (None, None) => AppSize::Largest,
            (None, Some(size)) => AppSize::Holding(size),
            (Some(file), None) => {
                let file = RawFile::read(station, file).await?.into_bytes();
                AppSize::Holding(u32::try_from(file.len()).unwrap_or(u32::MAX))
            }
        };
        let slots = match (self.slots, self.factory) {
            (0, _) => Slots::Factory,
            (slots, false) => Slots::Ota(slots),
            (slots, true) => Slots::FactoryAndOta(slots),
        };
        Ok(OtaLayout {
            flash_size: bytes(&self.flash_size)?,
            table_offset: number(&self.table_offset)?.unwrap_or(TABLE_OFFSET),
            secure: SecureBoot::rule(self.secure_boot),
            slots,
            app,
            nvs: Some(bytes(&self.nvs)?).filter(|size| *size != 0),
            nvs_keys: self.nvs_keys,
            phy: self.phy,
            coredump: number(&self.coredump)?,
            storage: self.storage.as_deref().map(storage).transpose()?,
        })
    }
}

/// Reads `NAME:SUBTYPE` or `NAME:SUBTYPE:SIZE`.
fn storage(text: &str) -> Result<Storage, OperationError> {
    let refuse = |why: &str| {
        OperationError::usage("storage-invalid", format!("`{text}`: {why}"))
            .hint("write NAME:SUBTYPE or NAME:SUBTYPE:SIZE, such as `storage:littlefs:512KB`")
    };
    let mut parts = text.split(':');
    let (Some(name), Some(subtype)) = (parts.next(), parts.next()) else {
        return Err(refuse("it has no subtype"));
    };
    let numbered = || {
        let digits = subtype.strip_prefix("0x")?;
        u8::from_str_radix(digits, 16).ok()
    };
    let rules = Rules::default();
    let known = rules.code_of(Kind::Data, subtype);
    let subtype = known
        .or_else(|| numbered().map(station_esp::partition::Subtype))
        .ok_or_else(|| refuse("that is no subtype of data"))?;
    let size = parts.next().map(bytes).transpose()?;
    if parts.next().is_some() {
        return Err(refuse("it has too many parts"));
    }
    Ok(Storage {
        name: name.to_owned(),
        subtype,
        size,
    })
}

fn impossible(error: &LayoutError) -> OperationError {
    OperationError::usage(error.code(), error.to_string())
}

/// `esp_partition_create_ota`.
#[derive(Debug)]
pub struct PartitionCreateOta;

#[async_trait]
impl Operation for PartitionCreateOta {
    const DECLARATION: Declaration = Declaration {
        name: "esp_partition_create_ota",
        aliases: &[],
        command: &["partition", "create-ota"],
        title: "Lay out a partition table for updates",
        summary: "Makes a partition table with update slots for a flash and an application, with key-value storage and what else is \
                  asked for; slots are as large as the flash allows unless told. Returns it and writes it to a file if asked.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = OtaParameters;
    type Output = LayoutView;

    async fn invoke(
        station: &Station,
        parameters: OtaParameters,
        _call: &Call,
    ) -> Result<LayoutView, OperationError> {
        let target = target(station, parameters.out.as_ref())?;
        let layout = parameters.layout(station).await?;
        let table = layout.plan().map_err(|error| impossible(&error))?;
        let mut rules = Rules::at(layout.table_offset);
        rules.secure = layout.secure;
        rules.flash_size = Some(layout.flash_size);
        LayoutView::of(table, rules, target).await
    }

    fn words(output: &LayoutView) -> String {
        output.words()
    }
}

/// Parameters of `esp_partition_custom`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CustomParameters {
    /// The partitions in their order, each a row of CSV: `nvs, data, nvs, , 24K`
    #[arg(value_name = "ROW", required = true)]
    pub rows: Vec<String>,
    /// What the table must agree with
    #[command(flatten)]
    #[serde(flatten)]
    pub rules: RuleParameters,
    /// File to write: binary if its name ends in .bin, else CSV
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
}

/// `esp_partition_custom`.
#[derive(Debug)]
pub struct PartitionCustom;

#[async_trait]
impl Operation for PartitionCustom {
    const DECLARATION: Declaration = Declaration {
        name: "esp_partition_custom",
        aliases: &[],
        command: &["partition", "custom"],
        title: "Make a partition table of rows",
        summary: "Makes a partition table of rows as they stand in CSV, fills in offsets, checks every rule, and returns it; writes it \
                  to a file if asked. An error names the row as a line and the column.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = CustomParameters;
    type Output = LayoutView;

    async fn invoke(
        station: &Station,
        parameters: CustomParameters,
        _call: &Call,
    ) -> Result<LayoutView, OperationError> {
        let rules = parameters.rules.rules()?;
        let target = target(station, parameters.out.as_ref())?;
        let rows = &parameters.rows;
        if rows.is_empty() || rows.len() > MAX_ROWS {
            let message = format!("give between 1 and {MAX_ROWS} rows, not {}", rows.len());
            return Err(OperationError::usage("rows-count", message));
        }
        if let Some(row) = rows.iter().find(|row| row.contains(['\n', '\r'])) {
            let message = format!("`{}` is more than one row", row.escape_debug());
            return Err(OperationError::usage("rows-invalid", message));
        }
        let table = Table::parse_csv_with(&rows.join("\n"), &rules)
            .map_err(|error| refused("rows", &error))?;
        LayoutView::of(table, rules, target).await
    }

    fn words(output: &LayoutView) -> String {
        output.words()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_is_a_name_a_subtype_and_perhaps_a_size() {
        let given = storage("files:littlefs:512KB").unwrap();
        assert_eq!(given.subtype.0, 0x83);
        assert_eq!(given.size, Some(512 * 1024));
        assert_eq!(storage("files:0x40").unwrap().subtype.0, 0x40);
        for wrong in ["files", "files:ext4", "files:fat:1MB:x"] {
            assert_eq!(
                storage(wrong).unwrap_err().code,
                "storage-invalid",
                "{wrong}"
            );
        }
    }
}
