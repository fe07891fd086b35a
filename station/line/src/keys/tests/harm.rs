//! Crashes, hostile files and careless owners.

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

#[test]
fn a_crash_while_a_key_is_made_or_forgotten_leaves_a_key_or_none() {
    let place = Place::new();
    let store = place.store();
    let wish = order("flash", unit(1), KeyKind::XtsAes128);
    let sealed = place.file("units/7cdfa1000001/flash.age");
    let record = place.file("units/7cdfa1000001/flash.json");
    // Sealed, not yet recorded: the same key goes on.
    let (_, sealed_first) = store.obtain(&wish, noon()).unwrap();
    fs::remove_file(&record).unwrap();
    assert_eq!(store.list().unwrap(), []);
    let (_, secret) = store.obtain(&wish, noon()).unwrap();
    assert!(secret == sealed_first);
    // Half a file beside its place.
    for path in [&sealed, &record] {
        fs::write(format!("{}.new", path.display()), b"age-encr").unwrap();
    }
    assert!(store.obtain(&wish, noon()).unwrap().1 == secret);
    // The tombstone is there, the sealed key as well: forgetting goes on.
    let bytes = fs::read(&sealed).unwrap();
    store
        .forget(&wish.name, &wish.owner, end("custody", noon()))
        .unwrap();
    fs::write(&sealed, bytes).unwrap();
    assert_eq!(
        store.reveal(&wish.name, &wish.owner).unwrap_err().code(),
        "key-forgotten"
    );
    store
        .forget(&wish.name, &wish.owner, end("custody", noon()))
        .unwrap();
    assert!(!sealed.exists());
    assert!(!place.file("units/7cdfa1000001/flash.age.new").exists());
}

#[test]
fn a_sealed_key_whose_record_is_lost_is_never_overwritten() {
    let place = Place::new();
    let store = place.store();
    let wish = order("flash", unit(1), KeyKind::XtsAes128);
    let (_, secret) = store.obtain(&wish, noon()).unwrap();
    let sealed = place.file("units/7cdfa1000001/flash.age");
    let bytes = fs::read(&sealed).unwrap();
    fs::remove_file(place.file("units/7cdfa1000001/flash.json")).unwrap();
    let code = |order: &KeyOrder| store.obtain(order, noon()).unwrap_err().code();
    let other = given("flash", unit(1), KeyKind::XtsAes128, vec![7; 32]);
    assert_eq!(code(&other), "key-differs");
    let kind = order("flash", unit(1), KeyKind::XtsAes256);
    assert_eq!(code(&kind), "key-size");
    fs::write(&sealed, b"age-encryption.org/v1\n").unwrap();
    assert_eq!(code(&wish), "key-damaged");
    fs::write(&sealed, bytes).unwrap();
    assert!(store.obtain(&wish, noon()).unwrap().1 == secret);
    assert_eq!(store.list().unwrap().len(), 1);
}

#[test]
fn nobody_gets_a_key_that_the_disk_does_not_have() {
    let place = Place::new();
    let store = place.store();
    let wish = order("flash", unit(1), KeyKind::XtsAes128);
    let waited = |store: &KeyStore, paths: &[&str]| {
        let synced = store.files().synced();
        for path in paths {
            let path = match *path {
                "" => place.folder(),
                inside => place.file(inside),
            };
            assert!(synced.contains(&path), "{} in {synced:?}", path.display());
        }
    };
    store.files().synced();
    store.obtain(&wish, noon()).unwrap();
    waited(&store, &["", "units", "units/7cdfa1000001"]);
    // Whoever made it may have been cut off between the move and the disk.
    store.obtain(&wish, noon()).unwrap();
    let all = [
        "",
        "units",
        "units/7cdfa1000001",
        "units/7cdfa1000001/flash.age",
        "units/7cdfa1000001/flash.json",
    ];
    waited(&store, &all);
    waited(&place.store(), &["", "identity.txt"]);
}

#[test]
fn a_key_that_is_to_be_kept_after_all_is_escrowed() {
    let place = Place::new();
    let store = place.store();
    let offline = age::x25519::Identity::generate();
    let list = offline.to_public().to_string();
    fs::write(place.file("recipients.txt"), list).unwrap();
    let mut wish = order("hmac", unit(1), KeyKind::Hmac);
    wish.custody = Custody::Forget;
    let (_, secret) = store.obtain(&wish, noon()).unwrap();
    wish.custody = Custody::Escrow;
    let (record, _) = store.obtain(&wish, noon()).unwrap();
    assert_eq!(record.custody, Custody::Escrow);
    let sealed = fs::read(place.file("units/7cdfa1000001/hmac.age")).unwrap();
    assert_eq!(age::decrypt(&offline, &sealed).unwrap(), secret.expose());
}

