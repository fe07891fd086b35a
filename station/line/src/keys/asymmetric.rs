//! Keys with a public half: as they are stored, as they sign, as they are burned.
//!
//! A private key on a curve is stored as the number it is, or as the PEM it came in; an RSA key as
//! PEM. What is stored was read once and is of its kind.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use station_esp::secret::Secret;
use station_esp::secure::signature::{Algorithm, PrivateKey};
use station_esp::words::counted;
use zeroize::{Zeroize, Zeroizing};

use super::error::KeyError;
use super::kind::KeyKind;
use crate::release::StationKey;

/// Returns a generator seeded by the operating system, for keys and signatures.
///
/// # Errors
/// [`KeyError::Chance`] when the system gives no randomness.
pub fn system_random() -> Result<ChaCha20Rng, KeyError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| KeyError::Chance {
        what: error.to_string(),
    })?;
    let random = ChaCha20Rng::from_seed(seed);
    seed.zeroize();
    Ok(random)
}

/// How keys of a kind sign firmware; `None` for those that do not.
pub(super) fn algorithm(kind: KeyKind) -> Option<Algorithm> {
    match kind {
        KeyKind::EcdsaP192 => Some(Algorithm::EcdsaP192),
        KeyKind::EcdsaP256 => Some(Algorithm::EcdsaP256),
        KeyKind::EcdsaP384 => Some(Algorithm::EcdsaP384),
        KeyKind::Rsa3072 => Some(Algorithm::Rsa3072),
        KeyKind::Aes128
        | KeyKind::XtsAes128
        | KeyKind::XtsAes256
        | KeyKind::Hmac
        | KeyKind::Ed25519
        | KeyKind::Raw(_) => None,
    }
}

/// What stands before and after the number in SEC1 DER (RFC 5915): the structure, version 1, and the
/// curve's name (RFC 5480).
fn sec1_frame(kind: KeyKind) -> Option<(&'static [u8], &'static [u8])> {
    match kind {
        KeyKind::EcdsaP192 => Some((
            &[0x30, 0x29, 0x02, 0x01, 0x01, 0x04, 0x18],
            b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x01",
        )),
        KeyKind::EcdsaP256 => Some((
            &[0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20],
            b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
        )),
        KeyKind::EcdsaP384 => Some((
            &[0x30, 0x3e, 0x02, 0x01, 0x01, 0x04, 0x30],
            b"\xa0\x07\x06\x05\x2b\x81\x04\x00\x22",
        )),
        KeyKind::Rsa3072
        | KeyKind::Aes128
        | KeyKind::XtsAes128
        | KeyKind::XtsAes256
        | KeyKind::Hmac
        | KeyKind::Ed25519
        | KeyKind::Raw(_) => None,
    }
}

pub(crate) fn is_pem(bytes: &[u8]) -> bool {
    bytes.starts_with(b"-----BEGIN ")
}

/// Reads a stored key so that it can sign firmware.
///
/// # Errors
/// [`KeyError::Unreadable`] when it is none of its kind, or keys of its kind do not sign firmware.
pub fn signing_key(kind: KeyKind, secret: &Secret) -> Result<PrivateKey, KeyError> {
    let strange = |reason: String| KeyError::Unreadable { kind, reason };
    let wanted = algorithm(kind).ok_or_else(|| strange("not one that signs firmware".into()))?;
    let bytes = secret.expose();
    let key = if is_pem(bytes) {
        let text = std::str::from_utf8(bytes).map_err(|_| strange("no text".into()))?;
        PrivateKey::from_pem(text)
    } else {
        let (head, tail) = sec1_frame(kind).ok_or_else(|| strange("not PEM".into()))?;
        let der = Zeroizing::new([head, bytes, tail].concat());
        PrivateKey::from_der(&der)
    };
    let key = key.map_err(|error| strange(error.to_string()))?;
    if key.algorithm() == wanted {
        Ok(key)
    } else {
        Err(strange(format!("of kind `{}`", key.algorithm())))
    }
}

