//! `nvs`: what every unit gets, what each has of its own, and whether all of it can be right.
//!
//! Every value that is known before its unit is there is made here already, for every row of every
//! list, so that no unit fails at the line for what was known before; and the longest of them
//! together must fit the partition.

use std::collections::BTreeSet;
use std::ops::Range as Span;

use station_esp::nvs::{self, Content, Name, Value, Version};
use toml::Spanned;

use super::Context;
use super::files::{known_files, read_bounded, unit_files};
use super::layout::Grain;
use super::serials::file_finding;
use super::steps::{Scope, Steps};
use super::units::Seen;
use crate::keys::Custody;
use crate::plan::{Action, Nvs, NvsEncryption, NvsForm, NvsValue, Range};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::quantity::size_text;
use crate::recipe::syntax::{
    At, NumberOrText, NvsEncryptionTable, NvsTable, NvsValueTable, NvsWord, Place,
};
use crate::serial::listed;
use crate::template::{Template, Values, closest};
use crate::unit_files::{UnitFileError, UnitFiles};

/// Largest CSV file of entries, in bytes: hex of the largest partition.
const MAX_TABLE: u64 = 40 * 1024 * 1024;

/// The purpose of a key that NVS keys follow from.
const HMAC_UP: &str = "HMAC_UP";

