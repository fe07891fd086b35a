//! Identity in flash: `esp_secure_cert` partitions made and read.
//!
//! Invariants: no answer or error holds a private key or a secret entry, only what may be public of it; a
//! file that holds a private key is readable for its owner only.

mod create;
mod read;
mod view;

pub use create::{CertCreate, CreateParameters, CreateView, KeyHome};
pub use read::{CertRead, CertReadView, ReadParameters};
pub use view::{EntryView, PrivateKeyView, SignedView};
