//! What a station that died leaves, and what the next one makes of it.

use super::story::{
    Place, Story, identified, mac, noon, pool, started, step_finished, step_started,
};
use crate::event::{EventKind, RunId, Seq, Tally};
use crate::journal::{Draft, INTERRUPTED, OpenOptions};
use crate::outcome::{Outcome, StepOutcome};

/// Leaves a run open as a crash would: a passed unit, one in a step, one just started, one in the
/// pause before a retry.
async fn leave_open(place: &Place) {
    let journal = place.journal();
    let mut story = Story::begin(&journal, 4).await;
    story.unit(1, &mac(1), Outcome::Pass).await;
    let source = pool("sensor", "SN{counter:06}");
    let in_step = story.contact(2, &mac(2)).await;
    story.serial(in_step, &mac(2), &source).await.unwrap();
    story.tell(step_started(in_step, "flash", 1)).await.unwrap();
    let just_started = journal.next_attempt();
    story.tell(started(just_started, 3)).await.unwrap();
    let in_pause = journal.next_attempt();
    story.tell(started(in_pause, 4)).await.unwrap();
    story.tell(identified(in_pause, &mac(4))).await.unwrap();
    story
        .tell(step_started(in_pause, "flash", 1))
        .await
        .unwrap();
    story
        .tell(step_finished(in_pause, "flash", 1, StepOutcome::Error))
        .await
        .unwrap();
    let step = super::story::step("flash");
    let from = step.clone();
    story
        .tell(EventKind::StepRetrying {
            attempt: in_pause,
            step,
            from,
            after_us: 5,
        })
        .await
        .unwrap();
    let reserved = EventKind::SerialReserved {
        attempt: in_pause,
        pool: "sensor".into(),
        position: 2,
        serial: crate::event::Serial::new("SN000002"),
    };
    story.tell(reserved).await.unwrap();
}

#[tokio::test]
async fn what_a_crash_left_open_is_closed_as_errors_by_new_events() {
    let place = Place::new();
    leave_open(&place).await;
    let before = place.verified_events();
    assert!(place.reader().verify().unwrap().open);
    drop(place.journal());
    let after = place.verified_events();
    assert_eq!(after[..before.len()], before[..]);
    let closing: Vec<_> = after[before.len()..]
        .iter()
        .map(|event| event.kind.word())
        .collect();
    assert_eq!(
        closing,
        [
            "step_finished",
            "attempt_finished",
            "attempt_finished",
            "attempt_finished",
            "serial_voided",
            "run_finished",
            "recovered"
        ]
    );
    for event in &after[before.len()..] {
        if let EventKind::AttemptFinished {
            outcome, failure, ..
        } = &event.kind
        {
            assert_eq!(*outcome, Outcome::Error);
            assert_eq!(failure.as_ref().unwrap().code, INTERRUPTED);
        }
    }
    let recovered = EventKind::Recovered {
        attempts: 3,
        runs: 1,
        serials: 1,
    };
    assert_eq!(after.last().unwrap().kind, recovered);
    let EventKind::RunFinished { tally, reason } = &after[after.len() - 2].kind else {
        panic!("no end of the run");
    };
    assert_eq!(
        *tally,
        Tally {
            pass: 1,
            error: 3,
            ..Tally::default()
        }
    );
    assert!(reason.is_some());
    assert!(!place.reader().verify().unwrap().open);
}

#[tokio::test]
async fn a_second_recovery_finds_nothing() {
    let place = Place::new();
    leave_open(&place).await;
    drop(place.journal());
    let once = place.verified_events();
    drop(place.journal());
    drop(place.threaded());
    assert_eq!(place.verified_events(), once);
}

#[tokio::test]
async fn a_unit_that_was_cut_off_keeps_its_serial() {
    let place = Place::new();
    leave_open(&place).await;
    let journal = place.journal();
    let mut story = Story::begin(&journal, 4).await;
    assert_eq!(story.run, RunId(2));
    let source = pool("sensor", "SN{counter:06}");
    let attempt = story.contact(1, &mac(2)).await;
    assert_eq!(
        story
            .serial(attempt, &mac(2), &source)
            .await
            .unwrap()
            .as_str(),
        "SN000001"
    );
    // The one that was reserved and never bound is gone for good.
    let other = story.contact(2, &mac(9)).await;
    assert_eq!(
        story
            .serial(other, &mac(9), &source)
            .await
            .unwrap()
            .as_str(),
        "SN000003"
    );
    drop((story, journal));
    place.verified_events();
}

#[tokio::test]
async fn a_recovery_at_every_point_of_a_run_leaves_a_clean_journal() {
    let whole = Place::new();
    leave_open(&whole).await;
    let events = whole.verified_events();
    for length in 1..=events.len() {
        let place = Place::new();
        let journal = place.journal();
        journal
            .store_plan(noon(), super::story::plan())
            .await
            .unwrap();
        for event in &events[..length] {
            let draft = Draft {
                at: event.at,
                elapsed_us: event.elapsed_us,
                run: event.run,
                kind: event.kind.clone(),
            };
            journal.append(draft).await.unwrap();
        }
        drop(journal);
        drop(place.journal());
        let closed = place.verified_events();
        assert_eq!(closed[..length], events[..length]);
        assert!(!place.reader().verify().unwrap().open);
    }
}

#[test]
fn opening_an_empty_journal_writes_no_event() {
    let place = Place::new();
    drop(crate::journal::Journal::open(place.path(), &OpenOptions::default()).unwrap());
    assert_eq!(place.verified_events(), []);
    assert_eq!(place.reader().head().unwrap().seq, Seq(0));
    assert_eq!(place.reader().identity().unwrap().journal_id.len(), 32);
}
