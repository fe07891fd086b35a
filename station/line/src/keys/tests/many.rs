//! Many who ask at once: bays and processes.

use std::process::Command;

use super::*;

#[test]
fn sixty_four_bays_get_each_unit_its_own_key_and_all_the_same_shared_one() {
    let place = Place::new();
    let stores = [place.store(), place.store()];
    let keys: Vec<_> = std::thread::scope(|scope| {
        let bays: Vec<_> = (0..64_u8)
            .map(|bay| {
                let store = stores[usize::from(bay % 2)].clone();
                scope.spawn(move || {
                    let own = order("flash", unit(bay / 2), KeyKind::XtsAes128);
                    let shared = order("site", KeyOwner::Shared, KeyKind::Hmac);
                    let (_, own) = store.obtain(&own, noon()).unwrap();
                    let (_, shared) = store.obtain(&shared, noon()).unwrap();
                    (bay / 2, own, shared)
                })
            })
            .collect();
        bays.into_iter().map(|bay| bay.join().unwrap()).collect()
    });
    for (unit, own, shared) in &keys {
        assert!(*shared == keys[0].2);
        for (other, theirs, _) in &keys {
            assert_eq!(unit == other, own == theirs, "{unit} and {other}");
        }
    }
    assert_eq!(stores[0].list().unwrap().len(), 33);
}

/// Started by the test below, as another process that uses the same store.
#[test]
#[ignore = "started by the test below, with a store to use"]
fn another_process_that_asks_for_keys() {
    let folder = PathBuf::from(std::env::var_os("STATION_TEST_KEYS").unwrap());
    let store = quick(&folder);
    for number in 0..40 {
        let order = order("flash", unit(number), KeyKind::XtsAes128);
        store.obtain(&order, noon()).unwrap();
    }
}

#[test]
fn two_processes_agree_on_every_key() {
    let place = Place::new();
    drop(place.store());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "keys::tests::many::another_process_that_asks_for_keys",
        ])
        .env("STATION_TEST_KEYS", place.folder())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let store = place.store();
    let mine: Vec<_> = (0..40)
        .map(|number| {
            let order = order("flash", unit(number), KeyKind::XtsAes128);
            store.obtain(&order, noon()).unwrap().1
        })
        .collect();
    assert!(child.wait().unwrap().success());
    for (number, key) in (0..40).zip(&mine) {
        assert!(store.reveal(&name("flash"), &unit(number)).unwrap() == *key);
    }
}
