//! The shape of a chip's table.

use crate::command::{Dialect, Opcode};
use crate::efuse::EfuseSpec;

use super::{Chip, Revision};

/// Everything about one chip that its loader, its images and its eFuses depend on.
#[derive(Debug)]
pub struct ChipSpec {
    /// The chip this table describes.
    pub chip: Chip,
    /// `chip_id` of the extended image header and of GET_SECURITY_INFO (ESP-IDF `esp_chip_id_t`).
    pub image_id: u16,
    /// The word at [`ChipSpec::MAGIC_ADDRESS`], for the chips that are told apart by it.
    pub magic: Option<u32>,
    /// Instruction set of the main cores, which an ELF must match.
    pub architecture: Architecture,
    /// How the ROM answers GET_SECURITY_INFO.
    pub security_info: SecurityInfoShape,
    /// Where the ROM looks for the second-stage bootloader in flash.
    pub bootloader_offset: u32,
    /// What reading the identity from fuses needs; the fuses are in [`crate::efuse::map`].
    pub efuse: EfuseSpec,
    /// The SPI controller that the flash hangs on.
    pub spi: SpiRegisters,
    /// UART 0.
    pub uart: UartRegisters,
    /// How the crystal frequency is found.
    pub crystal: Crystal,
    /// USB interfaces of the chip.
    pub usb: UsbSupport,
    /// Address ranges an image may load to or map at.
    pub memory: &'static [MemoryRegion],
    /// The RTC watchdog, where its registers are known.
    pub watchdog: Option<WatchdogRegisters>,
    /// Whether the watchdog is a safe way to restart the chip (esptool `WATCHDOG_RESET_SUPPORTED`).
    pub watchdog_reset: bool,
    /// Registers that say how the chip was strapped, where a reset depends on them.
    pub strap: Option<StrapRegisters>,
    /// Block sizes of the loader protocol.
    pub flash_write: FlashWriteSizes,
    /// Flash clocks in MHz with their code in the image header.
    pub flash_frequencies: &'static [(u8, u8)],
    /// Flash clock in MHz that a bootloader of this chip uses unless told otherwise.
    pub default_flash_frequency: u8,
    /// Sizes of an MMU page in bytes that images may be built for; 64 KiB where there is no choice.
    pub mmu_page_sizes: &'static [u32],
    /// Whether flash beyond 16 MiB can be addressed (esptool `FLASH_32BIT_ADDR_SUPPORTED`).
    pub flash_beyond_16_mib: bool,
}

impl ChipSpec {
    /// Address of the word in mask ROM that [`ChipSpec::magic`] is compared with.
    pub const MAGIC_ADDRESS: u32 = 0x4000_1000;

    /// Whether this loader of this chip knows `opcode`.
    #[must_use]
    pub fn supports(&self, loader: Dialect, opcode: Opcode) -> bool {
        match (loader, opcode) {
            (_, Opcode::GetSecurityInfo) => self.security_info != SecurityInfoShape::Unsupported,
            (Dialect::Rom, opcode) => (opcode as u8) < Opcode::EraseFlash as u8,
            (Dialect::Stub, opcode) => opcode != Opcode::ReadFlashSlow,
        }
    }

    /// Whether FLASH_BEGIN and FLASH_DEFL_BEGIN carry a fifth word, "encrypt".
    ///
    /// Every loader but the ESP32's ROM wants it (esptool `loader.py`, `flash_begin`).
    #[must_use]
    pub fn begin_has_encrypt_word(&self, loader: Dialect) -> bool {
        loader == Dialect::Stub || self.chip != Chip::Esp32
    }

    /// Block size of FLASH_DATA and FLASH_DEFL_DATA in bytes.
    #[must_use]
    pub fn flash_block(&self, loader: Dialect) -> u32 {
        match loader {
            Dialect::Rom => self.flash_write.rom,
            Dialect::Stub => self.flash_write.stub,
        }
    }

