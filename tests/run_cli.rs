//! The main job at the keyboard: a recipe in, programmed and recorded units out.

mod ending;
mod faces;
mod firmware;
mod outcomes;
mod security;

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

use crate::support::TestStation;

const DEMO_STEPS: [&str; 4] = ["identify", "flash", "serial", "self test"];

/// A recipe whose boards wait `within` for a line that never comes.
fn patient(station: &TestStation, within: &str) -> String {
    let expect = format!("expect = \"NEVER\", within = \"{within}\"");
    let ready = "expect = \"SELFTEST READY\", within = \"5s\"";
    station.derived(
        "demo.toml",
        &[(ready, &expect), ("timeout = \"30s\"", "timeout = \"85s\"")],
    )
}

fn endless(station: &TestStation) -> String {
    patient(station, "80s")
}

/// What the lines of a plain run that begin with `word` say: bay, MAC and serial number.
fn units(out: &str, word: &str) -> Vec<(String, String, String)> {
    let line = Regex::new(&format!(
        r"(?m)^{word}\s+(bay\d+)\s+((?:[0-9a-f]{{2}}:){{5}}[0-9a-f]{{2}})  (SN\d{{4}}-\d{{7}})  vdd=\d+mV  temp=[\d.]+°C  ram=ok  [\d.]+ s$"
    ))
    .unwrap();
    line.captures_iter(out)
        .map(|found| {
            (
                found[1].to_owned(),
                found[2].to_owned(),
                found[3].to_owned(),
            )
        })
        .collect()
}

/// The counters in serial numbers of the demo, in order.
fn counters(units: &[(String, String, String)]) -> Vec<u64> {
    let mut counters: Vec<u64> = units
        .iter()
        .map(|(_, _, serial)| serial[7..13].parse().unwrap())
        .collect();
    counters.sort_unstable();
    counters
}

fn macs(units: &[(String, String, String)]) -> BTreeSet<&str> {
    units.iter().map(|(_, mac, _)| mac.as_str()).collect()
}

/// What a reader of the stream may rely on: started implies finished, terminal is terminal, attempts of
/// one bay never overlap.
fn assert_grammar(events: &[Value]) {
    let number = |event: &Value, name: &str| event[name].as_u64().unwrap();
    let mut open: BTreeMap<u64, Option<String>> = BTreeMap::new();
    let mut bays: BTreeMap<String, u64> = BTreeMap::new();
    let mut over: BTreeSet<u64> = BTreeSet::new();
    assert_eq!(events.first().unwrap()["kind"], "run_started");
    assert_eq!(events.last().unwrap()["kind"], "run_finished");
    for pair in events.windows(2) {
        assert_eq!(
            number(&pair[0], "seq") + 1,
            number(&pair[1], "seq"),
            "{pair:#?}"
        );
        assert!(
            number(&pair[0], "elapsed_us") <= number(&pair[1], "elapsed_us"),
            "{pair:#?}"
        );
    }
    for event in events {
        let data = &event["data"];
        let attempt = data["attempt"].as_u64();
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        match (event["kind"].as_str().unwrap(), attempt) {
            ("attempt_started", Some(attempt)) => {
                assert!(
                    !over.contains(&attempt) && open.insert(attempt, None).is_none(),
                    "{event}"
                );
                assert!(
                    bays.insert(text("bay"), attempt).is_none(),
                    "attempts overlap: {event}"
                );
            }
            ("attempt_finished", Some(attempt)) => {
                assert_eq!(open.remove(&attempt), Some(None), "{event}");
                assert_eq!(bays.remove(&text("bay")), Some(attempt), "{event}");
                over.insert(attempt);
            }
            ("step_started", Some(attempt)) => {
                assert_eq!(
                    open.insert(attempt, Some(text("step"))),
                    Some(None),
                    "{event}"
                );
            }
            ("step_finished", Some(attempt)) => {
                assert_eq!(
                    open.insert(attempt, None),
                    Some(Some(text("step"))),
                    "{event}"
                );
            }
            ("measured" | "attachment_stored", Some(attempt)) => {
                assert_eq!(open.get(&attempt), Some(&Some(text("step"))), "{event}");
            }
            (_, Some(attempt)) => assert!(open.contains_key(&attempt), "{event}"),
            (_, None) => {}
        }
    }
    assert!(open.is_empty(), "never ended: {open:?}");
}
