//! The security state of one chip: `esp_security_audit`, `esp_security_validate`, `esp_security_configure`.

use std::path::Path;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use station_esp::efuse::plan::Snapshot;
use station_esp::efuse::policy::{self, Policy};

use super::super::attached::Attached;
use super::super::chip::ChipParameters;
use super::burn::{Bench, BurnView, Order};
use super::consent::Consent;
use crate::operation::{Call, Declaration, Effect, Exit, Operation, OperationError};
use crate::station::Station;

/// Largest policy that is read.
const MAX_POLICY: u64 = 256 << 10;

/// A graded finding.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FindingView {
    /// critical, warning or note
    pub grade: String,
    /// Stable code
    pub code: String,
    /// What was found
    pub what: String,
    /// Why it matters
    pub why: String,
    /// What to do about it
    pub fix: String,
}

/// The security state of a chip.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AuditView {
    /// Chip
    pub chip: String,
    /// Silicon revision
    pub revision: String,
    /// MAC
    pub mac: String,
    /// Findings, worst first
    pub findings: Vec<FindingView>,
    /// Key slots: what is in them, and whether they are closed and hidden
    pub slots: Value,
    /// The whole as Markdown
    pub markdown: String,
}

/// `esp_security_audit`.
#[derive(Debug)]
pub struct SecurityAudit;

#[async_trait]
impl Operation for SecurityAudit {
    const DECLARATION: Declaration = Declaration {
        name: "esp_security_audit",
        aliases: &[],
        command: &["security", "audit"],
        title: "Say how safe a chip is",
        summary: "Looks at secure boot, flash encryption, JTAG, download mode and key slots of a chip and returns graded findings \
                  with what to do about each, also as Markdown.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ChipParameters;
    type Output = AuditView;

    async fn invoke(
        station: &Station,
        parameters: ChipParameters,
        call: &Call,
    ) -> Result<AuditView, OperationError> {
        let bench = Bench::open(station, &parameters.attached, call).await?;
        let view = audit(&bench.looked.snapshot);
        bench.close(&parameters.attached, Ok(view)).await
    }

    fn words(view: &AuditView) -> String {
        view.markdown.trim_end().to_owned()
    }
}

fn audit(snapshot: &Snapshot) -> AuditView {
    let audit = policy::audit(snapshot);
    let findings = audit.findings.iter().map(|finding| FindingView {
        grade: finding.grade.name().to_owned(),
        code: finding.code.to_owned(),
        what: finding.what.clone(),
        why: finding.why.to_owned(),
        fix: finding.fix.to_owned(),
    });
    AuditView {
        chip: snapshot.chip.name().to_owned(),
        revision: snapshot.revision.to_string(),
        mac: snapshot.mac.to_string(),
        findings: findings.collect(),
        slots: serde_json::to_value(&audit.slots).unwrap_or_default(),
        markdown: audit.markdown(),
    }
}

/// A policy by its name, or from a file.
async fn policy(
    station: &Station,
    name: &str,
    snapshot: &Snapshot,
) -> Result<Policy, OperationError> {
    match name {
        "development" => return Ok(policy::development(snapshot.chip, snapshot.revision)),
        "production" => return Ok(policy::production(snapshot.chip, snapshot.revision)),
        _ => {}
    }
    let file = Path::new(name);
    if file.extension().is_none_or(|extension| extension != "toml") {
        let name: String = name.chars().take(80).collect();
        let message = format!("there is no policy `{name}`");
        return Err(OperationError::usage("policy-unknown", message)
            .hint("policies are `development`, `production` and files that end in `.toml`"));
    }
    let path = station.readable(file)?;
    let invalid = |why: String| {
        OperationError::usage("policy-invalid", format!("`{}`: {why}", file.display()))
    };
    let read = tokio::task::spawn_blocking(move || crate::station::read_bounded(&path, MAX_POLICY))
        .await
        .map_err(|error| OperationError::new("internal", error.to_string()))??;
    let text = String::from_utf8(read).map_err(|error| invalid(error.to_string()))?;
    toml::from_str(&text).map_err(|error| invalid(error.to_string()))
}

/// Parameters of `esp_security_validate`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ValidateParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// The policy: development, production, or a TOML file
    #[arg(long)]
    pub policy: String,
}

/// Where a chip differs from a policy.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DifferenceView {
    /// The field
    pub field: String,
    /// What it is
    pub found: String,
    /// What the policy wants
    pub wanted: String,
    /// must or should
    pub level: String,
    /// Why the policy wants it
    pub why: String,
    /// Whether it can still be had: burn, give-key or none
    pub remedy: String,
}

