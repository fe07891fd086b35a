//! What a virtual chip is made of, before it is made.
//!
//! Invariants: a configuration is complete; the MAC, the calibration and every fault of a unit
//! follow from its number and seed alone.

use station_esp::chip::Crystal;
use station_esp::{Chip, MacAddress, Revision};

use crate::fault::Faults;
use crate::nor::FlashTiming;
use crate::script::AppScript;
use crate::wire::{Nanos, Wire};

/// How the host reaches the chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Port {
    /// UART 0 behind a bridge whose DTR and RTS drive the classic two-transistor circuit.
    #[default]
    Uart,
    /// The chip's own USB serial and JTAG port: no baud rate, resets by its own rules.
    UsbSerialJtag,
}

/// How a ROM refuses a command it does not know.
///
/// Hosts differ: esptool reads up to eight frames with another opcode, espflash wants one with
/// the opcode it sent. Real traces are lacking, so it is a knob.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefusalStyle {
    /// One frame with the opcode of the request.
    #[default]
    Same,
    /// Eight frames with the opcode of SYNC, as esptool's source describes.
    EightOther,
}

/// Everything about one virtual chip.
#[derive(Clone, Debug)]
pub struct ChipConfig {
    /// Which chip.
    pub chip: Chip,
    /// Its silicon revision.
    pub revision: Revision,
    /// Its factory MAC address.
    pub mac: MacAddress,
    /// Bytes of its flash; a power of two.
    pub flash_size: u32,
    /// What its flash answers to a read of its id: maker, type, capacity.
    pub flash_jedec: [u8; 3],
    /// Frequency of its crystal in MHz.
    pub crystal_mhz: u8,
    /// How the host reaches it.
    pub port: Port,
    /// Whether bytes take time on the wire.
    pub wire: Wire,
    /// Whether flash operations take time.
    pub flash_timing: FlashTiming,
    /// How long EN takes to rise once it is released: the capacitor on the pin. The boot pin is
    /// sampled when it has risen, so that a host that moves DTR and RTS one after the other still
    /// gets the boot mode it wants. 100 ms suits RFC 2217 clients, which are that slow.
    pub en_rise: Nanos,
    /// Whether ENABLE_SECURITY_DOWNLOAD is burned.
    pub secure_download: bool,
    /// How the ROM refuses an unknown command.
    pub refusal: RefusalStyle,
    /// Whether the boot pin is held low from the start, so that the chip waits for a download.
    pub strapped: bool,
    /// What is wrong with it.
    pub faults: Faults,
    /// What runs on it once it boots from flash; a greeting without one.
    pub app: Option<AppScript>,
    /// The number of the unit.
    pub unit: u64,
    /// What chance follows from.
    pub seed: u64,
}

impl ChipConfig {
    /// An ordinary sound board with 4 MB of flash: unit number `unit` of the fleet `seed`.
    #[must_use]
    pub fn new(chip: Chip, unit: u64, seed: u64) -> Self {
        Self {
            chip,
            revision: ordinary_revision(chip),
            mac: mac_of(unit),
            flash_size: 4 << 20,
            flash_jedec: [0xC8, 0x40, 0x16],
            crystal_mhz: ordinary_crystal(chip),
            port: Port::Uart,
            wire: Wire::Off,
            flash_timing: FlashTiming::Off,
            en_rise: 2_000_000,
            secure_download: false,
            refusal: RefusalStyle::Same,
            strapped: false,
            faults: Faults::default(),
            app: None,
            unit,
            seed,
        }
    }

    /// The same board with another size of flash, and an id that says so.
    #[must_use]
    pub fn with_flash_size(mut self, bytes: u32) -> Self {
        self.flash_size = bytes;
        self.flash_jedec[2] = u8::try_from(bytes.max(1).ilog2()).unwrap_or(0x16);
        self
    }
}

/// A MAC for every unit, in a block that Espressif owns.
fn mac_of(unit: u64) -> MacAddress {
    let [.., high, middle, low] = unit.to_be_bytes();
    MacAddress([0x7C, 0xDF, 0xA1, high, middle, low])
}

/// A revision that boards on sale have.
fn ordinary_revision(chip: Chip) -> Revision {
    match chip {
        Chip::Esp32 => Revision::new(3, 1),
        Chip::Esp32S2 => Revision::new(1, 0),
        Chip::Esp32S3 => Revision::new(0, 2),
        Chip::Esp32C2 => Revision::new(1, 2),
        Chip::Esp32C3 => Revision::new(0, 4),
        Chip::Esp32C5 => Revision::new(1, 0),
        Chip::Esp32C6 => Revision::new(0, 2),
        Chip::Esp32C61 => Revision::new(1, 0),
        Chip::Esp32H2 => Revision::new(0, 1),
        Chip::Esp32H4 => Revision::new(0, 0),
        Chip::Esp32P4 => Revision::new(1, 3),
        Chip::Esp32S31 => Revision::new(0, 0),
    }
}

/// The crystal that boards with this chip have.
pub(crate) fn ordinary_crystal(chip: Chip) -> u8 {
    match chip.spec().crystal {
        Crystal::Fixed(mhz) => mhz,
        Crystal::UartDivider { typical_mhz, .. } => typical_mhz,
    }
}
