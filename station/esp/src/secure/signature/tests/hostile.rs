//! Bytes from nowhere: an error, never a panic.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn random_blocks_are_refused(
        mut bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..BLOCK_LENGTH),
            prop::collection::vec(any::<u8>(), BLOCK_LENGTH..BLOCK_LENGTH + 9),
        ],
    ) {
        prop_assert!(SignatureBlock::parse(&bytes).is_err());
        // Past the checksum, so that keys and reserved bytes are looked at too.
        if bytes.len() >= BLOCK_LENGTH {
            bytes[0] = 0xE7;
            bytes[1] = 2 + bytes[1] % 2;
            bytes[2] %= 2;
            bytes[3] = 0;
            let curve = if bytes[2] == 1 { 52 } else { 36 };
            if bytes[1] == 3 {
                bytes[curve] = 1 + bytes[curve] % 3;
            }
            let checksum = crc32fast::hash(&bytes[..1196]).to_le_bytes();
            bytes[1196..1200].copy_from_slice(&checksum);
            prop_assert!(SignatureBlock::parse(&bytes).is_err());
        }
    }

    #[test]
    fn an_extreme_modulus_is_refused(byte: u8, exponent: u32) {
        let mut block = vec![byte; BLOCK_LENGTH];
        block[..4].copy_from_slice(&[0xE7, 2, 0, 0]);
        block[420..424].copy_from_slice(&exponent.to_le_bytes());
        block[1200..].fill(0);
        let checksum = crc32fast::hash(&block[..1196]).to_le_bytes();
        block[1196..1200].copy_from_slice(&checksum);
        prop_assert!(SignatureBlock::parse(&block).is_err());
    }

    #[test]
    fn random_images_are_not_verified(sectors in 0_usize..4, extra in 0_usize..3, fill: u8) {
        let image = vec![fill; sectors * SECTOR + extra];
        prop_assert!(verify(&image).is_err());
        prop_assert!(!carries_signature(&image));
        prop_assert!(v1::verify(&image, rfc_key(Algorithm::EcdsaP256).public()).is_err());
    }

    #[test]
    fn random_text_is_no_key(text in "(-----BEGIN (RSA |EC |ENCRYPTED )?(PRIVATE|PUBLIC) KEY-----)?\\PC{0,80}(-----END PRIVATE KEY-----)?") {
        prop_assert!(PrivateKey::from_pem(&text).is_err());
        prop_assert!(PublicKey::from_pem(&text).is_err());
    }

    #[test]
    fn damaged_der_never_panics(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
        for algorithm in CURVES {
            let pem = rfc_key(algorithm).public().to_pem();
            let der = container::first_key(&pem).unwrap().der;
            let mut damaged = der.to_vec();
            *at.get_mut(&mut damaged) = byte;
            let _ = PublicKey::from_der(&damaged);
            let _ = PublicKey::from_der(&damaged[..cut.index(damaged.len())]);
            let pem = rfc_key(algorithm).to_pem();
            let pem = std::str::from_utf8(pem.expose()).unwrap();
            let mut damaged = container::first_key(pem).unwrap().der.to_vec();
            *at.get_mut(&mut damaged) = byte;
            let _ = PrivateKey::from_der(&damaged);
        }
    }

    #[test]
    fn random_bytes_are_no_der(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(PrivateKey::from_der(&bytes).is_err());
        prop_assert!(PublicKey::from_der(&bytes).is_err());
    }
}
