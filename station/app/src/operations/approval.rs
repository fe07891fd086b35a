//! Approvals of what cannot be undone: `approval_list`, `approval_grant`.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_line::approval::{Grant, Subject};
use station_line::event::{EventKind, Seq};
use station_line::journal::Reader;

use super::latest::Latest;
use super::text::duration;
use crate::operation::{
    Call, Declaration, Effect, Exit, Face, Operation, OperationError, Question,
};
use crate::station::{Station, permit};

/// How many of the latest events are looked through for what a subject stands for.
const LOOK_BACK: u64 = 50_000;

/// Shortest an approval may wait for its use.
const SHORTEST: Duration = Duration::from_secs(1);

/// Longest an approval may wait for its use.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// An approval.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ApprovalView {
    /// Its id: what an irreversible operation takes as `approval`
    pub approval: String,
    /// What it allows: plan:HEX, burn:HEX or operation:HEX
    pub subject: String,
    /// Who granted it
    pub by: String,
    /// Until when it can be used
    pub expires_at: DateTime<Utc>,
    /// usable, used or expired
    pub state: String,
    /// When it was used
    pub used_at: Option<DateTime<Utc>>,
    /// By whom it was used
    pub used_by: Option<String>,
}

/// Approvals of the journal.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ListView {
    /// The approvals, oldest first
    pub approvals: Vec<ApprovalView>,
}

/// `approval_list`.
#[derive(Debug)]
pub struct ApprovalList;

#[async_trait]
impl Operation for ApprovalList {
    const DECLARATION: Declaration = Declaration {
        name: "approval_list",
        aliases: &[],
        command: &["approval", "list"],
        title: "Approvals that were granted",
        summary: "Returns the latest approvals of what cannot be undone: of what, by whom, until when, and whether used.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = Latest;
    type Output = ListView;

    async fn invoke(
        station: &Station,
        latest: Latest,
        _call: &Call,
    ) -> Result<ListView, OperationError> {
        let limit = latest.count();
        station
            .read(move |reader| {
                let approvals = reader.approvals(Utc::now(), limit)?;
                Ok(ListView {
                    approvals: approvals.into_iter().map(view).collect(),
                })
            })
            .await
    }

    fn words(view: &ListView) -> String {
        if view.approvals.is_empty() {
            return "no approvals".to_owned();
        }
        let line = |approval: &ApprovalView| {
            let used = match (&approval.used_by, approval.used_at) {
                (Some(by), Some(at)) => format!("by {by} at {}", at.format("%F %T UTC")),
                _ => format!("until {}", approval.expires_at.format("%F %T UTC")),
            };
            format!(
                "{}  {}  granted by {}, {} {used}",
                approval.approval, approval.subject, approval.by, approval.state
            )
        };
        let lines: Vec<String> = view.approvals.iter().map(line).collect();
        lines.join("\n")
    }
}

fn view(approval: station_line::approval::Approval) -> ApprovalView {
    ApprovalView {
        approval: approval.id.to_string(),
        subject: approval.subject.to_string(),
        by: approval.by,
        expires_at: approval.expires_at,
        state: approval.state.word().to_owned(),
        used_at: approval.used_at,
        used_by: approval.used_by,
    }
}

/// Parameters of `approval_grant`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GrantParameters {
    /// What is approved, as the refusal named it: burn:HEX, plan:HEX or operation:HEX
    pub subject: String,
    /// How long it can be used: 10m, 1h (default: 15 minutes for a burn, 12 hours for a recipe's plan)
    #[arg(long = "for", value_name = "TIME")]
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub valid: Option<String>,
    /// At the command line only: the subject, given in full, is the confirmation
    #[arg(long)]
    #[serde(default)]
    pub yes: bool,
}

/// `approval_grant`.
#[derive(Debug)]
pub struct ApprovalGrant;

#[async_trait]
impl Operation for ApprovalGrant {
    const DECLARATION: Declaration = Declaration {
        name: "approval_grant",
        aliases: &[],
        command: &["approval", "grant"],
        title: "Approve what cannot be undone",
        summary: "Grants one use of exactly one irreversible thing, named by its digest, after a person has typed the first \
                  digits of the digest. A client that cannot ask a person is refused.",
        effect: Effect::Write,
        idempotent: false,
    };
    type Parameters = GrantParameters;
    type Output = ApprovalView;

