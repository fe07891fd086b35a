//! The chip seen through its wire: what it answers, when, and what is in its flash then.

mod boots;
mod faults;
mod first_boot;
mod in_place;
mod rig;
mod rom;
mod security;
mod stub;
mod timing;
