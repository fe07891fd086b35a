//! Secure boot of one chip: `esp_secure_boot_enable`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::Chip;
use station_esp::efuse::plan::{Danger, Wish};
use station_esp::image::Image;
use station_esp::secret::Secret;
use station_esp::secure::signature::v1;
use station_line::journal::Journal;
use station_line::keys::{Custody, KeyKind, KeyName, KeyOrder, KeyOwner, KeySource};
use station_line::wish::{FIRST_SECURE_BOOT, MAX_DIGESTS, first_secure_boot, secure_boot};

use super::super::attached::Attached;
use super::super::keys::seal;
use super::burn::{Bench, BurnView, Order};
use super::consent::Consent;
use super::wish::{digests, secret_file};
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
    #[arg(long = "public-key", value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_keys: Vec<PathBuf>,
    /// Version 1, of the ESP32 alone: no public keys, but a key of the chip's own and the digest of its bootloader
    #[arg(long)]
    #[serde(default)]
    pub version1: bool,
    /// Version 1: name of the unit's key in the store; made and sealed if it is not there
    #[arg(long, default_value = "secure-boot")]
    #[serde(default = "key_name")]
    pub key: String,
    /// Version 1: the key in a file, sealed under that name first
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Version 1: the bootloader in flash; its digest is compared with what is at the start of flash
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootloader: Option<PathBuf>,
    /// Version 1: file that gets the digest of that bootloader, to be written to the start of flash
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_out: Option<PathBuf>,
    /// Revoke the slots that are left empty
    #[arg(long)]
    #[serde(default)]
    pub revoke_unused: bool,
    /// Revoke a key for ever when one signature by it is wrong
    #[arg(long)]
    #[serde(default)]
    pub aggressive_revoke: bool,
    /// The bootloader in flash is signed by one of these keys; version 1: its digest is in flash
    #[arg(long)]
    #[serde(default)]
    pub content_signed: bool,
    /// What is answered for
    #[command(flatten)]
    #[serde(flatten)]
    pub consent: Consent,
}

fn key_name() -> String {
    "secure-boot".to_owned()
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
        summary: "Plans the pulses that make a chip start only images signed by the given keys (secure boot v2), or only the \
                  bootloader whose digest was made with its own key (v1), and burns them if that plan was approved. Without an \
                  approval it returns the plan, its digest and how to grant one.",
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
        let accepted = parameters.consent.accepted.dangers()?;
        if parameters.version1 {
            return version_one(station, parameters, accepted, call).await;
        }
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
            approval: parameters.consent.approval.as_deref(),
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

/// Bytes of the key of version 1.
const FIRST_KEY: u8 = 32;

/// Secure boot version 1: the unit's key, sealed; the digest it makes, compared with flash; the fuses.
async fn version_one(
    station: &Station,
    parameters: SecureBootParameters,
    accepted: Vec<Danger>,
    call: &Call,
) -> Result<BurnView, OperationError> {
    let foreign = !parameters.public_keys.is_empty()
        || parameters.revoke_unused
        || parameters.aggressive_revoke;
    if foreign {
        let message = "version 1 has no public keys in the chip, and revokes none";
        return Err(OperationError::usage("secure-boot-keys", message));
    }
    if parameters.digest_out.is_some() && parameters.bootloader.is_none() {
        let message = "a digest is made of a bootloader: name it";
        return Err(OperationError::usage("secure-boot-bootloader", message));
    }
    let name = KeyName::parse(&parameters.key)?;
    let journal = station.journal().await?;
    let order = Order {
        station,
        call,
        operation: SecureBootEnable::DECLARATION.name,
        approval: parameters.consent.approval.as_deref(),
    };
    let (mut bench, earlier) = order.open(&journal, &parameters.attached).await?;
    let wish = first_wish(station, &journal, &mut bench, &name, &parameters).await;
    let wish = wish.map(|wish| Wish { accepted, ..wish });
    order
        .fulfil(&journal, (bench, earlier), wish, &parameters.attached)
        .await
}

async fn first_wish(
    station: &Station,
    journal: &Journal,
    bench: &mut Bench,
    name: &KeyName,
    asked: &SecureBootParameters,
) -> Result<Wish, OperationError> {
    if bench.looked.snapshot.chip != Chip::Esp32 {
        let title = bench.looked.snapshot.chip.title();
        let message = format!("{title} has no secure boot version 1");
        return Err(OperationError::usage("secure-boot-version", message));
    }
    let source = match &asked.key_file {
        Some(file) => KeySource::Given(secret_file(station, file).await?),
        None => KeySource::Generate,
    };
    let wanted = KeyOrder {
        name: name.clone(),
        owner: KeyOwner::Unit(bench.looked.mac.clone()),
        kind: KeyKind::Raw(FIRST_KEY.into()),
        custody: Custody::Escrow,
        purpose: Some(FIRST_SECURE_BOOT.to_owned()),
        source,
    };
    let (_, key) = seal(journal, &station.keys().await?, wanted).await?;
    let mut digested = asked.content_signed;
    if let Some(file) = &asked.bootloader {
        let digest = digest(station, file, &key).await?;
        if let Some(out) = &asked.digest_out {
            let target = station.writable(out)?;
            crate::station::write_whole(&target, &digest)?;
        }
        digested |= bench.has(0, &digest).await?;
    }
    Ok(first_secure_boot(Some(key), digested))
}

/// What lies at the start of flash for the bootloader in a file.
async fn digest(
    station: &Station,
    file: &std::path::Path,
    key: &Secret,
) -> Result<Vec<u8>, OperationError> {
    let bytes = secret_file(station, file).await?;
    let bytes = bytes.expose();
    let refuse = |error: &dyn std::fmt::Display| {
        OperationError::usage(
            "secure-boot-bootloader",
            format!("{}: {error}", file.display()),
        )
    };
    let length = Image::parse(bytes).map_err(|error| refuse(&error))?.length;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let image = bytes.get(..length).unwrap_or(bytes);
    v1::steady_digest(key, image).map_err(|error| refuse(&error))
}
