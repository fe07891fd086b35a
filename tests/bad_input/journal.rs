//! The journal: in use, write-protected, on a full disk, of another program, damaged, tampered with.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::Signal;

use super::{DEMO_STEPS, error_of, waiting};
use crate::support::{Ran, TestStation, finish, recipe};

#[test]
fn a_second_station_on_the_same_journal_is_refused_and_readers_are_welcome() {
    let station = TestStation::new();
    let mut live = station.start(&["run", &waiting(&station, "80s"), "--virtual", "1"]);
    live.until_step("self test", 1);
    for command in [
        &["run", &recipe("demo.toml"), "--virtual", "1", "--json"][..],
        &["journal", "rebuild", "--json"],
    ] {
        let refused = station.run(command).expect(50);
        let error = error_of(&refused);
        assert_eq!(error["code"], "journal-in-use", "{command:?}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains(&live.pid().to_string()),
            "{error}"
        );
        assert!(error["hint"].is_string(), "{error}");
    }
    let _read = station.run(&["report", "attempts"]).expect(0);
    let verified = station
        .run(&["journal", "verify", "--json"])
        .expect(0)
        .json();
    assert_eq!(verified["open"], true);
    live.signal(Signal::TERM);
    assert_eq!(live.ended().code, 192);
    station.record().assert_sound(&DEMO_STEPS);
}

#[test]
fn a_write_protected_journal_takes_no_run_and_can_still_be_read() {
    let station = TestStation::new();
    let _passed = station
        .run(&["run", &recipe("demo.toml"), "--virtual", "1", "--plain"])
        .expect(0);
    let before = fs::read(station.journal()).unwrap();
    fs::set_permissions(station.journal(), fs::Permissions::from_mode(0o444)).unwrap();
    let refused = station
        .run(&["run", &recipe("demo.toml"), "--virtual", "1", "--json"])
        .expect(50);
    let error = error_of(&refused);
    assert_eq!(error["code"], "journal-write");
    assert!(error["hint"].is_string());
    assert_eq!(fs::read(station.journal()).unwrap(), before);
    let rows = station
        .run(&["report", "units", "--format", "json"])
        .expect(0)
        .json_lines();
    assert_eq!(rows.len(), 1);
    fs::set_permissions(station.journal(), fs::Permissions::from_mode(0o644)).unwrap();
    let _passed = station
        .run(&["run", &recipe("demo.toml"), "--virtual", "1", "--plain"])
        .expect(0);
}

/// Runs the demo on a disk that takes files of so many KiB and not more.
fn run_on_a_disk_of(station: &TestStation, kib: u32) -> Ran {
    let run = format!(
        "trap '' XFSZ; ulimit -f {kib}; exec {} run {} --virtual 4 --units 100000 --plain",
        env!("CARGO_BIN_EXE_station"),
        recipe("demo.toml")
    );
    finish(
        Command::new("bash")
            .args(["-c", &run])
            .current_dir(station.folder())
            .env("STATION_DB", station.journal()),
    )
}

#[test]
fn a_full_disk_stops_the_line_and_every_pass_that_was_shown_is_recorded() {
    for kib in [20, 90, 160, 220, 320, 700, 1500] {
        let station = TestStation::new();
        let full = run_on_a_disk_of(&station, kib).expect(50);
        let coded = ["[journal-write]", "[journal-lost]"]
            .iter()
            .any(|code| full.err.contains(code));
        assert!(coded, "{kib} KiB: {}", full.err);
        let again = station
            .run(&["run", &recipe("demo.toml"), "--virtual", "2", "--plain"])
            .expect(0);
        assert!(
            again.out.contains("2 pass, 0 fail, 0 error"),
            "{kib} KiB: {}",
            again.out
        );
        let record = station.record();
        record.assert_sound(&DEMO_STEPS);
        let passed =
            record.column("SELECT mac || '  ' || serial FROM attempt WHERE outcome = 'pass'");
        for line in full.out.lines().filter(|line| line.starts_with("PASS ")) {
            assert!(
                passed.iter().any(|unit| line.contains(unit.as_str())),
                "{kib} KiB, not recorded: {line}"
            );
        }
        let _clean = station.run(&["journal", "verify"]).expect(0);
    }
}

