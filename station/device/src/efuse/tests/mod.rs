//! Burning virtual chips in memory, on a paused clock.

mod changed;
mod every_chip;
mod faults;
mod last_contact;
mod power;
mod random;
pub(crate) mod rig;
mod secrets;
mod snapshot;
