//! A bootloader that encrypts flash in place on its first start, whole and cut short.

use station_esp::Chip;
use station_esp::chip::MemoryKind;
use station_esp::efuse::FieldName;
use station_esp::partition::Table;
use station_esp::secure::encryption::encrypt;

use super::rig::{MS, Rig};
use super::security::{protect_key, seal};
use crate::chip::{ChipConfig, VirtualChip};
use crate::fault::{PowerLoss, PulseMoment};

/// Where the partitions of the tests are, and whether they become ciphertext.
const PARTITIONS: [(&str, u32, u32, bool); 5] = [
    ("nvs,data,nvs,0x9000,0x3000,", 0x9000, 0x3000, false),
    ("otadata,data,ota,0xc000,0x2000,", 0xC000, 0x2000, true),
    (
        "factory,app,factory,0x10000,0x10000,",
        0x1_0000,
        0x1_0000,
        true,
    ),
    (
        "secrets,data,0x40,0x20000,0x1000,encrypted",
        0x2_0000,
        0x1000,
        true,
    ),
    // An application partition in which there is none.
    (
        "spare,app,ota_1,0x30000,0x10000,",
        0x3_0000,
        0x1_0000,
        false,
    ),
];

/// An image with one segment and no hash behind it.
fn image(chip: Chip, address: u32, content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    content.resize(content.len().next_multiple_of(4), 0);
    let mut bytes = vec![0xE9, 1, 2, 0x20];
    bytes.extend(address.to_le_bytes());
    bytes.extend([0xEE, 0, 0, 0]);
    bytes.extend(chip.spec().image_id.to_le_bytes());
    bytes.extend([0; 9]);
    bytes.push(0);
    bytes.extend(address.to_le_bytes());
    bytes.extend((content.len() as u32).to_le_bytes());
    bytes.extend(&content);
    let sum = content.iter().fold(0xEF, |sum, byte| sum ^ byte);
    while bytes.len() % 16 != 15 {
        bytes.push(0);
    }
    bytes.push(sum);
    bytes
}

fn addresses(chip: Chip) -> (u32, u32) {
    let start = |kinds: [MemoryKind; 2]| {
        let regions = &chip.spec().memory;
        let of = |kind| regions.iter().find(|region| region.kind == kind);
        kinds.into_iter().find_map(of).unwrap().start
    };
    let (ram, rom) = (
        start([MemoryKind::Dram, MemoryKind::Iram]),
        start([MemoryKind::Drom, MemoryKind::Irom]),
    );
    (ram + 0x2000, rom + 0x20)
}

/// Puts the plain content into flash, as a host writes it.
fn fill(chip: &mut VirtualChip, release: bool) {
    let which = chip.config().chip;
    let (ram, rom) = addresses(which);
    let mut texts = b"flash_encrypt".to_vec();
    if release {
        texts.extend(b" Setting CRYPT_CNT for permanent encryption");
    }
    let table: String = PARTITIONS
        .iter()
        .map(|(row, ..)| format!("{row}\n"))
        .collect();
    let table = Table::parse_csv(&table).unwrap().to_binary();
    let bootloader = image(which, ram, &texts);
    let offset = chip.spec.bootloader_offset;
    let flash = chip.flash_mut();
    flash.load(offset, &bootloader).unwrap();
    flash.load(0x8000, &table).unwrap();
    flash.load(0x9000, &[0x33; 64]).unwrap();
    flash
        .load(0x1_0000, &image(which, rom, &[0x77; 3000]))
        .unwrap();
    flash.load(0x2_0000, b"a secret in plain text").unwrap();
}

fn board(chip: Chip, release: bool) -> Rig {
    let mut rig = Rig::download(ChipConfig::new(chip, 1, 7));
    rig.chip.strap_download(false);
    fill(&mut rig.chip, release);
    rig
}

/// Starts what is in flash and says what it printed.
fn start(rig: &mut Rig) -> String {
    rig.now += 3000 * MS;
    rig.chip.power(rig.now, true);
    rig.chip.reset(rig.now);
    let mut said = String::new();
    for _ in 0..200 {
        rig.now += 20 * MS;
        said.push_str(&rig.listen());
    }
    said
}

fn count(chip: &VirtualChip) -> u64 {
    chip.efuse()
        .image()
        .read(FieldName::FlashCryptCount)
        .unwrap()
}

const STARTED: &str = "Hello from";

#[test]
fn a_first_start_encrypts_what_espressifs_bootloader_does_and_nothing_else() {
    for chip in [Chip::Esp32C3, Chip::Esp32S3, Chip::Esp32, Chip::Esp32C6] {
        for release in [false, true] {
            let mut rig = board(chip, release);
            let key = seal(&mut rig.chip);
            protect_key(&mut rig.chip);
            let plain = rig.chip.flash().bytes(0, 0x4_0000);
            let said = start(&mut rig);
            assert!(said.contains("Using pre-loaded"), "{chip}: {said}");
            assert!(
                said.contains("Flash encryption completed"),
                "{chip}: {said}"
            );
            assert!(said.contains(STARTED), "{chip}: {said}");
            let full = if chip == Chip::Esp32 { 0x7F } else { 7 };
            assert_eq!(count(&rig.chip), if release { full } else { 1 }, "{chip}");
            let offset = rig.chip.spec.bootloader_offset;
            let mut regions = vec![(offset, 0x1000, true), (0x8000, 0x1000, true)];
            regions.extend(PARTITIONS.map(|(_, at, size, sealed)| (at, size, sealed)));
            for (at, size, sealed) in regions {
                let before = &plain[at as usize..(at + size) as usize];
                let after = rig.chip.flash().bytes(at, size);
                let wanted = match sealed {
                    true => encrypt(&key, at, before).unwrap(),
                    false => before.to_vec(),
                };
                assert!(after == wanted, "{chip}: {at:#x}");
            }
            let forbidden = rig.chip.efuse().flag(FieldName::DisableDownloadEncrypt);
            assert_eq!(forbidden, release, "{chip}");
            let sealed = rig.chip.flash().bytes(0, 0x4_0000);
            assert!(start(&mut rig).contains(STARTED), "{chip} starts again");
            assert!(
                rig.chip.flash().bytes(0, 0x4_0000) == sealed,
                "{chip}: once"
            );
        }
    }
}

