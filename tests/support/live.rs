//! A station that runs as a child: its event stream is read line by line, each wait with a deadline.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Ran;

/// Longest wait for anything a station does in a test.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Runs a command to its end; one that does not end in time is killed and fails the test.
pub fn finish(command: &mut Command) -> Ran {
    let mut live = Live::start(command);
    let mut out = String::new();
    while let Some(line) = live.line() {
        out += &line;
        out.push('\n');
    }
    let ended = live.ended();
    Ran {
        code: ended.code,
        out,
        err: ended.err,
    }
}

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code, or minus the signal that killed it.
    pub code: i32,
    /// Every line of its standard output as JSON.
    pub events: Vec<Value>,
    /// Its standard error.
    pub err: String,
}

/// A child that prints one JSON value a line; killed when dropped.
pub struct Live {
    child: Child,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
    seen: Vec<Value>,
}

impl Live {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines() {
                // A line that a kill has cut off is still a line; whoever reads it decides.
                if line.is_ok_and(|line| tell.send(line).is_err()) {
                    return;
                }
            }
        });
        let mut err = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _read = err.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            child,
            lines,
            errors: Some(errors),
            seen: Vec::new(),
        }
    }

    fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                self.signal(Signal::KILL);
                panic!(
                    "nothing was printed for {PATIENCE:?}; last: {:?}",
                    self.seen.last()
                );
            }
        }
    }

    /// The next line, or nothing when it has ended.
    pub fn next(&mut self) -> Option<Value> {
        let line = self.line()?;
        let value: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.seen.push(value.clone());
        Some(value)
    }

    /// Reads on until an event is what is waited for.
    pub fn until(&mut self, waited_for: impl Fn(&Value) -> bool) -> Value {
        while let Some(event) = self.next() {
            if waited_for(&event) {
                return event;
            }
        }
        panic!("it ended before that: {:#?}", self.seen.last());
    }

    /// Reads on until an event of that kind.
    pub fn until_kind(&mut self, kind: &str) -> Value {
        self.until(|event| event["kind"] == kind)
    }

    /// Reads on until so many attempts have begun a step.
    pub fn until_step(&mut self, step: &str, attempts: usize) {
        for _ in 0..attempts {
            self.until(|event| event["kind"] == "step_started" && event["data"]["step"] == step);
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        // It may have ended just now; then its end is what the test looks at.
        let _gone = kill_process(pid, signal);
    }

    /// Reads to its end.
    pub fn ended(mut self) -> Ended {
        while self.next().is_some() {}
        let status = self.child.wait().unwrap();
        let code = status
            .code()
            .unwrap_or_else(|| -status.signal().unwrap_or(0));
        let err = self
            .errors
            .take()
            .map(|errors| errors.join().unwrap())
            .unwrap_or_default();
        Ended {
            code,
            events: std::mem::take(&mut self.seen),
            err,
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