    /// The region that holds all of `start..start + length`, if one does.
    #[must_use]
    pub fn region(&self, start: u32, length: u32) -> Option<&'static MemoryRegion> {
        let end = u64::from(start) + u64::from(length);
        self.memory
            .iter()
            .find(|region| region.start <= start && end <= u64::from(region.end))
    }

    /// Whether `address` is mapped from flash rather than loaded.
    #[must_use]
    pub fn is_flash_mapped(&self, address: u32) -> bool {
        self.memory
            .iter()
            .any(|region| region.kind.is_flash() && region.contains(address))
    }

    /// The code of a flash clock in the image header.
    #[must_use]
    pub fn flash_frequency_code(&self, mhz: u8) -> Option<u8> {
        self.flash_frequencies
            .iter()
            .find(|(known, _)| *known == mhz)
            .map(|(_, code)| *code)
    }

    /// The newest revision known when this table was written, for tools that need an example.
    #[must_use]
    pub fn typical_revision(&self) -> Revision {
        match self.chip {
            Chip::Esp32 => Revision::new(3, 1),
            Chip::Esp32S2 | Chip::Esp32C5 | Chip::Esp32C61 => Revision::new(1, 0),
            Chip::Esp32S3 | Chip::Esp32C6 => Revision::new(0, 2),
            Chip::Esp32C2 => Revision::new(1, 2),
            Chip::Esp32C3 => Revision::new(0, 4),
            Chip::Esp32H2 => Revision::new(0, 1),
            Chip::Esp32H4 => Revision::new(0, 2),
            Chip::Esp32P4 => Revision::new(1, 3),
            Chip::Esp32S31 => Revision::new(0, 0),
        }
    }

    /// Crystal frequency of ordinary boards in MHz.
    #[must_use]
    pub fn typical_crystal_mhz(&self) -> u8 {
        match self.crystal {
            Crystal::Fixed(mhz) => mhz,
            Crystal::UartDivider { typical_mhz, .. } => typical_mhz,
        }
    }
}

/// Instruction set of a chip's main cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Tensilica Xtensa LX6 or LX7.
    Xtensa,
    /// 32-bit RISC-V.
    RiscV,
}

impl Architecture {
    /// `e_machine` of an ELF for this instruction set (ELF specification).
    #[must_use]
    pub const fn elf_machine(self) -> u16 {
        match self {
            Self::Xtensa => 94,
            Self::RiscV => 243,
        }
    }

    /// The name in error texts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xtensa => "xtensa",
            Self::RiscV => "riscv",
        }
    }
}

/// How a ROM answers GET_SECURITY_INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityInfoShape {
    /// The command is refused; the chip is known by its magic word.
    Unsupported,
    /// 12 bytes, without chip id.
    WithoutId,
    /// 20 bytes, with chip id and API version.
    WithId,
}

impl SecurityInfoShape {
    /// Length of the answer in bytes, status excluded.
    #[must_use]
    pub const fn length(self) -> Option<usize> {
        match self {
            Self::Unsupported => None,
            Self::WithoutId => Some(12),
            Self::WithId => Some(20),
        }
    }
}

/// Addresses of the flash controller's registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpiRegisters {
    /// Starts a transaction (bit 18) and shows that it runs.
    pub cmd: u32,
    /// Flash address of the transaction.
    pub addr: u32,
    /// Which phases the transaction has.
    pub usr: u32,
    /// Lengths of address and dummy phase.
    pub usr1: u32,
    /// Length and value of the command phase.
    pub usr2: u32,
    /// Bits to send, minus one.
    pub mosi_dlen: u32,
    /// Bits to receive, minus one.
    pub miso_dlen: u32,
    /// First of the sixteen data words.
    pub w0: u32,
    /// Whether the address sits in the upper bits of `addr` (ESP32).
    pub addr_msb: bool,
}

impl SpiRegisters {
    /// Layout of the ESP32.
    pub(super) const fn first(base: u32) -> Self {
        Self {
            cmd: base,
            addr: base + 0x04,
            usr: base + 0x1C,
            usr1: base + 0x20,
            usr2: base + 0x24,
            mosi_dlen: base + 0x28,
            miso_dlen: base + 0x2C,
            w0: base + 0x80,
            addr_msb: true,
        }
    }

    /// Layout of every later chip.
    pub(super) const fn later(base: u32) -> Self {
        Self {
            cmd: base,
            addr: base + 0x04,
            usr: base + 0x18,
            usr1: base + 0x1C,
            usr2: base + 0x20,
            mosi_dlen: base + 0x24,
            miso_dlen: base + 0x28,
            w0: base + 0x58,
            addr_msb: false,
        }
    }
}

/// Addresses of the console UART's registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UartRegisters {
    /// Clock divider; its low 20 bits times the baud give the source clock.
    pub clkdiv: u32,
    /// Version word, harmless to write; esptool pads timed register writes with it.
    pub date: u32,
}

/// How the crystal frequency of a board is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crystal {
    /// The chip works with this crystal only, in MHz.
    Fixed(u8),
    /// `baud × (clkdiv & mask)` is about the crystal frequency while the ROM talks.
    UartDivider {
        /// Bits of [`UartRegisters::clkdiv`] that hold the divider.
        mask: u32,
        /// The frequencies that exist, in MHz, ascending.
        choices_mhz: &'static [u8],
        /// The one ordinary boards have.
        typical_mhz: u8,
        /// A register that states the frequency in MHz in bits 24 to 30, where there is one.
        stated: Option<u32>,
    },
}

