//! What fuses do to the chip: download modes, encrypted flash, signed images, power lost in a pulse.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use station_esp::Chip;
use station_esp::command::{DataBlock, FlashBegin, RegisterWrite, Request, SecurityInfo};
use station_esp::efuse::FieldName;
use station_esp::efuse::map::{Controller, Generation};
use station_esp::secret::Secret;
use station_esp::secure::encryption::{FlashKey, Scheme, decrypt, encrypt};
use station_esp::secure::signature::{Algorithm, PrivateKey, Signer, sign};

use super::boots::bootable;
use super::rig::{MS, Rig};
use crate::chip::{ChipConfig, Mode, VirtualChip};
use crate::fault::{PowerLoss, PulseMoment};

/// Keys as people hold them.
pub(super) const KEY: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";

/// Stores bytes in a block, in reverse order as keys are.
pub(super) fn store(chip: &mut VirtualChip, block: u8, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    bytes.reverse();
    store_forward(chip, block, &bytes);
}

pub(super) fn store_forward(chip: &mut VirtualChip, block: u8, bytes: &[u8]) {
    chip.efuse_mut().edit(|image| {
        for (word, bytes) in image.block_mut(block).iter_mut().zip(bytes.chunks(4)) {
            *word = u32::from_le_bytes(bytes.try_into().unwrap());
        }
    });
}

pub(super) fn set(chip: &mut VirtualChip, field: FieldName, value: u64) {
    chip.efuse_mut()
        .edit(|image| image.write(field, value).unwrap());
}

/// A host's writes for one bit of block 0: data, key, command.
fn pulse(chip: Chip, field: &str) -> Vec<RegisterWrite> {
    let map = station_esp::efuse::map::fuse_map(chip, ChipConfig::new(chip, 1, 7).revision);
    let part = map.field(field).unwrap().parts[0];
    let data = map.blocks[0].write + u32::from(part.bit / 32) * 4;
    vec![
        RegisterWrite::plain(data, 1 << (part.bit % 32)),
        RegisterWrite::plain(map.controller.conf, Controller::PROGRAM_KEY),
        RegisterWrite::plain(map.controller.command, Controller::PROGRAM),
    ]
}

fn reload(chip: Chip) -> Vec<RegisterWrite> {
    let map = station_esp::efuse::map::fuse_map(chip, ChipConfig::new(chip, 1, 7).revision);
    vec![
        RegisterWrite::plain(map.controller.conf, Controller::READ_KEY),
        RegisterWrite::plain(map.controller.command, Controller::READ),
    ]
}

#[test]
fn secure_download_mode_begins_with_the_read_that_shows_it() {
    for chip in Chip::ALL.into_iter().filter(|chip| *chip != Chip::Esp32) {
        let mut rig = Rig::download(ChipConfig::new(chip, 1, 7));
        rig.sync();
        let probe = Request::ReadReg { address: 0 };
        rig.ok(&Request::WriteReg(pulse(chip, "ENABLE_SECURITY_DOWNLOAD")));
        rig.ok(&probe);
        rig.ok(&Request::WriteReg(reload(chip)));
        let refused = rig.all(&probe);
        assert!(!refused[0].status.is_ok(), "{chip}");
        let answer = rig.ok(&Request::GetSecurityInfo);
        assert_eq!(
            SecurityInfo::decode(&answer.body).unwrap().flags,
            4,
            "{chip}"
        );
    }
}

#[test]
fn a_rom_without_download_mode_falls_silent_and_says_why_after_the_next_reset() {
    for chip in Chip::ALL {
        let mut rig = Rig::download(ChipConfig::new(chip, 1, 7));
        rig.sync();
        let first = chip == Chip::Esp32;
        let field = if first {
            "UART_DOWNLOAD_DIS"
        } else {
            "DIS_DOWNLOAD_MODE"
        };
        rig.ok(&Request::WriteReg(pulse(chip, field)));
        let answers = rig.all(&Request::WriteReg(reload(chip)));
        assert_eq!(answers.is_empty(), !first, "{chip}");
        assert_eq!(rig.sync().is_empty(), !first, "{chip}");
        rig.chip.reset(rig.now);
        let log = rig.listen();
        let why = if first {
            "Download mode is disabled"
        } else {
            "modes disabled"
        };
        assert!(
            log.contains(why) && !log.contains("waiting"),
            "{chip}: {log}"
        );
        assert!(rig.sync().is_empty(), "{chip}");
    }
    let mut old = ChipConfig::new(Chip::Esp32, 1, 7);
    old.revision = station_esp::Revision::new(1, 0);
    let mut rig = Rig::download(old);
    set(&mut rig.chip, FieldName::DisableDownload, 1);
    rig.chip.reset(rig.now);
    assert!(rig.listen().contains("waiting for download"));
}

