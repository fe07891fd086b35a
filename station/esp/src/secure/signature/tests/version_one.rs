//! Secure boot version 1 against golden outputs of espsecure 5.6.

use sha2::{Digest, Sha256};

use super::*;
use crate::secret::Secret;

#[test]
fn a_signed_image_ends_with_a_zero_word_and_the_rfc_6979_signature() {
    let key = rfc_key(Algorithm::EcdsaP256);
    let signed = v1::sign(b"sample", &key, &mut rng(0)).unwrap();
    assert_eq!(signed.len(), 6 + v1::SIGNATURE_LENGTH);
    assert_eq!(signed[6..10], [0; 4]);
    assert_eq!(hex::encode(&signed[10..14]), "efd48b2a");
    assert_eq!(v1::verify(&signed, key.public()).unwrap(), b"sample");
    for at in 0..signed.len() {
        let mut changed = signed.clone();
        changed[at] ^= 4;
        assert!(v1::verify(&changed, key.public()).is_err(), "byte {at}");
    }
}

#[test]
fn other_keys_than_p256_are_refused() {
    let key = rfc_key(Algorithm::EcdsaP384);
    let refused = v1::sign(b"sample", &key, &mut rng(0)).unwrap_err();
    assert_eq!(refused.code(), "signature-not-version-one");
}

#[test]
fn the_bootloader_key_is_the_hash_of_the_private_number() {
    let key = rfc_key(Algorithm::EcdsaP256);
    let whole = "b70385660302dca892f74cdb6d75f73fd85e7564306616e1910970462f7110f0";
    let derived = v1::digest_private_key(&key, 32).unwrap();
    assert_eq!(hex::encode(derived.expose()), whole);
    let short = v1::digest_private_key(&key, 24).unwrap();
    assert_eq!(hex::encode(short.expose()), whole[..48]);
    let refused = v1::digest_private_key(&key, 16).unwrap_err();
    assert_eq!(refused.code(), "bootloader-digest-key-length");
}

/// An ESP32 image with one segment of `length` bytes.
fn bootloader(length: usize) -> Vec<u8> {
    let segment: Vec<u8> = (0..length).map(|at| (at * 5 + 1) as u8).collect();
    let mut image = vec![0xE9, 1, 2, 0x20];
    image.extend(0x4008_0000_u32.to_le_bytes());
    image.extend([0xEE, 0, 0, 0]);
    image.resize(24, 0);
    image.extend(0x4008_0000_u32.to_le_bytes());
    image.extend((length as u32).to_le_bytes());
    image.extend(&segment);
    image.resize(image.len().next_multiple_of(16) - 1, 0);
    image.push(segment.iter().fold(0xEF, |sum, byte| sum ^ byte));
    image
}

fn iv() -> [u8; v1::IV_LENGTH] {
    std::array::from_fn(|at| at as u8)
}

#[test]
fn bootloader_digests_are_what_espsecure_gives() {
    let golden = [
        (
            340,
            24,
            "f64754f470e929c198254ddbbb2f9a8e6129670131adbed703beaed1068cd686",
        ),
        (
            340,
            32,
            "58864543dc88ba37a77dca38aeffa02002469d7cb88f3f205fa2969e5215270d",
        ),
        (
            364,
            24,
            "070f2ae6f1d3c0347bd520029c7807fa7ef687a3103f49d1bd4d1ac016e53bc7",
        ),
        (
            364,
            32,
            "4fc546ed247af8501d29aab0c96cd039c6e74cd7fda48e5064f5229f6f018d96",
        ),
    ];
    for (length, key, expected) in golden {
        let key = Secret::new((0..key).collect());
        let whole = v1::digest_bootloader(&key, &bootloader(length), &iv()).unwrap();
        assert_eq!(
            hex::encode(Sha256::digest(whole)),
            expected,
            "{length}, {key:?}"
        );
    }
}

#[test]
fn an_appended_hash_is_left_out_of_the_digest() {
    let key = Secret::new((0..32).collect());
    let plain = bootloader(340);
    let mut hashed = plain.clone();
    hashed.extend(Sha256::digest(&plain));
    assert_eq!(
        v1::digest_bootloader(&key, &hashed, &iv()),
        v1::digest_bootloader(&key, &plain, &iv())
    );
}

#[test]
fn what_is_no_bootloader_gets_no_digest() {
    let key = Secret::new(vec![0; 32]);
    let refused = v1::digest_bootloader(&key, b"text", &iv()).unwrap_err();
    assert_eq!(refused.code(), "bootloader-digest-not-an-image");
    let short = Secret::new(vec![0; 16]);
    let refused = v1::digest_bootloader(&short, &bootloader(340), &iv()).unwrap_err();
    assert_eq!(refused.code(), "bootloader-digest-key-length");
}

#[test]
fn a_steady_digest_is_the_digest_with_its_own_iv_and_follows_from_key_and_bootloader() {
    let (key, other) = (
        Secret::new((0..32).collect()),
        Secret::new((1..33).collect()),
    );
    let steady = v1::steady_digest(&key, &bootloader(340)).unwrap();
    assert_eq!(steady.len(), v1::DIGEST_LENGTH);
    assert_eq!(steady, v1::steady_digest(&key, &bootloader(340)).unwrap());
    let iv = steady[..v1::IV_LENGTH].try_into().unwrap();
    let whole = v1::digest_bootloader(&key, &bootloader(340), iv).unwrap();
    assert_eq!(whole[..v1::DIGEST_LENGTH], steady);
    let ivs = [
        v1::steady_iv(&key, &bootloader(340)),
        v1::steady_iv(&other, &bootloader(340)),
        v1::steady_iv(&key, &bootloader(364)),
    ];
    assert!(ivs[0] != ivs[1] && ivs[0] != ivs[2] && ivs[0][..64] != ivs[0][64..]);
}

#[test]
fn a_bootloader_carries_the_key_that_is_in_it() {
    let key = rfc_key(Algorithm::EcdsaP256);
    let mut image = bootloader(340);
    assert!(!v1::carries(&image, key.public()).unwrap());
    let bytes = v1::public_key_bytes(key.public()).unwrap();
    image[100..164].copy_from_slice(&bytes);
    assert!(v1::carries(&image, key.public()).unwrap());
}
