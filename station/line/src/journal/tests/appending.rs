//! Appending, acknowledging, publishing, and one writer only.

use std::sync::Arc;

use serde_json::json;

use super::story::{Place, Story, mac, noon, plan, run_finished, run_started, step_started};
use crate::event::{AttemptId, EventKind, RunId, Seq, Tally};
use crate::journal::feed::FEED_DEPTH;
use crate::journal::{FeedError, Health, Journal, OpenOptions};
use crate::outcome::Outcome;

fn invoked(number: u64) -> EventKind {
    EventKind::OperationInvoked {
        operation: "run".into(),
        face: "cli".into(),
        by: "anna".into(),
        parameters: json!({ "number": number }),
    }
}

#[tokio::test]
async fn what_was_appended_is_read_back_after_reopening() {
    let place = Place::new();
    let journal = place.threaded();
    let mut story = Story::begin(&journal, 2).await;
    story.unit(1, &mac(1), Outcome::Pass).await;
    story.unit(2, &mac(2), Outcome::Fail).await;
    story.end().await;
    drop(journal);

    let events = place.verified_events();
    let words: Vec<_> = events.iter().map(|event| event.kind.word()).collect();
    assert_eq!(words.first(), Some(&"run_started"));
    assert_eq!(words.last(), Some(&"run_finished"));
    assert_eq!(events.len(), 12);

    let journal = place.threaded();
    assert_eq!(journal.next_run(), RunId(2));
    assert_eq!(journal.next_attempt(), AttemptId(3));
    let note = journal.note(noon(), invoked(1)).await.unwrap();
    assert_eq!(note.seq, Seq(13));
    drop(journal);
    place.verified_events();
}

#[tokio::test]
async fn appends_of_one_caller_keep_their_order_through_group_commits() {
    let place = Place::new();
    let journal = place.threaded();
    let mut waiting = Vec::new();
    for number in 0..3000 {
        let draft = crate::journal::Draft {
            at: noon(),
            elapsed_us: 0,
            run: None,
            kind: invoked(number),
        };
        waiting.push(journal.submit(vec![draft]).await);
    }
    for (acknowledgement, number) in waiting.into_iter().zip(1..) {
        let events = acknowledgement.durable().await.unwrap();
        assert_eq!(events[0].seq, Seq(number));
        assert_eq!(events[0].kind, invoked(number - 1));
    }
    drop(journal);
    assert_eq!(place.verified_events().len(), 3000);
}

#[tokio::test]
async fn an_acknowledged_event_is_visible_to_every_reader() {
    let place = Place::new();
    let journal = place.threaded();
    let reader = journal.reader().unwrap();
    for number in 1..=50 {
        journal.note(noon(), invoked(number)).await.unwrap();
        assert_eq!(reader.head().unwrap().seq, Seq(number));
    }
}

#[tokio::test]
async fn a_second_station_is_refused_and_told_by_whom() {
    let place = Place::new();
    let journal = place.threaded();
    let refused = Journal::open(place.path(), &OpenOptions::default()).unwrap_err();
    assert_eq!(refused.code(), "journal-in-use");
    assert!(
        refused
            .to_string()
            .contains(&std::process::id().to_string())
    );
    assert_eq!(
        crate::journal::rebuild(place.path()).unwrap_err().code(),
        "journal-in-use"
    );
    place.reader().head().unwrap();
    drop(journal);
    Journal::open(place.path(), &OpenOptions::default()).unwrap();
}

#[tokio::test]
async fn faces_can_leave_notes_and_nothing_else() {
    let place = Place::new();
    let journal = place.journal();
    journal.note(noon(), invoked(1)).await.unwrap();
    let refused = journal.note(noon(), run_started(1)).await.unwrap_err();
    assert_eq!(refused.code(), "journal-refused");
    assert_eq!(place.verified_events().len(), 1);
}

#[tokio::test]
async fn what_breaks_the_grammar_is_refused_and_the_journal_goes_on() {
    let place = Place::new();
    let journal = place.threaded();
    let mut story = Story::begin(&journal, 1).await;
    let attempt = story.contact(1, &mac(1)).await;
    story.tell(step_started(attempt, "flash", 1)).await.unwrap();
    let end = super::story::finished(attempt, 1, Some(&mac(1)), None, Outcome::Pass);
    let refused = story.tell(end.clone()).await.unwrap_err();
    assert_eq!(refused.code(), "journal-grammar");
    assert!(!refused.is_loss());
    // All or none: the first of these two is in order, the second is not.
    let good = super::story::step_finished(attempt, "flash", 1, crate::outcome::StepOutcome::Pass);
    let drafts = vec![
        story.draft(good.clone()),
        story.draft(run_finished(Tally::default())),
    ];
    let refused = journal.submit(drafts).await.durable().await.unwrap_err();
    assert_eq!(refused.code(), "journal-grammar");
    story.tell(good).await.unwrap();
    story.tell(end).await.unwrap();
    assert!(matches!(*journal.health().borrow(), Health::Sound));
    drop((story, journal));
    place.verified_events();
}

