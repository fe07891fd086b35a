//! One unit running a script: bytes in, timed bytes out.
//!
//! Invariants: no clock is read, time is passed in; the line being received, the answers waiting
//! and the number of boots are bounded; the same seed, unit and input bytes give the same output
//! bytes.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;

use super::syntax::{AppScript, Script};
use super::template::{Filling, FlashText, Template};
use super::value::Coordinates;
use crate::chip::{Application, BoardFacts};
use crate::nor::NorFlash;
use crate::wire::Nanos;

/// Longest line understood, in bytes.
const LONGEST_LINE: usize = 256;
/// Most outputs that wait for their time; further commands are lost as in an overrun UART.
const MOST_WAITING: usize = 64;
/// Subjects of draws that belong to no command.
const MANNER: u64 = u64::MAX;
/// Noise has a subject of its own.
const NOISE: u64 = u64::MAX - 1;
/// Where ESP-IDF puts the partition table unless told otherwise, and the shape of its entries: a
/// magic, type and subtype, offset, size, a name of 16 bytes, flags (ESP-IDF, partition tables).
const TABLE: u32 = 0x8000;
const ENTRY: usize = 32;
const ENTRY_MAGIC: [u8; 2] = [0xAA, 0x50];
const MOST_ENTRIES: u32 = 96;
/// Time a crashed application takes to come back to its boot lines.
const RESTART: Duration = Duration::from_millis(300);

/// What a running application knows of its board.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    pub(super) mac: String,
    pub(super) chip: String,
}

/// How this unit behaves, good or bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Sound,
    NeverBoots,
    Silent,
    Garbage,
    /// Restarts in the middle of this answer after each boot.
    Crash {
        answer: u64,
    },
}

/// A unit that runs a script.
#[derive(Debug)]
pub struct ScriptedApplication {
    script: AppScript,
    seed: u64,
    unit: u64,
    manner: Manner,
    board: Board,
    /// Text found in flash at the start, for every place of the script that shows some.
    flash: Vec<(FlashText, String)>,
    line: Vec<u8>,
    overlong: bool,
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// Answers given since the start, to draw each value anew.
    answers: u64,
    /// Texts turned into noise since the start.
    noise: u64,
    /// A value of this unit was outside its limits since the start.
    outside: bool,
}

impl ScriptedApplication {
    /// Unit number `unit` of the fleet with `seed`.
    pub fn new(script: AppScript, seed: u64, unit: u64) -> Self {
        let manner = Manner::of(&script.script, seed, unit);
        Self {
            script,
            seed,
            unit,
            manner,
            board: Board::default(),
            flash: Vec::new(),
            line: Vec::new(),
            overlong: false,
            waiting: VecDeque::new(),
            answers: 0,
            noise: 0,
            outside: false,
        }
    }

    /// The application starts on `board`; `read` finds text in its flash.
    pub(super) fn begin(&mut self, now: u64, board: Board, read: impl Fn(&FlashText) -> String) {
        self.board = board;
        self.line.clear();
        self.overlong = false;
        self.waiting.clear();
        self.flash.clear();
        for place in self.script.script.flash_texts() {
            self.flash.push((place.clone(), read(place)));
        }
        self.boot(now);
        if self.script.script.unattended && self.manner != Manner::Silent {
            self.run_through(now);
        }
    }

    /// Answers every command by itself, up to the one it may crash in.
    fn run_through(&mut self, now: u64) {
        let due = self.waiting.back().map_or(now, |&(due, _)| due);
        for number in 0..self.script.script.commands.len() {
            let crashes = self.manner
                == (Manner::Crash {
                    answer: self.answers + 1,
                });
            self.answer(due, number, &[]);
            if crashes {
                break;
            }
        }
    }

    /// Says the boot lines, once `now` and the boot delay have passed.
    fn boot(&mut self, now: u64) {
        self.answers = 0;
        self.noise = 0;
        self.outside = false;
        if self.manner == Manner::NeverBoots {
            return;
        }
        let script = self.script.clone();
        let due = now.saturating_add(nanoseconds(script.script.boot_delay));
        for line in &script.script.boot {
            let text = self.rendered(line, "", &[]);
            self.say(due, &text);
        }
    }

