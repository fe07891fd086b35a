//! The SPAKE2+ verifier: by it a unit finds out whether somebody knows its passcode without holding
//! the passcode itself.
//!
//! Facts (Matter core specification, 3.10; RFC 9383): PBKDF2 with HMAC-SHA-256 over the passcode in
//! four little-endian bytes gives 80 bytes; each half, a big-endian number, is taken modulo the order
//! of P-256 and gives w0 and w1. The verifier is w0 and the uncompressed point w1·P, 97 bytes.

use std::fmt;
use std::ops::RangeInclusive;

use p256::elliptic_curve::PrimeField as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{ProjectivePoint, Scalar};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::MatterError;
use super::passcode::Passcode;
use crate::secret::Secret;

/// How often PBKDF2 may repeat its hash.
pub const ITERATIONS: RangeInclusive<u32> = 1000..=100_000;
/// Bytes that a salt may have.
pub const SALT: RangeInclusive<usize> = 16..=32;

/// Bytes from which w0 is taken, and as many for w1.
const HALF: usize = 40;
const SCALAR: usize = 32;
const POINT: usize = 65;

/// A verifier with what it was derived by. The passcode can be found from it by trying all of them,
/// so nothing that formats shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    /// w0 and the point.
    bytes: Secret,
}

impl Verifier {
    /// Derives the verifier of a passcode.
    ///
    /// # Errors
    /// [`MatterError::Iterations`], [`MatterError::Salt`].
    pub fn derive(passcode: &Passcode, salt: &[u8], iterations: u32) -> Result<Self, MatterError> {
        check(salt, iterations)?;
        let password = Zeroizing::new(passcode.expose().to_le_bytes());
        let derived = Zeroizing::new(pbkdf2::pbkdf2_hmac_array::<Sha256, { 2 * HALF }>(
            &*password, salt, iterations,
        ));
        let (first, second) = derived.split_at(HALF);
        let (w0, w1) = (
            Zeroizing::new(reduced(first)),
            Zeroizing::new(reduced(second)),
        );
        let point = (ProjectivePoint::GENERATOR * *w1).to_affine();
        let mut bytes = Vec::with_capacity(SCALAR + POINT);
        bytes.extend_from_slice(&w0.to_repr());
        bytes.extend_from_slice(point.to_sec1_point(false).as_bytes());
        Self::new(salt, iterations, Secret::new(bytes))
    }

    /// Takes a verifier as a unit holds it.
    ///
    /// # Errors
    /// When it is not a number below the order and a point on the curve; those of [`Self::derive`].
    pub fn new(salt: &[u8], iterations: u32, bytes: Secret) -> Result<Self, MatterError> {
        check(salt, iterations)?;
        let wrong = |reason| MatterError::Verifier { reason };
        if bytes.len() != SCALAR + POINT {
            return Err(wrong("it does not have 97 bytes"));
        }
        let (number, point) = bytes.expose().split_at(SCALAR);
        let number: [u8; SCALAR] = number.try_into().unwrap_or([0xFF; SCALAR]);
        if bool::from(Scalar::from_repr(number.into()).is_none()) {
            return Err(wrong("its number is not below the order of the curve"));
        }
        if point[0] != 4 || p256::PublicKey::from_sec1_bytes(point).is_err() {
            return Err(wrong("its point is not on the curve"));
        }
        Ok(Self {
            iterations,
            salt: salt.to_vec(),
            bytes,
        })
    }

    /// Whether it was derived from this passcode; takes as long as deriving it.
    #[must_use]
    pub fn fits(&self, passcode: &Passcode) -> bool {
        Self::derive(passcode, &self.salt, self.iterations).is_ok_and(|derived| derived == *self)
    }

    /// How often PBKDF2 repeated its hash.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// The salt, which is public.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The 97 bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.bytes.expose()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({} iterations)", self.iterations)
    }
}

fn check(salt: &[u8], iterations: u32) -> Result<(), MatterError> {
    if !ITERATIONS.contains(&iterations) {
        return Err(MatterError::Iterations { found: iterations });
    }
    if !SALT.contains(&salt.len()) {
        return Err(MatterError::Salt { found: salt.len() });
    }
    Ok(())
}

/// A big-endian number of whole 64-bit words modulo the order of the curve.
fn reduced(bytes: &[u8]) -> Scalar {
    let shift = Scalar::from(u64::MAX) + Scalar::ONE;
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().fold(Scalar::ZERO, |sum, word| {
        sum * shift + Scalar::from(u64::from_be_bytes(*word))
    })
}
