//! Secure boot of one chip: `esp_secure_boot_enable`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_line::wish::{MAX_DIGESTS, secure_boot};

use super::super::attached::Attached;
use super::burn::{BurnView, Order};
use super::wish::{dangers, digests};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_secure_boot_enable`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SecureBootParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// Public key that is trusted (PEM), or a digest of 32 bytes; up to three
    #[arg(long = "public-key", value_name = "FILE", required = true)]
    pub public_keys: Vec<PathBuf>,
    /// Revoke the slots that are left empty
    #[arg(long)]
    #[serde(default)]
    pub revoke_unused: bool,
    /// Revoke a key for ever when one signature by it is wrong
    #[arg(long)]
    #[serde(default)]
    pub aggressive_revoke: bool,
    /// The bootloader in flash is signed by one of these keys
    #[arg(long)]
    #[serde(default)]
    pub content_signed: bool,
    /// A danger that is wanted
    #[arg(long = "accept", value_name = "DANGER")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
    /// Approval of exactly the plan that this makes; without one the plan is shown and refused
    #[arg(long, value_name = "ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
}

/// `esp_secure_boot_enable`.
#[derive(Debug)]
pub struct SecureBootEnable;

#[async_trait]
impl Operation for SecureBootEnable {
    const DECLARATION: Declaration = Declaration {
        name: "esp_secure_boot_enable",
        aliases: &[],
        command: &["security", "enable-secure-boot"],
        title: "Switch on secure boot",
        summary: "Plans the pulses that make a chip start only images signed by the given keys (secure boot v2) and burns them if \
                  that plan was approved. Without an approval it returns the plan, its digest and how to grant one.",
        effect: Effect::Irreversible,
        idempotent: true,
    };
    type Parameters = SecureBootParameters;
    type Output = BurnView;

    async fn invoke(
        station: &Station,
        parameters: SecureBootParameters,
        call: &Call,
    ) -> Result<BurnView, OperationError> {
        let accepted = dangers(&parameters.accept)?;
        if parameters.public_keys.is_empty() || parameters.public_keys.len() > MAX_DIGESTS {
            let message = format!("secure boot trusts 1 to {MAX_DIGESTS} keys");
            return Err(OperationError::usage("secure-boot-keys", message));
        }
        let digests = digests(station, &parameters.public_keys).await?;
        let journal = station.journal().await?;
        let order = Order {
            station,
            call,
            operation: Self::DECLARATION.name,
            approval: parameters.approval.as_deref(),
        };
        let opened = order.open(&journal, &parameters.attached).await?;
        let snapshot = &opened.0.looked.snapshot;
        let mut wish = secure_boot(
            snapshot.map(),
            &digests,
            parameters.revoke_unused,
            parameters.aggressive_revoke,
            parameters.content_signed,
        );
        wish.accepted = accepted;
        order
            .fulfil(&journal, opened, Ok(wish), &parameters.attached)
            .await
    }

    fn words(view: &BurnView) -> String {
        view.words()
    }
}
