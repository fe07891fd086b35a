//! The ROM loader.

use proptest::prelude::*;
use station_esp::chip::SecurityInfoShape;
use station_esp::command::{
    DataBlock, Dialect, FlashBegin, MemBegin, Opcode, RegisterWrite, Request, SecurityInfo,
};
use station_esp::{Chip, MacAddress};

use super::rig::{MS, Rig};
use crate::chip::{ChipConfig, Mode, RefusalStyle};

fn begin(chip: Chip, size: u32, offset: u32) -> FlashBegin {
    let encrypt = chip
        .spec()
        .begin_has_encrypt_word(Dialect::Rom)
        .then_some(false);
    FlashBegin {
        erase_size: size,
        blocks: size.div_ceil(0x400),
        block_size: 0x400,
        offset,
        encrypt,
    }
}

#[test]
fn eight_answers_to_a_sync_carry_the_value_that_tells_a_rom() {
    let mut rig = Rig::c3();
    let answers = rig.sync();
    assert_eq!(answers.len(), 8);
    assert!(
        answers
            .iter()
            .all(|answer| answer.value == 0x2012_0707 && answer.status.is_ok())
    );
}

#[test]
fn every_chip_tells_what_it_is() {
    for chip in Chip::ALL {
        let mut rig = Rig::download(ChipConfig::new(chip, 1, 7));
        rig.sync();
        let answer = rig.ask(&Request::GetSecurityInfo);
        let spec = chip.spec();
        match spec.security_info {
            SecurityInfoShape::Unsupported => assert_eq!(answer.status.0, [1, 5], "{chip}"),
            SecurityInfoShape::WithoutId | SecurityInfoShape::WithId => {
                let info = SecurityInfo::decode(&answer.body).unwrap();
                let id = info.chip_id.and_then(|id| u16::try_from(id).ok());
                assert_eq!(id.and_then(Chip::from_image_id), id.map(|_| chip));
            }
        }
        let magic = rig
            .ok(&Request::ReadReg {
                address: 0x4000_1000,
            })
            .value;
        assert_eq!(Chip::from_magic(magic), spec.magic.map(|_| chip));
        let [low, high] = spec
            .efuse
            .mac
            .map(|address| rig.ok(&Request::ReadReg { address }).value);
        let expected = rig.chip.config().mac;
        assert_eq!(MacAddress::from_words(low, high), expected);
    }
}

#[test]
fn a_refusal_can_come_eight_times_with_another_opcode() {
    let mut config = ChipConfig::new(Chip::Esp32, 1, 7);
    config.refusal = RefusalStyle::EightOther;
    let answers = Rig::download(config).all(&Request::GetSecurityInfo);
    assert_eq!(answers.len(), 8);
    assert!(
        answers
            .iter()
            .all(|a| a.opcode == Opcode::Sync as u8 && a.status.0 == [1, 5])
    );
}

#[test]
fn stub_commands_are_unknown_to_a_rom() {
    let mut rig = Rig::c3();
    for request in [
        Request::EraseFlash,
        Request::EraseRegion {
            offset: 0,
            length: 0x1000,
        },
        Request::ReadFlash {
            offset: 0,
            length: 16,
            packet: 16,
            max_in_flight: 1,
        },
    ] {
        assert_eq!(rig.status(&request), [1, 5]);
    }
}

#[test]
fn a_plain_write_erases_first_and_pads_to_blocks() {
    for chip in [Chip::Esp32, Chip::Esp32C3] {
        let mut rig = Rig::download(ChipConfig::new(chip, 1, 7));
        rig.chip
            .flash_mut()
            .program(0x1_0000, &[0; 0x3000])
            .unwrap();
        rig.ok(&Request::FlashBegin(begin(chip, 0x500, 0x1_0000)));
        assert_eq!(
            rig.chip.flash().bytes(0x1_0000, 0x1001),
            [&[0xFF; 0x1000][..], &[0]].concat()
        );
        for sequence in 0..2 {
            rig.ok(&Request::FlashData(DataBlock {
                sequence,
                data: &[0x5A; 0x400],
            }));
        }
        assert_eq!(
            rig.chip.flash().bytes(0x1_0000, 0x801)[0x7FF..],
            [0x5A, 0xFF]
        );
        let md5 = rig.ok(&Request::SpiFlashMd5 {
            offset: 0x1_0000,
            length: 4,
        });
        assert_eq!(md5.body.len(), 32, "a ROM answers in hex digits");
    }
}

