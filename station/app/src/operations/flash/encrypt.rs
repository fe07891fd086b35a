//! Flash encryption on the host: `esp_flash_encrypt`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use station_esp::Chip;
use station_esp::secure::encryption::{self, FlashKey, Scheme};

use super::super::images::RawFile;
use super::super::security::KeyOrigin;
use super::super::text::bytes;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_flash_encrypt`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EncryptParameters {
    /// File to encrypt: what goes into flash, or a copy of it
    pub file: PathBuf,
    /// Flash offset it lies at: the ciphertext depends on it
    #[arg(long)]
    pub at: String,
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
        let offset = bytes(&parameters.at)?;
        let target = station.writable(&parameters.out)?;
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
        let made = tokio::task::spawn_blocking(move || {
            if decrypt {
                encryption::decrypt(&key, offset, &content)
            } else {
                encryption::encrypt(&key, offset, &encryption::filled_up(content))
            }
            .map_err(refused)
            .and_then(|made| {
                crate::station::write_whole(&target, &made)?;
                Ok(made)
            })
        })
        .await
        .map_err(|error| OperationError::new("internal", error.to_string()))??;
        Ok(EncryptView {
            file: parameters.out.display().to_string(),
            offset,
            size: made.len() as u64,
            sha256: hex::encode(Sha256::digest(&made)),
            key: fingerprint,
        })
    }
}
