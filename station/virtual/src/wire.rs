//! The serial wire: bytes take their time, and two ends at different rates see different bytes.
//!
//! Invariants: bytes leave a queue in the order they entered it; a byte is delivered when its last
//! bit has passed, never before; rates within three per cent of each other agree; queues hold no
//! more than they were given and hand it over by slices.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A moment or a span on the clock that the caller keeps, in nanoseconds.
pub type Nanos = u64;

/// Bits on the line for one byte: start, eight data, stop.
const FRAME_BITS: u64 = 10;
const SECOND: u64 = 1_000_000_000;
/// Bits a second of a native USB port: full speed, less what frames and hand-shakes take.
pub const USB_RATE: u32 = 8_000_000;

/// Whether bytes take time on the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// Ten bit times a byte, in both directions at once.
    On,
    /// Bytes arrive in the moment they are sent.
    #[default]
    Off,
}

impl Wire {
    /// When the `count`-th byte (from 1) of a run that began at `start` has passed at `baud`.
    #[must_use]
    pub fn passed(self, start: Nanos, count: u64, baud: u32) -> Nanos {
        match self {
            Self::On => start.saturating_add(
                count
                    .saturating_mul(FRAME_BITS * SECOND)
                    .div_ceil(u64::from(baud.max(1))),
            ),
            Self::Off => start,
        }
    }

    /// How many of `length` bytes that began at `start` have passed by `now`.
    fn count_by(self, start: Nanos, now: Nanos, baud: u32, length: usize) -> usize {
        match self {
            _ if now < start => 0,
            Self::Off => length,
            Self::On => {
                let bits = u128::from(now - start) * u128::from(baud.max(1));
                let whole = bits / u128::from(FRAME_BITS * SECOND);
                usize::try_from(whole).unwrap_or(usize::MAX).min(length)
            }
        }
    }
}

/// Whether a receiver at one rate understands a sender at the other.
#[must_use]
pub fn rates_agree(one: u32, other: u32) -> bool {
    let (low, high) = (one.min(other), one.max(other));
    u64::from(high - low) * 100 <= u64::from(high) * 3
}

/// What a receiver at `to` baud makes of back-to-back bytes sent at `from` baud.
///
/// The sender's bits are sampled in the middle of the receiver's bit times, starting from each
/// falling edge, as a UART does; beyond both ends the line idles high.
pub fn resample(bytes: &[u8], from: u32, to: u32, out: &mut Vec<u8>) {
    if rates_agree(from, to) {
        out.extend_from_slice(bytes);
        return;
    }
    let (from, to) = (u64::from(from.max(1)), u64::from(to.max(1)));
    let total = bytes.len() as u64 * FRAME_BITS;
    let level = |bit: u64| -> bool {
        let Some(byte) = usize::try_from(bit / FRAME_BITS)
            .ok()
            .and_then(|at| bytes.get(at))
        else {
            return true;
        };
        match bit % FRAME_BITS {
            0 => false,
            9 => true,
            place => byte >> (place - 1) & 1 == 1,
        }
    };
    let mut edge = 0;
    while edge < total {
        if level(edge) {
            edge += 1;
            continue;
        }
        // The middle of the receiver's n-th bit lies (2n + 1)/2 of its bit times after the edge.
        let sample = |place: u64| edge + (2 * place + 1) * from / (2 * to);
        let value = (0..8).fold(0u8, |value, bit| {
            value | u8::from(level(sample(bit + 1))) << bit
        });
        out.push(value);
        let stop = sample(9).max(edge + 1);
        // After a broken stop bit the receiver waits for the line to rise before it looks again.
        edge = (stop..total).find(|bit| level(*bit)).unwrap_or(total);
    }
}

#[derive(Debug)]
struct Run {
    start: Nanos,
    baud: u32,
    bytes: Vec<u8>,
    taken: usize,
}

/// Bytes on their way in one direction.
#[derive(Debug)]
pub struct Line {
    wire: Wire,
    runs: VecDeque<Run>,
    free_at: Nanos,
    waiting: usize,
}

