//! Virtual boards served by `station virtual serve` in a process of their own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What to serve.
#[derive(Clone, Debug, Default)]
pub struct FleetOptions {
    pub chip: &'static str,
    pub count: usize,
    pub more: Vec<String>,
}

/// Boards that are served until this is dropped.
pub struct Fleet {
    child: Child,
    folder: TempDir,
    bays: Vec<Value>,
}

impl Fleet {
    /// Serves `count` boards of `chip` over PTY, TCP and RFC 2217, without wire or flash timing.
    pub fn of(chip: &'static str, count: usize) -> Self {
        Self::with(&FleetOptions {
            chip,
            count,
            more: Vec::new(),
        })
    }

    /// Serves as the options say. Returns when the boards answer.
    pub fn with(options: &FleetOptions) -> Self {
        let folder = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_station"))
            .args([
                "virtual",
                "serve",
                "--chip",
                options.chip,
                "--count",
                &options.count.to_string(),
            ])
            .args([
                "--wire",
                "off",
                "--flash-timing",
                "off",
                "--tcp",
                "0",
                "--rfc2217",
                "0",
                "--dir",
            ])
            .arg(folder.path().join("bays"))
            .args(&options.more)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        let ready: Value =
            serde_json::from_str(&ready).unwrap_or_else(|error| panic!("{error}: {ready}"));
        let bays = ready["bays"].as_array().unwrap().clone();
        assert_eq!(bays.len(), options.count);
        Self {
            child,
            folder,
            bays,
        }
    }

    fn field(&self, bay: usize, name: &str) -> &str {
        self.bays[bay - 1][name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {}", self.bays[bay - 1]))
    }

    /// A bay's PTY; bays count from 1.
    pub fn pty(&self, bay: usize) -> PathBuf {
        Path::new(self.field(bay, "pty")).to_owned()
    }

    /// A bay's TCP address, `host:port`.
    pub fn tcp(&self, bay: usize) -> &str {
        self.field(bay, "tcp")
    }

    /// A bay's RFC 2217 address, `host:port`.
    pub fn rfc2217(&self, bay: usize) -> &str {
        self.field(bay, "rfc2217")
    }

    /// A board's factory MAC.
    pub fn mac(&self, bay: usize) -> &str {
        self.field(bay, "mac")
    }

    /// A folder that goes with the fleet.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // SIGTERM lets it take its links and sockets away; SIGKILL would leave them to the temporary folder.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ended = self.child.wait();
    }
}
