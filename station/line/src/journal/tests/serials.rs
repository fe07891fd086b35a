//! Serial numbers: none twice, and each unit always the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::story::{Place, Story, finished, mac, noon, pool, step_finished, step_started};
use crate::event::{EventKind, Serial};
use crate::journal::{Claim, JournalError, SerialRequest};
use crate::outcome::{Outcome, StepOutcome};
use crate::quality::{Filter, serials};
use crate::serial::{SerialSource, read_list};

fn list(csv: &str) -> Arc<SerialSource> {
    let rows = read_list(csv.as_bytes(), "serial").unwrap();
    Arc::new(SerialSource::Csv {
        name: "list".into(),
        rows,
        units: None,
    })
}

#[tokio::test]
async fn sixty_four_tasks_get_sixty_four_numbers_and_each_unit_its_own_again() {
    let place = Place::new();
    let journal = place.threaded();
    let mut story = Story::begin(&journal, 64).await;
    let source = pool("sensor", "SN{counter:06}");
    let mut tasks = Vec::new();
    for number in 1..=64 {
        let attempt = story.contact(number, &mac(number)).await;
        for _ in 0..3 {
            let request = SerialRequest {
                at: noon(),
                elapsed_us: 0,
                run: story.run,
                attempt,
                mac: mac(number),
                source: Arc::clone(&source),
                claim: Claim::OwnOrNext,
            };
            let journal = journal.clone();
            tasks.push(tokio::spawn(async move {
                (number, journal.reserve_serial(request).await.unwrap())
            }));
        }
    }
    let mut given = BTreeSet::new();
    for task in tasks {
        given.insert(task.await.unwrap());
    }
    let numbers: BTreeSet<_> = given.iter().map(|(_, serial)| serial.as_str()).collect();
    assert_eq!((given.len(), numbers.len()), (64, 64));
    assert_eq!(numbers.first(), Some(&"SN000001"));
    assert_eq!(numbers.last(), Some(&"SN000064"));
    drop((story, journal));
    place.verified_events();
}

#[tokio::test]
async fn a_unit_gets_the_same_number_after_a_failure_a_restart_and_another_recipe() {
    let place = Place::new();
    let mut numbers = Vec::new();
    for (round, outcome) in [Outcome::Fail, Outcome::Error, Outcome::Pass]
        .into_iter()
        .enumerate()
    {
        let journal = place.journal();
        let mut story = Story::begin(&journal, 1).await;
        let pattern = if round == 2 {
            "XX{counter:04}"
        } else {
            "SN{counter:06}"
        };
        let source = pool("sensor", pattern);
        let attempt = story.contact(1, &mac(1)).await;
        let serial = story.serial(attempt, &mac(1), &source).await.unwrap();
        story
            .finish(attempt, 1, Some(&mac(1)), Some(&serial), outcome)
            .await;
        story.end().await;
        numbers.push(serial.to_string());
    }
    assert_eq!(numbers, ["SN000001"; 3]);
    place.verified_events();
}

#[tokio::test]
async fn a_pass_commits_the_number_in_the_same_breath() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 1).await;
    let source = pool("sensor", "SN{counter:06}");
    let attempt = story.contact(1, &mac(1)).await;
    let serial = story.serial(attempt, &mac(1), &source).await.unwrap();
    let end = story
        .tell(finished(
            attempt,
            1,
            Some(&mac(1)),
            Some(&serial),
            Outcome::Pass,
        ))
        .await
        .unwrap();
    assert_eq!(end.kind.word(), "attempt_finished");
    let events = place.verified_events();
    let words: Vec<_> = events
        .iter()
        .rev()
        .take(4)
        .map(|event| event.kind.word())
        .collect();
    assert_eq!(
        words,
        [
            "attempt_finished",
            "serial_committed",
            "serial_bound",
            "serial_reserved"
        ]
    );
    let rows = serials(&place.reader(), &Filter::default()).unwrap().rows;
    assert_eq!((rows[0].state.as_str(), rows[0].position), ("committed", 1));
}

#[tokio::test]
async fn a_failure_does_not_commit_and_an_end_without_the_number_is_refused() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 1).await;
    let source = pool("sensor", "SN{counter:06}");
    let attempt = story.contact(1, &mac(1)).await;
    let serial = story.serial(attempt, &mac(1), &source).await.unwrap();
    let without = finished(attempt, 1, Some(&mac(1)), None, Outcome::Fail);
    assert_eq!(
        story.tell(without).await.unwrap_err().code(),
        "journal-grammar"
    );
    story
        .finish(attempt, 1, Some(&mac(1)), Some(&serial), Outcome::Fail)
        .await;
    let rows = serials(&place.reader(), &Filter::default()).unwrap().rows;
    assert_eq!(rows[0].state, "bound");
}

#[tokio::test]
async fn a_pool_that_runs_dry_says_so_and_harms_nothing() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 11).await;
    let source = pool("tiny", "T{counter:1}");
    for number in 1..=9 {
        let attempt = story.contact(number, &mac(number)).await;
        story.serial(attempt, &mac(number), &source).await.unwrap();
    }
    let attempt = story.contact(10, &mac(10)).await;
    let dry = story.serial(attempt, &mac(10), &source).await.unwrap_err();
    assert!(
        matches!(dry, JournalError::PoolDry { last: 9, .. }),
        "{dry}"
    );
    assert_eq!(dry.code(), "serial-pool-dry");
    story.tell(step_started(attempt, "flash", 1)).await.unwrap();
    story
        .tell(step_finished(attempt, "flash", 1, StepOutcome::Error))
        .await
        .unwrap();
    drop((story, journal));
    place.verified_events();
}

