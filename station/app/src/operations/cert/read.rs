//! Identity partitions read back: `esp_cert_partition_read`.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::cert::{PARTITION_SIZE, Partition};

use super::super::columns::columns;
use super::super::place::table_offset;
use super::super::source::Source;
use super::super::target::blocking;
use super::super::text::bytes;
use super::create::refused;
use super::view::{EntryView, PrivateKeyView, SignedView, entries, private_key, signatures};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_cert_partition_read`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReadParameters {
    /// A file of the partition; or a chip
    #[command(flatten)]
    #[serde(flatten)]
    pub source: Source,
    /// The partition on the chip, by its name
    #[arg(long, default_value = "esp_secure_cert")]
    #[serde(default = "partition")]
    pub partition: String,
    /// Where the chip's partition table lies
    #[arg(long, value_name = "OFFSET", default_value = "0x8000")]
    #[serde(default = "table_offset")]
    pub table_offset: String,
}

fn partition() -> String {
    "esp_secure_cert".to_owned()
}

/// What an identity partition holds.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CertReadView {
    /// Where it lies in flash, if it was read from a chip
    pub offset: Option<u32>,
    /// Bytes of the entries
    pub used: usize,
    /// Its entries; secret ones without their content
    pub entries: Vec<EntryView>,
    /// What may be known of the private key
    pub private_key: Option<PrivateKeyView>,
    /// Whether an integrity entry covers everything
    pub sealed: bool,
    /// Its signatures, all of which hold
    pub signatures: Vec<SignedView>,
}

/// `esp_cert_partition_read`.
#[derive(Debug)]
pub struct CertRead;

#[async_trait]
impl Operation for CertRead {
    const DECLARATION: Declaration = Declaration {
        name: "esp_cert_partition_read",
        aliases: &[],
        command: &["cert", "read"],
        title: "Read an identity partition",
        summary: "Reads an esp_secure_cert partition from a file or a chip, checks every checksum and signature, and returns its entries: \
                  certificates in full, of private keys only their public half's hash and whether it is the certificate's.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ReadParameters;
    type Output = CertReadView;

    async fn invoke(
        station: &Station,
        parameters: ReadParameters,
        call: &Call,
    ) -> Result<CertReadView, OperationError> {
        let table = bytes(&parameters.table_offset)?;
        let place = (parameters.partition.as_str(), table);
        // The format has 8 KiB, however large its partition is.
        let most = u32::try_from(PARTITION_SIZE).unwrap_or(u32::MAX);
        let source = &parameters.source;
        let read = source.partition(station, place, |size| Ok(size.min(most)), call);
        let (offset, content) = read.await?;
        blocking(move || {
            let wrong = |error| refused(&error);
            let partition = Partition::parse(content.expose()).map_err(wrong)?;
            Ok(CertReadView {
                offset,
                used: partition.flash_length(),
                entries: entries(&partition),
                private_key: private_key(&partition),
                sealed: partition.is_sealed(),
                signatures: signatures(&partition).map_err(wrong)?,
            })
        })
        .await
    }

    fn words(output: &CertReadView) -> String {
        let head = ["offset", "entry", "subtype", "bytes", "sha256"].map(str::to_owned);
        let mut rows = vec![head];
        rows.extend(output.entries.iter().map(|entry| {
            let hash = entry.certificate_sha256.as_deref().unwrap_or_default();
            let kept = if entry.secret { "(secret)" } else { hash };
            [
                format!("{:#x}", entry.offset),
                entry.kind.clone(),
                entry.subtype.to_string(),
                entry.length.to_string(),
                kept.to_owned(),
            ]
        }));
        let mut text = columns(&rows);
        if let Some(key) = &output.private_key {
            let kind = key.kind.as_deref().unwrap_or("of unknown kind");
            text.push_str(&format!("\nprivate key: {kind}, in {}", key.place));
            match key.matches_certificate {
                Some(true) => text.push_str(", belongs to the device certificate"),
                Some(false) => text.push_str(", NOT that of the device certificate"),
                None => {}
            }
        }
        let sealed = if output.sealed {
            "sealed by a hash"
        } else {
            "not sealed"
        };
        text.push_str(&format!("\n{} bytes, {sealed}", output.used));
        for one in &output.signatures {
            text.push_str(&format!("\nsigned by {} {}", one.algorithm, one.key_digest));
        }
        text
    }
}
