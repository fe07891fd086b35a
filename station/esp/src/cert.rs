//! Identity in flash: the `esp_secure_cert` partition with certificates, a private key or a
//! reference to one in eFuse.
//!
//! Invariants: what is built is what Espressif's `esp_secure_cert_tool` 2.6 builds from the same
//! input, byte for byte, with three exceptions: a file with more than one certificate or private key
//! is an error (the tool drops all but the first), a key that lies in eFuse is not written to flash
//! as well (the tool does so for ECDSA, see [`KeyPlace::Efuse`]), and parameters for the RSA
//! peripheral of ESP32-C5 have the length that chip reads (the tool's do not, see [`rsa_sizes`]);
//! private keys are [`Secret`](crate::secret::Secret) bytes; what is read is checked entry by entry
//! and would be written the same, and an error names the offset.
//!
//! Facts (the headers of `esp_secure_cert_mgr`, Apache-2.0, and the tool as it was seen to behave):
//! entries stand one behind the other, each a header of 12 bytes (magic `ba5eba11`, flags, three
//! reserved bytes, type, subtype, length, numbers little-endian), content padded with zeros to
//! 16 bytes, and the CRC-32 of all that, started at `ffffffff`. The first word that is no magic ends
//! the list. The older forms `cust_flash` and `nvs` are not written here: the tool calls them legacy.

mod certificate;
mod context;
mod entry;
mod error;
mod identity;
mod key;
mod partition;
mod signature;
#[cfg(test)]
mod tests;

pub use certificate::Certificate;
pub use context::{EfuseReference, RsaContext, rsa_sizes};
pub use entry::{Entry, KeyPlace, Kind};
pub use error::CertError;
pub use identity::{Identity, IdentityKey};
pub use key::{Encoding, KeyFile, KeyKind};
pub use partition::{PARTITION_SIZE, Partition};
pub use signature::{SignedRange, sign};
