//! How runs stand: `run_status`, `run_list`.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_line::event::{RunId, Tally};
use station_line::journal::Reader;
use station_line::quality::{self, Filter, RunRow};

use super::super::latest::Latest;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Parameters of operations on one run.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunParameters {
    /// Number of the run
    pub run: u64,
}

/// What a bay of a live run is doing.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BayProgress {
    /// Which bay
    pub bay: String,
    /// In which step
    pub step: String,
    /// What, in a word
    pub phase: String,
    /// How far
    pub done: u64,
    /// Of how much
    pub total: Option<u64>,
}

/// How a run stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StatusView {
    /// The run as recorded
    pub run: RunRow,
    /// Its ended attempts by outcome
    pub tally: Tally,
    /// Whether it is running in this process
    pub live: bool,
    /// Whether it has ended
    pub over: bool,
    /// What its bays are doing, if it is running in this process
    pub bays: Vec<BayProgress>,
}

/// `run_status`.
#[derive(Debug)]
pub struct RunStatus;

#[async_trait]
impl Operation for RunStatus {
    const DECLARATION: Declaration = Declaration {
        name: "run_status",
        aliases: &[],
        command: &["runs", "status"],
        title: "How a run stands",
        summary: "Returns a run's record, its attempts by outcome, and what its bays are doing if it runs in this process.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = RunParameters;
    type Output = StatusView;

    async fn invoke(
        station: &Station,
        parameters: RunParameters,
        _call: &Call,
    ) -> Result<StatusView, OperationError> {
        let id = RunId(parameters.run);
        let row = station.read(move |reader| run_row(reader, id)).await?;
        let live = station.live_run(id).filter(|run| !run.is_over());
        let bays = live.iter().flat_map(|run| run.control.progress().latest());
        let bays = bays
            .map(|progress| BayProgress {
                bay: progress.bay.to_string(),
                step: progress.step.to_string(),
                phase: progress.phase,
                done: progress.done,
                total: progress.total,
            })
            .collect();
        let tally = Tally {
            pass: row.pass,
            fail: row.fail,
            error: row.error,
            aborted: row.aborted,
        };
        Ok(StatusView {
            tally,
            live: live.is_some(),
            over: row.finished_at.is_some(),
            bays,
            run: row,
        })
    }
}

/// The row of one run.
pub(super) fn run_row(reader: &Reader, id: RunId) -> Result<RunRow, OperationError> {
    // Numbers beyond SQLite's are nobody's.
    i64::try_from(id.0).map_err(|_| unknown_run(id))?;
    let filter = Filter {
        run: Some(id),
        ..Filter::default()
    };
    quality::runs(reader, &filter)?
        .rows
        .pop()
        .ok_or_else(|| unknown_run(id))
}

fn unknown_run(id: RunId) -> OperationError {
    OperationError::usage("run-unknown", format!("the record holds no run {id}"))
        .hint("`run_list` shows the runs of this journal")
}

/// Runs of the journal.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ListView {
    /// The runs, oldest first
    pub runs: Vec<RunRow>,
    /// Whether there are older ones
    pub more: bool,
}

/// `run_list`.
#[derive(Debug)]
pub struct RunList;

#[async_trait]
impl Operation for RunList {
    const DECLARATION: Declaration = Declaration {
        name: "run_list",
        aliases: &[],
        command: &["runs", "list"],
        title: "The latest runs",
        summary: "Returns the latest runs of the journal with their attempts by outcome.",
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
        station
            .read(move |reader| {
                let filter = Filter {
                    limit: Some(latest.count()),
                    ..Filter::default()
                };
                let rows = quality::runs(reader, &filter)?;
                Ok(ListView {
                    runs: rows.rows,
                    more: rows.more,
                })
            })
            .await
    }
}
