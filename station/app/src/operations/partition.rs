//! The partition table on a chip: `esp_partition_read`.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::partition::Entry;

use super::attached::{Attached, reported};
use super::images::{TABLE_OFFSET, read_table};
use super::text::bytes;
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

fn table_offset() -> String {
    format!("0x{TABLE_OFFSET:x}")
}

/// One partition.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PartitionView {
    /// Name
    pub name: String,
    /// Type
    #[serde(rename = "type")]
    pub kind: String,
    /// Subtype
    pub subtype: String,
    /// Flash offset
    pub offset: u32,
    /// Size in bytes
    pub size: u32,
    /// Whether it is marked as encrypted
    pub encrypted: bool,
    /// Whether it is marked as read-only
    pub readonly: bool,
}

impl PartitionView {
    fn of(entry: &Entry) -> Self {
        Self {
            name: entry.name.clone(),
            kind: entry.kind.name().into_owned(),
            subtype: entry.subtype.name(entry.kind).into_owned(),
            offset: entry.offset,
            size: entry.size,
            encrypted: entry.encrypted,
            readonly: entry.readonly,
        }
    }
}

/// A partition table.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TableView {
    /// Where it lies
    pub offset: u32,
    /// Its partitions
    pub partitions: Vec<PartitionView>,
    /// The same as CSV
    pub csv: String,
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
        Ok(TableView {
            offset,
            partitions: table.entries().iter().map(PartitionView::of).collect(),
            csv: table.to_csv(),
        })
    }

    fn words(output: &TableView) -> String {
        output.csv.trim_end().to_owned()
    }
}
