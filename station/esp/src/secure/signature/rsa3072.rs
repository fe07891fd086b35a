//! RSA keys of exactly 3072 bits, and the numbers that the chips want precomputed with them.

use rsa::pss::{Signature, VerifyingKey};
use rsa::sha2::Sha256;
use rsa::signature::hazmat::PrehashVerifier;
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPublicKey};

use super::error::SignatureError;

/// Bytes of the modulus.
pub(super) const MODULUS: usize = 384;
/// Bytes of a public key in a signature block: modulus, exponent, R and M'.
pub(super) const MATERIAL: usize = MODULUS + 4 + MODULUS + 4;

/// A public key from its numbers, refused unless secure boot can use it.
pub(super) fn public_key(n: BigUint, e: BigUint) -> Result<RsaPublicKey, SignatureError> {
    let key = RsaPublicKey::new(n, e).map_err(|_| SignatureError::KeyUnreadable {
        reason: "its RSA numbers make no key",
    })?;
    check(&key)?;
    Ok(key)
}

/// Refuses other sizes, and exponents that do not fit the block's four bytes.
pub(super) fn check(key: &impl PublicKeyParts) -> Result<(), SignatureError> {
    if key.n().bits() != MODULUS * 8 {
        return Err(SignatureError::KeyKind {
            found: format!("RSA-{}", key.n().bits()),
        });
    }
    if key.e().bits() > 32 {
        return Err(SignatureError::KeyKind {
            found: "RSA with an exponent above 32 bits".into(),
        });
    }
    Ok(())
}

/// Modulus, exponent, R and M' as they lie in a signature block, little-endian.
pub(super) fn material(key: &RsaPublicKey) -> Vec<u8> {
    let n = key.n();
    let r = (BigUint::from(1_u8) << (2 * MODULUS * 8)) % n;
    let lowest = n.to_bytes_le();
    let lowest = u32::from_le_bytes([lowest[0], lowest[1], lowest[2], lowest[3]]);
    let mut material = Vec::with_capacity(MATERIAL);
    material.extend(little_endian(n, MODULUS));
    material.extend(little_endian(key.e(), 4));
    material.extend(little_endian(&r, MODULUS));
    material.extend(negative_inverse(lowest).to_le_bytes());
    material
}

/// The key whose material this is, unless R or M' are not its own.
pub(super) fn from_material(material: &[u8]) -> Option<RsaPublicKey> {
    let (n, rest) = material.split_at_checked(MODULUS)?;
    let e = rest.get(..4)?;
    let key = public_key(BigUint::from_bytes_le(n), BigUint::from_bytes_le(e)).ok()?;
    (self::material(&key) == material).then_some(key)
}

/// Checks a big-endian PSS signature over a SHA-256 digest.
pub(super) fn verify(
    key: &RsaPublicKey,
    digest: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let signature = Signature::try_from(signature).map_err(|_| SignatureError::Mismatch)?;
    VerifyingKey::<Sha256>::new(key.clone())
        .verify_prehash(digest, &signature)
        .map_err(|_| SignatureError::Mismatch)
}

fn little_endian(number: &BigUint, length: usize) -> Vec<u8> {
    let mut bytes = number.to_bytes_le();
    bytes.resize(length, 0);
    bytes
}

/// M' = −n⁻¹ mod 2³² of an odd `n`; each round doubles the number of right bits.
fn negative_inverse(n: u32) -> u32 {
    let mut inverse = n;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(n.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}
