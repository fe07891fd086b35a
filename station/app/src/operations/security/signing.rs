//! Signatures: `esp_public_key_digest`, `esp_image_sign`, `esp_image_verify_signature`.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::image::Image;
use station_esp::secure::signature::{self, PublicKey, SignatureError, Signer, v1};
use station_line::keys::pkcs11::{PinSource, TokenKey, TokenSigner};

use super::super::images::RawFile;
use super::super::target::{FileView, Target, blocking};
use super::keys::KeyOrigin;
use super::public_keys::{private_key, public_key, refused};
use crate::operation::{Call, Declaration, Effect, Exit, Face, Operation, OperationError};
use crate::station::Station;

/// A public key, as chips and people name it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PublicKeyView {
    /// rsa-3072, ecdsa-p192, ecdsa-p256 or ecdsa-p384
    pub algorithm: String,
    /// SHA-256 over the key as it lies in a signature: what is burned into a digest slot
    pub digest: String,
    /// The key as PEM
    pub pem: String,
}

impl PublicKeyView {
    fn of(key: &PublicKey) -> Self {
        Self {
            algorithm: key.algorithm().name().to_owned(),
            digest: hex::encode(key.digest()),
            pem: key.to_pem(),
        }
    }
}

/// Parameters of `esp_public_key_digest`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DigestParameters {
    /// The public key, or a private key whose public half is meant (PEM, DER)
    #[arg(required_unless_present_any = ["key_file", "key"])]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The private key whose public half is meant
    #[command(flatten)]
    #[serde(flatten)]
    pub key: KeyOrigin,
    /// File to write the 32 bytes of the digest to
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
}

/// `esp_public_key_digest`.
#[derive(Debug)]
pub struct PublicKeyDigest;

#[async_trait]
impl Operation for PublicKeyDigest {
    const DECLARATION: Declaration = Declaration {
        name: "esp_public_key_digest",
        aliases: &[],
        command: &["security", "public-key-digest"],
        title: "Digest of a public key for secure boot",
        summary: "Returns the public half of a signing key and the digest that secure boot keeps of it in a key slot; writes the \
                  digest to a file if asked.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = DigestParameters;
    type Output = PublicKeyView;

    async fn invoke(
        station: &Station,
        parameters: DigestParameters,
        _call: &Call,
    ) -> Result<PublicKeyView, OperationError> {
        let target = parameters.out.as_ref();
        let target = target.map(|out| Target::new(station, out)).transpose()?;
        if let Some(target) = &target {
            let sources = parameters.file.iter().chain(&parameters.key.key_file);
            target.spare(station, sources)?;
        }
        let key = match &parameters.file {
            Some(_) if !parameters.key.is_absent() => {
                let message = "name a file or a key, not both";
                return Err(OperationError::usage("key-ambiguous", message));
            }
            Some(file) => public_key(station, file).await?,
            None => private_key(&parameters.key.secret(station).await?)?
                .public()
                .clone(),
        };
        if let Some(target) = target {
            let digest = key.digest();
            blocking(move || target.write(&digest)).await?;
        }
        Ok(PublicKeyView::of(&key))
    }
}

/// Parameters of `esp_image_sign`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SignParameters {
    /// Image to sign: a bootloader or an application
    pub file: PathBuf,
    /// The key to sign with
    #[command(flatten)]
    #[serde(flatten)]
    pub key: KeyOrigin,
    /// The key stays in a token that is reached through this PKCS#11 module; at the command line only
    #[arg(long, value_name = "LIBRARY", requires = "token_key", conflicts_with_all = ["key", "key_file"])]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkcs11_module: Option<PathBuf>,
    /// Label of the token; without one there must be exactly one
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Label of the private key in the token
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_key: Option<String>,
    /// Environment variable that holds the token's PIN
    #[arg(long, value_name = "VARIABLE", requires = "pkcs11_module")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_env: Option<String>,
    /// File to write
    #[arg(long)]
    pub out: PathBuf,
    /// Add a signature to those that are there
    #[arg(long)]
    #[serde(default)]
    pub append: bool,
    /// Sign for secure boot version 1 of the ESP32 (P-256)
    #[arg(long)]
    #[serde(default)]
    pub version1: bool,
}

/// A signature of an image.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SignatureView {
    /// Its place, from 0
    pub place: usize,
    /// The key it is by
    pub key: PublicKeyView,
}

/// A signed image.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SignView {
    /// The file that was written
    pub file: String,
    /// Its bytes
    pub size: u64,
    /// SHA-256 of them
    pub sha256: String,
    /// Every signature it carries
    pub signatures: Vec<SignatureView>,
}

