//! A journal that an earlier station made, and the tables of this edition.

use rusqlite::Connection;

use super::story::{Place, Story, mac, noon};
use crate::journal::{Journal, OpenOptions, Reader, rebuild};
use crate::outcome::Outcome;

/// Takes a journal back to the first edition of its schema.
fn take_back(place: &Place) {
    Connection::open(place.path())
        .unwrap()
        .execute_batch(
            "DROP TABLE burn; DROP TABLE approval; DROP TABLE release; DROP TABLE key;
             DROP TABLE quarantine; DROP INDEX event_that_uses_an_approval;
             DROP INDEX event_about_a_release;
             PRAGMA user_version = 1",
        )
        .unwrap();
}

async fn first_edition() -> Place {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 1).await;
    story.unit(1, &mac(1), Outcome::Pass).await;
    story.end().await;
    drop(journal);
    take_back(&place);
    place
}

#[tokio::test]
async fn a_journal_of_the_first_edition_is_brought_up_to_date_and_keeps_its_events() {
    let place = first_edition().await;
    let refused = Reader::open(place.path()).unwrap_err();
    assert_eq!(refused.code(), "journal-read", "a reader changes nothing");
    let journal = Journal::open(place.path(), &OpenOptions::simulation(noon())).unwrap();
    assert_eq!(journal.burns_of(&mac(1)).await.unwrap(), []);
    drop(journal);
    assert_eq!(place.verified_events().len(), 7);
    take_back(&place);
    assert_eq!(rebuild(place.path()).unwrap(), 7);
    place.verified_events();
}
