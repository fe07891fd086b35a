//! A device's private key as it comes in a file and as it goes into the partition.
//!
//! Facts: the tool writes keys in their traditional form, PKCS#1 for RSA and SEC1 with curve and
//! public key for curves; as PEM with a closing zero where the file was PEM, else as DER.

use std::fmt;

use p256::elliptic_curve::ALGORITHM_OID as EC_OID;
use p256::pkcs8::der::pem::{self, Decoder, LineEnding};
use p256::pkcs8::{DecodePrivateKey as _, Document, EncodePublicKey as _, PrivateKeyInfoRef};
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use zeroize::Zeroizing;

use super::error::CertError;
use crate::secret::Secret;

/// Files beyond this are no key.
const MAX_FILE: usize = 64 * 1024;
/// Larger RSA keys fit no entry that a device could use, and take long to check.
const MAX_RSA_BITS: usize = 8192;
const BEGIN: &str = "-----BEGIN ";

type P192Secret = p256::elliptic_curve::SecretKey<p192::NistP192>;

/// How a file was written, which decides how the entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Text with a label and base64.
    Pem,
    /// Bytes.
    Der,
}

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with this many bits.
    Rsa(usize),
    /// The curve P-192.
    EcdsaP192,
    /// The curve P-256.
    EcdsaP256,
    /// The curve P-384.
    EcdsaP384,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA-{bits}"),
            Self::EcdsaP192 => f.write_str("ECDSA P-192"),
            Self::EcdsaP256 => f.write_str("ECDSA P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA P-384"),
        }
    }
}

/// A private key read from a file. It shows its kind and nothing else.
pub struct KeyFile {
    kind: KeyKind,
    encoding: Encoding,
    /// PKCS#1 or SEC1.
    traditional: Zeroizing<Vec<u8>>,
    /// SubjectPublicKeyInfo.
    public: Vec<u8>,
    rsa: Option<Box<RsaPrivateKey>>,
    scalar: Option<Secret>,
}

impl KeyFile {
    /// Reads PEM or DER: PKCS#8, PKCS#1 or SEC1, RSA or P-192, P-256, P-384.
    ///
    /// # Errors
    /// When there is no key, or it is encrypted.
    pub fn read(file: &[u8]) -> Result<Self, CertError> {
        if file.len() > MAX_FILE {
            return Err(unreadable("the file is too long for a key"));
        }
        match std::str::from_utf8(file) {
            Ok(text) if text.contains(BEGIN) => Self::from_pem(text),
            _ => Self::from_der(file, Encoding::Der),
        }
    }

