//! Where keys come from: made by the store, read from a file, or one for each row of the serial
//! list.
//!
//! Invariants: a key that was read stands in the plan as a secret and nowhere else; the column of a
//! list that holds keys is taken out of the list, so that no template, event or report can show it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use station_esp::efuse::plan::Slot;
use station_esp::secret::Secret;
use toml::Spanned;

use super::Context;
use super::files::read_bounded;
use super::security::UnitKeys;
use super::serials::{Serials, file_finding};
use super::steps::Scope;
use crate::keys::{Custody, KeyKind, KeyName, curve_key, is_pem};
use crate::plan::{PlanKey, PlanKeySource};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::{At, CustodyWord, KeySourceTable, RecipeFile, SourceWord};
use crate::serial::SerialSource;
use crate::template::closest;

/// Largest key file, in bytes.
const MAX_KEY: u64 = 16 * 1024;

/// What a step says of its key.
pub(super) struct Use<'a> {
    pub(super) name: &'a At<String>,
    pub(super) source: &'a At<SourceWord>,
    pub(super) custody: Option<CustodyWord>,
    pub(super) kind: KeyKind,
    /// Purpose it is burned with.
    pub(super) purpose: &'a str,
    /// Whether it is a secret; a digest of a public key is none, and cannot be made up.
    pub(super) secret: bool,
}

/// What kind of key a purpose of the fuse map takes.
pub(super) fn kind_of(purpose: &str) -> KeyKind {
    match purpose.to_ascii_uppercase().as_str() {
        "XTS_AES_256_KEY" => KeyKind::XtsAes256,
        "XTS_AES_128_KEY" => KeyKind::XtsAes128,
        "XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS" | "SECURE_BOOT_DIGEST" => KeyKind::Raw(16),
        "ECDSA_KEY" | "ECDSA_KEY_P256" => KeyKind::EcdsaP256,
        "ECDSA_KEY_P192" => KeyKind::EcdsaP192,
        "ECDSA_KEY_P384" => KeyKind::EcdsaP384,
        hmac if hmac.starts_with("HMAC_") => KeyKind::Hmac,
        _ => KeyKind::Raw(32),
    }
}

/// How many bytes such a key has as a file; `None` if it comes in another form.
fn length(kind: KeyKind) -> Option<usize> {
    match kind {
        KeyKind::Aes128 => Some(16),
        KeyKind::XtsAes128 | KeyKind::Hmac => Some(32),
        KeyKind::XtsAes256 => Some(64),
        KeyKind::Raw(count) => Some(usize::from(count)),
        KeyKind::EcdsaP192
        | KeyKind::EcdsaP256
        | KeyKind::EcdsaP384
        | KeyKind::Rsa3072
        | KeyKind::Ed25519 => None,
    }
}

