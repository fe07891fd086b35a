//! The command line: a face over the registry, and the few commands that are faces themselves.
//!
//! Operations become commands by their declared place (`["chip", "detect"]` → `station chip detect`).
//! `run` wraps `esp_batch_program` in a live view; `virtual serve`, `mcp`, `bench` and `docs` are commands
//! of the program, not operations.

mod bench;
mod command;
mod docs;
mod live;
mod output;
mod report;
mod run;
mod terminal;
mod virtual_serve;

pub use command::run_from;
