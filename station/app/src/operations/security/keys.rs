//! Where the keys of security operations come from: files, the key store, public keys.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::efuse::plan::{KeyWish, Slot, Snapshot};
use station_esp::secret::Secret;
use station_line::event::Mac;
use station_line::keys::{KeyName, KeyOwner, KeyStore, for_purpose};
use station_line::wish::digest_key;

use super::super::keys::mac;
use super::public_keys::digest_of;
use super::wish::secret_file;
use crate::operation::OperationError;
use crate::station::Station;

/// A secret key: a file, or a key of the store.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyOrigin {
    /// The key in a file: raw bytes, or PEM for a key pair
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The key of that name in the store
    #[arg(long, value_name = "NAME", conflicts_with = "key_file")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// MAC of the unit whose key it is; without one it is shared
    #[arg(long, value_name = "MAC", requires = "key")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl KeyOrigin {
    /// Whether none was named.
    pub(in super::super) fn is_absent(&self) -> bool {
        self.key_file.is_none() && self.key.is_none()
    }

    /// Gets it.
    ///
    /// # Errors
    /// `key-missing`, `key-ambiguous`; those of the file and of the key store.
    pub(in super::super) async fn secret(
        &self,
        station: &Station,
    ) -> Result<Secret, OperationError> {
        match (&self.key_file, &self.key) {
            (Some(file), None) => secret_file(station, file).await,
            (None, Some(name)) => {
                let owner = match &self.unit {
                    None => KeyOwner::Shared,
                    Some(unit) => KeyOwner::Unit(mac(unit)?),
                };
                stored(station, &KeyName::parse(name)?, &owner).await
            }
            (None, None) => Err(OperationError::usage("key-missing", "no key was named")
                .hint("give `key_file`, or `key` with the name of a key in the store")),
            (Some(_), Some(_)) => Err(OperationError::usage(
                "key-ambiguous",
                "a key comes from a file or from the store, not both",
            )),
        }
    }
}

/// A key of the store.
///
/// # Errors
/// `key-unknown` and the others of the key store.
pub(super) async fn stored(
    station: &Station,
    name: &KeyName,
    owner: &KeyOwner,
) -> Result<Secret, OperationError> {
    if !station.has_keys() {
        return Err(unknown(name));
    }
    let store = station.keys().await?;
    let (name, owner) = (name.clone(), owner.clone());
    reveal(store, name, owner).await
}

async fn reveal(store: KeyStore, name: KeyName, owner: KeyOwner) -> Result<Secret, OperationError> {
    tokio::task::spawn_blocking(move || store.reveal(&name, &owner))
        .await
        .map_err(|error| OperationError::new("internal", error.to_string()))?
        .map_err(OperationError::from)
}

fn unknown(name: &KeyName) -> OperationError {
    OperationError::usage("key-unknown", format!("the store has no key `{name}`"))
        .hint("`station keys list` shows them, `station keys generate` makes one")
}

/// Where a wished key comes from.
#[derive(Clone, Debug)]
pub(super) enum Want {
    /// Its bytes are in a file.
    File(PathBuf),
    /// It is in the store: the unit's own, or else a shared one.
    Store(String),
    /// It is the digest of a public key in a file.
    Digest(PathBuf),
}

/// A key slot and what goes into it.
#[derive(Clone, Debug)]
pub(super) struct KeySlot {
    pub(super) slot: Slot,
    pub(super) purpose: String,
    pub(super) want: Want,
    pub(super) read_protect: Option<bool>,
    pub(super) write_protect: Option<bool>,
}

/// Gets the key that is wished for.
///
/// # Errors
/// Those of files, of public keys and of the key store.
pub(super) async fn key_wish(
    station: &Station,
    snapshot: &Snapshot,
    wanted: KeySlot,
) -> Result<KeyWish, OperationError> {
    let key = match &wanted.want {
        Want::File(file) => secret_file(station, file).await?,
        Want::Digest(file) => digest_key(snapshot.chip, &digest_of(station, file).await?),
        Want::Store(name) => {
            let name = KeyName::parse(name)?;
            let own = KeyOwner::Unit(Mac::new(snapshot.mac.to_string()));
            match stored(station, &name, &own).await {
                Err(error) if error.code == "key-unknown" => {
                    stored(station, &name, &KeyOwner::Shared).await?
                }
                own => own?,
            }
        }
    };
    // One name on this chip may be another's alias; a purpose of two slots is none of the map.
    let purpose = snapshot.map().purpose(&wanted.purpose);
    let purpose = purpose.map_or(wanted.purpose.as_str(), |purpose| purpose.name);
    let key = for_purpose(purpose, &key)?;
    Ok(KeyWish {
        slot: wanted.slot,
        purpose: wanted.purpose,
        key,
        read_protect: wanted.read_protect,
        write_protect: wanted.write_protect,
    })
}
