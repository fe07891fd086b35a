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
use station_esp::secret::Secret;

use crate::event::{PlanId, micros};
use crate::keys::Custody;
use crate::plan::{
    Action, Boot, Check, CheckedPolicy, Efuse, Encoding, EncryptedBy, Erase, FuseValue, ImageKind,
    Measure, Mode, PlanContents, PlanImage, PlanKey, PlanKeySource, PlanStep, Range, SeenBefore,
    UnitBytes, WriteBytes,
};
use crate::serial::{CsvRow, SerialSource};
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
    let plan = json!({
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
    }
}

fn serial(source: &SerialSource) -> Value {
    match source {
        SerialSource::Pool { name, pattern } => {
            json!({ "pool": name, "pattern": pattern.as_str() })
        }
        SerialSource::Csv { name, rows } => {
            json!({ "pool": name, "rows": rows.len(), "rows_sha256": rows_sha256(rows) })
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
        Action::Flash(flash) => json!({
            "images": names(&flash.images, images),
            "verify": flash.verify,
            "skip_unchanged": flash.skip_unchanged,
        }),
        Action::Data(write) | Action::Serial(write) => write_bytes(write),
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
        Action::FlashEncryption(step) => json!({
            "release": step.release,
            "key": key(&step.key),
            "images": names(&step.images, images),
            "content": match step.content {
                EncryptedBy::Host => "host",
                EncryptedBy::Bootloader => "bootloader",
            },
            "accepted": accepted(&step.accepted),
        }),
        Action::SecureBoot(step) => json!({
            "version": 2,
            "signed": names(&step.signed, images),
            "digests": step.digests.iter().map(|it| hex::encode(it.digest)).collect::<Vec<_>>(),
            "revoke_unused": step.revoke_unused,
            "aggressive_revoke": step.aggressive_revoke,
            "accepted": accepted(&step.accepted),
        }),
        Action::Read(read) => json!({
            "range": range(read.range),
            "equals": read.equals.as_ref().map(Template::as_str),
            "encoding": encoding_word(read.encoding),
            "measure": read.measure,
            "attach": read.attach,
        }),
    }
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
    json!({
        "range": range(write.range),
        "encoding": encoding_word(write.encoding),
        "value": write.value.as_str(),
        "clear": write.clear,
    })
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
