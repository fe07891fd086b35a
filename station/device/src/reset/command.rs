//! Reset through a program that drives relays or a jig of one's own.
//!
//! Invariants:
//! - The program is started without a shell, with no standard input, in a process group of its own,
//!   which is killed at the deadline and when the reset is cancelled.
//! - Of what it says on standard error only the beginning is kept.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::error::DeviceError;
use crate::link::Link;
use crate::program::ProgramGroup;
use crate::reset::{ResetControl, ResetMeans, ResetTo};

/// Deadline when none is given.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of complaint that are kept.
const MAX_COMPLAINT: u64 = 512;
/// Wait for the end of a complaint after its program has ended: a child may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Reset by external programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalCommand {
    /// Program and arguments that restart into the bootloader.
    pub bootloader: Vec<String>,
    /// Program and arguments that restart into the application.
    pub application: Vec<String>,
    /// Longest run of either.
    pub deadline: Duration,
}

impl ExternalCommand {
    async fn run(&self, words: &[String]) -> io::Result<(ExitStatus, String)> {
        let (program, arguments) = words.split_first().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "no command is configured for this",
            )
        })?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let (mut child, mut group) = ProgramGroup::start(&mut command)?;
        let complaint = child.stderr.take().map(listen);
        let status = tokio::time::timeout(self.deadline, child.wait())
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it did not end in time"))??;
        group.let_go();
        let text = match complaint {
            Some(listening) => tokio::time::timeout(LAST_WORDS, listening)
                .await
                .ok()
                .and_then(Result::ok)
                .unwrap_or_default(),
            None => String::new(),
        };
        Ok((status, text))
    }
}

/// Keeps the beginning of what comes and swallows the rest, so that the program never waits.
fn listen<R: AsyncRead + Unpin + Send + 'static>(mut pipe: R) -> tokio::task::JoinHandle<String> {
    tokio::spawn(async move {
        let mut kept = Vec::new();
        let read = (&mut pipe).take(MAX_COMPLAINT).read_to_end(&mut kept).await;
        if read.is_ok() && kept.len() as u64 == MAX_COMPLAINT {
            let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
        }
        String::from_utf8_lossy(&kept)
            .trim()
            .escape_debug()
            .to_string()
    })
}

#[async_trait]
impl ResetControl for ExternalCommand {
    async fn apply(&self, _link: &mut dyn Link, to: ResetTo) -> Result<(), DeviceError> {
        let words = match to {
            ResetTo::Bootloader => &self.bootloader,
            ResetTo::Application => &self.application,
        };
        let failed = |detail: String| DeviceError::ResetFailed {
            means: self.means().to_string(),
            detail: match words.first() {
                Some(program) => format!("`{program}`: {detail}"),
                None => detail,
            },
        };
        let (status, complaint) = self
            .run(words)
            .await
            .map_err(|error| failed(error.to_string()))?;
        if status.success() {
            Ok(())
        } else if complaint.is_empty() {
            Err(failed(status.to_string()))
        } else {
            Err(failed(format!("{status}: {complaint}")))
        }
    }

    fn means(&self) -> ResetMeans {
        ResetMeans::ExternalCommand
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::link::memory::{BoardControl, MemoryLink};

    struct Nothing;

    #[async_trait]
    impl BoardControl for Nothing {
        async fn reset(&self, _to: ResetTo) -> io::Result<()> {
            Ok(())
        }
    }

    async fn apply(command: &ExternalCommand, to: ResetTo) -> Result<(), DeviceError> {
        let (host, _chip) = tokio::io::duplex(8);
        command
            .apply(&mut MemoryLink::new("x", host, Arc::new(Nothing)), to)
            .await
    }

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn each_way_has_its_own_command_and_a_missing_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let command = ExternalCommand {
            bootloader: shell(&format!("echo boot > {}", mark.display())),
            application: Vec::new(),
            deadline: COMMAND_DEADLINE,
        };
        apply(&command, ResetTo::Bootloader).await.unwrap();
        assert_eq!(std::fs::read_to_string(mark).unwrap(), "boot\n");
        let error = apply(&command, ResetTo::Application).await.unwrap_err();
        assert!(
            error.to_string().contains("no command is configured"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_failing_command_is_quoted_and_its_flood_is_cut() {
        let command = ExternalCommand {
            bootloader: shell("echo 'relay 3 stuck' >&2; yes | head -c 1000000 >&2; exit 7"),
            application: Vec::new(),
            deadline: COMMAND_DEADLINE,
        };
        let error = apply(&command, ResetTo::Bootloader)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("7") && error.contains("relay 3 stuck"),
            "{error}"
        );
        assert!(error.len() < 3000, "{}", error.len());
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_at_its_deadline() {
        let command = ExternalCommand {
            bootloader: shell("sleep 1000"),
            application: Vec::new(),
            deadline: Duration::from_millis(100),
        };
        let start = Instant::now();
        let error = apply(&command, ResetTo::Bootloader).await.unwrap_err();
        assert!(error.to_string().contains("did not end in time"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}