#[test]
fn a_stub_goes_on_whatever_is_burned() {
    let mut rig = Rig::c3().stub();
    rig.ok(&Request::WriteReg(pulse(
        Chip::Esp32C3,
        "DIS_DOWNLOAD_MODE",
    )));
    rig.ok(&Request::WriteReg(reload(Chip::Esp32C3)));
    assert_eq!(rig.sync().len(), 8);
}

/// Puts the key of a chip into its fuses and hides it.
pub(super) fn seal(chip: &mut VirtualChip) -> FlashKey {
    let which = chip.config().chip;
    match which {
        Chip::Esp32 => {
            store(chip, 1, &KEY);
            chip.efuse_mut()
                .edit(|image| image.block_mut(0)[5] |= 0xF << 28);
            set(chip, FieldName::ReadDisable, 1);
        }
        Chip::Esp32C2 => {
            store(chip, 3, &KEY);
            let map = chip.efuse().map();
            let bit = map.field("XTS_KEY_LENGTH_256").unwrap().parts[0].bit;
            let word = usize::from(bit / 32);
            chip.efuse_mut()
                .edit(|image| image.block_mut(0)[word] |= 1 << (bit % 32));
            set(chip, FieldName::ReadDisable, 3);
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
        | Chip::Esp32S31 => {
            store(chip, 4, &KEY);
            let code = chip.efuse().map().purpose("XTS_AES_128_KEY").unwrap().code;
            set(chip, FieldName::KeyPurpose0, code.into());
            set(chip, FieldName::ReadDisable, 1);
        }
    }
    FlashKey::new(Scheme::of(which), Secret::new(KEY.to_vec())).unwrap()
}

/// Closes the key that [`seal`] has put there.
pub(super) fn protect_key(chip: &mut VirtualChip) {
    let map = chip.efuse().map();
    let slot = map.key_slots().next().unwrap();
    let purpose = slot.purpose.and_then(|name| map.field(name));
    let bits = [
        slot.write_disable,
        purpose.and_then(|field| field.write_disable),
    ];
    let closed = bits
        .into_iter()
        .flatten()
        .fold(0, |all, bit| all | 1_u64 << bit);
    chip.efuse_mut().edit(|image| {
        let field = map.field("WR_DIS").unwrap();
        image.set_number(field, closed).unwrap();
    });
}

#[test]
fn a_chip_with_flash_encryption_starts_what_was_encrypted_with_its_key_and_nothing_else() {
    let mut rig = bootable(ChipConfig::new(Chip::Esp32C3, 1, 7));
    let key = seal(&mut rig.chip);
    assert!(
        rig.chip
            .efuse()
            .image()
            .block(4)
            .iter()
            .all(|word| *word == 0)
    );
    set(&mut rig.chip, FieldName::FlashCryptCount, 1);
    rig.chip.reset(rig.now);
    let log = rig.listen();
    assert!(
        log.contains("invalid header"),
        "plaintext is garbage now: {log}"
    );
    let plain = rig.chip.flash().bytes(0, 0x2_0000);
    for at in (0..0x2_0000).step_by(0x1000) {
        let cipher = encrypt(&key, at as u32, &plain[at..at + 0x1000]).unwrap();
        rig.chip.flash_mut().load(at as u32, &cipher).unwrap();
    }
    rig.now += 10 * MS;
    rig.chip.reset(rig.now);
    let log = rig.listen();
    assert!(log.contains("Hello from ESP32-C3"), "{log}");
    assert_ne!(
        rig.chip.flash().bytes(0, 0x1000),
        plain[..0x1000],
        "flash holds ciphertext"
    );
    set(&mut rig.chip, FieldName::FlashCryptCount, 3);
    rig.chip.reset(rig.now);
    assert!(
        rig.listen().contains("invalid header"),
        "an even count switches it off"
    );
}

#[test]
fn a_rom_encrypts_what_it_is_asked_to_and_reads_back_ciphertext() {
    for chip in Chip::ALL {
        let config = ChipConfig::new(chip, 1, 7);
        // The ESP32's ROM has no word for it.
        let mut rig = if chip == Chip::Esp32 {
            Rig::download(config).stub()
        } else {
            Rig::download(config)
        };
        rig.sync();
        let begin = |offset| {
            Request::FlashBegin(FlashBegin {
                erase_size: 0x400,
                blocks: 1,
                block_size: 0x400,
                offset,
                encrypt: Some(true),
            })
        };
        if !matches!(chip, Chip::Esp32 | Chip::Esp32C2) {
            assert!(
                !rig.ask(&begin(0x1_0000)).status.is_ok(),
                "{chip} has no key"
            );
        }
        let key = seal(&mut rig.chip);
        let data: Vec<u8> = (0..0x400u32).map(|at| (at * 7) as u8).collect();
        rig.ok(&begin(0x1_0000));
        rig.ok(&Request::FlashData(DataBlock {
            sequence: 0,
            data: &data,
        }));
        rig.sync();
        let there = rig.chip.flash().bytes(0x1_0000, 0x400);
        assert_ne!(there, data, "{chip}");
        assert_eq!(decrypt(&key, 0x1_0000, &there).unwrap(), data, "{chip}");
        assert!(
            !rig.ask(&begin(0x1_0008)).status.is_ok(),
            "{chip}: no whole block"
        );
        set(&mut rig.chip, FieldName::DisableDownloadEncrypt, 1);
        assert!(
            !rig.ask(&begin(0x1_0000)).status.is_ok(),
            "{chip}: switched off"
        );
    }
}

/// Signs bootloader and application in flash.
pub(super) fn sign_flash(chip: &mut VirtualChip, key: &PrivateKey, rng: &mut ChaCha8Rng) {
    let signers: [&dyn Signer; 1] = [key];
    for (at, length) in [(0, 0x8000), (0x1_0000, 0x1_0000)] {
        let bytes = chip.flash().bytes(at, length);
        let image = station_esp::image::Image::parse(&bytes).unwrap();
        let signed = sign(&bytes[..image.length as usize], &signers, rng).unwrap();
        chip.flash_mut().load(at, &signed).unwrap();
    }
}

pub(super) fn boots(rig: &mut Rig) -> bool {
    rig.now += 3000 * MS;
    rig.chip.reset(rig.now);
    let log = rig.listen();
    let started = log.contains("Hello from");
    assert!(
        started || log.contains("verification failed") || log.contains("not trusted"),
        "{log}"
    );
    started
}

#[test]
fn a_chip_with_secure_boot_starts_what_a_trusted_key_signed_and_nothing_else() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let key = PrivateKey::generate(Algorithm::Rsa3072, &mut rng).unwrap();
    let mut rig = bootable(ChipConfig::new(Chip::Esp32C3, 1, 7));
    store_forward(&mut rig.chip, 6, &key.public().digest());
    set(&mut rig.chip, FieldName::KeyPurpose2, 9);
    set(&mut rig.chip, FieldName::SecureBoot, 1);
    assert!(!boots(&mut rig), "nothing is signed");
    sign_flash(&mut rig.chip, &key, &mut rng);
    assert!(boots(&mut rig));
    let signed = rig.chip.flash().bytes(0x1_0000, 0x2000);
    rig.chip
        .flash_mut()
        .load(0x1_1000, &[0xFF; 0x1000])
        .unwrap();
    assert!(!boots(&mut rig), "the application lost its signature");
    rig.chip.flash_mut().load(0x1_0000, &signed).unwrap();
    set(&mut rig.chip, FieldName::KeyRevoke0, 1);
    assert!(!boots(&mut rig), "its key is revoked");
    set(&mut rig.chip, FieldName::KeyRevoke0, 0);
    let curve = PrivateKey::generate(Algorithm::EcdsaP256, &mut rng).unwrap();
    store_forward(&mut rig.chip, 6, &curve.public().digest());
    let mut other = bootable(ChipConfig::new(Chip::Esp32C3, 1, 7));
    sign_flash(&mut other.chip, &curve, &mut rng);
    let flash = other.chip.flash().bytes(0, 0x2_0000);
    rig.chip.flash_mut().load(0, &flash).unwrap();
    assert!(!boots(&mut rig), "this chip knows no such signatures");
}

