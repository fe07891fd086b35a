//! Who signed the images, and whom secure boot would trust.
//!
//! Invariant: a bootloader or application whose signature does not verify with one of the keys is
//! refused here, because a chip with secure boot would never start it.

use std::ops::Range;

use station_esp::chip::Chip;
use station_esp::image::Image;
use station_esp::secure::signature::{self, Algorithm, PublicKey, SignatureBlock, v1};
use toml::Spanned;

use super::Context;
use super::files::read_bounded;
use super::serials::file_finding;
use super::steps::Scope;
use crate::plan::{ImageKind, PlanImage, TrustedKey};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::DigestTable;

/// Largest file with a public key or a digest, in bytes.
pub(super) const MAX_PUBLIC: u64 = 64 * 1024;

/// Reads one trusted key. `None` if something was reported.
pub(super) fn trusted(table: &Spanned<DigestTable>, context: &mut Context) -> Option<TrustedKey> {
    let DigestTable { public_key, file } = table.get_ref();
    let (named, pem) = match (public_key, file) {
        (Some(public_key), None) => (public_key, true),
        (None, Some(file)) => (file, false),
        (Some(_), Some(_)) => {
            let message = "`public_key` and `file` exclude each other";
            context.error(Finding::new(Code::Conflict, table.span(), message));
            return None;
        }
        (None, None) => {
            context.missing(
                table.span(),
                "the digest has no source",
                "for example `{ public_key = \"signing.pem\" }`",
            );
            return None;
        }
    };
    let bytes = match read_bounded(&context.folder.join(named.get_ref()), MAX_PUBLIC) {
        Ok(bytes) => bytes,
        Err(error) => {
            context.error(file_finding(named, &error));
            return None;
        }
    };
    let digest = if pem {
        let text = String::from_utf8(bytes).map_err(|_| "it is not text".to_owned());
        text.and_then(|text| PublicKey::from_pem(&text).map_err(|error| error.to_string()))
            .map(|key| key.digest())
    } else {
        <[u8; 32]>::try_from(bytes.as_slice())
            .map_err(|_| format!("a digest has 32 bytes, and it has {}", bytes.len()))
    };
    match digest {
        Ok(digest) => Some(TrustedKey {
            origin: named.get_ref().clone(),
            digest,
        }),
        Err(reason) => {
            let message = format!("`{}` is no key to trust: {reason}", named.get_ref());
            context.error(Finding::new(Code::BadKey, named.span(), message));
            None
        }
    }
}

/// Whether the ROM of a chip checks such signatures. Source: ESP-IDF,
/// `SOC_SECURE_BOOT_V2_RSA` and `SOC_SECURE_BOOT_V2_ECC` of each chip's `soc_caps.h`.
fn checks(chip: Chip, algorithm: Algorithm) -> bool {
    let rsa = algorithm == Algorithm::Rsa3072;
    match chip {
        Chip::Esp32 | Chip::Esp32S2 | Chip::Esp32S3 | Chip::Esp32C3 => rsa,
        Chip::Esp32C2 | Chip::Esp32C61 => !rsa,
        Chip::Esp32C5
        | Chip::Esp32C6
        | Chip::Esp32H2
        | Chip::Esp32H4
        | Chip::Esp32P4
        | Chip::Esp32S31 => true,
    }
}