    fn records_itself() -> bool {
        true
    }

    async fn invoke(
        station: &Station,
        parameters: GrantParameters,
        call: &Call,
    ) -> Result<ApprovalView, OperationError> {
        let subject: Subject = parameters.subject.parse().map_err(|_| {
            OperationError::usage(
                "subject-invalid",
                "an approval is of `burn:`, `plan:` or `operation:` with 64 hex digits",
            )
            .hint("copy the subject from the refusal, whole")
        })?;
        let valid = match parameters.valid.as_deref() {
            None => subject.default_validity(),
            Some(text) => validity(text)?,
        };
        let journal = station.journal().await?;
        let confirmed = confirm(station, &subject, parameters.yes, call).await;
        if let Err(error) = confirmed {
            return Err(permit::record(&journal, "approval_grant", error).await?);
        }
        let grant = Grant {
            at: Utc::now(),
            subject,
            by: permit::confirmed_by(call),
            valid,
        };
        Ok(view(journal.grant(grant).await?))
    }

    fn words(view: &ApprovalView) -> String {
        format!(
            "approval {} of {}, until {}",
            view.approval,
            view.subject,
            view.expires_at.format("%F %T UTC")
        )
    }
}

/// `10m` and the like, and hours and days, as approvals may wait longer than an operation.
fn validity(text: &str) -> Result<Duration, OperationError> {
    let whole = |unit: char, seconds: u64| {
        let number: Option<u64> = text
            .strip_suffix(unit)
            .and_then(|digits| digits.parse().ok());
        number.map(|number| Duration::from_secs(number.saturating_mul(seconds)))
    };
    let valid = match whole('h', 3600).or_else(|| whole('d', 24 * 3600)) {
        Some(valid) => valid,
        None => duration(text)?,
    };
    if valid < SHORTEST || valid > LONGEST {
        return Err(OperationError::usage(
            "duration-invalid",
            "an approval is good for a second at least and a week at most",
        ));
    }
    Ok(valid)
}

/// A person's yes to the subject: typed, or by giving it in full at the command line.
async fn confirm(
    station: &Station,
    subject: &Subject,
    yes: bool,
    call: &Call,
) -> Result<(), OperationError> {
    match call.face {
        Face::Cli if yes => return Ok(()),
        Face::Mcp if yes => {
            let message = "a client does not confirm for a person";
            return Err(OperationError::new("confirmation-not-yours", message)
                .hint("leave `yes` out: whoever sits at the client is asked, or grant it at the command line")
                .exit(Exit::Refused));
        }
        Face::Cli | Face::Mcp => {}
    }
    let shown = subject.clone();
    let text = station
        .read(move |reader| stands_for(reader, &shown))
        .await?
        .ok_or_else(|| {
            OperationError::new(
                "subject-unknown",
                format!("this journal knows nothing of `{subject}`"),
            )
            .hint("ask for the operation first: its refusal puts the plan on record; or give `--yes` at the command line")
            .exit(Exit::Refused)
        })?;
    let text = format!("{text}\nsubject: {subject}");
    call.confirmation
        .confirm(&Question::about(text, permit::digest(subject)))
        .await
}

/// What a subject stands for, in words: a recipe's plan, or what a refusal of late put on record.
fn stands_for(reader: &Reader, subject: &Subject) -> Result<Option<String>, OperationError> {
    if let Subject::Plan(plan) = subject
        && let Some(record) = reader.plan(plan)?
    {
        return Ok(Some(format!(
            "recipe of product `{}`, plan {plan}\n\n{}",
            record.product, record.text
        )));
    }
    let named = subject.to_string();
    let mut since = Seq(reader.head()?.seq.0.saturating_sub(LOOK_BACK));
    let mut found = None;
    loop {
        let events = reader.events_since(since, None, station_line::journal::MAX_EVENTS)?;
        let Some(last) = events.last() else {
            return Ok(found);
        };
        since = last.seq;
        for event in events {
            if let EventKind::Refused { code, reason, .. } = event.kind
                && code == permit::NEEDED
                && let Some((first, text)) = reason.split_once('\n')
                && first == named
            {
                found = Some(text.to_owned());
            }
        }
    }
}
