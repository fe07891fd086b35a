//! OTA packages: one file with an image, a manifest that says what it is, and signatures over that.
//!
//! Invariants: a package has exactly one form, so two packages with the same content are the same
//! bytes and nothing can hide in one; a [`Package`] that opened has an image whose size, SHA-256,
//! chip and revisions are the manifest's; a signature covers the manifest and with it the image.
//!
//! The container is tar (POSIX.1-1988 ustar) with fixed metadata: every system opens it with what
//! it has, members lie uncompressed at multiples of 512 bytes, so that a server can hand out the
//! image alone by byte range, and the manifest and signatures come first, so that a device can
//! refuse before it has received the image. Members, in this order: `manifest.json`, `signatures`
//! (a line each: `ed25519`, key and signature in hex; empty when unsigned), `image.bin`.

mod error;
mod manifest;
mod package;
mod signature;
#[cfg(test)]
mod tests;

pub use error::OtaError;
pub use manifest::{FORMAT, Manifest};
pub use package::Package;
pub use signature::{PublicKey, Signature, TrustedKeys};
