//! The factory: a recipe becomes a plan, a plan is run on many bays, and everything that happens is
//! recorded before anyone sees it.
//!
//! Invariants: only the recipe compiler makes a [`plan::Plan`]; only the coordinator makes an
//! [`event::Event`]; nothing here prints.

pub mod approval;
mod braces;
pub mod clock;
pub mod event;
pub mod journal;
pub mod keys;
pub mod outcome;
pub mod plan;
pub mod quality;
pub mod recipe;
pub mod release;
pub mod runner;
pub mod serial;
pub mod template;
mod unit_files;
pub mod wish;
