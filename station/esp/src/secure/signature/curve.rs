//! What the three elliptic curves have in common.

use ecdsa::elliptic_curve::array::ArraySize;
use ecdsa::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use ecdsa::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytesSize, PublicKey, SecretKey};
use ecdsa::{EcdsaCurve, Signature, SignatureSize, hazmat};
use sha2::{Sha256, Sha384};

use super::error::SignatureError;

/// A private key on P-192, for which its crate has no name of its own.
pub(super) type P192Secret = SecretKey<p192::NistP192>;
/// A public key on P-192.
pub(super) type P192Public = PublicKey<p192::NistP192>;

/// Deterministic ECDSA (RFC 6979) with the hash that fits the digest's length.
pub(super) fn sign<C>(secret: &SecretKey<C>, digest: &[u8]) -> Vec<u8>
where
    C: EcdsaCurve + CurveArithmetic,
    SignatureSize<C>: ArraySize,
{
    let scalar = secret.to_nonzero_scalar();
    let (signature, _) = if digest.len() == 48 {
        hazmat::sign_prehashed_rfc6979::<C, Sha384>(&scalar, digest, &[])
    } else {
        hazmat::sign_prehashed_rfc6979::<C, Sha256>(&scalar, digest, &[])
    };
    signature.to_bytes().to_vec()
}

/// Checks `r` and `s` against the digest.
pub(super) fn verify<C>(
    key: &PublicKey<C>,
    digest: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError>
where
    C: EcdsaCurve + CurveArithmetic,
    SignatureSize<C>: ArraySize,
{
    let signature = Signature::<C>::from_slice(signature).map_err(|_| SignatureError::Mismatch)?;
    hazmat::verify_prehashed(&key.to_projective(), digest, &signature)
        .map_err(|_| SignatureError::Mismatch)
}

/// Both coordinates, big-endian.
pub(super) fn coordinates<C>(key: &PublicKey<C>) -> Vec<u8>
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    key.to_sec1_point(false).as_bytes()[1..].to_vec()
}