    /// A byte arrives on the console.
    pub(super) fn hear(&mut self, now: u64, byte: u8) {
        if !matches!(byte, b'\r' | b'\n') {
            if self.line.len() < LONGEST_LINE {
                self.line.push(byte);
            } else {
                self.overlong = true;
            }
            return;
        }
        let line = String::from_utf8_lossy(&self.line).trim().to_owned();
        self.line.clear();
        let overlong = std::mem::take(&mut self.overlong);
        if matches!(self.manner, Manner::NeverBoots | Manner::Silent) {
            return;
        }
        if overlong {
            self.say(now, "ERR line too long");
        } else if !line.is_empty() {
            self.command(now, &line);
        }
    }

    /// Answers a whole line.
    fn command(&mut self, now: u64, line: &str) {
        let script = self.script.clone();
        let heard = script
            .script
            .commands
            .iter()
            .enumerate()
            .find_map(|(number, command)| {
                command.listens.heard(line).map(|groups| (number, groups))
            });
        match heard {
            Some((number, groups)) => self.answer(now, number, &groups),
            None => {
                let text = self.rendered(&script.script.unknown, "", &[]);
                self.say(now, &text);
            }
        }
    }

    /// Answers command `number`, after its delay.
    fn answer(&mut self, now: u64, number: usize, captures: &[String]) {
        let script = self.script.clone();
        let command = &script.script.commands[number];
        self.answers += 1;
        let mut shown = String::new();
        if let Some(value) = &command.value {
            let drawn = value.draw(self.at(number as u64), self.answers);
            self.outside |= drawn.outside;
            shown = drawn.text;
        }
        let template = match &command.otherwise {
            Some(otherwise) if self.outside => otherwise,
            _ => &command.answer,
        };
        let text = self.rendered(template, &shown, captures);
        let due = now.saturating_add(nanoseconds(command.delay));
        if self.manner
            == (Manner::Crash {
                answer: self.answers,
            })
        {
            self.crash(due, &text);
        } else {
            self.say(due, &text);
        }
    }

    /// Breaks off in the middle of `text`, says why and boots again.
    fn crash(&mut self, due: u64, text: &str) {
        let half = text.len() / 2;
        self.queue(due, text.as_bytes()[..half].to_vec());
        self.say(due, "\r\nabort() was called\r\n\r\nRebooting...");
        let due = self.waiting.back().map_or(due, |&(due, _)| due);
        self.boot(due.saturating_add(nanoseconds(RESTART)));
    }

    /// Queues a line of text.
    fn say(&mut self, due: u64, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.extend_from_slice(b"\r\n");
        if self.manner == Manner::Garbage {
            self.noise += 1;
            let mut generator = self.at(NOISE).generator(self.noise);
            bytes
                .iter_mut()
                .for_each(|byte| *byte = generator.random_range(0x80..=0xFE));
        }
        self.queue(due, bytes);
    }

    /// Queues bytes behind what already waits.
    fn queue(&mut self, due: u64, bytes: Vec<u8>) {
        let bound = MOST_WAITING + 2 * self.script.script.longest_burst();
        if self.waiting.len() < bound {
            let due = self
                .waiting
                .back()
                .map_or(due, |&(earlier, _)| due.max(earlier));
            self.waiting.push_back((due, bytes));
        }
    }

    /// Appends what is due by `now` to `out`.
    pub(super) fn speak(&mut self, now: u64, out: &mut Vec<u8>) {
        while self.waiting.front().is_some_and(|&(due, _)| due <= now) {
            if let Some((_, bytes)) = self.waiting.pop_front() {
                out.extend_from_slice(&bytes);
            }
        }
    }

    /// When there is something to say next.
    pub(super) fn due(&self) -> Option<u64> {
        self.waiting.front().map(|&(due, _)| due)
    }

