//! Content on its way: some bytes in pieces, counted as they go.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::tally::Tally;

/// Bytes that are handed over at once.
const PIECE: usize = 16 * 1024;

/// The body of a message.
#[derive(Debug)]
pub struct Sent {
    left: Bytes,
    tally: Arc<Tally>,
    is_download: bool,
}

impl Sent {
    /// These bytes; with the last of them a download is complete if `is_download`.
    pub fn new(bytes: Bytes, tally: Arc<Tally>, is_download: bool) -> Self {
        Self {
            left: bytes,
            tally,
            is_download,
        }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.left.len().min(PIECE);
        let piece = self.left.split_to(length);
        self.tally.sent(piece.len());
        if self.left.is_empty() && self.is_download {
            self.tally.downloaded();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.left.len()).unwrap_or(u64::MAX))
    }
}
