//! Every rule of the controller, through its registers.

use station_esp::Chip;
use station_esp::efuse::FieldName;
use station_esp::efuse::map::{BlockErrors, Coding, Controller, ErrorRegisters, Generation};
use station_esp::{MacAddress, Revision};

use super::reed_solomon::check_bytes;
use super::{EfuseArray, FuseMake, Wrote};
use crate::chip::{ChipConfig, ordinary_crystal};
use crate::fault::{FuseBit, FuseFaults, PowerLoss, PulseMoment, WeakFuse};

const MAC: MacAddress = MacAddress([0x7C, 0xDF, 0xA1, 1, 2, 3]);

fn make(chip: Chip) -> FuseMake {
    FuseMake {
        chip,
        revision: ChipConfig::new(chip, 1, 1).revision,
        mac: MAC,
        crystal_mhz: ordinary_crystal(chip),
        timed: false,
        faults: FuseFaults::default(),
        unit: 5,
        seed: 9,
    }
}

fn fuses(chip: Chip) -> EfuseArray {
    EfuseArray::make(make(chip))
}

/// Every chip as it is sold, and the revisions from which its fuses mean something else.
fn silicon() -> impl Iterator<Item = (Chip, Revision)> {
    let sold = Chip::ALL
        .into_iter()
        .map(|chip| (chip, ChipConfig::new(chip, 1, 1).revision));
    sold.chain([
        (Chip::Esp32H2, Revision::new(1, 2)),
        (Chip::Esp32P4, Revision::new(3, 0)),
    ])
}

fn fuses_at(chip: Chip, revision: Revision) -> EfuseArray {
    EfuseArray::make(FuseMake {
        revision,
        ..make(chip)
    })
}

fn faulty(chip: Chip, faults: FuseFaults) -> EfuseArray {
    EfuseArray::make(FuseMake {
        faults,
        ..make(chip)
    })
}

/// A chip's host: what it does to the registers.
trait Host {
    fn set(&mut self, address: u32, value: u32) -> Wrote;
    fn offer(&mut self, block: u8, words: &[u32], check: Option<[u32; 3]>);
    fn pulse(&mut self, block: u8) -> Wrote;
    fn reload(&mut self);
    fn burn(&mut self, block: u8, words: &[u32]) -> Wrote;
    fn timing(&mut self);
    fn word(&self, block: u8, word: u32) -> u32;
    fn errors(&self, block: u8) -> (u32, bool);
}

impl Host for EfuseArray {
    fn set(&mut self, address: u32, value: u32) -> Wrote {
        self.write(address, value, 0)
    }

    fn offer(&mut self, block: u8, words: &[u32], check: Option<[u32; 3]>) {
        let map = self.map();
        let first = map.blocks[usize::from(block)].write;
        for (address, word) in (0u32..).map(|index| first + index * 4).zip(words) {
            self.set(address, *word);
        }
        for (index, word) in (0u32..).zip(check.into_iter().flatten()) {
            self.set(map.controller.check + index * 4, word);
        }
    }

    fn pulse(&mut self, block: u8) -> Wrote {
        let controller = self.map().controller;
        self.set(controller.conf, Controller::PROGRAM_KEY);
        let number = match controller.generation {
            Generation::First => 0,
            Generation::ReedSolomon => u32::from(block) << 2,
        };
        self.set(controller.command, Controller::PROGRAM | number)
    }

    fn reload(&mut self) {
        let controller = self.map().controller;
        self.set(controller.conf, Controller::READ_KEY);
        self.set(controller.command, Controller::READ);
    }

    /// Everything a host does for one block: data padded with zeros, check words, pulse, read.
    fn burn(&mut self, block: u8, words: &[u32]) -> Wrote {
        let coded = self.map().blocks[usize::from(block)].coding == Coding::ReedSolomon;
        let mut padded = [0; 8];
        padded[..words.len().min(8)].copy_from_slice(&words[..words.len().min(8)]);
        let check = coded.then(|| check_words(&padded));
        let first = if coded { &padded[..] } else { words };
        self.offer(
            block,
            &vec![0; usize::from(self.map().blocks[usize::from(block)].words)],
            None,
        );
        self.offer(block, first, check);
        let wrote = self.pulse(block);
        self.offer(block, &vec![0; first.len()], None);
        if wrote == Wrote::Done {
            self.reload();
        }
        wrote
    }

