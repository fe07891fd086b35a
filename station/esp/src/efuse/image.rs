//! The readable fuses of one chip as words.

use crate::chip::{Chip, MacAddress, Revision};

use super::field::{FieldName, Part, RevisionRule, field};

/// A field that could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EfuseError {
    /// The chip has no such field.
    #[error("`{chip}` has no eFuse field `{field:?}`")]
    NoField {
        /// The chip.
        chip: Chip,
        /// The field asked for.
        field: FieldName,
    },
    /// The value needs more bits than the field has.
    #[error("value `{value:#x}` does not fit eFuse field `{field:?}` of {bits} bits")]
    TooWide {
        /// The field asked for.
        field: FieldName,
        /// The value.
        value: u64,
        /// What the field has.
        bits: u32,
    },
    /// The chip cannot express this revision.
    #[error("`{chip}` cannot have revision {revision}")]
    NoSuchRevision {
        /// The chip.
        chip: Chip,
        /// The revision asked for.
        revision: Revision,
    },
}

impl EfuseError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoField { .. } => "efuse-no-field",
            Self::TooWide { .. } => "efuse-too-wide",
            Self::NoSuchRevision { .. } => "efuse-no-such-revision",
        }
    }
}

/// All readable eFuse words of one chip.
///
/// The same image serves a virtual chip (write fields, answer register reads by address) and the
/// host (store register reads by address, read fields).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EfuseImage {
    chip: Chip,
    blocks: Vec<Vec<u32>>,
}

impl EfuseImage {
    /// Blank fuses of `chip`.
    #[must_use]
    pub fn new(chip: Chip) -> Self {
        let blocks = chip.spec().efuse.blocks;
        Self {
            chip,
            blocks: blocks
                .iter()
                .map(|block| vec![0; block.words.into()])
                .collect(),
        }
    }

    /// The chip these fuses belong to.
    #[must_use]
    pub fn chip(&self) -> Chip {
        self.chip
    }

    /// The words of block `index`; empty when the chip has no such block.
    #[must_use]
    pub fn block(&self, index: u8) -> &[u32] {
        self.blocks
            .get(usize::from(index))
            .map_or(&[], Vec::as_slice)
    }

    /// The words of block `index`, to be changed; empty when the chip has no such block.
    pub fn block_mut(&mut self, index: u8) -> &mut [u32] {
        self.blocks
            .get_mut(usize::from(index))
            .map_or(&mut [], Vec::as_mut_slice)
    }

    /// What a register read at `address` answers, when it is a read register of some block.
    #[must_use]
    pub fn word(&self, address: u32) -> Option<u32> {
        let (block, word) = self.locate(address)?;
        Some(self.blocks[block][word])
    }

    /// Stores what was read at `address`; false when no block has a register there.
    pub fn set_word(&mut self, address: u32, value: u32) -> bool {
        let Some((block, word)) = self.locate(address) else {
            return false;
        };
        self.blocks[block][word] = value;
        true
    }

    /// The value of a field, if the chip has it.
    #[must_use]
    pub fn read(&self, name: FieldName) -> Option<u64> {
        let mut value = 0;
        let mut shift = 0;
        for part in field(self.chip, name)?.parts {
            value |= self.read_part(*part) << shift;
            shift += u32::from(part.width);
        }
        Some(value)
    }

    /// Sets a field to `value`, clearing what was there: this is an image, not a chip.
    ///
    /// # Errors
    /// When the chip has no such field or the value does not fit.
    pub fn write(&mut self, name: FieldName, value: u64) -> Result<(), EfuseError> {
        let chip = self.chip;
        let field = field(chip, name).ok_or(EfuseError::NoField { chip, field: name })?;
        let bits = field.width();
        if bits < 64 && value >> bits != 0 {
            return Err(EfuseError::TooWide {
                field: name,
                value,
                bits,
            });
        }
        let mut rest = value;
        for part in field.parts {
            self.write_part(*part, rest & mask(part.width));
            rest = rest.checked_shr(part.width.into()).unwrap_or(0);
        }
        Ok(())
    }