/// `esp_image_sign`.
#[derive(Debug)]
pub struct ImageSign;

#[async_trait]
impl Operation for ImageSign {
    const DECLARATION: Declaration = Declaration {
        name: "esp_image_sign",
        aliases: &[],
        command: &["security", "sign"],
        title: "Sign an image for secure boot",
        summary: "Signs an image with a key from a file, the store or a PKCS#11 token, or adds a signature to a signed one, and checks the result \
                  before it writes it.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = SignParameters;
    type Output = SignView;

    async fn invoke(
        station: &Station,
        parameters: SignParameters,
        call: &Call,
    ) -> Result<SignView, OperationError> {
        if parameters.append && parameters.version1 {
            let message = "secure boot version 1 has one signature";
            return Err(OperationError::usage("signature-version", message));
        }
        let target = Target::new(station, &parameters.out)?;
        target.spare(station, &parameters.key.key_file)?;
        let key = signer(station, &parameters, call).await?;
        let content = RawFile::read(station, &parameters.file).await?.into_bytes();
        let SignParameters {
            append, version1, ..
        } = parameters;
        blocking(move || {
            let (image, signatures) = signed(&content, key.as_ref(), append, version1)
                .map_err(|error| refused(&error))?;
            // What is no image, a partition table, is checked by nobody or by its owner.
            if let Ok(parsed) = Image::parse(&content) {
                well_placed(&image, &parsed, version1)?;
            }
            let FileView { file, size, sha256 } = target.write(&image)?;
            Ok(SignView {
                file,
                size,
                sha256,
                signatures,
            })
        })
        .await
    }
}

/// Whoever holds the key: this program, or a token.
async fn signer(
    station: &Station,
    asked: &SignParameters,
    call: &Call,
) -> Result<Box<dyn Signer + Send>, OperationError> {
    let (Some(module), Some(key)) = (&asked.pkcs11_module, &asked.token_key) else {
        if asked.pkcs11_module.is_some() {
            let message = "a token's key is named by its label";
            return Err(OperationError::usage("key-missing", message));
        }
        return Ok(Box::new(private_key(&asked.key.secret(station).await?)?));
    };
    if call.face != Face::Cli {
        // A module is code of its maker that runs in this process.
        let message = "a client names no library to be loaded";
        return Err(OperationError::new("pkcs11-not-here", message)
            .hint("sign with a token at the station's command line")
            .exit(Exit::Refused));
    }
    let wanted = TokenKey {
        module: module.clone(),
        token: asked.token.clone(),
        key: key.clone(),
        pin: asked.pin_env.clone().map(PinSource::Env),
    };
    let signer = blocking(move || Ok(TokenSigner::open(&wanted)?)).await?;
    Ok(Box::new(signer))
}

/// Refuses a signature at the end of an image that the chip would not find.
///
/// # Errors
/// `signature-misplaced`.
pub(in crate::operations) fn well_placed(
    signed: &[u8],
    image: &Image,
    version1: bool,
) -> Result<(), OperationError> {
    let length = match version1 {
        true => v1::SIGNATURE_LENGTH,
        false => signature::SECTOR,
    };
    let (lies, wanted) = (
        signed.len().saturating_sub(length),
        image.signature_offset(version1),
    );
    if lies == wanted {
        return Ok(());
    }
    let message = format!(
        "the signature would lie at {lies:#x}, and the chip looks for it at {wanted:#x}, right behind the image"
    );
    Err(OperationError::usage("signature-misplaced", message).hint(
        "fill up less, and cut what lies behind the image: `station firmware optimize --out`",
    ))
}

/// Signs, and checks what came of it.
fn signed(
    content: &[u8],
    key: &dyn Signer,
    append: bool,
    version1: bool,
) -> Result<(Vec<u8>, Vec<SignatureView>), SignatureError> {
    let mut chance = UnwrapErr(SysRng);
    if version1 {
        let image = v1::sign(content, key, &mut chance)?;
        v1::verify(&image, key.public_key())?;
        let signature = SignatureView {
            place: 0,
            key: PublicKeyView::of(key.public_key()),
        };
        return Ok((image, vec![signature]));
    }
    let signers: [&dyn Signer; 1] = [key];
    let image = if append {
        signature::append(content, &signers, &mut chance)?
    } else {
        signature::sign(content, &signers, &mut chance)?
    };
    let signatures = checked(&image)?;
    Ok((image, signatures))
}

/// Every signature of an image, all of which hold.
fn checked(image: &[u8]) -> Result<Vec<SignatureView>, SignatureError> {
    let blocks = signature::verify(image)?;
    let views = blocks
        .iter()
        .enumerate()
        .map(|(place, block)| SignatureView {
            place,
            key: PublicKeyView::of(block.public_key()),
        });
    Ok(views.collect())
}

/// Parameters of `esp_image_verify_signature`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct VerifyParameters {
    /// The signed image
    pub file: PathBuf,
    /// Public key that must have signed it (PEM, DER); any of several
    #[arg(long = "public-key", value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_keys: Vec<PathBuf>,
    /// The signature is of secure boot version 1
    #[arg(long)]
    #[serde(default)]
    pub version1: bool,
}

