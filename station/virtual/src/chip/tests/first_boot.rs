//! Secure boot version 1, the half digest of the ESP32-C2, and keys that the ROM itself revokes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use station_esp::efuse::FieldName;
use station_esp::secret::Secret;
use station_esp::secure::encryption::encrypt;
use station_esp::secure::signature::{Algorithm, PrivateKey, v1};
use station_esp::{Chip, Revision};

use super::boots::bootable;
use super::rig::Rig;
use super::security::{KEY, boots, seal, set, sign_flash, store, store_forward};
use crate::chip::ChipConfig;

/// The bootloader in flash, as the ROM takes it.
fn bootloader(rig: &Rig) -> Vec<u8> {
    let bytes = rig.chip.flash().bytes(0x1000, 0x7000);
    let length = station_esp::image::Image::parse(&bytes).unwrap().length;
    bytes[..length as usize].to_vec()
}

/// An early ESP32 whose fuses hold a key of secure boot and switch it on.
fn first(quarters: bool) -> (Rig, Secret) {
    let mut config = ChipConfig::new(Chip::Esp32, 1, 7);
    config.revision = Revision::new(1, 0);
    let mut rig = bootable(config);
    let key = if quarters { &KEY[..24] } else { &KEY[..] };
    if quarters {
        rig.chip
            .efuse_mut()
            .edit(|image| image.block_mut(0)[6] |= 1);
    }
    store(&mut rig.chip, 2, key);
    set(&mut rig.chip, FieldName::SecureBootV1, 1);
    (rig, Secret::new(key.to_vec()))
}

#[test]
fn an_early_esp32_starts_the_bootloader_whose_digest_its_key_made_and_no_other() {
    for quarters in [false, true] {
        let (mut rig, key) = first(quarters);
        assert!(!boots(&mut rig), "there is no digest");
        let bootloader = bootloader(&rig);
        let digest = v1::steady_digest(&key, &bootloader).unwrap();
        rig.chip.flash_mut().load(0, &digest).unwrap();
        assert!(boots(&mut rig), "3/4 coded: {quarters}");
        for wrong in [0, v1::IV_LENGTH, v1::DIGEST_LENGTH - 1] {
            let mut other = digest.clone();
            other[wrong] ^= 1;
            rig.chip.flash_mut().load(0, &other).unwrap();
            assert!(!boots(&mut rig), "byte {wrong}");
        }
        let mut other = key.expose().to_vec();
        other[0] ^= 1;
        let other = v1::steady_digest(&Secret::new(other), &bootloader).unwrap();
        rig.chip.flash_mut().load(0, &other).unwrap();
        assert!(!boots(&mut rig), "another chip's");
        set(&mut rig.chip, FieldName::SecureBootV1, 0);
        assert!(boots(&mut rig), "nobody looks");
    }
}

#[test]
fn the_digest_of_an_early_esp32_is_ciphertext_with_flash_encryption() {
    let (mut rig, key) = first(false);
    let flash_key = seal(&mut rig.chip);
    set(&mut rig.chip, FieldName::FlashCryptCount, 1);
    let plain = rig.chip.flash().bytes(0, 0x2_0000);
    for at in (0x1000..0x2_0000).step_by(0x1000) {
        let cipher = encrypt(&flash_key, at as u32, &plain[at..at + 0x1000]).unwrap();
        rig.chip.flash_mut().load(at as u32, &cipher).unwrap();
    }
    let bytes = &plain[0x1000..];
    let length = station_esp::image::Image::parse(bytes).unwrap().length;
    let digest = v1::steady_digest(&key, &bytes[..length as usize]).unwrap();
    rig.chip.flash_mut().load(0, &digest).unwrap();
    assert!(!boots(&mut rig), "plain text is rubbish");
    let cipher = encrypt(&flash_key, 0, &digest).unwrap();
    rig.chip.flash_mut().load(0, &cipher).unwrap();
    assert!(boots(&mut rig));
}