    fn timing(&mut self) {
        let controller = self.map().controller;
        for bits in controller
            .timing(ordinary_crystal(self.map().chip))
            .unwrap()
        {
            let old = self.read(bits.address, 0).unwrap();
            self.set(bits.address, old & !bits.mask | bits.value);
        }
    }

    fn word(&self, block: u8, word: u32) -> u32 {
        let address = self.map().blocks[usize::from(block)].read + word * 4;
        self.read(address, 0).unwrap()
    }

    fn errors(&self, block: u8) -> (u32, bool) {
        let ErrorRegisters::PerBlock { blocks, .. } = self.map().controller.errors else {
            panic!("the ESP32 reports otherwise");
        };
        let place: &BlockErrors = blocks.iter().find(|place| place.block == block).unwrap();
        let count = self.read(place.address, 0).unwrap() >> place.count_bit & 7;
        let failed = place
            .fail_bit
            .is_some_and(|fail| self.read(fail.address, 0).unwrap() >> fail.bit & 1 == 1);
        (count, failed)
    }
}

fn check_words(words: &[u32; 8]) -> [u32; 3] {
    let mut data = [0; 32];
    for (place, word) in data.chunks_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let check = check_bytes(&data);
    std::array::from_fn(|at| u32::from_le_bytes(check[at * 4..at * 4 + 4].try_into().unwrap()))
}

/// Sets a field's bits in block 0 as a host would.
fn burn_field(fuses: &mut EfuseArray, name: &str, value: u64) -> Wrote {
    let field = fuses.map().field(name).unwrap();
    let mut words = vec![0; fuses.map().blocks[0].words.into()];
    let mut shift = 0;
    for part in field.parts {
        assert_eq!(part.block, 0);
        for bit in 0..part.width {
            let place = part.bit + bit;
            words[usize::from(place / 32)] |= ((value >> shift & 1) as u32) << (place % 32);
            shift += 1;
        }
    }
    fuses.burn(0, &words)
}

/// A block for a key that can be hidden, and the RD_DIS bits that hide it.
fn key_block(chip: Chip) -> (u8, u64) {
    match chip {
        Chip::Esp32 => (1, 1),
        Chip::Esp32C2 => (3, 0b11),
        Chip::Esp32S2
        | Chip::Esp32S3
        | Chip::Esp32C3
        | Chip::Esp32C5
        | Chip::Esp32C6
        | Chip::Esp32C61
        | Chip::Esp32H2
        | Chip::Esp32H4
        | Chip::Esp32P4
        | Chip::Esp32S31 => (4, 1),
    }
}

const KEY: [u32; 8] = [0x0302_0100, 1, 2, 0xFFFF_0000, 4, 5, 6, 0x8000_0001];

#[test]
fn the_factory_mac_reads_back_at_the_addresses_hosts_use() {
    for chip in Chip::ALL {
        let fuses = fuses(chip);
        let [low, high] = chip.spec().efuse.mac;
        let words = (fuses.read(low, 0).unwrap(), fuses.read(high, 0).unwrap());
        assert_eq!(MacAddress::from_words(words.0, words.1), MAC, "{chip}");
        assert_eq!(fuses.coding_errors(), [], "{chip}");
    }
}

