//! Sealed keys: `esp_key_generate`, `esp_key_import`, `esp_key_list`, `esp_key_escrow`, `esp_key_forget`.
//!
//! Invariants: no answer, error or record holds more of a key than its fingerprint and, of a key pair, its
//! public half; a key is sealed on disk before anybody hears of it.

mod end;

use std::path::PathBuf;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::MacAddress;
use station_esp::secret::Secret;
use station_esp::secure::signature::{Algorithm, PrivateKey};
use station_line::event::{EventKind, Mac};
use station_line::journal::Journal;
use station_line::keys::{
    Custody, KeyKind, KeyName, KeyOrder, KeyOwner, KeyRecord, KeySource, KeyStore,
};

pub use self::end::{EscrowParameters, EscrowView, ForgetParameters, KeyEscrow, KeyForget};
use super::security::{private_key, secret_file};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Which key.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyId {
    /// Name of the key: lower-case letters, digits, `-` and `_`
    pub name: String,
    /// MAC of the unit it belongs to; without one it is shared by all
    #[arg(long, value_name = "MAC")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl KeyId {
    fn read(&self) -> Result<(KeyName, KeyOwner), OperationError> {
        let name = KeyName::parse(&self.name)?;
        let owner = match &self.unit {
            None => KeyOwner::Shared,
            Some(text) => KeyOwner::Unit(mac(text)?),
        };
        Ok((name, owner))
    }
}

/// A MAC address as the record writes it.
///
/// # Errors
/// `mac-invalid`.
pub(super) fn mac(text: &str) -> Result<Mac, OperationError> {
    let mac: MacAddress = text.parse().map_err(|_| {
        OperationError::usage(
            "mac-invalid",
            "a unit is named by its MAC: 7c:df:a1:00:00:01",
        )
    })?;
    Ok(Mac::new(mac.to_string()))
}

/// Who keeps a key once it is burned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CustodyChoice {
    /// The store, for ever, and whoever holds an escrow identity
    Escrow,
    /// The chip alone: the store forgets it after the burn
    Forget,
}

impl CustodyChoice {
    pub(super) fn custody(self) -> Custody {
        match self {
            Self::Escrow => Custody::Escrow,
            Self::Forget => Custody::Forget,
        }
    }
}

/// In place of a custody that nobody named.
pub(super) fn escrow() -> CustodyChoice {
    CustodyChoice::Escrow
}

/// A key, without the key.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct KeyView {
    /// Its name
    pub name: String,
    /// `shared`, or the MAC of its unit
    pub owner: String,
    /// What it is: xts-aes128, hmac, ecdsa-p256, rsa3072 …
    pub kind: String,
    /// What it is for in the chip, where that is known
    pub purpose: Option<String>,
    /// escrow or forget
    pub custody: String,
    /// A name for its bytes that gives nothing away
    pub fingerprint: String,
    /// The public half of a key pair
    pub public: Option<String>,
    /// When it was sealed
    pub made_at: DateTime<Utc>,
    /// Why it is no longer there, if it is not
    pub forgotten: Option<String>,
}

impl KeyView {
    pub(super) fn of(record: &KeyRecord) -> Self {
        Self {
            name: record.name.to_string(),
            owner: record.owner.to_string(),
            kind: record.kind.to_string(),
            purpose: record.purpose.clone(),
            custody: record.custody.word().to_owned(),
            fingerprint: record.fingerprint.clone(),
            public: record.public.clone(),
            made_at: record.made_at,
            forgotten: record.forgotten.as_ref().map(|end| end.reason.clone()),
        }
    }

    /// Adds the public half of a signing key, where the store does not know it.
    fn with_public(mut self, secret: &Secret) -> Self {
        let signs = ["ecdsa-", "rsa"]
            .iter()
            .any(|kind| self.kind.starts_with(kind));
        if signs && self.public.is_none() {
            self.public = private_key(secret).ok().map(|key| key.public().to_pem());
        }
        self
    }
}