#[test]
fn what_lies_where_a_file_is_prepared_is_neither_followed_nor_kept() {
    let place = Place::new();
    let store = place.store();
    let wish = order("flash", unit(1), KeyKind::XtsAes128);
    store.obtain(&wish, noon()).unwrap();
    let victim = place.file("victim");
    fs::write(&victim, b"mine").unwrap();
    let fresh = place.file("units/7cdfa1000001/flash.json.new");
    std::os::unix::fs::symlink(&victim, &fresh).unwrap();
    let sealed = place.file("units/7cdfa1000001/flash.age");
    fs::remove_file(&sealed).unwrap();
    std::os::unix::fs::symlink(&victim, &sealed).unwrap();
    let refused = store.forget(&wish.name, &wish.owner, end("custody", noon()));
    assert_eq!(refused.unwrap_err().code(), "key-store-format");
    assert_eq!(fs::read(&victim).unwrap(), b"mine");
    let record = place.file("units/7cdfa1000001/flash.json");
    assert!(fs::symlink_metadata(&record).unwrap().is_file());
    assert!(!fresh.exists());
}

#[test]
fn lists_that_others_can_change_are_not_believed() {
    let place = Place::new();
    let store = place.store();
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let list = place.file("recipients.txt");
    let offline = age::x25519::Identity::generate();
    fs::write(&list, offline.to_public().to_string()).unwrap();
    fs::create_dir(place.file("trusted")).unwrap();
    let key = place.file("trusted/other.pub");
    fs::write(&key, "ab").unwrap();
    let obtain = |number| store.obtain(&order("k", unit(number), KeyKind::Hmac), noon());
    open(&list, 0o666);
    obtain(1).expect("nobody else gets into the folder");
    open(&place.folder(), 0o711);
    assert_eq!(obtain(2).unwrap_err().code(), "key-store-permissions");
    open(&list, 0o644);
    obtain(2).unwrap();
    let code = || store.trusted_keys().unwrap_err().code();
    for (folder, file) in [(0o777, 0o644), (0o755, 0o666)] {
        open(&place.file("trusted"), folder);
        open(&key, file);
        assert_eq!(code(), "key-store-permissions");
    }
    open(&key, 0o644);
    assert_eq!(code(), "key-store-format");
}

#[test]
fn a_record_that_nobody_could_read_again_is_not_written() {
    let place = Place::new();
    let store = place.store();
    let mut wish = order("flash", unit(1), KeyKind::XtsAes128);
    wish.purpose = Some("x".repeat(70_000));
    let refused = store.obtain(&wish, noon()).unwrap_err();
    assert_eq!(refused.code(), "key-store-format");
    wish.purpose = None;
    store.obtain(&wish, noon()).unwrap();
}

#[test]
fn a_list_of_recipients_with_anything_else_in_it_seals_nothing() {
    let place = Place::new();
    let store = place.store();
    for text in [
        "age1nothing\n",
        "\n# x\nssh-ed25519 AAAA\n",
        "AGE-SECRET-KEY-1QQ",
    ] {
        fs::write(place.file("recipients.txt"), text).unwrap();
        let error = store
            .obtain(&order("flash", unit(1), KeyKind::XtsAes128), noon())
            .unwrap_err();
        assert_eq!(error.code(), "key-recipients");
        assert!(!format!("{error} {error:?}").contains("QQ"));
    }
    assert_eq!(store.list().unwrap(), []);
}

