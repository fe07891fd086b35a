//! Signed images: content in whole sectors, and one more sector with up to three signature blocks.
//!
//! Facts (ESP-IDF's secure boot version 2 document): content is padded with `ff` to 4096 bytes and
//! signed with the padding; unused room in the signature sector stays erased; any one block by a
//! trusted key lets the image boot.

use rand_core::CryptoRng;

use super::algorithm::Algorithm;
use super::block::{BLOCK_LENGTH, BlockFault, SignatureBlock};
use super::error::SignatureError;
use super::public_key::PublicKey;
use super::signer::{Signer, checked_signature};

/// Bytes of a flash sector, to which content is padded and which the signatures have for themselves.
pub const SECTOR: usize = 4096;
/// Signature blocks in a sector. The ESP32 and the ESP32-C2 look at the first only.
pub const MAX_BLOCKS: usize = 3;
const ERASED: u8 = 0xFF;

/// One of the three places in a signature sector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// Erased flash.
    Free,
    /// A well-made block, its signature not checked yet.
    Block(Box<SignatureBlock>),
    /// Neither.
    Broken(BlockFault),
}

/// An image with its signature sector taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedImage<'a> {
    content: &'a [u8],
    slots: [Slot; MAX_BLOCKS],
}

impl<'a> SignedImage<'a> {
    /// Takes an image apart; signatures are not checked.
    ///
    /// # Errors
    /// When its length is not that of a signed image or there is nothing but erased flash where
    /// signatures would be.
    pub fn parse(image: &'a [u8]) -> Result<Self, SignatureError> {
        let length = image.len();
        if length < 2 * SECTOR || !length.is_multiple_of(SECTOR) {
            return Err(SignatureError::Length { length });
        }
        let (content, sector) = image.split_at(length - SECTOR);
        let slots = [0, 1, 2].map(|number| {
            let bytes = &sector[number * BLOCK_LENGTH..(number + 1) * BLOCK_LENGTH];
            if bytes.iter().all(|byte| *byte == ERASED) {
                return Slot::Free;
            }
            match SignatureBlock::parse(bytes) {
                Ok(block) => Slot::Block(Box::new(block)),
                Err(fault) => Slot::Broken(fault),
            }
        });
        let unsigned =
            |slot: &Slot| matches!(slot, Slot::Free | Slot::Broken(BlockFault::Magic { .. }));
        if slots.iter().all(unsigned) {
            return Err(SignatureError::NotSigned);
        }
        Ok(Self { content, slots })
    }

    /// What is signed, with its padding.
    #[must_use]
    pub fn content(&self) -> &'a [u8] {
        self.content
    }

    /// The three places.
    #[must_use]
    pub fn slots(&self) -> &[Slot; MAX_BLOCKS] {
        &self.slots
    }

    /// The well-made blocks with their places, signatures not checked.
    pub fn blocks(&self) -> impl Iterator<Item = (usize, &SignatureBlock)> {
        let numbered = self.slots.iter().enumerate();
        numbered.filter_map(|(number, slot)| match slot {
            Slot::Block(block) => Some((number, &**block)),
            Slot::Free | Slot::Broken(_) => None,
        })
    }

    /// Checks that nothing in the sector is broken and every block signs this content.
    ///
    /// # Errors
    /// At the first block that does not hold.
    pub fn verify(&self) -> Result<(), SignatureError> {
        for (number, slot) in self.slots.iter().enumerate() {
            match slot {
                Slot::Free => {}
                Slot::Block(block) => block.verify(self.content, number)?,
                Slot::Broken(fault) => {
                    let fault = *fault;
                    return Err(SignatureError::BrokenBlock { number, fault });
                }
            }
        }
        Ok(())
    }
}

/// Whether the last sector holds at least one well-made signature block.
#[must_use]
pub fn carries_signature(image: &[u8]) -> bool {
    SignedImage::parse(image).is_ok_and(|signed| signed.blocks().next().is_some())
}