impl Line {
    /// An idle line.
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        Self {
            wire,
            runs: VecDeque::new(),
            free_at: 0,
            waiting: 0,
        }
    }

    /// Puts bytes on the line at `now`, behind what is already on it.
    pub fn send(&mut self, now: Nanos, baud: u32, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let start = now.max(self.free_at);
        self.free_at = self.wire.passed(start, bytes.len() as u64, baud);
        self.waiting += bytes.len();
        self.runs.push_back(Run {
            start,
            baud,
            bytes,
            taken: 0,
        });
    }

    /// Bytes that were sent and not yet taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// When everything sent so far will have passed.
    #[must_use]
    pub fn free_at(&self) -> Nanos {
        self.free_at
    }

    /// The bytes of the first run that have passed by `now`, not yet taken, and their rate.
    #[must_use]
    pub fn arrived(&self, now: Nanos) -> Option<(&[u8], u32)> {
        let run = self.runs.front()?;
        let count = self
            .wire
            .count_by(run.start, now, run.baud, run.bytes.len());
        let bytes = run.bytes.get(run.taken..count)?;
        (!bytes.is_empty()).then_some((bytes, run.baud))
    }

    /// When the `count`-th (from 1) untaken byte of the first run passes.
    #[must_use]
    pub fn passes(&self, count: usize) -> Option<Nanos> {
        let run = self.runs.front()?;
        Some(
            self.wire
                .passed(run.start, (run.taken + count) as u64, run.baud),
        )
    }

    /// Takes `count` bytes off the first run.
    pub fn take(&mut self, count: usize) {
        if let Some(run) = self.runs.front_mut() {
            let count = count.min(run.bytes.len() - run.taken);
            run.taken += count;
            self.waiting -= count;
            if run.taken == run.bytes.len() {
                self.runs.pop_front();
            }
        }
    }

    /// When the next byte equal to `mark` passes, or else the last byte of all.
    #[must_use]
    pub fn next_mark(&self, mark: u8) -> Option<Nanos> {
        for run in &self.runs {
            let rest = run.bytes.get(run.taken..)?;
            if let Some(at) = rest.iter().position(|byte| *byte == mark) {
                let count = (run.taken + at + 1) as u64;
                return Some(self.wire.passed(run.start, count, run.baud));
            }
        }
        self.runs.back().map(|_| self.free_at)
    }

    /// When the next untaken byte passes.
    #[must_use]
    pub fn next_byte(&self) -> Option<Nanos> {
        self.passes(1)
    }

    /// When the first run has passed, but no more than `limit` of its untaken bytes.
    #[must_use]
    pub fn next_piece(&self, limit: usize) -> Option<Nanos> {
        let run = self.runs.front()?;
        self.passes((run.bytes.len() - run.taken).min(limit))
    }

    /// Forgets what has not passed by `now`; the line is idle from then on.
    pub fn cut(&mut self, now: Nanos) {
        let wire = self.wire;
        for run in &mut self.runs {
            let count = wire.count_by(run.start, now, run.baud, run.bytes.len());
            run.bytes.truncate(count.max(run.taken));
        }
        self.runs.retain(|run| run.taken < run.bytes.len());
        self.waiting = self
            .runs
            .iter()
            .map(|run| run.bytes.len() - run.taken)
            .sum();
        self.free_at = self.free_at.min(now);
    }

    /// Forgets everything.
    pub fn clear(&mut self, now: Nanos) {
        self.runs.clear();
        self.waiting = 0;
        self.free_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_arrives_with_its_last_bit() {
        let mut line = Line::new(Wire::On);
        line.send(1_000, 1_000_000, vec![1, 2]);
        assert!(line.arrived(10_999).is_none());
        assert_eq!(line.arrived(11_000), Some((&[1u8][..], 1_000_000)));
        assert_eq!(line.arrived(21_000), Some((&[1u8, 2][..], 1_000_000)));
        assert_eq!(line.free_at(), 21_000);
    }

    #[test]
    fn a_second_run_waits_for_the_first() {
        let mut line = Line::new(Wire::On);
        line.send(0, 1_000_000, vec![1]);
        line.send(0, 1_000_000, vec![2]);
        assert_eq!(line.next_mark(2), Some(20_000));
        line.take(1);
        assert!(line.arrived(19_999).is_none());
        assert!(line.arrived(20_000).is_some());
    }

    #[test]
    fn a_cut_keeps_only_what_has_passed() {
        let mut line = Line::new(Wire::On);
        line.send(0, 1_000_000, vec![1, 2, 3]);
        line.cut(20_000);
        assert_eq!(line.waiting(), 2);
        assert_eq!(line.arrived(u64::MAX), Some((&[1u8, 2][..], 1_000_000)));
    }

    #[test]
    fn a_line_without_time_delivers_at_once() {
        let mut line = Line::new(Wire::Off);
        line.send(5, 115_200, vec![1, 2, 3]);
        assert_eq!(line.arrived(5).map(|(bytes, _)| bytes.len()), Some(3));
    }

    #[test]
    fn three_per_cent_is_the_border_of_understanding() {
        assert!(rates_agree(115_200, 115_200));
        assert!(rates_agree(115_200, 118_000));
        assert!(!rates_agree(115_200, 120_000));
        assert!(rates_agree(0, 0));
    }

    #[test]
    fn a_wrong_rate_turns_bytes_into_other_bytes() {
        for (from, to) in [(115_200, 921_600), (921_600, 115_200), (115_200, 57_600)] {
            let mut out = Vec::new();
            resample(b"\xC0\x00\x08\x24\x00\xC0", from, to, &mut out);
            assert_ne!(out, b"\xC0\x00\x08\x24\x00\xC0");
        }
        let mut slow = Vec::new();
        resample(&[0x55; 80], 921_600, 115_200, &mut slow);
        assert!(slow.len() <= 12, "eight fast bytes fit into one slow one");
    }

    #[test]
    fn equal_rates_change_nothing() {
        let mut out = Vec::new();
        resample(&[0, 1, 0xC0, 0xFF], 115_200, 116_000, &mut out);
        assert_eq!(out, [0, 1, 0xC0, 0xFF]);
    }
}
