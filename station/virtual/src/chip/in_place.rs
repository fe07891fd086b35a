//! A second-stage bootloader that was built with flash encryption, on its first start: it makes a
//! key if there is none, encrypts flash in place, and burns the count that says so.
//!
//! Invariants: which bootloader does so shows in its own log texts; it does so only while the count
//! is even; every sector is erased and programmed again by itself, so that a loss of power leaves
//! some sectors plain, some ciphertext and one half done; the count is burned last.
//!
//! Source: ESP-IDF 5, `bootloader_support/src/flash_encryption/flash_encrypt.c` and
//! `<chip>/flash_encryption_secure_features.c`.

use rand_chacha::rand_core::Rng;
use station_esp::Chip;
use station_esp::efuse::EfuseImage;
use station_esp::efuse::map::{FuseBlock, FuseField, FuseMap};
use station_esp::image::Image;
use station_esp::partition::{DEFAULT_TABLE_OFFSET, Entry, Kind, Table};
use station_esp::secure::signature::SignedImage;

use super::core::VirtualChip;
use super::encryption::encrypted;
use super::flashing::Interruption;
use super::startup::BootStep;
use crate::boot::ResetReason;
use crate::efuse::Wrote;
use crate::nor::{EraseUnit, PAGE, SECTOR};
use crate::wire::Nanos;

/// What the log of a bootloader with flash encryption begins its lines with.
const MARK: &[u8] = b"flash_encrypt";
/// What only one that was built for release mode says.
const RELEASE: &[u8] = b"Setting CRYPT_CNT for permanent encryption";
/// Subtypes of data that are encrypted whatever their flag says: `ota` and `nvs_keys`.
const ALWAYS: [u8; 2] = [0x00, 0x04];

/// Encryption under way.
#[derive(Clone, Debug)]
pub(super) struct InPlace {
    /// Sectors that are left, the next one last.
    sectors: Vec<u32>,
    /// What is to be programmed into the sector that was erased, and how much of it is.
    sector: Option<(u32, Vec<u8>, usize)>,
    release: bool,
}

/// What the flash is busy with.
#[derive(Clone, Copy)]
enum Doing {
    Erasing(u32),
    Programming(u32),
}

impl InPlace {
    fn doing(&self) -> Option<Doing> {
        match &self.sector {
            Some((at, _, done)) => Some(Doing::Programming(at + *done as u32)),
            None => self.sectors.last().map(|at| Doing::Erasing(*at)),
        }
    }
}

impl VirtualChip {
    /// Begins to encrypt, if the bootloader that runs is one that does and has not yet. False when
    /// it has nothing to do with it; a bootloader that cannot go on fails as one does.
    pub(super) fn begin_in_place(&mut self, now: Nanos) -> bool {
        if self.encrypts() {
            return false;
        }
        let Some((bootloader, length)) = self.own_bootloader() else {
            return false;
        };
        let says = |text: &[u8]| bootloader.windows(text.len()).any(|part| part == text);
        if !says(MARK) {
            return false;
        }
        let release = says(RELEASE);
        let count = self.crypt_count();
        let closed = self.is_closed(count.and_then(|field| field.write_disable));
        let full =
            count.is_none_or(|field| self.efuse.field(field.name).count_ones() >= field.width());
        if closed || full {
            self.say_line(now, "E", "Cannot re-encrypt data");
            return self.give_up(now);
        }
        if self.efuse.field(count.map_or("", |field| field.name)) == 0
            && let Err(why) = self.initialise(now, release)
        {
            if !why.is_empty() {
                self.say_line(now, "E", why);
            }
            return self.give_up(now);
        }
        let mut sectors = self.regions(length);
        sectors.reverse();
        let work = InPlace {
            sectors,
            sector: None,
            release,
        };
        self.go_on_in_place(now, work);
        true
    }

    fn give_up(&mut self, now: Nanos) -> bool {
        if self.powered {
            self.fail(now);
        }
        true
    }

