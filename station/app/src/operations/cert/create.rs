//! Identity partitions made: `esp_cert_partition_create`.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::Chip;
use station_esp::cert::{
    CertError, Certificate, EfuseReference, Identity, IdentityKey, KeyFile, Partition, RsaContext,
    sign,
};
use station_esp::secret::Secret;
use station_esp::secure::signature::{PrivateKey, Signer};

use super::super::security::{KeyOrigin, private_key, secret_file};
use super::super::target::{FileView, Target, blocking};
use super::view::{EntryView, PrivateKeyView, entries, private_key as shown};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Most keys that sign one partition, as in secure boot.
const MAX_SIGNERS: usize = 3;

/// Where the device's private key is to be.
#[derive(
    clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum KeyHome {
    /// In the partition, readable to all who read the flash
    #[default]
    Flash,
    /// In the partition, encrypted for the chip's RSA peripheral under an HMAC key in its fuses
    Rsa,
    /// In the chip's fuses for its ECDSA peripheral; the partition says in which block
    Ecdsa,
}

/// Parameters of `esp_cert_partition_create`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CreateParameters {
    /// File to write
    pub out: PathBuf,
    /// The device's certificate, PEM or DER
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<PathBuf>,
    /// The certificate of the authority that signed it, PEM or DER
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The device's private key
    #[command(flatten)]
    #[serde(flatten)]
    pub key: KeyOrigin,
    /// Where the private key is to be
    #[arg(long, value_enum, default_value = "flash", value_name = "PLACE")]
    #[serde(default)]
    pub home: KeyHome,
    /// The chip, for a key in one of its peripherals
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub chip: Option<Chip>,
    /// Key block with the HMAC key or the ECDSA key, 0 to 5
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(0..=5))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5))]
    pub key_block: Option<u8>,
    /// The HMAC key in that block, 32 bytes in a file
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
    pub hmac_unit: Option<String>,
    /// Private key that signs the partition, PEM or DER; several sign one after the other
    #[arg(long = "sign", value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sign: Vec<PathBuf>,
    /// Write the whole partition of 8 KiB, erased behind the entries
    #[arg(long)]
    #[serde(default)]
    pub whole: bool,
}

/// An identity partition that was written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CreateView {
    /// The file that was written, readable for its owner only
    #[serde(flatten)]
    pub file: FileView,
    /// Bytes of the entries
    pub used: usize,
    /// Its entries
    pub entries: Vec<EntryView>,
    /// What may be known of the private key
    pub private_key: Option<PrivateKeyView>,
    /// How many keys signed it
    pub signatures: usize,
}

/// What is wrong with an identity, as an answer.
pub(super) fn refused(error: &CertError) -> OperationError {
    OperationError::usage(error.code(), error.to_string())
}

fn missing(what: &str, hint: &str) -> OperationError {
    OperationError::usage("cert-missing", format!("no {what} was named")).hint(hint)
}

/// Everything that goes into the partition.
struct Order {
    device: Option<Certificate>,
    ca: Option<Certificate>,
    key: Option<KeyFile>,
    home: KeyHome,
    chip: Option<Chip>,
    key_block: Option<u8>,
    hmac_key: Option<Secret>,
    signers: Vec<PrivateKey>,
    whole: bool,
    target: Target,
}

impl CreateParameters {
    async fn order(&self, station: &Station) -> Result<Order, OperationError> {
        let target = Target::new(station, &self.out)?;
        let keys = self.key.key_file.iter().chain(&self.hmac_key_file);
        let certificates = self.device.iter().chain(&self.ca);
        target.spare(station, keys.chain(&self.sign).chain(certificates))?;
        let device = certificate(station, self.device.as_deref()).await?;
        let ca = certificate(station, self.ca.as_deref()).await?;
        let key = match self.key.is_absent() {
            true => None,
            false => {
                let secret = self.key.secret(station).await?;
                Some(KeyFile::read(secret.expose()).map_err(|error| refused(&error))?)
            }
        };
        let hmac = KeyOrigin {
            key_file: self.hmac_key_file.clone(),
            key: self.hmac_key.clone(),
            unit: self.hmac_unit.clone(),
        };
        let hmac_key = match hmac.is_absent() {
            true => None,
            false => Some(hmac.secret(station).await?),
        };
        if self.sign.len() > MAX_SIGNERS {
            let message = format!(
                "{} signing keys, where {MAX_SIGNERS} sign at most",
                self.sign.len()
            );
            return Err(OperationError::usage("cert-signers", message));
        }
        let mut signers = Vec::new();
        for file in &self.sign {
            signers.push(private_key(&secret_file(station, file).await?)?);
        }
        Ok(Order {
            device,
            ca,
            key,
            home: self.home,
            chip: self.chip,
            key_block: self.key_block,
            hmac_key,
            signers,
            whole: self.whole,
            target,
        })
    }
}

