//! Ending a run: `run_cancel`.

use async_trait::async_trait;
use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_line::event::{CancelMode, RunId};

use super::status::run_row;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// How a run is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelChoice {
    /// Running boards finish, none starts
    Drain,
    /// Running boards are left at the next safe point
    Stop,
}

fn drain() -> CancelChoice {
    CancelChoice::Drain
}

/// Parameters of `run_cancel`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CancelParameters {
    /// Number of the run
    pub run: u64,
    /// How
    #[arg(long, value_enum, default_value = "drain")]
    #[serde(default = "drain")]
    pub mode: CancelChoice,
}

/// What was asked of a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CancelView {
    /// The run
    pub run: u64,
    /// Whether there was anything left to cancel
    pub asked: bool,
}

/// `run_cancel`.
#[derive(Debug)]
pub struct RunCancel;

#[async_trait]
impl Operation for RunCancel {
    const DECLARATION: Declaration = Declaration {
        name: "run_cancel",
        aliases: &[],
        command: &["runs", "cancel"],
        title: "End a run",
        summary: "Asks a run to end: drain lets running boards finish, stop leaves them at the next safe point. \
                  Works on runs of this process and of the station that has the journal open.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = CancelParameters;
    type Output = CancelView;

    fn records_itself() -> bool {
        true
    }

    async fn invoke(
        station: &Station,
        parameters: CancelParameters,
        call: &Call,
    ) -> Result<CancelView, OperationError> {
        let id = RunId(parameters.run);
        let row = station.read(move |reader| run_row(reader, id)).await?;
        if row.finished_at.is_some() {
            return Ok(CancelView {
                run: id.0,
                asked: false,
            });
        }
        let mode = match parameters.mode {
            CancelChoice::Drain => CancelMode::Drain,
            CancelChoice::Stop => CancelMode::Stop,
        };
        match station.live_run(id) {
            Some(run) => run.control.cancel(mode, call.by.clone()).await,
            None => station.signal_owner(mode).await?,
        }
        Ok(CancelView {
            run: id.0,
            asked: true,
        })
    }
}
