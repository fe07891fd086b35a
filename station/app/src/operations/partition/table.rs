//! A partition table as operations take and show it.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::partition::{Checksum, Entry, PartitionError, Rules, Secure, Table, Warning};

use super::super::columns::columns;
use super::super::place::TABLE_OFFSET;
use super::super::text::bytes;
use crate::operation::OperationError;
use crate::station::Station;

/// Longest file that is taken for a table: the library reads no more text either.
const MAX_FILE: u64 = 1 << 20;

/// How applications are verified.
#[derive(
    clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SecureBoot {
    /// Version 1: applications take whole blocks of 64 KiB
    V1,
    /// Version 2
    V2,
}

impl SecureBoot {
    /// What it means for a table.
    pub(super) fn rule(asked: Option<Self>) -> Secure {
        match asked {
            None => Secure::Off,
            Some(Self::V1) => Secure::V1,
            Some(Self::V2) => Secure::V2,
        }
    }
}

/// What a partition table must agree with.
#[derive(clap::Args, Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct RuleParameters {
    /// Where the table lies in flash; default: 0x8000
    #[arg(long, value_name = "OFFSET")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_offset: Option<String>,
    /// Bytes of flash that everything must fit: 4MB
    #[arg(long, value_name = "SIZE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash_size: Option<String>,
    /// Secure boot of the applications
    #[arg(long, value_name = "VERSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<SecureBoot>,
    /// The binary form has no MD5, as before ESP-IDF 3.1
    #[arg(long)]
    #[serde(default)]
    pub no_checksum: bool,
    /// Where the bootloader lies, for tables that have a row for it
    #[arg(long, value_name = "OFFSET")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootloader_offset: Option<String>,
    /// Where the spare bootloader lies, for tables that have a row for it
    #[arg(long, value_name = "OFFSET")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_bootloader_offset: Option<String>,
    /// A subtype of the project's own: `data, mine, 0x40`
    #[arg(long = "subtype", value_name = "TYPE, NAME, NUMBER")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subtypes: Vec<String>,
}

impl RuleParameters {
    /// The rules.
    ///
    /// # Errors
    /// `number-invalid`, `partition-extra-subtype`.
    pub(super) fn rules(&self) -> Result<Rules, OperationError> {
        let number = |text: &Option<String>| text.as_deref().map(bytes).transpose();
        let mut rules = Rules::at(number(&self.table_offset)?.unwrap_or(TABLE_OFFSET));
        rules.flash_size = number(&self.flash_size)?;
        rules.primary_bootloader = number(&self.bootloader_offset)?;
        rules.recovery_bootloader = number(&self.recovery_bootloader_offset)?;
        rules.secure = SecureBoot::rule(self.secure_boot);
        if self.no_checksum {
            rules.checksum = Checksum::Off;
        }
        for subtype in &self.subtypes {
            rules
                .add_subtype(subtype)
                .map_err(|error| refused("subtype", &error))?;
        }
        Ok(rules)
    }
}

/// What is wrong with a table, as an answer.
pub(in super::super) fn refused(name: &str, error: &PartitionError) -> OperationError {
    OperationError::usage(error.code(), format!("`{name}`: {error}"))
}

/// The bytes of a file that is to hold a table.
///
/// # Errors
/// Those of files.
pub(in super::super) async fn table_file(
    station: &Station,
    file: &Path,
) -> Result<Vec<u8>, OperationError> {
    let path = station.readable(file)?;
    super::super::target::blocking(move || crate::station::read_bounded(&path, MAX_FILE)).await
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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
    /// With the names of the subtypes that the rules add.
    pub(super) fn of(entry: &Entry, rules: &Rules) -> Self {
        let subtype = rules.name_of(entry.kind, entry.subtype.0);
        Self {
            name: entry.name.clone(),
            kind: entry.kind.name().into_owned(),
            subtype: subtype.unwrap_or_else(|| entry.subtype.name(entry.kind).into_owned()),
            offset: entry.offset,
            size: entry.size,
            encrypted: entry.encrypted,
            readonly: entry.readonly,
        }
    }
}

/// Something that looks like a mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FindingView {
    /// Stable code
    pub code: String,
    /// In words
    pub message: String,
}

impl FindingView {
    pub(super) fn new(code: &str, message: &impl ToString) -> Self {
        Self {
            code: code.to_owned(),
            message: message.to_string(),
        }
    }

    pub(super) fn of(warning: &Warning) -> Self {
        Self::new(warning.code(), warning)
    }
}

/// A partition table.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TableView {
    /// Where it lies
    pub offset: u32,
    /// Its partitions
    pub partitions: Vec<PartitionView>,
    /// First byte of flash behind all of them
    pub end: u64,
    /// What looks like a mistake
    pub findings: Vec<FindingView>,
    /// The same table as CSV, every offset and size filled in
    pub csv: String,
}

impl TableView {
    pub(in super::super) fn of(table: &Table, rules: &Rules) -> Self {
        let partitions = table.entries().iter();
        Self {
            offset: rules.table_offset,
            partitions: partitions
                .map(|entry| PartitionView::of(entry, rules))
                .collect(),
            end: table.end(),
            findings: table.warnings(rules).iter().map(FindingView::of).collect(),
            csv: table.to_csv_with(rules),
        }
    }

    /// The table in words: its rows in columns, and what looks like a mistake.
    pub(in super::super) fn words(&self) -> String {
        let head = ["name", "type", "subtype", "offset", "end", "size", "flags"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.partitions.iter().map(|one| {
            let mut flags = Vec::new();
            flags.extend(one.encrypted.then_some("encrypted"));
            flags.extend(one.readonly.then_some("readonly"));
            [
                one.name.clone(),
                one.kind.clone(),
                one.subtype.clone(),
                format!("{:#x}", one.offset),
                format!("{:#x}", u64::from(one.offset) + u64::from(one.size)),
                station_esp::flash::size_text(one.size),
                flags.join(" "),
            ]
        }));
        let mut text = columns(&rows);
        for finding in &self.findings {
            text.push_str(&format!("\nwarning: {}", finding.message));
        }
        text
    }
}