/// Returns the images that the chip would start, and reports every bootloader and application that
/// it would not.
pub(super) fn check_images(
    trusted: &[TrustedKey],
    span: Range<usize>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Vec<usize> {
    let mut signed = Vec::new();
    for (index, key) in trusted.iter().enumerate() {
        if trusted
            .iter()
            .take(index)
            .any(|earlier| earlier.digest == key.digest)
        {
            let message = format!("`{}` is the same key as an earlier one", key.origin);
            context.error(Finding::new(Code::BadKey, span.clone(), message));
        }
    }
    for (index, (image, place)) in scope.layout.images().enumerate() {
        let started = match image.kind {
            ImageKind::Bootloader | ImageKind::Application => true,
            ImageKind::PartitionTable | ImageKind::Raw => false,
        };
        if !started || !image.chips.iter().any(|chip| scope.chips.contains(chip)) {
            continue;
        }
        match judge(image, place, trusted, scope) {
            Ok(()) => signed.push(index),
            Err(finding) => context.error(finding),
        }
    }
    signed
}

/// Whether every chip of the recipe that gets an image would start it.
fn judge(
    image: &PlanImage,
    place: &Range<usize>,
    trusted: &[TrustedKey],
    scope: &Scope<'_>,
) -> Result<(), Finding> {
    let refuse = |message: String, hint: &str| {
        Err(Finding::new(Code::NotSigned, place.clone(), message).hint(hint))
    };
    let name = &image.name;
    let blocks = match signature::verify(&image.bytes) {
        Ok(blocks) => blocks,
        Err(error) => {
            let message = format!("image `{name}` would not start with secure boot: {error}");
            return refuse(message, "sign it: `station security sign`");
        }
    };
    for algorithm in blocks.iter().map(SignatureBlock::algorithm) {
        let mut chips = scope.chips.iter().filter(|chip| image.chips.contains(chip));
        if let Some(chip) = chips.find(|chip| !checks(**chip, algorithm)) {
            let (algorithm, title) = (algorithm.name(), chip.title());
            let message =
                format!("image `{name}` is signed with {algorithm}, which {title} does not check");
            return Err(Finding::new(Code::NotSigned, place.clone(), message));
        }
    }
    let lies = image.bytes.len() - signature::SECTOR;
    if let Some(wanted) = wanted_signature(image).filter(|wanted| *wanted != lies) {
        let message = format!(
            "the signature of image `{name}` lies at {lies:#x}, and the chip looks for it right behind the \
             image, at {wanted:#x}"
        );
        let hint = "sign the image as it is, without what lies behind it";
        return refuse(message, hint);
    }
    let is_trusted = |block: &SignatureBlock| {
        let digest = block.public_key().digest();
        trusted.iter().any(|key| key.digest == digest)
    };
    if blocks.iter().any(is_trusted) {
        return Ok(());
    }
    let message =
        format!("image `{name}` is signed, but by none of the keys that secure boot would trust");
    refuse(
        message,
        "sign it with one of them, or add its key to `digests`",
    )
}

/// Where a chip looks for the signature of a bootloader or application.
fn wanted_signature(image: &PlanImage) -> Option<usize> {
    Image::parse(&image.bytes)
        .ok()
        .map(|image| image.signature_offset(false))
}

/// Secure boot version 1: returns the bootloader, and with it the images that the chip would start.
/// The bootloader must carry the key and every application must be signed with it; whether the
/// bootloader's code looks at the signature nobody can see from outside.
pub(super) fn check_first(
    key: &PublicKey,
    named: &Spanned<String>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<(usize, Vec<usize>)> {
    if let Err(error) = v1::public_key_bytes(key) {
        let message = format!("`{}` is no key for it: {error}", named.get_ref());
        context.error(Finding::new(Code::BadKey, named.span(), message));
        return None;
    }
    let (mut bootloader, mut signed) = (None, Vec::new());
    for (index, (image, place)) in scope.layout.images().enumerate() {
        if !image.chips.iter().any(|chip| scope.chips.contains(chip)) {
            continue;
        }
        let wrong = match image.kind {
            ImageKind::Bootloader => match (bootloader, v1::carries(&image.bytes, key)) {
                (None, Ok(true)) => {
                    bootloader = Some(index);
                    None
                }
                (Some(_), _) => Some((
                    "is a second bootloader, and there is one digest".to_owned(),
                    "leave one of them to another step's condition",
                )),
                (None, Ok(false) | Err(_)) => Some((
                    format!("does not carry the public key in `{}`", named.get_ref()),
                    "build the bootloader with secure boot version 1 and this key",
                )),
            },
            ImageKind::Application => verified_first(image, key).err().map(|reason| {
                let what = format!("would not start with secure boot version 1: {reason}");
                (what, "sign it: `station security sign --version1`")
            }),
            ImageKind::PartitionTable | ImageKind::Raw => continue,
        };
        match wrong {
            None => signed.push(index),
            Some((what, hint)) => {
                let message = format!("image `{}` {what}", image.name);
                context.error(Finding::new(Code::NotSigned, place.clone(), message).hint(hint));
            }
        }
    }
    if bootloader.is_none() && !context.errors.iter().any(|it| it.code == Code::NotSigned) {
        let message = "the recipe has no bootloader whose digest the chip could check";
        context.error(
            Finding::new(Code::NotSigned, named.span(), message)
                .hint("name it in `[images]`, and write it in an earlier step"),
        );
    }
    bootloader.map(|bootloader| (bootloader, signed))
}

/// Whether the signature of version 1 lies behind an application and is by this key.
fn verified_first(image: &PlanImage, key: &PublicKey) -> Result<(), String> {
    let parsed = Image::parse(&image.bytes).map_err(|error| error.to_string())?;
    let length = usize::try_from(parsed.length).unwrap_or(usize::MAX);
    let end = length.saturating_add(v1::SIGNATURE_LENGTH);
    let signed = image.bytes.get(..end).unwrap_or(&image.bytes);
    v1::verify(signed, key)
        .map(|_| ())
        .map_err(|error| error.to_string())
}
