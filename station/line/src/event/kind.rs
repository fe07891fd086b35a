//! What can happen: one variant per kind of event.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::burn::{BurnVerdict, PulseShape, ReconcileVerdict};
use super::id::{AttemptId, BayName, Mac, PlanId, Serial, StepName};
use super::{BayCondition, CancelMode, PulseRecord, Tally, Token};
use crate::approval::{ApprovalId, Subject};
use crate::keys::Custody;
use crate::outcome::{Failure, Measurement, Outcome, StepOutcome};

/// What happened.
///
/// On the wire: `{"kind": "measured", "data": {…}}`. A variant is added freely and never changed;
/// a snapshot test freezes one example of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum EventKind {
    /// A run began. The first event of a run.
    RunStarted {
        /// The plan, stored whole in the journal.
        plan: PlanId,
        /// Product the plan makes.
        product: String,
        /// Every bay that takes part.
        bays: Vec<BayName>,
        /// Lot the units belong to.
        lot: Option<String>,
        /// Who runs it.
        operator: Option<String>,
        /// How many units were asked for.
        units: Option<u64>,
        /// Version of the station that runs it.
        station: String,
    },
    /// A bay changed.
    BayChanged {
        /// Which bay.
        bay: BayName,
        /// What it is now.
        to: BayCondition,
        /// Why, where that is not plain.
        reason: Option<String>,
    },
    /// An attempt began on whatever is in the bay.
    AttemptStarted {
        /// Its number.
        attempt: AttemptId,
        /// Where.
        bay: BayName,
    },
    /// The chip said who it is.
    UnitIdentified {
        /// During this attempt.
        attempt: AttemptId,
        /// Base MAC.
        mac: Mac,
        /// Chip name, `esp32c3`.
        chip: String,
        /// Chip revision, `major.minor`.
        revision: String,
        /// Flash size in bytes, once known.
        flash_size: Option<u64>,
        /// How many attempts this journal already held for the MAC.
        earlier_attempts: u64,
    },
    /// A step began, for the `try_number`th time (from 1).
    StepStarted {
        /// Of this attempt.
        attempt: AttemptId,
        /// Which step.
        step: StepName,
        /// From 1.
        try_number: u32,
    },
    /// A value was taken and judged.
    Measured {
        /// During this attempt.
        attempt: AttemptId,
        /// During this step.
        step: StepName,
        /// During this try of it.
        try_number: u32,
        /// Value, limits and verdict.
        measurement: Measurement,
    },
    /// A step ended.
    StepFinished {
        /// Of this attempt.
        attempt: AttemptId,
        /// Which step.
        step: StepName,
        /// Which try.
        try_number: u32,
        /// How.
        outcome: StepOutcome,
        /// How long it took.
        took_us: u64,
        /// What went wrong, unless it passed or was skipped.
        failure: Option<Failure>,
    },
    /// A step (or the group it leads) will be tried again.
    StepRetrying {
        /// Of this attempt.
        attempt: AttemptId,
        /// The step whose failure caused it.
        step: StepName,
        /// First step that is repeated; the same step unless a group is.
        from: StepName,
        /// Pause before it.
        after_us: u64,
    },
    /// A serial number was taken from its pool for one attempt.
    SerialReserved {
        /// For this attempt.
        attempt: AttemptId,
        /// Pool it came from.
        pool: String,
        /// Which one of its pool: the counter of a pattern, the row of a list; from 1.
        position: u64,
        /// The number.
        serial: Serial,
    },
    /// A serial number belongs to a MAC from now on.
    SerialBound {
        /// In this attempt.
        attempt: AttemptId,
        /// Pool it came from.
        pool: String,
        /// The number.
        serial: Serial,
        /// Whose.
        mac: Mac,
    },
    /// A unit with this serial number passed.
    SerialCommitted {
        /// In this attempt.
        attempt: AttemptId,
        /// Pool it came from.
        pool: String,
        /// The number.
        serial: Serial,
        /// Whose.
        mac: Mac,
    },
    /// A serial number will never be used.
    SerialVoided {
        /// Pool it came from.
        pool: String,
        /// The number.
        serial: Serial,
        /// Why.
        reason: String,
    },
    /// Bytes too large for an event were stored beside it.
    AttachmentStored {
        /// During this attempt.
        attempt: AttemptId,
        /// During this step.
        step: StepName,
        /// What they are: `console`, `flash`.
        name: String,
        /// SHA-256 of the bytes, hex.
        sha256: String,
        /// How many.
        size: u64,
    },
    /// An attempt ended. The last event of an attempt.
    AttemptFinished {
        /// Which attempt.
        attempt: AttemptId,
        /// Where.
        bay: BayName,
        /// Whose, once known.
        mac: Option<Mac>,
        /// With which serial number, once bound.
        serial: Option<Serial>,
        /// How.
        outcome: Outcome,
        /// How long it took.
        took_us: u64,
        /// The failure that decided it.
        failure: Option<Failure>,
        /// The step that decided it.
        failed_step: Option<StepName>,
    },
    /// Somebody asked the run to end.
    CancelRequested {
        /// Who.
        by: String,
        /// How.
        mode: CancelMode,
    },
    /// A run ended. The last event of a run.
    RunFinished {
        /// Its attempts by outcome.
        tally: Tally,
        /// Why it ended early, if it did.
        reason: Option<String>,
    },
    /// Somebody asked the station for something that writes.
    OperationInvoked {
        /// Operation's name in the registry.
        operation: String,
        /// Face it came through: `cli`, `mcp`.
        face: String,
        /// Who, as far as the face knows.
        by: String,
        /// What it was asked, with secrets left out.
        parameters: serde_json::Value,
    },
    /// Something irreversible or forbidden was asked for and not done.
    Refused {
        /// Operation's name in the registry, or `attempt` for a unit that was turned away.
        operation: String,
        /// Stable code.
        code: String,
        /// Why.
        reason: String,
    },
    /// A start-up pass found what a crash left open and closed it.
    Recovered {
        /// Attempts that were closed as errors.
        attempts: u64,
        /// Runs that were closed.
        runs: u64,
        /// Serial reservations that no MAC had claimed, voided.
        serials: u64,
    },
    /// A pulse is about to be burned. Durable before the pulse.
    BurnIntended {
        /// During this attempt, unless it is burned outside a run.
        attempt: Option<AttemptId>,
        /// Into this unit.
        mac: Mac,
        /// Chip name, `esp32c3`.
        chip: String,
        /// The approval it is covered by, if one was needed.
        approval: Option<ApprovalId>,
        /// What it will do, without any key.
        #[schemars(with = "PulseShape")]
        pulse: PulseRecord,
    },
    /// A pulse was burned and read back, or failed.
    BurnFinished {
        /// During this attempt, unless it was burned outside a run.
        attempt: Option<AttemptId>,
        /// Into this unit.
        mac: Mac,
        /// Digest of the burn plan.
        plan: String,
        /// Which of its pulses.
        number: u16,
        /// How it ended.
        verdict: BurnVerdict,
        /// How often it was burned.
        tries: u8,
        /// What the block read before.
        #[schemars(with = "String")]
        before: Token,
        /// What it reads now.
        #[schemars(with = "String")]
        after: Token,
        /// What went wrong, if something did.
        detail: Option<String>,
    },
    /// A unit was read to learn what became of a pulse whose end nobody saw.
    BurnReconciled {
        /// During this attempt, unless it was read outside a run.
        attempt: Option<AttemptId>,
        /// Which unit.
        mac: Mac,
        /// Digest of the burn plan.
        plan: String,
        /// Which of its pulses.
        number: u16,
        /// What the chip says.
        verdict: ReconcileVerdict,
        /// More about it.
        detail: Option<String>,
    },
    /// A start-up pass found pulses that a crash cut off; they wait until their units are read.
    BurnsLeftOpen {
        /// Pulses that were not known to be open before.
        burns: u64,
        /// Units they belong to.
        units: u64,
    },
    /// Somebody allowed something irreversible.
    Approved {
        /// The approval.
        approval: ApprovalId,
        /// What it allows, and nothing else.
        subject: Subject,
        /// Who.
        by: String,
        /// Until when.
        expires_at: DateTime<Utc>,
        /// How often it can be used.
        uses: u32,
    },
    /// An approval was used up.
    ApprovalUsed {
        /// The approval.
        approval: ApprovalId,
        /// For this.
        subject: Subject,
        /// By whom.
        by: String,
    },
    /// An engineer released a plan for production.
    RecipeReleased {
        /// The plan, stored whole in the journal.
        plan: PlanId,
        /// Product it makes.
        product: String,
        /// Revision of the product.
        revision: Option<String>,
        /// Who.
        by: String,
        /// Public key of the station that signed, 64 hex digits.
        key: String,
        /// Ed25519 signature, 128 hex digits.
        signature: String,
    },
    /// A released plan must not be run any more.
    RecipeWithdrawn {
        /// The plan.
        plan: PlanId,
        /// Who says so.
        by: String,
        /// Why.
        reason: String,
    },
    /// A key is in sealed storage. Durable before it is burned.
    KeySealed {
        /// During this attempt, unless outside a run.
        attempt: Option<AttemptId>,
        /// Its name.
        key: String,
        /// Whose it is; nobody's own: shared.
        mac: Option<Mac>,
        /// What kind of key, `xts-aes128`.
        key_kind: String,
        /// Key purpose it is burned with, if it is burned.
        purpose: Option<String>,
        /// A name for its bytes that gives nothing away.
        fingerprint: String,
        /// Whether it is kept.
        custody: Custody,
    },
    /// A key was destroyed; what was burned with it is all that is left.
    KeyForgotten {
        /// During this attempt, unless outside a run.
        attempt: Option<AttemptId>,
        /// Its name.
        key: String,
        /// Whose it was.
        mac: Option<Mac>,
        /// A name for its bytes that gives nothing away.
        fingerprint: String,
        /// Who did it.
        by: String,
        /// Why.
        reason: String,
    },
    /// A unit must not be burned and cannot pass until a person has looked at it.
    UnitQuarantined {
        /// During this attempt, unless outside a run.
        attempt: Option<AttemptId>,
        /// Which unit.
        mac: Mac,
        /// Stable code.
        code: String,
        /// Why.
        reason: String,
    },
    /// A person looked at a quarantined unit and let it go on.
    UnitReleased {
        /// Which unit.
        mac: Mac,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// An event that a newer station wrote, kept as it stands.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

impl EventKind {
    /// Every kind this station writes, in the order of the variants.
    pub const WORDS: [&'static str; 31] = [
        "run_started",
        "bay_changed",
        "attempt_started",
        "unit_identified",
        "step_started",
        "measured",
        "step_finished",
        "step_retrying",
        "serial_reserved",
        "serial_bound",
        "serial_committed",
        "serial_voided",
        "attachment_stored",
        "attempt_finished",
        "cancel_requested",
        "run_finished",
        "operation_invoked",
        "refused",
        "recovered",
        "burn_intended",
        "burn_finished",
        "burn_reconciled",
        "burns_left_open",
        "approved",
        "approval_used",
        "recipe_released",
        "recipe_withdrawn",
        "key_sealed",
        "key_forgotten",
        "unit_quarantined",
        "unit_released",
    ];

    /// Returns the word that stands for the kind on the wire and in the journal.
    pub fn word(&self) -> &str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::BayChanged { .. } => "bay_changed",
            Self::AttemptStarted { .. } => "attempt_started",
            Self::UnitIdentified { .. } => "unit_identified",
            Self::StepStarted { .. } => "step_started",
            Self::Measured { .. } => "measured",
            Self::StepFinished { .. } => "step_finished",
            Self::StepRetrying { .. } => "step_retrying",
            Self::SerialReserved { .. } => "serial_reserved",
            Self::SerialBound { .. } => "serial_bound",
            Self::SerialCommitted { .. } => "serial_committed",
            Self::SerialVoided { .. } => "serial_voided",
            Self::AttachmentStored { .. } => "attachment_stored",
            Self::AttemptFinished { .. } => "attempt_finished",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::RunFinished { .. } => "run_finished",
            Self::OperationInvoked { .. } => "operation_invoked",
            Self::Refused { .. } => "refused",
            Self::Recovered { .. } => "recovered",
            Self::BurnIntended { .. } => "burn_intended",
            Self::BurnFinished { .. } => "burn_finished",
            Self::BurnReconciled { .. } => "burn_reconciled",
            Self::BurnsLeftOpen { .. } => "burns_left_open",
            Self::Approved { .. } => "approved",
            Self::ApprovalUsed { .. } => "approval_used",
            Self::RecipeReleased { .. } => "recipe_released",
            Self::RecipeWithdrawn { .. } => "recipe_withdrawn",
            Self::KeySealed { .. } => "key_sealed",
            Self::KeyForgotten { .. } => "key_forgotten",
            Self::UnitQuarantined { .. } => "unit_quarantined",
            Self::UnitReleased { .. } => "unit_released",
            Self::Unknown(value) => value
                .get("kind")
                .and_then(serde_json::Value::as_str)
                .unwrap_or("unknown"),
        }
    }
}
