//! What a plan is, as text and as a hash.
//!
//! The identity is the SHA-256 of the plan's canonical text: one JSON object, indented by two
//! blanks, with keys in the order below, durations in microseconds, the bytes of every image as
//! their size and SHA-256, and the rows of a serial list as their number and a SHA-256 over them.
//! So it does not change with comments, blanks, the order of keys or images, other ways to write
//! one value (`"4MB"`, `"4096KB"`), a default that is written out, or the folder the recipe is in;
//! keys stand as their fingerprints;
//! it does change with everything a unit would notice, and with names and limits, because records
//! are judged by them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use station_esp::efuse::plan::{Danger, FlashVoltage, Slot};
use station_esp::nvs::{Content, Row, Version};
use station_esp::secret::Secret;

use crate::event::{PlanId, micros};
use crate::keys::Custody;
use crate::outcome::Limits;
use crate::plan::{
    Action, Boot, BootloaderDigest, Check, CheckedPolicy, Efuse, Encoding, EncryptedBy, Erase,
    FlashEncryption, FuseValue, ImageKind, Measure, Mode, Nvs, NvsEncryption, NvsForm,
    PlanContents, PlanImage, PlanKey, PlanKeySource, PlanStep, Range, Read, ReadForm, SecureBoot,
    SeenBefore, UnitBytes, UnitFiles, WriteBytes,
};
use crate::serial::{CsvRow, SerialSource, UnitList};
use crate::template::Template;

/// Version of the canonical text. It changes when the text of an unchanged plan would.
const CANONICAL_VERSION: u32 = 1;

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(super) fn plan_id(contents: &PlanContents) -> PlanId {
    PlanId::new(sha256_hex(canonical(contents).as_bytes()))
}

/// Returns the canonical text of a plan.
pub fn canonical(contents: &PlanContents) -> String {
    let run = &contents.run;
    let mut images: Vec<_> = contents.images.iter().collect();
    images.sort_by(|left, right| left.name.cmp(&right.name));
    let mut chips: Vec<_> = contents.chips.iter().map(|chip| chip.name()).collect();
    chips.sort_unstable();
    let mut plan = json!({
        "station_plan": CANONICAL_VERSION,
        "product": contents.product,
        "revision": contents.revision,
        "chips": chips,
        "min_chip_revision": contents.min_chip_revision,
        "run": {
            "mode": mode_word(run.mode),
            "attempt_timeout_us": micros(run.attempt_timeout),
            "auto_start": run.auto_start,
            "seen_before": seen_before_word(run.seen_before),
            "quota": run.quota,
            "quarantine_after": run.quarantine_after,
            "bauds": run.bauds,
        },
        "serial": contents.serial.as_ref().map(serial),
        "images": images.into_iter().map(image).collect::<Vec<_>>(),
        "partitions": contents.partitions.iter().map(|partition| json!({
            "name": partition.name,
            "offset": partition.offset,
            "size": partition.size,
        })).collect::<Vec<_>>(),
        "steps": contents.steps.iter().map(|it| step(it, &contents.images)).collect::<Vec<_>>(),
    });
    // Only where there are some, as with policies.
    if let (Some(list), Some(object)) = (&contents.values, plan.as_object_mut()) {
        let values = json!({
            "key": list.key().word(),
            "rows": list.rows().len(),
            "rows_sha256": units_sha256(list),
        });
        object.insert("values".to_owned(), values);
    }
    // An object of texts and finite numbers cannot fail to serialize.
    format!("{plan:#}\n")
}

/// Returns the recipe's word.
pub(super) fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Independent => "independent",
        Mode::Carrier => "carrier",
    }
}

/// Returns the recipe's word.
pub(super) fn seen_before_word(seen_before: SeenBefore) -> &'static str {
    match seen_before {
        SeenBefore::Refuse => "refuse",
        SeenBefore::Repeat => "repeat",
        SeenBefore::Verify => "verify",
    }
}

