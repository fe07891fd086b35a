//! Ten thousand units with faults from a seed, on 64 bays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use station_virtual::AppScript;
use station_virtual::chip::ChipConfig;
use station_virtual::fault::{Faults, PowerLoss};

use super::room::{Room, SOUND, STEPS, VirtualBay, board};
use crate::event::{BayCondition, BayName, Event, EventKind};
use crate::journal::FeedError;
use crate::outcome::{Outcome, StepOutcome};
use crate::runner::{RunReport, RunRequest};

/// The applications that units of the lot have.
struct Lot {
    sound: AppScript,
    out_of_limits: AppScript,
    mute: AppScript,
    chance: SmallRng,
    next: u64,
}

impl Lot {
    fn new(seed: u64) -> Self {
        let script = |text: &str| AppScript::parse(text).unwrap();
        Self {
            sound: script(SOUND),
            out_of_limits: script(&SOUND.replace("mean = 3300", "mean = 3600")),
            mute: script(&SOUND.replace("send = \"finish\"", "send = \"other\"")),
            chance: SmallRng::seed_from_u64(seed),
            next: 0,
        }
    }

    /// The next unit: three in four are sound.
    fn unit(&mut self) -> ChipConfig {
        self.next += 1;
        let mut config = ChipConfig {
            app: Some(self.sound.clone()),
            ..bare(self.next)
        };
        let faults = &mut config.faults;
        match self.chance.random_range(0..40u32) {
            0 => config.app = Some(self.out_of_limits.clone()),
            1 => config.app = Some(self.mute.clone()),
            2 => faults.silent = true,
            3 => faults.never_boots = true,
            4 => faults.stuck_sectors = vec![0x10],
            5 => faults.flood = true,
            6 => faults.to_chip.drop_at = vec![self.chance.random_range(200..20_000)],
            7 => faults.from_chip.flip_at = vec![self.chance.random_range(200..2_000)],
            8 => {
                faults.power_loss = Some(PowerLoss {
                    at_byte: Some(self.chance.random_range(200..20_000)),
                    back_after_ms: Some(100),
                    ..PowerLoss::default()
                });
            }
            9 => {
                faults.power_loss = Some(PowerLoss {
                    at_program: Some(2),
                    ..PowerLoss::default()
                });
            }
            _ => {}
        }
        config
    }
}

fn bare(unit: u64) -> ChipConfig {
    ChipConfig {
        app: None,
        faults: Faults::default(),
        ..board(unit)
    }
}

/// Puts the next unit into every bay that shows its result, until the run is over.
async fn feed(room: &Room, mut lot: Lot) {
    let bays: BTreeMap<BayName, Arc<VirtualBay>> = room.request_bays().into_iter().collect();
    let mut events = room.journal.subscribe();
    for bay in bays.values() {
        bay.control.replace(lot.unit()).await.unwrap();
    }
    loop {
        let event = match events.next().await {
            Ok(event) => event,
            Err(FeedError::Lagged(after)) => panic!("the feeder fell behind after {after}"),
            Err(FeedError::Closed) => return,
        };
        match &event.kind {
            EventKind::BayChanged {
                bay,
                to: BayCondition::Finished | BayCondition::Lost,
                ..
            } => {
                bays[bay].control.replace(lot.unit()).await.unwrap();
            }
            EventKind::RunFinished { .. } => return,
            _ => {}
        }
    }
}

fn fresh_runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap()
}

async fn simulate(bays: usize, units: u64, seed: u64) -> (Room, RunReport) {
    let room = Room::new(bays);
    let plan = room.plan("attempt_timeout = \"60s\"\nquarantine_after = 1000", STEPS);
    let request = RunRequest {
        units: Some(units),
        ..room.request(&plan)
    };
    let handle = room.start(request).await;
    feed(&room, Lot::new(seed)).await;
    let report = room.finish(handle).await;
    (room, report)
}

/// What an attempt left in the journal.
#[derive(Default)]
struct Trace {
    mac: Option<String>,
    serial: Option<String>,
    committed: bool,
    passed_steps: BTreeSet<String>,
    measures: BTreeSet<String>,
    consoles: u32,
    outcome: Option<Outcome>,
}