#[test]
fn data_without_a_beginning_fails_to_act() {
    let mut rig = Rig::c3();
    let data = &[1, 2, 3, 4];
    assert_eq!(
        rig.status(&Request::FlashData(DataBlock { sequence: 0, data })),
        [1, 6]
    );
    assert_eq!(
        rig.status(&Request::MemData(DataBlock { sequence: 0, data })),
        [1, 6]
    );
    assert_eq!(rig.status(&Request::FlashEnd { reboot: false }), [1, 6]);
    rig.ok(&Request::FlashBegin(begin(Chip::Esp32C3, 0x400, 0)));
    assert_eq!(
        rig.status(&Request::FlashDeflData(DataBlock { sequence: 0, data })),
        [1, 6]
    );
}

#[test]
fn wrong_lengths_and_checksums_are_told_apart() {
    let mut rig = Rig::c3();
    let mut short = Vec::new();
    Request::ReadReg { address: 0 }.encode(Dialect::Rom, &mut short);
    short.pop();
    assert_eq!(rig.raw(&short)[0].status.0, [1, 5]);
    rig.ok(&Request::MemBegin(MemBegin {
        size: 4,
        blocks: 1,
        block_size: 4,
        offset: 0x3FC9_0000,
    }));
    let mut frame = Vec::new();
    Request::MemData(DataBlock {
        sequence: 0,
        data: &[1, 2, 3, 4],
    })
    .encode(Dialect::Rom, &mut frame);
    frame[4] ^= 1;
    assert_eq!(rig.raw(&frame)[0].status.0, [1, 7]);
    let classic = begin(Chip::Esp32, 0x400, 0);
    assert_eq!(
        rig.status(&Request::FlashBegin(classic)),
        [1, 5],
        "the fifth word is missing"
    );
    assert!(rig.raw(&[0; 7]).is_empty());
    assert!(
        rig.raw(&[1, 8, 0, 0, 0, 0, 0, 0]).is_empty(),
        "answers are no requests"
    );
}

