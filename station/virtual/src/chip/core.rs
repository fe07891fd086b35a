//! The chip as a whole: its parts, how it is made, and what can be looked at from outside.

use rand_chacha::ChaCha8Rng;
use station_esp::ChipSpec;
use station_esp::efuse::FieldName;
use station_esp::slip::Decoder;

use super::application::{Application, DefaultApplication};
use super::config::{ChipConfig, Port};
use super::flashing::Task;
use super::loader::Loader;
use super::mode::Mode;
use super::pins::Pins;
use super::registers::{Registers, Surroundings};
use super::spi::SpiController;
use super::startup::BootStep;
use crate::boot::ResetReason;
use crate::efuse::{EfuseArray, FuseMake};
use crate::fault::{ByteLottery, PowerLoss, Stream, distance, stream};
use crate::nor::NorFlash;
use crate::wire::{Line, Nanos, USB_RATE, Wire};

/// Longest frame a loader takes, in bytes: the stub's block of 16 KiB and its heads, with room for
/// hosts that try more.
const LONGEST_FRAME: usize = 0x8100;
/// Rate of the ROM's console in baud.
pub(super) const ROM_BAUD: u32 = 115_200;

/// One chip made of software, on its board, with its flash.
#[derive(Debug)]
pub struct VirtualChip {
    pub(super) config: ChipConfig,
    pub(super) spec: &'static ChipSpec,
    pub(super) flash: NorFlash,
    pub(super) efuse: EfuseArray,
    pub(super) registers: Registers,
    pub(super) inbound: Line,
    pub(super) outbound: Line,
    pub(super) decoder: Decoder,
    pub(super) loader: Loader,
    pub(super) task: Option<Task>,
    pub(super) application: Box<dyn Application>,
    pub(super) mode: Mode,
    pub(super) pins: Pins,
    /// The next step of a boot.
    pub(super) boot: Option<(Nanos, BootStep)>,
    /// When the watchdog bites.
    pub(super) watchdog: Option<Nanos>,
    /// When the supply comes back.
    pub(super) power_back: Option<Nanos>,
    pub(super) powered: bool,
    pub(super) baud: u32,
    pub(super) host_baud: Option<u32>,
    /// The last moment that was lived through.
    pub(super) now: Nanos,
    /// When the CPU was last done with something.
    pub(super) cpu_free: Nanos,
    pub(super) to_chip: ByteLottery,
    pub(super) from_chip: ByteLottery,
    pub(super) luck: ChaCha8Rng,
    /// Bytes received so far, and at which count chance resets the chip.
    pub(super) received: u64,
    pub(super) next_reset: u64,
    pub(super) answers: u64,
    pub(super) programs: u64,
    pub(super) erases: u64,
    pub(super) resets: u64,
    pub(super) supply_failed: bool,
}

impl VirtualChip {
    /// A chip that was just connected to power at moment 0; it boots as its straps say.
    #[must_use]
    pub fn new(config: ChipConfig) -> Self {
        let spec = config.chip.spec();
        let faults = &config.faults;
        let mut flash = NorFlash::new(config.flash_size);
        for sector in &faults.stuck_sectors {
            flash.stick(*sector);
        }
        let jedec = faults.flash_jedec.unwrap_or(config.flash_jedec);
        let seed = config.seed ^ config.unit.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let efuse = fuses(&config, seed);
        let mut luck = stream(seed, Stream::Chip);
        let next_reset = distance(&mut luck, faults.reset_per_million).saturating_add(1);
        let application: Box<dyn Application> = match &config.app {
            Some(script) => Box::new(script.instantiate(config.unit, config.seed)),
            None => Box::new(DefaultApplication::default()),
        };
        // A flood must take time even where the wire does not, or it would never end.
        let outward = if faults.flood { Wire::On } else { config.wire };
        let mut chip = Self {
            spec,
            flash,
            efuse,
            registers: Registers::new(spec, SpiController::new(spec.spi, jedec, seed)),
            inbound: Line::new(config.wire),
            outbound: Line::new(outward),
            decoder: Decoder::new(LONGEST_FRAME),
            loader: Loader::default(),
            task: None,
            application,
            mode: Mode::Off,
            pins: Pins::new(config.strapped),
            boot: None,
            watchdog: None,
            power_back: None,
            powered: true,
            baud: ROM_BAUD,
            host_baud: None,
            now: 0,
            cpu_free: 0,
            to_chip: ByteLottery::new(&faults.to_chip, seed, Stream::ToChip),
            from_chip: ByteLottery::new(&faults.from_chip, seed, Stream::FromChip),
            luck,
            received: 0,
            next_reset,
            answers: 0,
            programs: 0,
            erases: 0,
            resets: 0,
            supply_failed: false,
            config,
        };
        chip.restart(0, ResetReason::PowerOn);
        chip
    }

