//! The eFuse controller of a virtual chip: fuses that burn once, and the registers around them.
//!
//! Invariants: fuses only ever gain bits, save through [`EfuseArray::edit`] and the state file;
//! what a chip does depends on what was read last, what its crypto uses on the fuses themselves;
//! formatting shows numbers of bits, never a bit.

use std::fmt;

use station_esp::chip::SecurityInfoShape;
use station_esp::efuse::map::{FuseBlock, FuseMap, fuse_map};
use station_esp::efuse::{EfuseImage, FieldName, RevisionRule};
use station_esp::{Chip, MacAddress, Revision};

mod cells;
mod controller;
mod reed_solomon;
mod three_quarters;

#[cfg(test)]
mod tests;

use crate::fault::{FuseFaults, PowerLoss, PulseMoment};
use crate::wire::Nanos;

pub use controller::Burn;
pub(crate) use controller::Wrote;

/// The fuses and the controller of one chip.
#[derive(Clone)]
pub struct EfuseArray {
    registers: controller::Registers,
    /// A register outside the controller that tells part of the revision, and what it reads.
    date: Option<(u32, u32)>,
}

impl fmt::Debug for EfuseArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EfuseArray").field(&self.registers).finish()
    }
}

/// What fuses are made of.
#[derive(Clone, Debug)]
pub(crate) struct FuseMake {
    pub(crate) chip: Chip,
    pub(crate) revision: Revision,
    pub(crate) mac: MacAddress,
    pub(crate) crystal_mhz: u8,
    /// Whether pulses take time.
    pub(crate) timed: bool,
    pub(crate) faults: FuseFaults,
    pub(crate) unit: u64,
    pub(crate) seed: u64,
}

impl EfuseArray {
    /// Fuses as the chip factory leaves them: MAC, revision, calibration, without faults.
    ///
    /// A revision that the chip cannot have is burned as 0.0; the same `unit` always gets the
    /// same calibration.
    #[must_use]
    pub fn factory(chip: Chip, mac: MacAddress, revision: Revision, unit: u64) -> Self {
        Self::make(FuseMake {
            chip,
            revision,
            mac,
            crystal_mhz: super::chip::ordinary_crystal(chip),
            timed: false,
            faults: FuseFaults::default(),
            unit,
            seed: unit,
        })
    }

    pub(crate) fn make(make: FuseMake) -> Self {
        let chip = make.chip;
        let map = fuse_map(chip, make.revision);
        let repeat_errors = make.faults.repeat_errors.clone();
        let busy_us = make.faults.busy_us;
        let cells = cells::Cells::blank(map, make.faults, make.seed);
        let registers = controller::Registers::new(map, cells, make.crystal_mhz);
        let mut array = Self {
            registers,
            date: None,
        };
        array.registers.set_times(make.timed, busy_us);
        array.registers.set_repeat_errors(repeat_errors);
        let mut date = 0;
        array.edit(|image| {
            // Every chip of the tables has a MAC field.
            let _ = image.set_mac(make.mac);
            date = image.set_revision(make.revision).unwrap_or(0);
            calibrate(image, chip, make.unit);
        });
        array.date = match chip.spec().efuse.revision {
            RevisionRule::ApbCtlDate(address) => Some((address, date)),
            RevisionRule::Fields | RevisionRule::FieldsUnlessBlockVersion11 => None,
        };
        array
    }

