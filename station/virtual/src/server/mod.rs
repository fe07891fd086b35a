//! Servers around the synchronous chip: bays on tokio tasks, reached over memory, PTY, TCP and RFC
//! 2217.
//!
//! Invariants: one task owns one chip; a task sleeps until bytes, an order or the chip's next
//! moment arrive and never polls; time is tokio's, so a paused clock rules everything; nothing
//! listens beyond this machine.

mod bay;
mod control;
pub mod ctl;
mod host;
pub mod memory;
pub mod pty;
pub mod rfc2217;
pub mod tcp;

#[cfg(test)]
mod tests;

pub use bay::{BayState, Presence};
pub use control::{BayGone, Control, ResetTo};
