//! A conversation with the application that runs on a chip.
//!
//! Invariants:
//! - Output is taken in at all times, also between two questions, in bounded memory; what was
//!   dropped is counted.
//! - Every wait has a deadline that output cannot stretch.
//! - A match that touches the newest byte is believed only after the wire was quiet for
//!   [`SETTLE`]: half a number is never taken for a number.
//! - Dropping a terminal closes the port.

mod capture;
mod pump;

use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

pub use capture::CAPTURE_BOUND;

use crate::error::DeviceError;
use crate::port::Port;
use capture::Lossy;
use pump::{Heard, Order};

/// How long the wire must be quiet before a match at the very end of the output counts.
pub const SETTLE: Duration = Duration::from_millis(60);

/// Longest a line may take to leave, on top of its time on the wire.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

/// Newest bytes of unread output that patterns are looked for in.
const WINDOW: usize = 64 * 1024;

/// The running application at the other end of a port.
#[derive(Debug)]
pub struct Terminal {
    orders: mpsc::Sender<Order>,
    heard: Arc<Heard>,
    pump: Option<JoinHandle<Port>>,
    /// Position behind what was already matched.
    read_to: u64,
    line_end: &'static str,
    link: String,
    started: Instant,
}

/// Text that was waited for and came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which of the patterns matched, counted from 0.
    pub pattern: usize,
    /// What it matched.
    pub text: String,
    /// Its groups, from group 1 on; `None` for one that took no part.
    pub groups: Vec<Option<String>>,
    /// When, since the terminal was opened.
    pub at: Duration,
}

impl Terminal {
    /// Listens on a port whose chip runs its application.
    #[must_use]
    pub fn open(port: Port) -> Self {
        Self::open_at(port, None)
    }

    /// The same, where a port that is opened anew must be set to `baud`.
    pub(crate) fn open_at(port: Port, baud: Option<u32>) -> Self {
        let link = port.describe();
        let heard = Arc::new(Heard::default());
        let (orders, queue) = mpsc::channel(4);
        let pump = tokio::spawn(pump::run(port, baud, queue, Arc::clone(&heard)));
        Self {
            orders,
            heard,
            pump: Some(pump),
            read_to: 0,
            line_end: "\r\n",
            link,
            started: Instant::now(),
        }
    }

    /// Says what ends a line that is sent; `\r\n` otherwise.
    pub fn set_line_end(&mut self, line_end: &'static str) {
        self.line_end = line_end;
    }

