//! A key from its making to its end.

use std::process::Command;

use super::*;

#[test]
fn a_unit_gets_the_same_key_for_life() {
    let place = Place::new();
    let wish = order("flash", unit(1), KeyKind::XtsAes256);
    let (record, secret) = KeyStore::open(place.folder())
        .unwrap()
        .obtain(&wish, noon())
        .unwrap();
    assert_eq!(secret.len(), 64);
    assert_eq!(record.fingerprint, secret.fingerprint());
    let store = place.store();
    let (again, same) = store.obtain(&wish, DateTime::<Utc>::UNIX_EPOCH).unwrap();
    assert_eq!((&again, same == secret), (&record, true));
    assert!(store.reveal(&wish.name, &wish.owner).unwrap() == secret);
    let (_, other) = store
        .obtain(&order("flash", unit(2), KeyKind::XtsAes256), noon())
        .unwrap();
    assert!(other != secret);
    let (_, shared) = store
        .obtain(
            &order("flash", KeyOwner::Shared, KeyKind::XtsAes256),
            noon(),
        )
        .unwrap();
    assert!(shared != secret && shared != other);
}

#[test]
fn another_key_of_the_same_name_is_refused_and_changes_nothing() {
    let place = Place::new();
    let store = place.store();
    let first = given("hmac", unit(1), KeyKind::Hmac, vec![1; 32]);
    store.obtain(&first, noon()).unwrap();
    store.obtain(&first, noon()).unwrap();
    let code = |order: KeyOrder| store.obtain(&order, noon()).unwrap_err().code();
    let other = given("hmac", unit(1), KeyKind::Hmac, vec![2; 32]);
    assert_eq!(code(other), "key-differs");
    let kind = order("hmac", unit(1), KeyKind::XtsAes128);
    assert_eq!(code(kind), "key-kind-differs");
    let generated = order("hmac", unit(1), KeyKind::Hmac);
    let (_, secret) = store.obtain(&generated, noon()).unwrap();
    assert_eq!(secret.expose(), [1; 32]);
}

#[test]
fn a_given_key_has_the_size_of_its_kind() {
    let place = Place::new();
    let store = place.store();
    for (kind, bytes) in [
        (KeyKind::XtsAes128, vec![1; 31]),
        (KeyKind::XtsAes256, vec![1; 32]),
        (KeyKind::Aes128, vec![]),
        (KeyKind::Hmac, vec![0; 32]),
        (KeyKind::Rsa3072, vec![b'x'; 300]),
        (KeyKind::EcdsaP256, vec![1; 33]),
        (KeyKind::Raw(7), vec![1; 8]),
        (
            KeyKind::Rsa3072,
            [b"-----BEGIN ".as_slice(), &[b'x'; 20_000]].concat(),
        ),
    ] {
        let error = store
            .obtain(&given("k", unit(1), kind, bytes), noon())
            .unwrap_err();
        assert_eq!(error.code(), "key-size", "{kind}");
    }
    assert_eq!(store.list().unwrap(), []);
}

#[test]
fn a_forgotten_key_is_gone_and_never_made_anew() {
    let place = Place::new();
    let store = place.store();
    let wish = order("flash", unit(1), KeyKind::XtsAes128);
    let code = |error: KeyError| error.code();
    let never = store.forget(&wish.name, &wish.owner, end("why", noon()));
    assert_eq!(never.map_err(code).unwrap_err(), "key-unknown");
    let (_, secret) = store.obtain(&wish, noon()).unwrap();
    let record = store
        .forget(&wish.name, &wish.owner, end("custody", noon()))
        .unwrap();
    assert_eq!(record.forgotten.as_ref().unwrap().reason, "custody");
    let later = DateTime::<Utc>::MAX_UTC;
    let again = store
        .forget(&wish.name, &wish.owner, end("other", later))
        .unwrap();
    assert_eq!(again, record);
    assert!(
        !files(&place.folder())
            .iter()
            .any(|f| f.ends_with("flash.age"))
    );
    for store in [store, place.store()] {
        assert_eq!(
            store.obtain(&wish, noon()).map_err(code).unwrap_err(),
            "key-forgotten"
        );
        let same = given(
            "flash",
            unit(1),
            KeyKind::XtsAes128,
            secret.expose().to_vec(),
        );
        assert_eq!(
            store.obtain(&same, noon()).map_err(code).unwrap_err(),
            "key-forgotten"
        );
        let shown = store.reveal(&wish.name, &wish.owner);
        assert_eq!(shown.map_err(code).unwrap_err(), "key-forgotten");
        assert_eq!(store.list().unwrap(), std::slice::from_ref(&record));
    }
}

