//! What becomes of keys that are there: `esp_key_escrow`, `esp_key_forget`.

use async_trait::async_trait;
use chrono::Utc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use station_line::approval::Subject;
use station_line::keys::Forgotten;

use super::super::text::words;
use super::{KeyId, KeyView};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;
use crate::station::permit::{Asked, permit};

/// Parameters of `esp_key_escrow`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EscrowParameters {}

/// Keys that were sealed anew.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EscrowView {
    /// How many
    pub keys: u64,
    /// The file that names the recipients, one age public key a line
    pub recipients: String,
    /// The station's own recipient, which can always open them
    pub own: String,
}

/// `esp_key_escrow`.
#[derive(Debug)]
pub struct KeyEscrow;

#[async_trait]
impl Operation for KeyEscrow {
    const DECLARATION: Declaration = Declaration {
        name: "esp_key_escrow",
        aliases: &[],
        command: &["keys", "escrow"],
        title: "Seal every key to the escrow recipients of now",
        summary: "Seals every key of the store anew to the age public keys in `recipients.txt` of the key store, so that whoever \
                  holds one of their identities can open the sealed files without this station.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = EscrowParameters;
    type Output = EscrowView;

    async fn invoke(
        station: &Station,
        _parameters: EscrowParameters,
        _call: &Call,
    ) -> Result<EscrowView, OperationError> {
        let store = station.keys().await?;
        let recipients = store.folder().join("recipients.txt").display().to_string();
        let own = store.recipient();
        let keys = tokio::task::spawn_blocking(move || store.reseal())
            .await
            .map_err(|error| OperationError::new("internal", error.to_string()))??;
        Ok(EscrowView {
            keys,
            recipients,
            own,
        })
    }
}

/// Parameters of `esp_key_forget`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ForgetParameters {
    /// Which key
    #[command(flatten)]
    #[serde(flatten)]
    pub key: KeyId,
    /// Why
    #[arg(long)]
    pub reason: String,
    /// Approval of exactly this, as a refusal without one asks for it
    #[arg(long, value_name = "ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
}

/// `esp_key_forget`.
#[derive(Debug)]
pub struct KeyForget;

#[async_trait]
impl Operation for KeyForget {
    const DECLARATION: Declaration = Declaration {
        name: "esp_key_forget",
        aliases: &[],
        command: &["keys", "forget"],
        title: "Forget a key for ever",
        summary: "Wipes a key from the store and leaves a note that it was there; it is never made anew for that unit. Needs an \
                  approval.",
        effect: Effect::Irreversible,
        idempotent: true,
    };
    type Parameters = ForgetParameters;
    type Output = KeyView;

    async fn invoke(
        station: &Station,
        parameters: ForgetParameters,
        call: &Call,
    ) -> Result<KeyView, OperationError> {
        let (name, owner) = parameters.key.read()?;
        words("reason", &parameters.reason)?;
        let unknown = || {
            OperationError::usage(
                "key-unknown",
                format!("the store has no key `{name}` of {owner}"),
            )
        };
        if !station.has_keys() {
            return Err(unknown());
        }
        let store = station.keys().await?;
        let record = store.record(&name, &owner)?.ok_or_else(unknown)?;
        let journal = station.journal().await?;
        if record.forgotten.is_some() {
            // A crash may have kept that from the record.
            store.say_unsaid(&journal, Utc::now()).await?;
            return Ok(KeyView::of(&record));
        }
        let what =
            json!({"name": record.name, "owner": record.owner, "fingerprint": record.fingerprint});
        let text = format!(
            "key `{name}` of {owner} ({}, fingerprint {}) is wiped from the store and can never be had again",
            record.kind, record.fingerprint
        );
        let asked = Asked {
            operation: Self::DECLARATION.name,
            subject: Subject::operation(Self::DECLARATION.name, &what),
            text: &text,
        };
        permit(&journal, call, &asked, parameters.approval.as_deref()).await?;
        let end = Forgotten {
            at: Utc::now(),
            by: call.by.clone(),
            reason: parameters.reason,
        };
        let record = store.forget(&name, &owner, end)?;
        store.say_unsaid(&journal, Utc::now()).await?;
        Ok(KeyView::of(&record))
    }
}
