//! Random wishes, and the words it takes to say them to espefuse.

use std::fs;
use std::path::Path;

use station_esp::efuse::map::{FieldKind, FuseField, FuseMap};
use station_esp::efuse::plan::{
    BitWish, BlockWish, ContentPlan, Danger, FieldValue, FieldWish, FlashVoltage, KeyWish, Slot,
    Snapshot, Wish,
};
use station_esp::secret::Secret;
use station_esp::{Chip, MacAddress};

use super::chance::Chance;
use super::curve;

/// A random wish, and the words it takes to say it to espefuse.
pub(super) struct Case {
    pub(super) wish: Wish,
    pub(super) words: Vec<Vec<String>>,
    /// `write-protect-efuse` and `read-protect-efuse` come last: with a single name and another
    /// command behind, espefuse 5.6 takes the name apart into letters.
    pub(super) last: Vec<Vec<String>>,
}

impl Case {
    pub(super) fn new() -> Self {
        Self {
            wish: Wish {
                accepted: Danger::ALL.to_vec(),
                ..Wish::default()
            },
            words: Vec::new(),
            last: Vec::new(),
        }
    }

    pub(super) fn say(&mut self, words: &[&str]) {
        self.words
            .push(words.iter().map(|&word| word.to_owned()).collect());
    }

    pub(super) fn random(
        chance: &mut Chance,
        snapshot: &Snapshot,
        known: &str,
        folder: &Path,
    ) -> Self {
        let mut case = Self::new();
        case.wish.content.encrypted = ContentPlan::Written;
        let map = snapshot.map();
        if chance.one_in(6) {
            case.bits(chance);
        }
        case.fields(chance, snapshot, known);
        if chance.one_in(2) {
            case.keys(chance, snapshot, folder);
        }
        if chance.one_in(5) {
            case.block(chance, snapshot, folder);
        }
        if chance.one_in(5) {
            let mac = MacAddress([
                (chance.next() as u8) & 0xFE | 2,
                1,
                2,
                3,
                4,
                chance.next() as u8,
            ]);
            case.wish.custom_mac = Some(mac);
            case.say(&["burn-custom-mac", &mac.to_string()]);
        }
        if chance.one_in(5) && matches!(map.chip, Chip::Esp32 | Chip::Esp32S2 | Chip::Esp32S3) {
            let all = [
                (FlashVoltage::Low, "1.8V"),
                (FlashVoltage::High, "3.3V"),
                (FlashVoltage::Off, "OFF"),
            ];
            let (voltage, word) = *chance.pick(&all);
            case.wish.flash_voltage = Some(voltage);
            case.say(&["set-flash-voltage", word]);
        }
        case.protect(chance, map, known);
        case
    }

    fn fields(&mut self, chance: &mut Chance, snapshot: &Snapshot, known: &str) {
        let map = snapshot.map();
        let plain = |field: &&FuseField| {
            let guard = matches!(field.name, "WR_DIS" | "RD_DIS" | "CODING_SCHEME");
            let kind = matches!(field.kind, FieldKind::Number | FieldKind::Count);
            let named = known.contains(&format!("\"{}\"", field.name));
            // Of a field of two parts espefuse 5.6 drops the highest bit.
            let halved = ["KEY_PURPOSE", "RECOVERY_BOOTLOADER_FLASH_SECTOR_"];
            let whole =
                field.parts.len() == 1 && !halved.iter().any(|start| field.name.starts_with(start));
            field.block() == 0 && !guard && kind && named && whole && field.name != "MAC_CRC"
        };
        let fields: Vec<_> = map.fields.iter().filter(plain).collect();
        let mut words = vec!["burn-efuse".to_owned()];
        for _ in 0..chance.below(5) {
            let field = *chance.pick(&fields);
            let mask = u64::MAX >> (64 - field.width());
            let wide = if chance.one_in(40) { mask + 1 } else { 0 };
            let set = snapshot.fuses.number(field).unwrap_or(0);
            let kept = if chance.one_in(8) { 0 } else { set };
            let value = (chance.next() & mask).max(1) | kept | wide;
            if words.contains(&field.name.to_owned()) {
                continue;
            }
            words.extend([field.name.to_owned(), value.to_string()]);
            self.wish.fields.push(FieldWish {
                field: field.name.to_owned(),
                value: FieldValue::Number(value),
            });
        }
        if words.len() > 1 {
            self.words.push(words);
        }
    }

