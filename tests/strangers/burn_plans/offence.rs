//! Wishes that break one rule each, on chips prepared for it.

use std::path::Path;

use station_esp::Chip;
use station_esp::efuse::plan::{BitWish, BlockWish, FieldValue, FieldWish, FlashVoltage, Snapshot};
use station_esp::secret::Secret;

use super::case::{Case, three_quarters};
use super::chance::Chance;
use super::curve;

/// Rules that espefuse has, too.
pub(super) const SHARED: [&str; 27] = [
    "bits-cannot-clear",
    "bits-outside",
    "block-hidden",
    "block-occupied",
    "block-protected",
    "block-unknown",
    "bytes-outside",
    "cannot-protect",
    "chunk-occupied",
    "custom-mac-group",
    "factory-mac",
    "field-protected",
    "field-unknown",
    "key-length",
    "must-stay-readable",
    "purpose-protected",
    "purpose-unknown",
    "scheme-unfit",
    "scheme-unsupported",
    "slot-none-free",
    "slot-taken",
    "slot-twice",
    "slot-unfit",
    "usb-rom-fault",
    "value-too-wide",
    "voltage-taken",
    "voltage-unsupported",
];

/// Rules of those that few chips have: they are never left out.
pub(super) const RARE: [&str; 6] = [
    "chunk-occupied",
    "scheme-unfit",
    "slot-none-free",
    "usb-rom-fault",
    "voltage-taken",
    "voltage-unsupported",
];

/// A chip, a wish, and a folder for what the wish takes from files.
pub(super) struct Offence<'a> {
    pub(super) snapshot: Snapshot,
    pub(super) case: Case,
    folder: &'a Path,
    chance: Chance,
}

impl<'a> Offence<'a> {
    /// The wish that breaks this rule; `None` where this chip has nothing to break it with.
    pub(super) fn against(code: &str, blank: &Snapshot, folder: &'a Path) -> Option<Self> {
        let mut one = Self {
            snapshot: blank.clone(),
            case: Case::new(),
            folder,
            chance: Chance(77),
        };
        let made = one.values(code) || one.blocks(code) || one.keys(code) || one.others(code);
        made.then_some(one)
    }

    fn chip(&self) -> Chip {
        self.snapshot.chip
    }

