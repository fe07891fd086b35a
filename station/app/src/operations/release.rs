//! Releases of recipes: `recipe_release`, `recipe_withdraw`, `recipe_release_list`.

use std::path::PathBuf;

use async_trait::async_trait;
use chrono::Utc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_line::event::PlanId;
use station_line::journal::PlanRecord;
use station_line::recipe;
use station_line::release::Release;

use super::attached::reported;
use super::latest::Latest;
use super::text::words;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;
use crate::station::permit::{confirmed_by, person, record};

/// Parameters of `recipe_release`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseParameters {
    /// The recipe
    pub recipe: PathBuf,
}

/// A released plan.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReleaseView {
    /// Hash of the plan, over itself and every byte it writes
    pub plan: String,
    /// Product it makes
    pub product: String,
    /// Revision of the product
    pub revision: Option<String>,
    /// Who released it
    pub by: String,
    /// Public key that the release is signed with
    pub key: String,
    /// Why it was taken back, if it was
    pub withdrawn: Option<String>,
    /// Whether it cannot be undone what the plan does to a unit
    pub irreversible: Option<bool>,
    /// The plan in words, where it was just compiled
    pub description: Option<String>,
}

impl ReleaseView {
    fn of(release: Release) -> Self {
        Self {
            plan: release.plan.to_string(),
            product: release.product,
            revision: release.revision,
            by: release.by,
            key: release.key,
            withdrawn: release
                .withdrawn
                .map(|end| format!("{} by {}", end.reason, end.by)),
            irreversible: None,
            description: None,
        }
    }
}

/// `recipe_release`.
#[derive(Debug)]
pub struct RecipeRelease;

#[async_trait]
impl Operation for RecipeRelease {
    const DECLARATION: Declaration = Declaration {
        name: "recipe_release",
        aliases: &[],
        command: &["release"],
        title: "Release a recipe",
        summary: "Compiles a recipe and signs its plan: an engineer's word that exactly this, every byte of it, may make product. A \
                  plan that does what cannot be undone runs on boards only when it is released. A client's person is asked.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = ReleaseParameters;
    type Output = ReleaseView;

    async fn invoke(
        station: &Station,
        parameters: ReleaseParameters,
        call: &Call,
    ) -> Result<ReleaseView, OperationError> {
        let compiled = reported(call, "compiling", None, station.compile(&parameters.recipe))
            .await?
            .map_err(OperationError::from)?;
        let plan = compiled.plan;
        let description = recipe::describe(&plan);
        let journal = station.journal().await?;
        let question = format!("release this plan\n\n{description}\nplan: {}", plan.id());
        if let Err(error) = person(call, question, plan.id().as_str()).await {
            return Err(record(&journal, Self::DECLARATION.name, error).await?);
        }
        let store = station.keys().await?;
        let key = tokio::task::spawn_blocking(move || store.station_key(Utc::now()))
            .await
            .map_err(|error| OperationError::new("internal", error.to_string()))??;
        let plan_record = PlanRecord::of(&plan, env!("CARGO_PKG_VERSION"));
        let release = journal
            .release(Utc::now(), &plan_record, &key, &confirmed_by(call))
            .await?;
        Ok(ReleaseView {
            irreversible: Some(plan.is_irreversible()),
            description: Some(description),
            ..ReleaseView::of(release)
        })
    }

    fn words(view: &ReleaseView) -> String {
        format!(
            "{}\nreleased by {}: plan {}",
            view.description.as_deref().unwrap_or_default().trim_end(),
            view.by,
            view.plan
        )
    }
}

/// Parameters of `recipe_withdraw`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WithdrawParameters {
    /// Hash of the plan
    pub plan: String,
    /// Why
    #[arg(long)]
    pub reason: String,
}

/// `recipe_withdraw`.
#[derive(Debug)]
pub struct RecipeWithdraw;

#[async_trait]
impl Operation for RecipeWithdraw {
    const DECLARATION: Declaration = Declaration {
        name: "recipe_withdraw",
        aliases: &[],
        command: &["withdraw"],
        title: "Take the release of a plan back",
        summary: "Takes the release of a plan back: it runs on no board any more until it is released again.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = WithdrawParameters;
    type Output = ReleaseView;

    async fn invoke(
        station: &Station,
        parameters: WithdrawParameters,
        call: &Call,
    ) -> Result<ReleaseView, OperationError> {
        words("reason", &parameters.reason)?;
        let plan = PlanId::new(parameters.plan);
        let journal = station.journal().await?;
        let asked = plan.clone();
        let unknown = || {
            OperationError::usage("release-missing", "no plan of that hash is released")
                .hint("`station releases` shows them")
        };
        let known = station
            .read(move |reader| Ok(reader.release_of(&asked)?))
            .await?;
        let known = known.ok_or_else(unknown)?;
        if known.withdrawn.is_none() {
            journal
                .withdraw(Utc::now(), &plan, &call.by, &parameters.reason)
                .await?;
        }
        let release = station
            .read(move |reader| Ok(reader.release_of(&plan)?))
            .await?;
        release.map(ReleaseView::of).ok_or_else(unknown)
    }
}

/// Releases of the journal.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ListView {
    /// The releases, newest first
    pub releases: Vec<ReleaseView>,
}

/// `recipe_release_list`.
#[derive(Debug)]
pub struct RecipeReleaseList;

#[async_trait]
impl Operation for RecipeReleaseList {
    const DECLARATION: Declaration = Declaration {
        name: "recipe_release_list",
        aliases: &[],
        command: &["releases"],
        title: "Plans that were released",
        summary: "Returns the released plans of the journal, by whom, and those that were taken back.",
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
                let releases = reader.releases(limit)?;
                Ok(ListView {
                    releases: releases.into_iter().map(ReleaseView::of).collect(),
                })
            })
            .await
    }

    fn words(view: &ListView) -> String {
        if view.releases.is_empty() {
            return "no releases".to_owned();
        }
        let line = |release: &ReleaseView| {
            let revision = release.revision.as_deref().unwrap_or("-");
            let end = match &release.withdrawn {
                Some(why) => format!("withdrawn: {why}"),
                None => "in force".to_owned(),
            };
            format!(
                "{}  {} {revision}  released by {}, key {}, {end}",
                release.plan, release.product, release.by, release.key
            )
        };
        let lines: Vec<String> = view.releases.iter().map(line).collect();
        lines.join("\n")
    }
}
