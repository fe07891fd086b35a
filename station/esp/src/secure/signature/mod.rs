//! Secure boot signatures: keys, signature blocks, signed images, and what a chip makes of them.
//!
//! Invariants: a signature is checked against its own public key before it enters an image; a
//! signed image with anything broken in its signature sector is never called verified; the digest
//! of a key is the one that lies in its eFuse block.

mod algorithm;
mod block;
mod container;
mod curve;
mod error;
mod private_key;
mod public_key;
mod rsa3072;
mod sector;
mod signer;
mod support;
pub mod trust;
pub mod v1;

#[cfg(test)]
mod tests;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use block::{BLOCK_LENGTH, BlockFault, SignatureBlock};
pub use error::SignatureError;
pub use private_key::PrivateKey;
pub use public_key::PublicKey;
pub use sector::{
    MAX_BLOCKS, SECTOR, SignedImage, Slot, append, carries_signature, padded, sign, verify,
    verify_with,
};
pub use signer::Signer;
pub use support::BootSupport;
