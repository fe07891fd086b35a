//! Published XTS vectors, outputs espsecure 5.6 was seen to give, and what holds for any input.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

fn counting_key(scheme: Scheme, length: u8) -> FlashKey {
    FlashKey::new(scheme, Secret::new((1..=length).collect())).unwrap()
}

fn sample() -> Vec<u8> {
    (0..256_usize).map(|at| (at * 7 + 3) as u8).collect()
}

fn reversed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

fn legacy(crypt_config: u8) -> Scheme {
    Scheme::Legacy { crypt_config }
}

/// IEEE 1619-2007, annex B, vector 1: the tail of unit 0, because the controller reverses units.
#[test]
fn the_first_vector_of_ieee_1619_comes_out() {
    let key = FlashKey::new(Scheme::Xts, Secret::new(vec![0; 32])).unwrap();
    let cipher = encrypt(&key, 96, &[0; 32]).unwrap();
    assert_eq!(
        hex::encode(reversed(&cipher)),
        "917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e"
    );
}

/// IEEE 1619-2007, annex B, vector 4, of which one unit holds the first 128 bytes.
#[test]
fn the_fourth_vector_of_ieee_1619_comes_out() {
    let key = hex::decode("2718281828459045235360287471352631415926535897932384626433832795");
    let key = FlashKey::new(Scheme::Xts, Secret::new(key.unwrap())).unwrap();
    let plain: Vec<u8> = (0..128).collect();
    let cipher = encrypt(&key, 0, &reversed(&plain)).unwrap();
    assert_eq!(
        hex::encode(reversed(&cipher)),
        "27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89c\
         c78cf7f5e543445f8333d8fa7f56000005279fa5d8b5e4ad40e736ddb4d35412\
         328063fd2aab53e5ea1e0a9f332500a5df9487d07a5c92cc512c8866c7e860ce\
         93fdf166a24912b422976146ae20ce846bb7dc9ba94a767aaef20c0d61ad0265"
    );
}

#[test]
fn xts_gives_what_espsecure_gives() {
    let golden = [
        (
            16,
            "9416f47f051a73811ff329b1877c03c59362e4e139846270362d38a6b498d181",
        ),
        (
            32,
            "8cdda285b47edba4c9b0af174191947fc0dab82e5bbd279b9afa243c0bc26ec1",
        ),
        (
            64,
            "b35f91a1fc1f2ef784386e4d08d543d837749e2d8f3f57087d9248b1f930500a",
        ),
    ];
    for (length, expected) in golden {
        let cipher = encrypt(&counting_key(Scheme::Xts, length), 0x10050, &sample()).unwrap();
        assert_eq!(
            hex::encode(Sha256::digest(cipher)),
            expected,
            "{length} bytes"
        );
    }
}

#[test]
fn the_legacy_scheme_gives_what_espsecure_gives() {
    let golden = [
        (
            24,
            0,
            "ad5872c14081c952956c9227f0249200f4880a6850bcba3575f0436c24fc83e1",
        ),
        (
            24,
            5,
            "f4ffaf98f07a69012fc9613002a15e6d0be69941ce3e370b9959568b73b40876",
        ),
        (
            24,
            15,
            "9a9f7b2c3a8dccc1309cd3d38c826523c984233a08c51d75ba09876622aa1f9b",
        ),
        (
            32,
            0,
            "a0f82b5b7c4f14718588e69b4dccf94aaefe3bbd26a2db6b061d062dc8c94131",
        ),
        (
            32,
            5,
            "cd7a1cca7360772c209769975667eab56df99a1d641cd5eb6f4f8d8fb0c2c679",
        ),
        (
            32,
            15,
            "532b420e495a37d89f23ab6d41ab809e73417ede58fe81f339488c5d51ebbd10",
        ),
    ];
    for (length, crypt_config, expected) in golden {
        let key = counting_key(legacy(crypt_config), length);
        let cipher = encrypt(&key, 0x00AB_CD10, &sample()).unwrap();
        assert_eq!(
            hex::encode(Sha256::digest(cipher)),
            expected,
            "{length} bytes, {crypt_config:#x}"
        );
    }
}