#[test]
fn a_journal_of_a_newer_station_or_of_another_program_is_left_alone() {
    let station = TestStation::new();
    let _passed = station
        .run(&["run", &recipe("demo.toml"), "--virtual", "1", "--plain"])
        .expect(0);
    station
        .record()
        .sql()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    let other = station.folder().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE thing (a)")
        .unwrap();
    let noise = station.write(
        "noise.db",
        (0..9000_u32).flat_map(u32::to_be_bytes).collect::<Vec<_>>(),
    );
    let journals = [
        (station.journal(), "journal-newer"),
        (other, "journal-foreign"),
        (noise, "journal-corrupt"),
    ];
    for (journal, code) in journals {
        let before = fs::read(&journal).unwrap();
        let db = journal.display().to_string();
        let commands: [&[&str]; 4] = [
            &[
                "run",
                &recipe("demo.toml"),
                "--virtual",
                "1",
                "--json",
                "--db",
                &db,
            ],
            &["report", "units", "--json", "--db", &db],
            &["journal", "verify", "--json", "--db", &db],
            &["journal", "rebuild", "--json", "--db", &db],
        ];
        for command in commands {
            let refused = station.run(command).expect(50);
            assert_eq!(error_of(&refused)["code"], code, "{command:?}");
            assert!(error_of(&refused)["hint"].is_string(), "{command:?}");
        }
        assert_eq!(
            fs::read(&journal).unwrap(),
            before,
            "{} was changed",
            journal.display()
        );
    }
}

#[test]
fn a_damaged_page_is_found_and_nothing_passes_without_its_record() {
    let whole = TestStation::new();
    let _passed = whole
        .run(&["run", &recipe("demo.toml"), "--virtual", "2", "--plain"])
        .expect(0);
    let bytes = fs::read(whole.journal()).unwrap();
    let pages = bytes.len() / 4096;
    assert!(pages > 20, "{pages} pages");
    for page in 0..pages {
        let station = TestStation::new();
        let mut damaged = bytes.clone();
        let garbage = (0..4096_u32).map(|at| (at.wrapping_mul(0x9E37_79B9) >> 24) as u8);
        damaged[page * 4096..(page + 1) * 4096]
            .iter_mut()
            .zip(garbage)
            .for_each(|(byte, other)| *byte = other);
        fs::write(station.journal(), &damaged).unwrap();
        let verified = station
            .run(&["journal", "verify", "--json"])
            .expect(50)
            .json();
        let found = verified["error"]["code"] == "journal-corrupt"
            || verified["findings"]
                .as_array()
                .is_some_and(|findings| !findings.is_empty());
        assert!(found, "page {page}: {verified}");
        // A run of each would take long; every fifth page, and those that every run touches.
        if page > 4 && page % 5 != 0 {
            continue;
        }
        let ran = station.run(&["run", &recipe("demo.toml"), "--virtual", "1", "--plain"]);
        let passes = ran
            .out
            .lines()
            .filter(|line| line.starts_with("PASS "))
            .count();
        if ran.code == 0 {
            // The page was none that the run needed; then its record must be there.
            let recorded = station
                .run(&["report", "attempts", "--run", "2", "--format", "json"])
                .expect(0);
            assert_eq!(recorded.json()["outcome"], "pass", "page {page}");
            continue;
        }
        assert_eq!(
            (ran.code, passes),
            (50, 0),
            "page {page}: {}{}",
            ran.out,
            ran.err
        );
        assert!(ran.err.contains("[journal-"), "page {page}: {}", ran.err);
    }
}

#[test]
fn an_event_that_was_changed_afterwards_is_found() {
    let station = TestStation::new();
    let _passed = station
        .run(&["run", &recipe("failing.toml"), "--virtual", "1", "--plain"])
        .expect(30);
    let record = station.record();
    let refused = record
        .sql()
        .execute("UPDATE event SET body = '{}' WHERE kind = 'measured'", []);
    assert!(refused.unwrap_err().to_string().contains("never changed"));
    let refused = record
        .sql()
        .execute("DELETE FROM event WHERE kind = 'measured'", []);
    assert!(refused.unwrap_err().to_string().contains("never deleted"));
    record
        .sql()
        .execute_batch(
            "DROP TRIGGER event_is_never_changed;
             UPDATE event SET body = replace(body, '\"fail\"', '\"pass\"') WHERE kind = 'attempt_finished';",
        )
        .unwrap();
    let verified = station
        .run(&["journal", "verify", "--json"])
        .expect(50)
        .json();
    assert_eq!(verified["findings"][0]["code"], "chain", "{verified}");
}

#[test]
fn a_row_that_the_events_do_not_say_is_found_and_a_rebuild_takes_it_away() {
    let station = TestStation::new();
    let _failed = station
        .run(&["run", &recipe("failing.toml"), "--virtual", "1", "--plain"])
        .expect(30);
    let record = station.record();
    let derived = record.derived();
    record
        .sql()
        .execute_batch("UPDATE attempt SET outcome = 'pass', code = NULL; UPDATE measurement SET verdict = 'pass'")
        .unwrap();
    let verified = station
        .run(&["journal", "verify", "--json"])
        .expect(50)
        .json();
    assert_eq!(verified["findings"][0]["code"], "derived", "{verified}");
    let _rebuilt = station.run(&["journal", "rebuild"]).expect(0);
    assert_eq!(record.derived(), derived);
    let _clean = station.run(&["journal", "verify"]).expect(0);
}
