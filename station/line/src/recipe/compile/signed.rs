//! Who signed the images, and whom secure boot would trust.
//!
//! Invariant: a bootloader or application whose signature does not verify with one of the keys is
//! refused here, because a chip with secure boot would never start it.

use std::ops::Range;

use station_esp::chip::Chip;
use station_esp::secure::signature::{self, Algorithm, PublicKey};
use toml::Spanned;

use super::Context;
use super::files::read_bounded;
use super::serials::file_finding;
use super::steps::Scope;
use crate::plan::{ImageKind, TrustedKey};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::DigestTable;

/// Largest file with a public key or a digest, in bytes.
const MAX_PUBLIC: u64 = 64 * 1024;

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
            context.error(
                Finding::new(Code::MissingKey, table.span(), "the digest has no source")
                    .hint("for example `{ public_key = \"signing.pem\" }`"),
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
        let finding = match signature::verify(&image.bytes) {
            Ok(blocks) => {
                let strange = blocks.iter().find_map(|block| {
                    let algorithm = block.public_key().algorithm();
                    let chips = scope.chips.iter().filter(|chip| image.chips.contains(chip));
                    let unable = chips.copied().find(|chip| !checks(*chip, algorithm));
                    unable.map(|chip| (chip, algorithm))
                });
                if let Some((chip, algorithm)) = strange {
                    let message = format!(
                        "image `{}` is signed with {}, which {} does not check",
                        image.name,
                        algorithm.name(),
                        chip.title()
                    );
                    context.error(Finding::new(Code::NotSigned, place.clone(), message));
                    continue;
                }
                let known = blocks.iter().any(|block| {
                    let digest = block.public_key().digest();
                    trusted.iter().any(|key| key.digest == digest)
                });
                if known {
                    signed.push(index);
                    continue;
                }
                let message = format!(
                    "image `{}` is signed, but by none of the keys that secure boot would trust",
                    image.name
                );
                Finding::new(Code::NotSigned, place.clone(), message)
                    .hint("sign it with one of them, or add its key to `digests`")
            }
            Err(error) => {
                let message = format!(
                    "image `{}` would not start with secure boot: {error}",
                    image.name
                );
                Finding::new(Code::NotSigned, place.clone(), message)
                    .hint("sign it: `station security sign`")
            }
        };
        context.error(finding);
    }
    signed
}