/// Seals a key, or finds it sealed already, and puts that on record.
///
/// # Errors
/// Those of the key store and of the journal.
pub(super) async fn seal(
    journal: &Journal,
    store: &KeyStore,
    order: KeyOrder,
) -> Result<(KeyRecord, Secret), OperationError> {
    let store = store.clone();
    let (record, secret) = tokio::task::spawn_blocking(move || store.obtain(&order, Utc::now()))
        .await
        .map_err(|error| OperationError::new("internal", error.to_string()))??;
    let sealed = EventKind::KeySealed {
        attempt: None,
        key: record.name.to_string(),
        mac: owner_mac(&record.owner),
        key_kind: record.kind.to_string(),
        purpose: record.purpose.clone(),
        fingerprint: record.fingerprint.clone(),
        custody: record.custody,
    };
    journal.note(Utc::now(), sealed).await?;
    Ok((record, secret))
}

fn owner_mac(owner: &KeyOwner) -> Option<Mac> {
    match owner {
        KeyOwner::Shared => None,
        KeyOwner::Unit(mac) => Some(mac.clone()),
    }
}

/// Parameters of `esp_key_generate`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GenerateParameters {
    /// Which key
    #[command(flatten)]
    #[serde(flatten)]
    pub key: KeyId,
    /// What it is: aes128, xts-aes128, xts-aes256, hmac, ecdsa-p192, ecdsa-p256, ecdsa-p384, rsa3072, ed25519, raw-N
    #[arg(long)]
    pub kind: String,
    /// Who keeps it once it is burned
    #[arg(long, value_enum, default_value = "escrow")]
    #[serde(default = "escrow")]
    pub custody: CustodyChoice,
}

/// `esp_key_generate`.
#[derive(Debug)]
pub struct KeyGenerate;

#[async_trait]
impl Operation for KeyGenerate {
    const DECLARATION: Declaration = Declaration {
        name: "esp_key_generate",
        aliases: &[],
        command: &["keys", "generate"],
        title: "Make a key and seal it",
        summary: "Makes a key of one unit or a shared one and seals it in the key store; if it is there already, it stays what \
                  it is. Returns its fingerprint and, of a key pair, the public half; never the key.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = GenerateParameters;
    type Output = KeyView;

    async fn invoke(
        station: &Station,
        parameters: GenerateParameters,
        _call: &Call,
    ) -> Result<KeyView, OperationError> {
        let (name, owner) = parameters.key.read()?;
        let kind = kind(&parameters.kind)?;
        let journal = station.journal().await?;
        let store = station.keys().await?;
        let source = if kind == KeyKind::Rsa3072 {
            rsa(&store, &name, &owner).await?
        } else {
            KeySource::Generate
        };
        let order = KeyOrder {
            name,
            owner,
            kind,
            custody: parameters.custody.custody(),
            purpose: None,
            source,
        };
        let (record, secret) = seal(&journal, &store, order).await?;
        Ok(KeyView::of(&record).with_public(&secret))
    }
}

/// The key that is there, or a new one: the store itself makes none of this kind.
async fn rsa(
    store: &KeyStore,
    name: &KeyName,
    owner: &KeyOwner,
) -> Result<KeySource, OperationError> {
    let (store, name, owner) = (store.clone(), name.clone(), owner.clone());
    tokio::task::spawn_blocking(move || {
        if store.record(&name, &owner)?.is_some() {
            return Ok(KeySource::Given(store.reveal(&name, &owner)?));
        }
        let key = PrivateKey::generate(Algorithm::Rsa3072, &mut UnwrapErr(SysRng));
        let key = key.map_err(|error| OperationError::new(error.code(), error.to_string()))?;
        Ok(KeySource::Given(key.to_pem()))
    })
    .await
    .map_err(|error| OperationError::new("internal", error.to_string()))?
}

fn kind(text: &str) -> Result<KeyKind, OperationError> {
    text.parse().map_err(|_| {
        OperationError::usage("key-kind", "this is no kind of key").hint(
            "it is one of aes128, xts-aes128, xts-aes256, hmac, ecdsa-p192, ecdsa-p256, ecdsa-p384, rsa3072, \
             ed25519, raw-N with N bytes",
        )
    })
}

/// Parameters of `esp_key_import`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ImportParameters {
    /// Which key
    #[command(flatten)]
    #[serde(flatten)]
    pub key: KeyId,
    /// What it is: aes128, xts-aes128, xts-aes256, hmac, ecdsa-p192, ecdsa-p256, ecdsa-p384, rsa3072, ed25519, raw-N
    #[arg(long)]
    pub kind: String,
    /// The key: raw bytes, or PEM for a key pair
    #[arg(long)]
    pub file: PathBuf,
    /// Who keeps it once it is burned
    #[arg(long, value_enum, default_value = "escrow")]
    #[serde(default = "escrow")]
    pub custody: CustodyChoice,
}