/// Returns the recipe's word.
pub(super) fn kind_word(kind: ImageKind) -> &'static str {
    match kind {
        ImageKind::Bootloader => "bootloader",
        ImageKind::PartitionTable => "table",
        ImageKind::Application => "app",
        ImageKind::Raw => "raw",
    }
}

fn encoding_word(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Text => "text",
        Encoding::Hex => "hex",
        Encoding::Base64 => "base64",
    }
}

fn serial(source: &SerialSource) -> Value {
    match source {
        SerialSource::Pool { name, pattern } => {
            json!({ "pool": name, "pattern": pattern.as_str() })
        }
        SerialSource::Csv { name, rows, units } => {
            let mut serial =
                json!({ "pool": name, "rows": rows.len(), "rows_sha256": rows_sha256(rows) });
            // Only where there is one, as with policies.
            if let (Some(units), Some(object)) = (units, serial.as_object_mut()) {
                object.insert("mac".to_owned(), units.column().into());
            }
            serial
        }
    }
}

/// Returns the SHA-256 over all fields, each after its length, so that no two lists look alike.
pub(super) fn rows_sha256(rows: &[CsvRow]) -> String {
    let mut hash = Sha256::new();
    let mut feed = |text: &str| {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(text.as_bytes());
    };
    for row in rows {
        feed(&row.serial);
        for (column, value) in &row.columns {
            feed(column);
            feed(value);
        }
    }
    hex::encode(hash.finalize())
}

fn image(image: &PlanImage) -> Value {
    let mut chips: Vec<_> = image.chips.iter().map(|chip| chip.name()).collect();
    chips.sort_unstable();
    json!({
        "name": image.name,
        "kind": kind_word(image.kind),
        "chips": chips,
        "offset": image.offset,
        "size": image.bytes.len(),
        "sha256": image.sha256,
    })
}

fn step(step: &PlanStep, images: &[PlanImage]) -> Value {
    json!({
        "name": step.name.as_str(),
        "action": step.action.word(),
        "what": action(&step.action, images),
        "retry": {
            "times": step.retry.times,
            "on": step.retry.on.iter().map(|class| class.word()).collect::<Vec<_>>(),
            "pause_us": micros(step.retry.pause),
        },
        "timeout_us": micros(step.timeout),
        "when": step.when.as_ref().map(|when| json!({
            "subject": when.subject.as_str(),
            "text": when.text,
            "equal": when.equal,
        })),
        "always": step.always,
        "needs": step.needs,
        "group": step.group,
    })
}