/// Compiles a key. `None` if something was reported.
pub(super) fn compile(
    wanted: &Use<'_>,
    span: Range<usize>,
    slot: Slot,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<PlanKey> {
    let source = wanted.source.as_ref()?;
    let mut shared = None;
    let mut kind = wanted.kind;
    let from = match source.get_ref() {
        SourceWord::Generate if wanted.secret => PlanKeySource::Generate,
        SourceWord::Generate => {
            let message = "a digest belongs to a key that is there already";
            context.error(
                Finding::new(Code::BadKey, source.span(), message)
                    .hint("write `source = { file = \"digest.bin\" }`, or use `secure_boot`"),
            );
            return None;
        }
        SourceWord::Table(table) => {
            let found = given(table, wanted, source.span(), &mut shared, scope, context)?;
            kind = found.1;
            found.0
        }
    };
    let name = match (&shared, wanted.name) {
        (Some(shared), None) => key_name(shared, context)?,
        (Some(_), Some(name)) => {
            let message = "`name` is given by `source = { shared = … }` already";
            context.error(Finding::new(Code::Conflict, name.span(), message));
            return None;
        }
        (None, Some(name)) => key_name(name, context)?,
        (None, None) => {
            let step = scope.step_name.to_lowercase().replace(' ', "-");
            key_name(&Spanned::new(span, step), context)?
        }
    };
    let custody = match wanted.custody {
        Some(CustodyWord::Forget) if from.is_shared() => {
            let message = "a key that every unit gets cannot be forgotten with one of them";
            context.error(
                Finding::new(Code::Conflict, source.span(), message).hint("leave `custody` out"),
            );
            Custody::Escrow
        }
        Some(CustodyWord::Forget) => Custody::Forget,
        Some(CustodyWord::Escrow) | None => Custody::Escrow,
    };
    Some(PlanKey {
        name,
        kind,
        slot,
        source: from,
        custody,
    })
}

fn key_name(name: &Spanned<String>, context: &mut Context) -> Option<KeyName> {
    match KeyName::parse(name.get_ref()) {
        Ok(name) => Some(name),
        Err(_) => {
            let shown: String = name.get_ref().chars().take(60).collect();
            context.error(
                Finding::new(
                    Code::BadName,
                    name.span(),
                    format!("`{shown}` is no name for a key"),
                )
                .hint("say `name`: 1 to 64 of a-z, 0-9, `-`, `_`"),
            );
            None
        }
    }
}

/// A key that somebody else made, and its kind.
fn given<'a>(
    table: &'a KeySourceTable,
    wanted: &Use<'_>,
    span: Range<usize>,
    shared: &mut Option<&'a Spanned<String>>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<(PlanKeySource, KeyKind)> {
    match (&table.file, &table.csv, &table.shared) {
        (Some(file), None, None) => {
            let (key, kind) = from_file(file, wanted, context)?;
            let origin = file.get_ref().clone();
            Some((PlanKeySource::File { origin, key }, kind))
        }
        (None, Some(column), None) => from_list(column, wanted, scope, context),
        (None, None, Some(name)) => {
            *shared = Some(name);
            Some((PlanKeySource::Shared, wanted.kind))
        }
        (None, None, None) => {
            context.missing(
                span,
                "`source` says nothing",
                "write `\"generate\"`, or `{ file = \"key.bin\" }`",
            );
            None
        }
        (_, _, _) => {
            let message = "`file`, `csv` and `shared` exclude each other";
            context.error(Finding::new(Code::Conflict, span, message));
            None
        }
    }
}

fn from_file(
    file: &Spanned<String>,
    wanted: &Use<'_>,
    context: &mut Context,
) -> Option<(Secret, KeyKind)> {
    let bytes = match read_bounded(&context.folder.join(file.get_ref()), MAX_KEY) {
        Ok(bytes) => Secret::new(bytes),
        Err(error) => {
            context.error(file_finding(file, &error));
            return None;
        }
    };
    read_key(&bytes, wanted, file, context)
}

/// A given key as it is burned, and its kind. `None` if it is no such key, which is reported.
fn read_key(
    key: &Secret,
    wanted: &Use<'_>,
    origin: &Spanned<String>,
    context: &mut Context,
) -> Option<(Secret, KeyKind)> {
    match curve_key(wanted.purpose, key) {
        Ok(Some((kind, number))) => return Some((number, kind)),
        Ok(None) => {}
        Err(error) => {
            let message = format!("`{}` has no such key: {error}", origin.get_ref());
            context.error(
                Finding::new(Code::BadKey, origin.span(), message)
                    .hint("the private key as PEM (SEC1 or PKCS#8), or its number alone"),
            );
            return None;
        }
    }
    match length(wanted.kind) {
        Some(needed) if key.len() != needed => {
            let message = format!(
                "`{}` has a key of {} bytes, and {needed} are needed",
                origin.get_ref(),
                key.len(),
            );
            context.error(Finding::new(Code::BadKey, origin.span(), message));
            None
        }
        Some(_) | None => Some((key.clone(), wanted.kind)),
    }
}

