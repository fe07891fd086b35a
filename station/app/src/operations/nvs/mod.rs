//! NVS partitions: made of CSV and values, read back, and the keys that encrypt them.
//!
//! Invariants: no answer, error or record holds a key, only its fingerprint and the hash of the file it was written to; files with keys and images are
//! readable for their owner only; a file that a table names is one that its caller may read.

mod create;
mod keys;
mod read;

pub use create::{CreateParameters, CreateView, NvsCreate};
pub use keys::{KeysParameters, KeysView, NvsKeysMake, NvsSecret};
pub use read::{DamageView, EntryView, NvsRead, NvsReadView, PageView, ReadParameters};
