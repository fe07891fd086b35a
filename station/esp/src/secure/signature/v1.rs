//! Secure boot version 1 of early ESP32s: an ECDSA signature under application images, a keyed digest before the bootloader.
//!
//! Facts (ESP-IDF's secure boot version 1 document; length and byte order of what is digested as
//! espsecure 5.6 was seen to do it): a signed image ends with a word 0 and `r`, `s` on P-256 over
//! SHA-256; the bootloader key may be the SHA-256 of the signing key's private number; the digest is
//! 128 bytes of IV and the word-swapped SHA-512 of IV and image encrypted block by block.

use aes::Aes256Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256, Sha512};

use super::algorithm::Algorithm;
use super::error::SignatureError;
use super::private_key::PrivateKey;
use super::public_key::PublicKey;
use super::signer::{Signer, checked_signature};
use crate::image;
use crate::secret::Secret;
use crate::secure::encryption::full_legacy_key;

/// Bytes that a signature adds to an image.
pub const SIGNATURE_LENGTH: usize = 68;
/// Bytes of the IV of a bootloader digest.
pub const IV_LENGTH: usize = 128;
/// Bytes of an IV and its digest, as they lie at the start of flash.
pub const DIGEST_LENGTH: usize = IV_LENGTH + 64;
/// Where the bootloader lies; the digest is flashed at 0.
pub const BOOTLOADER_OFFSET: usize = 0x1000;
const VERSION: [u8; 4] = [0; 4];
/// The digested image is whole rows of this many bytes.
const ROW: usize = 128;
/// Bytes of the hash that image tools append.
const APPENDED_HASH: usize = 32;

/// The content with a signature under it.
///
/// # Errors
/// When there is no content, the key is not on P-256, or the signer fails.
pub fn sign(
    content: &[u8],
    signer: &dyn Signer,
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, SignatureError> {
    if content.is_empty() {
        return Err(SignatureError::Empty);
    }
    check(signer.public_key())?;
    let hash = Sha256::digest(content);
    let signature = checked_signature(signer, &hash, rng)?;
    Ok([content, &VERSION, &signature].concat())
}

/// The content of a signed image, after its signature has been checked.
///
/// # Errors
/// When there is no signature or it is not by this key.
pub fn verify<'a>(image: &'a [u8], key: &PublicKey) -> Result<&'a [u8], SignatureError> {
    check(key)?;
    let Some(at) = image.len().checked_sub(SIGNATURE_LENGTH) else {
        return Err(SignatureError::NotSigned);
    };
    let (content, signature) = image.split_at(at);
    let Some(signature) = signature.strip_prefix(&VERSION) else {
        return Err(SignatureError::NotSigned);
    };
    key.verify(&Sha256::digest(content), signature)?;
    Ok(content)
}

/// The 64 bytes of the public key that are compiled into a bootloader.
///
/// # Errors
/// When the key is not on P-256.
pub fn public_key_bytes(key: &PublicKey) -> Result<Vec<u8>, SignatureError> {
    check(key)?;
    Ok(key.coordinates().unwrap_or_default())
}

fn check(key: &PublicKey) -> Result<(), SignatureError> {
    match key.algorithm() {
        Algorithm::EcdsaP256 => Ok(()),
        found @ (Algorithm::Rsa3072 | Algorithm::EcdsaP192 | Algorithm::EcdsaP384) => {
            Err(SignatureError::NotVersionOne { found })
        }
    }
}

/// The bootloader key that ESP-IDF derives from the signing key: 32 bytes, or the first 24 of them
/// for a chip with 3/4 coding.
///
/// # Errors
/// When the key is not on P-256 or the length is another.
pub fn digest_private_key(key: &PrivateKey, length: usize) -> Result<Secret, SignatureError> {
    check(key.public())?;
    if length != 24 && length != 32 {
        return Err(SignatureError::DigestKeyLength { found: length });
    }
    let scalar = key.scalar().ok_or(SignatureError::NotVersionOne {
        found: key.algorithm(),
    })?;
    let digest = Sha256::digest(scalar.expose());
    Ok(Secret::new(digest[..length].to_vec()))
}

