//! Matter factory partitions made: `esp_matter_partition_create`.

mod order;
mod product;

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use async_trait::async_trait;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::cert::KeyFile;
use station_esp::matter::{
    Attestation, Declaration as Certified, Discovery, Discriminator, Flow, MatterError, Passcode,
};
use station_esp::nvs::NvsKeys;
use station_esp::secure::random;

use super::super::security::{KeyOrigin, secret_file};
use super::super::target::{Target, blocking};
use super::super::text::bytes;
use super::create::{certificate, refused as refused_certificate};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;
use order::Order;

pub use order::MatterView;
pub use product::ProductParameters;

/// Bytes of a salt that is drawn: as many as there may be.
const SALT: usize = 32;
/// Bytes of what rotating identifiers are made of.
const ROTATING_ID: usize = 16;

fn usual_iterations() -> u32 {
    10_000
}

fn usual_size() -> String {
    "0x6000".to_owned()
}

fn usual_discovery() -> Vec<DiscoveryWay> {
    vec![DiscoveryWay::Ble]
}

/// What else has to be done to a unit before it can be commissioned.
#[derive(
    clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CommissioningFlow {
    /// Nothing: power suffices
    #[default]
    Standard,
    /// Something that its user knows, such as pressing a button
    UserIntent,
    /// Something that its maker's instructions say
    Custom,
}

impl From<CommissioningFlow> for Flow {
    fn from(flow: CommissioningFlow) -> Self {
        match flow {
            CommissioningFlow::Standard => Self::Standard,
            CommissioningFlow::UserIntent => Self::UserIntent,
            CommissioningFlow::Custom => Self::Custom,
        }
    }
}

/// How a unit that is not yet commissioned can be found.
#[derive(
    clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DiscoveryWay {
    /// Bluetooth Low Energy
    Ble,
    /// On a network that it is on already
    OnNetwork,
    /// Wi-Fi Public Action Frames
    WifiPaf,
    /// NFC
    Nfc,
    /// Thread
    Thread,
}

/// A passcode as it is given. Nothing that formats shows it.
#[derive(Clone, Serialize, Deserialize)]
pub struct GivenPasscode(String);

impl FromStr for GivenPasscode {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for GivenPasscode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenPasscode(********)")
    }
}

/// Parameters of `esp_matter_partition_create`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MatterParameters {
    /// File to write, which must not be there yet
    pub out: PathBuf,
    /// The product
    #[command(flatten)]
    #[serde(flatten)]
    pub product: ProductParameters,
    /// The unit's serial number
    #[arg(long, value_name = "TEXT")]
    pub serial: String,
    /// The day it was made: 20260401, 2026-04-01, or 20260401 and 8 letters
    #[arg(long, value_name = "DAY")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// 0 to 4095, by which it is told from others nearby; default: drawn
    #[arg(long, value_name = "NUMBER")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discriminator: Option<u16>,
    /// The passcode, 8 digits, in a file; default: drawn
    #[arg(long, value_name = "FILE", conflicts_with = "passcode")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passcode_file: Option<PathBuf>,
    /// The passcode itself, which others on this machine may see
    #[arg(long, value_name = "DIGITS")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub passcode: Option<GivenPasscode>,
    /// How often the passcode is hashed, 1000 to 100000
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    #[serde(default = "usual_iterations")]
    pub iterations: u32,
    /// What it is hashed with, 16 to 32 bytes in hex; default: drawn
    #[arg(long, value_name = "HEX")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Draw what rotating device identifiers are made of
    #[arg(long)]
    #[serde(default)]
    pub rotating_id: bool,
    /// The unit's attestation certificate (DAC), PEM or DER; default: it is in another partition
    #[arg(long, value_name = "FILE", requires = "pai")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dac: Option<PathBuf>,
    /// The certificate of the intermediate that signed it (PAI), PEM or DER
    #[arg(long, value_name = "FILE", requires = "dac")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pai: Option<PathBuf>,
    /// The private key of the unit's certificate
    #[command(flatten)]
    #[serde(flatten)]
    pub key: KeyOrigin,
    /// The product's certification declaration, DER
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declaration: Option<PathBuf>,
    /// What else has to be done before the unit can be commissioned
    #[arg(long, value_enum, default_value = "standard")]
    #[serde(default)]
    pub flow: CommissioningFlow,
    /// How it is found before it is commissioned; may be said several times
    #[arg(long, value_enum, default_value = "ble", value_name = "WAY")]
    #[serde(default = "usual_discovery")]
    pub discovery: Vec<DiscoveryWay>,
    /// Bytes of the partition: 0x6000, 24KB
    #[arg(long, default_value = "0x6000")]
    #[serde(default = "usual_size")]
    pub size: String,
    /// Encrypt the partition with the keys in this keys partition
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nvs_keys: Option<PathBuf>,
}

