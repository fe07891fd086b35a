//! What the program says: events as JSON, reports, errors, help, and the copy of a journal in use.

use std::collections::BTreeSet;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use super::assert_grammar;
use crate::support::{TestStation, recipe};

#[test]
fn the_record_of_a_run_reads_the_same_as_table_csv_and_json() {
    let station = TestStation::new();
    let _passed = station
        .run(&["run", &recipe("demo.toml"), "--virtual", "3", "--plain"])
        .expect(0);
    let counts = [
        ("runs", 1),
        ("units", 3),
        ("attempts", 3),
        ("steps", 12),
        ("measurements", 9),
        ("serials", 3),
        ("yield", 1),
    ];
    for (list, count) in counts {
        let rows = station
            .run(&["report", list, "--format", "json"])
            .expect(0)
            .json_lines();
        assert_eq!(rows.len(), count, "{list}");
        let csv = station
            .run(&["report", list, "--format", "csv"])
            .expect(0)
            .out;
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let fields = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            reader.headers().unwrap().iter().collect::<Vec<_>>(),
            fields(&rows[0]),
            "{list}"
        );
        assert_eq!(
            reader.records().map(Result::unwrap).count(),
            count,
            "{list}"
        );
        let table = station.run(&["report", list]).expect(0).out;
        for name in fields(&rows[0]).iter().take(2) {
            assert!(
                table.contains(&name.replace('_', " ")),
                "{list} as a table has no {name}:\n{table}"
            );
        }
    }
}