#[test]
fn uploaded_bytes_read_back_and_other_programs_say_that_they_run() {
    let mut rig = Rig::c3();
    rig.upload(0x3FC9_0000, &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(
        rig.ok(&Request::ReadReg {
            address: 0x3FC9_0004
        })
        .value,
        0x0807_0605
    );
    let mut frame = Vec::new();
    Request::MemEnd {
        stay: false,
        entry: 0x4038_0000,
    }
    .encode(Dialect::Rom, &mut frame);
    let mut bytes = Vec::new();
    station_esp::slip::encode(&frame, &mut bytes);
    let heard = rig.exchange(&bytes, 1000 * MS);
    assert!(String::from_utf8_lossy(&heard).contains("RAM application started at 0x40380000"));
    assert_eq!(rig.chip.mode(), Mode::RamApplication);
}

#[test]
fn the_watchdog_resets_the_chip_that_armed_it() {
    let mut rig = Rig::c3();
    let dog = Chip::Esp32C3.spec().watchdog.unwrap();
    let resets = rig.chip.resets();
    let arm = |address, value| Request::WriteReg(vec![RegisterWrite::plain(address, value)]);
    rig.ok(&arm(dog.config0, 1 << 31 | 5 << 28));
    rig.now += 1000 * MS;
    rig.listen();
    assert_eq!(
        rig.chip.resets(),
        resets,
        "a locked watchdog stays as it was"
    );
    rig.ok(&arm(dog.protect, 0x50D8_3AA1));
    rig.ok(&arm(dog.config1, 2000));
    rig.chip.strap_download(false);
    rig.ok(&arm(dog.config0, 1 << 31 | 5 << 28 | 1 << 8 | 2));
    assert!(rig.chip.resets() > resets);
    assert_eq!(rig.chip.mode(), Mode::BootFailed);
}

#[test]
fn a_masked_write_changes_only_its_bits() {
    let mut rig = Rig::c3();
    let write = |value, mask| {
        Request::WriteReg(vec![RegisterWrite {
            address: 0x6000_0100,
            value,
            mask,
            delay_us: 0,
        }])
    };
    rig.ok(&write(0xFFFF_0000, u32::MAX));
    rig.ok(&write(0x0000_1234, 0x0000_FFFF));
    assert_eq!(
        rig.ok(&Request::ReadReg {
            address: 0x6000_0100
        })
        .value,
        0xFFFF_1234
    );
}

#[test]
fn secure_download_mode_bars_all_but_a_few_commands() {
    let mut config = ChipConfig::new(Chip::Esp32C3, 1, 7);
    config.secure_download = true;
    let mut rig = Rig::download(config);
    rig.sync();
    let answer = rig.ok(&Request::GetSecurityInfo);
    assert_eq!(SecurityInfo::decode(&answer.body).unwrap().flags, 4);
    assert_eq!(
        rig.status(&Request::ReadReg {
            address: 0x6000_8844
        }),
        [1, 5]
    );
    assert_eq!(
        rig.status(&Request::SpiFlashMd5 {
            offset: 0,
            length: 1
        }),
        [1, 5]
    );
    rig.ok(&Request::FlashBegin(begin(Chip::Esp32C3, 0x400, 0)));
    rig.ok(&Request::FlashData(DataBlock {
        sequence: 0,
        data: &[0; 0x400],
    }));
}

#[test]
fn slow_reads_give_sixty_four_bytes_whatever_was_asked() {
    let mut rig = Rig::c3();
    rig.chip.flash_mut().program(0x100, b"abc").unwrap();
    let answer = rig.ok(&Request::ReadFlashSlow {
        offset: 0x100,
        length: 3,
    });
    assert_eq!((&answer.body[..3], answer.body.len()), (&b"abc"[..], 64));
    let mut long = vec![
        0,
        Opcode::ReadFlashSlow as u8,
        16,
        0,
        0,
        0,
        0,
        0,
        0,
        1,
        0,
        0,
        3,
        0,
        0,
        0,
    ];
    long.extend_from_slice(&[0; 8]);
    assert_eq!(
        rig.raw(&long)[0].body[..3],
        *b"abc",
        "espflash sends four words"
    );
    assert_eq!(
        rig.status(&Request::ReadFlashSlow {
            offset: 0,
            length: 65
        }),
        [1, 5]
    );
    assert_eq!(
        rig.status(&Request::ReadFlashSlow {
            offset: u32::MAX,
            length: 1
        }),
        [1, 8]
    );
}

#[test]
fn the_end_of_a_write_leaves_the_loader() {
    let mut rig = Rig::c3();
    rig.chip.strap_download(false);
    rig.ok(&Request::FlashBegin(begin(Chip::Esp32C3, 0, 0)));
    let mut frame = Vec::new();
    Request::FlashEnd { reboot: false }.encode(Dialect::Rom, &mut frame);
    let mut bytes = Vec::new();
    station_esp::slip::encode(&frame, &mut bytes);
    let heard = rig.exchange(&bytes, 100 * MS);
    assert!(String::from_utf8_lossy(&heard).contains("invalid header: 0xffffffff"));
    assert_eq!(rig.chip.mode(), Mode::BootFailed);
}

proptest! {
    #[test]
    fn bytes_of_any_kind_never_panic(
        chip in prop::sample::select(Chip::ALL.to_vec()),
        stub in any::<bool>(),
        parts in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(any::<u8>(), 0..80), 0u8..0x16, any::<u16>()),
            1..12,
        ),
    ) {
        let mut rig = Rig::download(ChipConfig::new(chip, 1, 7).with_flash_size(1 << 20));
        if stub {
            rig = rig.stub();
        }
        for (framed, mut body, opcode, size) in parts {
            let mut bytes = Vec::new();
            if framed {
                let opcode = if size & 1 == 0 { opcode } else { opcode | 0xD0 };
                let mut frame = vec![0, opcode];
                let cut = usize::from(size % 32) & !3;
                body.truncate(cut);
                frame.extend_from_slice(&(body.len() as u16).to_le_bytes());
                frame.extend_from_slice(&[0; 4]);
                frame.extend_from_slice(&body);
                station_esp::slip::encode(&frame, &mut bytes);
            } else {
                bytes = body;
            }
            rig.exchange(&bytes, 10 * MS);
            rig.now += MS;
        }
    }
}