fn from_list(
    column: &Spanned<String>,
    wanted: &Use<'_>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<(PlanKeySource, KeyKind)> {
    let Some(serials) = scope.serials.filter(|serials| serials.is_list) else {
        let message = "`csv` needs a serial list, and the recipe has none";
        context.error(
            Finding::new(Code::NoSerial, column.span(), message)
                .hint("add `[serial]` with `from` and `column`"),
        );
        return None;
    };
    let Some(keys) = serials.keys.get(column.get_ref()) else {
        // What is wrong with the list itself was reported.
        serials.source.as_ref()?;
        if serials.bad_keys.contains(column.get_ref()) {
            let message = format!(
                "column `{}` has something that is neither pairs of hex digits nor PEM",
                column.get_ref()
            );
            context.error(Finding::new(Code::BadKey, column.span(), message));
            return None;
        }
        let message = format!("the serial list has no column `{}`", column.get_ref());
        let finding = Finding::new(Code::BadSerialList, column.span(), message);
        let columns = serials.columns.iter().map(String::as_str);
        context.error(finding.suggest(closest(column.get_ref(), columns)));
        return None;
    };
    let mut kind = None;
    let mut read = BTreeMap::new();
    for (serial, key) in keys.iter() {
        let (key, its) = read_key(key, wanted, column, context)?;
        if *kind.get_or_insert(its) != its {
            let message = format!("column `{}` has keys on two curves", column.get_ref());
            context.error(Finding::new(Code::BadKey, column.span(), message));
            return None;
        }
        read.insert(serial.clone(), key);
    }
    let mut seen = std::collections::BTreeSet::new();
    if !read.values().all(|key| seen.insert(key.fingerprint())) {
        let message = format!("column `{}` has the same key twice", column.get_ref());
        context.error(Finding::new(Code::BadKey, column.span(), message));
        return None;
    }
    let source = PlanKeySource::Csv {
        column: column.get_ref().clone(),
        keys: Arc::new(read),
    };
    Some((source, kind.unwrap_or(wanted.kind)))
}

/// Columns of the serial list that some step takes keys from.
pub(super) fn key_columns(file: &RecipeFile) -> Vec<String> {
    let sources = file.step.iter().flat_map(|step| {
        let step = step.get_ref();
        let key = step
            .key
            .as_ref()
            .and_then(|key| key.get_ref().source.as_ref());
        let encryption = step
            .flash_encryption
            .as_ref()
            .and_then(|table| table.get_ref().key.as_ref())
            .and_then(|key| key.get_ref().source.as_ref());
        let boot = step
            .secure_boot
            .as_ref()
            .and_then(|table| table.get_ref().key.as_ref())
            .and_then(|key| key.get_ref().source.as_ref());
        [key, encryption, boot]
    });
    sources
        .flatten()
        .filter_map(|source| match source.get_ref() {
            SourceWord::Generate => None,
            SourceWord::Table(table) => table.csv.as_ref(),
        })
        .map(|column| column.get_ref().clone())
        .collect()
}

