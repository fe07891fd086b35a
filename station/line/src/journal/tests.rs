//! Tests of the journal as a whole, by what they put at risk.

mod appending;
mod burns;
mod crash;
mod damage;
mod permits;
mod properties;
mod recovery;
mod serials;
mod snapshots;
mod speed;
pub(crate) mod story;
mod upgrade;
