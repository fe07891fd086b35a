//! The chip's life between two moments: bytes in, work, bytes out, in the order of time.
//!
//! Invariants: whatever is due at or before a moment has happened when it is reported; input is
//! taken only while the CPU is free; a chip that was interrupted by a reset looks at the clock
//! again before it takes another byte.

use rand_chacha::rand_core::Rng;
use station_esp::slip::Decoded;

use super::core::{ROM_BAUD, VirtualChip};
use super::mode::Mode;
use crate::boot::ResetReason;
use crate::fault::distance;
use crate::wire::{Nanos, rates_agree, resample};

/// Bytes that leave together when more are on their way.
const PIECE: usize = 1024;
/// The fastest rate that the ROM's automatic detection follows, in baud.
const FASTEST_DETECTED: u32 = 921_600;
/// The mark at both ends of a frame.
const FRAME_MARK: u8 = 0xC0;
/// Bytes that a flooding chip sends at once.
const FLOOD: usize = 256;
/// How long a supply that only dips stays too low.
const DIP: Nanos = 5_000_000;

/// What a clock that has run out sets off.
#[derive(Clone, Copy)]
enum Timer {
    Boot,
    Watchdog,
    Rise,
    PowerBack,
}

impl VirtualChip {
    /// Bytes that the host puts on the wire at `now`, at `host_baud` if its link has a rate.
    pub fn receive(&mut self, now: Nanos, host_baud: Option<u32>, bytes: &[u8]) {
        self.run(now);
        self.host_baud = host_baud;
        let now = self.now;
        let host_rate = self.incoming_rate();
        let heard = match self.garbled(self.baud) {
            None => bytes.to_vec(),
            Some((host, chip)) => {
                let mut heard = Vec::with_capacity(bytes.len());
                resample(bytes, host, chip, &mut heard);
                heard
            }
        };
        let inbound = &mut self.inbound;
        let mut at = now;
        self.to_chip.apply(heard, |piece| {
            if piece.pause_ms > 0 {
                at = at
                    .max(inbound.free_at())
                    .saturating_add(u64::from(piece.pause_ms) * 1_000_000);
            }
            inbound.send(at, host_rate, piece.bytes);
        });
        self.run(now);
    }

    /// The host changes the rate of its end.
    pub fn set_host_baud(&mut self, baud: Option<u32>) {
        self.host_baud = baud;
    }

    /// Does what is due by `now` and appends the bytes that have left the chip by then.
    pub fn advance(&mut self, now: Nanos, out: &mut Vec<u8>) {
        self.run(now);
        while let Some((bytes, baud)) = self.outbound.arrived(self.now) {
            let count = bytes.len();
            match self.garbled(baud) {
                None => out.extend_from_slice(bytes),
                Some((host, chip)) => resample(bytes, chip, host, out),
            }
            self.outbound.take(count);
        }
    }

