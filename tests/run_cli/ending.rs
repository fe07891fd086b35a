//! How a run is ended before its time: by Ctrl-C, from another terminal, or through a server.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{DEMO_STEPS, assert_grammar, endless, patient};
use crate::support::{Client, TestStation, recipe};

#[test]
fn the_first_ctrl_c_lets_running_boards_finish_and_starts_no_more() {
    let station = TestStation::new();
    let mut live = station.start(&[
        "run",
        &recipe("demo.toml"),
        "--virtual",
        "2",
        "--units",
        "100000",
    ]);
    live.until_kind("attempt_finished");
    live.until_kind("attempt_started");
    live.signal(Signal::INT);
    let asked = live.until_kind("cancel_requested");
    assert_eq!(asked["data"]["mode"], "drain");
    let ended = live.ended();
    assert_eq!(
        ended.code, 0,
        "everything that was begun passed: {}",
        ended.err
    );
    let asked = ended
        .events
        .iter()
        .position(|event| event["kind"] == "cancel_requested")
        .unwrap();
    let after = |kind: &str| {
        ended.events[asked..]
            .iter()
            .filter(|event| event["kind"] == kind)
            .count()
    };
    assert_eq!(
        after("attempt_started"),
        0,
        "a board started after the request"
    );
    assert!(after("attempt_finished") > 0);
    assert_eq!(after("run_finished"), 1);
    assert_grammar(&ended.events);
    station.record().assert_sound(&DEMO_STEPS);
}

#[test]
fn the_second_ctrl_c_leaves_running_boards_and_exits_as_cancelled() {
    let station = TestStation::new();
    let mut live = station.start(&["run", &endless(&station), "--virtual", "2"]);
    live.until_step("self test", 2);
    live.signal(Signal::INT);
    live.until_kind("cancel_requested");
    live.signal(Signal::INT);
    let second = live.until_kind("cancel_requested");
    assert_eq!(second["data"]["mode"], "stop");
    let ended = live.ended();
    assert_eq!(ended.code, 192, "{}", ended.err);
    assert_grammar(&ended.events);
    let outcomes = station
        .record()
        .column("SELECT outcome || ' ' || code FROM attempt");
    assert_eq!(outcomes, ["aborted stopped"; 2]);
    assert_eq!(
        station
            .record()
            .number("SELECT count(*) FROM serial WHERE state = 'committed'"),
        0
    );
    let _clean = station.run(&["journal", "verify"]).expect(0);
}

#[test]
fn a_run_is_cancelled_from_another_terminal() {
    let station = TestStation::new();
    let mut live = station.start(&["run", &endless(&station), "--virtual", "2"]);
    live.until_step("self test", 2);
    let asked = station
        .run(&["runs", "cancel", "1", "--json"])
        .expect(0)
        .json();
    assert_eq!(asked["asked"], true);
    assert_eq!(live.until_kind("cancel_requested")["data"]["mode"], "drain");
    let _stopped = station
        .run(&["runs", "cancel", "1", "--mode", "stop"])
        .expect(0);
    assert_eq!(live.until_kind("cancel_requested")["data"]["mode"], "stop");
    assert_eq!(live.ended().code, 192);
    let after = station
        .run(&["runs", "cancel", "1", "--json"])
        .expect(0)
        .json();
    assert_eq!(after["asked"], false, "there was nothing left to cancel");
    let status = station
        .run(&["runs", "status", "1", "--json"])
        .expect(0)
        .json();
    assert_eq!(
        (&status["over"], &status["tally"]["aborted"]),
        (&true.into(), &2.into())
    );
    let unknown = station
        .run(&["runs", "cancel", "99", "--json"])
        .expect(2)
        .json();
    assert_eq!(unknown["error"]["code"], "run-unknown");
}

#[test]
fn asking_another_terminal_twice_to_drain_does_not_stop_running_boards() {
    let station = TestStation::new();
    let mut live = station.start(&["run", &patient(&station, "3s"), "--virtual", "1"]);
    live.until_step("self test", 1);
    for _ in 0..2 {
        let _asked = station
            .run(&["runs", "cancel", "1", "--mode", "drain"])
            .expect(0);
    }
    let ended = live.ended();
    assert_eq!(
        ended.code, 30,
        "the board was not waited for: {}",
        ended.err
    );
    let asked: Vec<&Value> = ended
        .events
        .iter()
        .filter(|event| event["kind"] == "cancel_requested")
        .map(|event| &event["data"]["mode"])
        .collect();
    assert_eq!(asked, [&Value::from("drain")]);
    assert_eq!(
        station
            .record()
            .column("SELECT outcome || ' ' || code FROM attempt"),
        ["fail not-heard"]
    );
}

#[test]
fn a_run_of_a_server_is_cancelled_from_a_terminal_and_the_server_goes_on() {
    let station = TestStation::new();
    let mut client = Client::of(&station);
    let order = json!({"recipe": endless(&station), "virtual": 1});
    let started = client.call("esp_batch_program", &order);
    assert_eq!(started["structuredContent"]["run"], 1, "{started}");
    let mut since = 0;
    loop {
        let asked = json!({"run": 1, "since": since, "wait": "60s"});
        let answer = client.call("run_events", &asked)["structuredContent"].clone();
        since = answer["next"].as_u64().unwrap();
        let events = answer["events"].as_array().unwrap();
        assert!(!events.is_empty() && answer["over"] == false, "{answer}");
        if events
            .iter()
            .any(|event| event["data"]["step"] == "self test")
        {
            break;
        }
    }
    let _asked = station
        .run(&["runs", "cancel", "1", "--mode", "stop"])
        .expect(0);
    while client.call("run_status", &json!({"run": 1}))["structuredContent"]["over"] == false {
        let next = client.call(
            "run_events",
            &json!({"run": 1, "since": since, "wait": "60s"}),
        );
        since = next["structuredContent"]["next"].as_u64().unwrap();
    }
    let status = client.call("run_status", &json!({"run": 1}));
    assert_eq!(
        status["structuredContent"]["tally"]["aborted"], 1,
        "{status}"
    );
    assert_eq!(client.hang_up(), Some(0));
    let _clean = station.run(&["journal", "verify"]).expect(0);
}
