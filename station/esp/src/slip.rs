//! SLIP framing of the loader protocol: `C0 … C0`, with `C0` as `DB DC` and `DB` as `DB DD`.
//!
//! Invariants: encoding appends whole runs and never inspects a byte twice; the decoder holds at
//! most `max_frame` payload bytes plus as many bytes of noise, whatever arrives; bytes outside a
//! frame come out as noise, never as a frame; after any damage the decoder is in step again at the
//! next pair of frame marks.
//!
//! Source: RFC 1055 and the esptool serial protocol description.

use memchr::{memchr, memchr2};

/// The byte that opens and closes a frame.
pub const END: u8 = 0xC0;
/// The byte that begins an escape.
pub const ESC: u8 = 0xDB;
/// After [`ESC`]: a payload byte `C0`.
pub const ESC_END: u8 = 0xDC;
/// After [`ESC`]: a payload byte `DB`.
pub const ESC_ESC: u8 = 0xDD;

/// Appends `frame` to `out` as one SLIP frame, marks included.
pub fn encode(frame: &[u8], out: &mut Vec<u8>) {
    out.reserve(frame.len() + frame.len() / 64 + 2);
    out.push(END);
    encode_part(frame, out);
    out.push(END);
}

/// Appends `part` to `out` escaped but without marks, for frames that are built piece by piece.
pub fn encode_part(part: &[u8], out: &mut Vec<u8>) {
    let mut rest = part;
    while let Some(at) = memchr2(END, ESC, rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(if rest[at] == END {
            &[ESC, ESC_END]
        } else {
            &[ESC, ESC_ESC]
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// One thing the decoder found in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// The unescaped payload of a complete frame, never empty.
    Frame(Vec<u8>),
    /// Bytes between frames, such as a boot log.
    Noise(Vec<u8>),
    /// A frame that was thrown away.
    Malformed(Malformed),
}

/// Why a frame was thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// An escape byte was followed by something that is no escape.
    #[error("escape followed by `{0:#04x}`")]
    Escape(u8),
    /// The frame grew beyond the decoder's bound.
    #[error("frame longer than {0} bytes")]
    Oversize(usize),
}

impl Malformed {
    /// The stable code of this error.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Escape(_) => "slip-escape",
            Self::Oversize(_) => "slip-oversize",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between frames; the buffer collects noise.
    Outside,
    /// In a frame; the buffer collects payload.
    Inside,
    /// In a frame, just after an escape byte.
    Escaped,
    /// In a frame already reported as malformed; bytes are dropped up to its closing mark.
    Skipping,
}

/// Takes a byte stream apart into frames and noise, in bounded memory.
#[derive(Debug, Clone)]
pub struct Decoder {
    max_frame: usize,
    place: Place,
    buffer: Vec<u8>,
    spare: Vec<u8>,
}

impl Decoder {
    /// A decoder that stands outside any frame and refuses payloads longer than `max_frame` bytes.
    #[must_use]
    pub fn new(max_frame: usize) -> Self {
        Self {
            max_frame,
            place: Place::Outside,
            buffer: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Forgets everything received so far, as after a reset of the chip.
    pub fn clear(&mut self) {
        self.place = Place::Outside;
        self.buffer.clear();
    }

    /// Gives a buffer back, so that the next frame needs no allocation.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > self.spare.capacity() {
            buffer.clear();
            self.spare = buffer;
        }
    }

    /// Takes one byte. Slower than [`Decoder::feed`]; meant for simulations and tests.
    pub fn push(&mut self, byte: u8) -> Option<Decoded> {
        self.feed(&[byte]).1
    }

    /// Takes bytes up to the next thing found, and says how many were taken.
    ///
    /// When the second value is `None`, all of `bytes` were taken. Otherwise call again with the
    /// rest. With non-empty input at least one byte is always taken.
    pub fn feed(&mut self, bytes: &[u8]) -> (usize, Option<Decoded>) {
        let mut at = 0;
        while at < bytes.len() {
            let (taken, found) = match self.place {
                Place::Outside => self.outside(&bytes[at..]),
                Place::Inside => self.inside(&bytes[at..]),
                Place::Escaped => (1, self.escaped(bytes[at])),
                Place::Skipping => self.skipping(&bytes[at..]),
            };
            at += taken;
            if found.is_some() {
                return (at, found);
            }
        }
        (at, None)
    }

    /// The bytes of noise held back so far, handed out without waiting for the next frame.
    ///
    /// Useful for showing a boot log line by line, and before a session gives the port away.
    pub fn take_noise(&mut self) -> Vec<u8> {
        if self.place == Place::Outside {
            self.take_buffer()
        } else {
            Vec::new()
        }
    }

    fn outside(&mut self, bytes: &[u8]) -> (usize, Option<Decoded>) {
        let mark = memchr(END, bytes);
        let noise = mark.unwrap_or(bytes.len());
        let room = self.max_frame.saturating_sub(self.buffer.len()).max(1);
        let take = noise.min(room);
        self.buffer.extend_from_slice(&bytes[..take]);
        if take < noise || (mark.is_none() && self.buffer.len() >= self.max_frame) {
            return (take, Some(Decoded::Noise(self.take_buffer())));
        }
        if mark.is_none() {
            return (take, None);
        }
        self.place = Place::Inside;
        if self.buffer.is_empty() {
            (take + 1, None)
        } else {
            (take + 1, Some(Decoded::Noise(self.take_buffer())))
        }
    }

    fn inside(&mut self, bytes: &[u8]) -> (usize, Option<Decoded>) {
        let special = memchr2(END, ESC, bytes);
        let run = special.unwrap_or(bytes.len());
        let fits = self.append(&bytes[..run]);
        match special.map(|at| bytes[at]) {
            None if fits => (run, None),
            None => (run, Some(self.oversize(Place::Skipping))),
            Some(END) if !fits => (run + 1, Some(self.oversize(Place::Outside))),
            // Two marks in a row: the first closed a frame whose opening was lost, or was a filler.
            Some(END) if self.buffer.is_empty() => (run + 1, None),
            Some(END) => {
                self.place = Place::Outside;
                (run + 1, Some(Decoded::Frame(self.take_buffer())))
            }
            Some(_) if fits => {
                self.place = Place::Escaped;
                (run + 1, None)
            }
            Some(_) => (run + 1, Some(self.oversize(Place::Skipping))),
        }
    }

    fn escaped(&mut self, byte: u8) -> Option<Decoded> {
        let plain = match byte {
            ESC_END => END,
            ESC_ESC => ESC,
            other => {
                self.buffer.clear();
                self.place = if other == END {
                    Place::Outside
                } else {
                    Place::Skipping
                };
                return Some(Decoded::Malformed(Malformed::Escape(other)));
            }
        };
        self.place = Place::Inside;
        if self.append(&[plain]) {
            None
        } else {
            Some(self.oversize(Place::Skipping))
        }
    }

    fn skipping(&mut self, bytes: &[u8]) -> (usize, Option<Decoded>) {
        match memchr(END, bytes) {
            Some(at) => {
                self.place = Place::Outside;
                (at + 1, None)
            }
            None => (bytes.len(), None),
        }
    }

    /// Adds payload; false when it does not fit, and then nothing was added.
    fn append(&mut self, run: &[u8]) -> bool {
        if self.buffer.len() + run.len() > self.max_frame {
            return false;
        }
        self.buffer.extend_from_slice(run);
        true
    }

    fn oversize(&mut self, place: Place) -> Decoded {
        self.buffer.clear();
        self.place = place;
        Decoded::Malformed(Malformed::Oversize(self.max_frame))
    }

    fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::replace(&mut self.buffer, std::mem::take(&mut self.spare))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode_all(decoder: &mut Decoder, bytes: &[u8], chunk: usize) -> Vec<Decoded> {
        let mut found = Vec::new();
        for part in bytes.chunks(chunk.max(1)) {
            let mut rest = part;
            while !rest.is_empty() {
                let (taken, one) = decoder.feed(rest);
                assert!(taken > 0, "input must always move on");
                rest = &rest[taken..];
                found.extend(one);
            }
        }
        found
    }

    #[test]
    fn special_bytes_are_escaped_as_the_protocol_says() {
        let mut out = Vec::new();
        encode(&[0x01, 0xC0, 0xDB, 0x02], &mut out);
        assert_eq!(out, [0xC0, 0x01, 0xDB, 0xDC, 0xDB, 0xDD, 0x02, 0xC0]);
    }

    #[test]
    fn noise_before_a_frame_is_told_apart_from_it() {
        let mut bytes = b"waiting for download\r\n".to_vec();
        encode(&[1, 2, 3], &mut bytes);
        let found = decode_all(&mut Decoder::new(64), &bytes, usize::MAX);
        assert_eq!(
            found,
            [
                Decoded::Noise(b"waiting for download\r\n".to_vec()),
                Decoded::Frame(vec![1, 2, 3])
            ]
        );
    }

    #[test]
    fn a_decoder_that_starts_mid_frame_is_in_step_at_the_second_frame() {
        let mut bytes = vec![9, 9, END];
        encode(&[1, 2], &mut bytes);
        let found = decode_all(&mut Decoder::new(64), &bytes, 1);
        assert_eq!(found.last(), Some(&Decoded::Frame(vec![1, 2])));
    }

    #[test]
    fn a_wrong_escape_costs_one_frame_and_no_more() {
        let mut bytes = vec![END, 1, ESC, 7, 8, END];
        encode(&[5], &mut bytes);
        let found = decode_all(&mut Decoder::new(64), &bytes, 3);
        assert_eq!(
            found,
            [
                Decoded::Malformed(Malformed::Escape(7)),
                Decoded::Frame(vec![5])
            ]
        );
    }

    #[test]
    fn an_endless_frame_is_reported_once_and_kept_out_of_memory() {
        let mut decoder = Decoder::new(16);
        let mut bytes = vec![END];
        bytes.extend([0x55; 1000]);
        bytes.push(END);
        encode(&[1], &mut bytes);
        let found = decode_all(&mut decoder, &bytes, 7);
        assert_eq!(
            found,
            [
                Decoded::Malformed(Malformed::Oversize(16)),
                Decoded::Frame(vec![1])
            ]
        );
    }

    #[test]
    fn endless_noise_comes_out_in_bounded_pieces() {
        let found = decode_all(&mut Decoder::new(16), &[0x41; 100], usize::MAX);
        assert_eq!(found.len(), 6);
        assert!(
            found
                .iter()
                .all(|one| matches!(one, Decoded::Noise(noise) if noise.len() <= 16))
        );
    }

    #[test]
    fn a_frame_of_exactly_the_bound_is_accepted() {
        let mut bytes = Vec::new();
        encode(&[END; 16], &mut bytes);
        let found = decode_all(&mut Decoder::new(16), &bytes, 5);
        assert_eq!(found, [Decoded::Frame(vec![END; 16])]);
    }

    proptest! {
        #[test]
        fn every_frame_survives_the_round_trip_in_any_chunking(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..6),
            chunk in 1usize..400,
        ) {
            let mut bytes = Vec::new();
            for frame in &frames {
                encode(frame, &mut bytes);
            }
            let found = decode_all(&mut Decoder::new(300), &bytes, chunk);
            let wanted: Vec<_> = frames.into_iter().map(Decoded::Frame).collect();
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn arbitrary_bytes_stay_bounded_and_lose_no_noise(
            bytes in prop::collection::vec(
                prop_oneof![Just(END), Just(ESC), Just(ESC_END), any::<u8>()], 0..600),
            max in 1usize..64,
            chunk in 1usize..64,
        ) {
            let mut decoder = Decoder::new(max);
            for one in decode_all(&mut decoder, &bytes, chunk) {
                match one {
                    Decoded::Frame(frame) => {
                        prop_assert!(!frame.is_empty() && frame.len() <= max);
                    }
                    Decoded::Noise(noise) => {
                        prop_assert!(!noise.is_empty() && noise.len() <= max);
                    }
                    Decoded::Malformed(_) => {}
                }
            }
        }
    }
}
