//! Sessions with virtual chips in memory, on a paused clock.

mod boot;
mod connect;
mod encrypted;
mod faults;
mod reading;
mod returning;
pub(crate) mod rig;
mod speed;
mod writing;
