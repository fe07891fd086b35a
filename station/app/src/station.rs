//! The station that operations act on: its journal, its bays, its virtual boards, its live runs.
//!
//! Invariants: the journal is opened for writing the first time something must be recorded and stays open
//! until [`Station::close`]; a path that a client names is confined to the configured roots; a port is a
//! bay's name or an address, and nothing else opens one.

mod bays;
mod burns;
mod failures;
mod keys;
mod opened;
mod ota;
mod paths;
pub(crate) mod permit;
mod runs;
mod signals;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use serde_json::Value;
use station_line::event::{CancelMode, EventKind, Seq};
use station_line::journal::{CrashPoint, Journal, JournalError, OpenOptions, Reader};

pub use bays::StationConfig;
pub use burns::BurnGuard;
pub use ota::OtaConfig;
pub(crate) use paths::{exists, read_bounded, write_new, write_whole};
pub use runs::{LiveRun, RunOrder};
pub use signals::{CancelSignals, EndSignal, EndSignals};

use crate::operation::{Call, OperationError};
use crate::rack::{Rack, RackOptions};
use opened::OpenJournal;

/// The journal of runs when nobody names another.
const DEFAULT_JOURNAL: &str = "station.db";
/// The journal of rehearsals when nobody names another.
const REHEARSAL_JOURNAL: &str = "virtual.db";

/// What a station is opened with.
#[derive(Clone, Debug, Default)]
pub struct StationOptions {
    /// The journal; without one, runs use `station.db` and other operations record there only if it exists.
    pub journal: Option<PathBuf>,
    /// Whether the station is for virtual boards. Without a journal of that name it records in
    /// `virtual.db` then, with serial numbers and keys of its own, and reaches no other board.
    pub rehearsal: bool,
    /// The configuration with the jig's bays.
    pub config: Option<PathBuf>,
    /// The folder of sealed keys; without one it lies beside the journal, `station.keys`.
    pub keys: Option<PathBuf>,
    /// How many virtual boards are there from the start.
    pub virtual_boards: u32,
    /// What virtual boards are.
    pub rack: RackOptions,
    /// Folders that files must lie in; `None` allows any, for a person at the keyboard.
    pub roots: Option<Vec<PathBuf>>,
}

/// What operations act on.
#[derive(Debug)]
pub struct Station {
    options: StationOptions,
    config: StationConfig,
    rack: Arc<Rack>,
    journal: Arc<OpenJournal>,
    keys: keys::OpenKeys,
    runs: Arc<runs::LiveRuns>,
    burns: Arc<burns::Burns>,
    usb: bays::UsbWatch,
}

impl Station {
    /// Opens a station. Reads the configuration; touches no port and no journal yet.
    ///
    /// # Errors
    /// `config-unreadable`, `config-invalid`.
    pub fn open(options: StationOptions) -> Result<Self, OperationError> {
        let config = match &options.config {
            Some(path) => StationConfig::read(path)?,
            None => StationConfig::default(),
        };
        let rack = Arc::new(Rack::new(options.rack.clone()));
        for number in 1..=options.virtual_boards {
            // Naming a bay makes its board.
            drop(rack.connector(number));
        }
        Ok(Self {
            options,
            config,
            rack,
            journal: Arc::default(),
            keys: keys::OpenKeys::default(),
            burns: Arc::default(),
            runs: Arc::default(),
            usb: bays::UsbWatch::default(),
        })
    }

    /// The virtual boards of this process.
    pub fn rack(&self) -> &Arc<Rack> {
        &self.rack
    }

    /// The configured bays.
    pub fn config(&self) -> &StationConfig {
        &self.config
    }

    /// The journal's file, whether or not it exists.
    pub fn journal_path(&self) -> &Path {
        let unnamed = match self.options.rehearsal {
            true => REHEARSAL_JOURNAL,
            false => DEFAULT_JOURNAL,
        };
        self.options
            .journal
            .as_deref()
            .unwrap_or(Path::new(unnamed))
    }

    /// Whether it records where rehearsals are, because nobody named another journal.
    pub fn is_rehearsing(&self) -> bool {
        self.options.rehearsal && self.is_unnamed()
    }

    /// Whether nobody named the journal: it is one for real boards or one for virtual ones then, and
    /// never both.
    fn is_unnamed(&self) -> bool {
        self.options.journal.is_none()
    }

    /// The journal, open for writing. Made if it is not there; what a crash left open is closed.
    ///
    /// # Errors
    /// Those of the journal: `journal-in-use`, `journal-newer`, `journal-corrupt`, `journal-write` …
    pub async fn journal(&self) -> Result<Journal, OperationError> {
        let crash = crash_point()?;
        let first = self.journal.get().is_none();
        let journal = self
            .journal
            .open(self.journal_path().to_owned(), crash)
            .await?;
        if first {
            self.say_unsaid(&journal).await;
        }
        Ok(journal)
    }

