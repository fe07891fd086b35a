//! Ed25519 signatures over a manifest.
//!
//! Invariant: what is signed begins with a text of its own, so that a signature made for something
//! else never counts here.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use super::error::OtaError;
use super::manifest::Manifest;
use crate::secret::Secret;

const DOMAIN: &[u8] = b"station ota manifest 1\0";
const ALGORITHM: &str = "ed25519";

/// A key that signatures are checked with, 64 lower-case hex digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = OtaError;

    fn from_str(text: &str) -> Result<Self, OtaError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| OtaError::Key)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| OtaError::Key)?;
        if hex::encode(bytes) == text {
            Ok(Self(key))
        } else {
            Err(OtaError::Key)
        }
    }
}

/// The keys whose signatures count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedKeys(pub Vec<PublicKey>);

/// One signature and the key it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Who signed, or says so.
    pub key: PublicKey,
    bytes: [u8; 64],
}

impl Signature {
    /// Signs a manifest with the 32 bytes of an Ed25519 key.
    ///
    /// # Errors
    /// When the key has another length, or the manifest cannot be written.
    pub fn sign(manifest: &Manifest, key: &Secret) -> Result<Self, OtaError> {
        let found = key.len();
        let bytes: &[u8; 32] = key
            .expose()
            .try_into()
            .map_err(|_| OtaError::KeyLength { found })?;
        let key = SigningKey::from_bytes(bytes);
        Ok(Self {
            key: PublicKey(key.verifying_key()),
            bytes: key.sign(&message(manifest)?).to_bytes(),
        })
    }

    /// Checks the signature against the key it names; whether that key counts is another question.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn verify(&self, manifest: &Manifest) -> Result<(), OtaError> {
        let signature = ed25519_dalek::Signature::from_bytes(&self.bytes);
        self.key
            .0
            .verify_strict(&message(manifest)?, &signature)
            .map_err(|_| OtaError::Signature {
                key: self.key.to_string(),
            })
    }

    /// One line of a package.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (algorithm, key, signature) = (words.next()?, words.next()?, words.next()?);
        let mut bytes = [0; 64];
        hex::decode_to_slice(signature, &mut bytes).ok()?;
        (algorithm == ALGORITHM && words.next().is_none()).then_some(())?;
        let key = key.parse().ok()?;
        Some(Self { key, bytes })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM} {} {}", self.key, hex::encode(self.bytes))
    }
}

fn message(manifest: &Manifest) -> Result<Vec<u8>, OtaError> {
    let mut message = DOMAIN.to_vec();
    message.extend(manifest.to_bytes()?);
    Ok(message)
}
