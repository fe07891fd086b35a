//! What happened in a run: `run_events`.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_line::event::{Event, RunId, Seq};
use station_line::journal::Reader;

use super::super::attached::reported;
use super::super::text::duration;
use super::status::run_row;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// How often events of another process's run are looked for.
const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// Parameters of `run_events`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventsParameters {
    /// Number of the run
    pub run: u64,
    /// Return events after this number: what `next` was the last time
    #[arg(long, default_value_t = 0)]
    #[serde(default)]
    pub since: u64,
    /// Most events to return
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    #[serde(default = "five_hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: u32,
    /// Wait this long for the first event if there is none yet: 5s
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
}

fn five_hundred() -> u32 {
    500
}

/// Events of a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EventsView {
    /// The events, in order
    pub events: Vec<Event>,
    /// Ask again with this as `since`
    pub next: u64,
    /// Whether the run has ended and nothing follows
    pub over: bool,
}

/// `run_events`.
#[derive(Debug)]
pub struct RunEvents;

#[async_trait]
impl Operation for RunEvents {
    const DECLARATION: Declaration = Declaration {
        name: "run_events",
        aliases: &[],
        command: &["runs", "events"],
        title: "Events of a run since a number",
        summary: "Returns a run's events after a number, in order, and the number to ask with next; can wait for the first one.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = EventsParameters;
    type Output = EventsView;

    async fn invoke(
        station: &Station,
        parameters: EventsParameters,
        call: &Call,
    ) -> Result<EventsView, OperationError> {
        let wait = parameters
            .wait
            .as_deref()
            .map(duration)
            .transpose()?
            .unwrap_or_default();
        let within = (!wait.is_zero()).then_some(wait);
        reported(call, "waiting", within, follow(station, &parameters, wait)).await
    }
}

/// Looks until there is something to see.
async fn follow(
    station: &Station,
    asked: &EventsParameters,
    wait: Duration,
) -> Result<EventsView, OperationError> {
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let page = asked.clone();
        let view = station
            .read(move |reader| events_page(reader, &page))
            .await?;
        if !view.events.is_empty() || view.over || tokio::time::Instant::now() >= deadline {
            return Ok(view);
        }
        tokio::time::sleep_until(deadline.min(tokio::time::Instant::now() + LOOK_PAUSE)).await;
    }
}

fn events_page(reader: &Reader, asked: &EventsParameters) -> Result<EventsView, OperationError> {
    let id = RunId(asked.run);
    let row = run_row(reader, id)?;
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let since = Seq(asked.since.min(i64::MAX.unsigned_abs()));
    let events = reader.events_since(since, Some(id), limit)?;
    let next = events.last().map_or(asked.since, |event| event.seq.0);
    let over = row.finished_at.is_some() && events.len() < limit;
    Ok(EventsView { events, next, over })
}