fn action(action: &Action, images: &[PlanImage]) -> Value {
    match action {
        Action::Identify(identify) => {
            json!({ "flash_size": identify.flash_size, "mac_prefix": identify.mac_prefix })
        }
        Action::Erase(Erase::All) => json!({ "all": true }),
        Action::Erase(Erase::Ranges(ranges)) => json!({ "ranges": ranges_of(ranges) }),
        Action::Flash(flash) => {
            let mut value = json!({
                "images": names(&flash.images, images),
                "verify": flash.verify,
                "skip_unchanged": flash.skip_unchanged,
            });
            // Plans that say nothing of it keep the hash under which they were released.
            if flash.encrypted {
                value["encrypted"] = Value::Bool(true);
            }
            value
        }
        Action::Data(write) | Action::Serial(write) => write_bytes(write),
        Action::Nvs(step) => nvs(step),
        Action::Boot(start) => boot(start),
        Action::Test(test) => json!({
            "boot": test.boot.as_ref().map(boot),
            "baud": test.baud,
            "script": test.script.iter().map(|exchange| json!({
                "send": exchange.send.as_ref().map(Template::as_str),
                "pattern": exchange.pattern.as_ref().map(regex::Regex::as_str),
                "within_us": micros(exchange.within),
                "measure": exchange.measure.as_ref().map(measure),
                "needs": exchange.needs,
            })).collect::<Vec<_>>(),
        }),
        Action::Command(command) => json!({
            "run": command.run.iter().map(Template::as_str).collect::<Vec<_>>(),
            "within_us": micros(command.within),
            "measures": command.measures.iter().map(|(pattern, value)| json!({
                "pattern": pattern.as_str(),
                "measure": measure(value),
            })).collect::<Vec<_>>(),
        }),
        Action::Check(it) => check(it, images),
        Action::Efuse(step) => efuse(step),
        Action::Key(step) => json!({
            "key": key(&step.key),
            "purpose": step.purpose,
            "read_protect": step.read_protect,
            "write_protect": step.write_protect,
            "accepted": accepted(&step.accepted),
        }),
        Action::FlashEncryption(step) => flash_encryption(step, images),
        Action::SecureBoot(SecureBoot::V1(step)) => json!({
            "version": 1,
            "digest": digest(&step.digest, images),
            "signed": names(&step.signed, images),
            "encrypted": step.encrypted,
        }),
        Action::SecureBoot(SecureBoot::V2(step)) => json!({
            "version": 2,
            "signed": names(&step.signed, images),
            "digests": step.digests.iter().map(|it| hex::encode(it.digest)).collect::<Vec<_>>(),
            "revoke_unused": step.revoke_unused,
            "aggressive_revoke": step.aggressive_revoke,
            "accepted": accepted(&step.accepted),
        }),
        Action::Read(step) => read(step),
    }
}

fn read(read: &Read) -> Value {
    let mut what = json!({
        "range": range(read.range),
        "equals": read.equals.as_ref().map(Template::as_str),
        "encoding": form_word(&read.form),
        "measure": read.measure.as_ref().map(|measure| measure.name.as_str()),
        "attach": read.attach,
    });
    // Only where there are some, as with policies.
    if let Some(object) = what.as_object_mut() {
        if let ReadForm::Nvs { namespace, key } = &read.form {
            let value = json!({ "namespace": namespace.as_str(), "key": key.as_str() });
            object.insert("nvs".to_owned(), value);
        }
        let judged =
            |it: &&Measure| it.unit.is_some() || it.limits != Limits::default() || it.numeric;
        if let Some(it) = read.measure.as_ref().filter(judged) {
            object.insert("judged".to_owned(), measure(it));
        }
    }
    what
}

/// Returns the recipe's word.
pub(super) fn form_word(form: &ReadForm) -> String {
    match form {
        ReadForm::Bytes(encoding) => encoding_word(*encoding).to_owned(),
        ReadForm::Number { width: 1, .. } => "u8".to_owned(),
        ReadForm::Number { width, big_endian } => {
            let order = if *big_endian { "be" } else { "le" };
            format!("u{}{order}", u32::from(*width) * 8)
        }
        ReadForm::Nvs { .. } => "nvs".to_owned(),
    }
}

fn flash_encryption(step: &FlashEncryption, images: &[PlanImage]) -> Value {
    let mut what = json!({
        "release": step.release,
        "key": key(&step.key),
        "images": names(&step.images, images),
        "content": match step.content {
            EncryptedBy::Host => "host",
            EncryptedBy::Bootloader => "bootloader",
        },
        "accepted": accepted(&step.accepted),
    });
    // Only where there is one, as with policies.
    if let Some(object) = what.as_object_mut() {
        if let Some(trusted) = &step.trusted {
            object.insert("trusted".to_owned(), hex::encode(trusted.digest).into());
        }
        if let Some(made) = &step.digest {
            object.insert("digest".to_owned(), digest(made, images));
        }
    }
    what
}