#[test]
fn what_the_controllers_cannot_do_is_refused_by_name() {
    let xts = counting_key(Scheme::Xts, 32);
    let old = counting_key(legacy(15), 32);
    let code = |result: Result<Vec<u8>, EncryptionError>| result.unwrap_err().code();
    assert_eq!(code(encrypt(&xts, 0, &[])), "encryption-empty");
    assert_eq!(
        code(encrypt(&xts, 8, &[0; 16])),
        "encryption-address-unaligned"
    );
    assert_eq!(
        code(decrypt(&old, 0, &[0; 17])),
        "encryption-length-unaligned"
    );
    assert_eq!(
        code(encrypt(&old, 0x00FF_FFF0, &[0; 32])),
        "encryption-out-of-reach"
    );
    assert_eq!(
        code(encrypt(&xts, 0xFFFF_FFF0, &[0; 32])),
        "encryption-out-of-reach"
    );
    assert!(encrypt(&xts, 0xFFFF_FFF0, &[0; 16]).is_ok());
    for (scheme, length) in [(Scheme::Xts, 24), (legacy(15), 64), (legacy(15), 16)] {
        let refused = FlashKey::new(scheme, Secret::new(vec![0; length])).unwrap_err();
        assert_eq!(refused.code(), "encryption-key-length");
    }
    let refused = FlashKey::new(legacy(16), Secret::new(vec![0; 32])).unwrap_err();
    assert_eq!(refused.code(), "encryption-crypt-config");
}

#[test]
fn a_key_shows_nothing_of_itself() {
    let shown = format!("{:?}", counting_key(Scheme::Xts, 32));
    assert_eq!(shown, "FlashKey { scheme: Xts, bytes: Secret(32 bytes) }");
}

#[test]
fn data_is_filled_up_to_blocks_as_erased_flash() {
    assert_eq!(filled_up(vec![1; 16]), vec![1; 16]);
    assert_eq!(filled_up(vec![1; 17])[17..], [0xFF; 15]);
}

fn any_key() -> impl Strategy<Value = FlashKey> {
    let scheme = prop_oneof![Just(Scheme::Xts), (0..16_u8).prop_map(legacy)];
    (scheme, any::<prop::sample::Index>(), any::<[u8; 32]>()).prop_map(|(scheme, which, seed)| {
        let length = *which.get(scheme.key_lengths());
        let bytes = seed.iter().cycle().take(length).enumerate();
        let bytes = bytes
            .map(|(at, byte)| byte.wrapping_add(at as u8))
            .collect();
        FlashKey::new(scheme, Secret::new(bytes)).unwrap()
    })
}

proptest! {
    #[test]
    fn decrypting_gives_back_what_was_encrypted(
        key in any_key(), at in 0_u32..0x0F_F000, blocks in 1_usize..40, seed: u8,
    ) {
        let data: Vec<u8> = (0..blocks * BLOCK).map(|at| (at as u8).wrapping_mul(seed)).collect();
        let cipher = encrypt(&key, at * 16, &data).unwrap();
        prop_assert_ne!(&cipher, &data);
        prop_assert_eq!(decrypt(&key, at * 16, &cipher).unwrap(), data);
    }

    #[test]
    fn a_part_encrypted_at_its_address_is_that_part_of_the_whole(
        key in any_key(), at in 0_u32..0x0F_F000, cut in 1_usize..31,
    ) {
        let data = vec![0x5A; 32 * BLOCK];
        let whole = encrypt(&key, at * 16, &data).unwrap();
        let (head, tail) = data.split_at(cut * BLOCK);
        let mut parts = encrypt(&key, at * 16, head).unwrap();
        parts.extend(encrypt(&key, at * 16 + head.len() as u32, tail).unwrap());
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn no_input_makes_it_panic(
        scheme in prop_oneof![Just(Scheme::Xts), any::<u8>().prop_map(legacy)],
        key in prop::collection::vec(any::<u8>(), 0..70),
        address: u32,
        data in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        if let Ok(key) = FlashKey::new(scheme, Secret::new(key)) {
            let _ = encrypt(&key, address, &data);
            let _ = decrypt(&key, address, &data);
        }
    }
}
