//! One request and its answer.
//!
//! Invariants: a wait ends at a moment fixed when the request was made; at most [`MAX_SKIPPED`]
//! frames and [`MAX_NOISE`] bytes that are no answer are passed over; an exchange that did not end
//! leaves a mark, and the next one begins by finding the loader's attention.

use std::fmt;
use std::time::Duration;

use station_esp::Revision;
use station_esp::chip::ChipSpec;
use station_esp::command::{Dialect, Opcode, Request, Response, Status};
use station_esp::slip::{self, Decoded};
use tokio::time::Instant;
use zeroize::Zeroize;

use super::timing::PROMPT;
use super::wire::Wire;
use crate::error::{DeviceError, FailureClass};

/// Frames passed over while waiting for an answer; esptool passes over as many.
const MAX_SKIPPED: u32 = 100;
/// Bytes passed over while waiting for an answer.
const MAX_NOISE: usize = 64 * 1024;
/// Times a question that changes nothing is asked.
const TRIES: u32 = 3;

/// An answer, however it went. Its value may be a key, so nothing formats it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The command the loader says it answers.
    pub(crate) opcode: u8,
    /// The value of a register read.
    pub(crate) value: u32,
    /// The rest.
    pub(crate) body: Vec<u8>,
    /// How it went.
    pub(crate) status: Status,
}

/// The answer to a command that succeeded. Its value may be a key, so nothing formats it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The value of a register read.
    pub(crate) value: u32,
    /// The rest.
    pub(crate) body: Vec<u8>,
}

/// A loader that answers.
pub(crate) struct Loader {
    pub(super) wire: Wire,
    pub(super) dialect: Dialect,
    /// The chip, once it is known.
    pub(super) spec: Option<&'static ChipSpec>,
    /// Its revision, once it is known.
    pub(super) revision: Revision,
    /// Whether only secure download mode is left.
    pub(super) secure: bool,
    /// Whether an exchange broke off.
    pub(super) disturbed: bool,
    scratch: Vec<u8>,
}

impl fmt::Debug for Loader {
    /// Without what was sent: it may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("wire", &self.wire)
            .field("dialect", &self.dialect)
            .field("chip", &self.spec.map(|spec| spec.chip))
            .field("revision", &self.revision)
            .field("secure", &self.secure)
            .field("disturbed", &self.disturbed)
            .finish_non_exhaustive()
    }
}

impl Loader {
    /// A loader that has just answered in `dialect`.
    pub(super) fn new(wire: Wire, dialect: Dialect) -> Self {
        Self {
            wire,
            dialect,
            spec: None,
            revision: Revision::default(),
            secure: false,
            disturbed: false,
            scratch: Vec::new(),
        }
    }

    /// Which loader it is.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether it is the stub.
    pub(crate) fn is_stub(&self) -> bool {
        self.dialect == Dialect::Stub
    }

    /// Whether only secure download mode is left.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Keeps in mind that only secure download mode is left.
    pub(crate) fn set_secure(&mut self) {
        self.secure = true;
    }

    /// The chip's revision, once it was read.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// Keeps the chip's revision in mind, for the choice of its stub.
    pub(crate) fn set_revision(&mut self, revision: Revision) {
        self.revision = revision;
    }

    /// The wire below.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Wipes what was received so far: values of registers that may be keys.
    pub(crate) fn wipe(&mut self) {
        self.wire.wipe();
    }

    /// Ends the conversation.
    pub(crate) fn into_wire(self) -> Wire {
        self.wire
    }