#[test]
fn every_block_of_every_chip_burns_and_reads_back_without_errors() {
    for chip in Chip::ALL {
        for block in fuses(chip)
            .map()
            .blocks
            .iter()
            .filter(|block| block.number > 0)
        {
            let mut fuses = fuses(chip);
            if fuses.bits(block.number).iter().any(|word| *word != 0) {
                continue;
            }
            let words = &KEY[..block.words.into()];
            assert_eq!(fuses.burn(block.number, words), Wrote::Done);
            for (index, word) in (0..).zip(words) {
                assert_eq!(
                    fuses.word(block.number, index),
                    *word,
                    "{chip} {}",
                    block.name
                );
            }
            assert_eq!(fuses.coding_errors(), [], "{chip} {}", block.name);
        }
    }
}

#[test]
fn fuses_only_gain_bits() {
    for chip in Chip::ALL {
        let mut fuses = fuses(chip);
        let before = fuses.word(0, 1);
        let zeros = vec![0; fuses.map().blocks[0].words.into()];
        fuses.burn(0, &zeros);
        assert_eq!(fuses.word(0, 1), before, "{chip}");
    }
    let mut fuses = fuses(Chip::Esp32S3);
    burn_field(&mut fuses, "SPI_BOOT_CRYPT_CNT", 1);
    burn_field(&mut fuses, "SPI_BOOT_CRYPT_CNT", 2);
    assert_eq!(fuses.field("SPI_BOOT_CRYPT_CNT"), 3);
}

#[test]
fn a_command_without_its_key_does_nothing() {
    for chip in Chip::ALL {
        let mut fuses = fuses(chip);
        let before = fuses.words();
        let (block, _) = key_block(chip);
        fuses.offer(block, &KEY, None);
        let controller = fuses.map().controller;
        let program = Controller::PROGRAM | u32::from(block) << 2;
        for key in [0, Controller::READ_KEY, 0x5A5B] {
            fuses.set(controller.conf, key);
            fuses.set(controller.command, program);
        }
        assert_eq!((fuses.words(), fuses.pulses()), (before, 0), "{chip}");
        fuses.pulse(block);
        fuses.set(controller.conf, Controller::PROGRAM_KEY);
        fuses.set(controller.command, Controller::READ);
        assert_eq!(fuses.word(block, 0), 0, "{chip}: nothing was read");
        fuses.reload();
        assert_eq!(fuses.pulses(), 1);
    }
}

#[test]
fn read_registers_show_what_was_read_last() {
    let mut fuses = fuses(Chip::Esp32C6);
    fuses.offer(4, &KEY, Some(check_words(&KEY)));
    fuses.pulse(4);
    assert_eq!(fuses.word(4, 0), 0);
    fuses.reload();
    assert_eq!(fuses.word(4, 0), KEY[0]);
    let address = fuses.map().blocks[4].read;
    fuses.set(address, 0xDEAD_BEEF);
    assert_eq!(fuses.word(4, 0), KEY[0], "read registers cannot be written");
}

#[test]
fn data_registers_keep_their_content_until_the_reset() {
    for chip in Chip::ALL {
        let mut fuses = fuses(chip);
        let (block, _) = key_block(chip);
        let first = fuses.map().blocks[usize::from(block)].write;
        fuses.offer(block, &KEY, None);
        fuses.pulse(block);
        assert_eq!(fuses.read(first, 0), Some(KEY[0]), "{chip}");
        fuses.reset(0);
        assert_eq!(fuses.read(first, 0), Some(0), "{chip}");
        assert_ne!(fuses.bits(block)[0], 0, "{chip}");
    }
}

#[test]
fn stale_check_words_are_burned_too_and_spoil_the_block() {
    let mut fuses = fuses(Chip::Esp32C3);
    fuses.offer(4, &KEY, Some([0x1234_5678, 0x9ABC_DEF0, 0x5555_AAAA]));
    fuses.pulse(4);
    fuses.reload();
    let (count, failed) = fuses.errors(4);
    assert!(count > 0 && failed, "{count} {failed}");
    assert_eq!(fuses.coding_errors(), [(4, None)]);
}

