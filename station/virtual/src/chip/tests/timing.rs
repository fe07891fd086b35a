//! How long things take.

use station_esp::Chip;
use station_esp::command::{DataBlock, Request};

use super::rig::{MS, Rig};
use super::stub::{begin, deflated, noise};
use crate::chip::ChipConfig;
use crate::nor::FlashTiming;
use crate::wire::{Nanos, Wire};

fn board(wire: Wire, flash_timing: FlashTiming) -> Rig {
    let mut config = ChipConfig::new(Chip::Esp32C3, 1, 7);
    config.wire = wire;
    config.flash_timing = flash_timing;
    let mut rig = Rig::download(config).stub();
    rig.ok(&Request::ChangeBaudrate {
        new: 921_600,
        old: 115_200,
    });
    rig.baud = 921_600;
    rig
}

/// Writes `data` compressed and says how long it took until the end was answered.
fn write(rig: &mut Rig, data: &[u8]) -> Nanos {
    let start = rig.now;
    rig.ok(&Request::FlashDeflBegin(begin(data.len() as u32, 0)));
    for (sequence, block) in (0u32..).zip(deflated(data).chunks(0x4000)) {
        rig.ok(&Request::FlashDeflData(DataBlock {
            sequence,
            data: block,
        }));
    }
    rig.ok(&Request::FlashDeflEnd { reboot: false });
    assert_eq!(rig.chip.flash().bytes(0, data.len() as u32), data);
    rig.now - start
}

#[test]
fn bytes_take_ten_bits_in_each_direction() {
    let mut rig = board(Wire::On, FlashTiming::Off);
    let start = rig.now;
    rig.ok(&Request::ReadReg { address: 0 });
    // Fourteen bytes there with the marks, and twelve back.
    assert_eq!((rig.now - start) / 1000, 26 * 10 * 1_000_000 / 921_600);
}

#[test]
fn the_wire_and_the_flash_work_at_the_same_time() {
    let data = noise(1 << 18);
    let wire = write(&mut board(Wire::On, FlashTiming::Off), &data);
    let flash = write(&mut board(Wire::Off, FlashTiming::Typical), &data);
    let both = write(&mut board(Wire::On, FlashTiming::Typical), &data);
    let (larger, sum) = (wire.max(flash), wire + flash);
    assert!(
        both < larger + larger / 10 + 100 * MS,
        "{both} ns, of {wire} and {flash}"
    );
    assert!(both < sum, "{both} ns, of {wire} and {flash}");
    assert!(flash > 400_000 * 1024, "1024 pages take 0.4 ms each");
}

#[test]
fn erased_flash_is_programmed_faster_than_used_flash() {
    let data = noise(1 << 17);
    let mut rig = board(Wire::Off, FlashTiming::Typical);
    let first = write(&mut rig, &data);
    let second = write(&mut rig, &data);
    assert!(
        second > first + 2 * 140 * MS,
        "{first} ns, then {second} ns"
    );
}

#[test]
fn a_whole_erase_takes_its_time_and_a_rom_erases_before_it_answers() {
    let mut rig = board(Wire::Off, FlashTiming::Typical);
    let start = rig.now;
    rig.ok(&Request::EraseFlash);
    assert_eq!(rig.now - start, 64 * 150 * MS);
    let start = rig.now;
    rig.ok(&Request::EraseRegion {
        offset: 0xF000,
        length: 0x1_1000,
    });
    assert_eq!(rig.now - start, 195 * MS);
}

#[test]
fn a_chip_with_nothing_to_do_needs_no_waking() {
    let mut rig = board(Wire::On, FlashTiming::Typical);
    rig.now += 10 * MS;
    rig.listen();
    assert_eq!(rig.chip.next_due(), None);
    assert_eq!(rig.chip.input_backlog(), 0);
}
