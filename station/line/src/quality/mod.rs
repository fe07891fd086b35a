//! What the record says about quality: lists, yield, failures, and everything about one unit.
//!
//! Invariants: read-only questions over a [`crate::journal::Reader`]; every answer is bounded and says
//! so when there was more; rows are flat, so that a table, CSV and JSON show the same; aborted
//! attempts never count.

mod filter;
mod interval;
mod lists;
mod pareto;
mod rows;
mod trace;
mod yields;

pub use filter::{Filter, MAX_ROWS, Rows};
pub use interval::{Interval, wilson};
pub use lists::{attachments, attempts, measurements, runs, serials, steps, units};
pub use pareto::{ParetoRow, failure_pareto};
pub use rows::{AttachmentRow, AttemptRow, MeasurementRow, RunRow, SerialRow, StepRow, UnitRow};
pub use trace::{AttemptTrace, MAX_TRACED_ATTEMPTS, UnitTrace, unit_trace};
pub use yields::{GroupBy, YieldRow, yields};

#[cfg(test)]
mod tests;