fn nvs(step: &Nvs) -> Value {
    json!({
        "range": range(step.range),
        "version": match step.version {
            Version::V1 => 1,
            Version::V2 => 2,
        },
        "entries_sha256": entries_sha256(&step.base),
        "values": step.values.iter().map(|value| {
            let (encoding, files) = match &value.form {
                NvsForm::Encoding(encoding) => (*encoding, None),
                NvsForm::File(files) => ("file", Some(files_sha256(files))),
            };
            json!({
                "namespace": value.namespace.as_str(),
                "key": value.key.as_str(),
                "encoding": encoding,
                "value": value.value.as_str(),
                "files_sha256": files,
            })
        }).collect::<Vec<_>>(),
        "encryption": match &step.encryption {
            None => Value::Null,
            Some(NvsEncryption::Partition(keys)) => json!({ "keys": range(*keys) }),
            Some(NvsEncryption::Hmac { step, .. }) => json!({ "hmac": step.as_str() }),
        },
    })
}

/// A hash over texts, each after its length, so that no two lists of them look alike.
#[derive(Default)]
struct Texts(Sha256);

impl Texts {
    fn feed(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.0.update(length.to_le_bytes());
        self.0.update(text);
    }

    fn hex(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// Returns the SHA-256 over everything an NVS partition gets, for every unit.
pub(super) fn entries_sha256(content: &Content) -> String {
    let mut texts = Texts::default();
    for row in content.rows() {
        match row {
            Row::Namespace(name) => {
                texts.feed("namespace");
                texts.feed(name.as_str());
            }
            Row::Entry(entry) => {
                texts.feed(entry.namespace.as_str());
                texts.feed(entry.key.as_str());
                texts.feed(entry.value.encoding());
                texts.feed(entry.value.text());
            }
        }
    }
    texts.hex()
}

fn files_sha256(files: &UnitFiles) -> String {
    let mut texts = Texts::default();
    for (name, sha256) in files.known.as_ref() {
        texts.feed(name);
        texts.feed(sha256);
    }
    texts.hex()
}

/// Returns the SHA-256 over the values of all units; the order of rows and columns does not count.
pub(super) fn units_sha256(list: &UnitList) -> String {
    let mut texts = Texts::default();
    let mut columns: Vec<_> = list.columns().iter().collect();
    columns.sort();
    for column in &columns {
        texts.feed(column.as_str());
    }
    for row in list.rows() {
        texts.feed(&row.unit);
        for column in &columns {
            texts.feed(list.value(row, column).unwrap_or_default());
        }
    }
    texts.hex()
}

fn digest(digest: &BootloaderDigest, images: &[PlanImage]) -> Value {
    json!({
        "key": key(&digest.key),
        "bootloader": names(&[digest.bootloader], images),
        "accepted": accepted(&digest.accepted),
    })
}

fn check(check: &Check, images: &[PlanImage]) -> Value {
    let mut what = json!({
        "images": names(&check.images, images),
        "blank": ranges_of(&check.blank),
        "secure_boot": check.secure_boot,
        "flash_encryption": check.flash_encryption,
    });
    // Only where there is one: plans of before there were policies keep their identity.
    if let (Some(policy), Some(object)) = (&check.policy, what.as_object_mut()) {
        object.insert("policy".to_owned(), self::policy(policy));
    }
    what
}

/// Returns the recipe's word.
pub(super) fn voltage_word(voltage: FlashVoltage) -> &'static str {
    match voltage {
        FlashVoltage::Low => "1.8V",
        FlashVoltage::High => "3.3V",
        FlashVoltage::Off => "off",
    }
}

fn policy(policy: &CheckedPolicy) -> Value {
    match policy {
        CheckedPolicy::Development | CheckedPolicy::Production => json!(policy.name()),
        // Texts and numbers only: it cannot fail.
        CheckedPolicy::Own(own) => serde_json::to_value(own).unwrap_or_default(),
    }
}

fn accepted(dangers: &[Danger]) -> Vec<String> {
    dangers.iter().map(ToString::to_string).collect()
}

fn unit_bytes(bytes: &UnitBytes) -> Value {
    json!({ "encoding": encoding_word(bytes.encoding), "bytes": bytes.value.as_str() })
}

fn efuse(step: &Efuse) -> Value {
    let mut fields: Vec<_> = step.fields.iter().collect();
    fields.sort_by(|left, right| left.name.cmp(&right.name));
    let mut blocks: Vec<_> = step.blocks.iter().collect();
    blocks.sort_by(|left, right| left.block.cmp(&right.block));
    let value = |value: &FuseValue| match value {
        FuseValue::Number(number) => json!(number),
        FuseValue::Counted(template) => json!({ "number": template.as_str() }),
        FuseValue::Bytes(bytes) => unit_bytes(bytes),
    };
    json!({
        "fields": fields.into_iter().map(|field| json!({
            "field": field.name,
            "value": value(&field.value),
        })).collect::<Vec<_>>(),
        "blocks": blocks.into_iter().map(|block| json!({
            "block": block.block,
            "bytes": unit_bytes(&block.bytes),
        })).collect::<Vec<_>>(),
        "write_protect": step.write_protect,
        "read_protect": step.read_protect,
        "custom_mac": step.custom_mac.as_ref().map(Template::as_str),
        "flash_voltage": step.flash_voltage.map(voltage_word),
        "accepted": accepted(&step.accepted),
    })
}

/// A key as its name and fingerprints, never as itself.
fn key(key: &PlanKey) -> Value {
    let slot = match &key.slot {
        Slot::Named(block) => block.as_str(),
        Slot::Free => "free",
    };
    let source = match &key.source {
        PlanKeySource::Generate => json!("generate"),
        PlanKeySource::File { key, .. } => json!({ "fingerprint": key.fingerprint() }),
        PlanKeySource::Csv { column, keys } => {
            json!({ "column": column, "keys": keys.len(), "sha256": fingerprints_sha256(keys) })
        }
        PlanKeySource::Shared => json!("shared"),
    };
    json!({
        "name": key.name.as_str(),
        "kind": key.kind.to_string(),
        "slot": slot,
        "source": source,
        "forget": key.custody == Custody::Forget,
    })
}

/// Returns the SHA-256 over serial numbers and fingerprints.
fn fingerprints_sha256(keys: &BTreeMap<String, Secret>) -> String {
    let mut hash = Sha256::new();
    for (serial, key) in keys {
        hash.update(serial.as_bytes());
        hash.update([0]);
        hash.update(key.fingerprint().as_bytes());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}

fn names<'a>(indices: &[usize], images: &'a [PlanImage]) -> Vec<&'a str> {
    indices
        .iter()
        .filter_map(|index| images.get(*index))
        .map(|image| image.name.as_str())
        .collect()
}