    /// Sends a line.
    ///
    /// # Errors
    /// `LinkLost`, or `Timeout` when the link takes no bytes.
    pub async fn send_line(&mut self, line: &str) -> Result<(), DeviceError> {
        self.send(format!("{line}{}", self.line_end).into_bytes())
            .await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// `LinkLost`, or `Timeout` when the link takes no bytes.
    pub async fn send(&mut self, bytes: Vec<u8>) -> Result<(), DeviceError> {
        // The slowest console in use moves 120 bytes a second or more.
        let patience = WRITE_PATIENCE + Duration::from_millis(8) * bytes.len() as u32;
        let (done, answer) = oneshot::channel();
        let order = Order::Write {
            bytes,
            patience,
            done,
        };
        if self.orders.send(order).await.is_err() {
            return Err(self.lost());
        }
        answer.await.unwrap_or_else(|_| Err(self.lost()))
    }

    /// Waits until one of `patterns` appears in output not matched before, within `within`.
    /// With several matches the earliest in the output counts.
    ///
    /// # Errors
    /// `NotHeard` when none appeared in time, `LinkLost` when the port went away.
    pub async fn expect(
        &mut self,
        patterns: &[&Regex],
        within: Duration,
    ) -> Result<Seen, DeviceError> {
        let deadline = Instant::now() + within;
        loop {
            let changed = self.heard.changed.notified();
            let (end, lost) = self.heard.state();
            let settled = lost.is_some() || Instant::now() >= deadline;
            match self.look(patterns) {
                Some((seen, read_to)) if settled || !seen_at_end(read_to, end) => {
                    self.read_to = read_to;
                    return Ok(seen);
                }
                Some((seen, read_to)) => {
                    let quiet = (Instant::now() + SETTLE).min(deadline);
                    if timeout_at(quiet, changed).await.is_err() {
                        self.read_to = read_to;
                        return Ok(seen);
                    }
                }
                None if lost.is_some() => return Err(self.lost()),
                None if settled => return Err(self.not_heard(patterns, within)),
                None => {
                    // Whether it timed out is found by the clock at the top.
                    let _ = timeout_at(deadline, changed).await;
                }
            }
        }
    }

    /// Takes in output for a time, or until the port is lost, and returns what was not matched
    /// before.
    pub async fn listen(&mut self, time: Duration) -> String {
        let deadline = Instant::now() + time;
        loop {
            let changed = self.heard.changed.notified();
            if self.heard.state().1.is_some() || timeout_at(deadline, changed).await.is_err() {
                break;
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        let (from, bytes) = self.heard.since(self.read_to, CAPTURE_BOUND);
        self.read_to = from + bytes.len() as u64;
        Lossy::new(&bytes).text
    }

    /// Everything the application printed that is still held, with what is no text shown as `�`.
    #[must_use]
    pub fn transcript(&self) -> String {
        Lossy::new(&self.heard.since(0, CAPTURE_BOUND).1).text
    }

    /// How many bytes of output are no longer held.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.heard.dropped()
    }

    /// The port, for another conversation.
    ///
    /// # Errors
    /// `LinkLost` when the port went away meanwhile.
    pub async fn into_port(mut self) -> Result<Port, DeviceError> {
        let lost = self.heard.state().1;
        let pump = self.pump.take();
        let (silent, _) = mpsc::channel(1);
        self.orders = silent;
        match (lost, pump) {
            (None, Some(pump)) => pump.await.map_err(|error| DeviceError::Internal {
                what: "the terminal".into(),
                detail: error.to_string(),
            }),
            (Some(_), _) | (None, None) => Err(self.lost()),
        }
    }

    /// The earliest match in what was not read yet, and the position behind it.
    fn look(&self, patterns: &[&Regex]) -> Option<(Seen, u64)> {
        let (from, bytes) = self.heard.since(self.read_to, WINDOW);
        let lossy = Lossy::new(&bytes);
        let (pattern, captures) = patterns
            .iter()
            .enumerate()
            .filter_map(|(index, pattern)| Some((index, pattern.captures(&lossy.text)?)))
            .min_by_key(|(index, captures)| (captures.get_match().start(), *index))?;
        let whole = captures.get_match();
        let seen = Seen {
            pattern,
            text: whole.as_str().to_owned(),
            groups: captures
                .iter()
                .skip(1)
                .map(|group| group.map(|group| group.as_str().to_owned()))
                .collect(),
            at: self.started.elapsed(),
        };
        Some((seen, from + lossy.byte_at(whole.end()) as u64))
    }

    fn not_heard(&self, patterns: &[&Regex], within: Duration) -> DeviceError {
        let wanted: Vec<_> = patterns
            .iter()
            .map(|pattern| format!("`{pattern}`"))
            .collect();
        DeviceError::NotHeard {
            what: wanted.join(" or "),
            after: within,
            tail: self.tail(),
        }
    }

    /// The end of the output, printable and short.
    fn tail(&self) -> String {
        let (_, bytes) = self.heard.since(0, 160);
        let text = Lossy::new(&bytes).text;
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect::<String>()
            .trim()
            .into()
    }

    fn lost(&self) -> DeviceError {
        self.heard
            .state()
            .1
            .unwrap_or_else(|| DeviceError::LinkLost {
                link: self.link.clone(),
                detail: "the port was given up".into(),
            })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(pump) = &self.pump {
            pump.abort();
        }
    }
}

/// Whether a match ends where the output does.
fn seen_at_end(read_to: u64, end: u64) -> bool {
    read_to >= end
}

#[cfg(test)]
mod tests;