/// Takes the columns that hold keys out of the serial list.
pub(super) fn take_out(serials: &mut Serials, columns: &[String]) {
    let Some(SerialSource::Csv { rows, .. }) = &mut serials.source else {
        return;
    };
    for column in columns {
        if serials.keys.contains_key(column) || serials.bad_keys.contains(column) {
            continue;
        }
        if !serials.columns.remove(column) {
            continue;
        }
        let mut keys = BTreeMap::new();
        let mut good = true;
        for row in rows.iter_mut() {
            let text = Secret::new(row.columns.remove(column).unwrap_or_default().into_bytes());
            let key = if is_pem(text.expose()) {
                text
            } else {
                let mut bytes = vec![0; text.len() / 2];
                good &= hex::decode_to_slice(text.expose(), &mut bytes).is_ok();
                Secret::new(bytes)
            };
            keys.insert(row.serial.clone(), key);
        }
        if good {
            let keys: UnitKeys = Arc::new(keys);
            serials.keys.insert(column.clone(), keys);
        } else {
            serials.bad_keys.insert(column.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use station_esp::secure::signature::{Algorithm, PrivateKey};
    use tempfile::TempDir;

    use crate::keys::{KeyKind, system_random};
    use crate::plan::{Action, PlanKey, PlanKeySource};
    use crate::recipe::compile_text;

    /// Compiles a recipe whose only key comes from there. The errors as text.
    fn key(folder: &TempDir, chip: &str, purpose: &str, source: &str) -> Result<PlanKey, String> {
        let text = format!(
            r#"
format = 1
product = "node"
chip = "{chip}"
serial = {{ from = "list.csv", column = "serial" }}
[[step]]
name = "identify"
identify = {{ flash_size = "4MB" }}
[[step]]
name = "curve"
key = {{ purpose = "{purpose}", source = {source} }}
"#
        );
        let compiled = compile_text("curve.toml", &text, folder.path());
        let compiled = compiled.map_err(|errors| errors.render())?;
        let steps = &compiled.plan.contents().steps;
        let burnt = steps.iter().find_map(|step| {
            let Action::Key(step) = &step.action else {
                return None;
            };
            Some(step.key.clone())
        });
        Ok(burnt.unwrap())
    }

    fn drawn(algorithm: Algorithm) -> PrivateKey {
        PrivateKey::generate(algorithm, &mut system_random().unwrap()).unwrap()
    }

    #[test]
    fn a_key_on_a_curve_comes_as_pem_from_a_file_and_from_a_list() {
        let folder = TempDir::new().unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let (p192, p256) = (drawn(Algorithm::EcdsaP192), drawn(Algorithm::EcdsaP256));
        let number = |key: &PrivateKey| key.scalar().unwrap();
        put("p192.pem", p192.to_pem().expose());
        put("p256.pem", p256.to_pem().expose());
        put("p256.bin", number(&p256).expose());
        let mut list = b"serial,pem,hex,mixed\n1,\"".to_vec();
        list.extend_from_slice(p256.to_pem().expose());
        list.extend_from_slice(b"\",");
        list.extend_from_slice(hex::encode(number(&p256).expose()).as_bytes());
        list.extend_from_slice(b",\"");
        list.extend_from_slice(p192.to_pem().expose());
        list.extend_from_slice(b"\"\n");
        put("list.csv", &list);
        for file in ["p256.pem", "p256.bin"] {
            let source = format!("{{ file = \"{file}\" }}");
            let key = key(&folder, "esp32c5", "ECDSA_KEY_P256", &source).unwrap();
            let PlanKeySource::File { key: bytes, .. } = &key.source else {
                panic!("{key:?}");
            };
            assert!(
                *bytes == number(&p256) && key.kind == KeyKind::EcdsaP256,
                "{file}"
            );
        }
        for column in ["pem", "hex"] {
            let source = format!("{{ csv = \"{column}\" }}");
            let key = key(&folder, "esp32c5", "ECDSA_KEY_P256", &source).unwrap();
            let PlanKeySource::Csv { keys, .. } = &key.source else {
                panic!("{key:?}");
            };
            assert!(keys["1"] == number(&p256), "{column}");
        }
        // Where the software chooses the curve, the shorter key stays what it is.
        let short = key(&folder, "esp32h2", "ECDSA_KEY", "{ file = \"p192.pem\" }").unwrap();
        assert_eq!(short.kind, KeyKind::EcdsaP192);
        for source in ["{ file = \"p192.pem\" }", "{ csv = \"mixed\" }"] {
            let error = key(&folder, "esp32c5", "ECDSA_KEY_P256", source).unwrap_err();
            // The message may be wrapped at the hyphen.
            let in_one = error.replace(|sign: char| sign.is_whitespace() || sign == '│', "");
            assert!(in_one.contains("`ecdsa-p192`"), "{error}");
            assert!(error.contains("recipe-bad-key"), "{error}");
        }
    }
}