fn traces(events: &[Event]) -> BTreeMap<u64, Trace> {
    let mut traces: BTreeMap<u64, Trace> = BTreeMap::new();
    for event in events {
        match &event.kind {
            EventKind::AttemptStarted { attempt, .. } => {
                assert!(traces.insert(attempt.0, Trace::default()).is_none());
            }
            EventKind::UnitIdentified { attempt, mac, .. } => {
                traces.get_mut(&attempt.0).unwrap().mac = Some(mac.to_string());
            }
            EventKind::SerialBound {
                attempt, serial, ..
            } => {
                traces.get_mut(&attempt.0).unwrap().serial = Some(serial.to_string());
            }
            EventKind::SerialCommitted { attempt, .. } => {
                traces.get_mut(&attempt.0).unwrap().committed = true;
            }
            EventKind::StepFinished {
                attempt,
                step,
                outcome: StepOutcome::Pass,
                ..
            } => {
                traces
                    .get_mut(&attempt.0)
                    .unwrap()
                    .passed_steps
                    .insert(step.to_string());
            }
            EventKind::Measured {
                attempt,
                measurement,
                ..
            } => {
                traces
                    .get_mut(&attempt.0)
                    .unwrap()
                    .measures
                    .insert(measurement.name.clone());
            }
            EventKind::AttachmentStored { attempt, .. } => {
                traces.get_mut(&attempt.0).unwrap().consoles += 1;
            }
            EventKind::AttemptFinished {
                attempt, outcome, ..
            } => {
                traces.get_mut(&attempt.0).unwrap().outcome = Some(*outcome);
            }
            _ => {}
        }
    }
    traces
}

fn check(room: &Room, report: &RunReport, units: u64) {
    assert!(report.journal_lost.is_none(), "{:?}", report.journal_lost);
    let tally = report.tally;
    assert_eq!(tally.pass + tally.fail + tally.error, units);
    assert_eq!(report.attempts.len() as u64, units + tally.aborted);
    // Reading them checks their grammar.
    let events = room.events();
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let all: BTreeSet<String> = ["identify", "flash", "serial", "self test"]
        .map(str::to_owned)
        .into();
    let mut passes = 0;
    for (attempt, trace) in traces(&events) {
        let outcome = trace
            .outcome
            .unwrap_or_else(|| panic!("attempt {attempt} never ended"));
        if let Some(serial) = &trace.serial {
            let owner = owners
                .entry(serial.clone())
                .or_insert_with(|| trace.mac.clone().unwrap());
            assert_eq!(
                Some(&*owner),
                trace.mac.as_ref(),
                "{serial} is on two units"
            );
        }
        if outcome == Outcome::Pass {
            passes += 1;
            assert!(
                trace.committed,
                "attempt {attempt} passed without its serial"
            );
            assert_eq!(trace.passed_steps, all, "attempt {attempt}");
            assert_eq!(trace.measures.len(), 2, "attempt {attempt}");
            assert!(trace.consoles >= 1, "attempt {attempt}");
        }
    }
    assert_eq!(passes, tally.pass);
    assert!(
        tally.pass > units / 2 && tally.fail > 0 && tally.error > 0,
        "{tally:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_journal_and_another_seed_another() {
    let mut heads = Vec::new();
    let mut journals = Vec::new();
    for seed in [5, 5, 6] {
        // A runtime of its own: how many turns one has made decides when it looks at its timers.
        let (room, report) = fresh_runtime().block_on(simulate(64, 600, seed));
        check(&room, &report, 600);
        heads.push(room.journal.reader().unwrap().head().unwrap());
        journals.push(room.events());
    }
    for (one, other) in journals[0].iter().zip(&journals[1]) {
        assert_eq!(one, other, "the first difference");
    }
    assert_eq!(heads[0], heads[1], "the same seed");
    assert_ne!(heads[0], heads[2], "another seed");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_units_with_faults_end_with_their_whole_record() {
    let (room, report) = simulate(64, 10_000, 42).await;
    check(&room, &report, 10_000);
    assert!(
        report.took > Duration::from_secs(60),
        "simulated time passed"
    );
}