#[tokio::test]
async fn two_pools_never_give_out_one_number() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 4).await;
    let pools = [
        pool("left", "SN{counter:06}"),
        pool("right", "SN{counter:06}"),
    ];
    let mut given = Vec::new();
    for (number, source) in (1..=4).zip(pools.iter().cycle()) {
        let attempt = story.contact(number, &mac(number)).await;
        given.push(
            story
                .serial(attempt, &mac(number), source)
                .await
                .unwrap()
                .to_string(),
        );
    }
    assert_eq!(given, ["SN000001", "SN000002", "SN000003", "SN000004"]);
    drop((story, journal));
    place.verified_events();
}

#[tokio::test]
async fn a_list_is_used_in_its_order_and_rows_meant_for_others_are_left() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 9).await;
    let source = list("serial,MAC\nA1,7C-DF-A1-00-00-05\nA2,\nA3,\nA4,7cdfa1000001\n");
    let mut given = Vec::new();
    for number in [1, 2, 5, 3] {
        let attempt = story.contact(number, &mac(number)).await;
        given.push(
            story
                .serial(attempt, &mac(number), &source)
                .await
                .unwrap()
                .to_string(),
        );
    }
    assert_eq!(given, ["A4", "A2", "A1", "A3"]);
    let attempt = story.contact(6, &mac(6)).await;
    let dry = story.serial(attempt, &mac(6), &source).await.unwrap_err();
    assert_eq!(dry.code(), "serial-pool-dry");
    // The list was extended at its front.
    let longer = list("serial\nA0\nA1\nA2\nA3\nA4\n");
    assert_eq!(
        story
            .serial(attempt, &mac(6), &longer)
            .await
            .unwrap()
            .as_str(),
        "A0"
    );
    drop((story, journal));
    place.verified_events();
}

#[tokio::test]
async fn a_voided_number_is_nobodys_and_its_unit_gets_another() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 1).await;
    let source = pool("sensor", "SN{counter:06}");
    let attempt = story.contact(1, &mac(1)).await;
    let serial = story.serial(attempt, &mac(1), &source).await.unwrap();
    let reason = || "label was misprinted".to_owned();
    let in_use = journal
        .void_serial(noon(), serial.clone(), reason())
        .await
        .unwrap_err();
    assert_eq!(in_use.code(), "serial-not-voidable");
    story
        .finish(attempt, 1, Some(&mac(1)), Some(&serial), Outcome::Fail)
        .await;
    journal
        .void_serial(noon(), serial.clone(), reason())
        .await
        .unwrap();
    journal
        .void_serial(noon(), serial.clone(), reason())
        .await
        .unwrap_err();
    journal
        .void_serial(noon(), Serial::new("SN9"), reason())
        .await
        .unwrap_err();
    let attempt = story.contact(1, &mac(1)).await;
    let next = story.serial(attempt, &mac(1), &source).await.unwrap();
    assert_eq!(next.as_str(), "SN000002");
    story
        .finish(attempt, 1, Some(&mac(1)), Some(&next), Outcome::Pass)
        .await;
    let committed = journal
        .void_serial(noon(), next, reason())
        .await
        .unwrap_err();
    assert_eq!(committed.code(), "serial-not-voidable");
    drop((story, journal));
    place.verified_events();
}

#[tokio::test]
async fn a_number_is_never_bound_to_a_second_unit() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 2).await;
    let source = pool("sensor", "SN{counter:06}");
    let first = story.contact(1, &mac(1)).await;
    let serial = story.serial(first, &mac(1), &source).await.unwrap();
    let second = story.contact(2, &mac(2)).await;
    let steal = EventKind::SerialBound {
        attempt: second,
        pool: "sensor".into(),
        serial,
        mac: mac(2),
    };
    assert_eq!(
        story.tell(steal).await.unwrap_err().code(),
        "journal-refused"
    );
    drop((story, journal));
    place.verified_events();
}

#[tokio::test]
async fn standing_counts_units_that_passed_and_not_their_repeats() {
    let place = Place::new();
    let journal = place.threaded();
    let mut story = Story::begin(&journal, 1).await;
    let look = async |number| {
        journal
            .standing(&mac(number), "sensor", Some("C"))
            .await
            .unwrap()
    };
    assert_eq!(look(1).await, crate::journal::Standing::default());
    story.unit(1, &mac(1), Outcome::Fail).await;
    story.unit(1, &mac(1), Outcome::Pass).await;
    story.unit(1, &mac(1), Outcome::Pass).await;
    story.unit(1, &mac(2), Outcome::Error).await;
    let first = look(1).await;
    assert_eq!(
        (first.attempts, first.passed, first.passed_units),
        (3, true, 1)
    );
    let second = look(2).await;
    assert_eq!(
        (second.attempts, second.passed, second.passed_units),
        (1, false, 1)
    );
    let other = journal.standing(&mac(1), "sensor", None).await.unwrap();
    assert_eq!(
        (other.attempts, other.passed, other.passed_units),
        (3, false, 0)
    );
    assert_eq!(
        place
            .reader()
            .standing(&mac(1), "sensor", Some("C"))
            .unwrap(),
        first
    );
}
