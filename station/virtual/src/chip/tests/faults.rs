//! Chips with faults.

use station_esp::Chip;
use station_esp::command::{DataBlock, Dialect, Request};

use super::boots::bootable;
use super::rig::{MS, Rig};
use super::stub::{begin, noise};
use crate::chip::{ChipConfig, Mode, VirtualChip};
use crate::fault::{Faults, PowerLoss};
use crate::nor::FlashTiming;
use crate::wire::Wire;

fn faulty(text: &str) -> ChipConfig {
    let mut config = ChipConfig::new(Chip::Esp32C3, 1, 7);
    config.faults = Faults::from_toml(text).unwrap();
    config
}

fn plain_write(rig: &mut Rig, data: &[u8]) {
    rig.all(&Request::FlashBegin(begin(data.len() as u32, 0)));
    for (sequence, data) in (0u32..).zip(data.chunks(0x4000)) {
        rig.all(&Request::FlashData(DataBlock { sequence, data }));
    }
}

#[test]
fn a_silent_chip_answers_nothing_and_a_flood_never_ends() {
    let mut rig = Rig::download(faulty("silent = true"));
    assert!(rig.sync().is_empty());
    let mut config = faulty("flood = true");
    config.strapped = true;
    let mut chip = VirtualChip::new(config);
    let mut out = Vec::new();
    for second in 1..=3 {
        chip.advance(second * 1000 * MS, &mut out);
        chip.receive(second * 1000 * MS, Some(115_200), &[0xC0; 100]);
        assert!(chip.next_due().is_some());
    }
    assert!(!out.is_empty());
    assert_eq!(chip.input_backlog(), 0);
}

#[test]
fn a_stuck_sector_spoils_the_digest_and_nothing_else() {
    let mut rig = Rig::download(faulty("stuck_sectors = [1]")).stub();
    let data = noise(0x4000);
    plain_write(&mut rig, &data);
    rig.ok(&Request::FlashEnd { reboot: false });
    let flash = rig.chip.flash().bytes(0, 0x4000);
    assert_eq!(flash[..0x1000], data[..0x1000]);
    assert_eq!(flash[0x1000..0x2000], [0xFF; 0x1000]);
    assert_eq!(flash[0x2000..], data[0x2000..]);
}

#[test]
fn a_power_loss_in_a_page_leaves_it_half_written() {
    let mut rig = Rig::download(faulty("[power_loss]\nat_program = 3\nback_after_ms = 10")).stub();
    let data = noise(0x4000);
    plain_write(&mut rig, &data);
    let flash = rig.chip.flash().bytes(0, 0x4000);
    assert_eq!(flash[..0x280], data[..0x280]);
    assert_eq!(flash[0x280..0x300], [0xFF; 0x80]);
    assert_eq!(rig.chip.mode(), Mode::Rom, "the supply came back");
    assert_eq!(rig.sync().len(), 8);
}

#[test]
fn switching_off_in_the_middle_of_a_timed_write_keeps_what_was_programmed() {
    let mut config = faulty("");
    config.flash_timing = FlashTiming::Typical;
    let mut rig = Rig::download(config).stub();
    rig.ok(&Request::FlashBegin(begin(0x4000, 0)));
    let data = noise(0x4000);
    rig.ok(&Request::FlashData(DataBlock {
        sequence: 0,
        data: &data,
    }));
    rig.now += 10 * MS;
    rig.chip.power(rig.now, false);
    let flash = rig.chip.flash().bytes(0, 0x4000);
    let kept = flash
        .iter()
        .zip(&data)
        .take_while(|(is, should)| is == should)
        .count();
    assert!(
        (0x100..0x1900).contains(&kept),
        "{kept} bytes were programmed in 10 ms"
    );
    assert!(flash[kept + 0x100..].iter().all(|byte| *byte == 0xFF));
}

#[test]
fn power_can_fail_at_any_received_byte() {
    for at in [1, 60, 500, 5000] {
        let mut config = faulty("");
        config.faults.power_loss = Some(PowerLoss {
            at_byte: Some(at),
            ..PowerLoss::default()
        });
        let mut rig = Rig::download(config);
        rig.exchange(&vec![0xC0; 6000], MS);
        assert_eq!(rig.chip.mode(), Mode::Off, "byte {at}");
        assert_eq!(rig.chip.next_due(), None);
    }
}

