//! EN, the boot pin, the supply, and the host's modem lines that pull at them.
//!
//! The classic circuit: EN is low while RTS is asserted and DTR is not; the boot pin is low while
//! DTR is asserted and RTS is not; both asserted pull neither. A capacitor makes EN rise slowly,
//! and the boot pin is sampled when it has risen. The USB serial and JTAG port has no pins: DTR
//! alone asks for a download, and RTS alone resets (ESP32-C3 technical reference manual).

use super::core::VirtualChip;
use super::flashing::Interruption;
use super::mode::Mode;
use crate::boot::ResetReason;
use crate::wire::Nanos;

/// The state of the lines.
#[derive(Debug)]
pub(super) struct Pins {
    dtr: bool,
    rts: bool,
    /// The boot pin is held low on the board.
    strapped: bool,
    /// The USB port was asked to download at the next reset.
    usb_download: bool,
    /// When EN has risen.
    pub(super) rise: Option<Nanos>,
    /// What the boot pin said at the last reset.
    pub(super) sampled_download: bool,
}

impl Pins {
    pub(super) fn new(strapped: bool) -> Self {
        Self {
            dtr: false,
            rts: false,
            strapped,
            usb_download: false,
            rise: None,
            sampled_download: false,
        }
    }

    fn en_low(&self) -> bool {
        self.rts && !self.dtr
    }

    fn boot_low(&self) -> bool {
        self.strapped || (self.dtr && !self.rts)
    }
}

impl VirtualChip {
    /// The host sets its modem lines; `true` is asserted.
    pub fn set_lines(&mut self, now: Nanos, dtr: bool, rts: bool) {
        self.run(now);
        let now = self.now;
        let was_low = self.pins.en_low();
        self.pins.dtr = dtr;
        self.pins.rts = rts;
        let low = self.pins.en_low();
        if self.is_usb() {
            match (dtr, rts) {
                (true, false) => self.pins.usb_download = true,
                (false, false) => self.pins.usb_download = false,
                (false, true) if !was_low && self.powered => {
                    self.restart(now, ResetReason::Usb);
                }
                (_, true) => {}
            }
        } else if low && !was_low {
            self.pins.rise = None;
            self.hold(now);
        } else if was_low && !low {
            self.pins.rise = Some(now.saturating_add(self.config.en_rise));
            self.run(now);
        }
    }

    /// Sets or pulls the jumper that holds the boot pin low.
    pub fn strap_download(&mut self, low: bool) {
        self.pins.strapped = low;
    }

    /// Pulses EN by a jig: the boot pin is sampled now.
    pub fn reset(&mut self, now: Nanos) {
        self.run(now);
        if self.powered {
            self.restart(self.now, ResetReason::PowerOn);
            self.run(now);
        }
    }

    /// Switches the board's supply.
    pub fn power(&mut self, now: Nanos, on: bool) {
        self.run(now);
        self.power_back = None;
        if on && !self.powered {
            self.powered = true;
            self.restart(self.now, ResetReason::PowerOn);
            self.run(now);
        } else if !on && self.powered {
            self.lose_power(self.now);
        }
    }

    /// EN goes low.
    fn hold(&mut self, now: Nanos) {
        if self.powered {
            self.halt(now, Interruption::Reset);
            self.mode = Mode::Held;
        }
    }

    /// EN has risen.
    pub(super) fn risen(&mut self, now: Nanos) {
        self.pins.rise = None;
        if self.powered {
            self.restart(now, ResetReason::PowerOn);
        }
    }

    /// The supply is gone.
    pub(super) fn lose_power(&mut self, now: Nanos) {
        self.halt(now, Interruption::PowerLoss);
        self.powered = false;
        self.mode = Mode::Off;
    }

    /// Whether the boot pin, or the USB port, asks for a download now; remembered as sampled.
    pub(super) fn sample_straps(&mut self) -> bool {
        let asked = self.is_usb() && self.pins.usb_download;
        let low = if self.is_usb() {
            self.pins.strapped
        } else {
            self.pins.boot_low()
        };
        self.pins.sampled_download = low || asked;
        self.pins.sampled_download
    }

    /// Stops whatever runs; nothing more leaves the chip.
    pub(super) fn halt(&mut self, now: Nanos, why: Interruption) {
        self.interrupt(now, why);
        self.break_in_place(why);
        self.outbound.cut(now);
        self.decoder.clear();
        self.loader = super::loader::Loader::default();
        self.registers.reset();
        self.efuse.reset(now);
        self.boot = None;
        self.watchdog = None;
        self.cpu_free = now;
    }
}