fn refused(error: &MatterError) -> OperationError {
    OperationError::usage(error.code(), error.to_string())
}

impl MatterParameters {
    /// The passcode, if one was given.
    async fn given(&self, station: &Station) -> Result<Option<Passcode>, OperationError> {
        let parsed = match (&self.passcode, &self.passcode_file) {
            (None, None) => return Ok(None),
            (Some(text), None) => text.0.parse(),
            (None, Some(file)) => {
                let read = secret_file(station, file).await?;
                let text = std::str::from_utf8(read.expose()).unwrap_or_default();
                text.trim_ascii().parse()
            }
            (Some(_), Some(_)) => {
                let message = "the passcode comes from a file or from a parameter, not both";
                return Err(OperationError::usage("matter-passcode-twice", message));
            }
        };
        parsed.map(Some).map_err(|error| refused(&error))
    }

    fn salt(&self) -> Result<Vec<u8>, OperationError> {
        match &self.salt {
            None => Ok(random::bytes(SALT, &mut UnwrapErr(SysRng))
                .expose()
                .to_vec()),
            Some(text) => hex::decode(text).map_err(|_| {
                OperationError::usage("matter-salt", "the salt is not written in hex")
                    .hint("write 16 to 32 bytes with two digits each")
            }),
        }
    }

    fn discriminator(&self) -> Result<Discriminator, OperationError> {
        let number = match self.discriminator {
            Some(number) => number,
            None => {
                let mut drawn = [0; 2];
                getrandom::fill(&mut drawn).map_err(|error| {
                    OperationError::new("random-unavailable", error.to_string())
                })?;
                u16::from_le_bytes(drawn) & 0xFFF
            }
        };
        Discriminator::new(number.into()).map_err(|error| refused(&error))
    }

    async fn attestation(&self, station: &Station) -> Result<Option<Attestation>, OperationError> {
        let dac = certificate(station, self.dac.as_deref()).await?;
        let pai = certificate(station, self.pai.as_deref()).await?;
        match (dac, pai, self.key.is_absent()) {
            (None, None, true) => Ok(None),
            (Some(dac), Some(pai), false) => {
                let secret = self.key.secret(station).await?;
                let key = KeyFile::read(secret.expose())
                    .map_err(|error| refused_certificate(&error))?;
                let attestation = Attestation::new(dac, pai, &key);
                attestation.map(Some).map_err(|error| refused(&error))
            }
            _ => Err(OperationError::usage(
                "cert-missing",
                "attestation takes three: a unit's certificate, its intermediate's and the private key",
            )
            .hint("name `dac`, `pai` and `key_file` or `key`, or none of them")),
        }
    }

