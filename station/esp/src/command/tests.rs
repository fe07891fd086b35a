//! Vectors and properties of the command codec.

use super::*;
use proptest::prelude::*;

fn encoded(request: &Request<'_>, dialect: Dialect) -> Vec<u8> {
    let mut out = Vec::new();
    request.encode(dialect, &mut out);
    out
}

#[test]
fn sync_is_the_frame_every_loader_waits_for() {
    let frame = encoded(&Request::Sync, Dialect::Rom);
    assert_eq!(
        frame[..12],
        [0, 8, 36, 0, 0, 0, 0, 0, 0x07, 0x07, 0x12, 0x20]
    );
    assert_eq!(frame[12..], [0x55; 32]);
}

#[test]
fn read_reg_of_the_magic_word_has_the_documented_bytes() {
    let frame = encoded(
        &Request::ReadReg {
            address: 0x4000_1000,
        },
        Dialect::Rom,
    );
    assert_eq!(frame, [0, 0x0A, 4, 0, 0, 0, 0, 0, 0x00, 0x10, 0x00, 0x40]);
}

#[test]
fn a_data_block_carries_the_checksum_of_its_data_only() {
    let block = DataBlock {
        sequence: 3,
        data: &[0x10, 0x22, 0x01],
    };
    let frame = encoded(&Request::FlashDeflData(block), Dialect::Stub);
    assert_eq!(
        frame[..8],
        [0, 0x11, 19, 0, 0xEF ^ 0x10 ^ 0x22 ^ 0x01, 0, 0, 0]
    );
    assert_eq!(
        frame[8..24],
        [3, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(frame[24..], [0x10, 0x22, 0x01]);
}

#[test]
fn spi_attach_is_longer_to_a_rom() {
    let attach = Request::SpiAttach {
        pins: 0,
        legacy: None,
    };
    assert_eq!(encoded(&attach, Dialect::Rom).len(), 16);
    assert_eq!(encoded(&attach, Dialect::Stub).len(), 12);
}

#[test]
fn staying_in_the_loader_is_a_one() {
    assert_eq!(
        encoded(&Request::FlashEnd { reboot: false }, Dialect::Rom)[8..],
        [1, 0, 0, 0]
    );
    assert_eq!(
        encoded(&Request::FlashDeflEnd { reboot: true }, Dialect::Rom)[8..],
        [0; 4]
    );
}

#[test]
fn a_wrong_checksum_is_told_with_both_values() {
    let block = DataBlock {
        sequence: 0,
        data: &[1, 2, 3],
    };
    let mut frame = encoded(&Request::MemData(block), Dialect::Rom);
    frame[4] ^= 1;
    assert_eq!(
        Request::decode(&frame),
        Err(DecodeError::Checksum {
            opcode: Opcode::MemData,
            declared: 0xEE,
            actual: 0xEF
        })
    );
}

#[test]
fn every_malformed_command_names_its_fault() {
    let code = |frame: &[u8]| Request::decode(frame).unwrap_err().code();
    assert_eq!(code(&[]), "command-too-short");
    assert_eq!(code(&[1, 8, 0, 0, 0, 0, 0, 0]), "command-direction");
    assert_eq!(code(&[0, 0x77, 0, 0, 0, 0, 0, 0]), "command-unknown");
    assert_eq!(code(&[0, 0x0A, 4, 0, 0, 0, 0, 0]), "command-frame-length");
    assert_eq!(code(&[0, 0x0A, 0, 0, 0, 0, 0, 0]), "command-arguments");
    assert_eq!(code(&[0, 0x08, 0, 0, 0, 0, 0, 0]), "command-sync-payload");
    assert_eq!(code(&[0, 0x02, 1, 0, 0, 0, 0, 0, 9]), "command-arguments");
    let mut block = encoded(
        &Request::FlashData(DataBlock {
            sequence: 0,
            data: &[1],
        }),
        Dialect::Rom,
    );
    block[8] = 2;
    assert_eq!(code(&block), "command-block-length");
}

#[test]
fn an_esp32_answers_a_security_request_with_invalid_message() {
    let mut frame = Vec::new();
    Response::plain(0x14, 0, Status::rom(RomError::InvalidMessage))
        .encode(Dialect::Rom, &mut frame);
    assert_eq!(frame, [1, 0x14, 4, 0, 0, 0, 0, 0, 1, 5, 0, 0]);
    let answer = Response::decode(&frame, Dialect::Rom).unwrap();
    assert_eq!(answer.status.rom_error(), Some(RomError::InvalidMessage));
    assert_eq!(answer.status.meaning(Dialect::Rom), "message is invalid");
}

#[test]
fn a_stub_error_is_one_byte_in_front() {
    let mut frame = Vec::new();
    Response::plain(0x11, 0, Status::stub(StubError::BadChecksum))
        .encode(Dialect::Stub, &mut frame);
    assert_eq!(frame, [1, 0x11, 2, 0, 0, 0, 0, 0, 0xC1, 0]);
    let answer = Response::decode(&frame, Dialect::Stub).unwrap();
    assert!(!answer.status.is_ok());
    assert_eq!(answer.status.stub_error(), Some(StubError::BadChecksum));
}

#[test]
fn md5_comes_raw_from_a_stub_and_as_digits_from_a_rom() {
    let digest = [0xAB; 16];
    assert_eq!(md5_from_body(&digest), Some(digest));
    assert_eq!(md5_from_body(hex::encode(digest).as_bytes()), Some(digest));
    assert_eq!(md5_from_body(&[b'x'; 32]), None);
    assert_eq!(md5_from_body(&[0; 15]), None);
}

#[test]
fn security_info_of_an_s2_has_no_id() {
    let info = SecurityInfo {
        flags: SecurityFlag::SecureBoot.mask() | SecurityFlag::SecureDownload.mask(),
        flash_crypt_cnt: 7,
        key_purposes: [1, 2, 3, 4, 5, 6, 0],
        chip_id: None,
        api_version: None,
    };
    let mut body = Vec::new();
    info.encode(&mut body);
    assert_eq!(body, [5, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 0]);
    assert_eq!(SecurityInfo::decode(&body), Ok(info));
    assert!(info.flash_encrypted() && info.has(SecurityFlag::SecureDownload));
    assert_eq!(
        SecurityInfo::decode(&body[..11]),
        Err(SecurityInfoError(11))
    );
    assert_eq!(SecurityInfo::decode(&[0; 16]), Err(SecurityInfoError(16)));
}

#[test]
fn opcodes_and_errors_have_one_number_each() {
    for opcode in Opcode::ALL {
        assert_eq!(Opcode::from_code(*opcode as u8), Some(*opcode));
    }
    for error in RomError::ALL {
        assert_eq!(RomError::from_code(*error as u8), Some(*error));
        assert_eq!(Status::rom(*error).rom_error(), Some(*error));
    }
    for error in StubError::ALL {
        assert_eq!(Status::stub(*error).stub_error(), Some(*error));
    }
}

fn flash_begin() -> impl Strategy<Value = FlashBegin> {
    (any::<[u32; 4]>(), any::<Option<bool>>()).prop_map(|([a, b, c, d], encrypt)| FlashBegin {
        erase_size: a,
        blocks: b,
        block_size: c,
        offset: d,
        encrypt,
    })
}

fn request(data: &'static [u8]) -> impl Strategy<Value = Request<'static>> {
    let block = any::<u32>().prop_map(move |sequence| DataBlock { sequence, data });
    prop_oneof![
        flash_begin().prop_map(Request::FlashBegin),
        flash_begin().prop_map(Request::FlashDeflBegin),
        block.clone().prop_map(Request::FlashData),
        block.clone().prop_map(Request::FlashDeflData),
        block.prop_map(Request::MemData),
        any::<bool>().prop_map(|reboot| Request::FlashEnd { reboot }),
        any::<bool>().prop_map(|reboot| Request::FlashDeflEnd { reboot }),
        any::<[u32; 4]>().prop_map(|[size, blocks, block_size, offset]| {
            Request::MemBegin(MemBegin {
                size,
                blocks,
                block_size,
                offset,
            })
        }),
        any::<(bool, u32)>().prop_map(|(stay, entry)| Request::MemEnd { stay, entry }),
        any::<u32>().prop_map(|address| Request::ReadReg { address }),
        prop::collection::vec(any::<[u32; 4]>(), 1..9).prop_map(|writes| {
            let writes = writes
                .into_iter()
                .map(|[address, value, mask, delay_us]| RegisterWrite {
                    address,
                    value,
                    mask,
                    delay_us,
                });
            Request::WriteReg(writes.collect())
        }),
        any::<[u32; 6]>().prop_map(|[a, b, c, d, e, f]| Request::SpiSetParams {
            id: a,
            total_size: b,
            block_size: c,
            sector_size: d,
            page_size: e,
            status_mask: f,
        }),
        any::<(u32, u32)>().prop_map(|(pins, word)| Request::SpiAttach {
            pins,
            legacy: Some(word)
        }),
        any::<(u32, u32)>().prop_map(|(offset, length)| Request::ReadFlashSlow { offset, length }),
        any::<(u32, u32)>().prop_map(|(new, old)| Request::ChangeBaudrate { new, old }),
        any::<(u32, u32)>().prop_map(|(offset, length)| Request::SpiFlashMd5 { offset, length }),
        any::<(u32, u32)>().prop_map(|(offset, length)| Request::EraseRegion { offset, length }),
        any::<[u32; 4]>().prop_map(|[offset, length, packet, max_in_flight]| {
            Request::ReadFlash {
                offset,
                length,
                packet,
                max_in_flight,
            }
        }),
        Just(Request::Sync),
        Just(Request::GetSecurityInfo),
        Just(Request::EraseFlash),
        Just(Request::RunUserCode),
    ]
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop_oneof![Just(Dialect::Rom), Just(Dialect::Stub)]
}

static DATA: [u8; 700] = {
    let mut data = [0; 700];
    let mut at = 0;
    while at < data.len() {
        data[at] = (at * 7 + at / 256) as u8;
        at += 1;
    }
    data
};

proptest! {
    #[test]
    fn every_request_comes_back_from_its_frame_in_both_dialects(
        request in (0usize..700).prop_flat_map(|length| request(&DATA[..length])),
        dialect in dialect(),
    ) {
        let frame = encoded(&request, dialect);
        prop_assert_eq!(Request::decode(&frame), Ok(request));
    }

    #[test]
    fn every_answer_comes_back_from_its_frame_in_both_dialects(
        opcode in any::<u8>(),
        value in any::<u32>(),
        body in prop::collection::vec(any::<u8>(), 0..100),
        status in any::<[u8; 2]>(),
        dialect in dialect(),
    ) {
        let answer = Response { opcode, value, body: &body, status: Status(status) };
        let mut frame = Vec::new();
        answer.encode(dialect, &mut frame);
        prop_assert_eq!(Response::decode(&frame, dialect), Ok(answer));
    }

    #[test]
    fn arbitrary_frames_are_answered_without_a_panic(
        opcode in prop_oneof![prop::sample::select(Opcode::ALL).prop_map(|one| one as u8), any::<u8>()],
        rest in prop::collection::vec(any::<u8>(), 0..64),
        honest in any::<bool>(),
    ) {
        let length = if honest { rest.len() as u16 } else { 7 };
        let mut frame = vec![0, opcode, length as u8, (length >> 8) as u8, 0, 0, 0, 0];
        frame.extend_from_slice(&rest);
        if let Ok(request) = Request::decode(&frame) {
            prop_assert_eq!(request.opcode() as u8, opcode);
        }
        let _ = Request::decode(&rest);
        let _ = Response::decode(&rest, Dialect::Rom);
        let _ = Response::decode(&rest, Dialect::Stub);
        let _ = SecurityInfo::decode(&rest);
    }

    #[test]
    fn the_fast_checksum_is_the_plain_one(data in prop::collection::vec(any::<u8>(), 0..100)) {
        let plain = data.iter().fold(0xEF, |sum, byte| sum ^ byte);
        prop_assert_eq!(checksum(&data), plain);
    }
}

#[test]
fn values_and_bytes_that_may_be_a_key_are_never_formatted() {
    let word = 0xDEAD_BEEF_u32;
    let bytes = word.to_le_bytes();
    let write = RegisterWrite::plain(0x6000_7000, word);
    let answer = Response {
        opcode: Opcode::ReadReg as u8,
        value: word,
        body: &bytes,
        status: Status::OK,
    };
    let data = DataBlock {
        sequence: 0,
        data: &bytes,
    };
    for text in [
        format!("{write:?}"),
        format!("{:?}", Request::WriteReg(vec![write])),
        format!("{:#?}", Request::FlashData(data)),
        format!("{answer:?}"),
    ] {
        let lower = text.to_lowercase();
        for secret in [word.to_string(), "deadbeef".into(), "239, 190".into()] {
            assert!(!lower.contains(&secret), "{text}");
        }
        assert!(!lower.contains("239,"), "{text}");
    }
    assert!(
        format!("{write:?}").contains("0x60007000"),
        "addresses are shown"
    );
}