#[test]
fn roms_that_start_nothing_from_ram_under_secure_boot_refuse_the_stub() {
    for (chip, refuses) in [
        (Chip::Esp32C3, true),
        (Chip::Esp32S3, true),
        (Chip::Esp32C6, false),
    ] {
        let mut rig = Rig::download(ChipConfig::new(chip, 1, 7));
        set(&mut rig.chip, FieldName::SecureBoot, 1);
        rig.sync();
        let entry = 0x4038_0000;
        rig.upload(entry, &[0; 16]);
        let answers = rig.all(&Request::MemEnd { stay: false, entry });
        assert_eq!(answers[0].status.is_ok(), !refuses, "{chip}");
        assert_eq!(rig.chip.mode() == Mode::Rom, refuses, "{chip}");
    }
}

#[test]
fn power_lost_in_a_pulse_is_never_answered_and_the_board_comes_back_with_what_was_burned() {
    for chip in Chip::ALL {
        for (moment, burned) in [(PulseMoment::Before, 0), (PulseMoment::After, 1)] {
            let mut config = ChipConfig::new(chip, 1, 7);
            config.faults.power_loss = Some(PowerLoss {
                at_pulse: Some(1),
                pulse: moment,
                ..PowerLoss::default()
            });
            let mut rig = Rig::download(config);
            rig.sync();
            let first = rig.chip.efuse().map().controller.generation == Generation::First;
            let field = if first {
                "JTAG_DISABLE"
            } else {
                "SECURE_BOOT_EN"
            };
            let answers = rig.all(&Request::WriteReg(pulse(chip, field)));
            assert!(answers.is_empty(), "{chip}");
            assert_eq!(rig.chip.mode(), Mode::Off, "{chip}");
            assert!(!rig.chip.is_powered());
            rig.chip.power(rig.now, true);
            assert!(rig.listen().contains("waiting for download"), "{chip}");
            rig.sync();
            assert_eq!(rig.chip.efuse().field(field), burned, "{chip} {moment:?}");
            rig.ok(&Request::WriteReg(pulse(chip, field)));
            rig.chip.fail_supply_next(PowerLoss {
                at_pulse: Some(2),
                ..PowerLoss::default()
            });
            rig.ok(&Request::WriteReg(pulse(chip, field)));
            assert!(rig.all(&Request::WriteReg(pulse(chip, field))).is_empty());
            assert_eq!(rig.chip.efuse().pulses(), 4);
        }
    }
}

