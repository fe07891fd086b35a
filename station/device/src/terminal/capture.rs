//! What an application printed, the newest part of it.
//!
//! Invariants: at most [`CAPTURE_BOUND`] bytes are held, whatever the application prints; what fell
//! out is counted, and positions keep counting from the first byte ever seen, so that nothing is
//! mistaken for something newer.

use std::collections::VecDeque;

/// Bytes of output that are kept.
pub const CAPTURE_BOUND: usize = 256 * 1024;

/// A bounded record of output.
#[derive(Debug, Default)]
pub(super) struct Capture {
    bytes: VecDeque<u8>,
    /// Bytes that fell out at the front.
    dropped: u64,
}

impl Capture {
    /// Adds bytes, forgetting the oldest beyond the bound.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let bytes = match bytes.len().checked_sub(CAPTURE_BOUND) {
            Some(excess) => {
                self.dropped += excess as u64;
                &bytes[excess..]
            }
            None => bytes,
        };
        let excess = (self.bytes.len() + bytes.len()).saturating_sub(CAPTURE_BOUND);
        self.bytes.drain(..excess);
        self.dropped += excess as u64;
        self.bytes.extend(bytes);
    }

    /// How many bytes fell out.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The position just behind the newest byte.
    pub(super) fn end(&self) -> u64 {
        self.dropped + self.bytes.len() as u64
    }

    /// The bytes from `position` on, at most the newest `bound` of them, and where they begin.
    pub(super) fn since(&self, position: u64, bound: usize) -> (u64, Vec<u8>) {
        let oldest = self.end().saturating_sub(bound as u64).max(self.dropped);
        let from = position.max(oldest).min(self.end());
        let skip = usize::try_from(from - self.dropped).unwrap_or(usize::MAX);
        (from, self.bytes.iter().skip(skip).copied().collect())
    }
}

/// Bytes as text, with every byte that is no UTF-8 shown as `U+FFFD`, and the way back from a place
/// in the text to a place in the bytes.
#[derive(Debug)]
pub(super) struct Lossy {
    pub(super) text: String,
    /// (place in the text, place in the bytes) behind every replaced stretch.
    bends: Vec<(usize, usize)>,
}

impl Lossy {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut lossy = Self {
            text: String::with_capacity(bytes.len()),
            bends: Vec::new(),
        };
        let mut place = 0;
        for chunk in bytes.utf8_chunks() {
            lossy.text.push_str(chunk.valid());
            place += chunk.valid().len();
            if !chunk.invalid().is_empty() {
                lossy.text.push(char::REPLACEMENT_CHARACTER);
                place += chunk.invalid().len();
                lossy.bends.push((lossy.text.len(), place));
            }
        }
        lossy
    }

    /// The place in the bytes that belongs to a place in the text.
    pub(super) fn byte_at(&self, text_at: usize) -> usize {
        let bend = self.bends.partition_point(|&(text, _)| text <= text_at);
        match bend.checked_sub(1).map(|index| self.bends[index]) {
            Some((text, byte)) => byte + (text_at - text),
            None => text_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_held_within_its_bound_and_counted() {
        let mut capture = Capture::default();
        for _ in 0..40 {
            capture.add(&[b'x'; 10_000]);
        }
        capture.add(b"end");
        assert_eq!(capture.dropped(), 400_003 - CAPTURE_BOUND as u64);
        assert_eq!(
            capture.since(capture.end() - 3, 100),
            (400_000, b"end".to_vec())
        );
        capture.add(&vec![b'y'; CAPTURE_BOUND + 5]);
        assert_eq!(capture.end(), 400_003 + CAPTURE_BOUND as u64 + 5);
        assert_eq!(capture.since(0, 1), (capture.end() - 1, vec![b'y']));
    }

    #[test]
    fn a_position_that_fell_out_reads_from_the_oldest_byte_kept() {
        let mut capture = Capture::default();
        capture.add(&vec![b'a'; CAPTURE_BOUND]);
        capture.add(b"b");
        let (from, bytes) = capture.since(0, usize::MAX);
        assert_eq!((from, bytes.len()), (1, CAPTURE_BOUND));
    }

    proptest::proptest! {
        #[test]
        fn places_in_lossy_text_lead_back_to_their_bytes(bytes: Vec<u8>) {
            let lossy = Lossy::new(&bytes);
            proptest::prop_assert_eq!(&lossy.text, &String::from_utf8_lossy(&bytes));
            for (at, _) in lossy.text.char_indices().chain([(lossy.text.len(), ' ')]) {
                let byte = lossy.byte_at(at);
                let rest = String::from_utf8_lossy(&bytes[byte..]);
                proptest::prop_assert_eq!(rest.as_ref(), &lossy.text[at..]);
            }
        }
    }
}
