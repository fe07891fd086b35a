//! Signed images: what is made holds, what is changed does not, and what a chip says to it.

use rand_core::CryptoRng;

use super::trust::{Trust, Verdict};
use super::*;
use crate::chip::{Chip, Revision};

fn content() -> Vec<u8> {
    (0..5000_usize).map(|at| (at * 31 + 7) as u8).collect()
}

fn signed_by(keys: &[&PrivateKey]) -> Vec<u8> {
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| *key as &dyn Signer).collect();
    sign(&content(), &signers, &mut rng(1)).unwrap()
}

#[test]
fn every_algorithm_signs_an_image_that_holds() {
    let curves = CURVES.map(other_key);
    for key in curves.iter().chain([rsa_key()]) {
        let image = signed_by(&[key]);
        assert_eq!(image.len(), 3 * SECTOR);
        assert_eq!(image[..5000], content());
        assert!(image[5000..8192].iter().all(|byte| *byte == 0xFF));
        assert!(
            image[8192 + BLOCK_LENGTH..]
                .iter()
                .all(|byte| *byte == 0xFF)
        );
        let blocks = verify(&image).unwrap();
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks[0].public_key(), key.public());
        assert_eq!(blocks[0].image_hash(), key.algorithm().hash(&image[..8192]));
        assert_eq!(blocks[0].to_bytes(), image[8192..8192 + BLOCK_LENGTH]);
    }
}

#[test]
fn blocks_can_be_appended_up_to_three() {
    let [first, second] = [Algorithm::EcdsaP192, Algorithm::EcdsaP256].map(other_key);
    let [third, fourth] = [Algorithm::EcdsaP192, Algorithm::EcdsaP256].map(rfc_key);
    let two = signed_by(&[&first, &second]);
    let three = append(&two, &[&third], &mut rng(2)).unwrap();
    assert_eq!(
        three[..8192 + 2 * BLOCK_LENGTH],
        two[..8192 + 2 * BLOCK_LENGTH]
    );
    assert_eq!(verify(&three).unwrap().len(), 3);
    assert_eq!(verify_with(&three, &[third.public().clone()]).unwrap(), [2]);
    let full = append(&three, &[&fourth], &mut rng(2)).unwrap_err();
    assert_eq!(full.code(), "signature-too-many-blocks");
    let twice = append(&two, &[&first], &mut rng(2)).unwrap_err();
    assert_eq!(twice.code(), "signature-same-key-twice");
    let unknown = verify_with(&three, &[fourth.public().clone()]).unwrap_err();
    assert_eq!(unknown.code(), "signature-unknown-key");
}

#[test]
fn kinds_that_no_chip_checks_together_do_not_go_into_one_image() {
    let [small, large] = [Algorithm::EcdsaP256, Algorithm::EcdsaP384].map(other_key);
    for other in [rsa_key(), &large] {
        let refused = sign(&content(), &[other, &small], &mut rng(1)).unwrap_err();
        assert_eq!(refused.code(), "signature-mixed-kinds");
    }
}

#[test]
fn a_chip_is_not_given_signatures_that_it_does_not_check() {
    let image = signed_by(&[
        &other_key(Algorithm::EcdsaP256),
        &rfc_key(Algorithm::EcdsaP256),
    ]);
    let signed = SignedImage::parse(&image).unwrap();
    let check = |chip, major, minor| {
        let support = BootSupport::of(chip, Revision::new(major, minor)).unwrap();
        support.check(&signed).map_err(|error| error.code())
    };
    assert_eq!(check(Chip::Esp32C6, 0, 0), Ok(()));
    assert_eq!(check(Chip::Esp32S3, 0, 2), Err("signature-not-for-chip"));
    assert_eq!(check(Chip::Esp32C2, 1, 0), Err("signature-beyond-chip"));
}

