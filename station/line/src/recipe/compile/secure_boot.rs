//! `secure_boot`: keys and digests read, and the images checked against them.

use station_esp::chip::Chip;
use station_esp::secure::signature::PublicKey;
use toml::Spanned;

use super::files::read_bounded;
use super::keys::{self, Use};
use super::security::accepted;
use super::serials::file_finding;
use super::steps::Scope;
use super::{Context, signed};
use crate::keys::KeyKind;
use crate::plan::{BootloaderDigest, SecureBoot, SecureBootV1, SecureBootV2};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::SecureBootTable;
use crate::wish;

/// Bytes of the key of version 1.
const FIRST_KEY: u8 = 32;

/// Compiles `secure_boot` and checks who signed the images.
pub(super) fn compile(
    table: &Spanned<SecureBootTable>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<SecureBoot> {
    let step = table.get_ref();
    let first = step.version == Some(1);
    let of_first = [
        ("key", step.key.as_ref().map(Spanned::span)),
        ("signed_by", step.signed_by.as_ref().map(Spanned::span)),
    ];
    let of_second = [
        ("digests", step.digests.as_ref().map(Spanned::span)),
        (
            "revoke_unused",
            step.revoke_unused.as_ref().map(Spanned::span),
        ),
        (
            "aggressive_revoke",
            step.aggressive_revoke.as_ref().map(Spanned::span),
        ),
    ];
    let (foreign, other): (&[_], _) = if first {
        (&of_second, 2)
    } else {
        (&of_first, 1)
    };
    for (name, span) in foreign {
        if let Some(span) = span {
            let message = format!("`{name}` belongs to version {other} of secure boot");
            context.error(Finding::new(Code::Conflict, span.clone(), message));
        }
    }
    if first {
        version_one(table, scope, context).map(SecureBoot::V1)
    } else {
        version_two(table, scope, context).map(SecureBoot::V2)
    }
}

fn missing(name: &str, example: &str, table: &Spanned<SecureBootTable>, context: &mut Context) {
    let message = format!("`{name}` is missing in secure_boot");
    context.error(
        Finding::new(Code::MissingKey, table.span(), message)
            .hint(format!("for example `{example}`")),
    );
}

fn version_two(
    table: &Spanned<SecureBootTable>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<SecureBootV2> {
    let step = table.get_ref();
    let Some(tables) = step.digests.as_ref() else {
        let example = "digests = [{ public_key = \"signing.pem\" }]";
        missing("digests", example, table, context);
        return None;
    };
    let mut digests = Vec::new();
    let mut whole = true;
    for digest in tables.get_ref() {
        match signed::trusted(digest, context) {
            Some(trusted) => digests.push(trusted),
            None => whole = false,
        }
    }
    let single = [Chip::Esp32, Chip::Esp32C2];
    let most = if scope.chips.iter().any(|chip| single.contains(chip)) {
        1
    } else {
        wish::MAX_DIGESTS
    };
    let count = tables.get_ref().len();
    if count == 0 || count > most {
        let message = format!("`digests` has {count} keys, and a chip trusts 1 to {most}");
        context.error(Finding::new(Code::OutOfRange, tables.span(), message));
        return None;
    }
    if !whole {
        return None;
    }
    let signed = signed::check_images(&digests, tables.span(), scope, context);
    let flag = |flag: &Option<Spanned<bool>>| flag.as_ref().map(|flag| *flag.get_ref());
    Some(SecureBootV2 {
        digests,
        signed,
        revoke_unused: flag(&step.revoke_unused).unwrap_or(true),
        aggressive_revoke: flag(&step.aggressive_revoke).unwrap_or(false),
        accepted: accepted(step.accept.as_ref()),
    })
}

fn version_one(
    table: &Spanned<SecureBootTable>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<SecureBootV1> {
    let step = table.get_ref();
    if let Some(chip) = scope.chips.iter().find(|chip| **chip != Chip::Esp32) {
        let message = format!("{} has no secure boot version 1", chip.title());
        context
            .error(Finding::new(Code::BadValue, table.span(), message).hint("leave `version` out"));
        return None;
    }
    let (Some(key), Some(file)) = (step.key.as_ref(), step.signed_by.as_ref()) else {
        if step.key.is_none() {
            let example = "key = { source = \"generate\" }";
            missing("key", example, table, context);
        }
        if step.signed_by.is_none() {
            missing("signed_by", "signed_by = \"signing.pem\"", table, context);
        }
        return None;
    };
    let inner = key.get_ref();
    let wanted = Use {
        name: &inner.name,
        source: &inner.source,
        custody: inner.custody,
        kind: KeyKind::Raw(FIRST_KEY.into()),
        purpose: wish::FIRST_SECURE_BOOT,
        secret: true,
    };
    let slot = station_esp::efuse::plan::Slot::Free;
    let compiled = keys::compile(&wanted, key.span(), slot, scope, context);
    let public = public_key(file, context)?;
    let (bootloader, signed) = signed::check_first(&public, file, scope, context)?;
    Some(SecureBootV1 {
        digest: BootloaderDigest {
            key: compiled?,
            bootloader,
            accepted: accepted(step.accept.as_ref()),
        },
        signed_by: file.get_ref().clone(),
        signed,
        // Known when every step is.
        encrypted: false,
    })
}

fn public_key(file: &Spanned<String>, context: &mut Context) -> Option<PublicKey> {
    let bytes = match read_bounded(&context.folder.join(file.get_ref()), signed::MAX_PUBLIC) {
        Ok(bytes) => bytes,
        Err(error) => {
            context.error(file_finding(file, &error));
            return None;
        }
    };
    let key = String::from_utf8(bytes)
        .map_err(|_| "it is not text".to_owned())
        .and_then(|text| PublicKey::from_pem(&text).map_err(|error| error.to_string()));
    key.map_err(|reason| {
        let message = format!("`{}` is no public key: {reason}", file.get_ref());
        context.error(Finding::new(Code::BadKey, file.span(), message));
    })
    .ok()
}
