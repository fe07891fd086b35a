//! One signature block: a public key, the image's hash and a signature, guarded by a checksum.
//!
//! Facts (ESP-IDF's secure boot version 2 document; P-384 as espsecure 5.6 was seen to write it),
//! 1216 bytes, numbers little-endian: magic `e7`, version 2 (RSA) or 3 (ECDSA), hash (0 SHA-256, 1
//! SHA-384), zero; the image's hash; the key: RSA modulus, exponent, R, M', or a curve's id (1 P-192,
//! 2 P-256, 3 P-384) and point in at least 64 bytes; the signature; zeros; at 1196 the CRC-32 of what
//! is before; 16 zeros.

use rand_core::CryptoRng;
use thiserror::Error;

use super::algorithm::Algorithm;
use super::error::SignatureError;
use super::public_key::PublicKey;
use super::signer::{Signer, checked_signature};

/// Bytes of a block.
pub const BLOCK_LENGTH: usize = 1216;
const MAGIC: u8 = 0xE7;
const HEADER: usize = 4;
const CHECKSUM_AT: usize = 1196;
const PADDING_AT: usize = 1200;

/// A block that is well made. Whether its signature holds is another question: see
/// [`SignatureBlock::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureBlock {
    public_key: PublicKey,
    image_hash: Vec<u8>,
    signature: Vec<u8>,
}

impl SignatureBlock {
    /// A block from its parts; hash and raw signature have the algorithm's lengths.
    pub(super) fn new(public_key: PublicKey, image_hash: Vec<u8>, signature: Vec<u8>) -> Self {
        Self {
            public_key,
            image_hash,
            signature,
        }
    }

    /// A block over content that is signed as it is, without the padding of images. The signature
    /// is checked before it is used.
    ///
    /// # Errors
    /// When the signer fails, or signs with another key.
    pub fn sign(
        content: &[u8],
        signer: &dyn Signer,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, SignatureError> {
        let public_key = signer.public_key().clone();
        let hash = public_key.algorithm().hash(content);
        let signature = checked_signature(signer, &hash, rng)?;
        Ok(Self::new(public_key, hash, signature))
    }

    /// Reads one block.
    ///
    /// # Errors
    /// When the bytes are not exactly what a signer writes; says which part is not.
    pub fn parse(bytes: &[u8]) -> Result<Self, BlockFault> {
        let Some(bytes) = bytes.get(..BLOCK_LENGTH) else {
            return Err(BlockFault::Length);
        };
        if bytes[0] != MAGIC {
            return Err(BlockFault::Magic { found: bytes[0] });
        }
        let stored = &bytes[CHECKSUM_AT..PADDING_AT];
        if stored != crc32fast::hash(&bytes[..CHECKSUM_AT]).to_le_bytes() {
            return Err(BlockFault::Checksum);
        }
        let algorithm = algorithm(bytes)?;
        let mut at = HEADER;
        let mut take = |length| {
            let part = &bytes[at..at + length];
            at += length;
            part
        };
        let image_hash = take(algorithm.hash_length()).to_vec();
        let material = take(PublicKey::material_length(algorithm));
        let signature = swapped(
            take(algorithm.signature_length()),
            algorithm.number_length(),
        );
        if bytes[at..CHECKSUM_AT]
            .iter()
            .chain(&bytes[PADDING_AT..])
            .any(|byte| *byte != 0)
        {
            return Err(BlockFault::Reserved);
        }
        let public_key =
            PublicKey::from_material(algorithm, material).ok_or(BlockFault::PublicKey)?;
        Ok(Self::new(public_key, image_hash, signature))
    }

    /// The block as it lies in flash.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let algorithm = self.algorithm();
        let hash_kind = u8::from(algorithm == Algorithm::EcdsaP384);
        let mut bytes = vec![MAGIC, algorithm.block_version(), hash_kind, 0];
        bytes.extend(&self.image_hash);
        bytes.extend(self.public_key.material());
        bytes.extend(swapped(&self.signature, algorithm.number_length()));
        bytes.resize(CHECKSUM_AT, 0);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes.resize(BLOCK_LENGTH, 0);
        bytes
    }

    /// Checks hash and signature against the content that is said to be signed.
    ///
    /// # Errors
    /// When the content is another, or the signature is not by the embedded key. `number` is the
    /// block's place, for the message.
    pub fn verify(&self, content: &[u8], number: usize) -> Result<(), SignatureError> {
        let hash = self.algorithm().hash(content);
        if hash != self.image_hash {
            return Err(SignatureError::OtherContent { number });
        }
        self.public_key
            .verify(&hash, &self.signature)
            .map_err(|_| SignatureError::BrokenBlock {
                number,
                fault: BlockFault::Signature,
            })
    }

    /// The key the block says it is signed with. It is as trustworthy as the digest in eFuse that
    /// it is compared with.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// How it is signed.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.public_key.algorithm()
    }

    /// The hash of the signed content.
    #[must_use]
    pub fn image_hash(&self) -> &[u8] {
        &self.image_hash
    }

    /// The raw signature, big-endian.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

fn algorithm(bytes: &[u8]) -> Result<Algorithm, BlockFault> {
    let [version, hash_kind, reserved] = [bytes[1], bytes[2], bytes[3]];
    if reserved != 0 {
        return Err(BlockFault::Reserved);
    }
    let curve_at = |hash_length| bytes[HEADER + hash_length];
    match (version, hash_kind) {
        (2, 0) => Ok(Algorithm::Rsa3072),
        (3, 0) if curve_at(32) == 1 => Ok(Algorithm::EcdsaP192),
        (3, 0) if curve_at(32) == 2 => Ok(Algorithm::EcdsaP256),
        (3, 1) if curve_at(48) == 3 => Ok(Algorithm::EcdsaP384),
        (2 | 3, _) => Err(BlockFault::Curve),
        _ => Err(BlockFault::Version { found: version }),
    }
}

/// Each number of `length` bytes with its byte order turned round.
fn swapped(numbers: &[u8], length: usize) -> Vec<u8> {
    numbers
        .chunks(length)
        .flat_map(|number| number.iter().rev().copied())
        .collect()
}

/// What is wrong with a signature block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BlockFault {
    /// Too few bytes.
    #[error("it is cut short")]
    Length,
    /// Another first byte.
    #[error("it starts with {found:#04x} instead of 0xe7")]
    Magic {
        /// The byte found.
        found: u8,
    },
    /// Another version.
    #[error("version {found} is neither 2 nor 3")]
    Version {
        /// The byte found.
        found: u8,
    },
    /// A wrong CRC.
    #[error("its checksum is wrong")]
    Checksum,
    /// A hash or curve that its version does not have.
    #[error("its hash and curve do not go together")]
    Curve,
    /// Bytes that must be zero.
    #[error("reserved bytes are used")]
    Reserved,
    /// No key, or precomputed numbers of another one, which would make the chip compute nonsense.
    #[error("its public key is not valid")]
    PublicKey,
    /// The signature does not fit.
    #[error("its signature does not match its key")]
    Signature,
}
