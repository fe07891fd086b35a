//! The flasher stub.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use md5::{Digest, Md5};
use station_esp::command::{DataBlock, Dialect, FlashBegin, Opcode, Request};
use station_esp::{Chip, loader, slip};

use super::rig::{MS, Rig, unframed};
use crate::chip::{ChipConfig, Mode};

pub(super) fn begin(size: u32, offset: u32) -> FlashBegin {
    let blocks = size.div_ceil(0x4000);
    FlashBegin {
        erase_size: size,
        blocks,
        block_size: 0x4000,
        offset,
        encrypt: Some(false),
    }
}

pub(super) fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that neither compress nor repeat.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

#[test]
fn the_stub_of_every_chip_starts_and_greets() {
    for chip in Chip::ALL {
        let mut rig = Rig::download(ChipConfig::new(chip, 1, 7)).stub();
        let answers = rig.sync();
        assert_eq!(answers.len(), 8);
        assert!(answers.iter().all(|answer| answer.value == 0), "{chip}");
    }
}

#[test]
fn a_stub_of_another_release_is_still_a_stub() {
    let mut rig = Rig::c3();
    rig.sync();
    let stub = loader::stub(Chip::Esp32C3, rig.chip.config().revision).unwrap();
    rig.upload(stub.text_start, &[0x13; 3812]);
    rig.upload(stub.data_start - 0x1B4, &[0; 160]);
    let mut frame = Vec::new();
    Request::MemEnd {
        stay: false,
        entry: stub.text_start + 0x6D2,
    }
    .encode(Dialect::Stub, &mut frame);
    assert_eq!(
        rig.frames(&frame).last().map(Vec::as_slice),
        Some(&b"OHAI"[..])
    );
}

#[test]
fn a_compressed_write_arrives_and_its_digest_matches() {
    let mut rig = Rig::c3().stub();
    let data = [noise(100_000), vec![0; 100_000]].concat();
    rig.chip
        .flash_mut()
        .program(0x1_0000, &noise(0x2_0000))
        .unwrap();
    rig.ok(&Request::FlashDeflBegin(begin(data.len() as u32, 0x1_0000)));
    for (sequence, block) in (0u32..).zip(deflated(&data).chunks(0x4000)) {
        rig.ok(&Request::FlashDeflData(DataBlock {
            sequence,
            data: block,
        }));
    }
    rig.ok(&Request::FlashDeflEnd { reboot: false });
    let offset = 0x1_0000;
    let answer = rig.ok(&Request::SpiFlashMd5 {
        offset,
        length: data.len() as u32,
    });
    assert_eq!(answer.body, Md5::digest(&data).to_vec());
    assert_eq!(rig.chip.flash().bytes(offset, data.len() as u32), data);
}

#[test]
fn padding_behind_a_plain_write_stays_out_of_flash() {
    let mut rig = Rig::c3().stub();
    rig.ok(&Request::FlashBegin(begin(10, 0x2000)));
    rig.ok(&Request::FlashData(DataBlock {
        sequence: 0,
        data: &[0; 0x4000],
    }));
    rig.ok(&Request::FlashEnd { reboot: true });
    assert_eq!(
        rig.chip.flash().bytes(0x2000, 11),
        [&[0; 10][..], &[0xFF]].concat()
    );
    assert_eq!(rig.chip.mode(), Mode::Stub, "the stub does not reboot");
}

#[test]
fn the_error_of_a_block_answers_the_next_command_which_is_not_executed() {
    let mut rig = Rig::c3().stub();
    rig.ok(&Request::FlashDeflBegin(begin(1000, 0)));
    rig.ok(&Request::FlashDeflData(DataBlock {
        sequence: 0,
        data: &[0x55; 32],
    }));
    let before = rig.chip.flash().bytes(0, 0x2000);
    assert_eq!(rig.status(&Request::EraseFlash), [0xC7, 0]);
    assert_eq!(rig.chip.flash().bytes(0, 0x2000), before);
    rig.ok(&Request::EraseFlash);
}

#[test]
fn every_wrong_order_and_length_has_its_code() {
    let mut rig = Rig::c3().stub();
    let data = &[1, 2, 3, 4];
    assert_eq!(
        rig.status(&Request::FlashData(DataBlock { sequence: 0, data })),
        [0xC6, 0]
    );
    assert_eq!(rig.status(&Request::FlashEnd { reboot: false }), [0xC6, 0]);
    rig.ok(&Request::FlashBegin(begin(0x8000, 0)));
    assert_eq!(
        rig.status(&Request::FlashDeflData(DataBlock { sequence: 0, data })),
        [0xC6, 0]
    );
    assert_eq!(
        rig.status(&Request::FlashEnd { reboot: false }),
        [0xC0, 0],
        "bytes remain"
    );
    let large = FlashBegin {
        block_size: 0x8000,
        ..begin(4, 0)
    };
    assert_eq!(rig.status(&Request::FlashBegin(large)), [0xC2, 0]);
    let odd = Request::EraseRegion {
        offset: 0x800,
        length: 0x1000,
    };
    assert_eq!(rig.status(&odd), [0xC0, 0]);
    let beyond = Request::EraseRegion {
        offset: 4 << 20,
        length: 0x1000,
    };
    assert_eq!(rig.status(&beyond), [0xC4, 0]);
    let attach = Request::SpiAttach {
        pins: 0,
        legacy: Some(0),
    };
    assert_eq!(rig.status(&attach), [0xC0, 0]);
    let slow = Request::ReadFlashSlow {
        offset: 0,
        length: 4,
    };
    assert_eq!(rig.status(&slow), [0xC3, 0]);
    let packets = Request::ReadFlash {
        offset: 0,
        length: 1,
        packet: 0x1001,
        max_in_flight: 1,
    };
    assert_eq!(rig.status(&packets), [0xC0, 0]);
    assert_eq!(rig.raw(&[0, 0x77, 0, 0, 0, 0, 0, 0])[0].status.0, [0xC3, 0]);
    assert_eq!(rig.raw(&[1, 8, 0, 0, 0, 0, 0, 0])[0].status.0, [0xC3, 0]);
    assert_eq!(rig.raw(&[0, 8, 9, 0, 0, 0, 0, 0])[0].status.0, [0xC0, 0]);
}

