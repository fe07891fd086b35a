//! The station dies at every event of a run, before and after it is on disk; started again, nothing is
//! lost and nothing is there twice. The boards live in a process of their own, as real ones do.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Fleet, FleetOptions, Live, Record, TestStation};

const STEPS: [&str; 3] = ["identify", "flash", "serial"];
const MOMENTS: [&str; 3] = ["before-commit", "after-commit", "after-ack"];
/// What `abort` ends a process with.
const ABORTED: i32 = -6;
/// Trials that run at once, each on boards of its own.
const BENCHES: usize = 3;
/// Where the recipe puts the serial number.
const SERIAL_AT: &str = "0x20000";

const RECIPE: &str = r#"
format = 1
product = "crash"
chip = "esp32c3"

[run]
seen_before = "repeat"
attempt_timeout = "30s"

[serial]
pool = "crash"
pattern = "CR-{counter:06}{check:luhn}"

[images]
blob = { file = "blob.bin", at = 0x10000, kind = "raw" }

[[step]]
name = "identify"
identify = { flash_size = "4MB" }

[[step]]
name = "flash"
flash = { images = ["blob"], unchanged = "write" }

[[step]]
name = "serial"
serial = { at = 0x20000, size = "4KB" }
"#;

/// Two boards that outlive stations.
struct Bench {
    boards: Fleet,
    _state: tempfile::TempDir,
}

impl Bench {
    fn new(seed: usize) -> Self {
        let state = tempfile::TempDir::new().unwrap();
        let more = [
            "--seed".to_owned(),
            seed.to_string(),
            "--state".to_owned(),
            state.path().display().to_string(),
        ];
        let boards = Fleet::with(&FleetOptions {
            chip: "esp32c3",
            count: 2,
            more: more.into(),
        });
        Self {
            boards,
            _state: state,
        }
    }

    fn bay(&self, number: usize) -> String {
        format!("bay{number}={}", self.boards.pty(number).display())
    }
}

/// A station with the recipe in its folder.
fn station() -> TestStation {
    let station = TestStation::new();
    station.write("crash.toml", RECIPE);
    let blob: Vec<u8> = (0..3000_u32)
        .flat_map(|word| word.wrapping_mul(0x9E37_79B9).to_le_bytes())
        .collect();
    station.write("blob.bin", blob);
    station
}

/// Starts the run of both boards, to die at `crash` if one is named.
fn start(station: &TestStation, bench: &Bench, crash: Option<&str>) -> Live {
    let bays = [bench.bay(1), bench.bay(2)];
    let mut command = station.command(&[
        "run",
        "crash.toml",
        "--json",
        "--bay",
        &bays[0],
        "--bay",
        &bays[1],
    ]);
    if let Some(crash) = crash {
        command.env("STATION_CRASH_AT", crash);
    }
    Live::start(&mut command)
}

/// The events on disk, read from a copy, so that looking at them repairs nothing.
fn on_disk(station: &TestStation) -> Vec<(i64, String, Value)> {
    let look = tempfile::TempDir::new().unwrap();
    for name in ["station.db", "station.db-wal"] {
        let from = station.folder().join(name);
        if from.exists() {
            std::fs::copy(&from, look.path().join(name)).unwrap();
        }
    }
    if !look.path().join("station.db").exists() {
        return Vec::new();
    }
    let record = Record::of(&look.path().join("station.db"));
    match record.number("SELECT count(*) FROM sqlite_schema WHERE name = 'event'") {
        0 => Vec::new(),
        _ => record.events(),
    }
}

/// Everything that was shown is on disk, as it was shown.
fn assert_shown_is_recorded(shown: &[Value], recorded: &[(i64, String, Value)], trial: &str) {
    for event in shown {
        let seq = event["seq"].as_i64().unwrap();
        let (_, kind, data) = recorded
            .iter()
            .find(|(recorded, ..)| *recorded == seq)
            .unwrap_or_else(|| {
                panic!("{trial}: event {seq} was shown and is not recorded: {event}")
            });
        assert_eq!(
            (&event["kind"], &event["data"]),
            (&Value::from(kind.as_str()), data),
            "{trial}: event {seq}"
        );
    }
}

/// What must hold after a station was started again, has run its boards and has ended.
fn assert_whole(
    station: &TestStation,
    bench: &Bench,
    before: &[(i64, String, Value)],
    trial: &str,
) {
    let verified = station
        .run(&["journal", "verify", "--json"])
        .expect(0)
        .json();
    assert_eq!(verified["findings"], Value::Array(Vec::new()), "{trial}");
    assert_eq!(verified["open"], false, "{trial}");
    let record = station.record();
    record.assert_sound(&STEPS);
    let after = record.events();
    assert!(
        after.starts_with(before),
        "{trial}: recorded events have changed"
    );
    assert_eq!(
        record.number("SELECT count(*) FROM serial WHERE state = 'reserved'"),
        0,
        "{trial}"
    );
    let derived = record.derived();
    let _rebuilt = station.run(&["journal", "rebuild"]).expect(0);
    assert_eq!(
        record.derived(),
        derived,
        "{trial}: the rebuilt tables differ"
    );
    for board in [1, 2] {
        assert_board_carries_its_serial(station, bench, board, &record, trial);
    }
}

