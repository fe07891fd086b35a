//! Signatures over the partition, with secure boot's keys.
//!
//! Facts (the tool and the headers of `esp_secure_cert_mgr`): a signature entry is 16 bytes
//! (version 1, three zeros, offset and length of what is signed, algorithm, three zeros), then for
//! RSA a whole secure boot signature block, else the key and the signature as they lie in one.
//! Several keys sign the same bytes, those before the first signature entry. Keys on P-192 are
//! refused, since the tool fails with them.

use rand_core::CryptoRng;

use super::entry::{Entry, Kind};
use super::error::CertError;
use super::partition::Partition;
use crate::secure::signature::{Algorithm, BLOCK_LENGTH, PublicKey, SignatureBlock, Signer};

const HEADER: usize = 16;
const VERSION: u8 = 1;
/// Bytes of a signature block before its hash.
const BLOCK_HEADER: usize = 4;
const CHECKSUM_AT: usize = 1196;

/// A signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRange {
    /// Subtype of its entry.
    pub subtype: u8,
    /// Bytes of the partition that it covers, from its start.
    pub length: usize,
    /// The key that signed. It is as trustworthy as the digest in eFuse that it is compared with.
    pub public_key: PublicKey,
}

/// Signs everything in the partition with each key, and closes it with an integrity entry.
///
/// # Errors
/// When there is nothing to sign or no key, a key is on P-192, a signer fails, or there is no room.
pub fn sign(
    partition: &mut Partition,
    signers: &[&dyn Signer],
    rng: &mut dyn CryptoRng,
) -> Result<(), CertError> {
    let content = zeroize::Zeroizing::new(partition.to_bytes());
    if content.is_empty() {
        return Err(CertError::Empty);
    }
    if signers.is_empty() {
        return Err(crate::secure::signature::SignatureError::NoSigner.into());
    }
    let mut signed = partition.clone();
    for signer in signers {
        let number = number(signer.public_key().algorithm())?;
        let block = SignatureBlock::sign(&content, *signer, rng)?;
        let mut entry = vec![VERSION, 0, 0, 0, 0, 0, 0, 0];
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        entry.extend(length.to_le_bytes());
        entry.extend([number, 0, 0, 0]);
        entry.extend(material(&block));
        let subtype = signed.next_subtype(Kind::SignatureBlock);
        signed.push(Entry::new(Kind::SignatureBlock, subtype, entry))?;
    }
    signed.push_integrity()?;
    *partition = signed;
    Ok(())
}

impl Partition {
    /// Checks every signature entry. What stands behind one, its range does not cover.
    ///
    /// # Errors
    /// At the first that is malformed or does not hold, or that leaves out entries before it.
    pub fn signatures(&self) -> Result<Vec<SignedRange>, CertError> {
        let bytes = zeroize::Zeroizing::new(self.to_bytes());
        let (mut ranges, mut ends, mut offset) = (Vec::new(), Vec::new(), 0);
        for entry in self.entries() {
            if entry.kind == Kind::SignatureBlock {
                // Where one signature begins, everything that those beside it sign has ended.
                ends.push(offset);
                ranges.push(check(entry, &bytes, &ends)?);
            }
            offset += entry.flash_length();
        }
        Ok(ranges)
    }
}

fn number(algorithm: Algorithm) -> Result<u8, CertError> {
    match algorithm {
        Algorithm::Rsa3072 => Ok(0),
        Algorithm::EcdsaP256 => Ok(2),
        Algorithm::EcdsaP384 => Ok(3),
        Algorithm::EcdsaP192 => Err(CertError::SigningKey { found: algorithm }),
    }
}

/// Bytes of a curve's hash and of its key with signature, as they lie in a block.
fn curve_lengths(algorithm: Algorithm) -> (usize, usize) {
    if algorithm == Algorithm::EcdsaP384 {
        (48, 1 + 96 + 96)
    } else {
        (32, 1 + 64 + 64)
    }
}

fn material(block: &SignatureBlock) -> Vec<u8> {
    let bytes = block.to_bytes();
    if block.algorithm() == Algorithm::Rsa3072 {
        return bytes;
    }
    let (hash, rest) = curve_lengths(block.algorithm());
    let start = BLOCK_HEADER + hash;
    bytes[start..start + rest].to_vec()
}

fn check(entry: &Entry, bytes: &[u8], ends: &[usize]) -> Result<SignedRange, CertError> {
    let broken = |reason| CertError::Content {
        kind: entry.kind,
        subtype: entry.subtype,
        reason,
    };
    let content = entry.content.expose();
    let (header, rest) = content
        .split_first_chunk::<HEADER>()
        .ok_or(broken("it is cut short"))?;
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if header[0] != VERSION || word(4) != 0 {
        return Err(broken(
            "its version is not 1, or it does not sign from the start",
        ));
    }
    let length = usize::try_from(word(8)).unwrap_or(usize::MAX);
    let signed = bytes
        .get(..length)
        .filter(|_| ends.contains(&length))
        .ok_or(broken("it does not sign what stands before the signatures"))?;
    let block = match header[12] {
        0 => SignatureBlock::parse(rest).ok(),
        2 => curve_block(Algorithm::EcdsaP256, signed, rest),
        3 => curve_block(Algorithm::EcdsaP384, signed, rest),
        _ => return Err(broken("its algorithm is unknown")),
    };
    let block = block.ok_or(broken("its key or signature is malformed"))?;
    block.verify(signed, usize::from(entry.subtype))?;
    Ok(SignedRange {
        subtype: entry.subtype,
        length,
        public_key: block.public_key().clone(),
    })
}

/// The signature block that key and signature would stand in.
fn curve_block(algorithm: Algorithm, signed: &[u8], rest: &[u8]) -> Option<SignatureBlock> {
    let (_, length) = curve_lengths(algorithm);
    if rest.len() != length {
        return None;
    }
    let hash_kind = u8::from(algorithm == Algorithm::EcdsaP384);
    let mut bytes = vec![0xE7, 3, hash_kind, 0];
    bytes.extend(algorithm.hash(signed));
    bytes.extend(rest);
    bytes.resize(CHECKSUM_AT, 0);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes.resize(BLOCK_LENGTH, 0);
    let block = SignatureBlock::parse(&bytes).ok()?;
    (block.algorithm() == algorithm).then_some(block)
}
