//! `command`: a program on the station, with a deadline and bounded output.
//!
//! Invariants: the program is called directly, never through a shell; its standard input is empty;
//! it is killed, with everything it started, when its time is up, when the run is stopped and when
//! the attempt ends; what it prints beyond the bound is read and thrown away; what it left running
//! does not hold up its end. A program that fails says something about the
//! station, so that its exit code is an error; a unit fails by what the program measured.

use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use station_device::program::ProgramGroup;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::measure::judge;
use crate::outcome::{Failure, FailureClass};
use crate::plan::HostCommand;
use crate::runner::attempt::{Attempt, Turn};

/// Most bytes that are kept of each of the two outputs.
const MAX_OUTPUT: usize = 64 * 1024;

/// Wait for the end of the outputs after the program has ended: what it started may hold them open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What a program left behind.
struct Ran {
    status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

/// Runs the program and judges what it printed.
pub(super) async fn run(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    host: &HostCommand,
) -> Result<(), Failure> {
    let mut words = Vec::with_capacity(host.run.len());
    for template in &host.run {
        words.push(template.render(&attempt.values)?);
    }
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::station(
            "command-empty",
            "the command has no program",
        ));
    };
    let ran =
        match tokio::time::timeout(host.within, execute(&host.folder, program, arguments)).await {
            Ok(ran) => ran?,
            Err(_) => {
                let message = format!("`{program}` took longer than {:?}", host.within);
                return Err(Failure::new(
                    FailureClass::Timeout,
                    "command-timeout",
                    message,
                ));
            }
        };
    let text = String::from_utf8_lossy(&ran.out).into_owned();
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.err);
        let last = said.trim().lines().last().unwrap_or_default().to_owned();
        let message = format!("`{program}` ended with {}: {last}", ran.status);
        attempt.attach(turn, "output", ran.out).await;
        return Err(Failure::station("command-failed", message));
    }
    let mut first_bad = None;
    for (pattern, measure) in &host.measures {
        let Some(found) = pattern.captures(&text) else {
            attempt.attach(turn, "output", ran.out).await;
            let message = format!("`{program}` printed no `{}`", measure.name);
            return Err(Failure::new(FailureClass::Limit, "value-missing", message));
        };
        let read = found
            .get(1)
            .or_else(|| found.get(0))
            .map_or("", |found| found.as_str());
        let (measurement, failure) = judge(measure, read);
        attempt.measured(turn, measurement).await;
        first_bad = first_bad.or(failure);
    }
    match first_bad {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

async fn execute(folder: &Path, program: &str, arguments: &[String]) -> Result<Ran, Failure> {
    let failed = |error: std::io::Error| {
        Failure::station(
            "command-unavailable",
            format!("cannot run `{program}`: {error}"),
        )
    };
    let here = Path::new(".");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(if folder.as_os_str().is_empty() {
            here
        } else {
            folder
        })
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (mut child, mut group) = ProgramGroup::start(&mut command).map_err(failed)?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Failure::internal("the program's output"));
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = {
        let mut reading =
            pin!(async { tokio::try_join!(bounded(stdout, &mut out), bounded(stderr, &mut err)) });
        tokio::select! {
            biased;
            read = &mut reading => {
                read.map_err(failed)?;
                child.wait().await
            }
            status = child.wait() => {
                if let Ok(read) = tokio::time::timeout(LAST_WORDS, reading).await {
                    read.map_err(failed)?;
                }
                status
            }
        }
    };
    group.let_go();
    let status = status.map_err(failed)?;
    Ok(Ran { status, out, err })
}

/// Reads to the end and keeps the beginning.
async fn bounded(mut source: impl AsyncRead + Unpin, kept: &mut Vec<u8>) -> std::io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        let count = source.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        let room = MAX_OUTPUT - kept.len();
        kept.extend_from_slice(&chunk[..count.min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn output_beyond_the_bound_is_read_and_thrown_away() {
        let flood = "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890; \
                     i=$((i+1)); done; echo end >&2";
        let ran = execute(Path::new(""), "sh", &words(&["-c", flood]))
            .await
            .unwrap();
        assert!(ran.status.success());
        assert_eq!(ran.out.len(), MAX_OUTPUT);
        assert_eq!(ran.err, b"end\n");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_the_stations_trouble() {
        let Err(failure) = execute(Path::new(""), "/no/such/program", &[]).await else {
            panic!("it ran");
        };
        assert_eq!(failure.class, FailureClass::Station);
        assert_eq!(failure.code, "command-unavailable");
    }

    #[tokio::test]
    async fn a_program_that_is_given_up_takes_what_it_started_along() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let script = format!("sleep 1000 > {0} & sleep 1000 > {0}", pipe.display());
        let arguments = words(&["-c", &script]);
        let running = tokio::spawn(async move { execute(Path::new(""), "sh", &arguments).await });
        // Opens when a writer is there, ends when the last one is gone.
        let (opened, seen) = tokio::sync::oneshot::channel();
        let reader = tokio::task::spawn_blocking(move || {
            let mut file = std::fs::File::open(pipe).unwrap();
            opened.send(()).unwrap();
            std::io::copy(&mut file, &mut std::io::sink()).unwrap()
        });
        seen.await.unwrap();
        running.abort();
        assert_eq!(reader.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_a_program_left_running_does_not_hold_up_its_end() {
        let script = words(&["-c", "echo 42; sleep 30 &"]);
        let ran = tokio::time::timeout(
            Duration::from_secs(20),
            execute(Path::new(""), "sh", &script),
        );
        let ran = ran.await.expect("it ends").unwrap();
        assert!(ran.status.success());
        assert_eq!(ran.out, b"42\n");
    }
}
