//! Private keys that this program holds itself.
//!
//! Invariants: the libraries' key types wipe themselves when dropped; nothing here formats them.

use std::fmt;

use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, PrivateKeyInfoRef};
use rand_core::CryptoRng;
use rsa::RsaPrivateKey;
use rsa::pss::BlindedSigningKey;
use rsa::sha2::Sha256;
use rsa::signature::SignatureEncoding as _;
use rsa::signature::hazmat::RandomizedPrehashSigner as _;
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::container::{self, Contained, Form};
use super::curve::{self, P192Secret};
use super::error::SignatureError;
use super::public_key::{Curve, PublicKey, curve_of};
use super::rsa3072;
use super::signer::Signer;
use crate::secret::Secret;
use crate::secure::random::Earlier;

/// DER beyond this is no key.
const MAX_DER: usize = 16 * 1024;
const RSA_BITS: usize = rsa3072::MODULUS * 8;

/// A private key for secure boot.
pub struct PrivateKey {
    kind: Kind,
    public: PublicKey,
}

enum Kind {
    Rsa(Box<BlindedSigningKey<Sha256>>),
    P192(P192Secret),
    P256(p256::SecretKey),
    P384(p384::SecretKey),
}

impl PrivateKey {
    /// Reads PEM: PKCS#8, PKCS#1 or SEC1.
    ///
    /// # Errors
    /// When there is no key, it is encrypted or public, or secure boot cannot use its kind or size.
    pub fn from_pem(text: &str) -> Result<Self, SignatureError> {
        Self::from_contained(&container::first_key(text)?)
    }

