//! Whole runs on virtual chips in memory, on a paused clock.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "tests look at a few kinds of many"
)]

mod actions;
mod bricks;
mod carrier;
mod cuts;
mod encryption;
mod first_boot;
mod fuses;
mod images;
mod keys;
mod leave;
mod limits;
mod nvs;
mod plant;
mod policy;
mod room;
mod safety;
mod scenarios;
mod simulation;
