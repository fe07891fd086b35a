//! An image made ready for a target: `esp_app_prepare`.
//!
//! Invariants: the order is that of the chip's start, backwards: header, padding, signature, encryption; a
//! signature is checked before anything is written, and one that the chip would not look at is refused.

use std::path::PathBuf;

use async_trait::async_trait;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::Chip;
use station_esp::chip::Revision;
use station_esp::elf::{self, ImageOptions, SecurePad};
use station_esp::image::{HeaderChange, Image, patch};
use station_esp::secure::encryption::{self, FlashKey, Scheme};
use station_esp::secure::signature::{
    self, BootSupport, PrivateKey, SignatureError, SignedImage, v1,
};

use super::super::images::{FileForm, RawFile};
use super::super::security::{KeyOrigin, private_key, well_placed};
use super::super::target::{FileView, Target, blocking, sha256};
use super::super::text::bytes;
use super::elf::{refused, usual};
use super::merge::table_offset;
use super::settings::FlashParameters;
use super::sources::{Places, read_table};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Largest multiple that an image is filled up to.
const MAX_MULTIPLE: u32 = 16 << 20;

/// Parameters of `esp_app_prepare`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PrepareParameters {
    /// The image, or the ELF that it is made of
    pub file: PathBuf,
    /// The chip
    #[arg(long)]
    #[schemars(with = "String")]
    pub chip: Chip,
    /// Revision of the chip, which decides what signatures it takes; default: the newest
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub revision: Option<Revision>,
    /// File to write
    #[arg(long)]
    pub out: PathBuf,
    /// What the header is to say about the flash; what is not named is kept
    #[command(flatten)]
    #[serde(flatten)]
    pub flash: FlashParameters,
    /// Fill the image with 0xFF to a multiple of this before it is signed: 64KB
    #[arg(long, value_name = "SIZE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_to_size: Option<String>,
    /// Sign with the key in this file (PEM, DER)
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_key_file: Option<PathBuf>,
    /// Sign with the key of that name in the store
    #[arg(long, value_name = "NAME", conflicts_with = "sign_key_file")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_key: Option<String>,
    /// Sign for secure boot version 1 of the ESP32 (P-256)
    #[arg(long)]
    #[serde(default)]
    pub version1: bool,
    /// Encrypt with the flash encryption key in this file (raw bytes)
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_key_file: Option<PathBuf>,
    /// Encrypt with the key of that name in the store
    #[arg(long, value_name = "NAME", conflicts_with = "encryption_key_file")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_key: Option<String>,
    /// MAC of the unit whose encryption key it is; without one it is shared
    #[arg(long, value_name = "MAC", requires = "encryption_key")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Where it goes: an offset like 0x10000, `bootloader`, or a partition; needed to encrypt
    #[arg(long, value_name = "PLACE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Partition table with the names of places, CSV or binary
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PathBuf>,
    /// Where the partition table lies in flash
    #[arg(long, value_name = "OFFSET", default_value = "0x8000")]
    #[serde(default = "table_offset")]
    pub table_offset: String,
}

impl PrepareParameters {
    /// The key to sign with, if it is to be signed.
    async fn signer(&self, station: &Station) -> Result<Option<PrivateKey>, OperationError> {
        let origin = KeyOrigin {
            key_file: self.sign_key_file.clone(),
            key: self.sign_key.clone(),
            unit: None,
        };
        if !origin.is_absent() {
            return Ok(Some(private_key(&origin.secret(station).await?)?));
        }
        if self.version1 {
            let message = "`version1` says how to sign, and no key is named";
            return Err(OperationError::usage("key-missing", message)
                .hint("give `sign_key_file` or `sign_key`"));
        }
        Ok(None)
    }

    /// The key to encrypt with, if it is to be encrypted.
    async fn cipher(&self, station: &Station) -> Result<Option<FlashKey>, OperationError> {
        let origin = KeyOrigin {
            key_file: self.encryption_key_file.clone(),
            key: self.encryption_key.clone(),
            unit: self.unit.clone(),
        };
        if origin.is_absent() {
            return Ok(None);
        }
        let secret = origin.secret(station).await?;
        let key = FlashKey::new(Scheme::of(self.chip), secret);
        key.map(Some)
            .map_err(|error| OperationError::usage(error.code(), error.to_string()))
    }

