//! Bays: fixed places of the jig, found again by where they hang on the USB tree.
//!
//! Invariants:
//! - The truth is what sysfs shows at this moment; nothing here needs udev or its links.
//! - A [`BayKey`] names a place and never what sits in it: it survives reboots, other tty numbers
//!   and other boards.
//! - One tty belongs to one bay, and one bay has one tty, or nothing is opened.

mod config;
mod key;
mod learn;
mod presence;
mod sysfs;

pub use config::{BayConfig, BayConfigError, BayList, CommandConfig, ResetConfig, check};
pub use key::{BayKey, BayKeyError, Interface};
pub use learn::{LearnError, learned};
pub use presence::{BayWatch, PresenceTracker, RESCAN};
#[cfg(test)]
pub(crate) use sysfs::tests::FakeSysfs;
pub use sysfs::{Sysfs, UsbTty};
