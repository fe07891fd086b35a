//! A partition table onto a chip: `esp_partition_flash`.
//!
//! Invariant: a partition that holds something stays where it is and keeps its size, unless the caller says
//! that it may be lost.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::session::Session;
use station_device::{PreparedImage, WriteOptions};
use station_esp::partition::{Entry, Rules, Table};

use super::super::attached::{Attached, Reported, reported};
use super::super::place::read_flash_table;
use super::super::target::blocking;
use super::table::{RuleParameters, TableView, refused, table_file};
use crate::operation::{Call, Declaration, Effect, Exit, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_partition_flash`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FlashParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// The table, CSV or binary
    pub file: PathBuf,
    /// What it must agree with
    #[command(flatten)]
    #[serde(flatten)]
    pub rules: RuleParameters,
    /// Write it even if partitions that hold something move, shrink or go
    #[arg(long)]
    #[serde(default)]
    pub allow_loss: bool,
    /// Have the chip encrypt it with the key in its fuses, as a chip with flash encryption needs it
    #[arg(long)]
    #[serde(default)]
    pub encrypt: bool,
}

/// What becomes of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new
    Added,
    /// It is no longer there
    Removed,
    /// It begins somewhere else
    Moved,
    /// It begins where it did and ends somewhere else
    Resized,
    /// It has another type, subtype or flags
    Retyped,
}

/// A difference between the table on the chip and the new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChangeView {
    /// Name of the partition
    pub name: String,
    /// What becomes of it
    pub change: Change,
    /// Where it was
    pub old_offset: Option<u32>,
    /// Its size until now
    pub old_size: Option<u32>,
    /// Where it will be
    pub new_offset: Option<u32>,
    /// Its new size
    pub new_size: Option<u32>,
    /// Whether it holds anything, where that was looked at
    pub holds_content: Option<bool>,
}

impl ChangeView {
    fn of(name: &str, change: Change, old: Option<&Entry>, new: Option<&Entry>) -> Self {
        Self {
            name: name.to_owned(),
            change,
            old_offset: old.map(|entry| entry.offset),
            old_size: old.map(|entry| entry.size),
            new_offset: new.map(|entry| entry.offset),
            new_size: new.map(|entry| entry.size),
            holds_content: None,
        }
    }

    /// Whether something that lies in the partition would be lost sight of.
    fn loses(&self) -> bool {
        match self.change {
            Change::Added | Change::Retyped => false,
            Change::Removed | Change::Moved => true,
            Change::Resized => self.new_size < self.old_size,
        }
    }

    fn words(&self) -> String {
        let range = |offset: Option<u32>, size: Option<u32>| {
            let (offset, size) = (offset.unwrap_or(0), size.unwrap_or(0));
            format!("{offset:#x}+{size:#x}")
        };
        let old = range(self.old_offset, self.old_size);
        let new = range(self.new_offset, self.new_size);
        let name = &self.name;
        match self.change {
            Change::Added => format!("`{name}` is added at {new}"),
            Change::Removed => format!("`{name}` at {old} is removed"),
            Change::Moved => format!("`{name}` moves from {old} to {new}"),
            Change::Resized => format!("`{name}` changes from {old} to {new}"),
            Change::Retyped => format!("`{name}` at {new} changes its type or flags"),
        }
    }
}

/// A table that was written to a chip.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FlashTableView {
    /// The table
    pub table: TableView,
    /// Whether a table that can be read was there before
    pub had_table: bool,
    /// What changed
    pub changes: Vec<ChangeView>,
    /// Whether the same bytes were there already
    pub unchanged: bool,
    /// Whether the chip confirmed the content
    pub verified: bool,
}

/// What differs from one table to another, in the order of the old one and then of the new one.
fn changes(old: &Table, new: &Table) -> Vec<ChangeView> {
    let mut changes = Vec::new();
    for entry in old.entries() {
        let name = entry.name.as_str();
        let Some(other) = new.find(name) else {
            changes.push(ChangeView::of(name, Change::Removed, Some(entry), None));
            continue;
        };
        let change = if other.offset != entry.offset {
            Change::Moved
        } else if other.size != entry.size {
            Change::Resized
        } else if other != entry {
            Change::Retyped
        } else {
            continue;
        };
        changes.push(ChangeView::of(name, change, Some(entry), Some(other)));
    }
    let added = new
        .entries()
        .iter()
        .filter(|entry| old.find(&entry.name).is_none());
    changes
        .extend(added.map(|entry| ChangeView::of(&entry.name, Change::Added, None, Some(entry))));
    changes
}

/// The table that is to be written.
struct Wanted {
    table: Table,
    rules: Rules,
    allow_loss: bool,
    encrypt: bool,
}

impl Wanted {
    /// Looks at what would be lost, and refuses it unless it may be.
    async fn check(
        &self,
        session: &mut Session,
    ) -> Result<(bool, Vec<ChangeView>), OperationError> {
        let encrypted = session.identity().flash_encryption();
        if encrypted == Some(true) && !self.encrypt {
            let message = "the chip encrypts its flash and would not find a table in plain text";
            return Err(OperationError::usage("flash-encrypted", message)
                .hint("give `encrypt`, so that the chip encrypts the table on the way"));
        }
        let flash_size = session.flash_size();
        let too_large = |error| refused("table", &error);
        self.table.check_flash_size(flash_size).map_err(too_large)?;
        let Some(old) = self.old(session, encrypted == Some(true)).await? else {
            return Ok((false, Vec::new()));
        };
        let mut changes = changes(&old, &self.table);
        for change in changes.iter_mut().filter(|change| change.loses()) {
            let (Some(offset), Some(size)) = (change.old_offset, change.old_size) else {
                continue;
            };
            let size = size.min(flash_size.saturating_sub(offset));
            change.holds_content = Some(size > 0 && !session.is_blank(offset, size).await?);
        }
        let lost = |change: &&ChangeView| change.holds_content == Some(true);
        let lost: Vec<String> = changes.iter().filter(lost).map(ChangeView::words).collect();
        if !lost.is_empty() && !self.allow_loss {
            let message = format!(
                "partitions that hold something would be lost: {}",
                lost.join("; ")
            );
            let mut refusal = OperationError::usage("partition-loss", message)
                .hint("keep them where they are, erase them, or say `allow_loss`")
                .exit(Exit::Refused);
            refusal.detail = serde_json::to_value(&changes).ok().map(Box::new);
            return Err(refusal);
        }
        Ok((true, changes))
    }

    /// The table that is there. A chip that does not say what is there is not one that has none.
    async fn old(
        &self,
        session: &mut Session,
        encrypted: bool,
    ) -> Result<Option<Table>, OperationError> {
        // Encrypted flash reads as noise.
        if encrypted {
            return Ok(None);
        }
        match read_flash_table(session, self.rules.table_offset).await {
            Ok(found) => Ok(found.ok()),
            Err(_) if self.allow_loss => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write(
        self,
        session: &mut Session,
        call: &Call,
    ) -> Result<FlashTableView, OperationError> {
        let looking = self.check(session);
        let (had_table, changes) = reported(call, "looking", None, looking).await?;
        // The rest of the sector is erased with it, so that nothing of an older table stays.
        let mut content = self.table.to_binary_with(self.rules.checksum);
        content.resize(station_esp::partition::TABLE_SECTOR as usize, 0xFF);
        let offset = self.rules.table_offset;
        let image = blocking(move || {
            Ok(PreparedImage::prepare(
                "partition table".to_owned(),
                offset,
                content.into(),
            )?)
        })
        .await?;
        let options = WriteOptions::default();
        let progress = Reported::to(call);
        let written = match self.encrypt {
            true => {
                session
                    .write_encrypted(&image, options.retries, &progress)
                    .await?
            }
            false => session.write(&image, &options, &progress).await?,
        };
        Ok(FlashTableView {
            table: TableView::of(&self.table, &self.rules),
            had_table,
            changes,
            unchanged: written.skipped,
            verified: written.verified,
        })
    }
}

/// `esp_partition_flash`.
#[derive(Debug)]
pub struct PartitionFlash;

#[async_trait]
impl Operation for PartitionFlash {
    const DECLARATION: Declaration = Declaration {
        name: "esp_partition_flash",
        aliases: &[],
        command: &["partition", "flash"],
        title: "Write a partition table to a chip",
        summary: "Writes a partition table, CSV or binary, to a chip and has it verified. Says what changes against the table that is \
                  there, and refuses what would move, shrink or remove a partition that holds something.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = FlashParameters;
    type Output = FlashTableView;

    async fn invoke(
        station: &Station,
        parameters: FlashParameters,
        call: &Call,
    ) -> Result<FlashTableView, OperationError> {
        let rules = parameters.rules.rules()?;
        if !rules
            .table_offset
            .is_multiple_of(station_esp::partition::TABLE_SECTOR)
        {
            let message = "a partition table lies at a multiple of 0x1000";
            return Err(OperationError::usage("partition-table-offset", message));
        }
        let content = table_file(station, &parameters.file).await?;
        let name = parameters.file.display().to_string();
        let table = Table::parse(&content, &rules).map_err(|error| refused(&name, &error))?;
        let wanted = Wanted {
            table,
            rules,
            allow_loss: parameters.allow_loss,
            encrypt: parameters.encrypt,
        };
        let mut session = parameters.attached.connect(station, call).await?;
        let written = wanted.write(&mut session, call).await;
        parameters.attached.finish(session, written).await
    }

    fn words(output: &FlashTableView) -> String {
        let mut text = output.table.words();
        for change in &output.changes {
            text.push_str(&format!("\n{}", change.words()));
        }
        text.push_str(match (output.unchanged, output.verified) {
            (true, _) => "\nthe chip had this table already",
            (false, true) => "\nwritten and verified",
            (false, false) => "\nwritten, encrypted by the chip",
        });
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::operation::{Confirmation, Face, Question};
    use crate::operations::registry;
    use crate::rack::RackOptions;
    use crate::station::StationOptions;

    fn table(csv: &str) -> Table {
        Table::parse_csv(csv).unwrap()
    }

    #[test]
    fn what_moves_shrinks_or_goes_is_a_loss_and_what_grows_or_comes_is_none() {
        let old = table(
            "nvs,data,nvs,0x9000,0x6000\nphy,data,phy,0xf000,0x1000\napp,app,factory,0x10000,1M\n\
             a,data,fat,0x110000,0x10000\nb,data,fat,0x120000,0x10000",
        );
        let new = table(
            "nvs,data,nvs,0x9000,0x5000\nphy,data,phy,0xe000,0x1000\napp,app,factory,0x10000,0x90000\n\
             b,data,fat,0x120000,0x20000\nc,data,fat,0x140000,0x1000",
        );
        let found = changes(&old, &new);
        let said: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.change, one.loses()))
            .collect();
        assert_eq!(
            said,
            [
                ("nvs", Change::Resized, true),
                ("phy", Change::Moved, true),
                ("app", Change::Resized, true),
                ("a", Change::Removed, true),
                ("b", Change::Resized, false),
                ("c", Change::Added, false),
            ]
        );
        assert!(changes(&old, &old).is_empty());
    }

    struct Yes;

    #[async_trait]
    impl Confirmation for Yes {
        fn at_hand(&self) -> bool {
            true
        }

        async fn confirm(&self, _question: &Question) -> Result<(), OperationError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_chip_that_does_not_show_its_flash_is_not_taken_for_one_without_a_table() {
        let folder = tempfile::TempDir::new().unwrap();
        let station = Station::open(StationOptions {
            journal: Some(folder.path().join("line.db")),
            rack: RackOptions {
                timed: false,
                ..RackOptions::default()
            },
            ..StationOptions::default()
        })
        .unwrap();
        let mut call = Call::silent(Face::Cli, "a test");
        call.confirmation = std::sync::Arc::new(Yes);
        let registry = registry();
        let ask = async |name: &str, parameters: serde_json::Value| {
            let operation = registry.find(name).unwrap();
            operation.invoke(&station, parameters, &call).await
        };
        let closed = json!({"port": "virtual:1", "set": ["ENABLE_SECURITY_DOWNLOAD=1"],
            "accept": ["download-closed", "usb-closed"]});
        ask("esp_efuse_burn", closed).await.unwrap();
        let file = folder.path().join("table.csv");
        std::fs::write(&file, "nvs,data,nvs,0x9000,0x6000\n").unwrap();
        let table = json!({"port": "virtual:1", "file": file});
        let refused = ask("esp_partition_flash", table).await.unwrap_err();
        assert_eq!(refused.code, "secure-download");
        assert!(
            refused.message.contains("READ_FLASH"),
            "{}",
            refused.message
        );
    }
}
