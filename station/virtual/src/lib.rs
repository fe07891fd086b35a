//! Chips made of software that unmodified tools cannot tell from real ones.
//!
//! Invariants: the chip itself does no IO and reads no clock, so that a seed replays whatever
//! happened; the servers around it are the only part that waits, and only on tokio's clock.

pub mod boot;
pub mod chip;
pub mod efuse;
pub mod fault;
pub mod fleet;
pub mod nor;
pub mod script;
pub mod server;
pub mod wire;

pub use chip::{ChipConfig, VirtualChip};
pub use fleet::{FleetConfig, FleetError, Ready, Strap, serve};
pub use script::AppScript;
pub use server::{Control, Presence, ResetTo};
