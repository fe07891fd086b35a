//! Whatever happens on a line, in whatever order its bays take turns: the grammar holds, the tables
//! equal a rebuild, and a restart closes it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::story::{
    Place, Story, bay, identified, mac, measured, pool, started, step, step_finished, step_started,
};
use crate::event::{AttemptId, BayCondition, Event, EventKind, Serial};
use crate::journal::{Grammar, rebuild};
use crate::outcome::{Outcome, StepOutcome};

/// What a bay does next.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Vacant,
    Started,
    Known,
    InStep {
        number: u32,
        try_number: u32,
        measured: bool,
    },
    Retrying {
        number: u32,
        try_number: u32,
    },
    BetweenSteps {
        number: u32,
    },
    Failed {
        outcome: Outcome,
    },
}

struct BayLife {
    phase: Phase,
    attempt: AttemptId,
    unit: u64,
    serial: Option<Serial>,
}

fn name_of(number: u32) -> String {
    format!("step{number}")
}

/// Plays a line whose bays are chosen, and whose luck is decided, by the bytes.
async fn play(place: &Place, choices: &[(u8, u8)]) {
    let journal = place.journal();
    let mut story = Story::begin(&journal, 4).await;
    let mut bays: BTreeMap<u64, BayLife> = BTreeMap::new();
    for (choice, luck) in choices {
        let number = u64::from(choice % 4) + 1;
        let mut life = bays.remove(&number).unwrap_or(BayLife {
            phase: Phase::Vacant,
            attempt: AttemptId(0),
            unit: 0,
            serial: None,
        });
        advance(&mut story, number, &mut life, *luck).await;
        bays.insert(number, life);
    }
    if bays
        .values()
        .all(|life| matches!(life.phase, Phase::Vacant))
    {
        story.end().await;
    }
}

async fn advance(story: &mut Story, number: u64, life: &mut BayLife, luck: u8) {
    let attempt = life.attempt;
    life.phase = match life.phase {
        Phase::Vacant => {
            life.attempt = story.journal.next_attempt();
            life.unit = u64::from(luck % 8) * 4 + number;
            life.serial = None;
            let bay = bay(number);
            let to = BayCondition::Running;
            story
                .tell(EventKind::BayChanged {
                    bay,
                    to,
                    reason: None,
                })
                .await
                .unwrap();
            story.tell(started(life.attempt, number)).await.unwrap();
            Phase::Started
        }
        Phase::Started if luck < 16 => Phase::Failed {
            outcome: Outcome::Error,
        },
        Phase::Started => {
            story
                .tell(identified(attempt, &mac(life.unit)))
                .await
                .unwrap();
            Phase::Known
        }
        Phase::Known => {
            if luck.is_multiple_of(2) {
                take_serial(story, life).await;
            }
            begin_step(story, attempt, 1, 1).await
        }
        Phase::InStep {
            number,
            try_number,
            measured: false,
        } if luck < 128 => {
            let value = 3200.0 + f64::from(luck) / 7.0;
            story
                .tell(measured(attempt, &name_of(number), try_number, value))
                .await
                .unwrap();
            Phase::InStep {
                number,
                try_number,
                measured: true,
            }
        }
        Phase::InStep {
            number, try_number, ..
        } => end_step(story, attempt, (number, try_number), luck).await,
        Phase::Retrying { number, try_number } => {
            begin_step(story, attempt, number, try_number).await
        }
        Phase::BetweenSteps { number } if number < 3 => {
            begin_step(story, attempt, number + 1, 1).await
        }
        Phase::BetweenSteps { .. } => end_attempt(story, number, life, Outcome::Pass).await,
        Phase::Failed { outcome } => end_attempt(story, number, life, outcome).await,
    };
}

async fn take_serial(story: &mut Story, life: &mut BayLife) {
    let source = pool("sensor", "SN{counter:06}");
    let unit = mac(life.unit);
    life.serial = Some(story.serial(life.attempt, &unit, &source).await.unwrap());
}