/// What is flashed at 0 for a bootloader: the digest, erased flash up to 0x1000, the bootloader. The
/// key is in file order; the eFuse block holds it reversed.
///
/// # Errors
/// When the key has another length than 24 or 32 bytes, or this is no image.
pub fn digest_bootloader(
    key: &Secret,
    bootloader: &[u8],
    iv: &[u8; IV_LENGTH],
) -> Result<Vec<u8>, SignatureError> {
    if key.len() != 24 && key.len() != 32 {
        return Err(SignatureError::DigestKeyLength { found: key.len() });
    }
    if bootloader.first() != Some(&image::MAGIC) {
        return Err(SignatureError::NotAnImage);
    }
    let bootloader = digested(bootloader);
    let key = full_legacy_key(key.expose());
    let cipher = Aes256Enc::new_from_slice(&*key).expect("the full key has 32 bytes");
    let mut hash = Sha512::new();
    for plain in iv.chunks_exact(16).chain(bootloader.chunks_exact(16)) {
        let mut block = Array::default();
        block.copy_from_slice(plain);
        block.reverse();
        cipher.encrypt_block(&mut block);
        block.reverse();
        swap_words(&mut block);
        hash.update(block);
    }
    let mut hash = hash.finalize();
    swap_words(&mut hash);
    let mut whole = [iv.as_slice(), &hash].concat();
    whole.resize(BOOTLOADER_OFFSET, 0xFF);
    whole.extend(bootloader);
    Ok(whole)
}

/// An IV that follows from key and bootloader, so that an interrupted write is repeated with the same
/// bytes and a later one can be compared. It is no secret: it lies in flash beside the digest.
///
#[must_use]
pub fn steady_iv(key: &Secret, bootloader: &[u8]) -> [u8; IV_LENGTH] {
    let seed = Sha512::new()
        .chain_update(b"station secure boot v1 iv")
        .chain_update(Sha512::digest(key.expose()))
        .chain_update(Sha512::digest(digested(bootloader)))
        .finalize();
    let mut iv = [0; IV_LENGTH];
    for (number, part) in (0_u8..).zip(iv.chunks_mut(64)) {
        part.copy_from_slice(&Sha512::digest([&seed[..], &[number]].concat()));
    }
    iv
}

/// What lies at the start of flash for a bootloader, with an IV that follows from it.
///
/// # Errors
/// As [`digest_bootloader`].
pub fn steady_digest(key: &Secret, bootloader: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let mut whole = digest_bootloader(key, bootloader, &steady_iv(key, bootloader))?;
    whole.truncate(DIGEST_LENGTH);
    Ok(whole)
}

/// Whether a bootloader carries this public key, as one that verifies applications with it does.
/// Whether its code uses the key nobody can see.
///
/// # Errors
/// When the key is not on P-256.
pub fn carries(bootloader: &[u8], key: &PublicKey) -> Result<bool, SignatureError> {
    let bytes = public_key_bytes(key)?;
    Ok(bootloader
        .windows(bytes.len().max(1))
        .any(|window| window == bytes))
}

/// The bootloader in whole rows: without the hash that tools append to whole rows, else padded.
fn digested(bootloader: &[u8]) -> Vec<u8> {
    let mut rows = bootloader.to_vec();
    if rows.len() % ROW == APPENDED_HASH {
        rows.truncate(rows.len() - APPENDED_HASH);
    }
    rows.resize(rows.len().next_multiple_of(ROW), 0xFF);
    rows
}

fn swap_words(bytes: &mut [u8]) {
    for word in bytes.chunks_exact_mut(4) {
        word.reverse();
    }
}