    /// When [`VirtualChip::advance`] will next have something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Nanos> {
        let input = self.inbound.next_mark(self.mark());
        let work = match &self.task {
            // Work that nobody waits for can be caught up later.
            Some(task) if task.is_awaited() || input.is_some() => Some(task.at_least()),
            Some(_) => None,
            None => input,
        };
        let runs = self.mode == Mode::Application;
        let application = if runs {
            self.application.next_due()
        } else {
            None
        };
        let timer = self.next_timer().map(|(at, _)| at);
        let output = self.outbound.next_piece(PIECE);
        [work, application, timer, output]
            .into_iter()
            .flatten()
            .min()
    }

    /// The byte that ends what a receiver waits for.
    fn mark(&self) -> u8 {
        if self.mode == Mode::Application {
            b'\n'
        } else {
            FRAME_MARK
        }
    }

    /// The rate at which the host's bytes travel; the ROM adapts to it until it was found.
    fn incoming_rate(&mut self) -> u32 {
        if self.is_usb() {
            return self.rate();
        }
        let Some(host) = self.host_baud else {
            return self.baud;
        };
        if self.mode == Mode::Rom && !self.loader.synced {
            self.baud = if host <= FASTEST_DETECTED {
                host
            } else {
                ROM_BAUD
            };
        }
        host
    }

    /// The rates of host and chip, when they do not understand each other.
    fn garbled(&self, chip: u32) -> Option<(u32, u32)> {
        let host = self.host_baud?;
        if self.is_usb() {
            return None;
        }
        if self
            .config
            .faults
            .max_baud
            .is_some_and(|most| host.max(chip) > most)
        {
            // A bad edge moves the samples as a wrong rate would.
            return Some((host, (chip / 8 * 7).max(1)));
        }
        (!rates_agree(host, chip)).then_some((host, chip))
    }

    /// Lives up to `now`.
    pub(super) fn run(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        let now = self.now;
        loop {
            let due = self.next_timer().filter(|(at, _)| *at <= now);
            if self.live(due.map_or(now, |(at, _)| at)) {
                continue;
            }
            // Living may have moved the clocks.
            match self.next_timer().filter(|(at, _)| *at <= now) {
                Some((at, timer)) => self.fire(at, timer),
                None if due.is_none() => break,
                None => {}
            }
        }
    }

    fn next_timer(&self) -> Option<(Nanos, Timer)> {
        [
            (self.power_back, Timer::PowerBack),
            (self.pins.rise, Timer::Rise),
            (self.boot.as_ref().map(|(at, _)| *at), Timer::Boot),
            (self.watchdog, Timer::Watchdog),
        ]
        .into_iter()
        .filter_map(|(at, timer)| Some((at?, timer)))
        .min_by_key(|(at, _)| *at)
    }

    fn fire(&mut self, at: Nanos, timer: Timer) {
        match timer {
            Timer::Boot => {
                if let Some((_, step)) = self.boot.take() {
                    self.boot_step(at, step);
                }
            }
            Timer::Watchdog => self.restart(at, ResetReason::RtcWatchdog),
            Timer::Rise => self.risen(at),
            Timer::PowerBack => {
                self.power_back = None;
                self.powered = true;
                let dipped = self
                    .config
                    .faults
                    .power_loss
                    .as_ref()
                    .is_some_and(|l| l.brownout);
                let reason = if dipped {
                    ResetReason::Brownout
                } else {
                    ResetReason::PowerOn
                };
                self.restart(at, reason);
            }
        }
    }

    /// Takes input and works up to `limit`; true when a reset came in between.
    fn live(&mut self, limit: Nanos) -> bool {
        let (resets, powered) = (self.resets, self.powered);
        if self.config.faults.flood && self.powered {
            self.flood(limit);
            return false;
        }
        loop {
            let went_on = if self.task.is_some() {
                self.work(limit)
            } else {
                match self.mode {
                    Mode::Rom | Mode::Stub => self.take_frame(limit),
                    Mode::Application => self.run_application(limit),
                    Mode::Off
                    | Mode::Held
                    | Mode::Booting
                    | Mode::RamApplication
                    | Mode::BootFailed => {
                        self.ignore_input(limit);
                        false
                    }
                }
            };
            if self.resets != resets || self.powered != powered {
                return true;
            }
            if !went_on {
                return false;
            }
        }
    }

    fn ignore_input(&mut self, limit: Nanos) {
        while let Some((bytes, _)) = self.inbound.arrived(limit) {
            let count = bytes.len();
            self.received += count as u64;
            self.inbound.take(count);
        }
    }

    fn flood(&mut self, limit: Nanos) {
        self.ignore_input(limit);
        if self.outbound.waiting() == 0 {
            let mut noise = vec![0; FLOOD];
            self.luck.fill_bytes(&mut noise);
            self.say(limit, noise);
        }
    }

    /// The count of received bytes at which a fault strikes next.
    fn next_strike(&self) -> u64 {
        let lost = self
            .config
            .faults
            .power_loss
            .as_ref()
            .and_then(|loss| loss.at_byte);
        let lost = lost.filter(|at| *at > self.received && !self.supply_failed);
        lost.unwrap_or(u64::MAX).min(self.next_reset)
    }

    fn strike(&mut self, at: Nanos) {
        if self.received >= self.next_reset {
            let wait = distance(&mut self.luck, self.config.faults.reset_per_million);
            self.next_reset = self.received.saturating_add(wait).saturating_add(1);
            self.restart(at, ResetReason::PowerOn);
        } else {
            self.fail_supply(at);
        }
    }

    /// The supply fails as the faults say, once in the life of the chip.
    pub(super) fn fail_supply(&mut self, at: Nanos) {
        let Some(loss) = self.config.faults.power_loss else {
            return;
        };
        if self.supply_failed {
            return;
        }
        self.supply_failed = true;
        self.efuse.arm(None);
        self.lose_power(at);
        let dark = match (loss.brownout, loss.back_after_ms) {
            (true, None) => Some(DIP),
            (_, Some(ms)) => Some(u64::from(ms) * 1_000_000),
            (false, None) => None,
        };
        self.power_back = dark.map(|dark| at.saturating_add(dark));
    }

    /// Feeds the decoder up to the next frame; false when nothing more has arrived by `limit`.
    fn take_frame(&mut self, limit: Nanos) -> bool {
        let strike = self.next_strike();
        let Some((bytes, _)) = self.inbound.arrived(limit) else {
            return false;
        };
        let allowed = usize::try_from(strike.saturating_sub(self.received)).unwrap_or(usize::MAX);
        let bytes = bytes.get(..allowed).unwrap_or(bytes);
        let (used, decoded) = self.decoder.feed(bytes);
        let at = self.inbound.passes(used).unwrap_or(limit);
        self.inbound.take(used);
        self.received += used as u64;
        if self.received >= strike {
            self.strike(at);
            return true;
        }
        match decoded {
            Some(Decoded::Frame(frame)) => {
                self.frame(at.max(self.cpu_free), &frame);
                self.decoder.recycle(frame);
            }
            Some(Decoded::Noise(noise)) => self.decoder.recycle(noise),
            Some(Decoded::Malformed(_)) | None => {}
        }
        true
    }

    /// Lets the application do the next thing due by `limit`: hear a byte, or speak.
    fn run_application(&mut self, limit: Nanos) -> bool {
        let due = self.application.next_due().filter(|due| *due <= limit);
        let byte = self.inbound.next_byte().filter(|at| *at <= limit);
        match (byte, due) {
            (Some(at), due) if due.is_none_or(|due| at <= due) => {
                self.hear(at);
                true
            }
            (_, Some(due)) => {
                let mut text = Vec::new();
                self.application.advance(due, &mut text);
                // One that neither speaks nor waits for later would hold the clock still.
                let went_on = !text.is_empty() || self.application.next_due() != Some(due);
                self.say(due, text);
                went_on
            }
            (_, None) => false,
        }
    }

    /// The application hears the byte that passes at `at`.
    fn hear(&mut self, at: Nanos) {
        let strike = self.next_strike();
        let Some(byte) = self
            .inbound
            .arrived(at)
            .and_then(|(bytes, _)| bytes.first().copied())
        else {
            return;
        };
        self.inbound.take(1);
        self.received += 1;
        if self.received >= strike {
            self.strike(at);
        } else {
            self.application.receive(at, byte);
        }
    }

    /// Puts bytes on the wire to the host, not before `at`.
    pub(super) fn say(&mut self, at: Nanos, bytes: Vec<u8>) {
        if self.config.faults.silent || bytes.is_empty() {
            return;
        }
        let rate = self.rate();
        let outbound = &mut self.outbound;
        let mut at = at;
        self.from_chip.apply(bytes, |piece| {
            if piece.pause_ms > 0 {
                let pause = u64::from(piece.pause_ms) * 1_000_000;
                at = at.max(outbound.free_at()).saturating_add(pause);
            }
            outbound.send(at, rate, piece.bytes);
        });
    }
}