/// `esp_key_import`.
#[derive(Debug)]
pub struct KeyImport;

#[async_trait]
impl Operation for KeyImport {
    const DECLARATION: Declaration = Declaration {
        name: "esp_key_import",
        aliases: &[],
        command: &["keys", "import"],
        title: "Seal a key that is given",
        summary: "Seals the key in a file in the key store. A key of that name that is another one is refused. The file stays \
                  where it is: wipe it.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = ImportParameters;
    type Output = KeyView;

    async fn invoke(
        station: &Station,
        parameters: ImportParameters,
        _call: &Call,
    ) -> Result<KeyView, OperationError> {
        let (name, owner) = parameters.key.read()?;
        let given = secret_file(station, &parameters.file).await?;
        let order = KeyOrder {
            name,
            owner,
            kind: kind(&parameters.kind)?,
            custody: parameters.custody.custody(),
            purpose: None,
            source: KeySource::Given(given),
        };
        let (record, secret) =
            seal(&station.journal().await?, &station.keys().await?, order).await?;
        Ok(KeyView::of(&record).with_public(&secret))
    }
}

/// Parameters of `esp_key_list`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ListParameters {
    /// Only keys of this name
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only keys of the unit with this MAC
    #[arg(long, value_name = "MAC")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// Sealed keys.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ListView {
    /// The keys
    pub keys: Vec<KeyView>,
    /// What escrow copies are sealed to, besides the station itself
    pub recipient: Option<String>,
}

/// `esp_key_list`.
#[derive(Debug)]
pub struct KeyList;

#[async_trait]
impl Operation for KeyList {
    const DECLARATION: Declaration = Declaration {
        name: "esp_key_list",
        aliases: &[],
        command: &["keys", "list"],
        title: "Keys of the store",
        summary: "Returns every sealed key by name, owner, kind and fingerprint, with the public half of key pairs; never a key.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ListParameters;
    type Output = ListView;

    async fn invoke(
        station: &Station,
        parameters: ListParameters,
        _call: &Call,
    ) -> Result<ListView, OperationError> {
        let unit = parameters.unit.as_deref().map(mac).transpose()?;
        if !station.has_keys() {
            return Ok(ListView {
                keys: Vec::new(),
                recipient: None,
            });
        }
        let store = station.keys().await?;
        let (records, recipient) =
            tokio::task::spawn_blocking(move || store.list().map(|list| (list, store.recipient())))
                .await
                .map_err(|error| OperationError::new("internal", error.to_string()))??;
        let wanted = |record: &&KeyRecord| {
            parameters
                .name
                .as_deref()
                .is_none_or(|name| record.name.as_str() == name)
                && (unit.is_none() || owner_mac(&record.owner) == unit)
        };
        Ok(ListView {
            keys: records.iter().filter(wanted).map(KeyView::of).collect(),
            recipient: Some(recipient),
        })
    }

    fn words(view: &ListView) -> String {
        if view.keys.is_empty() {
            return "no keys".to_owned();
        }
        let line = |key: &KeyView| {
            let state = match &key.forgotten {
                Some(why) => format!("forgotten: {why}"),
                None => key.custody.clone(),
            };
            format!(
                "{}  {}  {}  {}  {state}",
                key.name, key.owner, key.kind, key.fingerprint
            )
        };
        let lines: Vec<String> = view.keys.iter().map(line).collect();
        lines.join("\n")
    }
}