/// What an image's signatures are worth.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct VerifyView {
    /// Whether all signatures hold and, if keys were given, one is by one of them
    pub verified: bool,
    /// Every signature, if they hold
    pub signatures: Vec<SignatureView>,
    /// Places of the signatures by the given keys
    pub by_given: Vec<usize>,
    /// Code of what is wrong
    pub code: Option<String>,
    /// What is wrong
    pub reason: Option<String>,
}

/// `esp_image_verify_signature`.
#[derive(Debug)]
pub struct ImageVerifySignature;

#[async_trait]
impl Operation for ImageVerifySignature {
    const DECLARATION: Declaration = Declaration {
        name: "esp_image_verify_signature",
        aliases: &[],
        command: &["security", "verify-signature"],
        title: "Check the signatures of an image",
        summary: "Checks every signature of an image against its content and, if public keys are given, that one of them signed \
                  it; returns who signed, or what is wrong.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = VerifyParameters;
    type Output = VerifyView;

    async fn invoke(
        station: &Station,
        parameters: VerifyParameters,
        _call: &Call,
    ) -> Result<VerifyView, OperationError> {
        let mut keys = Vec::new();
        for file in &parameters.public_keys {
            keys.push(public_key(station, Path::new(file)).await?);
        }
        if parameters.version1 && keys.is_empty() {
            let message = "a signature of version 1 does not say who signed: give public keys";
            return Err(OperationError::usage("key-missing", message));
        }
        let image = RawFile::read(station, &parameters.file).await?.into_bytes();
        let version1 = parameters.version1;
        blocking(move || {
            let judged = if version1 {
                verified_v1(&image, &keys)
            } else {
                verified(&image, &keys)
            };
            Ok(judged.unwrap_or_else(|error| VerifyView {
                verified: false,
                signatures: Vec::new(),
                by_given: Vec::new(),
                code: Some(error.code().to_owned()),
                reason: Some(error.to_string()),
            }))
        })
        .await
    }

    fn words(view: &VerifyView) -> String {
        let mut lines: Vec<String> = view
            .signatures
            .iter()
            .map(|signature| {
                let given = if view.by_given.contains(&signature.place) {
                    ", one of the given keys"
                } else {
                    ""
                };
                format!(
                    "signature {}: {} digest {}{given}",
                    signature.place, signature.key.algorithm, signature.key.digest
                )
            })
            .collect();
        lines.push(match (view.verified, &view.reason, &view.code) {
            (true, _, _) => "verified".to_owned(),
            (false, Some(reason), Some(code)) => format!("NOT verified: {reason} [{code}]"),
            (false, _, _) => "NOT verified".to_owned(),
        });
        lines.join("\n")
    }

    fn exit(view: &VerifyView) -> Exit {
        if view.verified {
            Exit::Passed
        } else {
            Exit::SomeFailed
        }
    }
}

fn verified(image: &[u8], keys: &[PublicKey]) -> Result<VerifyView, SignatureError> {
    let signatures = checked(image)?;
    let by_given = if keys.is_empty() {
        Vec::new()
    } else {
        signature::verify_with(image, keys)?
    };
    Ok(VerifyView {
        verified: true,
        signatures,
        by_given,
        code: None,
        reason: None,
    })
}

/// The signature of version 1 is by one of the keys, or by none.
fn verified_v1(image: &[u8], keys: &[PublicKey]) -> Result<VerifyView, SignatureError> {
    let mut last = SignatureError::UnknownKey { given: keys.len() };
    for key in keys {
        match v1::verify(image, key) {
            Ok(_) => {
                return Ok(VerifyView {
                    verified: true,
                    signatures: vec![SignatureView {
                        place: 0,
                        key: PublicKeyView::of(key),
                    }],
                    by_given: vec![0],
                    code: None,
                    reason: None,
                });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
