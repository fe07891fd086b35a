//! Flash encryption on the host: `esp_flash_encrypt`.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::Chip;
use station_esp::partition::{Rules, Table};
use station_esp::secure::encryption::{self, FlashKey, Scheme};

use super::super::images::RawFile;
use super::super::place::within;
use super::super::security::KeyOrigin;
use super::super::target::{FileView, Target, blocking};
use super::super::text::bytes;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_flash_encrypt`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EncryptParameters {
    /// File to encrypt: what goes into flash, or a copy of it
    pub file: PathBuf,
    /// Flash offset it lies at, or a partition's name in `table`: the ciphertext depends on it
    #[arg(long)]
    pub at: String,
    /// Partition table, CSV or binary, that names of partitions are looked up in
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<PathBuf>,
    /// The chip: ESP32 has a scheme of its own, all others AES-XTS
    #[arg(long)]
    #[schemars(with = "String")]
    pub chip: Chip,
    /// The key
    #[command(flatten)]
    #[serde(flatten)]
    pub key: KeyOrigin,
    /// File to write
    #[arg(long)]
    pub out: PathBuf,
    /// Decrypt instead
    #[arg(long)]
    #[serde(default)]
    pub decrypt: bool,
    /// FLASH_CRYPT_CONFIG of an ESP32, 0 to 15
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=15))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 15))]
    pub crypt_config: Option<u8>,
}

/// What was encrypted or decrypted.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EncryptView {
    /// The file that was written
    pub file: String,
    /// Flash offset it belongs to
    pub offset: u32,
    /// Bytes, filled up to whole blocks of 16 with 0xFF
    pub size: u64,
    /// SHA-256 of them
    pub sha256: String,
    /// Fingerprint of the key
    pub key: String,
}

/// The offset that is meant: a number, or a place in a partition of the table.
async fn offset(station: &Station, at: &str, table: Option<&Path>) -> Result<u32, OperationError> {
    let Some(file) = table else {
        return bytes(at);
    };
    let name = file.display();
    let content = RawFile::read(station, file).await?.into_bytes();
    let table = Table::parse(&content, &Rules::default())
        .map_err(|error| OperationError::usage(error.code(), format!("`{name}`: {error}")))?;
    match within(&table, at) {
        Ok((offset, _)) => Ok(offset),
        Err(unknown) if unknown.code == "partition-unknown" => bytes(at).map_err(|_| unknown),
        Err(refused) => Err(refused),
    }
}

/// `esp_flash_encrypt`.
#[derive(Debug)]
pub struct FlashEncrypt;

#[async_trait]
impl Operation for FlashEncrypt {
    const DECLARATION: Declaration = Declaration {
        name: "esp_flash_encrypt",
        aliases: &[],
        command: &["flash", "encrypt"],
        title: "Encrypt or decrypt an image on the host",
        summary: "Makes of a file the ciphertext that the chip's flash controller would write at that offset, or the other way \
                  round; AES-XTS, or the scheme of the ESP32. The key comes from a file or the key store. Touches no board.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = EncryptParameters;
    type Output = EncryptView;

    async fn invoke(
        station: &Station,
        parameters: EncryptParameters,
        _call: &Call,
    ) -> Result<EncryptView, OperationError> {
        let offset = offset(station, &parameters.at, parameters.table.as_deref()).await?;
        let target = Target::new(station, &parameters.out)?;
        target.spare(station, &parameters.key.key_file)?;
        let secret = parameters.key.secret(station).await?;
        let fingerprint = secret.fingerprint();
        let mut scheme = Scheme::of(parameters.chip);
        match (&mut scheme, parameters.crypt_config) {
            (_, None) => {}
            (Scheme::Legacy { crypt_config }, Some(config)) => *crypt_config = config,
            (Scheme::Xts, Some(_)) => {
                let message = "only the ESP32 has a FLASH_CRYPT_CONFIG";
                return Err(OperationError::usage("encryption-crypt-config", message));
            }
        }
        let refused = |error: encryption::EncryptionError| {
            OperationError::usage(error.code(), error.to_string())
        };
        let key = FlashKey::new(scheme, secret).map_err(refused)?;
        let content = RawFile::read(station, &parameters.file).await?.into_bytes();
        let decrypt = parameters.decrypt;
        let FileView { file, size, sha256 } = blocking(move || {
            let made = if decrypt {
                encryption::decrypt(&key, offset, &content)
            } else {
                encryption::encrypt(&key, offset, &encryption::filled_up(content))
            };
            target.write(&made.map_err(refused)?)
        })
        .await?;
        Ok(EncryptView {
            file,
            offset,
            size,
            sha256,
            key: fingerprint,
        })
    }
}
