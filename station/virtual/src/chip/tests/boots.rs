//! Resets, straps, boot logs and the application.

use station_esp::Chip;
use station_esp::command::Request;
use station_esp::partition::Table;

use super::rig::{MS, Rig};
use crate::boot::ResetReason;
use crate::chip::{ChipConfig, Mode, Port, VirtualChip};
use crate::wire::Wire;

/// An application of one segment that is mapped, as small as ROM and bootloader allow.
fn application(chip: Chip) -> Vec<u8> {
    let address: u32 = if chip == Chip::Esp32 {
        0x3F40_0020
    } else {
        0x3C00_0020
    };
    let mut image = vec![0xE9, 1, 2, 0x20];
    image.extend_from_slice(&address.to_le_bytes());
    let id = chip.spec().image_id as u8;
    image.extend_from_slice(&[0xEE, 0, 0, 0, id, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0, 0]);
    image.extend_from_slice(&address.to_le_bytes());
    image.extend_from_slice(&16u32.to_le_bytes());
    // Sixteen equal bytes leave the checksum at its seed, which is its 16-byte line's last byte.
    image.extend_from_slice(&[0x11; 16]);
    image.resize(image.len() | 15, 0);
    image.push(0xEF);
    image
}

pub(super) fn bootable(mut config: ChipConfig) -> Rig {
    config.strapped = true;
    let chip = config.chip;
    let mut rig = Rig::download(config);
    let flash = rig.chip.flash_mut();
    let crystal = chip.spec().typical_crystal_mhz();
    let bootloader = station_esp::loader::bootloader(chip, crystal).unwrap();
    let at = chip.spec().bootloader_offset;
    flash.load(at, bootloader).unwrap();
    let table = Table::parse_csv("factory,app,factory,0x10000,1M,\n").unwrap();
    flash.load(0x8000, &table.to_binary()).unwrap();
    flash.load(0x1_0000, &application(chip)).unwrap();
    rig.chip.strap_download(false);
    rig
}

#[test]
fn a_board_on_its_own_boots_and_says_that_its_flash_is_blank_about_once_a_second() {
    let mut chip = VirtualChip::new(ChipConfig::new(Chip::Esp32C3, 1, 7));
    let mut out = Vec::new();
    chip.advance(0, &mut out);
    let log = String::from_utf8(out).unwrap();
    assert!(
        log.contains("rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)"),
        "{log}"
    );
    assert!(log.contains("invalid header: 0xffffffff"), "{log}");
    assert_eq!(chip.mode(), Mode::BootFailed);
    chip.advance(10_000 * MS, &mut Vec::new());
    assert!(
        (10..=11).contains(&chip.resets()),
        "{} resets in ten seconds",
        chip.resets()
    );
}

#[test]
fn every_chip_announces_its_download_mode_in_the_words_hosts_look_for() {
    for chip in Chip::ALL {
        let log = crate::boot::rom_log(chip, ResetReason::PowerOn, true, true);
        assert!(
            log.contains(",boot:0x") && log.ends_with("waiting for download\r\n"),
            "{log}"
        );
    }
}

#[test]
fn a_complete_flash_starts_the_application_which_hears_and_speaks() {
    let mut rig = bootable(ChipConfig::new(Chip::Esp32C3, 1, 7));
    rig.chip.reset(rig.now);
    let log = rig.listen();
    assert!(log.contains("load:0x"), "{log}");
    assert!(
        log.contains("Loaded app from partition at offset 0x10000"),
        "{log}"
    );
    assert!(log.ends_with("MAC 7c:df:a1:00:00:01\r\n"), "{log}");
    assert_eq!(rig.chip.mode(), Mode::Application);
    assert_eq!(rig.exchange(b"hello\n", MS), b"hello\r\n");
}

#[test]
fn a_damaged_application_does_not_start() {
    let mut rig = bootable(ChipConfig::new(Chip::Esp32C3, 1, 7));
    rig.chip.flash_mut().program(0x1_0028, &[0]).unwrap();
    rig.chip.reset(rig.now);
    let log = rig.listen();
    assert!(log.contains("No bootable app partitions"), "{log}");
    assert_eq!(rig.chip.mode(), Mode::BootFailed);
}

