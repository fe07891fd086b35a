//! A key that is wanted, and whether what is given can be it.

use station_esp::secret::Secret;
use station_esp::words::counted;

use super::asymmetric::{algorithm, is_pem, signing_key};
use super::error::KeyError;
use super::kind::{Custody, KeyKind, KeyName, KeyOwner};
use super::seal::MAX_SECRET;

/// Where the bytes of a key come from the first time it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// They are drawn.
    Generate,
    /// They are these.
    Given(Secret),
}

/// A key that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOrder {
    /// Its name.
    pub name: KeyName,
    /// Whose it is.
    pub owner: KeyOwner,
    /// What kind.
    pub kind: KeyKind,
    /// Whether it is kept.
    pub custody: Custody,
    /// Key purpose it is burned with, if it is burned.
    pub purpose: Option<String>,
    /// Where it comes from.
    pub source: KeySource,
}

/// Refuses bytes that are no key of the kind.
pub(super) fn check_given(kind: KeyKind, secret: &Secret) -> Result<(), KeyError> {
    let wrong = |got: String| Err(KeyError::Size { kind, got });
    let bytes = secret.expose();
    if bytes.iter().all(|byte| *byte == 0) {
        return wrong("empty or all zeros".to_owned());
    }
    if bytes.len() > MAX_SECRET {
        return wrong(format!("{} long", counted(bytes.len(), "byte")));
    }
    let is_pem = is_pem(bytes);
    let fits = match kind {
        KeyKind::Rsa3072 => is_pem,
        KeyKind::EcdsaP192 | KeyKind::EcdsaP256 | KeyKind::EcdsaP384 if is_pem => true,
        KeyKind::EcdsaP192
        | KeyKind::EcdsaP256
        | KeyKind::EcdsaP384
        | KeyKind::Aes128
        | KeyKind::XtsAes128
        | KeyKind::XtsAes256
        | KeyKind::Hmac
        | KeyKind::Ed25519
        | KeyKind::Raw(_) => Some(bytes.len()) == kind.size(),
    };
    if fits && algorithm(kind).is_some() {
        signing_key(kind, secret).map(drop)
    } else if fits {
        Ok(())
    } else if kind == KeyKind::Rsa3072 {
        wrong("anything but PEM".to_owned())
    } else {
        wrong(format!("{} long", counted(bytes.len(), "byte")))
    }
}