/// The serial number in a board's flash is the one the record says is its own.
fn assert_board_carries_its_serial(
    station: &TestStation,
    bench: &Bench,
    board: usize,
    record: &Record,
    trial: &str,
) {
    let mac = bench.boards.mac(board);
    let serials = record.column(&format!(
        "SELECT serial FROM serial WHERE mac = '{mac}' AND state = 'committed'"
    ));
    assert_eq!(serials.len(), 1, "{trial}: {mac} has {serials:?}");
    let port = bench.boards.pty(board).display().to_string();
    let out = station
        .folder()
        .join(format!("serial-{board}.bin"))
        .display()
        .to_string();
    let _read = station
        .run(&[
            "flash", "read", "--port", &port, "--at", SERIAL_AT, "--size", "0x20", "--out", &out,
        ])
        .expect(0);
    let bytes = std::fs::read(&out).unwrap();
    assert!(
        bytes.starts_with(serials[0].as_bytes()),
        "{trial}: {mac} carries {bytes:?}, not {serials:?}"
    );
}

/// How many events the run has when nothing happens to it.
fn events_of_a_whole_run(bench: &Bench) -> i64 {
    let station = station();
    let ended = start(&station, bench, None).ended();
    assert_eq!(ended.code, 0, "{}", ended.err);
    station.record().number("SELECT max(seq) FROM event")
}

fn die_and_start_again(bench: &Bench, seq: i64, moment: &str) {
    let trial = format!("{seq}:{moment}");
    let station = station();
    let died = start(&station, bench, Some(&trial)).ended();
    assert_eq!(died.code, ABORTED, "{trial}: {}", died.err);
    let left = on_disk(&station);
    let last = left.last().map_or(0, |(seq, ..)| *seq);
    match moment {
        "before-commit" => assert!(last < seq, "{trial}: event {last} was committed"),
        _ => assert!(last >= seq, "{trial}: only {last} events were committed"),
    }
    assert_shown_is_recorded(&died.events, &left, &trial);
    let again = start(&station, bench, None).ended();
    assert_eq!(again.code, 0, "{trial}: {}", again.err);
    assert_shown_is_recorded(&again.events, &station.record().events(), &trial);
    assert_whole(&station, bench, &left, &trial);
}

/// Works through `trials` on several benches at once.
fn on_benches<T: Sync>(trials: &[T], work: impl Fn(&Bench, &T) + Sync) {
    let next = AtomicUsize::new(0);
    let broken: Mutex<Vec<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for seed in 0..BENCHES {
            let (next, broken, work) = (&next, &broken, &work);
            scope.spawn(move || {
                let bench = Bench::new(seed + 1);
                while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        work(&bench, trial);
                    }));
                    if let Err(why) = done {
                        let why = why
                            .downcast_ref::<String>()
                            .cloned()
                            .unwrap_or_else(|| "a panic".to_owned());
                        broken.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    assert!(
        broken.is_empty(),
        "{} of {} trials:\n{}",
        broken.len(),
        trials.len(),
        broken.join("\n")
    );
}

#[test]
fn a_station_that_dies_at_any_event_loses_nothing_and_does_nothing_twice() {
    let events = events_of_a_whole_run(&Bench::new(99));
    assert!(events > 25, "{events} events");
    let trials: Vec<(i64, &str)> = (1..=events)
        .flat_map(|seq| MOMENTS.map(|moment| (seq, moment)))
        .collect();
    on_benches(&trials, |bench, (seq, moment)| {
        die_and_start_again(bench, *seq, moment);
    });
}

#[test]
fn a_station_that_dies_while_it_closes_what_a_crash_left_open_closes_it_at_the_next_start() {
    let bench = Bench::new(41);
    for (seq, moment) in [
        (9, "before-commit"),
        (15, "after-commit"),
        (22, "after-ack"),
    ] {
        for second in ["before-commit", "after-commit"] {
            let station = station();
            let died = start(&station, &bench, Some(&format!("{seq}:{moment}"))).ended();
            assert_eq!(died.code, ABORTED, "{}", died.err);
            let left = on_disk(&station);
            let next = left.last().map_or(0, |(seq, ..)| *seq) + 1;
            let trial = format!("{seq}:{moment}, then {next}:{second}");
            let died = start(&station, &bench, Some(&format!("{next}:{second}"))).ended();
            assert_eq!(died.code, ABORTED, "{trial}: {}", died.err);
            let left = on_disk(&station);
            let again = start(&station, &bench, None).ended();
            assert_eq!(again.code, 0, "{trial}: {}", again.err);
            assert_whole(&station, &bench, &left, &trial);
            let closed = station
                .record()
                .number("SELECT count(*) FROM event WHERE kind = 'recovered'");
            assert_eq!(closed, 1, "{trial}: closed more than once");
        }
    }
}

#[test]
fn a_station_that_is_killed_keeps_every_event_it_has_shown() {
    let bench = Bench::new(42);
    for shown in [1, 4, 9, 13, 18, 24, 29, 31] {
        let trial = format!("killed after {shown} lines");
        let station = station();
        let mut live = start(&station, &bench, None);
        for _ in 0..shown {
            live.next().unwrap();
        }
        live.signal(Signal::KILL);
        let killed = live.ended();
        let left = on_disk(&station);
        assert_shown_is_recorded(&killed.events, &left, &trial);
        let again = start(&station, &bench, None).ended();
        assert_eq!(again.code, 0, "{trial}: {}", again.err);
        assert_whole(&station, &bench, &left, &trial);
    }
}

#[test]
fn a_crash_point_that_makes_no_sense_is_refused() {
    let station = station();
    for text in ["", "7", "x:after-ack", "7:whenever"] {
        let mut command = station.command(&["run", "crash.toml", "--virtual", "1", "--json"]);
        let ended = Live::start(command.env("STATION_CRASH_AT", text)).ended();
        assert_eq!(ended.code, 2, "{text:?}");
        assert_eq!(
            ended.events[0]["error"]["code"], "crash-point-invalid",
            "{text:?}"
        );
    }
    assert!(!Path::new(&station.journal()).exists());
}