#[test]
fn a_damaged_or_swapped_key_file_is_named_and_never_replaced() {
    let harms: [fn(&Place); 7] = [
        |place| fs::write(place.file("units/7cdfa1000001/flash.age"), b"").unwrap(),
        |place| fs::write(place.file("units/7cdfa1000001/flash.age"), [b'x'; 100_000]).unwrap(),
        |place| fs::remove_file(place.file("units/7cdfa1000001/flash.age")).unwrap(),
        |place| {
            let path = place.file("units/7cdfa1000001/flash.age");
            let mut bytes = fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |place| {
            let from = place.file("units/7cdfa1000002/flash.age");
            fs::copy(from, place.file("units/7cdfa1000001/flash.age")).unwrap();
        },
        |place| {
            let from = place.file("units/7cdfa1000002/flash.json");
            fs::copy(from, place.file("units/7cdfa1000001/flash.json")).unwrap();
        },
        |place| fs::write(place.file("units/7cdfa1000001/flash.json"), b"{}").unwrap(),
    ];
    for (number, harm) in harms.into_iter().enumerate() {
        let place = Place::new();
        let store = place.store();
        for owner in [unit(1), unit(2)] {
            let order = order("flash", owner, KeyKind::XtsAes128);
            store.obtain(&order, noon()).unwrap();
        }
        harm(&place);
        let before: Vec<_> = files(&place.folder())
            .iter()
            .map(|file| fs::read(file).unwrap())
            .collect();
        let wish = order("flash", unit(1), KeyKind::XtsAes128);
        let code = store.obtain(&wish, noon()).unwrap_err().code();
        assert!(
            matches!(code, "key-damaged" | "key-store-format"),
            "{number}: {code}"
        );
        store.reveal(&wish.name, &wish.owner).unwrap_err();
        let after: Vec<_> = files(&place.folder())
            .iter()
            .map(|file| fs::read(file).unwrap())
            .collect();
        assert_eq!(before, after, "harm {number}");
    }
}

#[test]
fn only_the_owner_can_read_a_store_and_a_careless_one_is_refused() {
    let place = Place::new();
    let store = KeyStore::open(place.folder()).unwrap();
    store
        .obtain(&order("flash", unit(1), KeyKind::XtsAes128), noon())
        .unwrap();
    for file in files(&place.folder()) {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    open(&place.file("identity.txt"), 0o644).unwrap();
    let refused = KeyStore::open(place.folder()).unwrap_err();
    assert_eq!(refused.code(), "key-store-permissions");
    open(&place.file("identity.txt"), 0o600).unwrap();
    open(&place.folder(), 0o777).unwrap();
    let refused = KeyStore::open(place.folder()).unwrap_err();
    assert_eq!(refused.code(), "key-store-permissions");
}

#[test]
fn a_lost_identity_is_not_replaced_while_there_are_keys() {
    let place = Place::new();
    let store = place.store();
    let before = store.recipient();
    drop(store);
    fs::remove_file(place.file("identity.txt")).unwrap();
    let store = place.store();
    assert_ne!(store.recipient(), before);
    store
        .obtain(&order("flash", unit(1), KeyKind::XtsAes128), noon())
        .unwrap();
    fs::remove_file(place.file("identity.txt")).unwrap();
    let refused = KeyStore::open(place.folder()).unwrap_err();
    assert_eq!(refused.code(), "key-store-format");
    fs::write(place.file("identity.txt"), "AGE-SECRET-KEY-1NOTONE").unwrap();
    fs::set_permissions(
        place.file("identity.txt"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let refused = KeyStore::open(place.folder()).unwrap_err();
    assert_eq!(refused.code(), "key-store-format");
    assert!(!format!("{refused:?}").contains("NOTONE"));
}

#[test]
fn a_name_never_leaves_its_folder() {
    for text in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "A",
        "-a",
        "_a",
        "a.b",
        "a b",
        "ä",
        "a\0",
        &"a".repeat(65),
    ] {
        assert_eq!(
            KeyName::parse(text).unwrap_err().code(),
            "key-name",
            "{text}"
        );
    }
    for text in ["7C:DF:A1:00:00:01", "..", "00:00:00:00:00:00", "Shared"] {
        assert_eq!(text.parse::<KeyOwner>().unwrap_err().code(), "key-owner");
    }
    for text in ["raw-0", "raw-1025", "raw-07", "raw-", "rsa", "XTS-AES128"] {
        assert_eq!(text.parse::<KeyKind>().unwrap_err().code(), "key-kind");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn hostile_files_are_refused_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        which in 0..4_usize,
        keep in any::<bool>(),
    ) {
        let place = Place::new();
        let store = place.store();
        let wish = order("flash", unit(1), KeyKind::XtsAes128);
        let (_, secret) = store.obtain(&wish, noon()).unwrap();
        let path = place.file([
            "units/7cdfa1000001/flash.age",
            "units/7cdfa1000001/flash.json",
            "recipients.txt",
            "identity.txt",
        ][which]);
        let mut content = if keep { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        content.extend(&bytes);
        fs::write(&path, content).unwrap();
        let _ = store.list();
        if let Ok((_, found)) = store.obtain(&wish, noon()) {
            prop_assert!(found == secret);
        }
        let _ = KeyStore::open(place.folder());
    }
}
