//! NVS partitions read back: `esp_nvs_partition_read`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::matter::is_private;
use station_esp::nvs::{self, Found, Image, NvsKeys, Page, Value};

use super::super::columns::columns;
use super::super::place::table_offset;
use super::super::source::Source;
use super::super::target::{FileView, Target, blocking};
use super::super::text::bytes;
use super::keys::{NvsSecret, refused};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Most bytes of a blob that are shown.
const MAX_BLOB: usize = 1024;
/// Most entries that are shown, and findings.
const MAX_SHOWN: usize = 10_000;

/// Parameters of `esp_nvs_partition_read`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReadParameters {
    /// An image of the partition; or a chip
    #[command(flatten)]
    #[serde(flatten)]
    pub source: Source,
    /// The partition on the chip, by its name
    #[arg(long, default_value = "nvs")]
    #[serde(default = "partition")]
    pub partition: String,
    /// Where the chip's partition table lies
    #[arg(long, value_name = "OFFSET", default_value = "0x8000")]
    #[serde(default = "table_offset")]
    pub table_offset: String,
    /// What it is encrypted with
    #[command(flatten)]
    #[serde(flatten)]
    pub secret: NvsSecret,
    /// File to write all entries to, as the CSV that the image could be made of
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<PathBuf>,
}

/// What stands for a private key.
const HIDDEN: &str = "(secret)";

fn partition() -> String {
    "nvs".to_owned()
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EntryView {
    /// Its namespace
    pub namespace: String,
    /// Its key
    pub key: String,
    /// How it is stored: u8, i8 … u64, i64, string, or hex2bin for bytes
    pub encoding: String,
    /// The value as it would stand in CSV: numbers in decimal, bytes in hex; `(secret)` for the private key of a
    /// Matter unit
    pub value: String,
    /// Bytes of the value; of bytes only the first 1024 are shown
    pub length: usize,
    /// Whether no letter had to be replaced
    pub exact: bool,
}

impl EntryView {
    fn of(found: &Found) -> Self {
        let value = match &found.value {
            Value::Blob(_) if is_private(&found.namespace, &found.key) => HIDDEN.to_owned(),
            Value::Blob(bytes) => hex::encode(&bytes[..bytes.len().min(MAX_BLOB)]),
            Value::U8(_)
            | Value::I8(_)
            | Value::U16(_)
            | Value::I16(_)
            | Value::U32(_)
            | Value::I32(_)
            | Value::U64(_)
            | Value::I64(_)
            | Value::String(_) => found.value.text(),
        };
        Self {
            namespace: found.namespace.clone(),
            key: found.key.clone(),
            encoding: found.value.encoding().to_owned(),
            value,
            length: found.value.length(),
            exact: found.exact,
        }
    }
}

/// One page of 4096 bytes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PageView {
    /// Where it begins in the partition
    pub offset: u32,
    /// empty, active, full, freeing or corrupt
    pub state: String,
    /// Its place in the order of writing
    pub sequence: Option<u32>,
    /// Entries of 126 that are written
    pub written: u32,
    /// Entries that are erased
    pub erased: u32,
    /// Entries that are free
    pub free: u32,
}

impl PageView {
    fn of(page: &Page) -> Self {
        Self {
            offset: page.offset,
            state: page.state.name().to_owned(),
            sequence: page.sequence,
            written: page.written,
            erased: page.erased,
            free: page.free,
        }
    }
}

/// Something damaged.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DamageView {
    /// Stable code
    pub code: String,
    /// Where it begins in the partition
    pub offset: u32,
    /// Bytes concerned
    pub length: u32,
    /// In words
    pub message: String,
}

/// What an NVS partition holds.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct NvsReadView {
    /// Where it lies in flash, if it was read from a chip
    pub offset: Option<u32>,
    /// Its bytes
    pub size: usize,
    /// Its pages
    pub pages: Vec<PageView>,
    /// Its namespaces in the order of writing
    pub namespaces: Vec<String>,
    /// How many values it has
    pub total: usize,
    /// The first 10 000 of them in the order of writing
    pub entries: Vec<EntryView>,
    /// Entries that a later one replaced but that were not erased
    pub superseded: usize,
    /// What is damaged, the first 10 000
    pub damage: Vec<DamageView>,
    /// The file that all values were written to
    pub csv: Option<FileView>,
}