    /// The bootloader and as much of flash as it counts as its own: with the sector of its
    /// signatures, if it has one.
    fn own_bootloader(&self) -> Option<(Vec<u8>, u32)> {
        let at = self.spec.bootloader_offset;
        let room = DEFAULT_TABLE_OFFSET.checked_sub(at)?;
        let bytes = self.flash.bytes(at, room);
        let image = Image::parse(&bytes).ok()?;
        let mut length = image.length.checked_next_multiple_of(SECTOR)?;
        let with_signatures = bytes.get(..(length + SECTOR) as usize);
        let signed = with_signatures.and_then(|bytes| SignedImage::parse(bytes).ok());
        if signed.is_some_and(|signed| signed.blocks().next().is_some()) {
            length += SECTOR;
        }
        let own = bytes.get(..image.length as usize)?.to_vec();
        Some((own, length))
    }

    /// The sectors that are encrypted, in order: bootloader, table, applications that are sound, and
    /// the partitions that are marked, each with all of its room.
    fn regions(&self, bootloader: u32) -> Vec<u32> {
        let start = self.spec.bootloader_offset;
        let mut regions = vec![(start, bootloader), (DEFAULT_TABLE_OFFSET, SECTOR)];
        let table = self.flash.bytes(DEFAULT_TABLE_OFFSET, SECTOR);
        let entries = Table::parse_binary(&table);
        for entry in entries.iter().flat_map(Table::entries) {
            let sound = entry.kind != Kind::App
                || Image::parse(&self.flash.bytes(entry.offset, entry.size)).is_ok();
            if is_read_decrypted(entry) && sound {
                regions.push((entry.offset, entry.size));
            }
        }
        let size = self.flash.size();
        let sectors = regions.into_iter().flat_map(|(at, length)| {
            (at..at.saturating_add(length).min(size)).step_by(SECTOR as usize)
        });
        sectors.collect()
    }

    /// Does what is due and says what comes next.
    pub(super) fn in_place_step(&mut self, now: Nanos, mut work: InPlace) {
        match work.doing() {
            None => return self.end_in_place(now, work.release),
            Some(Doing::Erasing(at)) => {
                self.erases += 1;
                if self.supply_fails_here(false) {
                    self.break_erase(at, EraseUnit::Sector);
                    return self.fail_supply(now);
                }
                work.sectors.pop();
                let plain = self.flash.bytes(at, SECTOR);
                let sealed = self.flash_key().map(|key| encrypted(&key, at, &plain));
                // Without a key nothing was begun; a sector that is stuck stays as it is.
                let _ = self.flash.erase(at, EraseUnit::Sector);
                work.sector = sealed.map(|sealed| (at, sealed, 0));
            }
            Some(Doing::Programming(at)) => {
                self.programs += 1;
                let Some((_, sealed, done)) = &mut work.sector else {
                    return;
                };
                let page = sealed.get(*done..*done + PAGE as usize).unwrap_or(&[]);
                if self.supply_fails_here(true) {
                    let half = page.get(..page.len() / 2).unwrap_or(&[]).to_vec();
                    let _ = self.flash.program(at, &half);
                    return self.fail_supply(now);
                }
                let _ = self.flash.program(at, page);
                *done += PAGE as usize;
                if *done >= sealed.len() {
                    work.sector = None;
                }
            }
        }
        self.go_on_in_place(now, work);
    }

    fn go_on_in_place(&mut self, now: Nanos, work: InPlace) {
        let timing = self.config.flash_timing;
        let time = match work.doing() {
            Some(Doing::Erasing(_)) => timing.erase(EraseUnit::Sector) + timing.read(SECTOR),
            Some(Doing::Programming(_)) => timing.page_program(),
            None => 0,
        };
        let ends = now.saturating_add(time);
        self.boot = Some((ends, BootStep::InPlace(Box::new(work))));
    }

