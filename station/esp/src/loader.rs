//! Flasher stubs and second-stage bootloaders, as the espflash package carries them.
//!
//! Invariants: the blobs are taken from the dependency when the crate is built and are not changed;
//! every chip has a stub and a bootloader. Stubs are esp-flasher-stub 1.4.1, bootloaders are
//! ESP-IDF's; both MIT or Apache-2.0.

use crate::chip::{Chip, Revision};

include!(concat!(env!("OUT_DIR"), "/blobs.rs"));

/// A program that takes over from the ROM loader, to be uploaded to RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StubImage {
    /// Where it starts.
    pub entry: u32,
    /// Its code.
    pub text: &'static [u8],
    /// Where the code goes.
    pub text_start: u32,
    /// Its initialised data.
    pub data: &'static [u8],
    /// Where the data go.
    pub data_start: u32,
    /// Where its zeroed memory begins, which it clears itself.
    pub bss_start: Option<u32>,
}

impl StubImage {
    /// The parts to upload, in order: address and bytes.
    pub fn segments(&self) -> impl Iterator<Item = (u32, &'static [u8])> {
        [(self.text_start, self.text), (self.data_start, self.data)]
            .into_iter()
            .filter(|(_, bytes)| !bytes.is_empty())
    }
}

/// The stub for a chip of this revision.
///
/// The ESP32-P4 before revision 3.0 has its RAM elsewhere and gets a stub of its own.
#[must_use]
pub fn stub(chip: Chip, revision: Revision) -> Option<&'static StubImage> {
    let early_p4 = chip == Chip::Esp32P4 && revision < Revision::new(3, 0);
    let name = if early_p4 { "esp32p4rc1" } else { chip.name() };
    STUBS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, stub)| stub)
}

/// The chips and the stubs that exist for them.
pub fn stubs() -> impl Iterator<Item = (Chip, &'static StubImage)> {
    STUBS.iter().filter_map(|(name, stub)| {
        let name = name.strip_suffix("rc1").unwrap_or(name);
        name.parse().ok().map(|chip| (chip, stub))
    })
}

/// The bootloader for a chip with this crystal, for the newest silicon; `None` for a crystal that
/// the chip does not work with. It reads flash in dual mode and sits at
/// [`crate::ChipSpec::bootloader_offset`].
#[must_use]
pub fn bootloader(chip: Chip, crystal_mhz: u8) -> Option<&'static [u8]> {
    bootloader_for(chip, crystal_mhz, Revision::new(u8::MAX, 99))
}

/// The bootloader for a chip with this crystal and revision.
///
/// ESP32-P4 before 3.0 and ESP32-H4 before 0.2 have bootloaders of their own.
#[must_use]
pub fn bootloader_for(chip: Chip, crystal_mhz: u8, revision: Revision) -> Option<&'static [u8]> {
    let name = match (chip, crystal_mhz) {
        (Chip::Esp32, 26) => "esp32_26",
        (Chip::Esp32C2, 26) => "esp32c2_26",
        (Chip::Esp32C5, 48) => "esp32c5",
        (Chip::Esp32H4, 32) if revision < Revision::new(0, 2) => "esp32h4-v0.0",
        (Chip::Esp32H4, 32) => "esp32h4-v0.2",
        (Chip::Esp32P4, 40) if revision < Revision::new(3, 0) => "esp32p4-v0",
        (Chip::Esp32P4, 40) => "esp32p4-v3",
        (Chip::Esp32H2, 32) => "esp32h2",
        (Chip::Esp32H2 | Chip::Esp32H4, _) => return None,
        (chip, 40) => chip.name(),
        _ => return None,
    };
    BOOTLOADERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bytes)| *bytes)
}