    /// Where it goes, and its room there.
    fn place(&self, station: &Station) -> Result<Option<(u32, Option<u32>)>, OperationError> {
        let table_offset = bytes(&self.table_offset)?;
        let table = match &self.partitions {
            Some(file) => Some(read_table(station, file, table_offset)?),
            None => None,
        };
        let places = Places {
            chip: Some(self.chip),
            table_offset,
            table,
        };
        self.at.as_deref().map(|at| places.find(at)).transpose()
    }
}

/// A signature that was made.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SignedView {
    /// Version of secure boot
    pub version: u8,
    /// rsa-3072, ecdsa-p192, ecdsa-p256 or ecdsa-p384
    pub algorithm: String,
    /// Digest of the public key: what is burned into a digest slot
    pub key_digest: String,
}

/// How the file is encrypted.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EncryptedView {
    /// Flash offset that it is encrypted for
    pub offset: u32,
    /// Fingerprint of the key
    pub key: String,
    /// SHA-256 of what was encrypted
    pub plain_sha256: String,
}

/// An image that is ready for its target.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PrepareView {
    /// The file that was written
    #[serde(flatten)]
    pub file: FileView,
    /// The chip it is for
    pub chip: String,
    /// Whether it was made of an ELF
    pub converted: bool,
    /// Bytes of the image in it, checksum and hash included
    pub image_size: u32,
    /// SHA-256 that ends the image; absent where none does
    pub image_sha256: Option<String>,
    /// Its signature, if it was signed
    pub signed: Option<SignedView>,
    /// How it is encrypted, if it was
    pub encrypted: Option<EncryptedView>,
}

/// `esp_app_prepare`.
#[derive(Debug)]
pub struct AppPrepare;

#[async_trait]
impl Operation for AppPrepare {
    const DECLARATION: Declaration = Declaration {
        name: "esp_app_prepare",
        aliases: &[],
        command: &["firmware", "prepare"],
        title: "Make an image ready for a target",
        summary: "Makes of an ELF or image what goes into the flash of one kind of target: header set, padded, signed for secure \
                  boot and encrypted for its place, as far as asked; refuses what the chip would not start or has no room for.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = PrepareParameters;
    type Output = PrepareView;

    async fn invoke(
        station: &Station,
        parameters: PrepareParameters,
        _call: &Call,
    ) -> Result<PrepareView, OperationError> {
        let change = parameters.flash.change()?;
        let multiple = parameters.pad_to_size.as_deref().map(bytes).transpose()?;
        if multiple.is_some_and(|multiple| multiple == 0 || multiple > MAX_MULTIPLE) {
            let message = "an image is filled up to a multiple of 1 byte to 16MB";
            return Err(OperationError::usage("padding-invalid", message));
        }
        let place = parameters.place(station)?;
        let target = Target::new(station, &parameters.out)?;
        let signer = parameters.signer(station).await?;
        let cipher = parameters.cipher(station).await?;
        if cipher.is_some() && place.is_none() {
            let message = "the ciphertext depends on the place in flash: give `at`";
            return Err(OperationError::usage("encryption-place-missing", message));
        }
        let file = RawFile::read_elf(station, &parameters.file).await?;
        let order = Order {
            chip: parameters.chip,
            revision: parameters.revision.unwrap_or(Revision::new(u8::MAX, 99)),
            version1: parameters.version1,
            change,
            multiple,
            signer,
            cipher,
            place,
        };
        blocking(move || order.done(&file, &target)).await
    }
}

/// What is to be done.
struct Order {
    chip: Chip,
    revision: Revision,
    version1: bool,
    change: HeaderChange,
    multiple: Option<u32>,
    signer: Option<PrivateKey>,
    cipher: Option<FlashKey>,
    place: Option<(u32, Option<u32>)>,
}

impl Order {
    fn done(&self, file: &RawFile, target: &Target) -> Result<PrepareView, OperationError> {
        let name = file.name();
        let (mut content, converted) = self.image(file)?;
        let broken = |error: station_esp::image::ImageError| {
            OperationError::usage(error.code(), format!("`{name}`: {error}"))
        };
        let image = Image::parse(&content).map_err(broken)?;
        image.check_chip(self.chip, None).map_err(broken)?;
        if let Some(multiple) = self.multiple {
            content.resize(content.len().next_multiple_of(multiple as usize), 0xFF);
        }
        let mut signed = None;
        if let Some(signer) = &self.signer {
            content = self.signed(&content, signer).map_err(|error| {
                OperationError::usage(error.code(), format!("`{name}`: {error}"))
            })?;
            self.check_signature(&content, &image)?;
            let public = signer.public();
            signed = Some(SignedView {
                version: if self.version1 { 1 } else { 2 },
                algorithm: public.algorithm().name().to_owned(),
                key_digest: hex::encode(public.digest()),
            });
        }
        let mut encrypted = None;
        if let (Some(key), Some((offset, _))) = (&self.cipher, self.place) {
            let plain = encryption::filled_up(content);
            content = encryption::encrypt(key, offset, &plain)
                .map_err(|error| OperationError::usage(error.code(), error.to_string()))?;
            encrypted = Some(EncryptedView {
                offset,
                key: key.bytes().fingerprint(),
                plain_sha256: sha256(&plain),
            });
        }
        if let Some((offset, Some(room))) = self.place
            && content.len() > room as usize
        {
            let size = content.len();
            let message = format!(
                "`{name}` gets {size} bytes, its partition at {offset:#x} has room for {room}"
            );
            return Err(OperationError::usage("image-too-large", message));
        }
        Ok(PrepareView {
            file: target.write(&content)?,
            chip: self.chip.name().to_owned(),
            converted,
            image_size: image.length,
            image_sha256: image.hash.map(hex::encode),
            signed,
            encrypted,
        })
    }