    fn from_pem(text: &str) -> Result<Self, CertError> {
        let (mut rest, mut key) = (text, None);
        while let Some(at) = rest.find(BEGIN) {
            let block = &rest[at..];
            let label = block[BEGIN.len()..].split_once("-----");
            let (label, _) = label.ok_or(unreadable("a PEM label without end"))?;
            rest = &block[BEGIN.len()..];
            match label {
                "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" if key.is_some() => {
                    return Err(unreadable("more than one private key in the file"));
                }
                "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
                    let end = format!("-----END {label}-----");
                    let at = block.find(&end);
                    let at = at.ok_or(unreadable("a PEM block without end"))?;
                    key = Some(&block[..at + end.len()]);
                }
                "ENCRYPTED PRIVATE KEY" => return Err(CertError::KeyEncrypted),
                _ => {}
            }
        }
        let key = key.ok_or(unreadable("no PEM block with a private key"))?;
        if key.contains("Proc-Type:") {
            return Err(CertError::KeyEncrypted);
        }
        Self::from_der(&decoded(key)?, Encoding::Pem)
    }

    fn from_der(der: &[u8], encoding: Encoding) -> Result<Self, CertError> {
        if let Ok(outer) = PrivateKeyInfoRef::try_from(der) {
            if outer.algorithm.oid != EC_OID {
                return Self::from_pkcs1(outer.private_key.as_bytes(), encoding);
            }
            if let Ok(key) = P192Secret::from_pkcs8_der(der) {
                return Self::from_p192(&key, encoding);
            }
            if let Ok(key) = p256::SecretKey::from_pkcs8_der(der) {
                return Self::from_p256(&key, encoding);
            }
            if let Ok(key) = p384::SecretKey::from_pkcs8_der(der) {
                return Self::from_p384(&key, encoding);
            }
            return Err(unreadable(
                "a key on another curve than P-192, P-256 or P-384",
            ));
        }
        if let Ok(key) = P192Secret::from_sec1_der(der) {
            return Self::from_p192(&key, encoding);
        }
        if let Ok(key) = p256::SecretKey::from_sec1_der(der) {
            return Self::from_p256(&key, encoding);
        }
        if let Ok(key) = p384::SecretKey::from_sec1_der(der) {
            return Self::from_p384(&key, encoding);
        }
        Self::from_pkcs1(der, encoding)
    }

    fn from_pkcs1(der: &[u8], encoding: Encoding) -> Result<Self, CertError> {
        use rsa::pkcs8::EncodePublicKey as _;
        let broken = |_| unreadable("neither PEM nor DER of an RSA or ECDSA private key");
        // Sizes are looked at before the library tries whether the primes are.
        let parsed = rsa::pkcs1::RsaPrivateKey::try_from(der)
            .map_err(|_| unreadable("neither PEM nor DER of an RSA or ECDSA private key"))?;
        if parsed.modulus.as_bytes().len() > MAX_RSA_BITS / 8 {
            return Err(unreadable("an RSA key of more than 8192 bits"));
        }
        let key = RsaPrivateKey::from_pkcs1_der(der).map_err(broken)?;
        if key.d().bits() > key.n().bits() {
            return Err(unreadable("an RSA key whose exponent is longer than it"));
        }
        let public = key
            .to_public_key()
            .to_public_key_der()
            .map_err(|_| unreadable("its RSA numbers make no key"))?;
        Ok(Self {
            kind: KeyKind::Rsa(key.n().bits()),
            encoding,
            traditional: Zeroizing::new(der.to_vec()),
            public: public.as_bytes().to_vec(),
            rsa: Some(Box::new(key)),
            scalar: None,
        })
    }

    fn from_p192(key: &P192Secret, encoding: Encoding) -> Result<Self, CertError> {
        let (der, public) = (key.to_sec1_der(), key.public_key().to_public_key_der());
        let scalar = Zeroizing::new(key.to_bytes());
        Self::on_curve(KeyKind::EcdsaP192, encoding, der.ok(), public.ok(), &scalar)
    }

    fn from_p256(key: &p256::SecretKey, encoding: Encoding) -> Result<Self, CertError> {
        let (der, public) = (key.to_sec1_der(), key.public_key().to_public_key_der());
        let scalar = Zeroizing::new(key.to_bytes());
        Self::on_curve(KeyKind::EcdsaP256, encoding, der.ok(), public.ok(), &scalar)
    }

    fn from_p384(key: &p384::SecretKey, encoding: Encoding) -> Result<Self, CertError> {
        let (der, public) = (key.to_sec1_der(), key.public_key().to_public_key_der());
        let scalar = Zeroizing::new(key.to_bytes());
        Self::on_curve(KeyKind::EcdsaP384, encoding, der.ok(), public.ok(), &scalar)
    }

    fn on_curve(
        kind: KeyKind,
        encoding: Encoding,
        traditional: Option<Zeroizing<Vec<u8>>>,
        public: Option<Document>,
        scalar: &[u8],
    ) -> Result<Self, CertError> {
        let (Some(traditional), Some(public)) = (traditional, public) else {
            return Err(unreadable("its curve numbers make no key"));
        };
        Ok(Self {
            kind,
            encoding,
            traditional,
            public: public.into_vec(),
            rsa: None,
            scalar: Some(Secret::new(scalar.to_vec())),
        })
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// How its file was written.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The public key, DER of a SubjectPublicKeyInfo.
    #[must_use]
    pub fn public_der(&self) -> &[u8] {
        &self.public
    }

    /// The number that is the private key of a curve, big-endian at full length; `None` for RSA.
    #[must_use]
    pub fn scalar(&self) -> Option<&Secret> {
        self.scalar.as_ref()
    }

    pub(super) fn rsa(&self) -> Option<&RsaPrivateKey> {
        self.rsa.as_deref()
    }

    /// The bytes of a plain private key entry.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn entry_content(&self) -> Result<Secret, CertError> {
        if self.encoding == Encoding::Der {
            return Ok(Secret::new(self.traditional.to_vec()));
        }
        let label = match self.kind {
            KeyKind::Rsa(_) => "RSA PRIVATE KEY",
            KeyKind::EcdsaP192 | KeyKind::EcdsaP256 | KeyKind::EcdsaP384 => "EC PRIVATE KEY",
        };
        let text = pem::encode_string(label, LineEnding::LF, &self.traditional)
            .map_err(|_| unreadable("it cannot be written as PEM"))?;
        let text = Zeroizing::new(text);
        let mut content = Vec::with_capacity(text.len() + 1);
        content.extend(text.as_bytes());
        content.push(0);
        Ok(Secret::new(content))
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({})", self.kind)
    }
}

fn unreadable(reason: &'static str) -> CertError {
    CertError::KeyUnreadable { reason }
}

/// The bytes in a PEM block.
fn decoded(block: &str) -> Result<Zeroizing<Vec<u8>>, CertError> {
    let broken = |_| unreadable("a PEM block that is no clean base64");
    let mut decoder = Decoder::new_detect_wrap(block.as_bytes()).map_err(broken)?;
    // Sized first, so that no copy of a private key stays behind when the vector grows.
    let mut der = Zeroizing::new(Vec::with_capacity(decoder.remaining_len()));
    decoder.decode_to_end(&mut der).map_err(broken)?;
    Ok(der)
}
