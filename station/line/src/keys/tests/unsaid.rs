//! Crashes between the end of a key and its event.

use super::*;
use crate::event::{Event, EventKind};
use crate::journal::{Journal, OpenOptions, Reader};

/// A key that is sealed, in a place with a journal.
struct Told {
    place: Place,
    journal: Journal,
    wish: KeyOrder,
}

impl Told {
    fn new(owner: KeyOwner) -> Self {
        let place = Place::new();
        let path = place.folder().with_file_name("unsaid.db");
        let journal = Journal::open(&path, &OpenOptions::simulation(noon())).unwrap();
        let wish = order("flash", owner, KeyKind::XtsAes128);
        place.store().obtain(&wish, noon()).unwrap();
        Self {
            place,
            journal,
            wish,
        }
    }

    fn store(&self) -> KeyStore {
        self.place.store()
    }

    fn forget(&self) -> KeyRecord {
        let end = end("the line is gone", noon());
        let (name, owner) = (&self.wish.name, &self.wish.owner);
        self.store().forget(name, owner, end).unwrap()
    }

    async fn say(&self) -> usize {
        let said = self.store().say_unsaid(&self.journal, noon()).await;
        said.unwrap()
    }

    fn ends(&self) -> Vec<EventKind> {
        let path = self.place.folder().with_file_name("unsaid.db");
        let events = Reader::open(&path).unwrap();
        let events = events
            .events_since(crate::event::Seq(0), None, 100)
            .unwrap();
        let kinds = events.into_iter().map(|event: Event| event.kind);
        kinds
            .filter(|kind| matches!(kind, EventKind::KeyForgotten { .. }))
            .collect()
    }
}

#[tokio::test]
async fn a_key_that_ended_without_the_journal_is_said_by_whoever_comes_next_and_once() {
    for owner in [KeyOwner::Shared, unit(1)] {
        let told = Told::new(owner);
        let record = told.forget();
        // The process ended here: no event.
        assert!(KeyStore::is_unsaid_in(&told.place.folder()));
        assert_eq!(
            told.store().unsaid().unwrap(),
            std::slice::from_ref(&record)
        );
        assert_eq!(told.say().await, 1);
        let said = told.ends();
        assert_eq!(said, [record.end(None).unwrap()]);
        let EventKind::KeyForgotten { by, reason, .. } = &said[0] else {
            panic!("{said:?}");
        };
        assert_eq!((by.as_str(), reason.as_str()), ("anna", "the line is gone"));
        assert!(!KeyStore::is_unsaid_in(&told.place.folder()));
        assert_eq!((told.say().await, told.ends().len()), (0, 1));
    }
}

#[tokio::test]
async fn what_the_journal_has_is_not_said_again() {
    let told = Told::new(unit(1));
    let record = told.forget();
    let end = record.end(None).unwrap();
    told.journal.note(noon(), end).await.unwrap();
    // The process ended here: the mark is left.
    assert_eq!((told.say().await, told.ends().len()), (0, 1));
    assert!(!KeyStore::is_unsaid_in(&told.place.folder()));
}

#[tokio::test]
async fn a_mark_of_a_key_that_is_still_there_means_nothing() {
    let told = Told::new(unit(1));
    let (name, owner) = (&told.wish.name, &told.wish.owner);
    {
        let store = told.store();
        let _turn = store.files().turn().unwrap();
        store.mark(name, owner).unwrap();
    }
    assert_eq!((told.say().await, told.ends()), (0, Vec::new()));
    assert!(!KeyStore::is_unsaid_in(&told.place.folder()));
    told.store().reveal(name, owner).unwrap();
}

#[tokio::test]
async fn a_sealed_file_beside_its_tombstone_is_gone_before_its_end_is_said() {
    let told = Told::new(unit(1));
    let sealed = told.place.file("units/7cdfa1000001/flash.age");
    let bytes = fs::read(&sealed).unwrap();
    told.forget();
    fs::write(&sealed, bytes).unwrap();
    assert_eq!(told.say().await, 1);
    assert!(!sealed.exists());
}

#[test]
fn the_name_of_the_stations_own_key_is_nobodys() {
    let place = Place::new();
    let store = place.store();
    store.station_key(noon()).unwrap();
    let code = |error: KeyError| error.code();
    for owner in [KeyOwner::Shared, unit(1)] {
        let wish = order(STATION_KEY, owner.clone(), KeyKind::Ed25519);
        let made = store.obtain(&wish, noon()).map(drop);
        assert_eq!(made.map_err(code), Err("key-reserved"));
        let shown = store.reveal(&name(STATION_KEY), &owner).map(drop);
        assert_eq!(shown.map_err(code), Err("key-reserved"));
        let signs = store.signer(&name(STATION_KEY), &owner).map(drop);
        assert_eq!(signs.map_err(code), Err("key-reserved"));
    }
    // The station goes on with its own.
    let trusted = store.trusted_keys().unwrap();
    let own = store.station_key(noon()).unwrap().public_hex();
    assert_eq!(trusted.keys(), [own]);
}