#[test]
fn every_age_tool_with_the_right_identity_opens_a_kept_key_and_no_forgotten_one() {
    let place = Place::new();
    let store = place.store();
    let offline = age::x25519::Identity::generate();
    let list = format!("# safe\n\n{}\n", offline.to_public());
    fs::write(place.file("recipients.txt"), list).unwrap();
    let (_, kept) = store
        .obtain(&order("flash", unit(1), KeyKind::XtsAes128), noon())
        .unwrap();
    let mut fleeting = order("hmac", unit(1), KeyKind::Hmac);
    fleeting.custody = Custody::Forget;
    store.obtain(&fleeting, noon()).unwrap();
    let open = |file: &str| age::decrypt(&offline, &fs::read(place.file(file)).unwrap());
    assert_eq!(open("units/7cdfa1000001/flash.age").unwrap(), kept.expose());
    let stranger = Command::new("age")
        .arg("--decrypt")
        .arg("--identity")
        .args([
            place.file("identity.txt"),
            place.file("units/7cdfa1000001/flash.age"),
        ])
        .output()
        .expect("age is installed, see `tests/run`");
    assert!(stranger.status.success() && stranger.stdout == kept.expose());
    assert!(open("units/7cdfa1000001/hmac.age").is_err());
}

#[test]
fn keys_sealed_before_a_recipient_joined_are_sealed_anew_on_demand() {
    let place = Place::new();
    let store = place.store();
    let (_, kept) = store
        .obtain(&order("flash", unit(1), KeyKind::XtsAes128), noon())
        .unwrap();
    let gone = order("gone", unit(1), KeyKind::Hmac);
    store.obtain(&gone, noon()).unwrap();
    store
        .forget(&gone.name, &gone.owner, end("custody", noon()))
        .unwrap();
    let offline = age::x25519::Identity::generate();
    fs::write(
        place.file("recipients.txt"),
        offline.to_public().to_string(),
    )
    .unwrap();
    assert_eq!(store.reseal().unwrap(), 1);
    let sealed = fs::read(place.file("units/7cdfa1000001/flash.age")).unwrap();
    assert_eq!(age::decrypt(&offline, &sealed).unwrap(), kept.expose());
}

#[test]
fn a_simulation_gives_the_same_keys_again_and_others_from_another_seed() {
    let draw = |seed| {
        let place = Place::new();
        let store = KeyStore::open_with(place.folder(), KeyStoreOptions::simulation(seed)).unwrap();
        let keys = [KeyKind::XtsAes256, KeyKind::EcdsaP192, KeyKind::EcdsaP384].map(|kind| {
            store
                .obtain(&order(&kind.to_string(), unit(1), kind), noon())
                .unwrap()
                .1
        });
        keys.map(|key| key.expose().to_vec())
    };
    assert!(draw(1) == draw(1));
    assert!(draw(1) != draw(2));
}

#[test]
fn nothing_that_is_shown_or_written_beside_a_key_holds_it() {
    let place = Place::new();
    let store = place.store();
    for (number, kind) in [
        KeyKind::Aes128,
        KeyKind::XtsAes128,
        KeyKind::XtsAes256,
        KeyKind::EcdsaP256,
        KeyKind::Ed25519,
    ]
    .into_iter()
    .enumerate()
    {
        let owner = unit(u8::try_from(number).unwrap());
        let wish = order("k", owner, kind);
        let (record, secret) = store.obtain(&wish, noon()).unwrap();
        let again = given("k", wish.owner.clone(), kind, secret.expose().to_vec());
        let mut wrong = again.clone();
        let mut other = secret.expose().to_vec();
        other[0] ^= 1;
        wrong.source = KeySource::Given(Secret::new(other));
        let error = store.obtain(&wrong, noon()).unwrap_err();
        let shown = format!(
            "{record:?} {again:?} {store:?} {error} {error:?} {:?} {}",
            store.list().unwrap(),
            serde_json::to_string(&record).unwrap(),
        );
        assert_hidden(&secret, shown.as_bytes(), "what is shown");
        for file in files(&place.folder()) {
            assert_hidden(
                &secret,
                &fs::read(&file).unwrap(),
                &file.display().to_string(),
            );
        }
    }
}