#[test]
fn an_esp32c2_trusts_the_half_of_a_digest_that_it_holds() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let key = PrivateKey::generate(Algorithm::EcdsaP256, &mut rng).unwrap();
    let other = PrivateKey::generate(Algorithm::EcdsaP256, &mut rng).unwrap();
    let mut rig = bootable(ChipConfig::new(Chip::Esp32C2, 1, 7));
    let half = |key: &PrivateKey| [&KEY[..16], &key.public().digest()[..16]].concat();
    store_forward(&mut rig.chip, 3, &half(&key));
    set(&mut rig.chip, FieldName::ReadDisable, 1);
    set(&mut rig.chip, FieldName::SecureBoot, 1);
    assert!(!boots(&mut rig), "nothing is signed");
    sign_flash(&mut rig.chip, &other, &mut rng);
    assert!(!boots(&mut rig), "signed by another key");
    let mut rig = bootable(ChipConfig::new(Chip::Esp32C2, 1, 7));
    sign_flash(&mut rig.chip, &key, &mut rng);
    let mut wrong = half(&key);
    wrong[31] ^= 1;
    store_forward(&mut rig.chip, 3, &wrong);
    set(&mut rig.chip, FieldName::SecureBoot, 1);
    assert!(!boots(&mut rig), "the last byte of the half differs");
    store_forward(&mut rig.chip, 3, &half(&key));
    assert!(
        boots(&mut rig),
        "the first half of the block is the other key's"
    );
}

#[test]
fn a_key_whose_signature_does_not_hold_is_revoked_only_by_a_chip_that_is_told_to() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let key = PrivateKey::generate(Algorithm::Rsa3072, &mut rng).unwrap();
    let other = PrivateKey::generate(Algorithm::Rsa3072, &mut rng).unwrap();
    for aggressive in [false, true] {
        let mut rig = bootable(ChipConfig::new(Chip::Esp32C3, 1, 7));
        store_forward(&mut rig.chip, 6, &key.public().digest());
        set(&mut rig.chip, FieldName::KeyPurpose2, 9);
        set(&mut rig.chip, FieldName::SecureBoot, 1);
        set(
            &mut rig.chip,
            FieldName::AggressiveRevoke,
            aggressive.into(),
        );
        sign_flash(&mut rig.chip, &key, &mut rng);
        let good = rig.chip.flash().bytes(0x1_0000, 0x2000);
        assert!(boots(&mut rig));
        let revoked = |rig: &Rig| rig.chip.efuse().field("SECURE_BOOT_KEY_REVOKE0");
        // A key that nobody trusts revokes nothing.
        let mut foreign = bootable(ChipConfig::new(Chip::Esp32C3, 1, 7));
        sign_flash(&mut foreign.chip, &other, &mut rng);
        let unknown = foreign.chip.flash().bytes(0x1_0000, 0x2000);
        rig.chip.flash_mut().load(0x1_0000, &unknown).unwrap();
        assert!(!boots(&mut rig));
        assert_eq!(revoked(&rig), 0);
        // The trusted key's signature of the bootloader, behind the application.
        let mut wrong = good.clone();
        let at = signature_of_bootloader(&rig);
        wrong[0x1000..].copy_from_slice(&rig.chip.flash().bytes(at, 0x1000));
        rig.chip.flash_mut().load(0x1_0000, &wrong).unwrap();
        assert!(!boots(&mut rig));
        assert_eq!(revoked(&rig), u64::from(aggressive));
        rig.chip.flash_mut().load(0x1_0000, &good).unwrap();
        assert_eq!(boots(&mut rig), !aggressive, "what is revoked stays so");
    }
}

fn signature_of_bootloader(rig: &Rig) -> u32 {
    let bytes = rig.chip.flash().bytes(0, 0x8000);
    let length = station_esp::image::Image::parse(&bytes).unwrap().length;
    length.next_multiple_of(0x1000)
}
