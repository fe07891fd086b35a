//! What becomes of units: passed with serials, turned away, repeated, verified, failed, on carriers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{DEMO_STEPS, counters, macs, units};
use crate::support::{Fleet, TestStation, recipe};

#[test]
fn eight_boards_pass_and_the_next_eight_continue_their_serials() {
    let station = TestStation::new();
    let demo = recipe("demo.toml");
    let first = station
        .run(&["run", &demo, "--virtual", "8", "--plain", "--lot", "L1"])
        .expect(0);
    let first_units = units(&first.out, "PASS");
    assert_eq!(first_units.len(), 8, "{}", first.out);
    assert!(
        first.out.contains("8 pass, 0 fail, 0 error, 0 aborted"),
        "{}",
        first.out
    );
    assert!(first.out.contains("yield 100.0 %"), "{}", first.out);
    assert_eq!(counters(&first_units), (1..=8).collect::<Vec<_>>());
    assert_eq!(macs(&first_units).len(), 8);
    let second = station
        .run(&["run", &demo, "--virtual", "8", "--plain", "--lot", "L2"])
        .expect(0);
    let second_units = units(&second.out, "PASS");
    assert_eq!(counters(&second_units), (9..=16).collect::<Vec<_>>());
    assert!(
        macs(&first_units).is_disjoint(&macs(&second_units)),
        "the second run had the same boards"
    );
    let _clean = station.run(&["journal", "verify"]).expect(0);
    station.record().assert_sound(&DEMO_STEPS);
}