/// Reads a certificate, if one was named.
pub(super) async fn certificate(
    station: &Station,
    file: Option<&Path>,
) -> Result<Option<Certificate>, OperationError> {
    let Some(file) = file else {
        return Ok(None);
    };
    let name = file.display();
    let read = secret_file(station, file).await?;
    let certificate = Certificate::read(read.expose())
        .map_err(|error| OperationError::usage(error.code(), format!("`{name}`: {error}")))?;
    Ok(Some(certificate))
}

impl Order {
    fn chip(&self) -> Result<Chip, OperationError> {
        let hint = "a key for a peripheral is made for one kind of chip: `chip`";
        self.chip.ok_or_else(|| missing("chip", hint))
    }

    fn key_block(&self) -> Result<u8, OperationError> {
        let hint = "say in which key block of the chip the key is: `key_block`";
        self.key_block.ok_or_else(|| missing("key block", hint))
    }

    /// The key for the chip's RSA peripheral.
    fn sealed(&self, key: &KeyFile) -> Result<RsaContext, OperationError> {
        let hint = "the RSA peripheral decrypts with an HMAC key: `hmac_key_file` or `hmac_key`";
        let hmac = self
            .hmac_key
            .as_ref()
            .ok_or_else(|| missing("HMAC key", hint))?;
        if let Some(device) = &self.device {
            device.check_key(key).map_err(|error| refused(&error))?;
        }
        let mut iv = [0; 16];
        getrandom::fill(&mut iv)
            .map_err(|error| OperationError::new("random-unavailable", error.to_string()))?;
        RsaContext::seal(key, hmac, self.key_block()?, self.chip()?, iv)
            .map_err(|error| refused(&error))
    }

    fn partition(&self) -> Result<Partition, OperationError> {
        if self.key.is_none() && self.home != KeyHome::Flash {
            let hint = "name the private key: `key_file` or `key`";
            return Err(missing("private key", hint));
        }
        let sealed;
        let key = match (&self.key, self.home) {
            (None, _) => None,
            (Some(key), KeyHome::Flash) => Some(IdentityKey::Plain(key)),
            (Some(key), KeyHome::Rsa) => {
                sealed = self.sealed(key)?;
                Some(IdentityKey::Rsa(&sealed))
            }
            (Some(key), KeyHome::Ecdsa) => {
                if let Some(device) = &self.device {
                    device.check_key(key).map_err(|error| refused(&error))?;
                }
                let reference = EfuseReference::new(key.kind(), self.key_block()?, self.chip()?);
                Some(IdentityKey::Ecdsa(
                    reference.map_err(|error| refused(&error))?,
                ))
            }
        };
        let identity = Identity {
            ca: self.ca.as_ref(),
            device: self.device.as_ref(),
            key,
        };
        if self.signers.is_empty() {
            return identity.to_partition().map_err(|error| refused(&error));
        }
        let signers: Vec<&dyn Signer> = self.signers.iter().map(|key| key as &dyn Signer).collect();
        let signed = identity.entries().and_then(|mut partition| {
            sign(&mut partition, &signers, &mut UnwrapErr(SysRng))?;
            partition.signatures()?;
            Ok(partition)
        });
        signed.map_err(|error| refused(&error))
    }

    fn made(self) -> Result<CreateView, OperationError> {
        let partition = self.partition()?;
        let bytes = if self.whole {
            partition.to_image()
        } else {
            Secret::new(partition.to_bytes())
        };
        Ok(CreateView {
            file: self.target.write(bytes.expose())?,
            used: partition.flash_length(),
            entries: entries(&partition),
            private_key: shown(&partition),
            signatures: self.signers.len(),
        })
    }
}

/// `esp_cert_partition_create`.
#[derive(Debug)]
pub struct CertCreate;

#[async_trait]
impl Operation for CertCreate {
    const DECLARATION: Declaration = Declaration {
        name: "esp_cert_partition_create",
        aliases: &[],
        command: &["cert", "create"],
        title: "Make an identity partition",
        summary: "Makes an esp_secure_cert partition of a device's certificate, its authority's and its private key: in flash, for the \
                  chip's RSA peripheral, or as a reference to a fuse block; signed if asked. Checks that key and certificate belong together.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = CreateParameters;
    type Output = CreateView;

    async fn invoke(
        station: &Station,
        parameters: CreateParameters,
        _call: &Call,
    ) -> Result<CreateView, OperationError> {
        let order = parameters.order(station).await?;
        blocking(move || order.made()).await
    }
}