/// Compiles the action. `None` if something was reported.
pub(super) fn compile(
    table: &Spanned<NvsTable>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<Nvs> {
    let nvs = table.get_ref();
    let range = range(table, scope, context);
    let version = match nvs.version {
        Some(1) => Version::V1,
        Some(_) | None => Version::V2,
    };
    let rows = nvs.values.as_deref().unwrap_or_default();
    if nvs.csv.is_none() && rows.is_empty() {
        context.missing(
            table.span(),
            "`nvs` has no entries",
            "add `csv = \"base.csv\"`, `values = […]`, or both",
        );
        return None;
    }
    let before = context.errors.len();
    let base = match &nvs.csv {
        Some(csv) => base(csv, context),
        None => Some(Content::new()),
    };
    let mut draft = Draft {
        worst: base.clone().unwrap_or_default(),
        base: base.unwrap_or_default(),
        values: Vec::new(),
        named: BTreeSet::new(),
        version,
    };
    for row in rows {
        draft.add(row, scope, context);
    }
    let encryption = match &nvs.encryption {
        Some(encryption) => Some(self::encryption(encryption, scope, context)?),
        None => None,
    };
    if context.errors.len() > before {
        return None;
    }
    let range = range?;
    draft.check_room(range, table.span(), context)?;
    Some(Nvs {
        range,
        version,
        origin: nvs.csv.as_ref().map(|csv| csv.get_ref().clone()),
        base: draft.base,
        values: draft.values,
        encryption,
    })
}

/// Where the partition is.
fn range(table: &Spanned<NvsTable>, scope: &Scope<'_>, context: &mut Context) -> Option<Range> {
    let nvs = table.get_ref();
    let named = nvs.partition.as_ref().map(in_partition);
    let at = match (named, &nvs.at) {
        (Some(partition), None) => Some(partition),
        (None, Some(at)) => Some(at.clone()),
        (Some(_), Some(at)) => {
            let message = "`partition` and `at` exclude each other";
            context.error(Finding::new(Code::Conflict, at.span(), message));
            return None;
        }
        (None, None) => {
            context.missing(
                table.span(),
                "`nvs` has neither `partition` nor `at`",
                "for example `partition = \"nvs\"`",
            );
            return None;
        }
    };
    let range = scope.layout.range(&at, &nvs.size, Grain::Sector, context)?;
    let span = at.as_ref().map_or(0..0, Spanned::span);
    let end = u64::from(range.offset) + u64::from(range.size);
    let app = scope.layout.partitions().iter().find(|partition| {
        partition.application
            && u64::from(partition.offset) < end
            && u64::from(range.offset) < partition.end()
    });
    if let Some(app) = app {
        let message = format!("partition `{}` is for an application", app.name);
        context.error(Finding::new(Code::PartitionType, span, message));
        return None;
    }
    if range.size > nvs::MAX_SIZE {
        let most = size_text(u64::from(nvs::MAX_SIZE));
        let message = format!("an NVS partition has at most {most}");
        context.error(Finding::new(Code::TooLarge, span, message));
        return None;
    }
    Some(range)
}

fn in_partition(name: &Spanned<String>) -> Spanned<Place> {
    Spanned::new(name.span(), Place::Partition(name.get_ref().clone()))
}

/// What every unit gets.
fn base(csv: &Spanned<String>, context: &mut Context) -> Option<Content> {
    let file = csv.get_ref();
    let bytes = match read_bounded(&context.folder.join(file), MAX_TABLE) {
        Ok(bytes) => bytes,
        Err(error) => {
            context.error(file_finding(csv, &error));
            return None;
        }
    };
    let Ok(text) = String::from_utf8(bytes) else {
        let message = format!("`{file}` is not UTF-8");
        context.error(Finding::new(Code::BadNvs, csv.span(), message));
        return None;
    };
    let files = files(context);
    let parsed = Content::parse_csv(&text, &|name| match files.read(name) {
        Err(UnitFileError::Empty { .. }) => Ok(Vec::new()),
        read => read.map_err(|error| error.to_string()),
    });
    match parsed {
        Ok(content) => Some(content),
        Err(error) => {
            let message = format!("`{file}`: {error}");
            context.error(Finding::new(Code::BadNvs, csv.span(), message));
            None
        }
    }
}

fn files(context: &Context) -> UnitFiles {
    unit_files(u64::try_from(nvs::MAX_BLOB).unwrap_or(u64::MAX), context)
}

/// A table that grows.
struct Draft {
    base: Content,
    /// The same with the longest value of every entry.
    worst: Content,
    values: Vec<NvsValue>,
    /// Namespace and key of what `values` has so far.
    named: BTreeSet<(Name, Name)>,
    version: Version,
}

impl Draft {
    fn add(&mut self, row: &Spanned<NvsValueTable>, scope: &Scope<'_>, context: &mut Context) {
        let table = row.get_ref();
        let namespace = name(&table.namespace, context);
        let key = name(&table.key, context);
        let (Some(word), Some(value)) = (&table.form, &table.value) else {
            return;
        };
        let text = match value.get_ref() {
            NumberOrText::Number(number) if is_number(*word.get_ref()) => number.to_string(),
            NumberOrText::Number(_) => {
                let message = "`value` takes text here, for it is no number in NVS";
                context.error(
                    Finding::new(Code::WrongType, value.span(), message)
                        .hint("put it in quotes, or give it a type such as `u32`"),
                );
                return;
            }
            NumberOrText::Text(text) => text.clone(),
        };
        let text = Spanned::new(value.span(), text);
        let Some(template) = scope.template(&text, context) else {
            return;
        };
        let (Some(namespace), Some(key)) = (namespace, key) else {
            return;
        };
        if !self.named.insert((namespace, key)) {
            let message = format!("`{namespace}`/`{key}` is there twice");
            context.error(Finding::new(Code::DuplicateName, row.span(), message));
            return;
        }
        let entry = Entry {
            namespace,
            key,
            word: *word.get_ref(),
            span: value.span(),
        };
        if template.names().is_empty() {
            self.constant(&entry, &template, context);
        } else {
            self.own(&entry, template, scope, context);
        }
    }

    /// An entry that is the same for every unit.
    fn constant(&mut self, entry: &Entry, template: &Template, context: &mut Context) {
        // Without names there is nothing that rendering could miss.
        let text = template.render(&Values::default()).unwrap_or_default();
        let value = match encoding(entry.word) {
            Some(encoding) => Value::from_text(encoding, &text).map_err(|fault| fault.to_string()),
            None => files(context)
                .read(&text)
                .map(Value::Blob)
                .map_err(|error| error.to_string()),
        };
        match value {
            Ok(value) => {
                self.set(entry, value.clone(), value, context);
            }
            Err(reason) => entry.refuse(&reason, context),
        }
    }

    /// An entry that each unit has its own value of.
    fn own(&mut self, entry: &Entry, value: Template, scope: &Scope<'_>, context: &mut Context) {
        let own = match encoding(entry.word) {
            Some(encoding) => entry.texts(encoding, &value, scope, context),
            None => entry.files(&value, scope, context),
        };
        let Some((form, worst)) = own else { return };
        let placeholder = Value::String(String::new());
        if self.set(entry, placeholder, worst, context) {
            self.values.push(NvsValue {
                namespace: entry.namespace,
                key: entry.key,
                form,
                value,
            });
        }
    }

    fn set(&mut self, entry: &Entry, value: Value, worst: Value, context: &mut Context) -> bool {
        let (namespace, key) = (entry.namespace.as_str(), entry.key.as_str());
        let set = self.worst.set(namespace, key, worst);
        match set.and_then(|()| self.base.set(namespace, key, value)) {
            Ok(()) => true,
            Err(error) => {
                entry.refuse(&error.fault.to_string(), context);
                false
            }
        }
    }

    /// Checks that the longest values together fit.
    fn check_room(&self, range: Range, span: Span<usize>, context: &mut Context) -> Option<()> {
        let Err(error) = nvs::build(&self.worst, range.size, self.version) else {
            return Some(());
        };
        let finding = if let nvs::Fault::TooSmall { needed, .. } = error.fault {
            let message = format!(
                "the entries can need {}, and there is room for {}",
                size_text(u64::from(needed)),
                size_text(u64::from(range.size))
            );
            Finding::new(Code::TooLarge, span, message)
                .hint("one page of 4096 bytes stays free, as firmware needs it")
        } else {
            Finding::new(Code::BadNvs, span, error.to_string())
        };
        context.error(finding);
        None
    }
}

/// An entry under way.
struct Entry {
    namespace: Name,
    key: Name,
    word: NvsWord,
    span: Span<usize>,
}

impl Entry {
    fn refuse(&self, reason: &str, context: &mut Context) {
        let message = format!("`{}`/`{}`: {reason}", self.namespace, self.key);
        context.error(Finding::new(Code::BadNvs, self.span.clone(), message));
    }

    fn refuse_rows(&self, wrong: &[(String, String)], context: &mut Context) -> bool {
        if !wrong.is_empty() {
            let reasons = listed(wrong, |(place, reason)| format!("{place}: {reason}"));
            self.refuse(&reasons, context);
        }
        !wrong.is_empty()
    }

    /// Makes every value that is known beforehand; how they are made, and the longest.
    fn texts(
        &self,
        encoding: &'static str,
        template: &Template,
        scope: &Scope<'_>,
        context: &mut Context,
    ) -> Option<(NvsForm, Value)> {
        let mut wrong = Vec::new();
        let mut worst: Option<Value> = None;
        let seen = scope.units.each_text(template, scope.chips, |unit, text| {
            let made = text.map_err(|error| error.to_string()).and_then(|text| {
                if text.is_empty() {
                    return Err("it is empty".to_owned());
                }
                Value::from_text(encoding, &text).map_err(|fault| fault.to_string())
            });
            match made {
                Ok(value) => {
                    let least = worst.as_ref().map(Value::length);
                    if least.is_none_or(|least| value.length() > least) {
                        worst = Some(value);
                    }
                }
                Err(reason) => wrong.push((scope.units.place(unit), reason)),
            }
        });
        if self.refuse_rows(&wrong, context) {
            return None;
        }
        if seen == Seen::Unknown {
            // What nobody knows before the unit is there counts nothing.
            let length = template.longest(|name| Some(scope.units.longest(name).unwrap_or(0)));
            worst = Some(longest(encoding, length.unwrap_or(0)));
        }
        let worst = worst.unwrap_or_else(|| longest(encoding, 0));
        Some((NvsForm::Encoding(encoding), worst))
    }

    /// The files of units, and the content of the longest.
    fn files(
        &self,
        template: &Template,
        scope: &Scope<'_>,
        context: &mut Context,
    ) -> Option<(NvsForm, Value)> {
        match known_files(files(context), template, scope) {
            Ok((files, longest)) => Some((NvsForm::File(files), Value::Blob(longest))),
            Err(wrong) => {
                self.refuse_rows(&wrong, context);
                None
            }
        }
    }
}

/// The longest value that text of so many bytes can give.
fn longest(encoding: &str, length: usize) -> Value {
    match encoding {
        "string" => Value::String("x".repeat(length)),
        "hex2bin" => Value::Blob(vec![0; length / 2]),
        "base64" => Value::Blob(vec![0; length.div_ceil(4) * 3]),
        _ => Value::U64(0),
    }
}

fn name(name: &At<String>, context: &mut Context) -> Option<Name> {
    let name = name.as_ref()?;
    match Name::new(name.get_ref()) {
        Ok(name) => Some(name),
        Err(fault) => {
            context.error(Finding::new(Code::BadName, name.span(), fault.to_string()));
            None
        }
    }
}

fn is_number(word: NvsWord) -> bool {
    match word {
        NvsWord::U8
        | NvsWord::I8
        | NvsWord::U16
        | NvsWord::I16
        | NvsWord::U32
        | NvsWord::I32
        | NvsWord::U64
        | NvsWord::I64 => true,
        NvsWord::String | NvsWord::Hex | NvsWord::Base64 | NvsWord::File => false,
    }
}

/// The encoding of the CSV form that a type stands for; a file has none.
fn encoding(word: NvsWord) -> Option<&'static str> {
    match word {
        NvsWord::U8 => Some("u8"),
        NvsWord::I8 => Some("i8"),
        NvsWord::U16 => Some("u16"),
        NvsWord::I16 => Some("i16"),
        NvsWord::U32 => Some("u32"),
        NvsWord::I32 => Some("i32"),
        NvsWord::U64 => Some("u64"),
        NvsWord::I64 => Some("i64"),
        NvsWord::String => Some("string"),
        NvsWord::Hex => Some("hex2bin"),
        NvsWord::Base64 => Some("base64"),
        NvsWord::File => None,
    }
}

