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
