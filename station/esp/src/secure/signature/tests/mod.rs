//! Signatures against published vectors, golden outputs, hostile bytes and each other.

mod hostile;
mod images;
mod keys;
mod version_one;

use std::sync::LazyLock;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;

/// The private keys of RFC 6979, A.2.3, A.2.5 and A.2.6, in hex.
const RFC_P192: &str = "6fab034934e4c0fc9ae67f5b5659a9d7d1fefd187ee09fd4";
const RFC_P256: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
const RFC_P384: &str = "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d8\
                        96d5724e4c70a825f872c9ea60d2edf5";

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn rfc_key(algorithm: Algorithm) -> PrivateKey {
    match algorithm {
        Algorithm::Rsa3072 => panic!("RFC 6979 has no RSA key"),
        Algorithm::EcdsaP192 => curve::P192Secret::from_slice(&hex::decode(RFC_P192).unwrap())
            .unwrap()
            .into(),
        Algorithm::EcdsaP256 => p256::SecretKey::from_slice(&hex::decode(RFC_P256).unwrap())
            .unwrap()
            .into(),
        Algorithm::EcdsaP384 => p384::SecretKey::from_slice(&hex::decode(RFC_P384).unwrap())
            .unwrap()
            .into(),
    }
}

/// An RSA key of the tests' own, always the same; made once, because that takes a while.
fn rsa_key() -> &'static PrivateKey {
    static KEY: LazyLock<PrivateKey> =
        LazyLock::new(|| PrivateKey::generate(Algorithm::Rsa3072, &mut rng(3)).unwrap());
    &KEY
}

fn other_key(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::generate(algorithm, &mut rng(7)).unwrap()
}

const CURVES: [Algorithm; 3] = [
    Algorithm::EcdsaP192,
    Algorithm::EcdsaP256,
    Algorithm::EcdsaP384,
];