/// How a chip stands against a policy.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ValidateView {
    /// MAC
    pub mac: String,
    /// Name of the policy
    pub policy: String,
    /// Whether everything that must be is so
    pub fulfilled: bool,
    /// What differs
    pub differences: Vec<DifferenceView>,
}

/// `esp_security_validate`.
#[derive(Debug)]
pub struct SecurityValidate;

#[async_trait]
impl Operation for SecurityValidate {
    const DECLARATION: Declaration = Declaration {
        name: "esp_security_validate",
        aliases: &[],
        command: &["security", "validate"],
        title: "Compare a chip with a policy",
        summary: "Compares a chip's fuses with a policy (development, production or a TOML file) and returns what differs. Passes if \
                  everything the policy says must be is so.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ValidateParameters;
    type Output = ValidateView;

    async fn invoke(
        station: &Station,
        parameters: ValidateParameters,
        call: &Call,
    ) -> Result<ValidateView, OperationError> {
        let bench = Bench::open(station, &parameters.attached, call).await?;
        let view = policy(station, &parameters.policy, &bench.looked.snapshot)
            .await
            .map(|policy| validate(&policy, &bench.looked.snapshot));
        bench.close(&parameters.attached, view).await
    }

    fn words(view: &ValidateView) -> String {
        let mut words = format!(
            "{} {} policy `{}`",
            view.mac,
            if view.fulfilled {
                "fulfils"
            } else {
                "does NOT fulfil"
            },
            view.policy
        );
        for difference in &view.differences {
            words += &format!(
                "\n  {} {} be {}, is {}: {}",
                difference.field,
                difference.level,
                difference.wanted,
                difference.found,
                difference.why
            );
        }
        words
    }

    fn exit(view: &ValidateView) -> Exit {
        if view.fulfilled {
            Exit::Passed
        } else {
            Exit::SomeFailed
        }
    }
}

fn validate(policy: &Policy, snapshot: &Snapshot) -> ValidateView {
    let differences = policy::compare(policy, snapshot);
    let fulfilled = !differences
        .iter()
        .any(|difference| difference.level == policy::Level::Must);
    let views = differences.into_iter().map(|difference| DifferenceView {
        field: difference.field.clone(),
        found: difference.found.clone(),
        wanted: difference.wanted.clone(),
        level: match difference.level {
            policy::Level::Must => "must",
            policy::Level::Should => "should",
        }
        .to_owned(),
        why: difference.why.clone(),
        remedy: match difference.remedy {
            policy::Remedy::Burn => "burn",
            policy::Remedy::GiveKey => "give-key",
            policy::Remedy::None => "none",
        }
        .to_owned(),
    });
    ValidateView {
        mac: snapshot.mac.to_string(),
        policy: policy.name.clone(),
        fulfilled,
        differences: views.collect(),
    }
}

/// Parameters of `esp_security_configure`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConfigureParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// The policy: development, production, or a TOML file
    #[arg(long)]
    pub policy: String,
    /// What is answered for, beside what the policy accepts
    #[command(flatten)]
    #[serde(flatten)]
    pub consent: Consent,
}

/// `esp_security_configure`.
#[derive(Debug)]
pub struct SecurityConfigure;

#[async_trait]
impl Operation for SecurityConfigure {
    const DECLARATION: Declaration = Declaration {
        name: "esp_security_configure",
        aliases: &[],
        command: &["security", "configure"],
        title: "Bring a chip to a policy",
        summary: "Makes the plan of pulses that brings a chip to a policy and burns it if it is the one that was approved. Without \
                  an approval it returns the plan, its digest and how to grant one.",
        effect: Effect::Irreversible,
        idempotent: true,
    };
    type Parameters = ConfigureParameters;
    type Output = BurnView;

    async fn invoke(
        station: &Station,
        parameters: ConfigureParameters,
        call: &Call,
    ) -> Result<BurnView, OperationError> {
        let accepted = parameters.consent.accepted.dangers()?;
        let journal = station.journal().await?;
        let order = Order {
            station,
            call,
            operation: Self::DECLARATION.name,
            approval: parameters.consent.approval.as_deref(),
        };
        let opened = order.open(&journal, &parameters.attached).await?;
        let snapshot = &opened.0.looked.snapshot;
        let policy = policy(station, &parameters.policy, snapshot).await;
        let wish = policy.map(|policy| {
            let mut wish = policy::wish(&policy, snapshot);
            wish.accepted.extend(accepted);
            wish
        });
        order
            .fulfil(&journal, opened, wish, &parameters.attached)
            .await
    }

    fn words(view: &BurnView) -> String {
        view.words()
    }
}
