//! Wishes that are more than one field: a custom MAC and the voltage of the flash.
//!
//! Sources: ESP-IDF `esp_mac.h` and its guide "Miscellaneous System APIs" (custom MAC, CRC-8 and
//! version on the ESP32); the technical reference manuals on VDD_SDIO and VDD_SPI.

use crate::chip::{Chip, MacAddress};
use crate::efuse::coding::mac_crc;
use crate::efuse::map::FuseField;

use super::FlashVoltage;
use super::bits::Bits;
use super::draft::Draft;

impl Draft<'_> {
    /// A MAC of one's own, with what makes the chip use it.
    pub(super) fn custom_mac(&mut self, mac: MacAddress) {
        let Some(field) = self.map.field("CUSTOM_MAC") else {
            let what = format!("{} has no place for a custom MAC", self.map.chip.title());
            return self.refuse("custom-mac-unsupported", "CUSTOM_MAC", what, "leave it out");
        };
        if !mac.is_unicast() {
            let what = format!("{mac} is no address of one device");
            let hint = "the lowest bit of the first byte must be 0, and not all bytes may be";
            return self.refuse("custom-mac-group", field.name, what, hint);
        }
        self.ask_bytes(field, &mac.bytes());
        if self.map.chip == Chip::Esp32 {
            self.ask_number("CUSTOM_MAC_CRC", mac_crc(mac).into());
            self.ask_number("MAC_VERSION", 1);
        } else if self.map.field("CUSTOM_MAC_USED").is_some() {
            self.ask_number("CUSTOM_MAC_USED", 1);
        }
    }

    fn ask_bytes(&mut self, field: &'static FuseField, bytes: &[u8]) {
        let mut asked = Bits::blank(self.map);
        asked.set_field_bytes(field, bytes);
        self.ask_field(field, &asked);
    }

    /// Asks for a value of a field this chip is known to have.
    pub(super) fn ask_number(&mut self, name: &str, value: u64) {
        if let Some(field) = self.map.field(name) {
            let mut asked = Bits::blank(self.map);
            asked.set_number(field, value);
            self.ask_field(field, &asked);
        } else {
            let what = format!("{} has no such field", self.map.chip.title());
            self.refuse("field-unknown", name, what, "the map of this chip lacks it");
        }
    }

    /// The regulator that feeds the flash: forced on or off, and its level.
    pub(super) fn flash_voltage(&mut self, voltage: FlashVoltage) {
        let names = match self.map.chip {
            Chip::Esp32 => ["XPD_SDIO_FORCE", "XPD_SDIO_REG", "XPD_SDIO_TIEH"],
            Chip::Esp32S2 | Chip::Esp32S3 => ["VDD_SPI_FORCE", "VDD_SPI_XPD", "VDD_SPI_TIEH"],
            Chip::Esp32C2
            | Chip::Esp32C3
            | Chip::Esp32C5
            | Chip::Esp32C6
            | Chip::Esp32C61
            | Chip::Esp32H2
            | Chip::Esp32H4
            | Chip::Esp32P4
            | Chip::Esp32S31 => {
                let what = format!("{} sets no flash voltage by fuse", self.map.chip.title());
                let hint = "leave the voltage out";
                return self.refuse("voltage-unsupported", "flash voltage", what, hint);
            }
        };
        let [force, on, high] = names;
        let (wants_on, wants_high) = match voltage {
            FlashVoltage::Low => (true, false),
            FlashVoltage::High => (true, true),
            FlashVoltage::Off => (false, false),
        };
        for (name, wanted) in [(on, wants_on), (high, wants_high)] {
            if let (false, Some(field)) = (wanted, self.map.field(name)) {
                for (block, bit) in Bits::places(field) {
                    self.clear.set(block, bit);
                }
            }
            if !wanted && self.set_in(&self.now, name) {
                let what = format!("`{name}` is set, and would have to be cleared");
                let hint = "the voltage was decided before; wish that one";
                self.refuse("voltage-taken", "flash voltage", what, hint);
            }
        }
        for (name, wanted) in [(force, true), (on, wants_on), (high, wants_high)] {
            if wanted {
                self.ask_number(name, 1);
            }
        }
    }
}
