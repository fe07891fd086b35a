//! The control socket of a bay: what a hand at the jig would do, as lines of text.
//!
//! Invariants: every line is answered by one line, `ok`, `error …` or the state as JSON; a line has
//! a bound, and so has the number of those who are connected; an order is answered when it has
//! taken effect.
//!
//! Lines: `reset`, `reset download`, `power on|off`, `lines dtr=0 rts=1`, `baud N`, `state`,
//! `replace [UNIT]`, `insert [UNIT]`, `remove`, `reseat`, `reenumerate`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::control::{BayGone, Control, ResetTo};
use crate::chip::VirtualChip;

/// Longest line, in bytes.
const LONGEST_LINE: usize = 256;
/// Most who are connected at once.
const MOST_CONNECTED: usize = 16;

/// Where boards for a bay come from.
pub trait Boards: Send + Sync {
    /// The board of unit `unit`, or of the next unit that nobody has had yet; and whether it is
    /// strapped to download mode.
    ///
    /// # Errors
    ///
    /// There is no such board, in words.
    fn board(&self, unit: Option<u64>) -> Result<(VirtualChip, bool), String>;
}

/// A control socket; dropped, it is closed and removed.
#[derive(Debug)]
pub struct CtlServer {
    path: PathBuf,
    accepting: AbortHandle,
}

impl CtlServer {
    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for CtlServer {
    fn drop(&mut self) {
        self.accepting.abort();
        // Whoever removed it first did the same.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Serves the control socket of a bay at `path`, in the place of one that nobody listens on any
/// more.
///
/// # Errors
///
/// The socket cannot be made, or another process listens there.
pub async fn serve(
    control: &Control,
    path: &Path,
    boards: Arc<dyn Boards>,
) -> io::Result<CtlServer> {
    if std::fs::symlink_metadata(path).is_ok() {
        if UnixStream::connect(path).await.is_ok() {
            let problem = format!("another process listens on `{}`", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, problem));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    let control = control.clone();
    let accepting = tokio::spawn(async move {
        let seats = Arc::new(Semaphore::new(MOST_CONNECTED));
        // One that cannot be accepted, or finds no seat, is turned away; the others are not
        // disturbed.
        while let Ok(seat) = Arc::clone(&seats).acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            let (control, boards) = (control.clone(), Arc::clone(&boards));
            tokio::spawn(async move {
                // A connection that breaks has nobody left to tell.
                let _ = converse(stream, &control, boards.as_ref()).await;
                drop(seat);
            });
        }
    });
    Ok(CtlServer {
        path: path.to_owned(),
        accepting: accepting.abort_handle(),
    })
}

/// Answers line after line until the connection ends.
async fn converse(
    mut stream: UnixStream,
    control: &Control,
    boards: &dyn Boards,
) -> io::Result<()> {
    let mut line = Vec::with_capacity(LONGEST_LINE);
    let mut buffer = [0; LONGEST_LINE];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        for &byte in &buffer[..count] {
            if byte != b'\n' {
                if line.len() == LONGEST_LINE {
                    return stream.write_all(b"error line too long\n").await;
                }
                line.push(byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            line.clear();
            let mut answer = match obey(&text, control, boards).await {
                Ok(answer) => answer,
                Err(problem) => format!("error {}", problem.replace(['\r', '\n'], " ")),
            };
            answer.push('\n');
            stream.write_all(answer.as_bytes()).await?;
        }
    }
}

/// Carries out one line and returns its answer.
async fn obey(line: &str, control: &Control, boards: &dyn Boards) -> Result<String, String> {
    let gone = |gone: BayGone| gone.to_string();
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["reset"] => control.reset(ResetTo::Application).await.map_err(gone)?,
        ["reset", "download"] => control.reset(ResetTo::Bootloader).await.map_err(gone)?,
        ["power", "on"] => control.power(true).await.map_err(gone)?,
        ["power", "off"] => control.power(false).await.map_err(gone)?,
        ["lines", dtr, rts] => {
            let dtr = switch(dtr, "dtr=")?;
            let rts = switch(rts, "rts=")?;
            control.set_lines(dtr, rts).await.map_err(gone)?;
        }
        ["baud", rate] => {
            let rate = rate.parse().ok().filter(|rate| *rate > 0);
            let rate = rate.ok_or("`baud` needs a rate in bits a second")?;
            control.set_baud(rate).await.map_err(gone)?;
        }
        ["state"] => {
            let state = control.state().await.map_err(gone)?;
            return serde_json::to_string(&state).map_err(|error| error.to_string());
        }
        ["replace" | "insert", unit @ ..] if unit.len() < 2 => {
            let number = |text: &&str| text.parse().map_err(|_| format!("`{text}` is no unit"));
            let unit = unit.first().map(number).transpose()?;
            let (chip, strapped) = boards.board(unit)?;
            control.insert(chip, strapped).await.map_err(gone)?;
        }
        ["remove"] => drop(control.remove().await.map_err(gone)?),
        ["reseat"] => {
            if !control.reseat().await.map_err(gone)? {
                return Err("there is no board".to_owned());
            }
        }
        ["reenumerate"] => control.reenumerate().await.map_err(gone)?,
        _ => {
            return Err("unknown line; known are: reset [download], power on|off, \
                        lines dtr=0|1 rts=0|1, baud N, state, replace [UNIT], insert [UNIT], \
                        remove, reseat, reenumerate"
                .to_owned());
        }
    }
    Ok("ok".to_owned())
}

/// The value of `dtr=0` and the like.
fn switch(word: &str, name: &str) -> Result<bool, String> {
    match word.strip_prefix(name) {
        Some("0") => Ok(false),
        Some("1") => Ok(true),
        _ => Err(format!("`{word}` is not {name}0 or {name}1")),
    }
}