#[test]
fn a_unit_that_already_passed_is_turned_away() {
    let station = TestStation::new();
    let arguments = [
        "run",
        &recipe("demo.toml"),
        "--virtual",
        "2",
        "--seed",
        "7",
        "--plain",
    ];
    let _passed = station.run(&arguments).expect(0);
    let again = station.run(&arguments).expect(30);
    assert_eq!(again.out.matches("ABORTED").count(), 2, "{}", again.out);
    assert_eq!(
        again.out.matches("[already-passed]").count(),
        2,
        "{}",
        again.out
    );
    assert!(!again.out.contains("PASS "), "{}", again.out);
    let record = station.record();
    assert_eq!(
        record.number("SELECT count(*) FROM serial"),
        2,
        "no number was spent on them"
    );
    let codes = record.column("SELECT DISTINCT code FROM attempt WHERE outcome = 'aborted'");
    assert_eq!(codes, ["already-passed"]);
    let yields = station
        .run(&["report", "yield", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(yields["final_pass"], 2);
    assert_eq!(
        yields["final_yield"], 1.0,
        "who is turned away does not count"
    );
}

#[test]
fn a_recipe_that_repeats_takes_a_unit_again_and_leaves_its_serial() {
    let station = TestStation::new();
    let repeat = station.derived("demo.toml", &[("\"refuse\"", "\"repeat\"")]);
    let arguments = [
        "run",
        repeat.as_str(),
        "--virtual",
        "2",
        "--seed",
        "7",
        "--plain",
    ];
    let serials = |out: &str| -> BTreeMap<String, String> {
        units(out, "PASS")
            .into_iter()
            .map(|(_, mac, serial)| (mac, serial))
            .collect()
    };
    let first = serials(&station.run(&arguments).expect(0).out);
    let second = serials(&station.run(&arguments).expect(0).out);
    assert_eq!(first.len(), 2);
    assert_eq!(first, second);
    station.record().assert_sound(&DEMO_STEPS);
}

#[test]
fn a_recipe_that_verifies_writes_nothing_to_a_unit_that_already_passed() {
    let station = TestStation::new();
    let verify = station.derived("demo.toml", &[("\"refuse\"", "\"verify\"")]);
    let boards = Fleet::of("esp32c3", 1);
    let bay = format!("left={}", boards.pty(1).display());
    let _passed = station
        .run(&["run", &verify, "--bay", &bay, "--plain"])
        .expect(0);
    let again = station
        .run(&["run", &verify, "--bay", &bay, "--plain"])
        .expect(0);
    assert!(again.out.starts_with("run 2"), "{}", again.out);
    assert!(
        again.out.contains("1 pass, 0 fail, 0 error"),
        "{}",
        again.out
    );
    assert_eq!(
        station
            .record()
            .number("SELECT count(*) FROM serial WHERE state = 'committed'"),
        1
    );
    // A sector of the application is gone: verifying says so and does not write it again.
    let port = boards.pty(1).display().to_string();
    let sector = ["--port", port.as_str(), "--at", "0x11000", "--size", "4KB"];
    let _erased = station
        .run(&[["flash", "erase"].as_slice(), &sector].concat())
        .expect(0);
    let bad = station
        .run(&["run", &verify, "--bay", &bay, "--plain"])
        .expect(30);
    assert!(bad.out.contains("image-differs in `flash`"), "{}", bad.out);
    let read = station.folder().join("sector.bin").display().to_string();
    let _read = station
        .run(&[["flash", "read", "--out", &read].as_slice(), &sector].concat())
        .expect(0);
    assert!(
        std::fs::read(&read)
            .unwrap()
            .iter()
            .all(|byte| *byte == 0xFF)
    );
}

#[test]
fn a_limit_that_no_unit_meets_fails_every_unit_and_records_the_value() {
    let station = TestStation::new();
    let ran = station
        .run(&["run", &recipe("failing.toml"), "--virtual", "2", "--plain"])
        .expect(30);
    assert_eq!(
        ran.out
            .lines()
            .filter(|line| line.starts_with("FAIL "))
            .count(),
        2,
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("out-of-limits in `self test`"),
        "{}",
        ran.out
    );
    let record = station.record();
    let failed = record.column(
        "SELECT class || ' ' || code || ' ' || failed_step FROM attempt WHERE outcome = 'fail'",
    );
    assert_eq!(failed, ["limit out-of-limits self test"; 2]);
    let values = record.column("SELECT name || ' ' || verdict FROM measurement ORDER BY name");
    assert_eq!(values, ["temp pass", "temp pass", "vdd fail", "vdd fail"]);
    assert_eq!(
        record.number(
            "SELECT count(*) FROM measurement WHERE name = 'vdd' AND number BETWEEN 3000 AND 3600"
        ),
        2
    );
    let tries = record.number("SELECT max(try_number) FROM step");
    assert_eq!(tries, 1, "a limit failure is never retried");
    let pareto = station
        .run(&["report", "failures", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(pareto["code"], "out-of-limits");
}

#[test]
fn the_boards_of_a_carrier_start_and_are_released_together() {
    let station = TestStation::new();
    let ended = station
        .start(&["run", &recipe("carrier.toml"), "--virtual", "4"])
        .ended();
    assert_eq!(ended.code, 0, "{}", ended.err);
    let at = |wanted: &dyn Fn(&Value) -> bool| -> Vec<usize> {
        ended
            .events
            .iter()
            .enumerate()
            .filter(|(_, event)| wanted(event))
            .map(|(at, _)| at)
            .collect()
    };
    let started = at(&|event| event["kind"] == "attempt_started");
    let finished = at(&|event| event["kind"] == "attempt_finished");
    let released = at(&|event| event["kind"] == "bay_changed" && event["data"]["to"] == "finished");
    assert_eq!((started.len(), finished.len(), released.len()), (4, 4, 4));
    assert!(
        started.last() < finished.first(),
        "one ended before the last had started"
    );
    assert!(
        finished.last() < released.first(),
        "a board was released before the last had ended"
    );
}

#[test]
fn boards_are_swapped_until_as_many_units_are_done_as_were_asked_for() {
    let station = TestStation::new();
    let ran = station
        .run(&[
            "run",
            &recipe("demo.toml"),
            "--virtual",
            "4",
            "--units",
            "12",
            "--plain",
        ])
        .expect(0);
    let units = units(&ran.out, "PASS");
    assert_eq!(units.len(), 12, "{}", ran.out);
    assert_eq!(macs(&units).len(), 12);
    assert_eq!(counters(&units), (1..=12).collect::<Vec<_>>());
}

#[test]
fn the_first_article_recipe_is_accepted_and_its_units_pass() {
    let station = TestStation::new();
    let recipe = recipe("first-article.toml");
    let checked = station.run(&["check", &recipe, "--json"]).expect(0).json();
    assert_eq!(
        (&checked["accepted"], &checked["errors"]),
        (&true.into(), &Value::Array(Vec::new()))
    );
    let ran = station
        .run(&["run", &recipe, "--virtual", "2", "--plain"])
        .expect(0);
    assert!(
        ran.out.contains("2 pass, 0 fail, 0 error, 0 aborted"),
        "{}",
        ran.out
    );
    let tries = station
        .run(&["journal", "verify", "--json"])
        .expect(0)
        .json();
    assert_eq!(tries["findings"], Value::Array(Vec::new()));
}
