//! Public keys that secure boot can use, and their digest in eFuse.

use std::fmt;

use p192::NistP192;
use p256::NistP256;
use p256::elliptic_curve::ALGORITHM_OID as EC_KEY;
use p256::pkcs8::{
    AssociatedOid, DecodePublicKey as _, EncodePublicKey as _, ObjectIdentifier,
    SubjectPublicKeyInfoRef,
};
use p384::NistP384;
use rsa::{BigUint, RsaPublicKey};
use sha2::{Digest, Sha256};

use super::algorithm::Algorithm;
use super::container::{self, Form};
use super::curve::{self, P192Public};
use super::error::SignatureError;
use super::private_key::PrivateKey;
use super::rsa3072;

/// Bytes of a point in a signature block of P-192 and P-256, which share a layout.
const SHORT_POINT: usize = 64;

/// A public key for secure boot.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Rsa(Box<RsaPublicKey>),
    P192(P192Public),
    P256(p256::PublicKey),
    P384(p384::PublicKey),
}

impl PublicKey {
    /// Reads PEM: SPKI or PKCS#1, or the public half of a private key.
    ///
    /// # Errors
    /// When there is no key, it is encrypted, or secure boot cannot use its kind or size.
    pub fn from_pem(text: &str) -> Result<Self, SignatureError> {
        let found = container::first_key(text)?;
        match found.form {
            Form::Spki => Self::from_spki(&found.der),
            Form::Pkcs1Public => Self::from_pkcs1(&found.der),
            Form::Pkcs8 | Form::Pkcs1 | Form::Sec1 => {
                PrivateKey::from_contained(&found).map(|key| key.public().clone())
            }
        }
    }