    /// The factory MAC.
    #[must_use]
    pub fn mac(&self) -> MacAddress {
        let raw = self.read(FieldName::Mac).unwrap_or(0);
        MacAddress::from_words((raw & 0xFFFF_FFFF) as u32, (raw >> 32) as u32)
    }

    /// Sets the factory MAC, and its CRC where the chip has one.
    ///
    /// # Errors
    /// Never for the chips in the tables; they all have a MAC.
    pub fn set_mac(&mut self, mac: MacAddress) -> Result<(), EfuseError> {
        let (low, high) = mac.to_words();
        self.write(FieldName::Mac, u64::from(high) << 32 | u64::from(low))?;
        if field(self.chip, FieldName::MacCrc).is_some() {
            self.write(FieldName::MacCrc, mac_crc(mac).into())?;
        }
        Ok(())
    }

    /// Whether the stored CRC belongs to the MAC; true for chips without one.
    #[must_use]
    pub fn mac_crc_matches(&self) -> bool {
        self.read(FieldName::MacCrc)
            .is_none_or(|stored| stored == u64::from(mac_crc(self.mac())))
    }

    /// The revision. `apb_ctl_date` is the register that [`RevisionRule::ApbCtlDate`] names, and
    /// is ignored for all chips but the ESP32.
    #[must_use]
    pub fn revision(&self, apb_ctl_date: u32) -> Revision {
        let number = |name| u8::try_from(self.read(name).unwrap_or(0)).unwrap_or(u8::MAX);
        let minor = number(FieldName::WaferMinor);
        match self.chip.spec().efuse.revision {
            RevisionRule::Fields => Revision::new(number(FieldName::WaferMajor), minor),
            RevisionRule::FieldsUnlessBlockVersion11 => {
                let first = minor & 7 == 0
                    && number(FieldName::BlockMajor) == 1
                    && number(FieldName::BlockMinor) == 1;
                if first {
                    Revision::new(0, 0)
                } else {
                    Revision::new(number(FieldName::WaferMajor), minor)
                }
            }
            RevisionRule::ApbCtlDate(_) => {
                let coded = number(FieldName::ChipVersionRev1)
                    | number(FieldName::ChipVersionRev2) << 1
                    | ((apb_ctl_date >> 31) as u8) << 2;
                let major = match coded {
                    1 => 1,
                    3 => 2,
                    7 => 3,
                    _ => 0,
                };
                Revision::new(major, minor)
            }
        }
    }

    /// Sets the revision, and returns what the register of [`RevisionRule::ApbCtlDate`] must
    /// read: 0 for all chips but the ESP32.
    ///
    /// # Errors
    /// When the chip's fields cannot express `revision`.
    pub fn set_revision(&mut self, revision: Revision) -> Result<u32, EfuseError> {
        let chip = self.chip;
        let refuse = |_| EfuseError::NoSuchRevision { chip, revision };
        let mut changed = self.clone();
        changed
            .write(FieldName::WaferMinor, revision.minor.into())
            .map_err(refuse)?;
        let mut apb_ctl_date = 0;
        match chip.spec().efuse.revision {
            RevisionRule::ApbCtlDate(_) => {
                if revision.major > 3 {
                    return Err(EfuseError::NoSuchRevision { chip, revision });
                }
                changed.write(FieldName::ChipVersionRev1, u64::from(revision.major >= 1))?;
                changed.write(FieldName::ChipVersionRev2, u64::from(revision.major >= 2))?;
                apb_ctl_date = u32::from(revision.major >= 3) << 31;
            }
            RevisionRule::Fields | RevisionRule::FieldsUnlessBlockVersion11 => {
                changed
                    .write(FieldName::WaferMajor, revision.major.into())
                    .map_err(refuse)?;
            }
        }
        if changed.revision(apb_ctl_date) != revision {
            return Err(EfuseError::NoSuchRevision { chip, revision });
        }
        *self = changed;
        Ok(apb_ctl_date)
    }

