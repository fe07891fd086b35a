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
use crate::keys::{Custody, KeyKind, KeyName};
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
    /// Whether it is a secret; a digest of a public key is none, and cannot be made up.
    pub(super) secret: bool,
}

/// What kind of key a purpose of the fuse map takes.
pub(super) fn kind_of(purpose: &str) -> KeyKind {
    match purpose.to_ascii_uppercase().as_str() {
        "XTS_AES_256_KEY" => KeyKind::XtsAes256,
        "XTS_AES_128_KEY" => KeyKind::XtsAes128,
        "XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS" | "SECURE_BOOT_DIGEST" => KeyKind::Raw(16),
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
            given(table, wanted, source.span(), &mut shared, scope, context)?
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
        kind: wanted.kind,
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

/// A key that somebody else made.
fn given<'a>(
    table: &'a KeySourceTable,
    wanted: &Use<'_>,
    span: Range<usize>,
    shared: &mut Option<&'a Spanned<String>>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<PlanKeySource> {
    match (&table.file, &table.csv, &table.shared) {
        (Some(file), None, None) => {
            let key = from_file(file, wanted.kind, context)?;
            let origin = file.get_ref().clone();
            Some(PlanKeySource::File { origin, key })
        }
        (None, Some(column), None) => from_list(column, wanted.kind, scope, context),
        (None, None, Some(name)) => {
            *shared = Some(name);
            Some(PlanKeySource::Shared)
        }
        (None, None, None) => {
            context.error(
                Finding::new(Code::MissingKey, span, "`source` says nothing")
                    .hint("write `\"generate\"`, or `{ file = \"key.bin\" }`"),
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

fn from_file(file: &Spanned<String>, kind: KeyKind, context: &mut Context) -> Option<Secret> {
    let bytes = match read_bounded(&context.folder.join(file.get_ref()), MAX_KEY) {
        Ok(bytes) => Secret::new(bytes),
        Err(error) => {
            context.error(file_finding(file, &error));
            return None;
        }
    };
    check_length(&bytes, kind, file, context).then_some(bytes)
}

fn check_length(
    key: &Secret,
    kind: KeyKind,
    origin: &Spanned<String>,
    context: &mut Context,
) -> bool {
    let fits = length(kind).is_none_or(|wanted| key.len() == wanted);
    if !fits {
        let message = format!(
            "`{}` has a key of {} bytes, and {} are needed",
            origin.get_ref(),
            key.len(),
            length(kind).unwrap_or_default()
        );
        context.error(Finding::new(Code::BadKey, origin.span(), message));
    }
    fits
}

fn from_list(
    column: &Spanned<String>,
    kind: KeyKind,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<PlanKeySource> {
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
                "column `{}` has something that is not pairs of hex digits",
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
    let whole = keys
        .values()
        .find(|key| length(kind).is_some_and(|wanted| key.len() != wanted));
    if let Some(wrong) = whole {
        check_length(wrong, kind, column, context);
        return None;
    }
    let mut seen = std::collections::BTreeSet::new();
    if !keys.values().all(|key| seen.insert(key.fingerprint())) {
        let message = format!("column `{}` has the same key twice", column.get_ref());
        context.error(Finding::new(Code::BadKey, column.span(), message));
        return None;
    }
    Some(PlanKeySource::Csv {
        column: column.get_ref().clone(),
        keys: Arc::clone(keys),
    })
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
        [key, encryption]
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
            let mut bytes = vec![0; text.len() / 2];
            good &= hex::decode_to_slice(text.expose(), &mut bytes).is_ok();
            keys.insert(row.serial.clone(), Secret::new(bytes));
        }
        if good {
            let keys: UnitKeys = Arc::new(keys);
            serials.keys.insert(column.clone(), keys);
        } else {
            serials.bad_keys.insert(column.clone());
        }
    }
}
