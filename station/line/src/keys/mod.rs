//! Keys at rest: sealed before they are burned, given out again to the same unit, never shown.
//!
//! Invariants: a key is durable on disk, sealed and opened again once for proof, before
//! [`KeyStore::obtain`] returns it; the same name and owner always get the same key, or an error,
//! never another key; a key that was forgotten leaves a tombstone and is never made anew; nothing
//! that formats or serialises shows a key.
//!
//! Reading order: what a key is ([`KeyName`], [`KeyOwner`], [`KeyKind`], [`Custody`]), what is written
//! beside it ([`KeyRecord`]), how it is sealed (`seal`), how files are written (`folder`), the
//! [`KeyStore`], what is still to be put on record of it (`unsaid`), keys that stay in a token
//! ([`pkcs11`]).

mod asymmetric;
mod chance;
mod error;
mod folder;
mod kind;
mod list;
mod order;
pub mod pkcs11;
mod place;
mod record;
mod seal;
mod station;
mod store;
mod unsaid;

pub(crate) use asymmetric::is_pem;
pub use asymmetric::{burnable, curve_key, for_purpose, signing_key, system_random};
pub use chance::Entropy;
pub use error::KeyError;
pub use kind::{Custody, KeyKind, KeyName, KeyOwner};
pub use order::{KeyOrder, KeySource};
pub use record::{Forgotten, KeyRecord};
pub use station::STATION_KEY;
pub use store::{KeyStore, KeyStoreOptions};
pub use unsaid::UnsaidError;
pub(crate) use unsaid::is_said;

#[cfg(test)]
mod tests;
