//! How fast it is. Ignored by default: a figure from a busy machine proves nothing.

use std::time::Instant;

use super::story::{
    Place, Story, finished, identified, mac, measured, noon, pool, started, step_finished,
    step_started,
};
use crate::event::{EventKind, Serial};
use crate::journal::Draft;
use crate::outcome::{Outcome, StepOutcome};

fn note() -> Draft {
    let kind = EventKind::Refused {
        operation: "attempt".into(),
        code: "seen-before".into(),
        reason: "the unit passed before; the recipe says what to do then: refuse, repeat, verify"
            .repeat(2),
    };
    Draft {
        at: noon(),
        elapsed_us: 0,
        run: None,
        kind,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn sixty_four_producers_that_wait_for_the_disk() {
    let place = Place::new();
    let journal = place.threaded();
    let each = 2000;
    let begin = Instant::now();
    let producers: Vec<_> = (0..64)
        .map(|_| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    journal.append(note()).await.unwrap();
                }
            })
        })
        .collect();
    for producer in producers {
        producer.await.unwrap();
    }
    let rate = f64::from(64 * each) / begin.elapsed().as_secs_f64();
    println!("{rate:.0} events/s, 64 producers, synchronous=FULL");
}

/// One attempt of about thirty events, as a run of the demo recipe writes them.
async fn attempt(
    story: &mut Story,
    number: u64,
    source: &std::sync::Arc<crate::serial::SerialSource>,
) {
    let unit = mac(number);
    let id = story.journal.next_attempt();
    let bay = number % 64 + 1;
    story.tell(started(id, bay)).await.unwrap();
    story.tell(identified(id, &unit)).await.unwrap();
    let serial: Serial = story.serial(id, &unit, source).await.unwrap();
    for step in [
        "identify", "flash", "identity", "boot", "test", "check", "label",
    ] {
        story.tell(step_started(id, step, 1)).await.unwrap();
        if step == "test" {
            for name in 0..8 {
                let mut kind = measured(id, step, 1, 3300.0 + f64::from(name));
                if let EventKind::Measured { measurement, .. } = &mut kind {
                    measurement.name = format!("vdd{name}");
                }
                story.tell(kind).await.unwrap();
            }
        }
        story
            .tell(step_finished(id, step, 1, StepOutcome::Pass))
            .await
            .unwrap();
    }
    story
        .tell(finished(id, bay, Some(&unit), Some(&serial), Outcome::Pass))
        .await
        .unwrap();
    story.tally.add(Outcome::Pass);
}

#[tokio::test]
#[ignore = "a measurement"]
async fn ten_thousand_simulated_units() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 64).await;
    let source = pool("sensor", "SN{counter:06}{check:luhn}");
    let begin = Instant::now();
    for number in 1..=10_000 {
        attempt(&mut story, number, &source).await;
        journal
            .standing(&mac(number), "sensor", Some("C"))
            .await
            .unwrap();
    }
    story.end().await;
    drop(journal);
    let took = begin.elapsed();
    let begin = Instant::now();
    let report = place.reader().verify().unwrap();
    assert!(report.is_clean());
    println!(
        "{} events in {took:.1?}, verified in {:.1?}",
        report.events,
        begin.elapsed()
    );
    let begin = Instant::now();
    crate::journal::rebuild(place.path()).unwrap();
    println!("rebuilt in {:.1?}", begin.elapsed());
    let reader = place.reader();
    for by in crate::quality::GroupBy::ALL {
        let begin = Instant::now();
        let rows = crate::quality::yields(&reader, by, &crate::quality::Filter::default()).unwrap();
        println!(
            "yield by {}: {} rows in {:.1?}",
            by.word(),
            rows.len(),
            begin.elapsed()
        );
    }
}
