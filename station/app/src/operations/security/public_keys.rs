//! Public keys and private signing keys as operations name them.

use std::path::Path;

use station_esp::secret::Secret;
use station_esp::secure::signature::{PrivateKey, PublicKey, SignatureError};

use super::wish::secret_file;
use crate::operation::OperationError;
use crate::station::Station;

/// A digest in a file by itself: nothing but its bytes.
const DIGEST: usize = 32;

/// What is wrong with a key or a signature, as an answer.
pub(super) fn refused(error: &SignatureError) -> OperationError {
    OperationError::usage(error.code(), error.to_string())
}

/// The public key in a file: PEM, also the public half of a private key, or DER.
///
/// # Errors
/// Those of files and of keys.
pub(super) async fn public_key(
    station: &Station,
    file: &Path,
) -> Result<PublicKey, OperationError> {
    let read = secret_file(station, file).await?;
    parse_public(&read)
}

fn parse_public(read: &Secret) -> Result<PublicKey, OperationError> {
    match std::str::from_utf8(read.expose()) {
        Ok(text) if text.contains("-----BEGIN ") => PublicKey::from_pem(text),
        Ok(_) | Err(_) => PublicKey::from_der(read.expose()),
    }
    .map_err(|error| refused(&error))
}

/// The digest that lies in a chip for the key in a file, or the digest that is all of the file.
///
/// # Errors
/// Those of files and of keys.
pub(super) async fn digest_of(station: &Station, file: &Path) -> Result<[u8; 32], OperationError> {
    let read = secret_file(station, file).await?;
    if read.len() == DIGEST
        && let Ok(digest) = read.expose().try_into()
    {
        return Ok(digest);
    }
    Ok(parse_public(&read)?.digest())
}

/// A private signing key: PEM, DER, or the number that is the key of a curve.
///
/// # Errors
/// Those of keys.
pub(in super::super) fn private_key(secret: &Secret) -> Result<PrivateKey, OperationError> {
    let bytes = secret.expose();
    let key = match std::str::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN ") => PrivateKey::from_pem(text),
        Ok(_) | Err(_) => match bytes.len() {
            24 | 32 | 48 => PrivateKey::from_der(sec1(bytes).expose()),
            _ => PrivateKey::from_der(bytes),
        },
    };
    key.map_err(|error| refused(&error))
}

/// The number as an `ECPrivateKey` without its curve, which its length tells (RFC 5915).
fn sec1(number: &[u8]) -> Secret {
    let length = u8::try_from(number.len()).unwrap_or(u8::MAX);
    let mut der = Vec::with_capacity(number.len() + 7);
    der.extend([
        0x30,
        length.saturating_add(5),
        0x02,
        0x01,
        0x01,
        0x04,
        length,
    ]);
    der.extend_from_slice(number);
    Secret::new(der)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_a_key_of_the_curve_that_its_length_tells() {
        for (length, name) in [(24, "ecdsa-p192"), (32, "ecdsa-p256"), (48, "ecdsa-p384")] {
            let key = private_key(&Secret::new(vec![1; length])).unwrap();
            assert_eq!(key.algorithm().name(), name);
            assert_eq!(key.scalar().unwrap().expose(), vec![1; length]);
        }
        assert!(private_key(&Secret::new(vec![1; 16])).is_err());
    }
}
