//! What comes in from a serial line.

use station_esp::command::{Dialect, Request, Response, SecurityInfo};
use station_esp::slip::{self, Decoded, Decoder};

const MAX_FRAME: usize = 256;

pub(super) fn slip(bytes: &[u8]) -> bool {
    let mut whole = Decoder::new(MAX_FRAME);
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (taken, next) = whole.feed(rest);
        assert!(taken > 0, "the decoder stands still");
        rest = &rest[taken..];
        found.extend(next);
    }
    let mut single = Decoder::new(MAX_FRAME);
    let slowly: Vec<Decoded> = bytes.iter().filter_map(|byte| single.push(*byte)).collect();
    assert_eq!(found, slowly, "it matters how bytes arrive");
    let mut frames = 0;
    for decoded in &found {
        match decoded {
            Decoded::Frame(frame) => {
                assert!(!frame.is_empty() && frame.len() <= MAX_FRAME);
                let mut wire = Vec::new();
                slip::encode(frame, &mut wire);
                let (taken, again) = Decoder::new(MAX_FRAME).feed(&wire);
                assert_eq!((taken, again.as_ref()), (wire.len(), Some(decoded)));
                frames += 1;
            }
            Decoded::Noise(noise) => assert!(noise.len() <= MAX_FRAME),
            Decoded::Malformed(fault) => assert!(!fault.code().is_empty()),
        }
    }
    frames > 0
}

pub(super) fn request(bytes: &[u8]) -> bool {
    let Ok(request) = Request::decode(bytes) else {
        return false;
    };
    let same = [Dialect::Rom, Dialect::Stub].into_iter().any(|dialect| {
        let mut again = Vec::new();
        request.encode(dialect, &mut again);
        Request::decode(&again).as_ref() == Ok(&request)
    });
    assert!(same, "{request:?} changes on its way");
    true
}

pub(super) fn response(bytes: &[u8]) -> bool {
    let mut accepted = false;
    for dialect in [Dialect::Rom, Dialect::Stub] {
        if let Ok(response) = Response::decode(bytes, dialect) {
            let mut again = Vec::new();
            response.encode(dialect, &mut again);
            assert_eq!(Response::decode(&again, dialect), Ok(response));
            let _ = station_esp::command::md5_from_body(response.body);
            accepted = true;
        }
    }
    accepted
}

pub(super) fn security_info(bytes: &[u8]) -> bool {
    let Ok(found) = SecurityInfo::decode(bytes) else {
        return false;
    };
    let mut again = Vec::new();
    found.encode(&mut again);
    assert_eq!(again, bytes);
    true
}
