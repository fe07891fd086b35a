//! What a plan is, as text and as a hash.
//!
//! The identity is the SHA-256 of the plan's canonical text: one JSON object, indented by two
//! blanks, with keys in the order below, durations in microseconds, the bytes of every image as
//! their size and SHA-256, and the rows of a serial list as their number and a SHA-256 over them.
//! So it does not change with comments, blanks, the order of keys or images, other ways to write
//! one value (`"4MB"`, `"4096KB"`), a default that is written out, or the folder the recipe is in;
//! it does change with everything a unit would notice, and with names and limits, because records
//! are judged by them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::event::{PlanId, micros};
use crate::plan::{
    Action, Boot, Encoding, Erase, ImageKind, Measure, Mode, PlanContents, PlanImage, PlanStep,
    Range, SeenBefore, WriteBytes,
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
        Action::Check(check) => json!({
            "images": names(&check.images, images),
            "blank": ranges_of(&check.blank),
            "secure_boot": check.secure_boot,
            "flash_encryption": check.flash_encryption,
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
