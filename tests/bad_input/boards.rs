//! Boards and ports: in use, absent, taken out, silent, flooding, resetting, going dark at any byte.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::Signal;

use super::{DEMO_STEPS, error_of, impatient, waiting};
use crate::support::{Fleet, FleetOptions, TestStation, recipe};

#[test]
fn a_second_station_on_the_same_port_is_refused_and_the_first_goes_on() {
    let (first, second) = (TestStation::new(), TestStation::new());
    let boards = Fleet::of("esp32c3", 1);
    let port = boards.pty(1).display().to_string();
    let bay = format!("left={port}");
    let mut live = first.start(&["run", &waiting(&first, "80s"), "--bay", &bay]);
    live.until_step("self test", 1);
    let refused = second
        .run(&["run", &recipe("demo.toml"), "--bay", &bay, "--plain"])
        .expect(50);
    assert!(refused.out.contains("port-in-use"), "{}", refused.out);
    assert!(
        refused.out.contains(&live.pid().to_string()),
        "who holds it is not said: {}",
        refused.out
    );
    let codes = second
        .record()
        .column("SELECT outcome || ' ' || code FROM attempt");
    assert_eq!(codes, ["error port-in-use"]);
    let asked = second
        .run(&["chip", "detect", "--port", &port, "--json"])
        .expect(50);
    assert_eq!(error_of(&asked)["code"], "port-in-use");
    live.signal(Signal::TERM);
    let ended = live.ended();
    assert_eq!(ended.code, 192, "the first was disturbed: {}", ended.err);
    // It is free again.
    let _passed = second
        .run(&["run", &recipe("demo.toml"), "--bay", &bay, "--plain"])
        .expect(0);
}

#[test]
fn a_port_that_is_none_or_cannot_be_reached_is_an_error_with_a_code() {
    let station = TestStation::new();
    let file = station
        .write("file.txt", "not a port")
        .display()
        .to_string();
    let ports = [
        ("tcp://127.0.0.1:1", "unreachable"),
        ("rfc2217://127.0.0.1:1", "unreachable"),
        (file.as_str(), "port-broken"),
    ];
    for (port, code) in ports {
        let bay = format!("left={port}");
        let ran = station
            .run(&["run", &recipe("demo.toml"), "--bay", &bay, "--plain"])
            .expect(50);
        assert!(
            ran.out.contains("0 pass, 0 fail, 1 error"),
            "{port}: {}",
            ran.out
        );
        assert!(ran.out.contains(code), "{port}: {}", ran.out);
        let asked = station
            .run(&["chip", "info", "--port", port, "--json"])
            .expect(50);
        assert_eq!(error_of(&asked)["code"], code, "{port}");
    }
    let twice = station.run(&[
        "run",
        &recipe("demo.toml"),
        "--bay",
        "a=virtual:1",
        "--bay",
        "a=virtual:2",
        "--json",
    ]);
    assert_eq!(error_of(&twice.expect(50))["code"], "same-bay-name");
    let _clean = station.run(&["journal", "verify"]).expect(0);
}

/// Says one line to a bay's control socket and returns its answer.
fn control(pty: &Path, line: &str) -> String {
    let mut socket = pty.as_os_str().to_owned();
    socket.push(".ctl");
    let mut stream = UnixStream::connect(&socket).unwrap();
    writeln!(stream, "{line}").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer.trim().to_owned()
}

#[test]
fn a_board_that_is_taken_out_ends_its_attempt_and_not_its_neighbours() {
    let station = TestStation::new();
    let boards = Fleet::of("esp32c3", 2);
    let bays = [1, 2].map(|bay| format!("bay{bay}={}", boards.pty(bay).display()));
    let mut live = station.start(&[
        "run",
        &waiting(&station, "4s"),
        "--bay",
        &bays[0],
        "--bay",
        &bays[1],
    ]);
    live.until_step("self test", 2);
    assert_eq!(control(&boards.pty(1), "remove"), "ok");
    let ended = live.ended();
    assert_ne!(ended.code, 0, "{}", ended.err);
    let outcomes: BTreeMap<String, String> = station
        .record()
        .column("SELECT bay || '=' || outcome || ' ' || code FROM attempt")
        .iter()
        .map(|row| {
            row.split_once('=')
                .map(|(bay, end)| (bay.to_owned(), end.to_owned()))
                .unwrap()
        })
        .collect();
    assert_eq!(outcomes["bay2"], "fail not-heard");
    assert!(!outcomes["bay1"].starts_with("pass"), "{outcomes:?}");
    assert_eq!(
        station
            .record()
            .number("SELECT count(*) FROM serial WHERE state = 'committed'"),
        0
    );
    let _clean = station.run(&["journal", "verify"]).expect(0);
}

