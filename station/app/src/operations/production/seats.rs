//! Bays of a run under way: `bay_start`, `bay_clear`.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_line::event::{BayName, RunId};

use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::{LiveRun, Station};

/// Parameters of operations on a bay of a run.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BayParameters {
    /// Number of the run, which must be running in this process
    pub run: u64,
    /// The bay; without one, every bay
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bay: Option<String>,
}

impl BayParameters {
    /// The run, and the bay's name if it takes part in it.
    fn find(&self, station: &Station) -> Result<(LiveRun, Option<BayName>), OperationError> {
        let run = station
            .live_run(RunId(self.run))
            .filter(|run| !run.is_over())
            .ok_or_else(|| {
                OperationError::usage(
                    "run-not-running",
                    format!("run {} is not running in this process", self.run),
                )
                .hint("ask the process that runs it; `station run` takes a bay's name on standard input")
            })?;
        let bay = self.bay.as_ref().map(BayName::new);
        match &bay {
            Some(bay) if !run.bays.contains(bay) => {
                let names: Vec<&str> = run.bays.iter().map(BayName::as_str).collect();
                Err(OperationError::usage(
                    "bay-unknown",
                    format!("run {} has no bay `{bay}`", self.run),
                )
                .hint(format!("its bays are {}", names.join(", "))))
            }
            Some(_) | None => Ok((run, bay)),
        }
    }
}

/// What was asked of bays.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BaysView {
    /// The run
    pub run: u64,
    /// The bays
    pub bays: Vec<String>,
}

impl BaysView {
    fn of(run: &LiveRun, bay: Option<BayName>) -> Self {
        let bays = bay.map_or_else(|| run.bays.clone(), |bay| vec![bay]);
        Self {
            run: run.id.0,
            bays: bays.iter().map(ToString::to_string).collect(),
        }
    }
}

/// `bay_start`.
#[derive(Debug)]
pub struct BayStart;

#[async_trait]
impl Operation for BayStart {
    const DECLARATION: Declaration = Declaration {
        name: "bay_start",
        aliases: &[],
        command: &["runs", "start-bay"],
        title: "Start the board in a bay",
        summary: "Starts the board in one bay or in every bay of a run whose recipe says `auto_start = false`.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = BayParameters;
    type Output = BaysView;

    async fn invoke(
        station: &Station,
        parameters: BayParameters,
        _call: &Call,
    ) -> Result<BaysView, OperationError> {
        let (run, bay) = parameters.find(station)?;
        run.control.start(bay.clone()).await;
        Ok(BaysView::of(&run, bay))
    }
}

/// `bay_clear`.
#[derive(Debug)]
pub struct BayClear;

#[async_trait]
impl Operation for BayClear {
    const DECLARATION: Declaration = Declaration {
        name: "bay_clear",
        aliases: &[],
        command: &["runs", "clear-bay"],
        title: "Put a quarantined bay back into service",
        summary: "Clears one bay or every bay of a run that was closed after repeated errors.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = BayParameters;
    type Output = BaysView;

    async fn invoke(
        station: &Station,
        parameters: BayParameters,
        _call: &Call,
    ) -> Result<BaysView, OperationError> {
        let (run, bay) = parameters.find(station)?;
        let view = BaysView::of(&run, bay);
        for bay in &view.bays {
            run.control.clear(BayName::new(bay)).await;
        }
        Ok(view)
    }
}