#[test]
fn a_brown_out_resets_and_says_so() {
    let mut rig = Rig::download(faulty("[power_loss]\nat_byte = 20\nbrownout = true"));
    rig.exchange(&[0xC0; 30], MS);
    rig.now += 100 * MS;
    let log = rig.listen();
    assert!(log.contains("BROWN_OUT_RST"), "{log}");
    assert_eq!(rig.sync().len(), 8);
}

#[test]
fn chatter_late_answers_and_deaf_ears_for_rates_follow_their_knobs() {
    let mut rig = Rig::download(faulty("[chatter]\ntext = \"W (1) adc: noise\"\nevery = 4"));
    let mut frame = Vec::new();
    Request::Sync.encode(Dialect::Rom, &mut frame);
    let mut bytes = Vec::new();
    station_esp::slip::encode(&frame, &mut bytes);
    let heard = rig.exchange(&bytes, MS);
    assert_eq!(
        String::from_utf8_lossy(&heard)
            .matches("adc: noise")
            .count(),
        2
    );
    let mut rig = Rig::download(faulty("[late]\nevery = 1\nby_ms = 300"));
    let start = rig.now;
    rig.ok(&Request::ReadReg { address: 0 });
    assert_eq!(rig.now - start, 300 * MS);
    let mut rig = Rig::download(faulty("ignore_baud = true"));
    rig.ok(&Request::ChangeBaudrate {
        new: 921_600,
        old: 0,
    });
    assert_eq!(rig.chip.baud(), 115_200);
    let mut rig = Rig::download(faulty("max_baud = 500000"));
    rig.sync();
    rig.ok(&Request::ChangeBaudrate {
        new: 921_600,
        old: 0,
    });
    rig.baud = 921_600;
    assert!(rig.sync().is_empty(), "the wire does not carry that rate");
}

#[test]
fn a_wrong_flash_id_is_told() {
    let mut rig = Rig::download(faulty("flash_jedec = [0xEF, 0x40, 0x18]"));
    let spi = Chip::Esp32C3.spec().spi;
    for (address, value) in [
        (spi.miso_dlen, 23),
        (spi.usr, 0x9000_0000),
        (spi.usr2, 0x7000_009F),
        (spi.cmd, 1 << 18),
    ] {
        let write = station_esp::command::RegisterWrite::plain(address, value);
        rig.ok(&Request::WriteReg(vec![write]));
    }
    assert_eq!(
        rig.ok(&Request::ReadReg { address: spi.w0 }).value,
        0x18_40EF
    );
}

#[test]
fn random_resets_happen_and_the_chip_comes_back() {
    let mut rig = Rig::download(faulty("reset_per_million = 20000"));
    for _ in 0..50 {
        rig.all(&Request::ReadReg { address: 0 });
        rig.now += 50 * MS;
        rig.listen();
    }
    assert!(rig.chip.resets() > 3, "{} resets", rig.chip.resets());
    assert_eq!(rig.chip.mode(), Mode::Rom);
}

#[test]
fn a_chip_that_never_boots_stops_after_its_bootloader() {
    let mut config = faulty("never_boots = true");
    config.strapped = false;
    let mut rig = bootable(config);
    rig.chip.reset(rig.now);
    assert!(rig.listen().contains("Loaded app"));
    assert_eq!(
        (rig.chip.mode(), rig.chip.next_due()),
        (Mode::BootFailed, None)
    );
}

#[test]
fn the_same_seed_replays_every_byte() {
    let text = "reset_per_million = 500\n[to_chip]\nflip_per_million = 2000\n\
                drop_per_million = 1000\ndelay_per_million = 1000\ndelay_ms = 3\n\
                [from_chip]\nflip_per_million = 3000";
    let run = |seed| {
        let mut config = faulty(text);
        (config.seed, config.wire, config.flash_timing) = (seed, Wire::On, FlashTiming::Typical);
        config.strapped = true;
        let mut rig = Rig {
            chip: VirtualChip::new(config),
            now: 0,
            baud: 115_200,
        };
        let mut heard = Vec::new();
        for round in 0..60u8 {
            let mut bytes = Vec::new();
            let mut frame = Vec::new();
            Request::ReadReg {
                address: 0x6000_8844,
            }
            .encode(Dialect::Rom, &mut frame);
            station_esp::slip::encode(&frame, &mut bytes);
            bytes.push(round);
            heard.push((rig.now, rig.exchange(&bytes, 100 * MS)));
            rig.now += 20 * MS;
        }
        heard
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