/// `esp_nvs_partition_read`.
#[derive(Debug)]
pub struct NvsRead;

/// Reads an image, and refuses one of which nothing can be read.
fn parsed(content: &[u8], keys: Option<&NvsKeys>) -> Result<Image, OperationError> {
    let image = nvs::parse(content, keys).map_err(|error| refused(&error))?;
    if !image.looks_encrypted() {
        return Ok(image);
    }
    Err(match keys {
        Some(_) => OperationError::usage("nvs-keys-wrong", "it was encrypted with other keys"),
        None => OperationError::usage("nvs-encrypted", "it is encrypted")
            .hint("name its keys partition, `keys`, or the HMAC key that they come from"),
    })
}

fn view(
    image: &Image,
    offset: Option<u32>,
    size: usize,
    target: Option<&Target>,
) -> Result<NvsReadView, OperationError> {
    let csv = match target {
        None => None,
        Some(target) => {
            let text = image.to_csv().map_err(|error| refused(&error))?;
            Some(target.write(text.as_bytes())?)
        }
    };
    let names = image.namespaces.iter().map(|one| one.name.clone());
    let damage = image.findings.iter().take(MAX_SHOWN);
    Ok(NvsReadView {
        offset,
        size,
        pages: image.pages.iter().map(PageView::of).collect(),
        namespaces: names.take(MAX_SHOWN).collect(),
        total: image.entries.len(),
        entries: image
            .entries
            .iter()
            .take(MAX_SHOWN)
            .map(EntryView::of)
            .collect(),
        superseded: image.superseded.len(),
        damage: damage
            .map(|one| DamageView {
                code: one.damage.code().to_owned(),
                offset: one.offset,
                length: one.length,
                message: one.to_string(),
            })
            .collect(),
        csv,
    })
}

#[async_trait]
impl Operation for NvsRead {
    const DECLARATION: Declaration = Declaration {
        name: "esp_nvs_partition_read",
        aliases: &[],
        command: &["nvs", "read"],
        title: "Read an NVS partition",
        summary: "Reads an NVS partition from a file or a chip, decrypts it if its keys are named, and returns its values, its pages and \
                  what is damaged, with places; writes the values as CSV if asked.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ReadParameters;
    type Output = NvsReadView;

    async fn invoke(
        station: &Station,
        parameters: ReadParameters,
        call: &Call,
    ) -> Result<NvsReadView, OperationError> {
        let table = bytes(&parameters.table_offset)?;
        let target = parameters.csv.as_ref();
        let target = target.map(|out| Target::new(station, out)).transpose()?;
        let keys = parameters.secret.keys(station).await?;
        let place = (parameters.partition.as_str(), table);
        let whole = |size: u32| {
            if size <= nvs::MAX_SIZE {
                return Ok(size);
            }
            let name = place.0;
            let message =
                format!("partition `{name}` has {size} bytes, which is too large for NVS");
            Err(OperationError::usage("nvs-size", message))
        };
        let source = &parameters.source;
        let (offset, content) = source.partition(station, place, whole, call).await?;
        blocking(move || {
            let image = parsed(content.expose(), keys.as_ref())?;
            view(&image, offset, content.len(), target.as_ref())
        })
        .await
    }

    fn words(output: &NvsReadView) -> String {
        let head = ["namespace", "key", "encoding", "value"].map(str::to_owned);
        let mut rows = vec![head];
        rows.extend(output.entries.iter().map(|entry| {
            let value: String = entry.value.chars().take(64).collect();
            let cut = if value.len() < entry.value.len() {
                "…"
            } else {
                ""
            };
            [
                entry.namespace.escape_debug().to_string(),
                entry.key.escape_debug().to_string(),
                entry.encoding.clone(),
                format!("{}{cut}", value.escape_debug()),
            ]
        }));
        let mut text = columns(&rows);
        let used = output
            .pages
            .iter()
            .filter(|page| page.state != "empty")
            .count();
        text.push_str(&format!(
            "\n{} values, {used} of {} pages in use, {} superseded entries",
            output.total,
            output.pages.len(),
            output.superseded
        ));
        for damage in &output.damage {
            text.push_str(&format!("\ndamaged: {}", damage.message));
        }
        if let Some(csv) = &output.csv {
            text.push_str(&format!("\n{}", csv.words()));
        }
        text
    }
}