    /// Whether chip, loader and security state allow a command.
    ///
    /// # Errors
    /// `SecureDownload` or `Unsupported`.
    pub(crate) fn allows(&self, opcode: Opcode) -> Result<(), DeviceError> {
        if self.secure && !opcode.allowed_in_secure_download() {
            return Err(DeviceError::SecureDownload {
                what: opcode.word().to_owned(),
            });
        }
        match self.spec {
            Some(spec) if !spec.supports(self.dialect, opcode) => Err(DeviceError::Unsupported {
                what: opcode.word().to_owned(),
                detail: format!("the {} of {}", self.dialect.word(), spec.chip.title()),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Asks, and takes a refusal for an error. `patience` is what the chip may take; time on the
    /// wire comes on top.
    pub(crate) async fn ask(
        &mut self,
        request: &Request<'_>,
        patience: Duration,
    ) -> Result<Reply, DeviceError> {
        let opcode = request.opcode();
        self.allows(opcode)?;
        let frame = self.encode(request);
        let asked = self.exchange(opcode, &frame, patience).await;
        self.scratch = frame;
        self.accept(opcode, asked?)
    }

    /// Asks something that changes nothing, again if the link spoils it.
    pub(crate) async fn ask_again(
        &mut self,
        request: &Request<'_>,
        patience: Duration,
    ) -> Result<Reply, DeviceError> {
        let mut tries = 1;
        loop {
            match self.ask(request, patience).await {
                Err(error) if tries < TRIES && is_transient(&error) => tries += 1,
                result => return result,
            }
        }
    }

    /// Sends a ready frame and waits for the answer to `opcode`, whatever it says.
    pub(crate) async fn exchange(
        &mut self,
        opcode: Opcode,
        frame: &[u8],
        patience: Duration,
    ) -> Result<Asked, DeviceError> {
        self.settle().await?;
        self.disturbed = true;
        let (deadline, patience) = self.deadline(frame.len(), patience);
        self.wire.write(frame, deadline).await?;
        let asked = self
            .answer(deadline, |asked| asked.opcode == opcode as u8)
            .await?
            .ok_or_else(|| DeviceError::NoReply {
                what: opcode.word().into(),
                after: patience,
            })?;
        self.disturbed = false;
        Ok(asked)
    }

    /// A moment by which `bytes` can have left and `patience` have passed.
    pub(super) fn deadline(&self, bytes: usize, patience: Duration) -> (Instant, Duration) {
        let patience = patience + self.wire.time_for(bytes) * 2;
        (Instant::now() + patience, patience)
    }

    /// The next answer that `wanted` accepts, or `None` when `deadline` passed.
    pub(super) async fn answer(
        &mut self,
        deadline: Instant,
        wanted: impl Fn(&Asked) -> bool,
    ) -> Result<Option<Asked>, DeviceError> {
        let (mut skipped, mut noise) = (0, 0);
        while skipped < MAX_SKIPPED && noise < MAX_NOISE {
            match self.wire.next(deadline).await? {
                None => return Ok(None),
                Some(Decoded::Frame(mut frame)) => {
                    let asked = decode(&frame, self.dialect);
                    // The value of a register may be a key.
                    frame.zeroize();
                    self.wire.recycle(frame);
                    match asked {
                        Some(asked) if wanted(&asked) => return Ok(Some(asked)),
                        Some(_) | None => skipped += 1,
                    }
                }
                Some(Decoded::Noise(bytes)) => noise += bytes.len(),
                Some(Decoded::Malformed(_)) => skipped += 1,
            }
        }
        Err(DeviceError::Protocol {
            what: "waiting for an answer".into(),
            detail: format!("{noise} bytes of noise and {skipped} other frames came instead"),
        })
    }

    /// The next frame as it is, or `None` when `deadline` passed.
    pub(crate) async fn raw_frame(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<Vec<u8>>, DeviceError> {
        let mut noise = 0;
        while noise < MAX_NOISE {
            match self.wire.next(deadline).await? {
                None => return Ok(None),
                Some(Decoded::Frame(frame)) => return Ok(Some(frame)),
                Some(Decoded::Noise(bytes)) => noise += bytes.len(),
                Some(Decoded::Malformed(malformed)) => {
                    return Err(DeviceError::Protocol {
                        what: "waiting for a frame".into(),
                        detail: malformed.to_string(),
                    });
                }
            }
        }
        Err(DeviceError::Protocol {
            what: "waiting for a frame".into(),
            detail: format!("{noise} bytes of noise came instead"),
        })
    }

    /// Writes ready bytes that are answered by something else than an answer.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        let (deadline, _) = self.deadline(bytes.len(), PROMPT);
        self.wire.write(bytes, deadline).await
    }

    /// Notes that what is on the wire is no longer known.
    pub(crate) fn disturb(&mut self) {
        self.disturbed = true;
    }

    /// Notes that an exchange outside of [`Loader::exchange`] came to its end.
    pub(crate) fn undisturbed(&mut self) {
        self.disturbed = false;
    }

    /// A request as it goes over the wire, in the scratch buffer.
    fn encode(&mut self, request: &Request<'_>) -> Vec<u8> {
        let mut raw = Vec::with_capacity(64);
        request.encode(self.dialect, &mut raw);
        let mut frame = std::mem::take(&mut self.scratch);
        frame.clear();
        slip::encode(&raw, &mut frame);
        frame
    }

    /// Turns a refusal into an error.
    pub(crate) fn accept(&self, opcode: Opcode, asked: Asked) -> Result<Reply, DeviceError> {
        if asked.status.is_ok() {
            return Ok(Reply {
                value: asked.value,
                body: asked.body,
            });
        }
        let (what, meaning) = (
            opcode.word().to_owned(),
            asked.status.meaning(self.dialect).to_owned(),
        );
        let opcode = opcode as u8;
        Err(match self.dialect {
            Dialect::Rom => DeviceError::Rom {
                what,
                opcode,
                code: asked.status.0[1],
                meaning,
            },
            Dialect::Stub => DeviceError::Stub {
                what,
                opcode,
                code: asked.status.0[0],
                meaning,
            },
        })
    }
}

/// Takes an answer apart; nothing if it is none.
pub(super) fn decode(frame: &[u8], dialect: Dialect) -> Option<Asked> {
    let response = Response::decode(frame, dialect).ok()?;
    Some(Asked {
        opcode: response.opcode,
        value: response.value,
        body: response.body.to_vec(),
        status: response.status,
    })
}

/// Whether asking again may help: bytes were lost or spoiled, the port itself is still there.
pub(crate) fn is_transient(error: &DeviceError) -> bool {
    let lost = matches!(
        error,
        DeviceError::NoReply { .. } | DeviceError::Protocol { .. }
    );
    let refused = matches!(error, DeviceError::Rom { .. } | DeviceError::Stub { .. });
    lost || (refused && error.class() == FailureClass::Link)
}