    /// A field of block 0 of a few bits that changes nothing else.
    fn small(&self) -> &'static str {
        if self.chip() == Chip::Esp32 {
            "FLASH_CRYPT_CONFIG"
        } else if matches!(self.chip(), Chip::Esp32H4 | Chip::Esp32S31) {
            "UART_PRINT_CONTROL"
        } else {
            "WDT_DELAY_SEL"
        }
    }

    /// A block for data of one's own.
    fn data_block(&self) -> &'static str {
        if self.chip() == Chip::Esp32C2 {
            "BLOCK1"
        } else {
            "BLOCK3"
        }
    }

    fn set(&mut self, field: &str, value: u64) {
        let field = self.snapshot.map().field(field).unwrap();
        self.snapshot.fuses.set_number(field, value).unwrap();
    }

    fn guard(&mut self, name: &str, index: u8) {
        let part = self.snapshot.map().field(name).unwrap().parts[0];
        let bit = part.bit + u16::from(index);
        assert!(self.snapshot.fuses.set_bit(part.block, bit, true));
    }

    fn close_field(&mut self, field: &str) {
        let field = self.snapshot.map().field(field).unwrap();
        self.guard("WR_DIS", field.write_disable.unwrap());
    }

    fn close_block(&mut self, block: &str) {
        let block = self.snapshot.map().block_named(block).unwrap();
        self.guard("WR_DIS", block.write_disable.unwrap());
    }

    fn hide_block(&mut self, block: &str) {
        let block = self.snapshot.map().block_named(block).unwrap();
        let bits: Vec<u8> = block.read_disable.bits().collect();
        bits.into_iter().for_each(|bit| self.guard("RD_DIS", bit));
    }

    fn fill(&mut self, block: &str) {
        let number = self.snapshot.map().block_named(block).unwrap().number;
        self.snapshot.fuses.block_mut(number)[0] = 0x1234_5678;
    }

    fn field(&mut self, field: &str, value: u64) {
        self.case.say(&["burn-efuse", field, &value.to_string()]);
        self.case.wish.fields.push(FieldWish {
            field: field.to_owned(),
            value: FieldValue::Number(value),
        });
    }

    fn bit(&mut self, block: &str, bit: u16) {
        self.case.say(&["burn-bit", block, &bit.to_string()]);
        self.case.wish.bits.push(BitWish {
            block: block.to_owned(),
            bits: vec![bit],
        });
    }

    fn block(&mut self, block: &str, length: usize) {
        let bytes = self.chance.bytes(length);
        let file = self.case.file(self.folder, &bytes);
        self.case.say(&["burn-block-data", block, &file]);
        self.case.wish.blocks.push(BlockWish {
            block: block.to_owned(),
            offset: 0,
            bytes: Secret::new(bytes),
        });
    }

    fn size(&self, block: &str) -> usize {
        let block = self.snapshot.map().block_named(block).unwrap();
        if three_quarters(&self.snapshot) {
            24
        } else {
            usize::from(block.words) * 4
        }
    }

    fn key(&mut self, slot: &str, purpose: &str, length: usize) {
        let mut key = self.chance.bytes(length);
        key[0] = key[0] & 0x7F | 0x40;
        let pem = purpose
            .starts_with("ECDSA")
            .then(|| curve::private_key(&key));
        let content = pem.as_ref().map_or(&key[..], |text| text.as_bytes());
        let file = self.case.file(self.folder, content);
        if self.chip() == Chip::Esp32 {
            self.case.say(&["burn-key", purpose, &file]);
        } else {
            self.case.say(&["burn-key", slot, &file, purpose]);
        }
        self.case.want(slot, purpose, key, [None, None]);
    }

    /// The key block, a purpose for it, and the length of its key.
    fn ordinary_key(&self) -> (&'static str, &'static str) {
        if self.chip() == Chip::Esp32 {
            ("BLOCK1", "flash_encryption")
        } else {
            ("BLOCK_KEY0", "XTS_AES_128_KEY")
        }
    }

    fn has_purposes(&self) -> bool {
        !self.snapshot.map().purposes.is_empty()
    }

    fn values(&mut self, code: &str) -> bool {
        let small = self.small();
        match code {
            "value-too-wide" => {
                let field = self.snapshot.map().field(small).unwrap();
                self.field(small, 1 << field.width());
            }
            "bits-cannot-clear" => {
                self.set(small, 2);
                self.field(small, 1);
            }
            "field-protected" => {
                self.close_field(small);
                self.field(small, 1);
            }
            "field-unknown" => self.field("NO_SUCH_FIELD", 1),
            "factory-mac" => {
                let mac = [0x02, 1, 2, 3, 4, 5];
                self.case.say(&["burn-efuse", "MAC", "02:01:02:03:04:05"]);
                self.case.wish.fields.push(FieldWish {
                    field: "MAC".to_owned(),
                    value: FieldValue::Bytes(mac.to_vec()),
                });
            }
            _ => return false,
        }
        true
    }

    fn blocks(&mut self, code: &str) -> bool {
        let data = self.data_block();
        match code {
            "bits-outside" => self.bit(data, 300),
            "block-unknown" => self.bit("BLOCK77", 1),
            "bytes-outside" => self.block(data, self.size(data) + 1),
            "block-protected" => {
                self.close_block(data);
                self.block(data, self.size(data));
            }
            "block-occupied" if self.chip() != Chip::Esp32 => {
                self.fill(data);
                self.block(data, self.size(data));
            }
            "chunk-occupied" if self.chip() == Chip::Esp32 => {
                self.set("CODING_SCHEME", 1);
                self.fill(data);
                self.block(data, self.size(data));
            }
            _ => return false,
        }
        true
    }

    fn keys(&mut self, code: &str) -> bool {
        let (slot, purpose) = self.ordinary_key();
        let purposes = self.has_purposes();
        match code {
            "key-length" => self.key(slot, purpose, 31),
            "purpose-unknown" => self.key(slot, "NO_SUCH_PURPOSE", 32),
            "block-hidden" => {
                self.hide_block(slot);
                self.key(slot, purpose, 32);
            }
            "scheme-unfit" if self.chip() == Chip::Esp32 => {
                self.set("CODING_SCHEME", 1);
                self.key("BLOCK2", "secure_boot_v2", 32);
            }
            "slot-unfit" => {
                let purposes = self.snapshot.map().purposes.iter();
                let mut unfit = purposes.filter(|purpose| !purpose.unfit.is_empty());
                let Some(purpose) = unfit.find(|purpose| purpose.name.ends_with("_128_KEY")) else {
                    return false;
                };
                let block = self.snapshot.map().block(purpose.unfit[0]).unwrap();
                self.key(block.name, purpose.name, 32);
            }
            "slot-taken" if purposes => {
                // 9 and 4 have no bit in common; of two codes where one has all bits of the
                // other espefuse makes the larger.
                let map = self.snapshot.map();
                let digest = map.purpose("SECURE_BOOT_DIGEST0").unwrap().code;
                self.set("KEY_PURPOSE_0", digest.into());
                self.key(slot, purpose, 32);
            }
            "purpose-protected" if purposes => {
                self.close_field("KEY_PURPOSE_0");
                self.key(slot, purpose, 32);
            }
            "slot-twice" if self.chip() != Chip::Esp32 => self.two_keys(slot, purpose),
            "slot-none-free" if self.snapshot.map().purpose("XTS_AES_256_KEY_1").is_some() => {
                let slots: Vec<_> = self.snapshot.map().key_slots().collect();
                let (first, others) = slots.split_first().unwrap();
                others.iter().for_each(|other| self.fill(other.name));
                self.key(first.name, "XTS_AES_256_KEY", 64);
            }
            _ => return false,
        }
        true
    }

    /// In one command; of two commands the second would see the first one's purpose.
    fn two_keys(&mut self, slot: &str, purpose: &str) {
        let mut words = vec!["burn-key".to_owned()];
        for _ in 0..2 {
            let key = self.chance.bytes(32);
            let file = self.case.file(self.folder, &key);
            words.extend([slot.to_owned(), file, purpose.to_owned()]);
            self.case.want(slot, purpose, key, [None, None]);
        }
        self.case.words.push(words);
    }

    fn others(&mut self, code: &str) -> bool {
        let voltage = matches!(self.chip(), Chip::Esp32 | Chip::Esp32S2 | Chip::Esp32S3);
        match code {
            "must-stay-readable" if self.has_purposes() => {
                let map = self.snapshot.map();
                let digest = map.purpose("SECURE_BOOT_DIGEST0").unwrap().code;
                self.set("KEY_PURPOSE_0", digest.into());
                self.fill("BLOCK_KEY0");
                self.case.say(&["read-protect-efuse", "BLOCK_KEY0"]);
                self.case.wish.read_protect.push("BLOCK_KEY0".to_owned());
            }
            "cannot-protect" => {
                let name = if self.chip() == Chip::Esp32 {
                    "WR_DIS"
                } else {
                    self.data_block()
                };
                self.case.say(&["read-protect-efuse", name]);
                self.case.wish.read_protect.push(name.to_owned());
            }
            "custom-mac-group" => {
                let mac = "01:02:03:04:05:06".parse().unwrap();
                self.case.say(&["burn-custom-mac", "01:02:03:04:05:06"]);
                self.case.wish.custom_mac = Some(mac);
            }
            "usb-rom-fault" if self.chip() == Chip::Esp32S3 => {
                self.field("DIS_USB_JTAG", 1);
                self.field("DIS_USB_SERIAL_JTAG", 1);
            }
            "voltage-unsupported" if !voltage => self.voltage(),
            "voltage-taken" if voltage => {
                let high = if self.chip() == Chip::Esp32 {
                    "XPD_SDIO_TIEH"
                } else {
                    "VDD_SPI_TIEH"
                };
                self.set(high, 1);
                self.voltage();
            }
            _ => return self.alone(code),
        }
        true
    }

    fn voltage(&mut self) {
        self.case.say(&["set-flash-voltage", "1.8V"]);
        self.case.wish.flash_voltage = Some(FlashVoltage::Low);
    }

    /// Rules of ours alone.
    fn alone(&mut self, code: &str) -> bool {
        let esp32 = self.chip() == Chip::Esp32;
        match code {
            "secure-boot-without-digest" if esp32 => self.field("ABS_DONE_1", 1),
            "secure-boot-without-digest" => self.field("SECURE_BOOT_EN", 1),
            "secure-boot-both" if esp32 => {
                self.key("BLOCK2", "secure_boot_v2", 32);
                self.field("ABS_DONE_0", 1);
                self.field("ABS_DONE_1", 1);
            }
            "encryption-without-key" if esp32 => self.field("FLASH_CRYPT_CNT", 1),
            "encryption-without-key" => self.field("SPI_BOOT_CRYPT_CNT", 1),
            "secure-download-on" if !esp32 => {
                self.set("ENABLE_SECURITY_DOWNLOAD", 1);
                self.field(self.small(), 1);
            }
            "wish-contradicts" => {
                self.field(self.small(), 1);
                self.field(self.small(), 3);
            }
            "key-blank" => self.blank_key(),
            "scheme-with-content" if esp32 => {
                self.fill("BLOCK3");
                self.field("CODING_SCHEME", 1);
            }
            "scheme-unsupported" if esp32 => self.field("CODING_SCHEME", 2),
            "mac-crc" if esp32 => {
                self.set("MAC_CRC", 0xFF);
                self.field(self.small(), 1);
            }
            _ => return false,
        }
        true
    }

    fn blank_key(&mut self) {
        let (slot, purpose) = self.ordinary_key();
        let file = self.case.file(self.folder, &[0; 32]);
        if self.chip() == Chip::Esp32 {
            self.case.say(&["burn-key", purpose, &file]);
        } else {
            self.case.say(&["burn-key", slot, &file, purpose]);
        }
        self.case.want(slot, purpose, vec![0; 32], [None, None]);
    }
}