#[test]
fn a_chip_without_a_key_gets_one_that_nobody_knows() {
    for chip in [Chip::Esp32C3, Chip::Esp32S3, Chip::Esp32, Chip::Esp32C2] {
        let mut rig = board(chip, false);
        let said = start(&mut rig);
        assert!(said.contains("Generating new"), "{chip}: {said}");
        assert!(said.contains(STARTED), "{chip}: {said}");
        assert_eq!(count(&rig.chip), 1, "{chip}");
        let slot = rig.chip.efuse().map().key_slots().next().unwrap().number;
        assert!(
            rig.chip.efuse().data(slot).iter().any(|word| *word != 0),
            "{chip}"
        );
        let shown = rig.chip.efuse().image().block(slot).to_vec();
        assert!(
            shown.iter().all(|word| *word == 0),
            "{chip}: nobody reads it"
        );
    }
}

#[test]
fn a_key_that_is_not_protected_is_not_used_and_a_bootloader_without_encryption_has_no_use_for_one()
{
    let mut rig = board(Chip::Esp32C3, false);
    seal(&mut rig.chip);
    let said = start(&mut rig);
    assert!(said.contains("Invalid key state"), "{said}");
    assert!(!said.contains(STARTED), "{said}");
    assert_eq!(count(&rig.chip), 0);
    let mut other = board(Chip::Esp32C3, false);
    let bootloader = image(
        Chip::Esp32C3,
        addresses(Chip::Esp32C3).0,
        b"no more than that",
    );
    other.chip.flash_mut().load(0, &bootloader).unwrap();
    let said = start(&mut other);
    assert!(
        said.contains(STARTED) && !said.contains("flash_encrypt"),
        "{said}"
    );
    assert_eq!(count(&other.chip), 0);
}

#[test]
fn a_chip_that_expects_ciphertext_and_has_none_starts_nothing() {
    // What becomes of a board whose count was burned for the bootloader beforehand.
    let mut rig = board(Chip::Esp32C3, false);
    seal(&mut rig.chip);
    protect_key(&mut rig.chip);
    let set = |image: &mut station_esp::efuse::EfuseImage| {
        image.write(FieldName::FlashCryptCount, 1).unwrap();
    };
    rig.chip.efuse_mut().edit(set);
    let said = start(&mut rig);
    assert!(said.contains("invalid header"), "{said}");
    assert!(!said.contains("flash_encrypt"), "{said}");
}

#[test]
fn a_loss_of_power_leaves_a_chip_that_plain_text_makes_whole_again() {
    let mut whole = board(Chip::Esp32C3, true);
    seal(&mut whole.chip);
    protect_key(&mut whole.chip);
    start(&mut whole);
    let wanted = whole.chip.flash().bytes(0, 0x4_0000);
    let (programs, erases) = whole.chip.flash_operations();
    let pulses = whole.chip.efuse().pulses();
    assert!(
        erases > 20 && programs > 300 && pulses >= 2,
        "{erases} {programs} {pulses}"
    );
    let mut cuts: Vec<PowerLoss> = Vec::new();
    for at in 1..=erases {
        cuts.push(PowerLoss {
            at_erase: Some(at),
            ..PowerLoss::default()
        });
    }
    for at in (1..=programs).step_by(7) {
        cuts.push(PowerLoss {
            at_program: Some(at),
            ..PowerLoss::default()
        });
    }
    for at in 1..=pulses {
        for pulse in [PulseMoment::Before, PulseMoment::Partly, PulseMoment::After] {
            cuts.push(PowerLoss {
                at_pulse: Some(at),
                pulse,
                ..PowerLoss::default()
            });
        }
    }
    let mut stranded = 0;
    for cut in cuts {
        let mut rig = board(Chip::Esp32C3, true);
        seal(&mut rig.chip);
        protect_key(&mut rig.chip);
        rig.chip.fail_supply_next(cut);
        let said = start(&mut rig);
        let on = count(&rig.chip).count_ones() % 2 == 1;
        assert!(!said.contains(STARTED), "{cut:?}: {said}");
        assert!(!rig.chip.is_powered(), "{cut:?}");
        let again = start(&mut rig);
        if again.contains(STARTED) {
            // Before the first sector, or after the last.
            assert!(count(&rig.chip).count_ones() % 2 == 1, "{cut:?}");
        } else {
            stranded += 1;
            assert!(!on, "{cut:?}: {again}");
            rig.chip.flash_mut().load(0, &vec![0xFF; 0x4_0000]).unwrap();
            fill(&mut rig.chip, true);
            let said = start(&mut rig);
            assert!(said.contains(STARTED), "{cut:?}: {said}");
        }
        if count(&rig.chip) == 7 {
            assert!(rig.chip.flash().bytes(0, 0x4_0000) == wanted, "{cut:?}");
        }
    }
    assert!(stranded > 20, "{stranded}");
}
