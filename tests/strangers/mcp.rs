//! The Python package `mcp`, an MCP client by others, drives the station through its whole job.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{TestStation, python, recipe, root};

/// Runs a client script that talks to `station mcp`; its assertions are its own.
fn client(station: &TestStation, script: &str, arguments: &[&str]) -> String {
    let output = python()
        .arg(root().join("tests/strangers").join(script))
        .arg(env!("CARGO_BIN_EXE_station"))
        .arg(station.journal())
        .args(arguments)
        .current_dir(station.folder())
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{out}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    out
}

#[test]
fn a_client_lists_the_tools_detects_a_chip_runs_the_demo_and_asks_for_the_yield() {
    let station = TestStation::new();
    let out = client(
        &station,
        "mcp_whole_job.py",
        &[&recipe("demo.toml"), &root().display().to_string()],
    );
    assert!(out.contains("yield 100"), "{out}");
}

/// Runs a script that keeps its files in the station's folder.
fn in_its_folder(script: &str, more: &[&str]) {
    let station = TestStation::new();
    let folder = station.folder().display().to_string();
    let mut arguments = vec![folder.as_str()];
    arguments.extend(more);
    let out = client(&station, script, &arguments);
    assert!(out.contains("done"), "{out}");
}

#[test]
fn progress_rises_and_ends_with_the_result() {
    in_its_folder("mcp_progress.py", &[]);
}

#[test]
fn a_write_that_is_cancelled_stops_and_leaves_the_port_free() {
    in_its_folder("mcp_cancel.py", &[]);
}

#[test]
fn refusals_are_results_with_code_and_hint_and_no_file_outside_the_root_is_touched() {
    in_its_folder("mcp_refusals.py", &[]);
}

#[test]
fn every_reading_tool_answers_as_its_schema_says_without_initialize() {
    in_its_folder("mcp_answers.py", &[&recipe("demo.toml")]);
}

#[test]
fn a_run_can_be_cancelled_and_a_unit_found_by_its_serial_number() {
    in_its_folder("mcp_runs.py", &[&recipe("demo.toml")]);
}

#[test]
fn what_cannot_be_undone_needs_a_persons_typed_approval() {
    in_its_folder("mcp_approvals.py", &[]);
}

/// A server that is spoken to in bare JSON-RPC, one message a line; killed when dropped.
struct Bare {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Bare {
    fn start(station: &TestStation) -> Self {
        let mut child = station
            .command(&[
                "mcp",
                "--virtual",
                "2",
                "--root",
                &root().display().to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self {
            child,
            to,
            from: BufReader::new(from),
        }
    }

    /// Asks as protocol 2026-07-28 wants it: each request says for itself who asks.
    fn ask(&mut self, id: u32, method: &str, mut params: Value) -> Value {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "bare", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    }

    fn say(&mut self, message: &Value) -> Value {
        writeln!(self.to, "{message}").unwrap();
        loop {
            let mut line = String::new();
            assert!(
                self.from.read_line(&mut line).unwrap() > 0,
                "the server hung up on {message}"
            );
            let answer: Value = serde_json::from_str(&line).unwrap();
            if answer["id"] == message["id"] {
                return answer;
            }
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn a_client_of_the_new_lifecycle_needs_no_initialize() {
    let station = TestStation::new();
    let mut server = Bare::start(&station);
    let refused = server.say(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}));
    assert!(
        refused["error"]["message"].is_string(),
        "who says nothing of itself is refused: {refused}"
    );
    let found = server.ask(2, "server/discover", json!({}));
    let versions = found["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&"2026-07-28".into()), "{found}");
    assert!(
        found["result"]["capabilities"]["tools"].is_object(),
        "{found}"
    );
    let call =
        json!({"name": "esp_reset_chip", "arguments": {"port": "virtual:1", "listen": "100ms"}});
    let answer = server.ask(3, "tools/call", call);
    assert!(
        answer["result"]["structuredContent"]["console"].is_string(),
        "{answer}"
    );
    let by: Vec<Value> = station
        .record()
        .events()
        .into_iter()
        .filter(|(_, kind, _)| kind == "operation_invoked")
        .map(|(_, _, asked)| asked["by"].clone())
        .collect();
    assert_eq!(by, ["bare"], "the record says who asked");
}

#[test]
fn a_server_that_is_asked_to_end_stops_its_runs_and_closes_the_record() {
    let station = TestStation::new();
    let mut server = Bare::start(&station);
    let batch = json!({"recipe": recipe("demo.toml"), "virtual": 2, "units": 1000});
    let started = server.ask(
        1,
        "tools/call",
        json!({"name": "esp_batch_program", "arguments": batch}),
    );
    assert_eq!(
        started["result"]["structuredContent"]["run"], 1,
        "{started}"
    );
    let pid = Pid::from_raw(server.child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    // Its input stays open: it must not wait for another line.
    assert!(server.child.wait().unwrap().success());
    let verified = station.run(&["--json", "journal", "verify"]).expect(0);
    let report = &verified.json_lines()[0];
    assert_eq!(report["open"], false, "{report}");
    let ends = station
        .record()
        .number("SELECT count(*) FROM event WHERE kind = 'run_finished'");
    assert_eq!(ends, 1);
}