#[test]
fn what_was_measured_is_reported_with_its_limits_and_what_came_of_it() {
    let station = TestStation::new();
    let demo = recipe("demo.toml");
    let _passed = station
        .run(&["run", &demo, "--virtual", "3", "--plain"])
        .expect(0);
    let measured = station
        .run(&["report", "measurements", "--format", "json"])
        .expect(0)
        .json_lines();
    let names: BTreeSet<&str> = measured
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from(["vdd", "temp", "ram"]));
    let vdd = measured.iter().find(|row| row["name"] == "vdd").unwrap();
    assert_eq!(
        (&vdd["min"], &vdd["max"], &vdd["unit"]),
        (&3200.0.into(), &3400.0.into(), &"mV".into())
    );
    let yields = station
        .run(&["report", "yield", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(
        (&yields["units"], &yields["final_pass"]),
        (&3.into(), &3.into())
    );
    assert_eq!(
        station
            .run(&["report", "failures", "--format", "json"])
            .expect(0)
            .out,
        ""
    );
}

#[test]
fn json_is_one_event_a_line_in_the_order_of_the_grammar_and_as_recorded() {
    let station = TestStation::new();
    let ended = station
        .start(&["run", &recipe("demo.toml"), "--virtual", "4"])
        .ended();
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_grammar(&ended.events);
    let recorded = station
        .run(&["runs", "events", "1", "--limit", "10000", "--json"])
        .expect(0)
        .json();
    assert_eq!(recorded["events"], Value::Array(ended.events));
    assert_eq!(recorded["over"], true);
}

#[test]
fn a_refused_recipe_is_shown_with_its_source_lines_and_ends_with_70() {
    let station = TestStation::new();
    let bad = station.derived(
        "demo.toml",
        &[("flash_size = \"4MB\"", "flash_sise = \"4MB\"")],
    );
    for command in [
        ["check", bad.as_str()].as_slice(),
        &["run", &bad, "--virtual", "1", "--plain"],
    ] {
        let ran = station.run(command).expect(70);
        let shown = format!("{}{}", ran.out, ran.err);
        assert!(
            shown.contains("identify = { flash_sise = \"4MB\" }"),
            "{command:?}:\n{shown}"
        );
        assert!(shown.contains("flash_size"), "no suggestion: {shown}");
        assert!(shown.contains("recipe-unknown-key"), "{shown}");
    }
    let ran = station
        .run(&["run", &bad, "--virtual", "1", "--json"])
        .expect(70)
        .json();
    assert_eq!(ran["error"]["code"], "recipe-refused");
    let causes = ran["error"]["causes"].as_array().unwrap();
    let said = causes.iter().any(|cause| {
        cause
            .as_str()
            .unwrap()
            .starts_with("line 25: `identify` has no key")
    });
    assert!(said, "{ran}");
    assert!(
        !station.journal().exists() || station.record().number("SELECT count(*) FROM run") == 0
    );
}

#[test]
fn wrong_usage_ends_with_2_and_touches_nothing() {
    let station = TestStation::new();
    let demo = recipe("demo.toml");
    let wrong: [&[&str]; 9] = [
        &["runn"],
        &["run"],
        &["run", &demo],
        &["run", &demo, "--virtual", "0"],
        &["run", &demo, "--virtual", "65"],
        &["run", &demo, "--virtual", "1", "--units", "0"],
        &["run", &demo, "--bay", "left=nonsense"],
        &["run", "absent.toml", "--virtual", "1"],
        &["report", "everything"],
    ];
    for arguments in wrong {
        let ran = station.run(arguments).expect(2);
        assert!(ran.err.contains("error: "), "{arguments:?}: {}", ran.err);
    }
    assert!(
        !station.journal().exists() || station.record().number("SELECT count(*) FROM run") == 0
    );
}

#[test]
fn help_says_what_each_command_does() {
    let station = TestStation::new();
    let help = station.run(&["--help"]).expect(0).out;
    assert!(help.starts_with("Factory production line"), "{help}");
    for command in [
        "run", "check", "report", "journal", "bays", "mcp", "virtual", "bench",
    ] {
        let line = help
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{command} ")));
        let line = line.unwrap_or_else(|| panic!("no `{command}` in\n{help}"));
        assert!(
            !line.contains("Parameters of") && !line.contains("An operation"),
            "{line}"
        );
    }
}

#[test]
fn the_page_of_operations_describes_every_one() {
    let station = TestStation::new();
    let page = station.run(&["docs", "operations"]).expect(0).out;
    for operation in station::operations::registry().iter() {
        let declaration = operation.declaration();
        assert!(
            page.contains(&format!("\n## {}\n", declaration.name)),
            "no {}",
            declaration.name
        );
        assert!(
            page.contains(&format!("`station {}`", declaration.command.join(" "))),
            "{}",
            declaration.name
        );
    }
}

#[test]
fn a_backup_taken_during_a_run_is_a_journal_of_its_own() {
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
    let copy = station.folder().join("copy.db").display().to_string();
    let taken = station
        .run(&["journal", "backup", &copy, "--json"])
        .expect(0)
        .json();
    assert!(taken["head_seq"].as_u64().unwrap() > 0, "{taken}");
    let exists = station
        .run(&["journal", "backup", &copy, "--json"])
        .expect(50)
        .json();
    assert_eq!(exists["error"]["code"], "file-exists");
    live.signal(Signal::INT);
    assert_eq!(live.ended().code, 0);
    let verified = station
        .run(&["journal", "verify", "--db", &copy, "--json"])
        .expect(0)
        .json();
    assert_eq!(verified["head_seq"], taken["head_seq"]);
    assert_eq!(verified["head"], taken["head"]);
}

#[test]
fn sqlite_itself_reads_the_journal_while_a_run_writes() {
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
    let asked = Command::new("sqlite3")
        .arg("-readonly")
        .arg(station.journal())
        .arg("SELECT count(*) FROM attempt JOIN serial USING (serial) WHERE attempt.outcome = 'pass'")
        .output()
        .unwrap();
    assert!(
        asked.status.success(),
        "{}",
        String::from_utf8_lossy(&asked.stderr)
    );
    let count: u64 = String::from_utf8_lossy(&asked.stdout)
        .trim()
        .parse()
        .unwrap();
    assert!(count >= 1);
    live.signal(Signal::TERM);
    assert!([0, 192].contains(&live.ended().code));
}