async fn begin_step(story: &mut Story, attempt: AttemptId, number: u32, try_number: u32) -> Phase {
    story
        .tell(step_started(attempt, &name_of(number), try_number))
        .await
        .unwrap();
    Phase::InStep {
        number,
        try_number,
        measured: false,
    }
}

async fn end_step(
    story: &mut Story,
    attempt: AttemptId,
    (number, try_number): (u32, u32),
    luck: u8,
) -> Phase {
    let (outcome, next) = match luck % 8 {
        0 => (
            StepOutcome::Fail,
            Phase::Failed {
                outcome: Outcome::Fail,
            },
        ),
        1 => (
            StepOutcome::Aborted,
            Phase::Failed {
                outcome: Outcome::Aborted,
            },
        ),
        2 => (
            StepOutcome::Error,
            Phase::Retrying {
                number,
                try_number: try_number + 1,
            },
        ),
        3 => (StepOutcome::Skipped, Phase::BetweenSteps { number }),
        _ => (StepOutcome::Pass, Phase::BetweenSteps { number }),
    };
    story
        .tell(step_finished(
            attempt,
            &name_of(number),
            try_number,
            outcome,
        ))
        .await
        .unwrap();
    if matches!(next, Phase::Retrying { .. }) {
        let step = step(&name_of(number));
        let from = step.clone();
        story
            .tell(EventKind::StepRetrying {
                attempt,
                step,
                from,
                after_us: 1,
            })
            .await
            .unwrap();
    }
    next
}

async fn end_attempt(story: &mut Story, number: u64, life: &BayLife, outcome: Outcome) -> Phase {
    let known = story_knows(story, life).await;
    let mac = known.then(|| mac(life.unit));
    story
        .finish(
            life.attempt,
            number,
            mac.as_ref(),
            life.serial.as_ref(),
            outcome,
        )
        .await;
    Phase::Vacant
}

async fn story_knows(story: &Story, life: &BayLife) -> bool {
    let standing = story
        .journal
        .standing(&mac(life.unit), "sensor", Some("C"))
        .await
        .unwrap();
    let filter = crate::quality::Filter {
        mac: Some(mac(life.unit).to_string()),
        ..Default::default()
    };
    let reader = story.journal.reader().unwrap();
    let rows = crate::quality::attempts(&reader, &filter).unwrap().rows;
    standing.attempts > 0 && rows.iter().any(|row| row.attempt == life.attempt.0)
}

fn run_to_end(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future);
}

/// The stream without event number `index`, numbered anew.
fn without(events: &[Event], index: usize) -> Vec<Event> {
    let mut left = events.to_vec();
    left.remove(index);
    for (event, number) in left.iter_mut().zip(1..) {
        event.seq = crate::event::Seq(number);
    }
    left
}

fn holds(events: &[Event]) -> bool {
    let mut grammar = Grammar::new();
    events.iter().all(|event| grammar.accept(event).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_verifies_rebuilds_and_recovers(
        choices in proptest::collection::vec(any::<(u8, u8)>(), 0..160)
    ) {
        let place = Place::new();
        run_to_end(play(&place, &choices));
        // Verification compares the live tables with a rebuild.
        let live = place.verified_events();
        rebuild(place.path()).unwrap();
        prop_assert_eq!(&place.verified_events(), &live);
        drop(place.journal());
        let closed = place.verified_events();
        prop_assert_eq!(&closed[..live.len()], &live[..]);
        let mut grammar = Grammar::new();
        for event in &closed {
            grammar.accept(event).unwrap();
        }
        prop_assert!(grammar.is_at_rest());
        // A stream that lost a start does not hold any more.
        for (index, event) in closed.iter().enumerate() {
            let start = matches!(
                event.kind,
                EventKind::RunStarted { .. }
                    | EventKind::AttemptStarted { .. }
                    | EventKind::StepStarted { .. }
                    | EventKind::StepFinished { .. }
                    | EventKind::AttemptFinished { .. }
            );
            if start {
                prop_assert!(!holds(&without(&closed, index)), "event {}", event.seq);
            }
        }
    }
}