    /// The image with its header as asked, and whether it was made of an ELF.
    fn image(&self, file: &RawFile) -> Result<(Vec<u8>, bool), OperationError> {
        let name = file.name();
        match file.form() {
            FileForm::Elf => {
                let mut flash = usual(self.chip);
                flash.mode = self.change.mode.unwrap_or(flash.mode);
                flash.frequency_mhz = self.change.frequency_mhz.unwrap_or(flash.frequency_mhz);
                flash.size = self.change.size.unwrap_or(flash.size);
                let made = |secure_pad| {
                    let options = ImageOptions {
                        secure_pad,
                        ..ImageOptions::new(flash)
                    };
                    let image = elf::to_image(file.bytes(), self.chip, &options);
                    image.map_err(|error| refused(name, &error))
                };
                let image = made(SecurePad::None)?;
                // A bootloader maps applications by the page, and is itself not mapped.
                let mapped =
                    Image::parse(&image).is_ok_and(|image| image.check_application().is_ok());
                let image = match (&self.signer, self.version1) {
                    (Some(_), true) if mapped => made(SecurePad::V1)?,
                    (Some(_), false) if mapped => made(SecurePad::V2)?,
                    (Some(_) | None, _) => image,
                };
                Ok((image, true))
            }
            FileForm::Plain if self.change.is_empty() => Ok((file.bytes().to_vec(), false)),
            FileForm::Plain => {
                let image = patch(file.bytes(), &self.change).map_err(|error| {
                    OperationError::usage(error.code(), format!("`{name}`: {error}"))
                })?;
                Ok((image, false))
            }
            FileForm::Hex | FileForm::Uf2 => {
                let message = format!("`{name}` is no image as it lies in flash");
                Err(OperationError::usage("image-form", message)
                    .hint("`station firmware split` takes it apart"))
            }
        }
    }

    /// Signs, and checks what came of it.
    fn signed(&self, content: &[u8], signer: &PrivateKey) -> Result<Vec<u8>, SignatureError> {
        let mut chance = UnwrapErr(SysRng);
        if self.version1 {
            let image = v1::sign(content, signer, &mut chance)?;
            v1::verify(&image, signer.public())?;
            return Ok(image);
        }
        let image = signature::sign(content, &[signer], &mut chance)?;
        signature::verify(&image)?;
        Ok(image)
    }

    /// Refuses a signature that the chip would not look at, or not find: it looks right behind the
    /// image, for version 2 at the next sector (`verify_secure_boot_signature` of ESP-IDF).
    fn check_signature(&self, signed: &[u8], image: &Image) -> Result<(), OperationError> {
        well_placed(signed, image, self.version1)?;
        let title = self.chip.title();
        let refuse =
            |message: String| Err(OperationError::usage("secure-boot-unsupported", message));
        if self.version1 {
            return if self.chip == Chip::Esp32 {
                Ok(())
            } else {
                refuse(format!("{title} has no secure boot version 1"))
            };
        }
        let Some(support) = BootSupport::of(self.chip, self.revision) else {
            let revision = self.revision;
            return refuse(format!(
                "{title} of revision {revision} has no secure boot version 2"
            ));
        };
        SignedImage::parse(signed)
            .and_then(|image| support.check(&image))
            .map_err(|error| OperationError::usage(error.code(), error.to_string()))
    }
}
