//! The actions that cannot be undone: names checked against the fuse maps, keys and digests read.
//!
//! What a whole sequence of them does to a chip is tried on one that is only thought of, see
//! `rehearsal`; in which order they may come is `order`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use station_esp::chip::{Chip, Revision};
use station_esp::efuse::map::{FuseMap, fuse_map};
use station_esp::efuse::plan::{Danger, FlashVoltage, Slot};
use toml::Spanned;

use super::Context;
use super::keys::{self, Use};
use super::steps::Scope;
use crate::keys::KeyKind;
use crate::plan::{
    BurnKey, Efuse, Encoding, EncryptedBy, FlashEncryption, FuseBytes, FuseField, FuseValue,
    UnitBytes,
};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::{
    At, ContentWord, EfuseTable, EncryptionKindWord, EncryptionModeWord, FlashEncryptionTable,
    FuseWord, KeyTable, Texts, VoltageWord,
};
use crate::template::closest;
use crate::wish;

/// Purposes of the chips whose key blocks have no purpose field.
const FIXED_PURPOSES: [(Chip, &[&str]); 2] = [
    (
        Chip::Esp32,
        &["flash_encryption", "secure_boot_v1", "secure_boot_v2"],
    ),
    (
        Chip::Esp32C2,
        &[
            "XTS_AES_128_KEY",
            "XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS",
            "SECURE_BOOT_DIGEST",
            "USER",
        ],
    ),
];

/// The fuse maps a step may meet: of each chip, for the least revision and for the newest.
pub(super) fn maps(scope: &Scope<'_>) -> Vec<&'static FuseMap> {
    let mut maps: Vec<&'static FuseMap> = Vec::new();
    for chip in scope.chips {
        for revision in [scope.least_revision, Revision::new(u8::MAX, 99)] {
            let map = fuse_map(*chip, revision);
            if !maps.iter().any(|known| std::ptr::eq(*known, map)) {
                maps.push(map);
            }
        }
    }
    maps
}

/// What a name stands for in a fuse map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Field,
    Block,
    Either,
}

