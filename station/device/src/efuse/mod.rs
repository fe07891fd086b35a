//! Reading the whole of a chip's fuses, and burning them by plan.
//!
//! Invariants:
//! - [`Session::burn`](crate::Session::burn) is the only way to burn, and a
//!   [`BurnPlan`](station_esp::efuse::plan::BurnPlan) the only thing that can be burned: on the chip
//!   and in the state it was made for, or not at all.
//! - Before the first register of a pulse is written, a [`BurnWitness`] has said that the intent is
//!   kept for good; after a pulse whose end is known it has heard of it. A pulse whose end is not
//!   known leaves its intent open.
//! - What goes into the program registers is read back before the command that burns; what was
//!   burned is read back after it. A pulse is repeated with the same words or not at all.
//! - Before every try the chip says once more that it is the one of the plan, and its timing is set
//!   again if a reset took it away.
//! - No word that goes into a fuse appears in an error, in a log or in what is kept of a frame.

mod burn;
mod controller;
mod error;
mod farewell;
mod pulse;
mod snapshot;
mod witness;

pub use burn::Burned;
pub use error::BurnError;
pub use witness::{BurnWitness, PulseResult, PulseVerdict};

#[cfg(test)]
pub(crate) mod tests;