/// Where the keys are.
fn encryption(
    table: &Spanned<NvsEncryptionTable>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<NvsEncryption> {
    let encryption = table.get_ref();
    match (&encryption.keys, &encryption.hmac) {
        (Some(partition), None) => keys_partition(partition, scope, context),
        (None, Some(step)) => hmac(step, scope, context),
        (Some(_), Some(step)) => {
            let message = "`keys` and `hmac` exclude each other";
            context.error(Finding::new(Code::Conflict, step.span(), message));
            None
        }
        (None, None) => {
            context.missing(
                table.span(),
                "`encryption` has neither `keys` nor `hmac`",
                "for example `hmac = \"nvs key\"`: the step that burns the key",
            );
            None
        }
    }
}

fn keys_partition(
    name: &Spanned<String>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<NvsEncryption> {
    let place = Some(in_partition(name));
    let range = scope.layout.range(&place, &None, Grain::Sector, context)?;
    let mut partitions = scope.layout.partitions().iter();
    if !partitions.any(|partition| partition.name == *name.get_ref() && partition.nvs_keys) {
        let message = format!("partition `{}` is not for NVS keys", name.get_ref());
        context.error(
            Finding::new(Code::PartitionType, name.span(), message)
                .hint("firmware looks for a `data` partition of subtype `nvs_keys`"),
        );
        return None;
    }
    let size = u32::try_from(nvs::PAGE).unwrap_or(u32::MAX);
    Some(NvsEncryption::Partition(Range { size, ..range }))
}

fn hmac(name: &Spanned<String>, scope: &Scope<'_>, context: &mut Context) -> Option<NvsEncryption> {
    let keys = scope.earlier.iter().filter_map(|step| {
        let Action::Key(key) = &step.action else {
            return None;
        };
        key.purpose
            .eq_ignore_ascii_case(HMAC_UP)
            .then_some((step, &key.key))
    });
    let keys: Vec<_> = keys.collect();
    let found = keys
        .iter()
        .find(|(step, _)| step.name.as_str() == name.get_ref());
    let Some((step, key)) = found else {
        let shown: String = name.get_ref().chars().take(60).collect();
        let message = format!("no earlier step `{shown}` burns a key with purpose `{HMAC_UP}`");
        let finding = Finding::new(Code::BadValue, name.span(), message);
        let names = keys.iter().map(|(step, _)| step.name.as_str());
        context.error(match closest(name.get_ref(), names) {
            Some(suggestion) => finding.suggest(Some(suggestion)),
            None => finding.hint(format!(
                "add a step with `key = {{ purpose = \"{HMAC_UP}\", source = \"generate\" }}` before"
            )),
        });
        return None;
    };
    if key.custody == Custody::Forget {
        let message = "the key is forgotten as soon as it is burned, and NVS keys follow from it";
        context.error(
            Finding::new(Code::Conflict, name.span(), message)
                .hint("leave `custody = \"forget\"` out of that step"),
        );
        return None;
    }
    Some(NvsEncryption::Hmac {
        step: step.name.clone(),
        key: Box::new((*key).clone()),
    })
}

/// Warns of keys that anybody can read.
pub(super) fn check(steps: &Steps, context: &mut Context) {
    let covered = steps
        .steps
        .iter()
        .any(|step| matches!(step.action, Action::FlashEncryption(_)));
    for (step, span) in steps.steps.iter().zip(&steps.spans) {
        if let Action::Nvs(nvs) = &step.action
            && matches!(nvs.encryption, Some(NvsEncryption::Partition(_)))
            && !covered
        {
            let message = "the keys lie in flash, and no step switches flash encryption on";
            context.warn(
                Finding::new(Code::KeysReadable, span.clone(), message).hint(
                    "whoever reads flash has them; add `flash_encryption`, or take `hmac` instead",
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use crate::recipe::compile_text;

    /// A recipe with so many numbers of one byte in the smallest partition that firmware can write.
    fn numbers(count: usize) -> Result<(), String> {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("units.csv"), "mac,v\n7cdfa1000001,7\n").unwrap();
        let value = |at| {
            format!(r#"{{ namespace = "n", key = "k{at}", type = "u8", value = "{{csv.v}}" }}"#)
        };
        let values: Vec<_> = (0..count).map(value).collect();
        let text = format!(
            r#"
format = 1
product = "node"
chip = "esp32c3"
values = {{ from = "units.csv", mac = "mac" }}
[[step]]
name = "nvs"
nvs = {{ at = 0x9000, size = "12KB", values = [{}] }}
"#,
            values.join(", ")
        );
        let compiled = compile_text("nvs.toml", &text, folder.path());
        compiled.map(|_| ()).map_err(|errors| errors.render())
    }

    #[test]
    fn numbers_of_one_byte_take_one_entry_each_of_a_partition() {
        // Two pages of 126 entries, one of which is the namespace.
        numbers(251).unwrap();
        let refused = numbers(252).unwrap_err();
        assert!(refused.contains("recipe-does-not-fit"), "{refused}");
    }
}