    async fn order(&self, station: &Station) -> Result<Order, OperationError> {
        // The only copy of a unit's codes and keys is never written over.
        let target = Target::for_new_keys(station, &self.out)?;
        let declaration = match &self.declaration {
            None => None,
            Some(file) => {
                let der = secret_file(station, file).await?.expose().to_vec();
                Some(Certified::new(der).map_err(|error| refused(&error))?)
            }
        };
        let keys = match &self.nvs_keys {
            None => None,
            Some(file) => {
                let keys = NvsKeys::parse_partition(&secret_file(station, file).await?);
                Some(keys.map_err(|error| OperationError::usage(error.code(), error.to_string()))?)
            }
        };
        let made = self.made.as_deref().map(str::parse).transpose();
        Ok(Order {
            product: self.product.product()?,
            serial: self.serial.clone(),
            made: made.map_err(|error| refused(&error))?,
            discriminator: self.discriminator()?,
            given: self.given(station).await?,
            iterations: self.iterations,
            salt: self.salt()?,
            rotating_id: self
                .rotating_id
                .then(|| random::bytes(ROTATING_ID, &mut UnwrapErr(SysRng))),
            attestation: self.attestation(station).await?,
            declaration,
            flow: self.flow.into(),
            discovery: discovery(&self.discovery)?,
            size: bytes(&self.size)?,
            keys,
            target,
        })
    }
}

fn discovery(ways: &[DiscoveryWay]) -> Result<Discovery, OperationError> {
    let ways = ways.iter().map(|way| match way {
        DiscoveryWay::Ble => Discovery::BLE,
        DiscoveryWay::OnNetwork => Discovery::ON_NETWORK,
        DiscoveryWay::WifiPaf => Discovery::WIFI_PAF,
        DiscoveryWay::Nfc => Discovery::NFC,
        DiscoveryWay::Thread => Discovery::THREAD,
    });
    ways.reduce(Discovery::or).ok_or_else(|| {
        OperationError::usage("matter-discovery", "no way to find the unit was named")
    })
}

/// `esp_matter_partition_create`.
#[derive(Debug)]
pub struct MatterCreate;

#[async_trait]
impl Operation for MatterCreate {
    const DECLARATION: Declaration = Declaration {
        name: "esp_matter_partition_create",
        aliases: &[],
        command: &["cert", "matter"],
        title: "Make a Matter factory partition",
        summary: "Makes a unit's Matter factory partition: product, serial number, discriminator, SPAKE2+ verifier of its passcode, and if \
                  given its attestation certificates and key, which must belong together. Draws what is not given, and returns QR text \
                  and manual pairing code, which are kept nowhere else.",
        effect: Effect::Read,
        idempotent: false,
    };
    type Parameters = MatterParameters;
    type Output = MatterView;

    async fn invoke(
        station: &Station,
        parameters: MatterParameters,
        _call: &Call,
    ) -> Result<MatterView, OperationError> {
        let order = parameters.order(station).await?;
        blocking(move || order.made()).await
    }

    fn words(output: &MatterView) -> String {
        let mut text = output.file.words();
        text.push_str(&format!(
            "\nserial {}, discriminator {}\nQR code     {}\nmanual code {}",
            output.serial,
            output.discriminator,
            output.qr,
            grouped(&output.manual_code)
        ));
        if output.test_vendor {
            text.push_str("\nThe vendor is one for tests: no product may be sold with it.");
        }
        text
    }
}

/// A manual code as it is printed: 3497-011-2332, and what is longer in groups of four.
fn grouped(code: &str) -> String {
    let mut text = String::new();
    for (place, digit) in code.chars().enumerate() {
        let begins = match place {
            4 | 7 => true,
            11.. => (place - 11).is_multiple_of(4),
            _ => false,
        };
        if begins {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_shown_as_they_are_printed() {
        assert_eq!(grouped("34970112332"), "3497-011-2332");
        assert_eq!(
            grouped("749701123365521327687"),
            "7497-011-2336-5521-3276-87"
        );
    }

    #[test]
    fn a_given_passcode_is_not_shown() {
        let given: GivenPasscode = "20202021".parse().unwrap();
        assert!(!format!("{given:?}").contains("2020"));
    }
}