    /// Reads DER: SPKI or PKCS#1.
    ///
    /// # Errors
    /// As [`PublicKey::from_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, SignatureError> {
        if SubjectPublicKeyInfoRef::try_from(der).is_ok() {
            Self::from_spki(der)
        } else {
            Self::from_pkcs1(der)
        }
    }

    /// An RSA key from its big-endian numbers, as a token gives them.
    ///
    /// # Errors
    /// When they are no RSA-3072 key.
    pub fn from_rsa_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, SignatureError> {
        if modulus.len() > 1024 || exponent.len() > 1024 {
            return Err(SignatureError::KeyKind {
                found: "RSA with oversized numbers".into(),
            });
        }
        let (n, e) = (
            BigUint::from_bytes_be(modulus),
            BigUint::from_bytes_be(exponent),
        );
        rsa3072::public_key(n, e).map(Self::from)
    }

    /// A point on a curve, as SEC1 bytes (`04 x y` or compressed), as a token gives it.
    ///
    /// # Errors
    /// When the algorithm has no curve or the bytes are no point on it.
    pub fn from_point(algorithm: Algorithm, sec1: &[u8]) -> Result<Self, SignatureError> {
        let off_curve = |_| SignatureError::KeyUnreadable {
            reason: "no point on the curve",
        };
        let kind = match algorithm {
            Algorithm::Rsa3072 => {
                return Err(SignatureError::KeyUnreadable {
                    reason: "an RSA key is no point",
                });
            }
            Algorithm::EcdsaP192 => P192Public::from_sec1_bytes(sec1)
                .map(Kind::P192)
                .map_err(off_curve)?,
            Algorithm::EcdsaP256 => p256::PublicKey::from_sec1_bytes(sec1)
                .map(Kind::P256)
                .map_err(off_curve)?,
            Algorithm::EcdsaP384 => p384::PublicKey::from_sec1_bytes(sec1)
                .map(Kind::P384)
                .map_err(off_curve)?,
        };
        Ok(Self(kind))
    }

    fn from_spki(der: &[u8]) -> Result<Self, SignatureError> {
        let unreadable = SignatureError::KeyUnreadable {
            reason: "no public key in the PEM block or DER bytes",
        };
        let Ok(spki) = SubjectPublicKeyInfoRef::try_from(der) else {
            return Err(unreadable);
        };
        if spki.algorithm.oid.to_string() == rsa::pkcs1::ALGORITHM_OID.to_string() {
            use rsa::pkcs8::DecodePublicKey as _;
            let key = RsaPublicKey::from_public_key_der(der).map_err(|_| unreadable)?;
            rsa3072::check(&key)?;
            return Ok(key.into());
        }
        let read = match curve_of(spki.algorithm.oid, spki.algorithm.parameters_oid().ok())? {
            Curve::P192 => P192Public::from_public_key_der(der).map(Kind::P192),
            Curve::P256 => p256::PublicKey::from_public_key_der(der).map(Kind::P256),
            Curve::P384 => p384::PublicKey::from_public_key_der(der).map(Kind::P384),
        };
        read.map(Self).map_err(|_| unreadable)
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, SignatureError> {
        use rsa::pkcs1::DecodeRsaPublicKey as _;
        let key = RsaPublicKey::from_pkcs1_der(der).map_err(|_| SignatureError::KeyUnreadable {
            reason: "no public key in the PEM block or DER bytes",
        })?;
        rsa3072::check(&key)?;
        Ok(key.into())
    }

    /// The key as PEM (SPKI), which every other tool reads.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let pem = match &self.0 {
            Kind::Rsa(key) => {
                use rsa::pkcs8::EncodePublicKey as _;
                key.to_public_key_pem(rsa::pkcs8::LineEnding::LF).ok()
            }
            Kind::P192(key) => key.to_public_key_pem(p256::pkcs8::LineEnding::LF).ok(),
            Kind::P256(key) => key.to_public_key_pem(p256::pkcs8::LineEnding::LF).ok(),
            Kind::P384(key) => key.to_public_key_pem(p256::pkcs8::LineEnding::LF).ok(),
        };
        pem.expect("a public key of these kinds can always be encoded")
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Kind::Rsa(_) => Algorithm::Rsa3072,
            Kind::P192(_) => Algorithm::EcdsaP192,
            Kind::P256(_) => Algorithm::EcdsaP256,
            Kind::P384(_) => Algorithm::EcdsaP384,
        }
    }

    /// SHA-256 over the key as it lies in signature blocks: what is burned into a digest slot. The
    /// ESP32-C2 keeps its first 16 bytes beside a flash encryption key.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.material()).into()
    }

    /// Checks a raw big-endian signature over a digest of the algorithm's hash.
    ///
    /// # Errors
    /// When digest or signature do not belong to this key.
    pub fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if digest.len() != self.algorithm().hash_length() {
            return Err(SignatureError::Mismatch);
        }
        match &self.0 {
            Kind::Rsa(key) => rsa3072::verify(key, digest, signature),
            Kind::P192(key) => curve::verify(key, digest, signature),
            Kind::P256(key) => curve::verify(key, digest, signature),
            Kind::P384(key) => curve::verify(key, digest, signature),
        }
    }

    /// Both coordinates, big-endian; `None` for RSA.
    #[must_use]
    pub fn coordinates(&self) -> Option<Vec<u8>> {
        match &self.0 {
            Kind::Rsa(_) => None,
            Kind::P192(key) => Some(curve::coordinates(key)),
            Kind::P256(key) => Some(curve::coordinates(key)),
            Kind::P384(key) => Some(curve::coordinates(key)),
        }
    }

    /// The key as it lies in a signature block, little-endian.
    pub(super) fn material(&self) -> Vec<u8> {
        let (curve_id, coordinates) = match &self.0 {
            Kind::Rsa(key) => return rsa3072::material(key),
            Kind::P192(key) => (1, curve::coordinates(key)),
            Kind::P256(key) => (2, curve::coordinates(key)),
            Kind::P384(key) => (3, curve::coordinates(key)),
        };
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let mut material = vec![curve_id];
        material.extend(x.iter().rev());
        material.extend(y.iter().rev());
        material.resize(material.len().max(1 + SHORT_POINT), 0);
        material
    }

    /// Bytes of [`PublicKey::material`].
    pub(super) fn material_length(algorithm: Algorithm) -> usize {
        match algorithm {
            Algorithm::Rsa3072 => rsa3072::MATERIAL,
            Algorithm::EcdsaP192 | Algorithm::EcdsaP256 => 1 + SHORT_POINT,
            Algorithm::EcdsaP384 => 1 + 2 * algorithm.number_length(),
        }
    }

    /// The key whose material this is, unless a byte of it is another's.
    pub(super) fn from_material(algorithm: Algorithm, material: &[u8]) -> Option<Self> {
        if algorithm == Algorithm::Rsa3072 {
            return rsa3072::from_material(material).map(Self::from);
        }
        let length = algorithm.number_length();
        let x = material.get(1..=length)?;
        let y = material.get(1 + length..=2 * length)?;
        let mut point = vec![4];
        point.extend(x.iter().rev());
        point.extend(y.iter().rev());
        let key = Self::from_point(algorithm, &point).ok()?;
        (key.material() == material).then_some(key)
    }
}

/// The named curves that secure boot knows.
pub(super) enum Curve {
    P192,
    P256,
    P384,
}

/// The curve of a key's algorithm identifier.
pub(super) fn curve_of(
    algorithm: ObjectIdentifier,
    parameters: Option<ObjectIdentifier>,
) -> Result<Curve, SignatureError> {
    let found = match parameters {
        _ if algorithm != EC_KEY => format!("with algorithm {algorithm}"),
        Some(NistP192::OID) => return Ok(Curve::P192),
        Some(NistP256::OID) => return Ok(Curve::P256),
        Some(NistP384::OID) => return Ok(Curve::P384),
        Some(other) => format!("on curve {other}"),
        None => "on a curve without name".into(),
    };
    Err(SignatureError::KeyKind { found })
}

impl From<RsaPublicKey> for PublicKey {
    fn from(key: RsaPublicKey) -> Self {
        Self(Kind::Rsa(Box::new(key)))
    }
}

impl From<P192Public> for PublicKey {
    fn from(key: P192Public) -> Self {
        Self(Kind::P192(key))
    }
}

impl From<p256::PublicKey> for PublicKey {
    fn from(key: p256::PublicKey) -> Self {
        Self(Kind::P256(key))
    }
}

impl From<p384::PublicKey> for PublicKey {
    fn from(key: p384::PublicKey) -> Self {
        Self(Kind::P384(key))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PublicKey({} {})",
            self.algorithm(),
            hex::encode(self.digest())
        )
    }
}