#[test]
fn a_block_whose_length_or_checksum_lies_is_refused() {
    let mut rig = Rig::c3().stub();
    rig.ok(&Request::FlashBegin(begin(8, 0)));
    let mut frame = Vec::new();
    Request::FlashData(DataBlock {
        sequence: 0,
        data: &[1, 2, 3, 4],
    })
    .encode(Dialect::Stub, &mut frame);
    let mut checksum = frame.clone();
    checksum[4] ^= 0xFF;
    assert_eq!(rig.raw(&checksum)[0].status.0, [0xC1, 0]);
    let mut more = frame.clone();
    more[8] = 5;
    assert_eq!(rig.raw(&more)[0].status.0, [0xC8, 0]);
    frame[8] = 3;
    assert_eq!(rig.raw(&frame)[0].status.0, [0xC9, 0]);
}

#[test]
fn a_write_past_the_end_of_flash_fails_late() {
    let mut rig = Rig::download(ChipConfig::new(Chip::Esp32C3, 1, 7).with_flash_size(1 << 20));
    rig = rig.stub();
    rig.ok(&Request::FlashBegin(begin(0x2000, 0xF_F000)));
    rig.ok(&Request::FlashData(DataBlock {
        sequence: 0,
        data: &[0; 0x2000],
    }));
    assert_eq!(rig.status(&Request::FlashEnd { reboot: false }), [0xC4, 0]);
}

#[test]
fn a_read_keeps_one_packet_in_flight_and_ends_with_the_digest() {
    let mut rig = Rig::c3().stub();
    let data = noise(2500);
    rig.chip.flash_mut().program(0x1000, &data).unwrap();
    let mut frame = Vec::new();
    Request::ReadFlash {
        offset: 0x1000,
        length: 2500,
        packet: 1024,
        max_in_flight: 64,
    }
    .encode(Dialect::Stub, &mut frame);
    let mut frames = rig.frames(&frame);
    assert_eq!(frames.len(), 2, "the answer and one packet");
    let mut read = frames.remove(1);
    while read.len() < data.len() {
        let mut next = rig.frames(&(read.len() as u32).to_le_bytes());
        assert_eq!(next.len(), 1);
        read.append(&mut next[0]);
    }
    assert_eq!(read, data);
    assert_eq!(
        rig.frames(&2500u32.to_le_bytes()),
        [Md5::digest(&data).to_vec()]
    );
    rig.sync();
}

#[test]
fn a_frame_that_is_no_acknowledgement_ends_a_read() {
    let mut rig = Rig::c3().stub();
    let mut frame = Vec::new();
    Request::ReadFlash {
        offset: 0,
        length: 9000,
        packet: 1024,
        max_in_flight: 1,
    }
    .encode(Dialect::Stub, &mut frame);
    rig.frames(&frame);
    assert!(rig.frames(&[1, 2, 3]).is_empty());
    assert_eq!(rig.sync().len(), 8);
}

#[test]
fn the_answer_to_a_new_rate_comes_at_the_old_one() {
    let mut rig = Rig::c3().stub();
    rig.ok(&Request::ChangeBaudrate {
        new: 921_600,
        old: 115_200,
    });
    assert_eq!(rig.chip.baud(), 921_600);
    let mut bytes = Vec::new();
    let mut frame = Vec::new();
    Request::Sync.encode(Dialect::Stub, &mut frame);
    slip::encode(&frame, &mut bytes);
    assert!(
        unframed(&rig.exchange(&bytes, 100 * MS)).is_empty(),
        "the host is still slow"
    );
    rig.baud = 921_600;
    assert_eq!(rig.sync().len(), 8);
    assert_eq!(
        rig.status(&Request::ChangeBaudrate { new: 0, old: 0 }),
        [0xC0, 0]
    );
}

#[test]
fn running_user_code_is_neither_answered_nor_done() {
    let mut rig = Rig::c3().stub();
    assert!(rig.all(&Request::RunUserCode).is_empty());
    assert_eq!(rig.sync().len(), 8);
    assert_eq!(rig.sync()[0].opcode, Opcode::Sync as u8);
}
