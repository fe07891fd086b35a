//! A station that dies at every event of a run, before, between and after commit and
//! acknowledgement: what was acknowledged is there, and what is there is in order.
//!
//! The dying is done by this test binary, started again for the one ignored test below.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::story::{Place, Story, finished, mac, noon, pool, step_finished, step_started};
use crate::event::{Event, EventKind, Seq};
use crate::journal::{CrashMoment, CrashPoint, Journal, OpenOptions};
use crate::outcome::{Outcome, StepOutcome};
use crate::quality::{Filter, serials};

/// `<database>|<file for acknowledged numbers>|<event>|<moment>`.
const ORDER: &str = "STATION_LINE_TEST_CRASH";

const CHILD: &str = "journal::tests::crash::the_line_that_dies";

/// Two units, one of which passes with a serial number.
async fn play(journal: &Journal, mut acknowledged: impl FnMut(Seq)) {
    let mut story = Story::begin(journal, 2).await;
    let source = pool("sensor", "SN{counter:06}");
    for (number, of_step, outcome) in [
        (1, StepOutcome::Pass, Outcome::Pass),
        (2, StepOutcome::Fail, Outcome::Fail),
    ] {
        let unit = mac(number);
        let attempt = story.contact(number, &unit).await;
        let serial = story.serial(attempt, &unit, &source).await.unwrap();
        let steps = [
            step_started(attempt, "flash", 1),
            step_finished(attempt, "flash", 1, of_step),
            finished(attempt, number, Some(&unit), Some(&serial), outcome),
        ];
        for kind in steps {
            acknowledged(story.tell(kind).await.unwrap().seq);
        }
        story.tally.add(outcome);
    }
    story.end().await;
}

#[tokio::test]
#[ignore = "started by the test below, to die"]
async fn the_line_that_dies() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let [database, acknowledged, seq, moment]: [&str; 4] =
        order.split('|').collect::<Vec<_>>().try_into().unwrap();
    let crash = CrashPoint {
        seq: Seq(seq.parse().unwrap()),
        when: moment.parse().unwrap(),
    };
    let options = OpenOptions {
        crash: Some(crash),
        opened_at: noon(),
        ..OpenOptions::default()
    };
    let journal = Journal::open(database, &options).unwrap();
    // One line, one write: the thread that dies may do so at any time.
    let mut note = std::fs::File::options()
        .append(true)
        .create(true)
        .open(acknowledged)
        .unwrap();
    play(&journal, |seq| {
        note.write_all(format!("{seq}\n").as_bytes()).unwrap();
    })
    .await;
}

fn die(database: &Path, acknowledged: &Path, point: CrashPoint) {
    let order = format!(
        "{}|{}|{}|{}",
        database.display(),
        acknowledged.display(),
        point.seq,
        point.when.word()
    );
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored"])
        .env(ORDER, order)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success(), "it did not die at {point:?}");
}

fn passes(events: &[Event]) -> usize {
    let passed = |event: &&Event| {
        matches!(
            event.kind,
            EventKind::AttemptFinished {
                outcome: Outcome::Pass,
                ..
            }
        )
    };
    events.iter().filter(passed).count()
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_wherever_the_station_dies() {
    let whole = Place::new();
    play(&whole.journal(), |_| {}).await;
    let whole = whole.verified_events();
    for when in CrashMoment::ALL {
        for event in &whole {
            let seq = event.seq;
            let place = Place::new();
            let note: PathBuf = place.file("acknowledged");
            die(&place.path(), &note, CrashPoint { seq, when });
            let acknowledged = std::fs::read_to_string(&note).unwrap_or_default();
            let acknowledged: u64 = acknowledged
                .lines()
                .last()
                .map_or(0, |line| line.parse().unwrap());
            let left = place.verified_events();
            let last = left.last().map_or(0, |event| event.seq.0);
            assert!(acknowledged <= last, "{seq} {when:?}");
            match when {
                CrashMoment::BeforeCommit => assert!(last < seq.0, "{seq} {when:?}"),
                CrashMoment::AfterCommitBeforeAck | CrashMoment::AfterAck => {
                    assert!(last >= seq.0, "{seq} {when:?}");
                }
            }
            assert_eq!(left[..], whole[..left.len()], "{seq} {when:?}");
            // The next start closes it, and the same units go on with the same numbers.
            let journal = place.journal();
            let closed = place.verified_events();
            assert_eq!(passes(&closed), passes(&left), "{seq} {when:?}");
            play(&journal, |_| {}).await;
            drop(journal);
            place.verified_events();
            let rows = serials(&place.reader(), &Filter::default()).unwrap().rows;
            let given: Vec<_> = rows.iter().map(|row| row.serial.as_str()).collect();
            assert_eq!(given, ["SN000001", "SN000002"], "{seq} {when:?}");
        }
    }
}
