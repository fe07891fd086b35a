//! Flash encryption of one chip: `esp_encryption_enable`.
//!
//! What is in flash is not touched: the station's recipes write ciphertext and burn in one go; here the
//! content is there already, or the bootloader makes it on its first boot.

use std::path::PathBuf;

use async_trait::async_trait;
use chrono::Utc;
use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::Chip;
use station_esp::efuse::FieldName;
use station_esp::efuse::plan::{ContentPlan, FlashContent, KeyWish, Slot, Snapshot, Wish};
use station_line::event::Mac;
use station_line::journal::Journal;
use station_line::keys::{Custody, Forgotten, KeyKind, KeyName, KeyOrder, KeyOwner, KeySource};
use station_line::wish::{encryption_fuses, fuses_for_bootloader};

use super::super::attached::Attached;
use super::super::keys::{CustodyChoice, escrow, seal};
use super::burn::{BurnView, Order};
use super::consent::Consent;
use super::wish::{content, secret_file};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// How far encryption is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It can be switched off again a few times, and the chip encrypts what is downloaded
    Development,
    /// For ever
    Release,
}

/// Which flash encryption key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
pub enum Strength {
    /// 32 bytes in one slot
    #[value(name = "xts128")]
    #[serde(rename = "xts128")]
    Xts128,
    /// 64 bytes in two slots
    #[value(name = "xts256")]
    #[serde(rename = "xts256")]
    Xts256,
}

fn xts128() -> Strength {
    Strength::Xts128
}

fn key_name() -> String {
    "flash".to_owned()
}

/// Parameters of `esp_encryption_enable`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EncryptionParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// How far
    #[arg(long, value_enum)]
    pub mode: Mode,
    /// How flash gets its ciphertext: written (it is there), bootloader (it encrypts the plain text that is there
    /// on its first start, and then burns the count itself)
    #[arg(long, value_name = "HOW")]
    pub content: String,
    /// Which kind of key
    #[arg(long, value_enum, default_value = "xts128")]
    #[serde(default = "xts128")]
    pub strength: Strength,
    /// Name of the unit's key in the store; made and sealed if it is not there
    #[arg(long, default_value = "flash")]
    #[serde(default = "key_name")]
    pub key: String,
    /// The key in a file, sealed under that name first
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Who keeps the key once it is burned
    #[arg(long, value_enum, default_value = "escrow")]
    #[serde(default = "escrow")]
    pub custody: CustodyChoice,
    /// Key slot (default: the first free one that can hold it)
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// What is answered for
    #[command(flatten)]
    #[serde(flatten)]
    pub consent: Consent,
}

/// `esp_encryption_enable`.
#[derive(Debug)]
pub struct EncryptionEnable;

#[async_trait]
impl Operation for EncryptionEnable {
    const DECLARATION: Declaration = Declaration {
        name: "esp_encryption_enable",
        aliases: &["esp_enable_flash_encryption"],
        command: &["security", "enable-encryption"],
        title: "Switch on flash encryption",
        summary: "Seals the unit's flash encryption key, plans the pulses that put it into the chip and switch encryption on, and \
                  burns them if that plan was approved. Without an approval it returns the plan, its digest and how to grant one.",
        effect: Effect::Irreversible,
        idempotent: true,
    };
    type Parameters = EncryptionParameters;
    type Output = BurnView;

