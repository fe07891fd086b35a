//! The flash engine: what a session does with a chip's flash.
//!
//! Invariants:
//! - Nothing outside the flash is touched, and nothing at all before the whole range was checked.
//! - What was written is proven by an MD5 that the chip computes over its flash, where it can; what
//!   cannot be proven is said to be unverified.
//! - One block is on its way at a time: the stub has two buffers, one it receives into while it
//!   programs the other, so a third would be lost. Its acknowledgement comes before programming,
//!   which keeps the wire busy all the same.

mod digest;
mod encrypted;
mod erase;
mod identify;
mod prepared;
mod progress;
mod range;
mod read;
mod split;
mod write;

pub(crate) use identify::{identify, set_parameters};
pub use prepared::{Md5Digest, PreparedImage};
pub use progress::{NoProgress, Phase, ProgressSink};
pub use split::SECTOR;
pub use write::{WriteOptions, Written};
