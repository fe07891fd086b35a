//! The choice of a slot looked at: `esp_ota_status`.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::NoProgress;
use station_device::session::Session;
use station_esp::image::{AppDescriptor, Header, find_table};
use station_esp::otadata::{Boot, OTADATA_LENGTH, OtaData, Record, State};
use station_esp::partition::{Entry, Kind, Rules, Table};

use super::super::attached::reported;
use super::super::images::RawFile;
use super::super::partition::{refused, table_file};
use super::super::place::table_offset;
use super::super::source::{Origin, Source};
use super::super::text::bytes;
use super::choice::{Choice, impossible, otadata};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_ota_status`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StatusParameters {
    /// The otadata partition in a file, or a raw file of a whole flash; or a chip
    #[command(flatten)]
    #[serde(flatten)]
    pub source: Source,
    /// Partition table that a file of otadata belongs to, CSV or binary
    #[arg(long, value_name = "FILE", conflicts_with = "port")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PathBuf>,
    /// Where the partition table lies in flash
    #[arg(long, value_name = "OFFSET", default_value = "0x8000")]
    #[serde(default = "table_offset")]
    pub table_offset: String,
}

/// One of the two records of a choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RecordView {
    /// Counted up with every choice; none where it is erased
    pub sequence: Option<u32>,
    /// Update slot that it chooses
    pub slot: Option<u8>,
    /// What is known of the application: new, pending-verify, valid, invalid, aborted, undefined or a number
    pub state: String,
    /// Its CRC as it lies in flash
    pub crc: String,
    /// Whether that is the CRC of the sequence
    pub intact: bool,
    /// Whether this record decides
    pub active: bool,
}

/// A partition for an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SlotView {
    /// Name of the partition
    pub name: String,
    /// Number of the update slot; none for the factory's
    pub slot: Option<u8>,
    /// Flash offset
    pub offset: u32,
    /// Bytes
    pub size: u32,
    /// Whether it starts next
    pub starts: bool,
    /// erased, image or other, by its first bytes; none where flash was not looked at
    pub content: Option<String>,
    /// Version of the application, if it says one
    pub version: Option<String>,
    /// Project of the application, if it says one
    pub project: Option<String>,
    /// The application's secure version
    pub secure_version: Option<u32>,
}

/// The choice of a slot.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StatusView {
    /// Where it lies in flash
    pub offset: u32,
    /// Name of the partition that starts next; none where it is the first that holds a whole application
    pub boot: Option<String>,
    /// Slot of the application that was given up last
    pub given_up: Option<u8>,
    /// The two records
    pub records: Vec<RecordView>,
    /// The applications' partitions
    pub applications: Vec<SlotView>,
}

fn state(state: State) -> String {
    match state {
        State::New => "new".to_owned(),
        State::PendingVerify => "pending-verify".to_owned(),
        State::Valid => "valid".to_owned(),
        State::Invalid => "invalid".to_owned(),
        State::Aborted => "aborted".to_owned(),
        State::Undefined => "undefined".to_owned(),
        State::Unknown(code) => format!("{code:#x}"),
    }
}

impl SlotView {
    fn of(entry: &Entry, starts: bool, first: Option<&[u8]>) -> Self {
        let image = first.is_some_and(|first| Header::parse(first).is_ok());
        let app = first.filter(|_| image).and_then(AppDescriptor::at_start);
        let content = first.map(|first| {
            let erased = first.iter().all(|byte| *byte == 0xFF);
            match (image, erased) {
                (true, _) => "image",
                (false, true) => "erased",
                (false, false) => "other",
            }
        });
        Self {
            name: entry.name.clone(),
            slot: entry.slot(),
            offset: entry.offset,
            size: entry.size,
            starts,
            content: content.map(str::to_owned),
            version: app.as_ref().map(|app| app.version.clone()),
            project: app.as_ref().map(|app| app.project.clone()),
            secure_version: app.map(|app| app.secure_version),
        }
    }
}

fn apps(table: &Table) -> impl Iterator<Item = &Entry> {
    let starts_on_its_own = |entry: &&Entry| {
        let factory = entry.subtype == station_esp::partition::Subtype::FACTORY;
        entry.kind == Kind::App && (factory || entry.slot().is_some())
    };
    table.entries().iter().filter(starts_on_its_own)
}

impl StatusView {
    /// The choice; `first` holds the first bytes of every application's partition, where they are known.
    fn of(choice: &Choice, first: &[Option<Vec<u8>>]) -> Self {
        let applications = choice.applications();
        let boot = choice.starts(&choice.data).map(|entry| &entry.name);
        let boot = boot.filter(|_| choice.data.boot(applications) != Boot::First);
        let active = choice.data.active();
        let record = |(at, record): (usize, &Record)| {
            let written = record.sequence != u32::MAX;
            RecordView {
                sequence: written.then_some(record.sequence),
                slot: record.slot(applications.slots).filter(|_| written),
                state: state(record.state),
                crc: format!("{:#010x}", record.crc),
                intact: written && record.is_intact(),
                active: active == Some(at),
            }
        };
        let seen = first.iter().map(Option::as_deref);
        let seen = seen.chain(std::iter::repeat(None));
        Self {
            offset: choice.at,
            boot: boot.cloned(),
            given_up: choice.data.given_up(applications.slots),
            records: choice.data.records.iter().enumerate().map(record).collect(),
            applications: apps(&choice.table)
                .zip(seen)
                .map(|(entry, first)| SlotView::of(entry, boot == Some(&entry.name), first))
                .collect(),
        }
    }

    /// The choice of a chip, with a look at what its slots hold.
    pub(super) async fn on_chip(
        session: &mut Session,
        choice: &Choice,
    ) -> Result<Self, OperationError> {
        let mut first = Vec::new();
        for entry in apps(&choice.table) {
            first.push(Some(start_of(session, entry).await?));
        }
        Ok(Self::of(choice, &first))
    }

    pub(super) fn words(&self) -> String {
        let mut text = match &self.boot {
            Some(name) => format!("`{name}` starts"),
            None => "no slot is chosen: the first that holds a whole application starts".to_owned(),
        };
        for (at, record) in self.records.iter().enumerate() {
            let what = match (record.sequence, record.intact, record.slot) {
                (None, _, _) => "erased".to_owned(),
                (Some(sequence), false, _) => format!("sequence {sequence}, its CRC is wrong"),
                (Some(sequence), true, slot) => {
                    let slot = slot.map_or("no slot".to_owned(), |slot| format!("slot {slot}"));
                    format!("sequence {sequence}, {slot}, {}", record.state)
                }
            };
            let active = if record.active { ", active" } else { "" };
            text.push_str(&format!("\nrecord {at}: {what}{active}"));
        }
        for slot in &self.applications {
            let content = match (&slot.content, &slot.version) {
                (None, _) => String::new(),
                (Some(content), None) => format!(": {content}"),
                (Some(_), Some(version)) => {
                    format!(": {} {version}", slot.project.as_deref().unwrap_or("-"))
                }
            };
            text.push_str(&format!("\n{} at {:#x}{content}", slot.name, slot.offset));
        }
        text
    }
}

/// The first bytes of an application's partition.
pub(super) async fn start_of(
    session: &mut Session,
    entry: &Entry,
) -> Result<Vec<u8>, OperationError> {
    let length = u32::try_from(AppDescriptor::START).unwrap_or(u32::MAX);
    let length = length.min(entry.size);
    Ok(session
        .read_flash(entry.offset, length, &NoProgress)
        .await?)
}

/// The choice in a file, and the first bytes of the applications where it is one of a whole flash.
async fn in_file(
    station: &Station,
    file: &Path,
    parameters: &StatusParameters,
) -> Result<StatusView, OperationError> {
    let offset = bytes(&parameters.table_offset)?;
    let raw = RawFile::read(station, file).await?.into_bytes();
    let name = file.display().to_string();
    let whole = raw.len() != OTADATA_LENGTH;
    let table = match &parameters.partitions {
        Some(file) => {
            let content = table_file(station, file).await?;
            Table::parse(&content, &Rules::at(offset))
                .map_err(|error| refused(&file.display().to_string(), &error))?
        }
        None if whole => {
            let found = find_table(&raw).map(|(_, table)| table);
            found.ok_or_else(|| {
                let message =
                    format!("`{name}` is neither otadata nor a flash with a partition table");
                OperationError::usage("otadata-length", message)
            })?
        }
        None => {
            let message = "what a record chooses depends on the number of slots";
            return Err(OperationError::usage("partitions-missing", message)
                .hint("name the partition table: `--partitions partitions.csv`"));
        }
    };
    let entry = otadata(&table)?;
    let at = entry.offset;
    let part = |entry: &Entry, most: usize| {
        let start = entry.offset as usize;
        let end = start.checked_add(most.min(entry.size as usize))?;
        raw.get(start..end.min(raw.len()))
    };
    let content = match whole {
        false => Some(raw.as_slice()),
        true => part(entry, OTADATA_LENGTH),
    };
    let content = content.unwrap_or_default();
    let data = OtaData::parse(content).map_err(|error| impossible(&error))?;
    let first: Vec<Option<Vec<u8>>> = apps(&table)
        .map(|entry| part(entry, AppDescriptor::START).filter(|_| whole))
        .map(|first| first.map(<[u8]>::to_vec))
        .collect();
    Ok(StatusView::of(&Choice { table, at, data }, &first))
}

/// `esp_ota_status`.
#[derive(Debug)]
pub struct OtaStatus;

#[async_trait]
impl Operation for OtaStatus {
    const DECLARATION: Declaration = Declaration {
        name: "esp_ota_status",
        aliases: &[],
        command: &["ota", "status"],
        title: "Which update slot starts",
        summary: "Reads the choice of an update slot from a chip or a file: both records with sequence, state and CRC, what starts next, \
                  and on a chip which versions the slots hold.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = StatusParameters;
    type Output = StatusView;

    async fn invoke(
        station: &Station,
        parameters: StatusParameters,
        call: &Call,
    ) -> Result<StatusView, OperationError> {
        let attached = match parameters.source.origin()? {
            Origin::File(file) => return in_file(station, file, &parameters).await,
            Origin::Chip(attached) => attached,
        };
        let offset = bytes(&parameters.table_offset)?;
        let mut session = attached.connect(station, call).await?;
        let reading = async {
            let choice = Choice::on_chip(&mut session, offset).await?;
            StatusView::on_chip(&mut session, &choice).await
        };
        let view = reported(call, "reading", None, reading).await;
        attached.finish(session, view).await
    }

    fn words(view: &StatusView) -> String {
        view.words()
    }
}
