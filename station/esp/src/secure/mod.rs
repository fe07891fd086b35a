//! Signing, verification and flash encryption as the chips do them.
//!
//! Invariants: every cipher, hash, curve and padding comes from a published library, here is only
//! what the chips do around them; randomness is handed in; private keys live in types that are
//! wiped when dropped and show nothing when formatted; every parser takes hostile bytes. Facts come
//! from ESP-IDF's security documents (secure boot version 1 and 2, flash encryption) and from what
//! espsecure 5.6 was seen to put out; the tests compare with it byte for byte.

pub mod encryption;
pub mod random;
pub mod signature;