    fn bits(&mut self, chance: &mut Chance) {
        let bits: Vec<u16> = (0..2).map(|_| chance.below(48) as u16).collect();
        let mut words = vec!["burn-bit".to_owned(), "BLOCK3".to_owned()];
        words.extend(bits.iter().map(ToString::to_string));
        self.words.push(words);
        self.wish.bits.push(BitWish {
            block: "BLOCK3".to_owned(),
            bits,
        });
    }

    fn block(&mut self, chance: &mut Chance, snapshot: &Snapshot, folder: &Path) {
        let map = snapshot.map();
        let name = if map.chip == Chip::Esp32C2 {
            "BLOCK1"
        } else {
            "BLOCK3"
        };
        let words = map.block_named(name).map_or(0, |block| block.words);
        let size = match three_quarters(snapshot) {
            true => 24,
            false => usize::from(words) * 4,
        };
        let offset = chance.below(size / 2);
        // espefuse takes fewer bytes than the block has only behind an offset.
        let length = if offset == 0 {
            size
        } else {
            1 + chance.below(size - offset)
        };
        let bytes = chance.bytes(length);
        let file = self.file(folder, &bytes);
        // Behind a file name only an option tells espefuse 5.6 that no other block follows.
        let offset_text = offset.to_string();
        self.say(&["burn-block-data", name, &file, "--offset", &offset_text]);
        self.wish.blocks.push(BlockWish {
            block: name.to_owned(),
            offset: offset as u8,
            bytes: Secret::new(bytes),
        });
    }