/// Returns the bytes of a stored key that go into a key block: the number of a key on a curve, however
/// it is stored; all others as they are.
///
/// # Errors
/// [`KeyError::Unreadable`] for keys that no block takes.
pub fn burnable(kind: KeyKind, secret: &Secret) -> Result<Secret, KeyError> {
    match kind {
        KeyKind::Aes128
        | KeyKind::XtsAes128
        | KeyKind::XtsAes256
        | KeyKind::Hmac
        | KeyKind::Raw(_) => Ok(secret.clone()),
        KeyKind::EcdsaP192 | KeyKind::EcdsaP256 | KeyKind::EcdsaP384 => {
            let scalar = signing_key(kind, secret)?.scalar();
            scalar.ok_or_else(|| no_block_takes(kind))
        }
        KeyKind::Rsa3072 | KeyKind::Ed25519 => Err(no_block_takes(kind)),
    }
}

/// The curves of the keys that a key purpose takes, the one that fills the block first. A chip that
/// calls the purpose `ECDSA_KEY` alone learns the curve from its software.
fn curves_of(purpose: &str) -> &'static [KeyKind] {
    match purpose {
        "ECDSA_KEY" => &[KeyKind::EcdsaP256, KeyKind::EcdsaP192],
        "ECDSA_KEY_P192" => &[KeyKind::EcdsaP192],
        "ECDSA_KEY_P256" => &[KeyKind::EcdsaP256],
        "ECDSA_KEY_P384" => &[KeyKind::EcdsaP384],
        _ => &[],
    }
}

/// Reads a given key for a purpose of the fuse map that takes one on a curve: the number itself, or
/// PEM, as SEC1 or PKCS#8. Returns its kind and the number; `None` for the other purposes.
///
/// # Errors
/// [`KeyError::Size`] and [`KeyError::Unreadable`] for one that is none, or on another curve, which is
/// named.
pub fn curve_key(purpose: &str, given: &Secret) -> Result<Option<(KeyKind, Secret)>, KeyError> {
    let curves = curves_of(purpose);
    let Some(usual) = curves.first() else {
        return Ok(None);
    };
    let bytes = given.expose();
    let read = |kind: KeyKind| Ok(Some((kind, burnable(kind, given)?)));
    if is_pem(bytes) {
        let mut fits = curves
            .iter()
            .filter(|kind| signing_key(**kind, given).is_ok());
        return read(*fits.next().unwrap_or(usual));
    }
    match curves.iter().find(|kind| kind.size() == Some(bytes.len())) {
        Some(kind) => read(*kind),
        None => Err(KeyError::Size {
            kind: *usual,
            got: format!("{} long", counted(bytes.len(), "byte")),
        }),
    }
}

/// Returns the bytes that a key of any form is burned with for a purpose: the number of a key on a
/// curve, with zeros before one that is shorter than its block; all others as they are.
///
/// # Errors
/// As [`curve_key`].
pub fn for_purpose(purpose: &str, key: &Secret) -> Result<Secret, KeyError> {
    let Some((_, number)) = curve_key(purpose, key)? else {
        return Ok(key.clone());
    };
    let whole = curves_of(purpose).first().and_then(|kind| kind.size());
    let missing = whole.unwrap_or(0).saturating_sub(number.len());
    let mut bytes = vec![0; missing];
    bytes.extend_from_slice(number.expose());
    Ok(Secret::new(bytes))
}

fn no_block_takes(kind: KeyKind) -> KeyError {
    KeyError::Unreadable {
        kind,
        reason: "one that no key block takes".to_owned(),
    }
}

/// The public half of a stored key: hex for Ed25519, PEM for those that sign firmware.
pub(super) fn public_half(kind: KeyKind, secret: &Secret) -> Result<Option<String>, KeyError> {
    if kind == KeyKind::Ed25519 {
        return Ok(StationKey::from_secret(secret).map(|key| key.public_hex()));
    }
    if algorithm(kind).is_none() {
        return Ok(None);
    }
    let key = signing_key(kind, secret)?;
    Ok(Some(key.public().to_pem()))
}