#[test]
fn one_pulse_burns_one_block_on_the_later_chips_and_all_of_them_on_the_esp32() {
    let mut later = fuses(Chip::Esp32S2);
    later.offer(4, &KEY, Some(check_words(&KEY)));
    later.pulse(5);
    later.reload();
    assert_eq!((later.word(4, 0), later.word(5, 0)), (0, KEY[0]));
    later.pulse(15);
    assert_eq!(later.burn_log().len(), 1, "there is no block 15");
    let mut first = fuses(Chip::Esp32);
    first.offer(1, &KEY, None);
    first.offer(3, &KEY, None);
    first.pulse(0);
    first.reload();
    assert_eq!(
        (first.word(1, 7), first.word(2, 7), first.word(3, 7)),
        (KEY[7], 0, KEY[7])
    );
    let blocks: Vec<u8> = first.burn_log().iter().map(|burn| burn.block).collect();
    assert_eq!(blocks, [1, 3]);
}

#[test]
fn bits_under_a_closed_group_stay() {
    for (chip, revision) in silicon() {
        let map = fuses_at(chip, revision).map();
        for field in map.fields.iter().filter(|field| field.block() == 0) {
            let Some(bit) = field.write_disable else {
                continue;
            };
            let mut fuses = fuses_at(chip, revision);
            let before = fuses.field(field.name);
            burn_field(&mut fuses, "WR_DIS", 1 << bit);
            burn_field(&mut fuses, field.name, (1u64 << field.width().min(63)) - 1);
            let after = fuses.field(field.name);
            let expected = if field.name == "WR_DIS" {
                before | 1 << bit
            } else {
                before
            };
            assert_eq!(after, expected, "{chip} {}", field.name);
        }
    }
}

#[test]
fn a_closed_block_stays_blank() {
    for (chip, revision) in silicon() {
        for block in fuses_at(chip, revision).map().blocks {
            let Some(bit) = block.write_disable else {
                continue;
            };
            let mut fuses = fuses_at(chip, revision);
            let before = fuses.bits(block.number).to_vec();
            burn_field(&mut fuses, "WR_DIS", 1 << bit);
            fuses.burn(block.number, &[u32::MAX; 8]);
            assert_eq!(fuses.bits(block.number), before, "{chip} {}", block.name);
            assert_eq!(fuses.burn_log().last().unwrap().fresh, 0);
        }
    }
}

#[test]
fn a_protection_holds_from_the_next_read_on() {
    let mut fuses = fuses(Chip::Esp32S3);
    let close = fuses.map().blocks[4].write_disable.unwrap();
    fuses.offer(0, &[1 << close, 0, 0, 0, 0, 0], None);
    fuses.pulse(0);
    fuses.offer(4, &KEY, Some(check_words(&KEY)));
    fuses.pulse(4);
    fuses.reload();
    assert_eq!(fuses.word(4, 0), KEY[0]);
    fuses.offer(4, &[u32::MAX; 8], None);
    fuses.pulse(4);
    fuses.reload();
    assert_eq!(fuses.word(4, 0), KEY[0]);
}

#[test]
fn hidden_keys_read_as_zeros_and_are_still_there_for_the_hardware() {
    for chip in Chip::ALL {
        let mut fuses = fuses(chip);
        let (block, hide) = key_block(chip);
        fuses.burn(block, &KEY);
        burn_field(&mut fuses, "RD_DIS", hide);
        for word in 0..8 {
            assert_eq!(fuses.word(block, word), 0, "{chip}");
        }
        assert_eq!(fuses.data(block), KEY, "{chip}");
        fuses.reset(0);
        assert_eq!(fuses.word(block, 0), 0, "{chip}");
    }
}

#[test]
fn the_halves_of_an_esp32c2s_key_block_hide_one_by_one() {
    let mut fuses = fuses(Chip::Esp32C2);
    fuses.burn(3, &KEY);
    burn_field(&mut fuses, "RD_DIS", 1);
    assert_eq!((fuses.word(3, 3), fuses.word(3, 4)), (0, KEY[4]));
    burn_field(&mut fuses, "RD_DIS", 2);
    assert_eq!((fuses.word(3, 3), fuses.word(3, 4)), (0, 0));
}