impl Named {
    fn word(self) -> &'static str {
        match self {
            Self::Field => "fuse field",
            Self::Block => "fuse block",
            Self::Either => "fuse field or block",
        }
    }

    /// The name as the map writes it.
    fn find(self, map: &'static FuseMap, name: &str) -> Option<&'static str> {
        let field = || map.field(name).map(|field| field.name);
        let block = || map.block_named(name).map(|block| block.name);
        match self {
            Self::Field => field(),
            Self::Block => block(),
            Self::Either => field().or_else(block),
        }
    }

    fn all(self, map: &'static FuseMap) -> Vec<&'static str> {
        let fields = map.fields.iter().map(|field| field.name);
        let blocks = map.blocks.iter().map(|block| block.name);
        match self {
            Self::Field => fields.collect(),
            Self::Block => blocks.collect(),
            Self::Either => fields.chain(blocks).collect(),
        }
    }
}

/// Finds a name in every map the step may meet; `None` if one has none, which is reported.
fn resolve(
    name: &str,
    span: Range<usize>,
    named: Named,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<&'static str> {
    let mut found = None;
    for map in maps(scope) {
        match named.find(map, name) {
            Some(own) => found = found.or(Some(own)),
            None => {
                let shown: String = name.chars().take(60).collect();
                let elsewhere = fuse_map(map.chip, Revision::new(u8::MAX, 99));
                let finding = Finding::new(
                    Code::UnknownFuse,
                    span,
                    format!("{} has no {} `{shown}`", map.chip.title(), named.word()),
                );
                let finding = if named.find(elsewhere, name).is_some() {
                    finding.hint("later revisions have it: declare `min_revision`")
                } else {
                    match closest(name, named.all(map)) {
                        Some(suggestion) => finding.suggest(Some(suggestion)),
                        None => finding.hint("names are those of Espressif's eFuse tables"),
                    }
                };
                context.error(finding);
                return None;
            }
        }
    }
    found
}

fn resolve_all(
    names: &At<Texts>,
    named: Named,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Vec<String> {
    let Some(names) = names else {
        return Vec::new();
    };
    let texts = names.get_ref().iter(names.span());
    texts
        .filter_map(|(name, span)| resolve(name, span, named, scope, context))
        .map(str::to_owned)
        .collect()
}

/// Reads the dangers that are wanted; the walk has checked the words.
pub(super) fn accepted(words: Option<&Vec<Spanned<String>>>) -> Vec<Danger> {
    let words = words.map(Vec::as_slice).unwrap_or_default();
    let mut dangers: Vec<Danger> = words
        .iter()
        .filter_map(|word| word.get_ref().parse().ok())
        .collect();
    dangers.sort_unstable();
    dangers.dedup();
    dangers
}

/// Compiles `efuse`.
pub(super) fn efuse(
    table: &Spanned<EfuseTable>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<Efuse> {
    let step = table.get_ref();
    let mut fields: Vec<_> = step.fields.iter().collect();
    fields.sort_by_key(|(name, _)| name.span().start);
    let fields: Vec<_> = fields
        .into_iter()
        .filter_map(|(name, value)| field(name, value, scope, context))
        .collect();
    let mut blocks: Vec<(&str, Range<usize>, &Spanned<String>)> = step
        .blocks
        .iter()
        .map(|(name, text)| (name.get_ref().as_str(), name.span(), text))
        .collect();
    if let Some(text) = &step.block_usr_data {
        blocks.push(("BLOCK_USR_DATA", text.span(), text));
    }
    blocks.sort_by_key(|(_, span, _)| span.start);
    let blocks: Vec<_> = blocks
        .into_iter()
        .filter_map(|(name, span, text)| block(name, span, text, scope, context))
        .collect();
    let efuse = Efuse {
        fields,
        blocks,
        write_protect: resolve_all(&step.write_protect, Named::Either, scope, context),
        read_protect: resolve_all(&step.read_protect, Named::Either, scope, context),
        custom_mac: step
            .custom_mac
            .as_ref()
            .and_then(|text| scope.template(text, context)),
        flash_voltage: step
            .flash_voltage
            .as_ref()
            .map(|word| match word.get_ref() {
                VoltageWord::Low => FlashVoltage::Low,
                VoltageWord::High => FlashVoltage::High,
                VoltageWord::Off => FlashVoltage::Off,
            }),
        accepted: accepted(step.accept.as_ref()),
    };
    refuse_twice(&efuse, table, context);
    let nothing = step.fields.is_empty()
        && step.blocks.is_empty()
        && step.block_usr_data.is_none()
        && step.write_protect.is_none()
        && step.read_protect.is_none()
        && step.custom_mac.is_none()
        && step.flash_voltage.is_none();
    if nothing {
        context.missing(
            table.span(),
            "`efuse` burns nothing",
            "for example `fields = { DIS_USB_JTAG = true }`",
        );
        return None;
    }
    Some(efuse)
}

/// Reports a field or block that is named twice under different names.
fn refuse_twice(efuse: &Efuse, table: &Spanned<EfuseTable>, context: &mut Context) {
    let fields = efuse.fields.iter().map(|field| field.name.as_str());
    let names: Vec<_> = fields
        .chain(efuse.blocks.iter().map(|block| block.block.as_str()))
        .collect();
    for (position, name) in names.iter().enumerate() {
        if names.iter().take(position).any(|earlier| earlier == name) {
            let message = format!("`{name}` is named twice");
            context.error(Finding::new(Code::DuplicateName, table.span(), message));
        }
    }
}

fn field(
    name: &Spanned<String>,
    value: &Spanned<FuseWord>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<FuseField> {
    let canonical = resolve(name.get_ref(), name.span(), Named::Field, scope, context)?;
    let kind = maps(scope)
        .into_iter()
        .find_map(|map| map.field(canonical))
        .map(|field| field.kind)?;
    let value = match (value.get_ref(), wish::takes_bytes(kind)) {
        (FuseWord::Number(number), false) => FuseValue::Number(*number),
        (FuseWord::Number(_), true) => {
            context.error(
                Finding::new(
                    Code::WrongType,
                    value.span(),
                    format!("`{canonical}` takes bytes, not a number"),
                )
                .hint("for example `\"hex:00112233\"`"),
            );
            return None;
        }
        (FuseWord::Text(text), true) => {
            let text = Spanned::new(value.span(), text.clone());
            FuseValue::Bytes(bytes(&text, scope, context)?)
        }
        (FuseWord::Text(text), false) => {
            let text = Spanned::new(value.span(), text.clone());
            let template = scope.template(&text, context)?;
            if template.names().is_empty() {
                let number = wish::number(text.get_ref());
                if number.is_none() {
                    let shown: String = text.get_ref().chars().take(60).collect();
                    let message = format!("`{canonical}` takes a number, not `{shown}`");
                    context.error(Finding::new(Code::BadValue, text.span(), message));
                }
                FuseValue::Number(number?)
            } else {
                FuseValue::Counted(template)
            }
        }
    };
    Some(FuseField {
        name: canonical.to_owned(),
        value,
    })
}

fn block(
    name: &str,
    span: Range<usize>,
    text: &Spanned<String>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<FuseBytes> {
    let block = resolve(name, span, Named::Block, scope, context)?;
    Some(FuseBytes {
        block: block.to_owned(),
        bytes: bytes(text, scope, context)?,
    })
}

/// Reads `hex:…` or text.
fn bytes(text: &Spanned<String>, scope: &Scope<'_>, context: &mut Context) -> Option<UnitBytes> {
    let (encoding, inner) = match text.get_ref().strip_prefix("hex:") {
        Some(inner) => (Encoding::Hex, inner),
        None => (Encoding::Text, text.get_ref().as_str()),
    };
    let value = scope.template(&Spanned::new(text.span(), inner.to_owned()), context)?;
    let plain = value.names().is_empty();
    if plain && encoding == Encoding::Hex && hex::decode(inner).is_err() {
        context.error(Finding::new(
            Code::BadValue,
            text.span(),
            "what follows `hex:` is not pairs of hex digits",
        ));
        return None;
    }
    Some(UnitBytes { encoding, value })
}

/// The block of a key: by name, or the first that is free.
fn slot(name: &At<String>, scope: &Scope<'_>, context: &mut Context) -> Option<Slot> {
    let Some(name) = name else {
        return Some(Slot::Free);
    };
    if name.get_ref() == "free" {
        return Some(Slot::Free);
    }
    let block = resolve(name.get_ref(), name.span(), Named::Block, scope, context)?;
    for map in maps(scope) {
        let holds = map.block_named(block).is_some_and(|block| block.key_slot);
        if !holds {
            let slots: Vec<_> = map.key_slots().map(|block| block.name).collect();
            context.error(
                Finding::new(
                    Code::UnknownFuse,
                    name.span(),
                    format!("`{block}` of {} holds no keys", map.chip.title()),
                )
                .hint(format!("key blocks are {}", slots.join(", "))),
            );
            return None;
        }
    }
    Some(Slot::Named(block.to_owned()))
}

/// The purpose as the fuse map writes it; `None` if a chip has none such, which is reported.
fn purpose(name: &Spanned<String>, scope: &Scope<'_>, context: &mut Context) -> Option<String> {
    let mut found = None;
    for map in maps(scope) {
        let fixed = FIXED_PURPOSES.iter().find(|(chip, _)| *chip == map.chip);
        let mut known: Vec<&str> = match fixed {
            Some((_, purposes)) => purposes.to_vec(),
            None => map.purposes.iter().map(|purpose| purpose.name).collect(),
        };
        if known.contains(&"XTS_AES_256_KEY_1") {
            known.push("XTS_AES_256_KEY");
        }
        let own = known
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name.get_ref()));
        match own {
            Some(own) => found = Some((*own).to_owned()),
            None => {
                let shown: String = name.get_ref().chars().take(60).collect();
                let message = format!("{} has no key purpose `{shown}`", map.chip.title());
                let finding = Finding::new(Code::UnknownFuse, name.span(), message);
                context.error(match closest(name.get_ref(), known.iter().copied()) {
                    Some(suggestion) => finding.suggest(Some(suggestion)),
                    None => finding.hint(format!("purposes are {}", known.join(", "))),
                });
                return None;
            }
        }
    }
    found
}

/// Compiles `key`.
pub(super) fn key(
    table: &Spanned<KeyTable>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<BurnKey> {
    let step = table.get_ref();
    let slot = slot(&step.slot, scope, context);
    let purpose = purpose(step.purpose.as_ref()?, scope, context)?;
    let kind = keys::kind_of(&purpose);
    let wanted = Use {
        name: &step.name,
        source: &step.source,
        custody: step.custody,
        kind,
        purpose: &purpose,
        secret: !purpose.to_ascii_uppercase().contains("DIGEST") && purpose != "secure_boot_v2",
    };
    let key = keys::compile(&wanted, table.span(), slot?, scope, context)?;
    Some(BurnKey {
        key,
        purpose,
        read_protect: step.read_protect,
        write_protect: step.write_protect.unwrap_or(true),
        accepted: accepted(step.accept.as_ref()),
    })
}

/// Compiles `flash_encryption`.
pub(super) fn flash_encryption(
    table: &Spanned<FlashEncryptionTable>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<FlashEncryption> {
    let step = table.get_ref();
    let key_table = step.key.as_ref()?;
    let inner = key_table.get_ref();
    let kind = encryption_kind(inner.kind.as_ref()?, scope, context);
    let slot = slot(&inner.slot, scope, context);
    let wanted = Use {
        name: &inner.name,
        source: &inner.source,
        custody: inner.custody,
        kind: kind?,
        purpose: "",
        secret: true,
    };
    let key = keys::compile(&wanted, key_table.span(), slot?, scope, context);
    let names = step.images.as_ref()?;
    if names.get_ref().is_empty() {
        let message = "`images` names no image";
        context.error(Finding::new(Code::OutOfRange, names.span(), message));
    }
    let images = super::actions::encrypted_images(names.get_ref(), scope, context);
    let content = match step.content.as_ref().map(Spanned::get_ref) {
        Some(ContentWord::Bootloader) => EncryptedBy::Bootloader,
        Some(ContentWord::Host) | None => EncryptedBy::Host,
    };
    Some(FlashEncryption {
        release: step.mode? == EncryptionModeWord::Release,
        key: key?,
        images,
        content,
        // What secure boot needs together with this is known when every step is.
        trusted: None,
        digest: None,
        accepted: accepted(step.accept.as_ref()),
    })
}

/// The kind of an encryption key, which every chip of the step must have.
fn encryption_kind(
    word: &Spanned<EncryptionKindWord>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<KeyKind> {
    for chip in scope.chips {
        let map = fuse_map(*chip, scope.least_revision);
        let fits = match word.get_ref() {
            EncryptionKindWord::Esp32 => *chip == Chip::Esp32,
            EncryptionKindWord::Xts128 => *chip != Chip::Esp32,
            EncryptionKindWord::Xts128Derived => *chip == Chip::Esp32C2,
            EncryptionKindWord::Xts256 => map.purpose("XTS_AES_256_KEY_1").is_some(),
        };
        if !fits {
            let message = format!("{} has no such flash encryption", chip.title());
            let hint = if *chip == Chip::Esp32 {
                "`kind = \"esp32\"` is the one it has"
            } else {
                "`kind = \"xts128\"` is one it has"
            };
            context.error(Finding::new(Code::BadValue, word.span(), message).hint(hint));
            return None;
        }
    }
    Some(match word.get_ref() {
        EncryptionKindWord::Xts128 => KeyKind::XtsAes128,
        EncryptionKindWord::Xts128Derived => KeyKind::Aes128,
        EncryptionKindWord::Xts256 => KeyKind::XtsAes256,
        EncryptionKindWord::Esp32 => KeyKind::XtsAes128,
    })
}

/// Keys of units by serial number, as a column of the serial list gives them.
pub(super) type UnitKeys = Arc<BTreeMap<String, station_esp::secret::Secret>>;
