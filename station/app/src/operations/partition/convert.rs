//! Partition tables from one form into the other: `esp_partition_convert`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::partition::{Rules, Table};

use super::super::target::{FileView, Target, blocking};
use super::table::{RuleParameters, TableView, refused, table_file};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// The form of a partition table.
#[derive(
    clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Text with a row for each partition
    Csv,
    /// As it lies in flash
    Binary,
}

impl Form {
    /// The form that a file's name asks for.
    pub(super) fn of_name(target: &Target) -> Option<Self> {
        if target.ends_in("csv") {
            Some(Self::Csv)
        } else {
            target.ends_in("bin").then_some(Self::Binary)
        }
    }

    /// A table in this form.
    pub(super) fn of(self, table: &Table, rules: &Rules) -> Vec<u8> {
        match self {
            Self::Csv => table.to_csv_with(rules).into_bytes(),
            Self::Binary => table.to_binary_with(rules.checksum),
        }
    }
}

/// Parameters of `esp_partition_convert`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConvertParameters {
    /// The table, CSV or binary: its content tells
    pub file: PathBuf,
    /// File to write
    pub out: PathBuf,
    /// Form to write; default: what the name `.csv` or `.bin` says, else the form that the table does not have
    #[arg(long, value_name = "FORM")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Form>,
    /// What the table must agree with
    #[command(flatten)]
    #[serde(flatten)]
    pub rules: RuleParameters,
}

/// A table that was written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ConvertView {
    /// The file that was written
    #[serde(flatten)]
    pub file: FileView,
    /// Its form
    pub form: Form,
    /// The table
    pub table: TableView,
}

/// `esp_partition_convert`.
#[derive(Debug)]
pub struct PartitionConvert;

#[async_trait]
impl Operation for PartitionConvert {
    const DECLARATION: Declaration = Declaration {
        name: "esp_partition_convert",
        aliases: &[],
        command: &["partition", "convert"],
        title: "Convert a partition table",
        summary: "Makes the binary form of a partition table in CSV, or CSV of the binary form, with offsets filled in and every rule of \
                  ESP-IDF checked: an error names the line and the column.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ConvertParameters;
    type Output = ConvertView;

    async fn invoke(
        station: &Station,
        parameters: ConvertParameters,
        _call: &Call,
    ) -> Result<ConvertView, OperationError> {
        let rules = parameters.rules.rules()?;
        let target = Target::new(station, &parameters.out)?;
        let content = table_file(station, &parameters.file).await?;
        let name = parameters.file.display().to_string();
        let table = Table::parse(&content, &rules).map_err(|error| refused(&name, &error))?;
        let other = match content.starts_with(&[0xAA, 0x50]) {
            true => Form::Csv,
            false => Form::Binary,
        };
        let form = parameters.to.or(Form::of_name(&target)).unwrap_or(other);
        let view = TableView::of(&table, &rules);
        blocking(move || {
            Ok(ConvertView {
                file: target.write(&form.of(&table, &rules))?,
                form,
                table: view,
            })
        })
        .await
    }

    fn words(output: &ConvertView) -> String {
        format!("{}\n{}", output.table.words(), output.file.words())
    }
}
