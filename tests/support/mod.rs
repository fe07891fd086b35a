//! What the suites share: a hermetic station, virtual boards served by the real binary, and strangers.

mod client;
mod fleet;
mod live;
mod record;
mod strangers;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

pub use client::Client;
pub use fleet::{Fleet, FleetOptions};
pub use live::{Live, PATIENCE, finish};
pub use record::Record;
pub use strangers::{matter_python, python, stranger};

/// The repository's folder.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A station with a folder and a journal of its own.
pub struct TestStation {
    folder: TempDir,
}

impl TestStation {
    pub fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn journal(&self) -> PathBuf {
        self.folder.path().join("station.db")
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A command of the binary, in the station's folder, with its journal.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_station"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("STATION_DB", self.journal())
            .env_remove("STATION_CONFIG")
            .env("NO_COLOR", "1");
        command
    }

    /// Runs it to its end.
    #[must_use = "assert on the exit code"]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        finish(&mut self.command(arguments))
    }

    /// Runs it as a child whose event stream is read.
    pub fn start(&self, arguments: &[&str]) -> Live {
        Live::start(self.command(arguments).arg("--json"))
    }

    /// The journal, looked at with plain SQL.
    pub fn record(&self) -> Record {
        Record::of(&self.journal())
    }

    /// A recipe of the repository with some of its text replaced, in the station's folder.
    pub fn derived(&self, name: &str, replacements: &[(&str, &str)]) -> String {
        let mut text = std::fs::read_to_string(recipe(name)).unwrap();
        let parts = format!(
            "\"{}/recipes/demo/",
            root().canonicalize().unwrap().display()
        );
        text = text.replace("\"demo/", &parts);
        for (from, to) in replacements {
            assert!(text.contains(from), "{name} does not say {from:?}");
            text = text.replace(from, to);
        }
        let made = std::fs::read_dir(&self.folder).unwrap().count();
        self.write(&format!("{made}-{name}"), text)
            .display()
            .to_string()
    }
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code and returns what was printed.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.out, self.err
        );
        self
    }

    /// Every line of standard output as JSON.
    pub fn json_lines(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// The only line of standard output as JSON.
    pub fn json(&self) -> Value {
        let mut lines = self.json_lines();
        assert_eq!(lines.len(), 1, "{}", self.out);
        lines.remove(0)
    }
}

/// A recipe of the repository.
pub fn recipe(name: &str) -> String {
    root().join("recipes").join(name).display().to_string()
}