    /// Reads DER: PKCS#8, PKCS#1 or SEC1.
    ///
    /// # Errors
    /// As [`PrivateKey::from_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, SignatureError> {
        if PrivateKeyInfoRef::try_from(der).is_ok() {
            Self::from_pkcs8(der)
        } else {
            let rsa = Self::from_pkcs1(der);
            if matches!(rsa, Err(SignatureError::KeyUnreadable { .. })) {
                Self::from_sec1(der)
            } else {
                rsa
            }
        }
    }

    pub(super) fn from_contained(found: &Contained) -> Result<Self, SignatureError> {
        match found.form {
            Form::Pkcs8 => Self::from_pkcs8(&found.der),
            Form::Pkcs1 => Self::from_pkcs1(&found.der),
            Form::Sec1 => Self::from_sec1(&found.der),
            Form::Spki | Form::Pkcs1Public => Err(SignatureError::KeyPublic),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, SignatureError> {
        let unreadable = SignatureError::KeyUnreadable {
            reason: "no private key in the PEM block or DER bytes",
        };
        let Ok(outer) = PrivateKeyInfoRef::try_from(der) else {
            return Err(unreadable);
        };
        if outer.algorithm.oid.to_string() == rsa::pkcs1::ALGORITHM_OID.to_string() {
            use rsa::pkcs8::DecodePrivateKey as _;
            check_size(der)?;
            let key = RsaPrivateKey::from_pkcs8_der(der).map_err(|_| unreadable)?;
            return Self::from_rsa(key);
        }
        match curve_of(outer.algorithm.oid, outer.algorithm.parameters_oid().ok())? {
            Curve::P192 => P192Secret::from_pkcs8_der(der).map(Self::from),
            Curve::P256 => p256::SecretKey::from_pkcs8_der(der).map(Self::from),
            Curve::P384 => p384::SecretKey::from_pkcs8_der(der).map(Self::from),
        }
        .map_err(|_| unreadable)
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, SignatureError> {
        use rsa::pkcs1::DecodeRsaPrivateKey as _;
        check_size(der)?;
        let key =
            RsaPrivateKey::from_pkcs1_der(der).map_err(|_| SignatureError::KeyUnreadable {
                reason: "no RSA private key in the PEM block or DER bytes",
            })?;
        Self::from_rsa(key)
    }

    /// The curve is named inside or, in old files, told by the length alone.
    fn from_sec1(der: &[u8]) -> Result<Self, SignatureError> {
        if let Ok(key) = P192Secret::from_sec1_der(der) {
            return Ok(key.into());
        }
        if let Ok(key) = p256::SecretKey::from_sec1_der(der) {
            return Ok(key.into());
        }
        if let Ok(key) = p384::SecretKey::from_sec1_der(der) {
            return Ok(key.into());
        }
        Err(SignatureError::KeyUnreadable {
            reason: "no private key on P-192, P-256 or P-384",
        })
    }

    fn from_rsa(key: RsaPrivateKey) -> Result<Self, SignatureError> {
        rsa3072::check(&key)?;
        let public = key.to_public_key().into();
        let kind = Kind::Rsa(Box::new(BlindedSigningKey::new(key)));
        Ok(Self { kind, public })
    }

    /// Makes a new key. RSA takes some seconds.
    ///
    /// # Errors
    /// When the library finds no RSA key.
    pub fn generate(algorithm: Algorithm, rng: &mut dyn CryptoRng) -> Result<Self, SignatureError> {
        match algorithm {
            Algorithm::Rsa3072 => {
                let key = RsaPrivateKey::new(&mut Earlier(rng), RSA_BITS)
                    .map_err(|_| SignatureError::KeyGeneration)?;
                Self::from_rsa(key)
            }
            Algorithm::EcdsaP192 => Ok(P192Secret::generate_from_rng(rng).into()),
            Algorithm::EcdsaP256 => Ok(p256::SecretKey::generate_from_rng(rng).into()),
            Algorithm::EcdsaP384 => Ok(p384::SecretKey::generate_from_rng(rng).into()),
        }
    }

    /// The key as unencrypted PEM (PKCS#8), for sealed storage.
    #[must_use]
    pub fn to_pem(&self) -> Secret {
        use p256::pkcs8::LineEnding::LF;
        let pem = match &self.kind {
            Kind::Rsa(key) => {
                use rsa::pkcs8::EncodePrivateKey as _;
                let key: &RsaPrivateKey = (**key).as_ref();
                key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).ok()
            }
            Kind::P192(key) => key.to_pkcs8_pem(LF).ok(),
            Kind::P256(key) => key.to_pkcs8_pem(LF).ok(),
            Kind::P384(key) => key.to_pkcs8_pem(LF).ok(),
        };
        let pem = pem.expect("a private key of these kinds can always be encoded");
        Secret::new(pem.as_bytes().to_vec())
    }

    /// The number that is the private key of a curve, big-endian at full length, as an ECDSA key
    /// block of the chip takes it; `None` for RSA.
    #[must_use]
    pub fn scalar(&self) -> Option<Secret> {
        let bytes = match &self.kind {
            Kind::Rsa(_) => return None,
            Kind::P192(key) => Zeroizing::new(key.to_bytes()).to_vec(),
            Kind::P256(key) => Zeroizing::new(key.to_bytes()).to_vec(),
            Kind::P384(key) => Zeroizing::new(key.to_bytes()).to_vec(),
        };
        Some(Secret::new(bytes))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }
}

fn check_size(der: &[u8]) -> Result<(), SignatureError> {
    if der.len() > MAX_DER {
        return Err(SignatureError::KeyUnreadable {
            reason: "too many bytes for a key",
        });
    }
    Ok(())
}

impl Signer for PrivateKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, digest: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, SignatureError> {
        if digest.len() != self.algorithm().hash_length() {
            return Err(SignatureError::Mismatch);
        }
        match &self.kind {
            Kind::Rsa(key) => key
                .sign_prehash_with_rng(&mut Earlier(rng), digest)
                .map(|signature| signature.to_vec())
                .map_err(|error| SignatureError::Signer {
                    reason: error.to_string(),
                }),
            Kind::P192(key) => Ok(curve::sign(key, digest)),
            Kind::P256(key) => Ok(curve::sign(key, digest)),
            Kind::P384(key) => Ok(curve::sign(key, digest)),
        }
    }
}

impl From<P192Secret> for PrivateKey {
    fn from(key: P192Secret) -> Self {
        let public = key.public_key().into();
        let kind = Kind::P192(key);
        Self { kind, public }
    }
}

impl From<p256::SecretKey> for PrivateKey {
    fn from(key: p256::SecretKey) -> Self {
        let public = key.public_key().into();
        let kind = Kind::P256(key);
        Self { kind, public }
    }
}

impl From<p384::SecretKey> for PrivateKey {
    fn from(key: p384::SecretKey) -> Self {
        let public = key.public_key().into();
        let kind = Kind::P384(key);
        Self { kind, public }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {:?})", self.public)
    }
}
