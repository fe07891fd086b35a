//! The virtual chip: a synchronous core that takes bytes and moments and gives timed bytes.
//!
//! Invariants: no IO and no clock, time is passed in and never runs backwards; the same calls with
//! the same seed give the same bytes at the same moments; bytes from outside never panic; what
//! waits inside is bounded by what was put in.

mod answer;
mod application;
mod config;
mod core;
mod encryption;
mod flashing;
mod in_place;
mod loader;
mod memory;
mod mode;
mod pins;
mod registers;
mod run;
mod snapshot;
mod spi;
mod startup;
mod stream;
mod trust;
mod write;

#[cfg(test)]
mod tests;

pub use self::core::VirtualChip;
pub use application::{Application, BoardFacts, DefaultApplication};
pub(crate) use config::ordinary_crystal;
pub use config::{ChipConfig, Port, RefusalStyle};
pub use mode::Mode;
pub use snapshot::SnapshotError;