#[test]
fn power_lost_at_a_byte_can_be_ordered_again_for_a_board_that_came_back() {
    let mut rig = Rig::c3();
    for at in [1, 20, 33] {
        rig.chip.fail_supply_next(PowerLoss {
            at_byte: Some(at),
            ..PowerLoss::default()
        });
        let before = rig.chip.received();
        rig.exchange(&[0xC0; 100], MS);
        assert_eq!(rig.chip.mode(), Mode::Off);
        assert!(rig.chip.received() >= before + at);
        rig.chip.power(rig.now, true);
        rig.listen();
    }
}

#[test]
fn an_old_snapshot_is_read_and_gets_its_check_words() {
    let mut rig = Rig::c3();
    store_forward(&mut rig.chip, 4, &KEY);
    let saved = rig.chip.snapshot();
    let mut old = b"VCHIP001".to_vec();
    old.extend(rig.chip.flash().size().to_le_bytes());
    let words: Vec<u32> = rig
        .chip
        .efuse()
        .map()
        .blocks
        .iter()
        .flat_map(|block| {
            let data = rig.chip.efuse().data(block.number);
            data.into_iter().take(block.words.into())
        })
        .collect();
    old.extend((words.len() as u32).to_le_bytes());
    old.extend(words.into_iter().flat_map(u32::to_le_bytes));
    old.extend(0u32.to_le_bytes());
    let mut other = VirtualChip::new(ChipConfig::new(Chip::Esp32C3, 2, 7));
    other.restore(&old).unwrap();
    assert_eq!(other.efuse().words(), rig.chip.efuse().words());
    let mut foreign = VirtualChip::new(ChipConfig::new(Chip::Esp32S3, 2, 7));
    let refused = foreign.restore(&saved).unwrap_err();
    assert_eq!(refused.code(), "snapshot-other-board");
}