    /// Asks the journal something on a blocking thread, without opening it for writing.
    ///
    /// # Errors
    /// Those of the journal; `journal-open` when there is none.
    pub async fn read<T, F>(&self, ask: F) -> Result<T, OperationError>
    where
        T: Send + 'static,
        F: FnOnce(&Reader) -> Result<T, OperationError> + Send + 'static,
    {
        let path = self.journal_path().to_owned();
        tokio::task::spawn_blocking(move || ask(&Reader::open(&path)?))
            .await
            .map_err(|error| {
                OperationError::new("internal", format!("a query broke off: {error}"))
            })?
    }

    /// Records that something that writes was asked for, if this station keeps a journal: one was named,
    /// is open, or lies at the default place.
    ///
    /// # Errors
    /// Those of the journal: without a record, nothing is written to a board.
    pub async fn record_invocation(
        &self,
        operation: &str,
        call: &Call,
        parameters: Value,
    ) -> Result<(), OperationError> {
        let keeps = self.options.journal.is_some()
            || self.journal.get().is_some()
            || self.journal_path().exists();
        if !keeps {
            return Ok(());
        }
        let kind = EventKind::OperationInvoked {
            operation: operation.to_owned(),
            face: call.face.to_string(),
            by: call.by.clone(),
            parameters: bounded(parameters, &mut { MOST_RECORDED }),
        };
        self.journal().await?.note(Utc::now(), kind).await?;
        Ok(())
    }

    /// Gives up the right to write, so that a rebuild can have it.
    ///
    /// # Errors
    /// `run-live` while a run of this process records.
    pub fn release_journal(&self) -> Result<(), OperationError> {
        if self.runs.any_live() {
            return Err(OperationError::new("run-live", "a run is recording")
                .hint("wait for its end, or cancel it"));
        }
        self.journal.close();
        Ok(())
    }

    /// Asks the process that has the journal open to end its runs.
    ///
    /// # Errors
    /// `run-not-running` when no other process has it open; the run is closed as interrupted then.
    /// `run-not-alone` when that process has more runs under way, which it would end as well.
    pub async fn signal_owner(&self, mode: CancelMode) -> Result<(), OperationError> {
        let gone = |why: &str| OperationError::new("run-not-running", why);
        if self.journal.get().is_some() {
            return Err(gone(
                "this station has the journal open and the run broke off; the next start closes it",
            ));
        }
        let under_way = self.read(runs::under_way).await?;
        let path = self.journal_path().to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            Journal::open(&path, &OpenOptions::default()).map(drop)
        })
        .await
        .map_err(|error| OperationError::new("internal", error.to_string()))?;
        let owner = match opened {
            Err(JournalError::InUse { pid: Some(pid), .. }) => i32::try_from(pid).ok(),
            Err(error) => return Err(error.into()),
            Ok(()) => None,
        };
        // Signalling oneself would end runs nobody asked to end.
        let owner = owner.filter(|pid| i32::try_from(std::process::id()) != Ok(*pid));
        let owner = owner
            .and_then(rustix::process::Pid::from_raw)
            .ok_or_else(|| gone("no station has this journal open; the run is closed now"))?;
        if under_way > 1 {
            let message =
                format!("the station that has the journal open has {under_way} runs under way");
            return Err(OperationError::new("run-not-alone", message)
                .hint("cancel the run where it was started"));
        }
        signals::ask(owner, mode)
    }

    /// Ends the station: burns under way come to the end of their pulse, running runs are stopped and their
    /// last events written.
    pub async fn close(&self) {
        self.burns.wait().await;
        self.runs.stop_all().await;
        self.journal.close();
    }
}

/// Most characters of parameters that the record keeps: a client must not fill the disk with one call.
const MOST_RECORDED: usize = 8 * 1024;

/// Parameters as the record keeps them: whole, unless together they are larger than anybody writes.
fn bounded(parameters: Value, left: &mut usize) -> Value {
    match parameters {
        Value::String(text) if text.len() <= *left => {
            *left -= text.len();
            Value::String(text)
        }
        Value::String(text) => {
            let kept: String = text.chars().take(*left / 4).collect();
            *left -= kept.len();
            Value::String(format!("{kept}… ({} bytes)", text.len()))
        }
        Value::Array(rows) => {
            let mut kept = Vec::new();
            for row in rows {
                if *left == 0 {
                    break;
                }
                *left = left.saturating_sub(4);
                kept.push(bounded(row, left));
            }
            Value::Array(kept)
        }
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, bounded(value, left)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => parameters,
    }
}

/// Where a test asks the station to die: `STATION_CRASH_AT=17:before-commit`.
fn crash_point() -> Result<Option<CrashPoint>, OperationError> {
    let Ok(text) = std::env::var("STATION_CRASH_AT") else {
        return Ok(None);
    };
    let refuse = |why: String| {
        OperationError::usage("crash-point-invalid", format!("STATION_CRASH_AT: {why}"))
    };
    let (seq, when) = text
        .split_once(':')
        .ok_or_else(|| refuse("expected SEQ:MOMENT".to_owned()))?;
    let seq = seq
        .parse()
        .map_err(|error| refuse(format!("`{seq}`: {error}")))?;
    Ok(Some(CrashPoint {
        seq: Seq(seq),
        when: when.parse().map_err(refuse)?,
    }))
}

#[cfg(test)]
mod tests;
