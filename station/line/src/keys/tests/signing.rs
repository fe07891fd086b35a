//! Keys that sign.

use station_esp::secure::signature::{Algorithm, PrivateKey, Signer as _};

use super::*;

#[test]
fn what_claims_to_be_a_key_that_signs_is_read_before_it_is_kept() {
    let place = Place::new();
    let store = place.store();
    let pem = b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n".to_vec();
    let random = &mut system_random().unwrap();
    let p256 = PrivateKey::generate(Algorithm::EcdsaP256, random).unwrap();
    for (kind, bytes) in [
        (KeyKind::Rsa3072, pem.clone()),
        (KeyKind::EcdsaP384, pem),
        (KeyKind::EcdsaP384, p256.to_pem().expose().to_vec()),
        (KeyKind::EcdsaP256, vec![0xFF; 32]),
    ] {
        let order = given("k", KeyOwner::Shared, kind, bytes);
        let error = store.obtain(&order, noon()).unwrap_err();
        assert_eq!(error.code(), "key-unreadable", "{kind}");
    }
    assert_eq!(store.list().unwrap(), []);
}

#[test]
fn a_key_on_a_curve_is_the_same_as_a_number_and_as_pem() {
    let place = Place::new();
    let store = place.store();
    let random = &mut system_random().unwrap();
    for kind in [KeyKind::EcdsaP192, KeyKind::EcdsaP256, KeyKind::EcdsaP384] {
        let drawn = order(&format!("{kind}"), KeyOwner::Shared, kind);
        let (record, number) = store.obtain(&drawn, noon()).unwrap();
        let key = store.signer(&drawn.name, &drawn.owner).unwrap();
        assert_eq!(key.scalar().unwrap().expose(), number.expose());
        assert_eq!(record.public, Some(key.public().to_pem()));
        assert!(burnable(kind, &number).unwrap() == number);
        let pem = key.to_pem().expose().to_vec();
        let imported = given(&format!("{kind}-pem"), KeyOwner::Shared, kind, pem);
        let (again, text) = store.obtain(&imported, noon()).unwrap();
        assert_eq!(again.public, record.public);
        assert!(burnable(kind, &text).unwrap() == number);
        let digest = key.algorithm().hash(b"firmware");
        let signature = key.sign(&digest, random).unwrap();
        key.public().verify(&digest, &signature).unwrap();
    }
}

#[test]
fn an_rsa_key_is_made_kept_and_signs() {
    let place = Place::new();
    let store = place.store();
    let wish = order("boot", KeyOwner::Shared, KeyKind::Rsa3072);
    let (record, secret) = store.obtain(&wish, noon()).unwrap();
    assert!(
        record
            .public
            .unwrap()
            .starts_with("-----BEGIN PUBLIC KEY-----")
    );
    assert_eq!(
        burnable(KeyKind::Rsa3072, &secret).unwrap_err().code(),
        "key-unreadable"
    );
    let key = place.store().signer(&wish.name, &wish.owner).unwrap();
    let digest = key.algorithm().hash(b"firmware");
    let signature = key.sign(&digest, &mut system_random().unwrap()).unwrap();
    key.public().verify(&digest, &signature).unwrap();
    for file in files(&place.folder()) {
        assert_hidden(
            &secret,
            &fs::read(&file).unwrap(),
            &file.display().to_string(),
        );
    }
}

#[test]
fn the_station_signs_with_one_key_and_trusts_those_it_was_given() {
    let place = Place::new();
    let store = place.store();
    assert_eq!(store.trusted_keys().unwrap().keys(), [] as [String; 0]);
    let own = store.station_key(noon()).unwrap().public_hex();
    assert_eq!(place.store().station_key(noon()).unwrap().public_hex(), own);
    assert_eq!(
        store.trusted_keys().unwrap().keys(),
        std::slice::from_ref(&own)
    );
    let other = Place::new()
        .store()
        .station_key(noon())
        .unwrap()
        .public_hex();
    fs::create_dir(place.file("trusted")).unwrap();
    fs::write(place.file("trusted/line2.pub"), other.to_uppercase() + "\n").unwrap();
    fs::write(place.file("trusted/README"), "anything").unwrap();
    let mut both = [own, other];
    both.sort();
    assert_eq!(store.trusted_keys().unwrap().keys(), both);
    fs::write(place.file("trusted/bad.pub"), "00").unwrap();
    assert_eq!(store.trusted_keys().unwrap_err().code(), "key-store-format");
}