fn range(range: Range) -> Value {
    json!({ "offset": range.offset, "size": range.size })
}

fn ranges_of(ranges: &[Range]) -> Vec<Value> {
    ranges.iter().copied().map(range).collect()
}

fn write_bytes(write: &WriteBytes) -> Value {
    let mut what = json!({
        "range": range(write.range),
        "encoding": encoding_word(write.encoding),
        "value": write.value.as_str(),
        "clear": write.clear,
    });
    // Only where there are some, as with policies.
    if let Some(object) = what.as_object_mut() {
        if let Some(files) = &write.files {
            object.insert("files_sha256".to_owned(), files_sha256(files).into());
        }
        if write.pad != 0xFF {
            object.insert("pad".to_owned(), write.pad.into());
        }
    }
    what
}

fn boot(boot: &Boot) -> Value {
    json!({
        "expect": boot.expect.as_ref().map(regex::Regex::as_str),
        "within_us": micros(boot.within),
        "reject": boot.reject.iter().map(regex::Regex::as_str).collect::<Vec<_>>(),
        "baud": boot.baud,
    })
}

fn measure(measure: &Measure) -> Value {
    json!({
        "name": measure.name,
        "unit": measure.unit,
        "min": measure.limits.min,
        "max": measure.limits.max,
        "equals": measure.limits.equals,
        "numeric": measure.numeric,
    })
}