    pub(super) fn file(&self, folder: &Path, bytes: &[u8]) -> String {
        let number = self.wish.keys.len() + self.wish.blocks.len() * 16;
        let path = folder.join(format!("content-{number}"));
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    fn keys(&mut self, chance: &mut Chance, snapshot: &Snapshot, folder: &Path) {
        let map = snapshot.map();
        if map.chip == Chip::Esp32 {
            self.esp32_keys(chance, three_quarters(snapshot), folder);
        } else if map.chip == Chip::Esp32C2 {
            self.c2_keys(chance, folder);
        } else {
            self.slot_keys(chance, map, folder);
        }
    }

    pub(super) fn want(
        &mut self,
        slot: &str,
        purpose: &str,
        key: Vec<u8>,
        protect: [Option<bool>; 2],
    ) {
        let [read_protect, write_protect] = protect;
        self.wish.keys.push(KeyWish {
            slot: Slot::Named(slot.to_owned()),
            purpose: purpose.to_owned(),
            key: Secret::new(key),
            read_protect,
            write_protect,
        });
    }

    fn esp32_keys(&mut self, chance: &mut Chance, quarters: bool, folder: &Path) {
        let all = [
            ("flash_encryption", "BLOCK1"),
            ("secure_boot_v1", "BLOCK2"),
            ("secure_boot_v2", "BLOCK2"),
        ];
        let (purpose, slot) = *chance.pick(&all);
        let fits = quarters && !chance.one_in(8);
        let key = chance.bytes(if fits { 24 } else { 32 });
        let file = self.file(folder, &key);
        if chance.one_in(3) && purpose != "secure_boot_v2" {
            self.say(&["burn-key", purpose, &file, "--no-protect-key"]);
            self.want(slot, purpose, key, [Some(false), Some(false)]);
        } else {
            self.say(&["burn-key", purpose, &file]);
            self.want(slot, purpose, key, [None, None]);
        }
    }

    fn c2_keys(&mut self, chance: &mut Chance, folder: &Path) {
        let half = "XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS";
        let sets = [
            vec![("XTS_AES_128_KEY", 32)],
            vec![(half, 16)],
            vec![("SECURE_BOOT_DIGEST", 32)],
            vec![(half, 16), ("SECURE_BOOT_DIGEST", 32)],
        ];
        let open = chance.one_in(4);
        let mut words = vec!["burn-key".to_owned()];
        for (purpose, length) in chance.pick(&sets).clone() {
            let key = chance.bytes(length);
            let file = self.file(folder, &key);
            words.extend(["BLOCK_KEY0".to_owned(), file, purpose.to_owned()]);
            let hides = purpose != "SECURE_BOOT_DIGEST";
            let read = (open && hides).then_some(false);
            self.want("BLOCK_KEY0", purpose, key, [read, None]);
        }
        if open {
            words.push("--no-read-protect".to_owned());
        }
        self.words.push(words);
    }

    /// One to three keys in different slots; a wide one has room behind it.
    fn slot_keys(&mut self, chance: &mut Chance, map: &FuseMap, folder: &Path) {
        let mut slot = chance.below(3);
        for _ in 0..1 + chance.below(3) {
            let purpose = chance.pick(map.purposes);
            let (name, length): (_, usize) = match purpose.name {
                "ECDSA_KEY_P192" => ("ECDSA_KEY_P192", 24),
                "ECDSA_KEY_P384_H" | "ECDSA_KEY_P384_L" => ("ECDSA_KEY_P384", 48),
                "XTS_AES_256_KEY_1" => ("XTS_AES_256_KEY", 64),
                "XTS_AES_256_PSRAM_KEY_1" => ("XTS_AES_256_PSRAM_KEY", 64),
                name => (name, 32),
            };
            let Some(block) = map.key_slots().nth(slot) else {
                break;
            };
            slot += length.div_ceil(32) + chance.below(2);
            let mut key = chance.bytes(length);
            let file = if name.starts_with("ECDSA") {
                // Below the order of every curve, and not blank.
                key[0] = key[0] & 0x7F | 0x40;
                self.file(folder, curve::private_key(&key).as_bytes())
            } else {
                key.truncate(length - usize::from(chance.one_in(20)));
                self.file(folder, &key)
            };
            let mut words = vec!["burn-key", block.name, &file, name];
            let read = (chance.one_in(4) && purpose.hidden).then_some(false);
            let write = chance.one_in(4).then_some(false);
            words.extend(read.map(|_| "--no-read-protect"));
            words.extend(write.map(|_| "--no-write-protect"));
            self.say(&words);
            self.want(block.name, name, key, [read, write]);
        }
    }

    fn protect(&mut self, chance: &mut Chance, map: &FuseMap, known: &str) {
        if chance.one_in(3) {
            let closable = |field: &&FuseField| {
                let named = known.contains(&format!("\"{}\"", field.name));
                let closable = field.write_disable.is_some() && field.kind != FieldKind::Mac;
                field.block() == 0 && closable && named && !disputed(map.chip, field.name)
            };
            let fields: Vec<_> = map.fields.iter().filter(closable).collect();
            let field = *chance.pick(&fields);
            self.wish.write_protect.push(field.name.to_owned());
            let words = ["write-protect-efuse".to_owned(), field.name.to_owned()];
            self.last.push(words.to_vec());
        } else if chance.one_in(8) {
            let name = if map.chip == Chip::Esp32 {
                "BLOCK3"
            } else {
                "BLOCK_KEY0"
            };
            self.wish.read_protect.push(name.to_owned());
            let words = ["read-protect-efuse".to_owned(), name.to_owned()];
            self.last.push(words.to_vec());
        }
    }

    pub(super) fn all_words(&self) -> Vec<&str> {
        let words = self.words.iter().chain(&self.last);
        words.flatten().map(String::as_str).collect()
    }
}

/// The ESP32-H4's key manager fields, which ESP-IDF closes with WR_DIS bit 1 and espefuse with 17.
fn disputed(chip: Chip, field: &str) -> bool {
    let key_manager = field.starts_with("KM_") || field.ends_with("_KM_KEY");
    let forced = ["FORCE_USE_KEY_MANAGER_KEY", "FORCE_DISABLE_SW_INIT_KEY"];
    chip == Chip::Esp32H4 && (key_manager || forced.contains(&field))
}

/// Whether an ESP32 has its blocks 3/4 coded.
pub(super) fn three_quarters(snapshot: &Snapshot) -> bool {
    let field = snapshot.map().field("CODING_SCHEME");
    let esp32 = field.filter(|_| snapshot.chip == Chip::Esp32);
    esp32.is_some_and(|field| snapshot.fuses.number(field) == Some(1))
}
