//! Random chips and random wishes, from a seed.

use super::super::pieces::KeyPlaces;
use super::super::*;
use crate::efuse::map::{FieldKind, FuseField, all_fuse_maps};

/// A small generator whose numbers stay the same (splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() as u8) | 1).collect()
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

pub(crate) const MAC: MacAddress = MacAddress([0x7C, 0xDF, 0xA1, 0x01, 0x02, 0x03]);

/// A chip as the factory leaves it, without its measured values.
pub(crate) fn blank(chip: Chip, revision: Revision) -> Snapshot {
    let mut fuses = EfuseImage::new(chip);
    fuses.set_mac(MAC).unwrap();
    let crystal_mhz = if matches!(chip, Chip::Esp32H2 | Chip::Esp32H4) {
        32
    } else {
        40
    };
    Snapshot {
        chip,
        revision,
        mac: MAC,
        crystal_mhz,
        fuses,
        errors: Vec::new(),
    }
}

/// Revisions worth trying: the first of every map and one more.
pub(crate) fn revisions(chip: Chip) -> Vec<Revision> {
    let mut revisions: Vec<_> = all_fuse_maps(chip).map(|map| map.from).collect();
    revisions.push(Revision::new(3, 1));
    revisions
}

/// Everything that has to be accepted, accepted.
pub(crate) fn daring() -> Wish {
    Wish {
        content: FlashContent {
            encrypted: ContentPlan::ByBootloader,
            signed_by: Vec::new(),
            digested: false,
        },
        accepted: Danger::ALL.to_vec(),
        ..Wish::default()
    }
}

fn plain(field: &&FuseField) -> bool {
    field.block() == 0 && !matches!(field.name, "WR_DIS" | "RD_DIS" | "CODING_SCHEME")
}

/// A wish that has a fair chance of being legal.
pub(crate) fn random(chance: &mut Chance, snapshot: &Snapshot) -> Wish {
    let map = snapshot.map();
    let mut wish = daring();
    let fields: Vec<_> = map.fields.iter().filter(plain).collect();
    for _ in 0..chance.below(5) {
        let field = *chance.pick(&fields);
        if matches!(field.kind, FieldKind::Mac | FieldKind::Purpose) || field.name == "MAC_CRC" {
            continue;
        }
        let mask = u64::MAX >> (64 - field.width().clamp(1, 64));
        wish.fields.push(FieldWish {
            field: field.name.to_owned(),
            value: FieldValue::Number(chance.next() & mask),
        });
        if chance.one_in(3) && field.write_disable.is_some() {
            wish.write_protect.push(field.name.to_owned());
        }
    }
    for _ in 0..chance.below(4) {
        let key = key(chance, snapshot);
        wish.keys.push(key);
    }
    if chance.one_in(4) {
        wish.custom_mac = Some(MacAddress([0x02, 1, 2, 3, 4, chance.next() as u8]));
    }
    if chance.one_in(4) {
        let all = [FlashVoltage::Low, FlashVoltage::High, FlashVoltage::Off];
        wish.flash_voltage = Some(*chance.pick(&all));
    }
    if chance.one_in(4) {
        let block = if map.chip == Chip::Esp32 {
            "BLOCK3"
        } else {
            "BLOCK2"
        };
        let bytes = 1 + chance.below(20);
        wish.blocks.push(BlockWish {
            block: block.to_owned(),
            offset: chance.below(4) as u8,
            bytes: Secret::new(chance.bytes(bytes)),
        });
    }
    wish
}

fn key(chance: &mut Chance, snapshot: &Snapshot) -> KeyWish {
    let map = snapshot.map();
    let (purpose, length) = match KeyPlaces::of(map.chip) {
        KeyPlaces::Fixed => {
            let all = ["flash_encryption", "secure_boot_v1", "secure_boot_v2"];
            ((*chance.pick(&all)).to_owned(), 32)
        }
        KeyPlaces::Halves => {
            let all = [
                ("XTS_AES_128_KEY", 32),
                ("XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS", 16),
                ("SECURE_BOOT_DIGEST", 32),
            ];
            let (name, length) = *chance.pick(&all);
            (name.to_owned(), length)
        }
        KeyPlaces::Slots => {
            let purpose = chance.pick(map.purposes);
            match purpose.name {
                "XTS_AES_256_KEY_1" => ("XTS_AES_256_KEY".to_owned(), 64),
                "ECDSA_KEY_P192" => (purpose.name.to_owned(), 24),
                "ECDSA_KEY_P384_H" => ("ECDSA_KEY_P384".to_owned(), 48),
                name => (name.to_owned(), 32),
            }
        }
    };
    let slots: Vec<_> = map.key_slots().map(|block| block.name).collect();
    let slot = if chance.one_in(3) && map.chip != Chip::Esp32 {
        Slot::Named((*chance.pick(&slots)).to_owned())
    } else {
        Slot::Free
    };
    KeyWish {
        slot,
        purpose,
        key: Secret::new(chance.bytes(length)),
        read_protect: chance.one_in(6).then_some(false),
        write_protect: chance.one_in(6).then_some(false),
    }
}