#[test]
fn an_esp32_hides_parts_of_its_first_block_too() {
    let mut fuses = fuses(Chip::Esp32);
    burn_field(&mut fuses, "FLASH_CRYPT_CONFIG", 0xF);
    assert_ne!(fuses.word(0, 5) >> 28, 0);
    burn_field(&mut fuses, "RD_DIS", 8);
    assert_eq!(fuses.word(0, 5) >> 28, 0);
    assert_eq!(fuses.field("FLASH_CRYPT_CONFIG"), 0xF);
}

#[test]
fn wrong_bits_of_a_coded_block_are_corrected_counted_and_reported_in_its_own_place() {
    for chip in Chip::ALL.into_iter().filter(|chip| *chip != Chip::Esp32) {
        let map = fuses(chip).map();
        let ErrorRegisters::PerBlock { blocks, .. } = map.controller.errors else {
            panic!("{chip}")
        };
        for place in blocks {
            let misread = |bytes: u16| FuseFaults {
                misread: (0..bytes)
                    .map(|byte| FuseBit {
                        block: place.block,
                        bit: byte * 8 + 3,
                    })
                    .collect(),
                ..FuseFaults::default()
            };
            let clean = fuses(chip);
            let fuses = faulty(chip, misread(6));
            assert_eq!(
                fuses.errors(place.block),
                (6, false),
                "{chip} {}",
                place.block
            );
            assert_eq!(fuses.word(place.block, 0), clean.word(place.block, 0));
            let others = blocks.iter().filter(|other| other.block != place.block);
            for other in others {
                assert_eq!(
                    fuses.errors(other.block),
                    (0, false),
                    "{chip} {}",
                    place.block
                );
            }
            let fuses = faulty(chip, misread(9));
            let (count, failed) = fuses.errors(place.block);
            assert_eq!(
                (count, failed),
                (7, place.fail_bit.is_some()),
                "{chip} {}",
                place.block
            );
        }
    }
}

#[test]
fn repeat_errors_show_where_the_knob_puts_them() {
    for chip in Chip::ALL.into_iter().filter(|chip| *chip != Chip::Esp32) {
        let fuses = faulty(
            chip,
            FuseFaults {
                repeat_errors: vec![5],
                ..FuseFaults::default()
            },
        );
        let ErrorRegisters::PerBlock { repeat, .. } = fuses.map().controller.errors else {
            panic!("{chip}")
        };
        assert_eq!(fuses.read(repeat[0], 0), Some(1 << 5), "{chip}");
    }
}