    /// What an interruption makes of the sector that is being worked on: an erase that a reset finds
    /// under way comes to its end, and its content is lost.
    pub(super) fn break_in_place(&mut self, why: Interruption) {
        let Some((_, BootStep::InPlace(work))) = &self.boot else {
            return;
        };
        match (work.doing(), why) {
            (Some(Doing::Erasing(at)), Interruption::PowerLoss) => {
                self.break_erase(at, EraseUnit::Sector);
            }
            (Some(Doing::Erasing(at)), Interruption::Reset) => {
                let _ = self.flash.erase(at, EraseUnit::Sector);
            }
            (Some(Doing::Programming(_)) | None, _) => {}
        }
    }

    /// Burns the count and starts over with encryption on.
    fn end_in_place(&mut self, now: Nanos, release: bool) {
        let Some(field) = self.crypt_count() else {
            return;
        };
        if release {
            self.say_line(now, "I", "Setting CRYPT_CNT for permanent encryption");
        }
        let before = self.efuse.field(field.name);
        let full = u64::MAX >> (64 - field.width().clamp(1, 64));
        let after = match release {
            true => full,
            // The lowest bit that is not set yet.
            false => before | (!before & (before + 1)),
        };
        let wrote = self.efuse.burn_own(|image| {
            let _ = image.set_number(field, after);
        });
        if wrote == Wrote::SupplyFails {
            return self.fail_supply(now);
        }
        self.say_line(now, "I", "Flash encryption completed");
        let last = "I (900) boot: Resetting with flash encryption enabled...\r\n";
        self.say(now, last.into());
        let next = self.outbound.free_at().max(now);
        self.restart_into(next, ResetReason::Software, false);
    }

    fn say_line(&mut self, now: Nanos, level: &str, text: &str) {
        self.say(
            now,
            format!("{level} (200) flash_encrypt: {text}\r\n").into_bytes(),
        );
    }

    /// The count of flash encryption, by whichever name this chip has it.
    fn crypt_count(&self) -> Option<&'static FuseField> {
        let map = self.efuse.map();
        ["SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT"]
            .iter()
            .find_map(|name| map.field(name))
    }

    fn is_closed(&self, bit: Option<u8>) -> bool {
        bit.is_some_and(|bit| self.efuse.field("WR_DIS") >> bit & 1 == 1)
    }
}

/// Whether the chip is to read a partition as ciphertext once encryption is on.
pub(super) fn is_read_decrypted(entry: &Entry) -> bool {
    let always = entry.kind == Kind::Data && ALWAYS.contains(&entry.subtype.0);
    entry.kind == Kind::App || entry.encrypted || always
}

/// Fuses that such a bootloader burns before it encrypts; those that the chip has.
const FEATURES: [&str; 10] = [
    "DIS_DOWNLOAD_ICACHE",
    "DIS_DOWNLOAD_DCACHE",
    "DIS_DIRECT_BOOT",
    "DIS_LEGACY_SPI_BOOT",
    "DIS_PAD_JTAG",
    "DIS_USB_JTAG",
    "HARD_DIS_JTAG",
    "DISABLE_DL_DECRYPT",
    "DISABLE_DL_CACHE",
    "JTAG_DISABLE",
];
/// Those that only a bootloader for release mode burns.
const RELEASE_FEATURES: [&str; 2] = ["DIS_DOWNLOAD_MANUAL_ENCRYPT", "DISABLE_DL_ENCRYPT"];