#[tokio::test]
async fn a_run_of_a_plan_that_is_not_stored_is_refused() {
    let place = Place::new();
    let journal = place.journal();
    let draft = super::story::draft(journal.next_run(), 1, run_started(1));
    assert_eq!(
        journal.append(draft.clone()).await.unwrap_err().code(),
        "journal-refused"
    );
    journal.store_plan(noon(), plan()).await.unwrap();
    journal.store_plan(noon(), plan()).await.unwrap();
    journal.append(draft).await.unwrap();
    assert_eq!(place.reader().plan(&plan().id).unwrap(), Some(plan()));
}

#[tokio::test]
async fn a_number_that_is_not_finite_is_never_recorded() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 1).await;
    let attempt = story.contact(1, &mac(1)).await;
    story.tell(step_started(attempt, "test", 1)).await.unwrap();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let refused = story
            .tell(super::story::measured(attempt, "test", 1, value))
            .await;
        assert_eq!(refused.unwrap_err().code(), "journal-refused");
    }
    // A value whose shortest text is easily misread by one unit in the last place.
    let awkward = 3_300.000_000_000_000_5;
    story
        .tell(super::story::measured(attempt, "test", 1, awkward))
        .await
        .unwrap();
    place.verified_events();
}

#[tokio::test]
async fn bytes_are_stored_with_the_event_that_names_them_or_not_at_all() {
    use sha2::{Digest, Sha256};
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 1).await;
    let attempt = story.contact(1, &mac(1)).await;
    story.tell(step_started(attempt, "test", 1)).await.unwrap();
    let bytes: Arc<[u8]> = Arc::from(&b"boot log"[..]);
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let kind = |size| EventKind::AttachmentStored {
        attempt,
        step: super::story::step("test"),
        name: "console".into(),
        sha256: sha256.clone(),
        size,
    };
    let draft = story.draft(kind(7));
    assert_eq!(
        journal
            .attach(draft, bytes.clone())
            .await
            .unwrap_err()
            .code(),
        "journal-refused"
    );
    let draft = story.draft(kind(8));
    journal.attach(draft, bytes).await.unwrap();
    assert_eq!(
        place.reader().attachment(&sha256).unwrap().unwrap(),
        b"boot log"
    );
    place.verified_events();
}

#[tokio::test]
async fn a_subscriber_sees_every_event_once_and_in_order() {
    let place = Place::new();
    let journal = place.threaded();
    journal.note(noon(), invoked(1)).await.unwrap();
    let mut subscription = journal.subscribe();
    assert_eq!(subscription.last(), Seq(1));
    for number in 2..=20 {
        journal.note(noon(), invoked(number)).await.unwrap();
    }
    for number in 2..=20 {
        assert_eq!(subscription.next().await.unwrap().seq, Seq(number));
    }
    drop(journal);
    assert_eq!(subscription.next().await, Err(FeedError::Closed));
}

#[tokio::test]
async fn a_slow_subscriber_is_told_where_it_lost_the_thread_and_can_go_on() {
    let place = Place::new();
    let journal = place.journal();
    let mut subscription = journal.subscribe();
    let events = u64::try_from(FEED_DEPTH).unwrap() + 10;
    for number in 1..=events {
        journal.note(noon(), invoked(number)).await.unwrap();
    }
    assert_eq!(subscription.next().await, Err(FeedError::Lagged(Seq(0))));
    let missed = place
        .reader()
        .events_since(subscription.last(), None, usize::MAX)
        .unwrap();
    assert_eq!(missed.len(), usize::try_from(events).unwrap());
    subscription.resume_after(missed.last().unwrap().seq);
    journal.note(noon(), invoked(0)).await.unwrap();
    assert_eq!(subscription.next().await.unwrap().seq, Seq(events + 1));
}

#[tokio::test]
async fn events_are_listed_by_cursor_and_by_run() {
    let place = Place::new();
    let journal = place.journal();
    for _ in 0..2 {
        let mut story = Story::begin(&journal, 1).await;
        story.unit(1, &mac(1), Outcome::Pass).await;
        journal.note(noon(), invoked(1)).await.unwrap();
        story.end().await;
    }
    let reader = place.reader();
    let of_second = reader.events_since(Seq(0), Some(RunId(2)), 100).unwrap();
    assert_eq!(of_second.len(), 7);
    assert!(of_second.iter().all(|event| event.run == Some(RunId(2))));
    let page = reader.events_since(Seq(3), None, 2).unwrap();
    assert_eq!(
        page.iter().map(|event| event.seq).collect::<Vec<_>>(),
        [Seq(4), Seq(5)]
    );
}