#[test]
fn modem_lines_choose_the_boot_mode_even_one_after_the_other() {
    for wire in [Wire::On, Wire::Off] {
        let mut config = ChipConfig::new(Chip::Esp32C3, 1, 7);
        config.wire = wire;
        let mut rig = bootable(config);
        for (dtr, rts, wait) in [
            (false, true, 100),
            (true, true, 0),
            (true, false, 50),
            (false, false, 50),
        ] {
            rig.chip.set_lines(rig.now, dtr, rts);
            rig.now += wait * MS;
        }
        assert!(rig.listen().ends_with("waiting for download\r\n"));
        assert_eq!(rig.sync().len(), 8);
        rig.chip.set_lines(rig.now, false, true);
        rig.now += 100 * MS;
        assert_eq!(rig.chip.mode(), Mode::Held);
        rig.chip.set_lines(rig.now, false, false);
        rig.now += 500 * MS;
        assert!(rig.listen().contains("Hello from ESP32-C3"));
    }
}

#[test]
fn both_lines_together_do_nothing() {
    let mut rig = Rig::c3();
    let resets = rig.chip.resets();
    rig.chip.set_lines(rig.now, true, true);
    rig.chip.set_lines(rig.now, false, false);
    rig.now += 100 * MS;
    rig.listen();
    assert_eq!(rig.chip.resets(), resets);
    assert_eq!(rig.chip.mode(), Mode::Rom);
}

#[test]
fn the_usb_port_has_rules_of_its_own_and_no_rate() {
    let mut config = ChipConfig::new(Chip::Esp32C3, 1, 7);
    config.port = Port::UsbSerialJtag;
    let mut rig = bootable(config);
    for (dtr, rts) in [
        (false, false),
        (true, false),
        (true, true),
        (false, true),
        (false, false),
    ] {
        rig.chip.set_lines(rig.now, dtr, rts);
        rig.now += 100 * MS;
    }
    assert!(rig.listen().ends_with("waiting for download\r\n"));
    rig.baud = 9600;
    assert_eq!(rig.sync().len(), 8);
    rig.chip.set_lines(rig.now, false, true);
    rig.chip.set_lines(rig.now, false, false);
    rig.now += 100 * MS;
    assert!(rig.listen().contains("USB_UART_CHIP_RESET"));
    assert_eq!(rig.chip.mode(), Mode::Application);
}

#[test]
fn the_rom_finds_the_rate_of_the_host_and_an_application_does_not() {
    let mut rig = Rig::c3();
    rig.baud = 460_800;
    assert_eq!(rig.sync().len(), 8);
    assert_eq!(rig.chip.baud(), 460_800);
    let mut rig = bootable(ChipConfig::new(Chip::Esp32C3, 1, 7));
    rig.chip.reset(rig.now);
    rig.listen();
    rig.baud = 9600;
    assert_ne!(rig.exchange(b"hello\n", MS), b"hello\r\n");
}

#[test]
fn a_chip_without_power_neither_hears_nor_speaks_and_forgets_its_stub() {
    let mut rig = Rig::c3().stub();
    rig.chip.power(rig.now, false);
    assert!(rig.all(&Request::Sync).is_empty());
    assert_eq!(rig.chip.mode(), Mode::Off);
    rig.chip.power(rig.now, true);
    assert!(rig.listen().contains("waiting for download"));
    assert_eq!(rig.sync()[0].value, 0x2012_0707);
}

#[test]
fn flash_and_fuses_survive_in_a_snapshot_and_damage_is_noticed() {
    let mut rig = bootable(ChipConfig::new(Chip::Esp32C3, 1, 7));
    let saved = rig.chip.snapshot();
    let mut other = VirtualChip::new(ChipConfig::new(Chip::Esp32C3, 2, 7));
    other.restore(&saved).unwrap();
    assert_eq!(
        other.flash().bytes(0, 0x2_0000),
        rig.chip.flash().bytes(0, 0x2_0000)
    );
    assert_eq!(other.efuse().words(), rig.chip.efuse().words());
    for cut in [0, 7, 12, 40, saved.len() - 1] {
        assert!(other.restore(&saved[..cut]).is_err());
    }
    let mut small = VirtualChip::new(ChipConfig::new(Chip::Esp32C3, 3, 7).with_flash_size(1 << 20));
    assert_eq!(
        small.restore(&saved).unwrap_err().code(),
        "snapshot-other-board"
    );
    rig.chip.restore(&saved).unwrap();
}