/// Made with `openssl ecparam -name … -genkey`, as SEC1 and as PKCS#8; the last is what espefuse 5.6
/// shows after `burn-key BLOCK_KEY0 key.pem ECDSA_KEY…`, in the order of the fuses.
const BURNED: [(&str, &str, &str, &str); 3] = [
    (
        "ECDSA_KEY_P192",
        "-----BEGIN EC PRIVATE KEY-----\n\
         MF8CAQEEGNk3ao7unKpQ2+O39PADUdx1l+2ui+7ST6AKBggqhkjOPQMBAaE0AzIA\n\
         BI0RJ77VuoeBYlhLGVnJZDmpyov4aNguMgX3dddHwzv0svfIyPn0GwUzxvH5WziV\n\
         bw==\n\
         -----END EC PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n\
         MG8CAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQEEVTBTAgEBBBjZN2qO7pyqUNvjt/Tw\n\
         A1HcdZftrovu0k+hNAMyAASNESe+1bqHgWJYSxlZyWQ5qcqL+GjYLjIF93XXR8M7\n\
         9LL3yMj59BsFM8bx+Vs4lW8=\n\
         -----END PRIVATE KEY-----\n",
        "4fd2ee8baeed9775dc5103f0f4b7e3db50aa9cee8e6a37d90000000000000000",
    ),
    (
        "ECDSA_KEY_P256",
        "-----BEGIN EC PRIVATE KEY-----\n\
         MHcCAQEEIIgIhSN6ea9LFKR1+V3ocp30Rbm59znlqQJulO296RA2oAoGCCqGSM49\n\
         AwEHoUQDQgAEmDtlATnCCK65gUAIdHG+mvjfezjbXIrGaMbMWyHSmXliNUW3ddUT\n\
         FXgAfHwfnbA9kiI21GLLFGlN4/Z6y27X8Q==\n\
         -----END EC PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n\
         MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgiAiFI3p5r0sUpHX5\n\
         XehynfRFubn3OeWpAm6U7b3pEDahRANCAASYO2UBOcIIrrmBQAh0cb6a+N97ONtc\n\
         isZoxsxbIdKZeWI1Rbd11RMVeAB8fB+dsD2SIjbUYssUaU3j9nrLbtfx\n\
         -----END PRIVATE KEY-----\n",
        "3610e9bded946e02a9e539f7b9b945f49d72e85df975a4144baf797a23850888",
    ),
    (
        "ECDSA_KEY_P384",
        "-----BEGIN EC PRIVATE KEY-----\n\
         MIGkAgEBBDCo1SLBxRqIwWek/ftnFKxnKp/De29xQZwyfRKCP0S2FT2T1WAlp6bl\n\
         HAAOse6h2cWgBwYFK4EEACKhZANiAASI+M4K9JXDTNQo4Z30iRTF2163JNByFadZ\n\
         GfG/e4Mhe0LKdN/aXljLbwp9cB8jTIm3XikN4NfNvxnAvHOZePs577rDBpyJBstz\n\
         FUdj1O139WiMKos0qe15x6F/03TRW6w=\n\
         -----END EC PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n\
         MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCo1SLBxRqIwWek/ftn\n\
         FKxnKp/De29xQZwyfRKCP0S2FT2T1WAlp6blHAAOse6h2cWhZANiAASI+M4K9JXD\n\
         TNQo4Z30iRTF2163JNByFadZGfG/e4Mhe0LKdN/aXljLbwp9cB8jTIm3XikN4NfN\n\
         vxnAvHOZePs577rDBpyJBstzFUdj1O139WiMKos0qe15x6F/03TRW6w=\n\
         -----END PRIVATE KEY-----\n",
        "c5d9a1eeb10e001ce5a6a72560d5933d15b6443f82127d329c41716f7bc39f2a67ac1467fbfda467c1881ac5c122d5a800000000000000000000000000000000",
    ),
];

#[test]
fn pem_of_the_right_curve_is_burned_as_espefuse_burns_it_and_another_curve_is_named() {
    for (purpose, sec1, pkcs8, fuses) in BURNED {
        for pem in [sec1, pkcs8] {
            let key = for_purpose(purpose, &Secret::new(pem.as_bytes().to_vec())).unwrap();
            // The chip takes the number with its lowest byte first, and zeros after it.
            let mut reversed: Vec<u8> = key.expose().iter().rev().copied().collect();
            reversed.resize(fuses.len() / 2, 0);
            assert_eq!(hex::encode(reversed), fuses, "{purpose}");
        }
        for (other, pem, _, _) in BURNED.iter().filter(|(other, ..)| *other != purpose) {
            let error = for_purpose(purpose, &Secret::new(pem.as_bytes().to_vec()));
            let error = error.unwrap_err();
            assert_eq!(error.code(), "key-unreadable");
            let curve = other.rsplit_once("_P").unwrap().1;
            assert!(
                error.to_string().contains(&format!("`ecdsa-p{curve}`")),
                "{error}"
            );
        }
    }
}

#[test]
fn a_purpose_of_two_curves_fills_up_the_shorter_and_refuses_all_others() {
    let (_, p192, _, fuses) = BURNED[0];
    let key = for_purpose("ECDSA_KEY", &Secret::new(p192.as_bytes().to_vec())).unwrap();
    let reversed: Vec<u8> = key.expose().iter().rev().copied().collect();
    assert_eq!(hex::encode(reversed), fuses);
    let (_, p384, ..) = BURNED[2];
    let refused = for_purpose("ECDSA_KEY", &Secret::new(p384.as_bytes().to_vec()));
    assert!(refused.unwrap_err().to_string().contains("`ecdsa-p384`"));
    // A number that is none of the curve, and one of no length.
    for bytes in [vec![0xFF; 32], vec![7; 31]] {
        for_purpose("ECDSA_KEY", &Secret::new(bytes)).unwrap_err();
    }
    let hmac = Secret::new(vec![0xFF; 31]);
    assert!(for_purpose("HMAC_UP", &hmac).unwrap() == hmac);
}