#[test]
fn an_esp32_with_the_three_quarters_scheme_decodes_and_reports_its_groups() {
    let mut fuses = fuses(Chip::Esp32);
    burn_field(&mut fuses, "CODING_SCHEME", 1);
    let coded = super::three_quarters::encode(&std::array::from_fn(|at| at as u8 + 1));
    let words: Vec<u32> = coded
        .chunks(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    fuses.burn(1, &words);
    assert_eq!(fuses.word(1, 0), 0x0403_0201);
    assert_eq!(fuses.word(1, 5), 0x1817_1615);
    let ErrorRegisters::Decoder { address, .. } = fuses.map().controller.errors else {
        panic!()
    };
    assert_eq!(fuses.read(address, 0), Some(0));
    fuses.burn(2, &[0x0403_0201, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(fuses.read(address, 0), Some(1 << 4));
    let fields = FieldName::CodingScheme;
    assert_eq!(fuses.image().read(fields), Some(1));
}

#[test]
fn weak_fuses_burn_late_and_stuck_ones_never() {
    let faults = FuseFaults {
        weak: vec![
            WeakFuse {
                block: 4,
                bit: 8,
                pulses: 3,
            },
            WeakFuse {
                block: 4,
                bit: 256,
                pulses: 2,
            },
        ],
        stuck: vec![FuseBit { block: 0, bit: 40 }],
        ..FuseFaults::default()
    };
    let mut fuses = faulty(Chip::Esp32C3, faults);
    let key = [0x0000_0100, 0, 0, 0, 0, 0, 0, 0];
    let seen: Vec<u32> = (0..3)
        .map(|_| {
            fuses.burn(4, &key);
            fuses.bits(4)[0]
        })
        .collect();
    assert_eq!(seen, [0, 0, 0x100]);
    assert_eq!(fuses.coding_errors(), []);
    assert_eq!(fuses.word(4, 0), 0x100);
    for _ in 0..5 {
        fuses.burn(0, &[0, 0x300, 0, 0, 0, 0]);
    }
    assert_eq!(fuses.word(0, 1), 0x200);
}

#[test]
fn the_command_register_says_busy_while_a_pulse_lasts_and_takes_no_other() {
    for chip in Chip::ALL {
        let mut fuses = EfuseArray::make(FuseMake {
            timed: true,
            ..make(chip)
        });
        let (block, _) = key_block(chip);
        let controller = fuses.map().controller;
        fuses.offer(block, &KEY, None);
        let running = |fuses: &EfuseArray, now| fuses.read(controller.command, now).unwrap() & 3;
        assert_eq!(running(&fuses, 0), 0);
        fuses.pulse(block);
        assert_eq!(running(&fuses, 100_000), Controller::PROGRAM, "{chip}");
        fuses.write(controller.conf, Controller::READ_KEY, 100_000);
        fuses.write(controller.command, Controller::READ, 100_000);
        assert_eq!(running(&fuses, 300_000), 0, "{chip}");
        assert_eq!(running(&fuses, 300_001), 0, "{chip}");
        assert_eq!(
            fuses.word(block, 0),
            0,
            "{chip}: the second command was not taken"
        );
        assert_eq!(fuses.pulses(), 1);
    }
}

#[test]
fn a_reset_in_the_middle_of_a_pulse_leaves_it_half_burned() {
    let mut fuses = EfuseArray::make(FuseMake {
        timed: true,
        ..make(Chip::Esp32H2)
    });
    fuses.offer(4, &KEY, Some(check_words(&KEY)));
    fuses.pulse(4);
    let whole = fuses.bits(4).to_vec();
    let mut late = fuses.clone();
    fuses.reset(100_000);
    assert_ne!(fuses.bits(4), whole);
    assert!(fuses.bits(4).iter().any(|word| *word != 0));
    late.reset(300_000);
    assert_eq!(late.bits(4), whole);
}

#[test]
fn the_supply_fails_before_in_or_after_the_pulse_that_was_named() {
    for chip in Chip::ALL {
        let (block, _) = key_block(chip);
        let run = |moment| {
            let mut fuses = fuses(chip);
            fuses.arm(Some(&PowerLoss {
                at_pulse: Some(2),
                pulse: moment,
                ..PowerLoss::default()
            }));
            let zeros = vec![0; fuses.map().blocks[0].words.into()];
            assert_eq!(fuses.burn(0, &zeros), Wrote::Done);
            assert_eq!(fuses.burn(block, &KEY), Wrote::SupplyFails);
            fuses.reset(0);
            fuses.bits(block).to_vec()
        };
        let (before, partly) = (run(PulseMoment::Before), run(PulseMoment::Partly));
        let after = run(PulseMoment::After);
        assert!(before.iter().all(|word| *word == 0), "{chip}");
        assert_eq!(after[..8], KEY, "{chip}");
        assert_ne!(partly, before, "{chip}");
        assert_ne!(partly, after, "{chip}");
        assert!(
            partly
                .iter()
                .zip(&after)
                .all(|(part, whole)| part & !whole == 0)
        );
        assert_eq!(
            partly,
            run(PulseMoment::Partly),
            "{chip}: chance follows the seed"
        );
    }
}

#[test]
fn the_wrong_timing_burns_some_of_the_fuses_when_the_knob_says_so() {
    for chip in Chip::ALL {
        let mut fuses = faulty(
            chip,
            FuseFaults {
                needs_timing: true,
                ..FuseFaults::default()
            },
        );
        let (block, _) = key_block(chip);
        let keeps_defaults = fuses
            .map()
            .controller
            .timing(ordinary_crystal(chip))
            .is_some_and(<[_]>::is_empty);
        fuses.burn(block, &KEY);
        let whole = fuses.bits(block)[..8] == KEY;
        assert_eq!(whole, keeps_defaults, "{chip}");
        fuses.timing();
        fuses.burn(block, &KEY);
        assert_eq!(fuses.bits(block)[..8], KEY, "{chip}");
    }
}

#[test]
fn the_log_counts_bits_and_nothing_formats_them() {
    let mut fuses = fuses(Chip::Esp32S3);
    fuses.burn(4, &[0xABCD_EF01; 8]);
    let log = fuses.burn_log();
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].pulse, log[0].block), (1, 4));
    assert!(log[0].asked >= 8 * 0xABCD_EF01_u32.count_ones());
    assert_eq!(log[0].burned, log[0].asked);
    let text = format!("{fuses:?} {fuses:#?}");
    for secret in ["abcdef01", "2882400001", "01efcdab"] {
        assert!(!text.to_lowercase().contains(secret), "{text}");
    }
}

