//! Questions to the record: `unit_trace`, `yield`, `failure_pareto`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_line::event::RunId;
use station_line::quality::{self, Filter, GroupBy, ParetoRow, YieldRow};

use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Which attempts are asked about.
#[derive(clap::Args, Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Selection {
    /// Of this run only
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// Of this lot only
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
    /// In this bay only
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bay: Option<String>,
    /// Of this product only
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// From this time on, 2026-11-21T06:00:00Z
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Before this time
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Selection {
    /// The same as the record's filter.
    pub fn filter(&self, limit: Option<usize>) -> Filter {
        Filter {
            // Numbers beyond SQLite's are nobody's.
            run: self.run.map(|run| RunId(run.min(i64::MAX.unsigned_abs()))),
            lot: self.lot.clone(),
            bay: self.bay.clone(),
            product: self.product.clone(),
            mac: None,
            since: self.since,
            until: self.until,
            limit,
        }
    }
}

/// Parameters of `unit_trace`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TraceParameters {
    /// MAC or serial number of the unit
    pub unit: String,
}

/// `unit_trace`.
#[derive(Debug)]
pub struct UnitTrace;

#[async_trait]
impl Operation for UnitTrace {
    const DECLARATION: Declaration = Declaration {
        name: "unit_trace",
        aliases: &[],
        command: &["quality", "trace"],
        title: "Everything about one unit",
        summary: "Returns everything the record holds about the unit with this MAC or serial number: \
                  attempts, steps with every try, measurements, serial numbers, attachments.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = TraceParameters;
    type Output = quality::UnitTrace;

    async fn invoke(
        station: &Station,
        parameters: TraceParameters,
        _call: &Call,
    ) -> Result<quality::UnitTrace, OperationError> {
        station
            .read(move |reader| {
                quality::unit_trace(reader, &parameters.unit)?.ok_or_else(|| {
                    OperationError::usage(
                        "unit-unknown",
                        format!("the record holds no unit `{}`", parameters.unit),
                    )
                    .hint("give a MAC like 7c:df:a1:00:00:01, or a serial number as on the label")
                })
            })
            .await
    }
}

/// Parameters of `yield`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct YieldParameters {
    /// Which attempts
    #[command(flatten)]
    #[serde(flatten)]
    pub selection: Selection,
    /// What to group by: product, recipe, bay, lot, day, run
    #[arg(long, default_value = "product")]
    #[serde(default)]
    pub by: GroupBy,
}

/// Yield, as a whole and by group.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct YieldView {
    /// What it is grouped by
    pub by: GroupBy,
    /// Each group
    pub groups: Vec<YieldRow>,
}

/// `yield`.
#[derive(Debug)]
pub struct Yield;

#[async_trait]
impl Operation for Yield {
    const DECLARATION: Declaration = Declaration {
        name: "yield",
        aliases: &[],
        command: &["quality", "yield"],
        title: "Yield, first pass and final",
        summary: "Returns first-pass and final yield by product, recipe, bay, lot, day or run, each with its Wilson 95 % \
                  interval. Aborted attempts do not count; an error counts as not passed.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = YieldParameters;
    type Output = YieldView;

    async fn invoke(
        station: &Station,
        parameters: YieldParameters,
        _call: &Call,
    ) -> Result<YieldView, OperationError> {
        station
            .read(move |reader| {
                let groups =
                    quality::yields(reader, parameters.by, &parameters.selection.filter(None))?;
                Ok(YieldView {
                    by: parameters.by,
                    groups,
                })
            })
            .await
    }
}

/// Parameters of `failure_pareto`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ParetoParameters {
    /// Which attempts
    #[command(flatten)]
    #[serde(flatten)]
    pub selection: Selection,
}

/// What fails most.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ParetoView {
    /// Kinds of failure, the most frequent first
    pub failures: Vec<ParetoRow>,
}

/// `failure_pareto`.
#[derive(Debug)]
pub struct FailurePareto;

#[async_trait]
impl Operation for FailurePareto {
    const DECLARATION: Declaration = Declaration {
        name: "failure_pareto",
        aliases: &[],
        command: &["quality", "pareto"],
        title: "What fails most",
        summary: "Returns attempts that ended fail or error by step and code, the most frequent first, with shares and cumulative shares.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ParetoParameters;
    type Output = ParetoView;

    async fn invoke(
        station: &Station,
        parameters: ParetoParameters,
        _call: &Call,
    ) -> Result<ParetoView, OperationError> {
        station
            .read(move |reader| {
                let failures = quality::failure_pareto(reader, &parameters.selection.filter(None))?;
                Ok(ParetoView { failures })
            })
            .await
    }
}