    /// Where everything is on this chip.
    #[must_use]
    pub fn map(&self) -> &'static FuseMap {
        self.registers.map
    }

    /// What the read registers hold.
    #[must_use]
    pub fn image(&self) -> &EfuseImage {
        &self.registers.loaded
    }

    /// Changes fuses behind the chip's back, as another station or a factory might have burned
    /// them, with check words that fit; `change` sees them whether they are hidden or not.
    pub fn edit(&mut self, change: impl FnOnce(&mut EfuseImage)) {
        let mut image = EfuseImage::new(self.map().chip);
        let blocks = self.map().blocks;
        for block in blocks {
            let data = self.data(block.number);
            for (place, word) in image.block_mut(block.number).iter_mut().zip(data) {
                *place = word;
            }
        }
        let before = image.clone();
        change(&mut image);
        for block in blocks {
            let data = image.block(block.number);
            if data != before.block(block.number) {
                self.registers.cells.store(block.number, data);
            }
        }
        self.registers.load();
    }

    /// Burns fuses as software on the chip does, in one pulse, which the supply may fail in as it
    /// may in a host's. The log is of what hosts burn.
    pub(crate) fn burn_own(&mut self, change: impl FnOnce(&mut EfuseImage)) -> Wrote {
        let before = self.registers.cells.words().clone();
        let moment = self.registers.count_pulse();
        if moment != Some(PulseMoment::Before) {
            self.edit(change);
        }
        if moment == Some(PulseMoment::Partly) {
            self.registers.cells.cut_short(&before);
            self.registers.load();
        }
        match moment {
            Some(_) => Wrote::SupplyFails,
            None => Wrote::Done,
        }
    }

    /// A field that is a single bit, or false where the chip has none, as it was read last.
    #[must_use]
    pub fn flag(&self, name: FieldName) -> bool {
        self.image().read(name).is_some_and(|value| value != 0)
    }

    /// What the hardware makes of a block's fuses, whether software may see it or not.
    #[must_use]
    pub fn data(&self, block: u8) -> Vec<u32> {
        self.registers.cells.sense(block).data
    }

    /// The fuses of a block as they are, check words last; empty when there is no such block.
    #[must_use]
    pub fn bits(&self, block: u8) -> &[u32] {
        self.registers.cells.block(block)
    }

    /// The value of a field as the hardware sees it, whether software may or not; 0 when the chip
    /// has none of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> u64 {
        self.registers.cells.field(name)
    }

    /// The key slots whose purpose has this name, lowest first.
    pub fn slots(&self, purpose: &str) -> impl Iterator<Item = &'static FuseBlock> {
        let code = self.map().purpose(purpose).map(|own| u64::from(own.code));
        self.map().blocks.iter().filter(move |block| {
            let field = block.purpose.filter(|_| block.key_slot);
            field.is_some_and(|field| code == Some(self.field(field)))
        })
    }

    /// Blocks whose code words are wrong, with the number of corrected bytes; none of them when it
    /// cannot be corrected.
    #[must_use]
    pub fn coding_errors(&self) -> Vec<(u8, Option<u8>)> {
        let blocks = self.map().blocks.iter().map(|block| block.number);
        blocks
            .filter_map(|number| {
                let sensed = self.registers.cells.sense(number);
                let wrong = sensed.failed || sensed.corrected > 0 || sensed.groups > 0;
                wrong.then_some((number, (!sensed.failed).then_some(sensed.corrected)))
            })
            .collect()
    }

    /// Every register that shows fuses or errors, with what it holds: all that a host can find out.
    #[must_use]
    pub fn shown(&self) -> Vec<(u32, u32)> {
        self.registers.shown()
    }

    /// The pulses since the chip was made, oldest first, a line for each block.
    #[must_use]
    pub fn burn_log(&self) -> &[Burn] {
        &self.registers.log
    }

    /// Number of programming commands since the chip was made, those that burned nothing included.
    #[must_use]
    pub fn pulses(&self) -> u64 {
        self.registers.pulses
    }

    /// What the register at `address` answers at `now`, when it belongs to the controller.
    pub(crate) fn read(&self, address: u32, now: Nanos) -> Option<u32> {
        if let Some((at, value)) = self.date
            && at == address
        {
            return Some(value);
        }
        self.registers.read(address, now)
    }

    /// Writes a register of the controller at `now`.
    pub(crate) fn write(&mut self, address: u32, value: u32, now: Nanos) -> Wrote {
        if self.date.is_some_and(|(at, _)| at == address) {
            return Wrote::Done;
        }
        self.registers.write(address, value, now)
    }

    /// Makes the supply fail as `loss` says, if it names a pulse.
    pub(crate) fn arm(&mut self, loss: Option<&PowerLoss>) {
        self.registers.cut = loss.and_then(|loss| {
            Some(controller::Cut {
                pulse: loss.at_pulse?,
                moment: loss.pulse,
            })
        });
    }

    /// What a reset at `now` leaves: a pulse under way is cut short, fuses stay and are read again,
    /// registers do not.
    pub(crate) fn reset(&mut self, now: Nanos) {
        self.registers.interrupt(now);
        self.registers.reset();
    }

    /// Every bit of every block, check words included, for a state file.
    #[must_use]
    pub fn words(&self) -> Vec<u32> {
        self.registers
            .cells
            .words()
            .iter()
            .flatten()
            .copied()
            .collect()
    }

    /// Puts back what [`EfuseArray::words`] gave, or the words of the readable blocks alone, as
    /// older state files have them; false when it is neither, and nothing changes then.
    pub fn set_words(&mut self, words: &[u32]) -> bool {
        let blocks = self.map().blocks;
        let readable: usize = blocks.iter().map(|block| usize::from(block.words)).sum();
        if words.len() == self.words().len() {
            self.registers.cells.put(words.iter().copied());
        } else if words.len() == readable {
            let mut words = words.iter().copied();
            for block in blocks {
                let data: Vec<u32> = words.by_ref().take(block.words.into()).collect();
                self.registers.cells.store(block.number, &data);
            }
        } else {
            return false;
        }
        self.registers.load();
        true
    }

    /// The flags word of GET_SECURITY_INFO (esptool's `SECURITY_INFO_FLAG_MAP`).
    #[must_use]
    pub fn security_flags(&self) -> u32 {
        let bits = [
            FieldName::SecureBoot,
            FieldName::AggressiveRevoke,
            FieldName::SecureDownload,
            FieldName::KeyRevoke0,
            FieldName::KeyRevoke1,
            FieldName::KeyRevoke2,
            FieldName::SoftDisableJtag,
            FieldName::DisablePadJtag,
            FieldName::DisableUsbSerialJtag,
            FieldName::DisableDownloadDcache,
            FieldName::DisableDownloadIcache,
        ];
        (0u32..).zip(bits).fold(0, |flags, (bit, name)| {
            // SOFT_DIS_JTAG counts: an odd number of set bits disables.
            let value = self.image().read(name).unwrap_or(0);
            let set = if name == FieldName::SoftDisableJtag {
                value.count_ones() % 2 == 1
            } else {
                value != 0
            };
            flags | u32::from(set) << bit
        })
    }

    /// The purposes of the key blocks as GET_SECURITY_INFO lists them, six and a zero.
    #[must_use]
    pub fn key_purposes(&self) -> [u8; 7] {
        let mut purposes = [0; 7];
        for (slot, name) in purposes.iter_mut().zip(FieldName::KEY_PURPOSES) {
            *slot = u8::try_from(self.image().read(name).unwrap_or(0)).unwrap_or(0);
        }
        purposes
    }
}

/// Values that differ from chip to chip, near what factories burn.
fn calibrate(image: &mut EfuseImage, chip: Chip, unit: u64) {
    // Fibonacci hashing spreads neighbours over the range.
    let spread = unit.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let mut values = vec![(FieldName::TemperatureCalibration, spread & 0x3F)];
    if chip == Chip::Esp32 {
        values.push((FieldName::AdcVref, spread & 0x0F));
        values.push((FieldName::CpuClockRated, 1));
        values.push((FieldName::Package, 1));
        // CK8M_FREQ, bits 0-7 of word 4: the ROM reckons its crystal from it and from the calibration
        // register, and esptool scales the baud it asks the ROM for by the same sum.
        image.block_mut(0)[4] |= 100;
    }
    if chip.spec().security_info == SecurityInfoShape::WithId && chip != Chip::Esp32S3 {
        values.push((FieldName::BlockMinor, 1));
    }
    for (name, value) in values {
        // A chip without the field stays without the value.
        let _ = image.write(name, value);
    }
}