/// Content padded to whole sectors, as it is signed and flashed.
#[must_use]
pub fn padded(content: &[u8]) -> Vec<u8> {
    let mut padded = content.to_vec();
    padded.resize(content.len().next_multiple_of(SECTOR), ERASED);
    padded
}

/// Pads the content and signs it with one to three keys, in that order.
///
/// # Errors
/// When there is no content or key, the content is signed already, keys repeat or mix RSA with
/// ECDSA or P-384 with a smaller curve, or a signer fails.
pub fn sign(
    content: &[u8],
    signers: &[&dyn Signer],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, SignatureError> {
    if content.is_empty() {
        return Err(SignatureError::Empty);
    }
    if carries_signature(content) {
        return Err(SignatureError::AlreadySigned);
    }
    assemble(padded(content), Vec::new(), signers, rng)
}

/// Adds signatures to a signed image whose signatures all hold.
///
/// # Errors
/// As [`sign`], and when the image is not signed or not properly.
pub fn append(
    image: &[u8],
    signers: &[&dyn Signer],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, SignatureError> {
    let signed = SignedImage::parse(image)?;
    signed.verify()?;
    let blocks = signed.blocks().map(|(_, block)| block.clone()).collect();
    assemble(signed.content().to_vec(), blocks, signers, rng)
}

fn assemble(
    content: Vec<u8>,
    mut blocks: Vec<SignatureBlock>,
    signers: &[&dyn Signer],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, SignatureError> {
    let wanted = blocks.len() + signers.len();
    if signers.is_empty() {
        return Err(SignatureError::NoSigner);
    }
    if wanted > MAX_BLOCKS {
        return Err(SignatureError::TooManyBlocks { wanted });
    }
    let held = blocks.iter().map(SignatureBlock::public_key);
    let keys: Vec<&PublicKey> = held
        .chain(signers.iter().map(|signer| signer.public_key()))
        .collect();
    check_together(&keys)?;
    for signer in signers {
        let key = signer.public_key();
        let hash = key.algorithm().hash(&content);
        let signature = checked_signature(*signer, &hash, rng)?;
        blocks.push(SignatureBlock::new(key.clone(), hash, signature));
    }
    let whole = content.len() + SECTOR;
    let mut image = content;
    image.extend(blocks.iter().flat_map(SignatureBlock::to_bytes));
    image.resize(whole, ERASED);
    Ok(image)
}

fn check_together(keys: &[&PublicKey]) -> Result<(), SignatureError> {
    let first: Option<Algorithm> = keys.first().map(|key| key.algorithm());
    for (at, key) in keys.iter().enumerate() {
        if keys[..at].contains(key) {
            return Err(SignatureError::SameKeyTwice {
                digest: hex::encode(key.digest()),
            });
        }
        let second = key.algorithm();
        let kind = |algorithm: Algorithm| (algorithm.block_version(), algorithm.hash_length());
        if let Some(first) = first
            && kind(first) != kind(second)
        {
            return Err(SignatureError::MixedKinds { first, second });
        }
    }
    Ok(())
}

/// The blocks of a signed image, all of them checked with the key each carries.
///
/// # Errors
/// When the image is not signed, or anything in its signature sector does not hold.
pub fn verify(image: &[u8]) -> Result<Vec<SignatureBlock>, SignatureError> {
    let signed = SignedImage::parse(image)?;
    signed.verify()?;
    Ok(signed.blocks().map(|(_, block)| block.clone()).collect())
}

/// The places of the blocks that are by one of `keys`, after [`verify`].
///
/// # Errors
/// As [`verify`], and when no block is by one of them.
pub fn verify_with(image: &[u8], keys: &[PublicKey]) -> Result<Vec<usize>, SignatureError> {
    let signed = SignedImage::parse(image)?;
    signed.verify()?;
    let by_them: Vec<usize> = signed
        .blocks()
        .filter(|(_, block)| keys.contains(block.public_key()))
        .map(|(number, _)| number)
        .collect();
    if by_them.is_empty() {
        return Err(SignatureError::UnknownKey { given: keys.len() });
    }
    Ok(by_them)
}
