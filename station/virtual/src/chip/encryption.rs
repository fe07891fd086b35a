//! What the flash encryption of a chip makes of its flash.
//!
//! Invariants: the key is the one in the fuses, whether software may read it or not; the flash
//! itself holds ciphertext and only what the CPU reads through its cache is decrypted; blank
//! sectors are passed over, since their noise is never part of anything.

use station_esp::Chip;
use station_esp::efuse::FieldName;
use station_esp::partition::{DEFAULT_TABLE_OFFSET, Table};
use station_esp::secret::Secret;
use station_esp::secure::encryption::{self, FlashKey, Scheme};

use super::answer::Refusal;
use super::core::VirtualChip;
use super::in_place::is_read_decrypted;
use crate::nor::{EraseUnit, NorFlash, SECTOR};

/// Bytes of a partition table with its checksum.
const TABLE: u32 = SECTOR;

impl VirtualChip {
    /// Whether the fuses switch flash encryption on: an odd number of them.
    pub(super) fn encrypts(&self) -> bool {
        let count = self.efuse.image().read(FieldName::FlashCryptCount);
        count.is_some_and(|count| count.count_ones() % 2 == 1)
    }

    /// The key in the fuses; nothing when no slot has the purpose.
    pub(super) fn flash_key(&self) -> Option<FlashKey> {
        let (scheme, bytes) = match self.config.chip {
            Chip::Esp32 => {
                let config = self.efuse.field("FLASH_CRYPT_CONFIG") & 0xF;
                let scheme = Scheme::Legacy {
                    crypt_config: u8::try_from(config).ok()?,
                };
                (scheme, reversed(&self.efuse.data(1)))
            }
            Chip::Esp32C2 => {
                let block = self.efuse.data(3);
                let whole = self.efuse.field("XTS_KEY_LENGTH_256") == 1;
                let words = if whole { &block[..] } else { block.get(..4)? };
                (Scheme::Xts, reversed(words))
            }
            Chip::Esp32S2
            | Chip::Esp32S3
            | Chip::Esp32C3
            | Chip::Esp32C5
            | Chip::Esp32C6
            | Chip::Esp32C61
            | Chip::Esp32H2
            | Chip::Esp32H4
            | Chip::Esp32P4
            | Chip::Esp32S31 => (Scheme::Xts, self.xts_key()?),
        };
        FlashKey::new(scheme, Secret::new(bytes)).ok()
    }

    /// The key of the slots with an XTS purpose.
    fn xts_key(&self) -> Option<Vec<u8>> {
        let slot = |purpose| {
            let slot = self.efuse.slots(purpose).next()?;
            Some(reversed(&self.efuse.data(slot.number)))
        };
        if let Some(key) = slot("XTS_AES_128_KEY") {
            return Some(key);
        }
        let mut key = slot("XTS_AES_256_KEY_1")?;
        key.extend(slot("XTS_AES_256_KEY_2")?);
        Some(key)
    }

    /// The key for a write that the host wants encrypted by the chip.
    pub(super) fn key_for_write(&self, at: u32) -> Result<FlashKey, Refusal> {
        if self.efuse.flag(FieldName::DisableDownloadEncrypt) {
            return Err(Refusal::Spi);
        }
        if !at.is_multiple_of(encryption::BLOCK as u32) {
            return Err(Refusal::Length);
        }
        self.flash_key().ok_or(Refusal::Spi)
    }

    /// Flash as the CPU sees it at boot: bootloader, partition table, applications and the
    /// partitions that are marked encrypted are decrypted. Nothing when it is the flash as it is.
    pub(super) fn decrypted_flash(&self) -> Option<NorFlash> {
        if !self.encrypts() {
            return None;
        }
        let blank = || FlashKey::new(Scheme::Xts, Secret::new(vec![0; 32])).ok();
        let key = self.flash_key().or_else(blank)?;
        let mut seen = self.flash.clone();
        // The digest of secure boot version 1 lies before the bootloader, encrypted as it is
        // (ESP-IDF, `flash_encrypt.c`).
        let start = if self.efuse.flag(FieldName::SecureBootV1) {
            0
        } else {
            self.spec.bootloader_offset
        };
        decrypt(&key, &mut seen, start, DEFAULT_TABLE_OFFSET + TABLE);
        let table = seen.bytes(DEFAULT_TABLE_OFFSET, TABLE);
        for entry in Table::parse_binary(&table)
            .iter()
            .flat_map(Table::entries)
            .filter(|entry| is_read_decrypted(entry))
        {
            let end = entry.offset.saturating_add(entry.size);
            decrypt(&key, &mut seen, entry.offset, end);
        }
        Some(seen)
    }
}

/// Decrypts the sectors from `start` to `end` that are not blank.
fn decrypt(key: &FlashKey, flash: &mut NorFlash, start: u32, end: u32) {
    for at in (start..end.min(flash.size())).step_by(SECTOR as usize) {
        if flash.is_blank(at, EraseUnit::Sector) {
            continue;
        }
        if let Ok(plain) = encryption::decrypt(key, at, &flash.bytes(at, SECTOR)) {
            // The range was bounded above.
            let _ = flash.load(at, &plain);
        }
    }
}

/// The bytes of `data` as they lie in flash at `at`; what is no whole block at its end is filled up
/// with ones, as blank flash is.
pub(super) fn encrypted(key: &FlashKey, at: u32, data: &[u8]) -> Vec<u8> {
    let mut padded = data.to_vec();
    padded.resize(data.len().next_multiple_of(encryption::BLOCK), 0xFF);
    // The address was checked when the write began, and pages are whole blocks.
    encryption::encrypt(key, at, &padded).unwrap_or(padded)
}

/// Fuses hold keys in reverse order.
fn reversed(words: &[u32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.reverse();
    bytes
}
