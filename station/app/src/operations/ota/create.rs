//! Packages made: `esp_ota_package_create`.

use std::path::PathBuf;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::ota::{Manifest, OtaError, Package};
use station_esp::secret::Secret;
use station_line::keys::{KeyKind, KeyName, KeyOwner};
use station_line::release::StationKey;

use super::super::images::{FileForm, RawFile};
use super::super::security::secret_file;
use super::super::target::{FileView, Target, blocking, sha256};
use super::package::{ManifestView, refused};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;
use crate::station::permit::person;

/// What stands before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410).
const PKCS8: [u8; 16] = [
    0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Parameters of `esp_ota_package_create`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CreateParameters {
    /// The application image
    pub image: PathBuf,
    /// Product it is for
    #[arg(long)]
    pub product: String,
    /// Version of the firmware; default: the one in the image
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Partition it is meant for; default: the next update slot
    #[arg(long, value_name = "NAME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Sign with the Ed25519 key in this file: 32 raw bytes, or PEM (PKCS#8)
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_file: Vec<PathBuf>,
    /// Sign with the shared Ed25519 key of that name in the store
    #[arg(long, value_name = "NAME")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Sign with the key that the station signs releases with; a client's person is asked
    #[arg(long)]
    #[serde(default)]
    pub station_key: bool,
    /// File to write
    #[arg(long)]
    pub out: PathBuf,
}

/// A package that was made.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CreateView {
    /// The file that was written
    #[serde(flatten)]
    pub package: FileView,
    /// What it says about its image
    pub manifest: ManifestView,
    /// Public keys of those who signed
    pub signed_by: Vec<String>,
}

/// Who signs.
struct Signers {
    keys: Vec<Secret>,
    station: Option<StationKey>,
}

impl CreateParameters {
    async fn signers(
        &self,
        station: &Station,
        image: &[u8],
        call: &Call,
    ) -> Result<Signers, OperationError> {
        let mut keys = Vec::new();
        for file in &self.key_file {
            let secret = secret_file(station, file).await?;
            keys.push(signing_key(&secret).ok_or_else(|| {
                let message = format!("`{}` holds no Ed25519 key", file.display());
                OperationError::usage("ota-key-form", message)
                    .hint("`openssl genpkey -algorithm ed25519` makes one as PEM")
            })?);
        }
        for name in &self.key {
            keys.push(stored(station, name).await?);
        }
        let mut own = None;
        if self.station_key {
            let digest = sha256(image);
            let text = format!(
                "sign an update of product `{}` with the key of this station, which devices may trust\n\
                 image: SHA-256 {digest}",
                self.product
            );
            person(call, text, &digest).await?;
            let store = station.keys().await?;
            own = Some(blocking(move || Ok(store.station_key(Utc::now())?)).await?);
        }
        Ok(Signers { keys, station: own })
    }
}