    /// Where draws for `subject` are made for this unit.
    fn at(&self, subject: u64) -> Coordinates {
        Coordinates {
            seed: self.seed,
            unit: self.unit,
            subject,
        }
    }

    /// A template filled for this unit.
    fn rendered(&self, template: &Template, value: &str, captures: &[String]) -> String {
        template.render(&Filling {
            mac: &self.board.mac,
            chip: &self.board.chip,
            unit: self.unit,
            value,
            captures,
            flash: &|wanted| {
                let found = self.flash.iter().find(|(place, _)| place == wanted);
                found.map_or_else(String::new, |(_, text)| text.clone())
            },
        })
    }
}

impl Manner {
    /// How unit `unit` behaves.
    fn of(script: &Script, seed: u64, unit: u64) -> Self {
        let mut generator = Coordinates {
            seed,
            unit,
            subject: MANNER,
        }
        .generator(0);
        let drawn: f64 = generator.random();
        let answer = generator.random_range(1..=3);
        let failing = script.failing;
        let ways = [
            (failing.never_boots, Self::NeverBoots),
            (failing.silent, Self::Silent),
            (failing.garbage, Self::Garbage),
            (failing.crash, Self::Crash { answer }),
        ];
        let mut below = 0.0;
        for (fraction, manner) in ways {
            below += fraction;
            if drawn < below {
                return manner;
            }
        }
        Self::Sound
    }
}

impl Script {
    /// Every place of flash that the script shows.
    fn flash_texts(&self) -> Vec<&FlashText> {
        let answers = self.commands.iter().flat_map(|command| {
            [Some(&command.answer), command.otherwise.as_ref()]
                .into_iter()
                .flatten()
        });
        self.boot
            .iter()
            .chain([&self.unknown])
            .chain(answers)
            .flat_map(Template::flash_texts)
            .collect()
    }

    /// Most lines said in one go.
    fn longest_burst(&self) -> usize {
        self.boot.len()
            + if self.unattended {
                self.commands.len()
            } else {
                0
            }
    }
}

/// A duration in the unit of the chip's clock.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Application for ScriptedApplication {
    fn start(&mut self, now: Nanos, facts: &BoardFacts<'_>) {
        let board = Board {
            mac: facts.mac.to_string(),
            chip: facts.chip.name().to_owned(),
        };
        self.begin(now, board, |place| flash_text(facts.flash, place));
    }

    fn receive(&mut self, now: Nanos, byte: u8) {
        self.hear(now, byte);
    }

    fn advance(&mut self, now: Nanos, out: &mut Vec<u8>) {
        self.speak(now, out);
    }

    fn next_due(&self) -> Option<Nanos> {
        self.due()
    }

    fn baud(&self) -> u32 {
        self.script.baud()
    }
}

/// Printable text in flash, up to its first byte that is none.
fn flash_text(flash: &NorFlash, place: &FlashText) -> String {
    let start = match &place.partition {
        None => Some(0),
        Some(name) => partition_start(flash, name),
    };
    let Some(address) = start.and_then(|start| start.checked_add(place.offset)) else {
        return String::new();
    };
    let mut bytes = vec![0; place.length as usize];
    // A stretch that reaches beyond the flash shows nothing.
    if flash.read(address, &mut bytes).is_err() {
        return String::new();
    }
    bytes
        .iter()
        .take_while(|byte| matches!(byte, 0x20..=0x7E))
        .map(|byte| *byte as char)
        .collect()
}

/// Where the partition `name` begins, by the partition table in flash.
fn partition_start(flash: &NorFlash, name: &str) -> Option<u32> {
    let mut entry = [0; ENTRY];
    for index in 0..MOST_ENTRIES {
        flash.read(TABLE + index * ENTRY as u32, &mut entry).ok()?;
        if entry[..2] != ENTRY_MAGIC {
            return None;
        }
        let label = &entry[12..28];
        let length = label
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(label.len());
        if label[..length] == *name.as_bytes() {
            return Some(u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]));
        }
    }
    None
}