#[test]
fn support_follows_the_revision() {
    let of = |chip, major, minor| BootSupport::of(chip, Revision::new(major, minor));
    assert_eq!(of(Chip::Esp32, 1, 0), None);
    assert_eq!(of(Chip::Esp32, 3, 0).unwrap().slots, 1);
    assert_eq!(of(Chip::Esp32C3, 0, 2), None);
    assert!(of(Chip::Esp32C3, 0, 3).unwrap().revocable);
    let p4 = |major| of(Chip::Esp32P4, major, 0).unwrap().algorithms;
    assert!(!p4(1).contains(&Algorithm::EcdsaP384));
    assert!(p4(3).contains(&Algorithm::EcdsaP384));
    let c5 = |minor| of(Chip::Esp32C5, 0, minor).unwrap().algorithms;
    assert!(!c5(0).contains(&Algorithm::Rsa3072) && c5(1).contains(&Algorithm::Rsa3072));
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let key = other_key(Algorithm::EcdsaP256);
    let code = |result: Result<Vec<u8>, SignatureError>| result.unwrap_err().code();
    assert_eq!(code(sign(&[], &[&key], &mut rng(1))), "signature-empty");
    assert_eq!(code(sign(&[1], &[], &mut rng(1))), "signature-no-signer");
    let signed = signed_by(&[&key]);
    assert_eq!(
        code(sign(&signed, &[&key], &mut rng(1))),
        "signature-already-signed"
    );
    let unsigned = padded(&content());
    assert_eq!(
        code(append(&unsigned, &[&key], &mut rng(1))),
        "signature-missing"
    );
    assert_eq!(
        code(append(&content(), &[&key], &mut rng(1))),
        "signature-length"
    );
}

#[test]
fn one_changed_byte_anywhere_that_counts_is_noticed() {
    let key = other_key(Algorithm::EcdsaP256);
    let image = signed_by(&[&key]);
    let used = 8192 + BLOCK_LENGTH;
    for at in (0..used).step_by(97).chain(8192..used) {
        let mut changed = image.clone();
        changed[at] ^= 0x10;
        assert!(verify(&changed).is_err(), "byte {at}");
    }
}

#[test]
fn precomputed_numbers_of_another_key_are_not_a_valid_block() {
    let image = signed_by(&[rsa_key()]);
    let mut block = image[8192..8192 + BLOCK_LENGTH].to_vec();
    for at in [424, 808] {
        block[at] ^= 1;
        let checksum = crc32fast::hash(&block[..1196]).to_le_bytes();
        block[1196..1200].copy_from_slice(&checksum);
        assert_eq!(SignatureBlock::parse(&block), Err(BlockFault::PublicKey));
        block[at] ^= 1;
    }
}

/// A token that holds another key than it says.
struct Impostor {
    says: PublicKey,
    holds: PrivateKey,
}

impl Signer for Impostor {
    fn public_key(&self) -> &PublicKey {
        &self.says
    }

    fn sign(&self, digest: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, SignatureError> {
        self.holds.sign(digest, rng)
    }
}

#[test]
fn a_signer_with_another_key_than_it_says_is_found_out() {
    let impostor = Impostor {
        says: rfc_key(Algorithm::EcdsaP256).public().clone(),
        holds: other_key(Algorithm::EcdsaP256),
    };
    let refused = sign(&content(), &[&impostor], &mut rng(1)).unwrap_err();
    assert_eq!(refused, SignatureError::Mismatch);
}

#[test]
fn a_chip_boots_what_a_trusted_key_signed_and_nothing_else() {
    let (first, second) = (
        other_key(Algorithm::EcdsaP256),
        rfc_key(Algorithm::EcdsaP256),
    );
    let image = signed_by(&[&first, &second]);
    let mut trust = Trust::of_digests(&[[9; 32], second.public().digest()]);
    assert_eq!(
        trust.judge(&image).unwrap(),
        Verdict::Boots { block: 1, slot: 1 }
    );
    trust.blocks = 1;
    let refused = Verdict::Refused { revokes: vec![] };
    assert_eq!(
        trust.judge(&image).unwrap(),
        refused,
        "only the first block counts"
    );
    trust.blocks = MAX_BLOCKS;
    trust.slots[1].revoked = true;
    assert_eq!(trust.judge(&image).unwrap(), refused, "the key is revoked");
}

#[test]
fn a_failing_trusted_key_is_revoked_when_the_chip_is_aggressive() {
    let key = other_key(Algorithm::EcdsaP256);
    let mut image = signed_by(&[&key]);
    image[100] ^= 1;
    let mut trust = Trust::of_digests(&[key.public().digest()]);
    assert_eq!(
        trust.judge(&image).unwrap(),
        Verdict::Refused { revokes: vec![] }
    );
    trust.aggressive = true;
    assert_eq!(
        trust.judge(&image).unwrap(),
        Verdict::Refused { revokes: vec![0] }
    );
}
