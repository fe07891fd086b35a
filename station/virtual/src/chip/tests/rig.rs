//! A host for tests: it encodes requests, keeps the clock, and takes answers apart.

use station_esp::Chip;
use station_esp::command::{DataBlock, Dialect, MemBegin, Request, Response, Status};
use station_esp::loader;
use station_esp::slip::{self, Decoded, Decoder};

use crate::chip::{ChipConfig, Mode, VirtualChip};
use crate::wire::Nanos;

/// Milliseconds as the chip counts them.
pub(super) const MS: Nanos = 1_000_000;

/// One answer, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) opcode: u8,
    pub(super) value: u32,
    pub(super) body: Vec<u8>,
    pub(super) status: Status,
}

/// A chip with a host.
pub(super) struct Rig {
    pub(super) chip: VirtualChip,
    pub(super) now: Nanos,
    pub(super) baud: u32,
}

impl Rig {
    /// A chip that waits for a download.
    pub(super) fn download(mut config: ChipConfig) -> Self {
        config.strapped = true;
        let mut rig = Self {
            chip: VirtualChip::new(config),
            now: 0,
            baud: 115_200,
        };
        rig.now += 50 * MS;
        let log = rig.listen();
        assert!(log.ends_with("waiting for download\r\n") || rig.chip.config().faults.silent);
        rig
    }

    /// An ESP32-C3 that waits for a download.
    pub(super) fn c3() -> Self {
        Self::download(ChipConfig::new(Chip::Esp32C3, 1, 7))
    }

    /// What the chip has said by now, as text.
    pub(super) fn listen(&mut self) -> String {
        let mut out = Vec::new();
        self.chip.set_host_baud(Some(self.baud));
        self.chip.advance(self.now, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Sends bytes and collects what comes back within `wait`.
    pub(super) fn exchange(&mut self, bytes: &[u8], wait: Nanos) -> Vec<u8> {
        let mut out = Vec::new();
        self.chip.receive(self.now, Some(self.baud), bytes);
        let end = self.now + wait;
        self.chip.advance(self.now, &mut out);
        while let Some(due) = self.chip.next_due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.chip.advance(self.now, &mut out);
            if self.chip.input_backlog() == 0 && self.chip.next_due().is_none() {
                return out;
            }
        }
        out
    }

    /// Sends a frame and returns the frames that come back.
    pub(super) fn frames(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        let mut bytes = Vec::new();
        slip::encode(frame, &mut bytes);
        let heard = self.exchange(&bytes, 60_000 * MS);
        unframed(&heard)
    }

    pub(super) fn dialect(&self) -> Dialect {
        if self.chip.mode() == Mode::Stub {
            Dialect::Stub
        } else {
            Dialect::Rom
        }
    }

    /// Sends a raw frame and returns the answers.
    pub(super) fn raw(&mut self, frame: &[u8]) -> Vec<Reply> {
        let dialect = self.dialect();
        self.frames(frame)
            .iter()
            .map(|frame| reply(frame, dialect))
            .collect()
    }

    /// Sends a request and returns its answers.
    pub(super) fn all(&mut self, request: &Request<'_>) -> Vec<Reply> {
        let mut frame = Vec::new();
        request.encode(self.dialect(), &mut frame);
        self.raw(&frame)
    }

    /// Sends a request and returns its only answer.
    pub(super) fn ask(&mut self, request: &Request<'_>) -> Reply {
        let mut answers = self.all(request);
        assert_eq!(answers.len(), 1, "{request:?}");
        answers.remove(0)
    }

    /// Sends a request that must succeed.
    pub(super) fn ok(&mut self, request: &Request<'_>) -> Reply {
        let answer = self.ask(request);
        assert!(answer.status.is_ok(), "{request:?}: {answer:?}");
        answer
    }

    /// Sends a request and returns the two status bytes of its answer.
    pub(super) fn status(&mut self, request: &Request<'_>) -> [u8; 2] {
        self.ask(request).status.0
    }

    pub(super) fn sync(&mut self) -> Vec<Reply> {
        self.all(&Request::Sync)
    }

    /// Uploads and starts the chip's stub.
    pub(super) fn stub(mut self) -> Self {
        self.sync();
        let config = self.chip.config();
        let stub = loader::stub(config.chip, config.revision).unwrap();
        for (offset, bytes) in stub.segments() {
            self.upload(offset, bytes);
        }
        let mut frame = Vec::new();
        Request::MemEnd {
            stay: false,
            entry: stub.entry,
        }
        .encode(Dialect::Rom, &mut frame);
        let answers = self.frames(&frame);
        assert_eq!(answers.last().map(Vec::as_slice), Some(&b"OHAI"[..]));
        assert_eq!(self.chip.mode(), Mode::Stub);
        self
    }

    pub(super) fn upload(&mut self, offset: u32, bytes: &[u8]) {
        let (size, blocks) = (bytes.len() as u32, bytes.len().div_ceil(0x1800) as u32);
        self.ok(&Request::MemBegin(MemBegin {
            size,
            blocks,
            block_size: 0x1800,
            offset,
        }));
        for (sequence, data) in (0u32..).zip(bytes.chunks(0x1800)) {
            self.ok(&Request::MemData(DataBlock { sequence, data }));
        }
    }
}

/// The payloads of the frames in a stream.
pub(super) fn unframed(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(0x10000);
    let mut frames = Vec::new();
    for byte in bytes {
        if let Some(Decoded::Frame(frame)) = decoder.push(*byte) {
            frames.push(frame);
        }
    }
    frames
}

pub(super) fn reply(frame: &[u8], dialect: Dialect) -> Reply {
    let answer = Response::decode(frame, dialect).unwrap();
    Reply {
        opcode: answer.opcode,
        value: answer.value,
        body: answer.body.to_vec(),
        status: answer.status,
    }
}
