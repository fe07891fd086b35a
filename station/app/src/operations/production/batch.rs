//! Starting a run: `esp_batch_program`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::attached::reported;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::{RunOrder, Station};

/// Parameters of `esp_batch_program`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BatchParameters {
    /// The recipe
    pub recipe: PathBuf,
    /// A bay: NAME=ADDRESS, or a name from the configuration; may be repeated
    #[arg(long = "bay", value_name = "NAME=ADDRESS")]
    #[serde(default)]
    pub bays: Vec<String>,
    /// Run on N virtual boards in this process
    #[arg(long = "virtual", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    #[serde(default, rename = "virtual", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub virtual_boards: Option<u32>,
    /// End after so many units; boards are swapped until then
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub units: Option<u64>,
    /// Lot the units belong to
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
    /// Who runs it
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Approval of one run of exactly this plan (plan:HEX), if it does what cannot be undone
    #[arg(long, value_name = "ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
}

/// The order that parameters of `esp_batch_program` make.
pub(crate) fn batch_order(parameters: BatchParameters) -> RunOrder {
    RunOrder {
        recipe: parameters.recipe,
        bays: parameters.bays,
        virtual_boards: parameters.virtual_boards.unwrap_or(0),
        lot: parameters.lot,
        operator: parameters.operator,
        units: parameters.units,
        approval: parameters.approval,
    }
}

/// A run that was started.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StartedView {
    /// Its number
    pub run: u64,
    /// Hash of its plan
    pub plan: String,
    /// Its bays
    pub bays: Vec<String>,
    /// Whether it is a rehearsal: every board is virtual, and nothing is burned into a chip
    pub rehearsal: bool,
    /// What is not wrong and yet worth a word
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `esp_batch_program`.
#[derive(Debug)]
pub struct BatchProgram;

#[async_trait]
impl Operation for BatchProgram {
    const DECLARATION: Declaration = Declaration {
        name: "esp_batch_program",
        aliases: &[],
        command: &["run"],
        title: "Run a recipe on many bays",
        summary: "Compiles a recipe and runs it on bays, real or virtual. Over MCP it returns the run's number at once: follow it \
                  with run_status and run_events, end it with run_cancel. The CLI stays until the run has ended. A plan that does \
                  what cannot be undone needs a release and an approval, unless every board is virtual.",
        effect: Effect::Irreversible,
        idempotent: false,
    };
    type Parameters = BatchParameters;
    type Output = StartedView;

    async fn invoke(
        station: &Station,
        parameters: BatchParameters,
        call: &Call,
    ) -> Result<StartedView, OperationError> {
        let run = reported(
            call,
            "starting",
            None,
            station.start_run(batch_order(parameters), call),
        )
        .await?;
        Ok(StartedView {
            run: run.id.0,
            plan: run.plan.id().to_string(),
            bays: run.bays.iter().map(ToString::to_string).collect(),
            rehearsal: run.rehearsal,
            warnings: run.warning.into_iter().collect(),
        })
    }
}