    fn locate(&self, address: u32) -> Option<(usize, usize)> {
        let blocks = self.chip.spec().efuse.blocks;
        blocks
            .iter()
            .enumerate()
            .find_map(|(index, block)| Some((index, usize::from(block.word_at(address)?))))
    }

    fn read_part(&self, part: Part) -> u64 {
        let words = self.block(part.block);
        let (first, shift) = (usize::from(part.bit / 32), u32::from(part.bit % 32));
        let at = |index: usize| u128::from(words.get(index).copied().unwrap_or(0));
        let window = at(first) | at(first + 1) << 32 | at(first + 2) << 64;
        ((window >> shift) as u64) & mask(part.width)
    }

    fn write_part(&mut self, part: Part, value: u64) {
        for bit in 0..u16::from(part.width) {
            let place = part.bit + bit;
            let words = self.block_mut(part.block);
            if let Some(word) = words.get_mut(usize::from(place / 32)) {
                let set = (value >> bit & 1) as u32;
                *word = *word & !(1 << (place % 32)) | set << (place % 32);
            }
        }
    }
}

fn mask(width: u8) -> u64 {
    if width >= 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    }
}

/// CRC-8, polynomial 0x31 reflected, start 0, as the ESP32's factory writes it.
fn mac_crc(mac: MacAddress) -> u8 {
    mac.bytes().into_iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0x8C
            } else {
                crc >> 1
            }
        })
    })
}

