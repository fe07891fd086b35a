//! One bay: a chip, or none, and the hosts that talk to it, on one task.
//!
//! Invariants: an order takes effect behind every byte sent before it; bytes are read from hosts
//! only while the chip's own backlog is small, so that a host feels the wire; a bay without a board
//! swallows what is sent.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Sleep};

use super::control::{Control, Order, ResetTo};
use super::host::{Heard, Host, Hosts};
use crate::chip::{ChipConfig, Mode, VirtualChip};

/// Bytes on the wire to the chip above which nothing more is read from hosts.
const BACKLOG: usize = 8 * 1024;
/// Most bytes read from a host at once.
const READ: usize = 16 * 1024;
/// Most reads that an order waits for: what a host has sent before it.
const READS_BEFORE_ORDER: usize = 64;
/// Shortest sleep: bytes that leave the chip within it leave together.
const GRAIN: Duration = Duration::from_millis(1);
/// Orders that wait for a bay.
const ORDERS: usize = 16;

/// Whether a board is in a bay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// No board.
    Absent,
    /// The `n`-th board that this bay has seen, counted from 1.
    Present(u64),
}

/// What a bay looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BayState {
    /// Whether a board is in the bay.
    pub present: bool,
    /// How many boards the bay has seen.
    pub board: u64,
    /// The chip's name.
    pub chip: Option<&'static str>,
    /// The chip's MAC address.
    pub mac: Option<String>,
    /// Whether the board has power.
    pub power: bool,
    /// What the chip is doing.
    pub mode: Option<Mode>,
    /// Baud rate of the chip's end.
    pub baud: Option<u32>,
    /// Baud rate of the host's end, where it is known.
    pub host_baud: Option<u32>,
    /// Whether the board is strapped to download mode.
    pub strap_download: bool,
}

/// A bay and what is in it. Only its own task touches it.
pub(super) struct Bay {
    chip: Option<VirtualChip>,
    hosts: Hosts,
    origin: Instant,
    presence: watch::Sender<Presence>,
    boards: u64,
    /// Resets that hosts have already seen.
    resets: u64,
    reenumerates: bool,
    strapped: bool,
    powered: bool,
    out: Vec<u8>,
    /// Counts whatever may have changed the board.
    activity: u64,
}

/// Starts a bay on a task of its own, furnished by `furnish`; it ends when the last [`Control`] is
/// dropped.
pub(super) fn spawn_with(furnish: impl FnOnce(&mut Bay)) -> Control {
    let (orders, inbox) = mpsc::channel(ORDERS);
    let (presence, seen) = watch::channel(Presence::Absent);
    let mut bay = Bay {
        chip: None,
        hosts: Hosts::default(),
        origin: Instant::now(),
        presence,
        boards: 0,
        resets: 0,
        reenumerates: false,
        strapped: false,
        powered: true,
        out: Vec::new(),
        activity: 0,
    };
    furnish(&mut bay);
    tokio::spawn(bay.live(inbox));
    Control::new(orders, seen)
}

/// What woke a bay.
enum Woken {
    Order(Option<Order>),
    Heard(Heard, Option<u32>),
    Due,
}

impl Bay {
    /// Lives until nobody can give orders any more.
    async fn live(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut buffer = vec![0; READ];
        let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        loop {
            self.advance();
            let due = self.arm(timer.as_mut());
            let listening = self.listening();
            let hosts = &mut self.hosts;
            let woken = tokio::select! {
                biased;
                order = orders.recv() => Woken::Order(order),
                (heard, baud) = poll_fn(|context| hosts.poll(context, &mut buffer, listening)) => {
                    Woken::Heard(heard, baud)
                }
                () = timer.as_mut(), if due => Woken::Due,
            };
            match woken {
                Woken::Order(Some(order)) => {
                    self.catch_up(&mut buffer);
                    order(&mut self);
                }
                Woken::Order(None) => return,
                Woken::Heard(heard, baud) => self.hear(heard, baud, &buffer),
                Woken::Due => {}
            }
        }
    }

    /// The time on the chip's clock, in nanoseconds.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether bytes are read from hosts now.
    fn listening(&self) -> bool {
        self.chip
            .as_ref()
            .is_none_or(|chip| chip.input_backlog() < BACKLOG)
    }

    /// Lets the chip do what is due and hands on what it has said.
    fn advance(&mut self) {
        let now = self.now();
        let Some(chip) = &mut self.chip else { return };
        if let Some(baud) = self.hosts.speaker_baud() {
            chip.set_host_baud(Some(baud));
        }
        chip.advance(now, &mut self.out);
        if !self.out.is_empty() {
            self.hosts.offer(&self.out);
            self.out.clear();
        }
        let resets = chip.resets();
        if resets != self.resets {
            self.resets = resets;
            if self.reenumerates {
                self.reenumerate();
            }
        }
    }

    /// Sets the timer to the chip's next moment; false when there is none.
    fn arm(&self, mut timer: Pin<&mut Sleep>) -> bool {
        let Some(due) = self.chip.as_ref().and_then(VirtualChip::next_due) else {
            return false;
        };
        let due = self.origin + Duration::from_nanos(due);
        let deadline = due.max(Instant::now() + GRAIN);
        if timer.is_elapsed() || timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        true
    }