/// The 32 bytes of a key in one of the forms that it comes in.
fn signing_key(secret: &Secret) -> Option<Secret> {
    let bytes = secret.expose();
    if bytes.len() == 32 {
        return Some(secret.clone());
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let inner = text.split("-----BEGIN PRIVATE KEY-----").nth(1)?;
    let inner = inner.split("-----END PRIVATE KEY-----").next()?;
    let digits = Secret::new(inner.split_whitespace().collect::<String>().into_bytes());
    let der = Secret::new(STANDARD.decode(digits.expose()).ok()?);
    let key = der.expose().strip_prefix(&PKCS8)?;
    (key.len() == 32).then(|| Secret::new(key.to_vec()))
}

/// A key of the store that is one for signatures: the bytes of another kind are not for this.
async fn stored(station: &Station, name: &str) -> Result<Secret, OperationError> {
    let name = KeyName::parse(name)?;
    let unknown = || {
        OperationError::usage("key-unknown", format!("the store has no key `{name}`"))
            .hint("`station keys generate --kind ed25519` makes one")
    };
    if !station.has_keys() {
        return Err(unknown());
    }
    let store = station.keys().await?;
    let asked = name.clone();
    let found = blocking(move || {
        let record = store.record(&asked, &KeyOwner::Shared)?;
        match record {
            None => Ok(None),
            Some(record) if record.kind != KeyKind::Ed25519 => {
                let message = format!("`{asked}` is a key of kind {}, not ed25519", record.kind);
                Err(OperationError::usage("ota-key-kind", message))
            }
            Some(_) => Ok(Some(store.reveal(&asked, &KeyOwner::Shared)?)),
        }
    });
    found.await?.ok_or_else(unknown)
}

/// `esp_ota_package_create`.
#[derive(Debug)]
pub struct PackageCreate;

#[async_trait]
impl Operation for PackageCreate {
    const DECLARATION: Declaration = Declaration {
        name: "esp_ota_package_create",
        aliases: &[],
        command: &["ota", "create"],
        title: "Make an update package",
        summary: "Makes of an application image an update package: a tar file with a manifest that says what the image is and where it \
                  may run, Ed25519 signatures over that, and the image. Equal content makes equal bytes.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = CreateParameters;
    type Output = CreateView;

    async fn invoke(
        station: &Station,
        parameters: CreateParameters,
        call: &Call,
    ) -> Result<CreateView, OperationError> {
        let target = Target::new(station, &parameters.out)?;
        target.spare(station, &parameters.key_file)?;
        let file = RawFile::read(station, &parameters.image).await?;
        let name = file.name().to_owned();
        if file.form() != FileForm::Plain {
            let message = format!("`{name}` is no image as it lies in flash");
            return Err(OperationError::usage("image-form", message)
                .hint("`station firmware elf-to-binary` makes an image of an ELF"));
        }
        let image = file.into_bytes();
        let wrong =
            |error: &OtaError| OperationError::usage(error.code(), format!("`{name}`: {error}"));
        let CreateParameters {
            product,
            version,
            partition,
            ..
        } = &parameters;
        let manifest =
            Manifest::for_image(product, version.as_deref(), partition.as_deref(), &image)
                .map_err(|error| wrong(&error))?;
        let signers = parameters.signers(station, &image, call).await?;
        blocking(move || {
            let made = |error: &OtaError| refused(&target.name, error);
            let mut package = Package::new(manifest, &image).map_err(|error| made(&error))?;
            for key in &signers.keys {
                package.sign(key).map_err(|error| made(&error))?;
            }
            if let Some(key) = &signers.station {
                key.sign_package(&mut package)
                    .map_err(|error| made(&error))?;
            }
            let bytes = package.to_bytes().map_err(|error| made(&error))?;
            Ok(CreateView {
                package: target.write(&bytes)?,
                manifest: ManifestView::of(package.manifest()),
                signed_by: package
                    .signatures()
                    .iter()
                    .map(|signature| signature.key.to_string())
                    .collect(),
            })
        })
        .await
    }

    fn words(view: &CreateView) -> String {
        let signed = match view.signed_by.as_slice() {
            [] => "not signed".to_owned(),
            keys => format!("signed by {}", keys.join(", ")),
        };
        format!(
            "{}\n{signed}\n{}",
            view.manifest.words(),
            view.package.words()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_or_pem_and_nothing_else() {
        let raw = Secret::new(vec![7; 32]);
        assert_eq!(signing_key(&raw).unwrap().expose(), [7; 32]);
        let der = [PKCS8.as_slice(), &[9; 32]].concat();
        let pem = |der: &[u8]| {
            let inner = STANDARD.encode(der);
            let text = format!("-----BEGIN PRIVATE KEY-----\n{inner}\n-----END PRIVATE KEY-----\n");
            Secret::new(text.into_bytes())
        };
        assert_eq!(signing_key(&pem(&der)).unwrap().expose(), [9; 32]);
        assert!(signing_key(&pem(&der[..47])).is_none());
        assert!(signing_key(&pem(&[der.as_slice(), &[0]].concat())).is_none());
        assert!(signing_key(&Secret::new(vec![7; 31])).is_none());
        assert!(signing_key(&Secret::new(vec![b'a'; 64])).is_none());
    }
}
