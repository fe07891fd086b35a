//! Bytes that must never be shown: keys on their way between a file, a store and a chip.
//!
//! Invariants: the bytes are wiped when the last owner lets go; nothing that formats, compares in
//! an assertion message or serialises shows them; whoever needs them says so with
//! [`Secret::expose`], which a reader can search for.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Secret bytes of any length.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; the caller wipes any other copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A name for the bytes that gives nothing away: the first 16 bytes of a SHA-256 over a domain
    /// separator and them, in hex. Meant for keys of 16 random bytes or more; a short or guessable
    /// secret can be found from it by trying.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::new()
            .chain_update(b"station key fingerprint\0")
            .chain_update(self.expose())
            .finalize();
        hex::encode(&digest[..16])
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_length_and_nothing_else() {
        let secret = Secret::new(vec![0xAB; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(32 bytes)");
        assert_eq!(format!("{:?}", Some(&secret)), "Some(Secret(32 bytes))");
    }

    #[test]
    fn a_fingerprint_tells_keys_apart_without_being_their_plain_hash() {
        let one = Secret::new(vec![1; 32]);
        let other = Secret::new(vec![2; 32]);
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert_eq!(one.fingerprint().len(), 32);
        assert!(!hex::encode(Sha256::digest([1; 32])).starts_with(&one.fingerprint()));
    }
}