    /// Takes in what hosts have sent up to now.
    fn catch_up(&mut self, buffer: &mut [u8]) {
        for _ in 0..READS_BEFORE_ORDER {
            let hosts = &mut self.hosts;
            let heard = poll_fn(|context| hosts.poll(context, buffer, true));
            match tokio::task::unconstrained(heard).now_or_never() {
                Some((heard, baud)) => self.hear(heard, baud, buffer),
                None => break,
            }
        }
        self.advance();
    }

    /// Passes on what a host did.
    fn hear(&mut self, heard: Heard, baud: Option<u32>, buffer: &[u8]) {
        let now = self.now();
        match heard {
            Heard::Bytes(count) => {
                self.activity += 1;
                if let Some(chip) = &mut self.chip {
                    chip.receive(now, baud, &buffer[..count]);
                }
            }
            Heard::Lines { dtr, rts } => self.set_lines(dtr, rts),
            Heard::Gone => {}
        }
    }

    /// Sets the modem lines of the auto-reset circuit. A host that has lines needs no jumper.
    pub(super) fn set_lines(&mut self, dtr: bool, rts: bool) {
        let now = self.now();
        self.strap(false);
        if let Some(chip) = &mut self.chip {
            chip.set_lines(now, dtr, rts);
        }
    }

    /// Sets or pulls the jumper that makes every start one into download mode.
    fn strap(&mut self, download: bool) {
        self.activity += 1;
        self.strapped = download;
        if let Some(chip) = &mut self.chip {
            chip.strap_download(download);
        }
    }

    /// Resets the chip into the boot loader or the application.
    pub(super) fn reset(&mut self, to: ResetTo) {
        self.strap(to == ResetTo::Bootloader);
        let now = self.now();
        if let Some(chip) = &mut self.chip {
            chip.reset(now);
        }
    }

    /// Switches the board's supply.
    pub(super) fn power(&mut self, on: bool) {
        self.activity += 1;
        self.powered = on;
        let now = self.now();
        if let Some(chip) = &mut self.chip {
            chip.power(now, on);
        }
    }

    /// Sets the baud rate of the host's end.
    pub(super) fn set_baud(&mut self, baud: u32) {
        self.hosts.set_baud(baud);
    }

    /// Puts another board in the bay. It starts in download mode if it is strapped so.
    pub(super) fn insert(&mut self, chip: VirtualChip, strapped: bool) {
        self.activity += 1;
        self.boards += 1;
        self.reenumerates = chip.config().faults.reenumerate;
        self.resets = chip.resets();
        let mut chip = chip;
        let now = self.now();
        // A board wakes up in the bay, on the bay's clock.
        chip.power(now, false);
        chip.strap_download(strapped);
        if self.powered {
            chip.power(now, true);
        }
        self.resets = chip.resets();
        self.strapped = strapped;
        self.chip = Some(chip);
        self.presence.send_replace(Presence::Present(self.boards));
    }

    /// Makes a board from its description and puts it in the bay.
    pub(super) fn insert_new(&mut self, config: ChipConfig, strapped: bool) {
        self.insert(VirtualChip::new(config), strapped);
    }

    /// Takes the board out of the bay.
    pub(super) fn remove(&mut self) -> Option<VirtualChip> {
        self.activity += 1;
        let chip = self.chip.take();
        self.presence.send_replace(Presence::Absent);
        chip
    }

    /// Takes the board out and puts it back.
    pub(super) fn reseat(&mut self) -> bool {
        let strapped = self.strapped;
        let chip = self.remove();
        let there = chip.is_some();
        if let Some(chip) = chip {
            self.insert(chip, strapped);
        }
        there
    }

    /// The chip in the bay, to be changed behind its back.
    pub(super) fn chip_mut(&mut self) -> Option<&mut VirtualChip> {
        self.activity += 1;
        self.chip.as_mut()
    }

    /// Attaches a host in the place of an earlier one of its kind.
    pub(super) fn attach(&mut self, host: Box<dyn Host>) {
        self.hosts.attach(host);
    }

    /// Every port vanishes and comes back under another name.
    pub(super) fn reenumerate(&mut self) {
        if let Err(error) = self.hosts.reenumerate() {
            tracing::warn!(%error, "a port did not come back");
        }
    }

    /// Counts on whenever the board may have been changed from outside.
    pub(super) fn activity(&self) -> u64 {
        self.activity
    }

    /// The chip in the bay.
    pub(super) fn chip(&self) -> Option<&VirtualChip> {
        self.chip.as_ref()
    }

    /// What the bay looks like now.
    pub(super) fn state(&self) -> BayState {
        let chip = self.chip.as_ref();
        BayState {
            present: chip.is_some(),
            board: self.boards,
            chip: chip.map(|chip| chip.config().chip.name()),
            mac: chip.map(|chip| chip.config().mac.to_string()),
            power: self.powered,
            mode: chip.map(VirtualChip::mode),
            baud: chip.map(VirtualChip::baud),
            host_baud: self.hosts.baud(),
            strap_download: self.strapped,
        }
    }
}
