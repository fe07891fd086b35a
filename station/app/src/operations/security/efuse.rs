//! eFuses of one chip: `esp_efuse_read`, `esp_efuse_plan`, `esp_efuse_burn`.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use station_esp::efuse::map::{FieldKind, FuseBlock, FuseField, KeyPurpose};
use station_esp::efuse::plan::{BurnPlan, Refusals, Snapshot};

use super::super::attached::Attached;
use super::burn::{Bench, BurnView, Order};
use super::consent::{Accepted, Consent};
use super::wish::{WishParameters, without_bytes};
use crate::operation::{Call, Declaration, Effect, Exit, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_efuse_read`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReadParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// Only this field; may be repeated
    #[arg(long = "field", value_name = "NAME")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Only the fields of this block; may be repeated
    #[arg(long = "block", value_name = "NAME")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<String>,
}

/// One field.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FieldView {
    /// Its name
    pub name: String,
    /// Block it lies in
    pub block: String,
    /// Its value, hex; none when software cannot read it, or when it holds a key
    pub value: Option<String>,
    /// Number of bits
    pub bits: u32,
    /// Whether it can still be written
    pub writable: bool,
    /// Whether software can read it
    pub readable: bool,
}

/// One block.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BlockView {
    /// Its number
    pub number: u8,
    /// Its name
    pub name: String,
    /// Whether anything is burned into it; unknown when software cannot read it
    pub blank: Option<bool>,
    /// What the key in it is for, if it is a key slot in use
    pub purpose: Option<String>,
    /// Whether it can still be written
    pub writable: bool,
    /// Whether software can read it
    pub readable: bool,
    /// Whether its coding reports errors
    pub errors: bool,
}

/// Fuses of one chip.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReadView {
    /// Chip
    pub chip: String,
    /// Silicon revision
    pub revision: String,
    /// MAC
    pub mac: String,
    /// The blocks
    pub blocks: Vec<BlockView>,
    /// The fields
    pub fields: Vec<FieldView>,
}

/// `esp_efuse_read`.
#[derive(Debug)]
pub struct EfuseRead;

#[async_trait]
impl Operation for EfuseRead {
    const DECLARATION: Declaration = Declaration {
        name: "esp_efuse_read",
        aliases: &[],
        command: &["efuse", "read"],
        title: "Read eFuses with their protections",
        summary: "Returns fields, the fields of a block, or all of a chip's eFuses, with what can still be read and written. A key \
                  that is readable is shown as burned, not as bytes.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ReadParameters;
    type Output = ReadView;

    async fn invoke(
        station: &Station,
        parameters: ReadParameters,
        call: &Call,
    ) -> Result<ReadView, OperationError> {
        let bench = Bench::open(station, &parameters.attached, call).await?;
        let view = read(&bench.looked.snapshot, &parameters);
        bench.close(&parameters.attached, view).await
    }

    fn words(view: &ReadView) -> String {
        let mut words = format!("{} revision {}, MAC {}", view.chip, view.revision, view.mac);
        for block in &view.blocks {
            let state = match (block.blank, &block.purpose) {
                (_, Some(purpose)) => purpose.clone(),
                (Some(true), None) => "blank".to_owned(),
                (Some(false), None) => "burned".to_owned(),
                (None, None) => "hidden".to_owned(),
            };
            let errors = if block.errors { ", CODING ERRORS" } else { "" };
            words += &format!(
                "\n{:2} {:20} {state}{}{errors}",
                block.number,
                block.name,
                closed(block.writable, block.readable)
            );
        }
        for field in &view.fields {
            let value = field.value.as_deref().unwrap_or("not shown");
            words += &format!(
                "\n  {:40} = {value}{}",
                field.name,
                closed(field.writable, field.readable)
            );
        }
        words
    }
}

fn closed(writable: bool, readable: bool) -> &'static str {
    match (writable, readable) {
        (true, true) => "",
        (false, true) => "  (write-protected)",
        (true, false) => "  (hidden)",
        (false, false) => "  (hidden, write-protected)",
    }
}

fn read(snapshot: &Snapshot, asked: &ReadParameters) -> Result<ReadView, OperationError> {
    let map = snapshot.map();
    let mut blocks = Vec::new();
    for name in &asked.blocks {
        let block = map
            .block_named(name)
            .ok_or_else(|| unknown("block", name, snapshot))?;
        blocks.push(block.number);
    }
    for name in &asked.fields {
        map.field(name)
            .ok_or_else(|| unknown("field", name, snapshot))?;
    }
    let all = asked.blocks.is_empty() && asked.fields.is_empty();
    let fields = map.fields.iter().filter(|field| {
        let named = |name: &String| {
            map.field(name)
                .is_some_and(|found| found.name == field.name)
        };
        all || blocks.contains(&field.block()) || asked.fields.iter().any(named)
    });
    let fields = fields.map(|field| {
        let block = map.block(field.block());
        let key = block.is_some_and(|block| holds_key(snapshot, block));
        let readable = !snapshot.fuses.is_hidden(field);
        FieldView {
            name: field.name.to_owned(),
            block: block.map_or_else(String::new, |block| block.name.to_owned()),
            value: (readable && !key).then(|| value_of(snapshot, field)),
            bits: field.width(),
            writable: !snapshot.fuses.is_closed(field),
            readable,
        }
    });
    let fields: Vec<FieldView> = fields.collect();
    let blocks = map.blocks.iter().filter(|block| {
        all || blocks.contains(&block.number)
            || fields.iter().any(|field| field.block == block.name)
    });
    Ok(ReadView {
        chip: snapshot.chip.name().to_owned(),
        revision: snapshot.revision.to_string(),
        mac: snapshot.mac.to_string(),
        blocks: blocks.map(|block| block_view(snapshot, block)).collect(),
        fields,
    })
}

/// A value in hex: a number, or bytes from the first on.
fn value_of(snapshot: &Snapshot, field: &FuseField) -> String {
    let fuses = &snapshot.fuses;
    match (field.kind, fuses.number(field)) {
        (FieldKind::Number | FieldKind::Count | FieldKind::Purpose, Some(number)) => {
            format!("0x{number:x}")
        }
        // The factory's lies with its last byte first, one's own the way it is written.
        (FieldKind::Mac, _) => colons(fuses.bytes(field).iter().rev()),
        (FieldKind::CustomMac, _) => colons(fuses.bytes(field).iter()),
        (FieldKind::Bytes, _) | (_, None) => hex::encode(fuses.bytes(field)),
    }
}

fn colons<'a>(octets: impl Iterator<Item = &'a u8>) -> String {
    let octets: Vec<String> = octets.map(|octet| format!("{octet:02x}")).collect();
    octets.join(":")
}

/// Whether a block may hold a secret: every key slot but one whose purpose says that it holds a digest.
fn holds_key(snapshot: &Snapshot, block: &FuseBlock) -> bool {
    let digest = purpose(snapshot, block).is_some_and(|purpose| purpose.name.contains("DIGEST"));
    block.key_slot && !digest
}

/// What a slot in use is for, where the chip says so.
fn purpose(snapshot: &Snapshot, block: &FuseBlock) -> Option<&'static KeyPurpose> {
    let field = snapshot.map().field(block.purpose?)?;
    let code = snapshot.fuses.number(field).filter(|code| *code != 0)?;
    snapshot.map().purpose_code(u8::try_from(code).ok()?)
}

fn block_view(snapshot: &Snapshot, block: &FuseBlock) -> BlockView {
    let readable = !snapshot.is_hidden(block.number);
    let words = snapshot.fuses.block(block.number);
    let closed = snapshot
        .map()
        .field("WR_DIS")
        .and_then(|field| Some((snapshot.fuses.number(field)?, block.write_disable?)))
        .is_some_and(|(bits, bit)| bits >> bit & 1 == 1);
    BlockView {
        number: block.number,
        name: block.name.to_owned(),
        blank: readable.then(|| words.iter().all(|word| *word == 0)),
        purpose: purpose(snapshot, block).map(|purpose| purpose.name.to_owned()),
        writable: !closed,
        readable,
        errors: snapshot
            .errors
            .iter()
            .any(|error| error.block == block.number),
    }
}

fn unknown(what: &str, name: &str, snapshot: &Snapshot) -> OperationError {
    let name: String = name.chars().take(80).collect();
    OperationError::usage(
        format!("fuse-{what}-unknown"),
        format!("the {} has no {what} `{name}`", snapshot.chip.title()),
    )
    .hint("`station efuse read` without names shows them all")
}

/// Parameters of `esp_efuse_plan`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlanParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// What its fuses are to be
    #[command(flatten)]
    #[serde(flatten)]
    pub wish: WishParameters,
    /// What may happen
    #[command(flatten)]
    #[serde(flatten)]
    pub accepted: Accepted,
}

/// Why something would not be burned.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RefusalView {
    /// Stable code
    pub code: String,
    /// What is wrong
    pub what: String,
    /// The field, block or slot it is about
    pub place: String,
    /// What to do
    pub hint: String,
}

/// A plan, or why there is none.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PlanAnswer {
    /// Whether it can be burned
    pub accepted: bool,
    /// What an approval of it is granted for: burn:HEX
    pub subject: Option<String>,
    /// Its digest
    pub digest: Option<String>,
    /// Whether nothing is left to burn
    pub satisfied: bool,
    /// The plan in words
    pub description: String,
    /// The plan: pulses with what each does, and the state of blocks before and after as tokens
    pub plan: Option<Value>,
    /// Every reason against it
    pub refusals: Vec<RefusalView>,
}

impl PlanAnswer {
    pub(super) fn of(plan: &BurnPlan) -> Self {
        Self {
            accepted: true,
            subject: (!plan.is_empty()).then(|| format!("burn:{}", plan.digest_hex())),
            digest: Some(plan.digest_hex()),
            satisfied: plan.is_empty(),
            description: plan.describe(),
            plan: serde_json::to_value(plan.view()).ok(),
            refusals: Vec::new(),
        }
    }

    pub(super) fn refused(refusals: &Refusals) -> Self {
        let views = refusals.0.iter().map(|refusal| RefusalView {
            code: refusal.code.to_owned(),
            what: refusal.what.clone(),
            place: refusal.place.clone(),
            hint: refusal.hint.clone(),
        });
        let lines: Vec<String> = refusals
            .0
            .iter()
            .map(|refusal| format!("{refusal}\n  hint: {}", refusal.hint))
            .collect();
        Self {
            accepted: false,
            subject: None,
            digest: None,
            satisfied: false,
            description: format!("refused:\n{}", lines.join("\n")),
            plan: None,
            refusals: views.collect(),
        }
    }

    pub(super) fn words(&self) -> String {
        match &self.subject {
            Some(subject) => format!(
                "{}\n\nto approve it: station approval grant {subject}",
                self.description.trim_end()
            ),
            None => self.description.trim_end().to_owned(),
        }
    }

    pub(super) fn exit(&self) -> Exit {
        if self.accepted {
            Exit::Passed
        } else {
            Exit::Refused
        }
    }
}

/// `esp_efuse_plan`.
#[derive(Debug)]
pub struct EfusePlan;

#[async_trait]
impl Operation for EfusePlan {
    const DECLARATION: Declaration = Declaration {
        name: "esp_efuse_plan",
        aliases: &[],
        command: &["efuse", "plan"],
        title: "Plan what would be burned",
        summary: "Looks at a chip and returns the complete list of pulses that would fulfil a wish, with what each reads before \
                  and after, and the digest an approval is bound to; or every reason why it is refused. Burns nothing.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = PlanParameters;
    type Output = PlanAnswer;

    async fn invoke(
        station: &Station,
        parameters: PlanParameters,
        call: &Call,
    ) -> Result<PlanAnswer, OperationError> {
        let bench = Bench::open(station, &parameters.attached, call).await?;
        let planned = async {
            let wish = parameters
                .wish
                .wish(station, &bench.looked.snapshot, &parameters.accepted)
                .await?;
            let earlier = bench.looked.earlier(station).await?;
            Ok(match bench.looked.plan(&wish, &earlier) {
                Ok(plan) => PlanAnswer::of(&plan),
                Err(refusals) => PlanAnswer::refused(&refusals),
            })
        };
        let planned = planned.await;
        bench.close(&parameters.attached, planned).await
    }

    fn words(answer: &PlanAnswer) -> String {
        answer.words()
    }

    fn exit(answer: &PlanAnswer) -> Exit {
        answer.exit()
    }
}

/// Parameters of `esp_efuse_burn`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BurnParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// What its fuses are to be
    #[command(flatten)]
    #[serde(flatten)]
    pub wish: WishParameters,
    /// What is answered for
    #[command(flatten)]
    #[serde(flatten)]
    pub consent: Consent,
}

/// `esp_efuse_burn`.
#[derive(Debug)]
pub struct EfuseBurn;

#[async_trait]
impl Operation for EfuseBurn {
    const DECLARATION: Declaration = Declaration {
        name: "esp_efuse_burn",
        aliases: &[],
        command: &["efuse", "burn"],
        title: "Burn eFuses under an approval",
        summary: "Looks at a chip, makes the plan of a wish and burns it if it is the one that was approved. Without an approval \
                  it returns the plan, its digest and how to grant one. Every pulse is on record before it is burned.",
        effect: Effect::Irreversible,
        idempotent: true,
    };
    type Parameters = BurnParameters;
    type Output = BurnView;

    fn recorded(parameters: Value) -> Value {
        without_bytes(parameters)
    }

    async fn invoke(
        station: &Station,
        parameters: BurnParameters,
        call: &Call,
    ) -> Result<BurnView, OperationError> {
        let journal = station.journal().await?;
        let order = Order {
            station,
            call,
            operation: Self::DECLARATION.name,
            approval: parameters.consent.approval.as_deref(),
        };
        let opened = order.open(&journal, &parameters.attached).await?;
        let snapshot = &opened.0.looked.snapshot;
        let accepted = &parameters.consent.accepted;
        let wish = parameters.wish.wish(station, snapshot, accepted).await;
        order
            .fulfil(&journal, opened, wish, &parameters.attached)
            .await
    }

    fn words(view: &BurnView) -> String {
        view.words()
    }
}
