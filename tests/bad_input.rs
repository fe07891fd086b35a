//! Bad input and faults, at the keyboard: each ends with a clear code and the right exit code, nothing is
//! lost, and nothing passes that should not.

mod boards;
mod journal;
mod recipes;

use serde_json::Value;

use crate::support::{Ran, TestStation};

const DEMO_STEPS: [&str; 4] = ["identify", "flash", "serial", "self test"];

/// Serial numbers from a list instead of a pattern, as a replacement in the demo recipe.
const PATTERN: &str =
    "pool = \"demo\"\npattern = \"SN{year:02}{week:02}-{counter:06}{check:luhn}\"";

/// The demo, impatient: what does not answer is given up in seconds.
fn impatient(station: &TestStation) -> String {
    station.derived(
        "demo.toml",
        &[
            ("attempt_timeout = \"120s\"", "attempt_timeout = \"14s\""),
            ("timeout = \"30s\"", "timeout = \"12s\""),
        ],
    )
}

/// A recipe whose boards wait `within` for a line that never comes.
fn waiting(station: &TestStation, within: &str) -> String {
    let expect = format!("expect = \"NEVER\", within = \"{within}\"");
    station.derived(
        "demo.toml",
        &[
            ("expect = \"SELFTEST READY\", within = \"5s\"", &expect),
            ("timeout = \"30s\"", "timeout = \"85s\""),
            ("\"refuse\"", "\"repeat\""),
        ],
    )
}

fn error_of(ran: &Ran) -> Value {
    let last = ran
        .json_lines()
        .pop()
        .unwrap_or_else(|| panic!("nothing was printed: {}", ran.err));
    assert!(
        last["error"]["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty()),
        "{last}"
    );
    last["error"].clone()
}

fn assert_no_run_was_begun(station: &TestStation) {
    assert!(
        !station.journal().exists() || station.record().number("SELECT count(*) FROM run") == 0
    );
}
