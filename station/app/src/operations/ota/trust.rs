//! Whose signatures on packages count.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::ota::{PublicKey, TrustedKeys};

use super::super::target::blocking;
use crate::operation::OperationError;
use crate::station::Station;

/// Longest file with a public key.
const MAX_KEY: u64 = 4096;

/// Whose signatures count.
#[derive(clap::Args, Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct TrustParameters {
    /// Public key whose signature counts, besides those that the station trusts: 64 hex digits, or a file with them
    #[arg(long, value_name = "KEY")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted: Vec<String>,
    /// Take a package that nobody trusted signed
    #[arg(long)]
    #[serde(default)]
    pub unsigned: bool,
}

impl TrustParameters {
    /// The keys that were named, and those that the station trusts.
    ///
    /// # Errors
    /// `ota-key`; those of files and of the key store.
    pub(super) async fn keys(&self, station: &Station) -> Result<TrustedKeys, OperationError> {
        let mut keys = Vec::new();
        for named in &self.trusted {
            keys.push(public_key(station, named).await?);
        }
        if station.has_keys() {
            let store = station.keys().await?;
            let trusted = blocking(move || Ok(store.trusted_keys()?)).await?;
            keys.extend(
                trusted
                    .keys()
                    .iter()
                    .filter_map(|key| key.parse::<PublicKey>().ok()),
            );
        }
        Ok(TrustedKeys(keys))
    }

    /// The keys of which one must have signed; none when anything is taken.
    ///
    /// # Errors
    /// As [`Self::keys`].
    pub(super) async fn required(
        &self,
        station: &Station,
    ) -> Result<Option<TrustedKeys>, OperationError> {
        match self.unsigned {
            true => Ok(None),
            false => self.keys(station).await.map(Some),
        }
    }
}

async fn public_key(station: &Station, named: &str) -> Result<PublicKey, OperationError> {
    if let Ok(key) = named.parse() {
        return Ok(key);
    }
    let path = station.readable(Path::new(named)).map_err(|_| {
        let message = format!("`{named}` is no public key and no file that can be read");
        OperationError::usage("ota-key", message).hint("a public key is 64 lower-case hex digits")
    })?;
    let read = blocking(move || crate::station::read_bounded(&path, MAX_KEY)).await?;
    let text = String::from_utf8_lossy(&read).trim().to_ascii_lowercase();
    text.parse().map_err(|error: station_esp::ota::OtaError| {
        OperationError::usage(error.code(), format!("`{named}`: {error}"))
    })
}