/// What an attempt on a board with this fault may come to.
#[derive(Clone, Copy)]
enum May {
    /// Only this outcome.
    Only(&'static str),
    /// A retry may save it; otherwise the station says error. It never blames the unit.
    PassOrError,
}

/// Faults and what may become of a board that has them.
fn faulty_boards() -> Vec<(String, String, May)> {
    let mut boards: Vec<(String, String, May)> = [
        ("sound", "", May::Only("pass")),
        ("silent", "silent = true", May::Only("error")),
        ("floods", "flood = true", May::Only("error")),
        ("never-boots", "never_boots = true", May::Only("fail")),
        ("stuck-sector", "stuck_sectors = [16]", May::Only("fail")),
        (
            "wrong-flash",
            "flash_jedec = [0xC8, 0x40, 0x15]",
            May::Only("fail"),
        ),
        ("resets", "reset_per_million = 2000", May::PassOrError),
        (
            "chatters",
            "[chatter]\ntext = \"I (12) wifi: hello\"\nevery = 3",
            May::Only("pass"),
        ),
        (
            "drops",
            "[to_chip]\ndrop_per_million = 2000",
            May::PassOrError,
        ),
        (
            "flips",
            "[from_chip]\nflip_per_million = 2000",
            May::PassOrError,
        ),
        ("stalls", "[late]\nevery = 5\nby_ms = 700", May::PassOrError),
        ("slow-wire", "max_baud = 115200", May::Only("pass")),
        ("deaf-to-baud", "ignore_baud = true", May::Only("pass")),
        (
            "browns-out",
            "[power_loss]\nat_program = 20\nbrownout = true",
            May::PassOrError,
        ),
        (
            "comes-back",
            "[power_loss]\nat_program = 100\nback_after_ms = 200",
            May::PassOrError,
        ),
        ("re-enumerates", "reenumerate = true", May::PassOrError),
    ]
    .map(|(name, faults, may)| (name.to_owned(), faults.to_owned(), may))
    .into();
    for byte in [1, 30, 80, 300, 1000, 3000, 9000, 20_000] {
        let faults = format!("[power_loss]\nat_byte = {byte}");
        boards.push((format!("dark-at-{byte}"), faults, May::Only("error")));
    }
    boards
}

#[test]
fn boards_that_stall_flood_reset_or_go_dark_never_pass_and_never_harm_others() {
    let station = TestStation::new();
    let boards = faulty_boards();
    let mut fleets = Vec::new();
    let mut arguments = vec!["run".to_owned(), impatient(&station), "--plain".to_owned()];
    for (seed, (name, faults, _)) in boards.iter().enumerate() {
        let file = station.write(&format!("faults/{name}.toml"), faults);
        let more = [
            "--faults".to_owned(),
            file.display().to_string(),
            "--seed".to_owned(),
            (seed + 1).to_string(),
        ];
        let fleet = Fleet::with(&FleetOptions {
            chip: "esp32c3",
            count: 1,
            more: more.into(),
        });
        arguments.extend([
            "--bay".to_owned(),
            format!("{name}={}", fleet.pty(1).display()),
        ]);
        fleets.push(fleet);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ran = station.run(&arguments).expect(50);
    let record = station.record();
    record.assert_sound(&DEMO_STEPS);
    let outcomes: BTreeMap<String, String> = record
        .column("SELECT bay || ' ' || outcome FROM attempt")
        .iter()
        .map(|row| {
            row.split_once(' ')
                .map(|(bay, outcome)| (bay.to_owned(), outcome.to_owned()))
                .unwrap()
        })
        .collect();
    let mut wrong = Vec::new();
    for (name, _, may) in &boards {
        let outcome = outcomes[name].as_str();
        let good = match may {
            May::Only(only) => outcome == *only,
            May::PassOrError => outcome == "pass" || outcome == "error",
        };
        if !good {
            wrong.push(format!("{name}: {outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}\n{}", ran.out);
    let without = record.number(
        "SELECT count(*) FROM attempt WHERE outcome <> 'pass' AND (code IS NULL OR message = '')",
    );
    assert_eq!(without, 0, "a failure without a code");
    let strange = ran
        .out
        .chars()
        .find(|sign| sign.is_control() && *sign != '\n');
    assert_eq!(
        strange, None,
        "what a board says reaches the terminal raw:\n{:?}",
        ran.out
    );
    let _clean = station.run(&["journal", "verify"]).expect(0);
}