/// The addresses a host must read to know MAC, revision, features and protection of a chip,
/// ascending and without repetition. Readable without harm outside secure download mode.
#[must_use]
pub fn identity_addresses(chip: Chip) -> Vec<u32> {
    let spec = &chip.spec().efuse;
    let mut addresses: Vec<u32> = spec
        .fields
        .iter()
        .flat_map(|field| field.parts)
        .filter_map(|part| {
            let block = spec.blocks.iter().find(|block| block.index == part.block)?;
            let first = part.bit / 32;
            let last = (part.bit + u16::from(part.width) - 1) / 32;
            Some((first..=last).filter_map(|word| block.word_address(u8::try_from(word).ok()?)))
        })
        .flatten()
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: MacAddress = MacAddress([0x7C, 0xDF, 0xA1, 0x01, 0x02, 0x03]);

    #[test]
    fn the_mac_of_an_esp32_lies_in_words_one_and_two_with_its_crc() {
        let mut fuses = EfuseImage::new(Chip::Esp32);
        fuses
            .set_mac(MacAddress([0x24, 0x0A, 0xC4, 0x01, 0x02, 0x03]))
            .unwrap();
        assert_eq!(fuses.word(0x3FF5_A004), Some(0xC401_0203));
        assert_eq!(
            fuses.word(0x3FF5_A008).map(|word| word & 0xFFFF),
            Some(0x240A)
        );
        assert!(fuses.mac_crc_matches());
        fuses.block_mut(0)[1] ^= 1;
        assert!(!fuses.mac_crc_matches());
    }

    #[test]
    fn the_mac_crc_is_the_usual_one_wire_crc() {
        // Maxim application note 27 gives CRC A2 for the ROM code 02 1C B8 01 00 00 00; a family
        // code in front of six bytes is one too long here, so the rule is taken at its two ends:
        // a zero message has CRC 0, and a message followed by its own CRC has CRC 0.
        assert_eq!(mac_crc(MacAddress([0; 6])), 0);
        let crc = mac_crc(MacAddress([0, 0x02, 0x1C, 0xB8, 0x01, 0]));
        assert_eq!(mac_crc(MacAddress([0x02, 0x1C, 0xB8, 0x01, 0, crc])), 0);
    }

    #[test]
    fn mac_and_revision_come_back_from_every_chip() {
        for chip in Chip::ALL {
            let mut fuses = EfuseImage::new(chip);
            fuses.set_mac(MAC).unwrap();
            for major in 0..3 {
                for minor in 0..3 {
                    let revision = Revision::new(major, minor);
                    let date = fuses.set_revision(revision).unwrap();
                    assert_eq!(fuses.revision(date), revision, "{chip}");
                }
            }
            assert_eq!(fuses.mac(), MAC, "{chip}");
            let [low, high] = chip.spec().efuse.mac;
            let read = MacAddress::from_words(fuses.word(low).unwrap(), fuses.word(high).unwrap());
            assert_eq!(read, MAC, "{chip}: the addresses and the field must agree");
        }
    }

    #[test]
    fn a_host_that_reads_the_identity_words_sees_every_field() {
        for chip in Chip::ALL {
            let mut there = EfuseImage::new(chip);
            let mut wanted = Vec::new();
            for (index, field) in chip.spec().efuse.fields.iter().enumerate() {
                let value = (index as u64 * 0x9E37_79B9 + 1) & mask(field.width() as u8);
                there.write(field.name, value).unwrap();
                wanted.push((field.name, value));
            }
            let mut here = EfuseImage::new(chip);
            for address in identity_addresses(chip) {
                assert!(here.set_word(address, there.word(address).unwrap()));
            }
            for (name, value) in wanted {
                assert_eq!(here.read(name), Some(value), "{chip} {name:?}");
            }
        }
    }

    #[test]
    fn an_s3_with_block_version_one_one_is_revision_zero() {
        let mut fuses = EfuseImage::new(Chip::Esp32S3);
        fuses.write(FieldName::WaferMajor, 1).unwrap();
        fuses.write(FieldName::BlockMajor, 1).unwrap();
        fuses.write(FieldName::BlockMinor, 1).unwrap();
        assert_eq!(fuses.revision(0), Revision::new(0, 0));
        fuses.write(FieldName::BlockMinor, 2).unwrap();
        assert_eq!(fuses.revision(0), Revision::new(1, 0));
    }

    #[test]
    fn an_esp32_of_major_three_needs_the_date_register() {
        let mut fuses = EfuseImage::new(Chip::Esp32);
        let date = fuses.set_revision(Revision::new(3, 1)).unwrap();
        assert_eq!(date, 0x8000_0000);
        assert_eq!(fuses.revision(date), Revision::new(3, 1));
        assert_eq!(fuses.revision(0).major, 2);
        assert!(fuses.set_revision(Revision::new(4, 0)).is_err());
    }

    #[test]
    fn a_value_that_does_not_fit_changes_nothing() {
        let mut fuses = EfuseImage::new(Chip::Esp32C3);
        let before = fuses.clone();
        assert!(fuses.write(FieldName::WaferMajor, 4).is_err());
        assert!(fuses.write(FieldName::AdcVref, 1).is_err());
        assert!(fuses.set_revision(Revision::new(9, 0)).is_err());
        assert_eq!(fuses, before);
    }

    #[test]
    fn addresses_beside_the_blocks_belong_to_no_block() {
        let mut fuses = EfuseImage::new(Chip::Esp32C3);
        assert_eq!(fuses.word(0x6000_882B), None);
        assert_eq!(fuses.word(0x6000_882D), None);
        assert!(!fuses.set_word(0x6000_8800, 1));
    }

    proptest! {
        #[test]
        fn writing_one_field_leaves_all_others_alone(
            chip in prop::sample::select(Chip::ALL.to_vec()),
            choice in any::<prop::sample::Index>(),
            words in prop::collection::vec(any::<u32>(), 96),
            value in any::<u64>(),
        ) {
            let fields = chip.spec().efuse.fields;
            let target = fields[choice.index(fields.len())];
            let mut fuses = EfuseImage::new(chip);
            let mut source = words.into_iter().cycle();
            for index in 0..chip.spec().efuse.blocks.len() {
                let block = fuses.block_mut(u8::try_from(index).unwrap());
                block.iter_mut().for_each(|word| *word = source.next().unwrap());
            }
            let before = fuses.clone();
            let value = value & mask(target.width() as u8);
            fuses.write(target.name, value).unwrap();
            prop_assert_eq!(fuses.read(target.name), Some(value));
            for field in fields {
                if field.name != target.name {
                    prop_assert_eq!(fuses.read(field.name), before.read(field.name));
                }
            }
        }
    }
}
