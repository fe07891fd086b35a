//! What runs on the chip once it has booted from flash.
//!
//! Invariants: an application knows no clock and does no IO; time and bytes are passed in, and the
//! board's facts are lent to it only while it starts; everything it says is due at a moment it
//! names, so that the chip can sleep until then.

use station_esp::{Chip, MacAddress, Revision};

use crate::nor::NorFlash;
use crate::wire::Nanos;

/// What an application can find out about the board it starts on.
#[derive(Clone, Copy, Debug)]
pub struct BoardFacts<'a> {
    /// The chip.
    pub chip: Chip,
    /// Its silicon revision.
    pub revision: Revision,
    /// Its factory MAC address.
    pub mac: MacAddress,
    /// Its flash, as it was at the start.
    pub flash: &'a NorFlash,
}

/// A program on a virtual chip.
pub trait Application: Send + std::fmt::Debug {
    /// The program starts from its first instruction at `now`; whatever it knew is gone.
    fn start(&mut self, now: Nanos, facts: &BoardFacts<'_>);

    /// A byte arrives on the console.
    fn receive(&mut self, now: Nanos, byte: u8);

    /// Appends what the program says up to `now`.
    fn advance(&mut self, now: Nanos, out: &mut Vec<u8>);

    /// When the program next says something without being asked.
    fn next_due(&self) -> Option<Nanos>;

    /// The rate of its console in baud.
    fn baud(&self) -> u32 {
        115_200
    }
}

/// The program of a board for which no script was given: it greets and echoes lines.
#[derive(Debug, Default)]
pub struct DefaultApplication {
    line: Vec<u8>,
    waiting: Vec<u8>,
    due: Option<Nanos>,
}

/// Longest line that is echoed, in bytes.
const LONGEST_LINE: usize = 128;

impl Application for DefaultApplication {
    fn start(&mut self, now: Nanos, facts: &BoardFacts<'_>) {
        self.line.clear();
        self.waiting.clear();
        let text = format!(
            "Hello from {} revision {}, MAC {}\r\n",
            facts.chip.title(),
            facts.revision,
            facts.mac
        );
        self.waiting.extend_from_slice(text.as_bytes());
        self.due = Some(now);
    }

    fn receive(&mut self, now: Nanos, byte: u8) {
        if !matches!(byte, b'\r' | b'\n') {
            if self.line.len() < LONGEST_LINE {
                self.line.push(byte);
            }
            return;
        }
        if self.line.is_empty() || self.waiting.len() > LONGEST_LINE * 8 {
            return;
        }
        self.waiting.append(&mut self.line);
        self.waiting.extend_from_slice(b"\r\n");
        self.due = Some(now);
    }

    fn advance(&mut self, now: Nanos, out: &mut Vec<u8>) {
        if self.due.is_some_and(|due| due <= now) {
            out.append(&mut self.waiting);
            self.due = None;
        }
    }

    fn next_due(&self) -> Option<Nanos> {
        self.due
    }
}
