//! Care of the record: verify, rebuild, backup.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::words::counted;
use station_line::journal::{Reader, VerifyReport, rebuild};

use super::attached::reported;
use crate::operation::{Call, Declaration, Effect, Exit, Operation, OperationError};
use crate::station::Station;

/// An operation without parameters.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NoParameters {}

/// `journal_verify`.
#[derive(Debug)]
pub struct JournalVerify;

#[async_trait]
impl Operation for JournalVerify {
    const DECLARATION: Declaration = Declaration {
        name: "journal_verify",
        aliases: &[],
        command: &["journal", "verify"],
        title: "Check that the record is whole",
        summary: "Checks the hash chain, the numbering, the grammar of events and that the derived tables equal a rebuild; returns every finding.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = NoParameters;
    type Output = VerifyReport;

    async fn invoke(
        station: &Station,
        _parameters: NoParameters,
        call: &Call,
    ) -> Result<VerifyReport, OperationError> {
        reported(
            call,
            "checking",
            None,
            station.read(|reader| Ok(reader.verify()?)),
        )
        .await
    }

    fn words(report: &VerifyReport) -> String {
        let mut words = format!("{}, head {}", counted(report.events, "event"), report.head);
        if report.open {
            words += "\nruns or attempts are open: a station is running, or one was killed and not started again";
        }
        for finding in &report.findings {
            let place = finding
                .seq
                .map_or_else(String::new, |seq| format!(" at event {seq}"));
            words += &format!("\n{}{place}: {}", finding.code, finding.message);
        }
        words += if report.is_clean() {
            "\nclean"
        } else {
            "\nNOT clean"
        };
        words
    }

    fn exit(report: &VerifyReport) -> Exit {
        if report.is_clean() {
            Exit::Passed
        } else {
            Exit::StationError
        }
    }
}

/// What a rebuild did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RebuildView {
    /// Events the tables were made from
    pub events: u64,
}

/// `journal_rebuild`.
#[derive(Debug)]
pub struct JournalRebuild;

#[async_trait]
impl Operation for JournalRebuild {
    const DECLARATION: Declaration = Declaration {
        name: "journal_rebuild",
        aliases: &[],
        command: &["journal", "rebuild"],
        title: "Make the derived tables anew",
        summary: "Makes every derived table anew from the events, in one transaction. The events themselves are never touched.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = NoParameters;
    type Output = RebuildView;

    fn records_itself() -> bool {
        true
    }

    async fn invoke(
        station: &Station,
        _parameters: NoParameters,
        call: &Call,
    ) -> Result<RebuildView, OperationError> {
        let path = station.journal_path().to_owned();
        station.release_journal()?;
        let rebuilding = tokio::task::spawn_blocking(move || rebuild(&path));
        let events = reported(call, "rebuilding", None, rebuilding)
            .await
            .map_err(|error| OperationError::new("internal", error.to_string()))??;
        Ok(RebuildView { events })
    }
}

/// Parameters of `journal_backup`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BackupParameters {
    /// File to write
    pub file: PathBuf,
}

/// What was backed up.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BackupView {
    /// The file
    pub file: String,
    /// Number of the last event in it
    pub head_seq: u64,
    /// Hash of that event
    pub head: String,
}

/// `journal_backup`.
#[derive(Debug)]
pub struct JournalBackup;

#[async_trait]
impl Operation for JournalBackup {
    const DECLARATION: Declaration = Declaration {
        name: "journal_backup",
        aliases: &[],
        command: &["journal", "backup"],
        title: "Copy the record while it is in use",
        summary: "Copies the journal consistently, also while a station writes to it, and places the copy whole or not at all.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = BackupParameters;
    type Output = BackupView;

    async fn invoke(
        station: &Station,
        parameters: BackupParameters,
        call: &Call,
    ) -> Result<BackupView, OperationError> {
        let target = station.writable(&parameters.file)?;
        let copying = station.read(move |reader| {
            reader.backup(&target)?;
            let head = Reader::open(&target)?.head()?;
            Ok(BackupView {
                file: parameters.file.display().to_string(),
                head_seq: head.seq.0,
                head: hex::encode(head.hash),
            })
        });
        reported(call, "copying", None, copying).await
    }
}
