//! Sessions with virtual chips in memory, on a paused clock.

mod boot;
mod connect;
mod faults;
mod reading;
mod returning;
mod rig;
mod speed;
mod writing;