impl Crystal {
    /// The frequency in MHz for a divider read at `baud`: the nearest that exists.
    #[must_use]
    pub fn from_divider(self, baud: u32, clkdiv: u32) -> u8 {
        match self {
            Self::Fixed(mhz) => mhz,
            Self::UartDivider {
                mask,
                choices_mhz,
                typical_mhz,
                ..
            } => {
                let hertz = u64::from(baud) * u64::from(clkdiv & mask);
                choices_mhz
                    .iter()
                    .copied()
                    .min_by_key(|mhz| hertz.abs_diff(u64::from(*mhz) * 1_000_000))
                    .unwrap_or(typical_mhz)
            }
        }
    }
}

/// USB interfaces of a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsbSupport {
    /// The fixed-function USB serial and JTAG bridge.
    pub serial_jtag: bool,
    /// The USB OTG controller with the ROM's CDC driver.
    pub otg: bool,
    /// Where the ROM says over which interface it talks.
    pub source: Option<UartSource>,
}

/// The ROM variable that names the interface in use (espflash `uartdev_buf_no`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UartSource {
    /// Address of the variable.
    pub address: u32,
    /// Its value while USB OTG is in use.
    pub otg: u32,
}

/// What a range of addresses is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// Internal RAM seen by instruction fetch.
    Iram,
    /// Internal RAM seen by loads and stores.
    Dram,
    /// Flash mapped for instruction fetch.
    Irom,
    /// Flash mapped for loads.
    Drom,
    /// RTC RAM seen by instruction fetch.
    RtcIram,
    /// RTC RAM seen by loads and stores.
    RtcDram,
    /// Tightly coupled memory.
    Tcm,
    /// External RAM.
    Psram,
}

impl MemoryKind {
    /// Whether bytes here come from flash through the cache and are not loaded.
    #[must_use]
    pub const fn is_flash(self) -> bool {
        matches!(self, Self::Irom | Self::Drom)
    }
}

/// A range of addresses of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryRegion {
    /// What the range is.
    pub kind: MemoryKind,
    /// First address.
    pub start: u32,
    /// First address beyond.
    pub end: u32,
}

impl MemoryRegion {
    pub(super) const fn new(kind: MemoryKind, start: u32, end: u32) -> Self {
        Self { kind, start, end }
    }

    /// Whether `address` lies in the range.
    #[must_use]
    pub const fn contains(&self, address: u32) -> bool {
        self.start <= address && address < self.end
    }
}

/// Addresses of the RTC (or low-power) watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchdogRegisters {
    /// Write [`WatchdogRegisters::KEY`] to unlock, anything else to lock.
    pub protect: u32,
    /// Enable, stage actions and reset widths.
    pub config0: u32,
    /// Timeout of stage 0 in slow-clock ticks.
    pub config1: u32,
    /// The second, self-resetting watchdog.
    pub super_watchdog: Option<SuperWatchdog>,
}

impl WatchdogRegisters {
    /// The word that unlocks the registers.
    pub const KEY: u32 = 0x50D8_3AA1;
    /// `config0` for "reset the whole chip at stage 0": enable, stage 0 = RTC reset, chip reset
    /// enabled with its width (ESP-IDF `rtc_wdt`).
    pub const RESET_CHIP: u32 = 1 << 31 | 5 << 28 | 1 << 8 | 1 << 2;
}

/// Addresses of the super watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuperWatchdog {
    /// Configuration; holds the bit that makes it feed itself.
    pub config: u32,
    /// Write `key` to unlock.
    pub protect: u32,
    /// The word that unlocks it.
    pub key: u32,
    /// The bit of `config` that switches it off in effect.
    pub auto_feed: u32,
}

/// Registers that decide whether a watchdog reset ends in the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrapRegisters {
    /// Strapping pins as sampled at reset.
    pub strap: u32,
    /// Bit of `strap` that is set when the boot pin asked for flash boot.
    pub spi_boot: u32,
    /// Register that can force download mode at the next reset.
    pub option: u32,
    /// Bit of `option` that forces it.
    pub force_download: u32,
}

/// Block sizes of the loader protocol, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashWriteSizes {
    /// FLASH_DATA and FLASH_DEFL_DATA to the ROM.
    pub rom: u32,
    /// FLASH_DATA and FLASH_DEFL_DATA to the stub.
    pub stub: u32,
    /// MEM_DATA.
    pub ram: u32,
    /// MEM_DATA while the ROM talks over USB OTG (esptool `USB_OTG_BLOCK_SIZE`).
    pub ram_usb_otg: u32,
}

impl FlashWriteSizes {
    /// The sizes every chip of the family uses.
    pub(super) const FAMILY: Self = Self {
        rom: 0x400,
        stub: 0x4000,
        ram: 0x1800,
        ram_usb_otg: 0x800,
    };
}
