//! The keys of encrypted NVS partitions: `esp_nvs_keys`.

use std::path::PathBuf;

use async_trait::async_trait;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::nvs::{NvsError, NvsKeys};
use station_esp::secret::Secret;

use super::super::security::{KeyOrigin, secret_file};
use super::super::target::{FileView, Target, blocking};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Both keys without anything else: what some tools keep in place of a partition.
const BARE: usize = 64;

/// What encrypts an NVS partition.
#[derive(clap::Args, Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct NvsSecret {
    /// The keys partition, or its two keys of 32 bytes
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hmac_key_file", "hmac_key"])]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<PathBuf>,
    /// The chip's HMAC key that the keys are derived from, 32 bytes in a file
    #[arg(long, value_name = "FILE", conflicts_with = "hmac_key")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac_key_file: Option<PathBuf>,
    /// The same as the key of that name in the store
    #[arg(long, value_name = "NAME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac_key: Option<String>,
    /// MAC of the unit whose HMAC key it is; without one it is shared
    #[arg(long, value_name = "MAC", requires = "hmac_key")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// What is wrong with keys or a table, as an answer.
pub(super) fn refused(error: &NvsError) -> OperationError {
    OperationError::usage(error.code(), error.to_string())
}

impl NvsSecret {
    /// The files with keys that were named.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.keys.iter().chain(&self.hmac_key_file)
    }

    /// The keys, if any were named.
    ///
    /// # Errors
    /// `key-ambiguous`, `nvs-key-length`, `nvs-no-keys`, `nvs-key-checksum`; those of files and of the store.
    pub(super) async fn keys(&self, station: &Station) -> Result<Option<NvsKeys>, OperationError> {
        let hmac = KeyOrigin {
            key_file: self.hmac_key_file.clone(),
            key: self.hmac_key.clone(),
            unit: self.unit.clone(),
        };
        match (&self.keys, hmac.is_absent()) {
            (None, true) => Ok(None),
            (Some(_), false) => Err(OperationError::usage(
                "key-ambiguous",
                "the keys come from a partition or from an HMAC key, not both",
            )),
            (Some(file), true) => parsed(secret_file(station, file).await?).map(Some),
            (None, false) => NvsKeys::from_hmac(&hmac.secret(station).await?)
                .map(Some)
                .map_err(|error| refused(&error)),
        }
    }
}

fn parsed(file: Secret) -> Result<NvsKeys, OperationError> {
    let keys = if file.len() == BARE {
        NvsKeys::new(file)
    } else {
        NvsKeys::parse_partition(&file)
    };
    keys.map_err(|error| refused(&error))
}

/// A name for both keys that gives nothing away.
pub(super) fn fingerprint(keys: &NvsKeys) -> String {
    let mut both = Vec::with_capacity(BARE);
    both.extend_from_slice(keys.eky());
    both.extend_from_slice(keys.tky());
    Secret::new(both).fingerprint()
}

/// New keys from the system's source of chance.
pub(super) fn drawn() -> NvsKeys {
    NvsKeys::generate(&mut UnwrapErr(SysRng))
}

/// Parameters of `esp_nvs_keys`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeysParameters {
    /// File to write the keys partition to
    pub out: PathBuf,
    /// Keys to write instead of new ones
    #[command(flatten)]
    #[serde(flatten)]
    pub secret: NvsSecret,
}

/// A keys partition that was written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct KeysView {
    /// The file that was written, readable for its owner only
    #[serde(flatten)]
    pub file: FileView,
    /// Whether the keys are new
    pub drawn: bool,
    /// A name for the keys that gives nothing away
    pub fingerprint: String,
}

/// `esp_nvs_keys`.
#[derive(Debug)]
pub struct NvsKeysMake;

#[async_trait]
impl Operation for NvsKeysMake {
    const DECLARATION: Declaration = Declaration {
        name: "esp_nvs_keys",
        aliases: &[],
        command: &["nvs", "keys"],
        title: "Make a keys partition for NVS",
        summary: "Draws the keys of an encrypted NVS partition, or takes those that an HMAC key gives, and writes their partition to a \
                  file that only its owner can read; new keys over no other file. Returns their fingerprint, never the keys.",
        effect: Effect::Read,
        idempotent: false,
    };
    type Parameters = KeysParameters;
    type Output = KeysView;

    async fn invoke(
        station: &Station,
        parameters: KeysParameters,
        _call: &Call,
    ) -> Result<KeysView, OperationError> {
        let given = parameters.secret.keys(station).await?;
        let target = match &given {
            None => Target::for_new_keys(station, &parameters.out)?,
            Some(_) => Target::new(station, &parameters.out)?,
        };
        target.spare(station, parameters.secret.files())?;
        blocking(move || {
            let new = given.is_none();
            let keys = given.unwrap_or_else(drawn);
            Ok(KeysView {
                file: target.write(keys.to_partition().expose())?,
                drawn: new,
                fingerprint: fingerprint(&keys),
            })
        })
        .await
    }
}
