//! Partition tables looked at: `esp_partition_read`, `esp_partition_show`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::partition::{Rules, Table};

use super::super::attached::{Attached, reported};
use super::super::place::{read_table, table_offset};
use super::super::text::bytes;
use super::table::{RuleParameters, TableView, refused, table_file};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_partition_read`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PartitionParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// Where the table lies
    #[arg(long, default_value = "0x8000")]
    #[serde(default = "table_offset")]
    pub at: String,
}

/// `esp_partition_read`.
#[derive(Debug)]
pub struct PartitionRead;

#[async_trait]
impl Operation for PartitionRead {
    const DECLARATION: Declaration = Declaration {
        name: "esp_partition_read",
        aliases: &[],
        command: &["partition", "read"],
        title: "Read the partition table on a chip",
        summary: "Reads the partition table from flash, checks it, and returns its partitions and the same as CSV.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = PartitionParameters;
    type Output = TableView;

    async fn invoke(
        station: &Station,
        parameters: PartitionParameters,
        call: &Call,
    ) -> Result<TableView, OperationError> {
        let offset = bytes(&parameters.at)?;
        let mut session = parameters.attached.connect(station, call).await?;
        let table = reported(call, "reading", None, read_table(&mut session, offset)).await;
        let table = parameters.attached.finish(session, table).await?;
        Ok(TableView::of(&table, &Rules::at(offset)))
    }

    fn words(output: &TableView) -> String {
        output.csv.trim_end().to_owned()
    }
}

/// Parameters of `esp_partition_show`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ShowParameters {
    /// The table, CSV or binary
    pub file: PathBuf,
    /// What it must agree with
    #[command(flatten)]
    #[serde(flatten)]
    pub rules: RuleParameters,
}

/// `esp_partition_show`.
#[derive(Debug)]
pub struct PartitionShow;

#[async_trait]
impl Operation for PartitionShow {
    const DECLARATION: Declaration = Declaration {
        name: "esp_partition_show",
        aliases: &[],
        command: &["partition", "show"],
        title: "Check and show a partition table",
        summary: "Reads a partition table from a file, CSV or binary, and returns its partitions with every offset filled in and what \
                  looks like a mistake. A table that breaks a rule is refused with its line and column.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ShowParameters;
    type Output = TableView;

    async fn invoke(
        station: &Station,
        parameters: ShowParameters,
        _call: &Call,
    ) -> Result<TableView, OperationError> {
        let rules = parameters.rules.rules()?;
        let content = table_file(station, &parameters.file).await?;
        let name = parameters.file.display().to_string();
        let table = Table::parse(&content, &rules).map_err(|error| refused(&name, &error))?;
        Ok(TableView::of(&table, &rules))
    }

    fn words(output: &TableView) -> String {
        output.words()
    }
}
