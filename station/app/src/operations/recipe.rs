//! `recipe_check`: compile a recipe and say what it would do.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_line::recipe::{self, Compiled, FindingRecord};

use super::attached::reported;
use crate::operation::{Call, Declaration, Effect, Exit, Operation, OperationError};
use crate::station::Station;

/// Parameters of `recipe_check`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckParameters {
    /// The recipe
    pub recipe: PathBuf,
}

/// What a recipe is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CheckView {
    /// Whether it compiles
    pub accepted: bool,
    /// The plan's hash, over itself and every byte it writes
    pub plan: Option<String>,
    /// Whether it does to a unit what cannot be undone: it runs only when released and approved
    pub irreversible: Option<bool>,
    /// The plan in words
    pub description: Option<String>,
    /// Everything that is wrong
    pub errors: Vec<FindingRecord>,
    /// Everything that is not wrong and yet worth a word
    pub warnings: Vec<String>,
    /// Errors and warnings with the source lines
    pub rendered: String,
}

/// `recipe_check`.
#[derive(Debug)]
pub struct RecipeCheck;

#[async_trait]
impl Operation for RecipeCheck {
    const DECLARATION: Declaration = Declaration {
        name: "recipe_check",
        aliases: &[],
        command: &["check"],
        title: "Compile a recipe and show the plan",
        summary: "Compiles a recipe with all its files and returns either every error with its line, or the plan in words \
                  with every offset, size and hash. Touches no board.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = CheckParameters;
    type Output = CheckView;

    async fn invoke(
        station: &Station,
        parameters: CheckParameters,
        call: &Call,
    ) -> Result<CheckView, OperationError> {
        let compiled =
            reported(call, "compiling", None, station.compile(&parameters.recipe)).await?;
        Ok(match compiled {
            Ok(compiled) => accepted(&compiled, station.escrow_warning(&compiled.plan)),
            Err(errors) => CheckView {
                accepted: false,
                plan: None,
                irreversible: None,
                description: None,
                errors: errors.records(),
                warnings: Vec::new(),
                rendered: errors.render(),
            },
        })
    }

    fn words(view: &CheckView) -> String {
        let mut words = view.rendered.clone();
        words += view.description.as_deref().unwrap_or_default();
        words.truncate(words.trim_end().len());
        words
    }

    fn exit(view: &CheckView) -> Exit {
        if view.accepted {
            Exit::Passed
        } else {
            Exit::RecipeRefused
        }
    }
}

fn accepted(compiled: &Compiled, of_station: Option<String>) -> CheckView {
    let mut rendered = compiled.render_warnings();
    if let Some(warning) = &of_station {
        rendered += &format!("warning: {warning}\n\n");
    }
    CheckView {
        accepted: true,
        plan: Some(compiled.plan.id().to_string()),
        irreversible: Some(compiled.plan.is_irreversible()),
        description: Some(recipe::describe(&compiled.plan)),
        errors: Vec::new(),
        warnings: compiled
            .warnings
            .iter()
            .map(|warning| warning.message.clone())
            .chain(of_station)
            .collect(),
        rendered,
    }
}