impl VirtualChip {
    /// Key and fuses, before the first sector.
    ///
    /// # Errors
    /// What it says when it gives up; nothing when the supply failed.
    fn initialise(&mut self, now: Nanos, release: bool) -> Result<(), &'static str> {
        let map = self.efuse.map();
        let blocks = self.key_blocks();
        if blocks.is_empty() {
            let Some(slot) = self.free_slot() else {
                return Err("Not enough free efuse key blocks (need 1) to continue");
            };
            self.say_line(now, "I", "Generating new flash encryption key...");
            let mut key = [0; 32];
            self.luck.fill_bytes(&mut key);
            let words = usize::from(slot.words);
            if self.pulse(|image| put_key(image, map, slot, words, &key)) {
                self.fail_supply(now);
                return Err("");
            }
        } else {
            let hidden = self.efuse.field("RD_DIS");
            let sound = blocks.iter().all(|block| {
                let unread = block.read_disable.bits().next();
                let purpose = block.purpose.and_then(|name| map.field(name));
                self.is_closed(block.write_disable)
                    && unread.is_some_and(|bit| hidden >> bit & 1 == 1)
                    && purpose.is_none_or(|field| self.is_closed(field.write_disable))
            });
            if !sound {
                return Err(
                    "Invalid key state, check read&write protection for key and \
                            keypurpose(if exists)",
                );
            }
            self.say_line(now, "I", "Using pre-loaded flash encryption key in efuse");
        }
        let cut = self.pulse(|image| {
            let more = RELEASE_FEATURES.iter().filter(|_| release);
            for name in FEATURES.iter().chain(more) {
                set(image, map, name, 1);
            }
            set(image, map, "FLASH_CRYPT_CONFIG", 0xF);
        });
        if cut {
            self.fail_supply(now);
            return Err("");
        }
        Ok(())
    }

    /// One pulse of its own; whether the supply failed in it.
    fn pulse(&mut self, change: impl FnOnce(&mut EfuseImage)) -> bool {
        self.efuse.burn_own(change) == Wrote::SupplyFails
    }

    /// The blocks that hold the key, if there is one.
    fn key_blocks(&self) -> Vec<&'static FuseBlock> {
        let only = [(Chip::Esp32, "BLOCK1"), (Chip::Esp32C2, "BLOCK_KEY0")];
        let fixed = only.iter().find(|(chip, _)| *chip == self.config.chip);
        let fixed = fixed.map(|(_, name)| *name);
        if let Some(name) = fixed {
            let block = self.efuse.map().block_named(name);
            let used = |block: &&FuseBlock| {
                self.is_closed(block.write_disable)
                    || self.efuse.data(block.number).iter().any(|word| *word != 0)
            };
            return block.into_iter().filter(used).collect();
        }
        let purposes = ["XTS_AES_128_KEY", "XTS_AES_256_KEY_1", "XTS_AES_256_KEY_2"];
        let found = purposes
            .iter()
            .flat_map(|purpose| self.efuse.slots(purpose));
        found.collect()
    }

    /// A block that a new key may go into.
    fn free_slot(&self) -> Option<&'static FuseBlock> {
        self.efuse.map().key_slots().find(|slot| {
            let purpose = slot.purpose.map_or(0, |name| self.efuse.field(name));
            let blank = self.efuse.data(slot.number).iter().all(|word| *word == 0);
            purpose == 0 && blank && !self.is_closed(slot.write_disable)
        })
    }
}

/// Puts a key into a block, with its purpose, and closes it.
fn put_key(image: &mut EfuseImage, map: &FuseMap, slot: &FuseBlock, words: usize, key: &[u8]) {
    let (chunks, _) = key.as_chunks::<4>();
    for (place, chunk) in image
        .block_mut(slot.number)
        .iter_mut()
        .take(words)
        .zip(chunks)
    {
        *place = u32::from_le_bytes(*chunk);
    }
    let code = map
        .purpose("XTS_AES_128_KEY")
        .map(|own| u64::from(own.code));
    let mut closed = slot.write_disable.map_or(0, |bit| 1_u64 << bit);
    if let (Some(name), Some(code)) = (slot.purpose, code) {
        set(image, map, name, code);
        let protected = map.field(name).and_then(|field| field.write_disable);
        closed |= protected.map_or(0, |bit| 1 << bit);
    }
    set(image, map, "XTS_KEY_LENGTH_256", 1);
    set(image, map, "WR_DIS", closed);
    let hidden = slot.read_disable.bits().fold(0, |all, bit| all | 1 << bit);
    set(image, map, "RD_DIS", hidden);
}

/// Adds bits to a field that the chip has.
fn set(image: &mut EfuseImage, map: &FuseMap, name: &str, value: u64) {
    if let Some(field) = map.field(name) {
        let before = image.number(field).unwrap_or(0);
        let _ = image.set_number(field, before | value);
    }
}
