//! Whoever holds a private key: this program, or a token outside it.

use rand_core::CryptoRng;

use super::error::SignatureError;
use super::public_key::PublicKey;

/// Something that signs digests and never shows its private key.
pub trait Signer {
    /// The key that its signatures are checked with.
    fn public_key(&self) -> &PublicKey;

    /// Signs a digest of the length its algorithm has: RSA-PSS with SHA-256 and 32 bytes of salt as
    /// one big-endian number of 384 bytes, ECDSA as `r` and `s`, big-endian, at full length.
    ///
    /// # Errors
    /// When the signer fails; [`SignatureError::Signer`] says why.
    fn sign(&self, digest: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, SignatureError>;
}

/// A signature by `signer` over `digest`, checked against its public key: a token with another key
/// behind the same name, or a fault while computing, must not reach an image.
pub(super) fn checked_signature(
    signer: &dyn Signer,
    digest: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, SignatureError> {
    let signature = signer.sign(digest, rng)?;
    signer.public_key().verify(digest, &signature)?;
    Ok(signature)
}