    /// What the chip is made of.
    #[must_use]
    pub fn config(&self) -> &ChipConfig {
        &self.config
    }

    /// What the chip is doing.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Rate of the chip's end of the wire in baud.
    #[must_use]
    pub fn baud(&self) -> u32 {
        self.baud
    }

    /// How often the chip has come out of reset since it was made.
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// Whether the board has power.
    #[must_use]
    pub fn is_powered(&self) -> bool {
        self.powered
    }

    /// The flash as it stands.
    #[must_use]
    pub fn flash(&self) -> &NorFlash {
        &self.flash
    }

    /// The flash, to be changed behind the chip's back.
    pub fn flash_mut(&mut self) -> &mut NorFlash {
        &mut self.flash
    }

    /// The fuses.
    #[must_use]
    pub fn efuse(&self) -> &EfuseArray {
        &self.efuse
    }

    /// The fuses, to be changed behind the chip's back.
    pub fn efuse_mut(&mut self) -> &mut EfuseArray {
        &mut self.efuse
    }

    /// Bytes that the chip has received since it was made.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Makes the supply fail once more, as `loss` says; what it counts is counted from now on.
    pub fn fail_supply_next(&mut self, loss: PowerLoss) {
        let from = |count: Option<u64>, done: u64| count.map(|count| count.saturating_add(done));
        let loss = PowerLoss {
            at_byte: from(loss.at_byte, self.received),
            at_program: from(loss.at_program, self.programs),
            at_erase: from(loss.at_erase, self.erases),
            at_pulse: from(loss.at_pulse, self.efuse.pulses()),
            ..loss
        };
        self.efuse.arm(Some(&loss));
        self.config.faults.power_loss = Some(loss);
        self.supply_failed = false;
    }

    /// Page programs and erases that the flash has done since the chip was made.
    #[must_use]
    pub fn flash_operations(&self) -> (u64, u64) {
        (self.programs, self.erases)
    }

    /// Bytes that the host has put on the wire and the chip has not taken yet. A server stops
    /// reading its host above a bound of its choice, so that the host feels the wire.
    #[must_use]
    pub fn input_backlog(&self) -> usize {
        self.inbound.waiting()
    }

    pub(super) fn is_usb(&self) -> bool {
        self.config.port == Port::UsbSerialJtag
    }

    /// Bits a second at which the chip sends.
    pub(super) fn rate(&self) -> u32 {
        if self.is_usb() { USB_RATE } else { self.baud }
    }

    pub(super) fn surroundings(&self, now: Nanos) -> Surroundings {
        Surroundings {
            now,
            baud: self.baud,
            crystal_mhz: self.config.crystal_mhz,
            strapped_download: self.pins.sampled_download,
        }
    }
}

/// The fuses of a new board.
fn fuses(config: &ChipConfig, seed: u64) -> EfuseArray {
    let mut efuse = EfuseArray::make(FuseMake {
        chip: config.chip,
        revision: config.revision,
        mac: config.mac,
        crystal_mhz: config.crystal_mhz,
        timed: config.wire == Wire::On,
        faults: config.faults.fuses.clone(),
        unit: config.unit,
        seed,
    });
    efuse.arm(config.faults.power_loss.as_ref());
    if config.secure_download {
        // The ESP32 has no such fuse and stays open.
        efuse.edit(|image| {
            let _ = image.write(FieldName::SecureDownload, 1);
        });
    }
    efuse
}
