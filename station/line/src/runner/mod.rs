//! Runs a plan on many bays at once.
//!
//! One task per bay owns one chip; bays share nothing but read-only bytes, shared resources and one
//! bounded channel to the coordinator. The coordinator alone makes events, in the order in which it
//! accepted what bays told it, and answers only what is in the journal.
//!
//! - pure: [`bay`] (the life of a bay), [`cursor`] (which step is next), [`gate`] (who may start);
//! - waiting: `task` (one bay), `attempt` and `action` (one unit), [`resources`], [`deadline`];
//! - deciding: `coordinator`; for whoever started the run: [`RunHandle`], [`RunReport`].
//!
//! Invariants: no record, no pass; started implies finished; attempts of one bay never overlap;
//! with tokio's paused clock, one thread, an inline journal and small images the same chips give
//! the same journal, run for run of a fresh runtime.

pub mod bay;
pub mod cursor;
pub mod deadline;
pub mod failure;
pub mod gate;
pub mod progress;
pub mod report;
pub mod request;
pub mod resources;

mod action;
mod admission;
mod attempt;
mod burns;
mod chip;
mod context;
mod coordinator;
mod handle;
mod ledger;
mod message;
mod permission;
mod prepared;
mod record;
mod start;
mod task;
mod unit;

pub use failure::{ALREADY_PASSED, JOURNAL_LOST, QUARANTINED};
pub use handle::{RunControl, RunHandle};
pub use progress::ProgressBoard;
pub use report::{AttemptReport, RunReport, RunVerdict};
pub use request::{Bay, MAX_BAYS, RunRequest, StartError};
pub use start::start;

#[cfg(test)]
mod tests;
