//! Whole runs on virtual chips in memory, on a paused clock.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "tests look at a few kinds of many"
)]

mod actions;
mod cuts;
mod fuses;
mod leave;
mod limits;
mod plant;
mod policy;
mod room;
mod safety;
mod scenarios;
mod simulation;