    async fn invoke(
        station: &Station,
        parameters: EncryptionParameters,
        call: &Call,
    ) -> Result<BurnView, OperationError> {
        // What is text is read before anything is sealed or connected.
        let accepted = parameters.consent.accepted.dangers()?;
        let content = content(Some(&parameters.content))?;
        let name = KeyName::parse(&parameters.key)?;
        let journal = station.journal().await?;
        let order = Order {
            station,
            call,
            operation: Self::DECLARATION.name,
            approval: parameters.consent.approval.as_deref(),
        };
        let (bench, earlier) = order.open(&journal, &parameters.attached).await?;
        let mac = bench.looked.mac.clone();
        let planned = async {
            let sealed = key(
                station,
                &journal,
                &bench.looked.snapshot,
                &name,
                &parameters,
            )
            .await;
            let (key, gone) = match sealed {
                Ok(key) => (vec![key], None),
                // The chip alone has it: there is nothing to do, or else nothing that can be done.
                Err(error) if error.code == "key-forgotten" => (Vec::new(), Some(error)),
                Err(error) => return Err(error),
            };
            let release = parameters.mode == Mode::Release;
            let (snapshot, map) = (&bench.looked.snapshot, bench.looked.snapshot.map());
            let mut wish = Wish {
                fields: match content {
                    ContentPlan::ByBootloader => {
                        fuses_for_bootloader(map, release, is_on(snapshot))
                    }
                    ContentPlan::Written | ContentPlan::Unknown => encryption_fuses(map, release),
                },
                keys: key,
                ..Wish::default()
            };
            wish.accepted = accepted;
            wish.content = FlashContent {
                encrypted: content,
                signed_by: Vec::new(),
                digested: false,
            };
            let Some(gone) = gone else {
                return order.plan(&journal, &bench.looked, &wish, &earlier).await;
            };
            match bench.looked.plan(&wish, &earlier) {
                Ok(plan) if plan.is_empty() => Ok(plan),
                Ok(_) | Err(_) => Err(gone),
            }
        };
        let planned = planned.await;
        let mut view = order
            .finish(&journal, bench, planned, &parameters.attached)
            .await?;
        if parameters.custody == CustodyChoice::Escrow {
            view.warnings.extend(station.own_escrow());
        }
        if parameters.custody == CustodyChoice::Forget {
            let gone = forget(station, &journal, &name, mac, call).await?;
            if !gone {
                view.warnings.push(format!(
                    "the store keeps key `{name}`: it was sealed for escrow before; `station keys forget` wipes it"
                ));
            }
        }
        Ok(view)
    }

    fn words(view: &BurnView) -> String {
        view.words()
    }
}

/// Whether the fuses say that flash is ciphertext: an odd number of bits of the count.
fn is_on(snapshot: &Snapshot) -> bool {
    let count = snapshot.fuses.read(FieldName::FlashCryptCount);
    count.is_some_and(|count| count.count_ones() % 2 == 1)
}

/// The unit's key, sealed before anything is planned with it.
async fn key(
    station: &Station,
    journal: &Journal,
    snapshot: &Snapshot,
    name: &KeyName,
    asked: &EncryptionParameters,
) -> Result<KeyWish, OperationError> {
    let (kind, purpose) = match asked.strength {
        _ if snapshot.chip == Chip::Esp32 => (KeyKind::XtsAes128, "flash_encryption"),
        Strength::Xts128 => (KeyKind::XtsAes128, "XTS_AES_128_KEY"),
        Strength::Xts256 => (KeyKind::XtsAes256, "XTS_AES_256_KEY"),
    };
    let source = match &asked.key_file {
        Some(file) => KeySource::Given(secret_file(station, file).await?),
        None => KeySource::Generate,
    };
    let order = KeyOrder {
        name: name.clone(),
        owner: KeyOwner::Unit(Mac::new(snapshot.mac.to_string())),
        kind,
        custody: asked.custody.custody(),
        purpose: Some(purpose.to_owned()),
        source,
    };
    let (_, secret) = seal(journal, &station.keys().await?, order).await?;
    Ok(KeyWish {
        slot: asked.slot.clone().map_or(Slot::Free, Slot::Named),
        purpose: purpose.to_owned(),
        key: secret,
        read_protect: Some(true),
        write_protect: Some(true),
    })
}

/// Lets the store forget a key that is in the chip now; says whether it is gone.
async fn forget(
    station: &Station,
    journal: &Journal,
    name: &KeyName,
    mac: Mac,
    call: &Call,
) -> Result<bool, OperationError> {
    const REASON: &str = "burned into its chip, which alone keeps it";
    let store = station.keys().await?;
    let owner = KeyOwner::Unit(mac);
    match store.record(name, &owner)? {
        Some(record) if record.forgotten.is_none() && record.custody == Custody::Forget => {
            let end = Forgotten {
                at: Utc::now(),
                by: call.by.clone(),
                reason: REASON.to_owned(),
            };
            store.forget(name, &owner, end)?;
            store.say_unsaid(journal, Utc::now()).await?;
            Ok(true)
        }
        Some(record) if record.forgotten.is_some() => {
            // A crash may have kept that from the record.
            store.say_unsaid(journal, Utc::now()).await?;
            Ok(true)
        }
        Some(_) => Ok(false),
        None => Ok(true),
    }
}
