//! The eFuse controller of a virtual chip: fuses that read, and registers around them.
//!
//! Invariants: fuses are read through the addresses of the chip's table; a command finishes at
//! once, so that the command register always reads idle; nothing written to the controller
//! changes a fuse (burning is not modelled yet).

use std::collections::BTreeMap;

use station_esp::chip::SecurityInfoShape;
use station_esp::efuse::{EfuseImage, FieldName, RevisionRule};
use station_esp::{Chip, MacAddress, Revision};

/// Bytes of the controller's register window.
const WINDOW: u32 = 0x200;

/// The fuses and the controller of one chip.
#[derive(Clone, Debug)]
pub struct EfuseArray {
    image: EfuseImage,
    date: Option<(u32, u32)>,
    base: u32,
    command: u32,
    registers: BTreeMap<u32, u32>,
}

impl EfuseArray {
    /// Fuses as the chip factory leaves them: MAC, revision, calibration.
    ///
    /// A revision that the chip cannot have is burned as 0.0; the same `unit` always gets the
    /// same calibration.
    #[must_use]
    pub fn factory(chip: Chip, mac: MacAddress, revision: Revision, unit: u64) -> Self {
        let spec = &chip.spec().efuse;
        let mut image = EfuseImage::new(chip);
        // Every chip of the tables has a MAC field.
        let _ = image.set_mac(mac);
        let date = image.set_revision(revision).unwrap_or(0);
        let date = match spec.revision {
            RevisionRule::ApbCtlDate(address) => Some((address, date)),
            RevisionRule::Fields | RevisionRule::FieldsUnlessBlockVersion11 => None,
        };
        calibrate(&mut image, chip, unit);
        Self {
            image,
            date,
            base: spec.base,
            command: spec.base + command_offset(chip),
            registers: BTreeMap::new(),
        }
    }

    /// The readable fuses.
    #[must_use]
    pub fn image(&self) -> &EfuseImage {
        &self.image
    }

    /// The readable fuses, to be changed as if another station had burned them.
    pub fn image_mut(&mut self) -> &mut EfuseImage {
        &mut self.image
    }

    /// A field that is a single bit, or 0 where the chip has none.
    #[must_use]
    pub fn flag(&self, name: FieldName) -> bool {
        self.image.read(name).is_some_and(|value| value != 0)
    }

    /// What the register at `address` answers, when it belongs to the controller.
    #[must_use]
    pub fn read(&self, address: u32) -> Option<u32> {
        if let Some((at, value)) = self.date
            && at == address
        {
            return Some(value);
        }
        if let Some(word) = self.image.word(address) {
            return Some(word);
        }
        let offset = address.checked_sub(self.base)?;
        if offset >= WINDOW {
            return None;
        }
        let value = if address == self.command {
            0
        } else {
            *self.registers.get(&address)?
        };
        Some(value)
    }

    /// Writes a register of the controller; false when `address` is none of them.
    pub fn write(&mut self, address: u32, value: u32) -> bool {
        if self.date.is_some_and(|(at, _)| at == address) || self.image.word(address).is_some() {
            return true;
        }
        if address
            .checked_sub(self.base)
            .is_none_or(|offset| offset >= WINDOW)
        {
            return false;
        }
        // The window bounds the number of words.
        self.registers.insert(address & !3, value);
        true
    }

    /// What a reset leaves: fuses stay, registers do not.
    pub fn reset(&mut self) {
        self.registers.clear();
    }

    /// The words of all readable blocks, block by block, for a state file.
    #[must_use]
    pub fn words(&self) -> Vec<u32> {
        let count = self.image.chip().spec().efuse.blocks.len();
        (0..count)
            .filter_map(|index| u8::try_from(index).ok())
            .flat_map(|index| self.image.block(index).iter().copied())
            .collect()
    }

    /// Puts back what [`EfuseArray::words`] gave; missing words stay as they are.
    pub fn set_words(&mut self, words: &[u32]) {
        let mut words = words.iter().copied();
        for index in 0..self.image.chip().spec().efuse.blocks.len() {
            let Ok(index) = u8::try_from(index) else {
                return;
            };
            for (word, value) in self.image.block_mut(index).iter_mut().zip(&mut words) {
                *word = value;
            }
        }
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
            flags | u32::from(self.flag(name)) << bit
        })
    }

    /// The purposes of the key blocks as GET_SECURITY_INFO lists them, six and a zero.
    #[must_use]
    pub fn key_purposes(&self) -> [u8; 7] {
        let mut purposes = [0; 7];
        for (slot, name) in purposes.iter_mut().zip(FieldName::KEY_PURPOSES) {
            *slot = u8::try_from(self.image.read(name).unwrap_or(0)).unwrap_or(0);
        }
        purposes
    }
}

/// Where the command register lies (technical reference manuals, eFuse controller chapter).
const fn command_offset(chip: Chip) -> u32 {
    match chip {
        Chip::Esp32 => 0x104,
        Chip::Esp32C2 => 0x094,
        Chip::Esp32S2
        | Chip::Esp32S3
        | Chip::Esp32C3
        | Chip::Esp32C6
        | Chip::Esp32C61
        | Chip::Esp32H2
        | Chip::Esp32P4 => 0x1D4,
        Chip::Esp32C5 | Chip::Esp32H4 | Chip::Esp32S31 => 0x1D8,
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

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddress = MacAddress([0x7C, 0xDF, 0xA1, 1, 2, 3]);

    #[test]
    fn the_factory_mac_reads_back_at_the_addresses_hosts_use() {
        for chip in Chip::ALL {
            let fuses = EfuseArray::factory(chip, MAC, Revision::new(0, 1), 5);
            let [low, high] = chip.spec().efuse.mac;
            let words = (fuses.read(low).unwrap(), fuses.read(high).unwrap());
            assert_eq!(MacAddress::from_words(words.0, words.1), MAC, "{chip}");
        }
    }

    #[test]
    fn the_command_register_always_reads_idle() {
        for chip in Chip::ALL {
            let mut fuses = EfuseArray::factory(chip, MAC, Revision::new(0, 1), 5);
            let before = fuses.words();
            let command = fuses.command;
            assert!(fuses.write(command, 2));
            assert_eq!(fuses.read(command), Some(0));
            assert_eq!(fuses.words(), before);
        }
    }

    #[test]
    fn words_travel_through_a_state_file() {
        let mut fuses = EfuseArray::factory(Chip::Esp32C3, MAC, Revision::new(0, 4), 5);
        fuses
            .image_mut()
            .write(FieldName::SecureDownload, 1)
            .unwrap();
        let mut other = EfuseArray::factory(Chip::Esp32C3, MAC, Revision::new(0, 0), 6);
        other.set_words(&fuses.words());
        assert_eq!(other.words(), fuses.words());
        assert_eq!(other.security_flags(), 4);
    }
}