#[test]
fn words_travel_through_a_state_file_and_old_files_get_their_check_words() {
    for chip in Chip::ALL {
        let mut fuses = fuses(chip);
        let (block, hide) = key_block(chip);
        fuses.burn(block, &KEY);
        burn_field(&mut fuses, "RD_DIS", hide);
        let mut other =
            super::EfuseArray::factory(chip, MacAddress([0; 6]), Revision::new(0, 1), 1);
        assert!(!other.set_words(&[1, 2, 3]));
        assert!(other.set_words(&fuses.words()));
        assert_eq!(other.words(), fuses.words());
        assert_eq!(other.shown(), fuses.shown());
        let readable: Vec<u32> = fuses
            .map()
            .blocks
            .iter()
            .flat_map(|block| {
                let count = block.words.into();
                fuses.data(block.number).into_iter().take(count)
            })
            .collect();
        let mut old = EfuseArray::factory(chip, MacAddress([0; 6]), Revision::new(0, 1), 1);
        assert!(old.set_words(&readable));
        assert_eq!(old.words(), fuses.words(), "{chip}");
    }
}

#[test]
fn security_info_lists_purposes_and_flags() {
    let mut fuses = fuses(Chip::Esp32C3);
    burn_field(&mut fuses, "KEY_PURPOSE_2", 9);
    burn_field(&mut fuses, "ENABLE_SECURITY_DOWNLOAD", 1);
    assert_eq!(fuses.key_purposes(), [0, 0, 9, 0, 0, 0, 0]);
    assert_eq!(fuses.security_flags(), 4);
    assert_eq!(
        fuses
            .slots("SECURE_BOOT_DIGEST0")
            .map(|slot| slot.number)
            .collect::<Vec<_>>(),
        [6]
    );
    burn_field(&mut fuses, "SOFT_DIS_JTAG", 3);
    assert_eq!(
        fuses.security_flags(),
        4,
        "an even number of bits disables nothing"
    );
    burn_field(&mut fuses, "SOFT_DIS_JTAG", 7);
    assert_eq!(fuses.security_flags(), 4 | 1 << 6);
}

#[test]
fn the_command_register_keeps_the_number_of_its_block() {
    for chip in Chip::ALL {
        let mut fuses = fuses(chip);
        let controller = fuses.map().controller;
        fuses.set(controller.command, 3 << 2);
        let kept = match controller.generation {
            Generation::First => 0,
            Generation::ReedSolomon => 3 << 2,
        };
        assert_eq!(fuses.read(controller.command, 0), Some(kept), "{chip}");
        assert_eq!(
            fuses.pulses(),
            0,
            "{chip}: a number alone starts no command"
        );
    }
}
