//! Getting a loader to answer.
//!
//! Invariants: contact is made only by a well-formed answer to SYNC; what a chip prints meanwhile is
//! read, bounded, and used to say why there was no contact; the whole ends by its deadline.

use std::time::Duration;

use station_esp::command::{Dialect, Opcode, Request, Response, SYNC_ANSWERS};
use station_esp::slip::{self, Decoded};
use tokio::time::Instant;

use super::baud::ROM_BAUD;
use super::bootlog::{BootLog, BootMode};
use super::exchange::Loader;
use super::timing::GREETING;
use super::wire::Wire;
use crate::error::DeviceError;
use crate::reset::{ResetMeans, ResetTo};
use crate::session::ConnectOptions;

/// Before a greeting: an escape no loader knows. Whoever was inside a frame drops it and waits for
/// the next mark; whoever was not ignores two bytes of noise.
const INTERRUPT: [u8; 2] = [slip::ESC, 0x00];

/// How long a chip may take from its reset to the end of its boot log.
const START: Duration = Duration::from_millis(60);
/// How often that log is looked at while it comes.
const LISTEN_STEP: Duration = Duration::from_millis(5);
/// Bytes of noise after which one greeting is given up.
const MAX_NOISE: usize = 64 * 1024;
/// Greetings to get a loader's attention back.
const ATTENTION_TRIES: u32 = 6;

/// Makes contact with the loader behind a port.
pub(crate) async fn contact(
    mut wire: Wire,
    options: &ConnectOptions,
    deadline: Instant,
) -> Result<Loader, DeviceError> {
    let mut search = Search::new(options, &wire);
    let rounds = options.resets.max(1);
    for _ in 0..rounds {
        if Instant::now() >= deadline {
            break;
        }
        if let Some(dialect) = search.round(&mut wire, deadline).await? {
            wire.answered();
            return Ok(Loader::new(wire, dialect));
        }
    }
    Err(search.failure(&wire))
}

struct Search<'a> {
    options: &'a ConnectOptions,
    can_reset: bool,
    log: BootLog,
    /// A boot mode that was seen in any round and is not download mode.
    wrong_mode: Option<String>,
    noise: u64,
    greetings: u32,
}

impl<'a> Search<'a> {
    fn new(options: &'a ConnectOptions, wire: &Wire) -> Self {
        let means = wire.port().reset.means();
        let can_reset = options.reset && !matches!(means, ResetMeans::None | ResetMeans::Watchdog);
        Self {
            options,
            can_reset,
            log: BootLog::default(),
            wrong_mode: None,
            noise: 0,
            greetings: 0,
        }
    }

    /// One reset and greetings, or greetings at every rate where there is no reset.
    async fn round(
        &mut self,
        wire: &mut Wire,
        deadline: Instant,
    ) -> Result<Option<Dialect>, DeviceError> {
        let mut rates = vec![ROM_BAUD];
        if !self.can_reset {
            rates.extend(
                self.options
                    .bauds
                    .iter()
                    .copied()
                    .filter(|&rate| rate != ROM_BAUD),
            );
        }
        for rate in rates {
            match wire.set_baud(rate).await {
                Err(DeviceError::BaudRejected { .. }) if rate != ROM_BAUD => continue,
                result => result?,
            }
            wire.discard().await?;
            self.log.clear();
            if self.can_reset {
                wire.reset(ResetTo::Bootloader).await?;
                self.listen(wire, deadline).await?;
            }
            for _ in 0..self.options.greetings.max(1) {
                if Instant::now() >= deadline || self.started_elsewhere() {
                    break;
                }
                if let Some(dialect) = self.greet(wire, deadline).await? {
                    return Ok(Some(dialect));
                }
            }
        }
        Ok(None)
    }

    /// Lets the chip say that it is there: what is sent to a chip that still starts is lost, and a
    /// greeting that is lost costs more time than this. A chip on USB may say nothing.
    async fn listen(&mut self, wire: &mut Wire, deadline: Instant) -> Result<(), DeviceError> {
        let end = (Instant::now() + START).min(deadline);
        while !self.log.waits_for_download() {
            let moment = (Instant::now() + LISTEN_STEP).min(end);
            let found = wire.next(moment).await?;
            if let Some(Decoded::Noise(bytes)) = found {
                self.hear(&bytes);
            }
            let bytes = wire.take_noise();
            self.hear(&bytes);
            let flood = self.noise > MAX_NOISE as u64;
            if flood || Instant::now() >= end || matches!(self.log.mode(), BootMode::Other(_)) {
                break;
            }
        }
        Ok(())
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.noise += bytes.len() as u64;
        self.log.add(bytes);
    }

    /// Whether the chip has said that it did not stay in its loader.
    fn started_elsewhere(&mut self) -> bool {
        match self.log.mode() {
            BootMode::Other(mode) => {
                self.wrong_mode = Some(mode);
                // Without a reset of ours the line may be old news.
                self.can_reset
            }
            BootMode::Download => {
                self.wrong_mode = None;
                false
            }
            BootMode::Unseen => false,
        }
    }

    async fn greet(
        &mut self,
        wire: &mut Wire,
        deadline: Instant,
    ) -> Result<Option<Dialect>, DeviceError> {
        self.greetings += 1;
        greet(wire, false, deadline, &mut |bytes| self.hear(bytes)).await
    }

    fn failure(&self, wire: &Wire) -> DeviceError {
        let link = wire.name();
        if let Some(mode) = &self.wrong_mode {
            return DeviceError::WrongBootMode {
                link,
                mode: mode.clone(),
            };
        }
        if self.noise > 0 {
            return DeviceError::NoiseOnly {
                link,
                bytes: self.noise,
                sample: self.log.last_line(),
            };
        }
        DeviceError::NoAnswer {
            link,
            attempts: self.greetings,
        }
    }
}

/// Sends one greeting and waits a moment for all its answers.
async fn greet(
    wire: &mut Wire,
    interrupt: bool,
    deadline: Instant,
    heard: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<Option<Dialect>, DeviceError> {
    let mut raw = Vec::with_capacity(64);
    Request::Sync.encode(Dialect::Rom, &mut raw);
    let mut frame = if interrupt {
        INTERRUPT.to_vec()
    } else {
        Vec::new()
    };
    slip::encode(&raw, &mut frame);

    let answers = wire.time_for(frame.len() + SYNC_ANSWERS * 16);
    let end = (Instant::now() + GREETING + answers).min(deadline);
    wire.write(&frame, end).await.or_else(not_taken)?;
    let (mut count, mut dialect, mut noise) = (0, None, 0);
    while count < SYNC_ANSWERS {
        match wire.next(end).await? {
            None => break,
            Some(Decoded::Frame(answer)) => {
                if let Some(found) = answered_by(&answer) {
                    // A stub's refusal of an earlier command comes as the answer to this one.
                    dialect = found.or(dialect);
                    count += 1;
                } else {
                    noise += answer.len();
                }
            }
            Some(Decoded::Noise(bytes)) => {
                noise += bytes.len();
                heard(&bytes);
            }
            Some(Decoded::Malformed(_)) => noise += 1,
        }
        if noise > MAX_NOISE {
            break;
        }
    }
    heard(&wire.take_noise());
    Ok(dialect)
}

/// A link that takes no bytes is one that does not answer; only a lost one ends the search.
fn not_taken(error: DeviceError) -> Result<(), DeviceError> {
    if matches!(error, DeviceError::NoReply { .. }) {
        Ok(())
    } else {
        Err(error)
    }
}

/// Which loader an answer to SYNC comes from: the ROM sends four status bytes and a value, the stub
/// two and zero (esptool tells them apart by the value). The inner `None` is a refusal.
fn answered_by(frame: &[u8]) -> Option<Option<Dialect>> {
    let dialect = match frame.len() {
        10 => Dialect::Stub,
        12 => Dialect::Rom,
        _ => return None,
    };
    let response = Response::decode(frame, dialect).ok()?;
    (response.opcode == Opcode::Sync as u8).then(|| response.status.is_ok().then_some(dialect))
}

impl Loader {
    /// Resets the chip into its bootloader, where the port can, and looks once who answers.
    pub(crate) async fn reach_again(&mut self, deadline: Instant) -> Result<bool, DeviceError> {
        let options = ConnectOptions {
            bauds: Vec::new(),
            ..ConnectOptions::default()
        };
        let mut search = Search::new(&options, &self.wire);
        if !search.can_reset {
            return Ok(false);
        }
        self.disturbed = true;
        let Some(dialect) = search.round(&mut self.wire, deadline).await? else {
            return Ok(false);
        };
        self.wire.answered();
        self.dialect = dialect;
        self.disturbed = false;
        Ok(true)
    }

    /// Finds the loader's attention again if an exchange broke off.
    pub(crate) async fn settle(&mut self) -> Result<(), DeviceError> {
        if self.disturbed {
            self.attention().await
        } else {
            Ok(())
        }
    }

    /// Greets until the same loader answers, so that everything asked before is answered or lost.
    pub(crate) async fn attention(&mut self) -> Result<(), DeviceError> {
        self.disturbed = true;
        let start = Instant::now();
        let mut deadline = start + Duration::from_secs(4);
        for attempt in 0..ATTENTION_TRIES {
            self.wire.discard().await?;
            let found = greet(&mut self.wire, attempt % 2 == 0, deadline, &mut |_| {}).await?;
            match found {
                Some(dialect) if dialect == self.dialect => {
                    // Answers to a greeting that was thought lost.
                    let silence = self.wire.time_for(64) + Duration::from_millis(2);
                    self.wire.drain(silence, Instant::now() + GREETING).await?;
                    self.disturbed = false;
                    return Ok(());
                }
                Some(_) => {
                    return Err(DeviceError::LinkLost {
                        link: self.wire.name(),
                        detail: "the chip was reset in the middle of the conversation".into(),
                    });
                }
                None => deadline += GREETING,
            }
        }
        Err(DeviceError::NoReply {
            what: "SYNC after a disturbance".into(),
            after: start.elapsed(),
        })
    }
}

#[cfg(test)]
mod tests {
    use station_esp::command::{RomError, Status};

    use super::*;

    fn answer(dialect: Dialect, value: u32, status: Status) -> Vec<u8> {
        let mut frame = Vec::new();
        Response::plain(Opcode::Sync as u8, value, status).encode(dialect, &mut frame);
        frame
    }

    #[test]
    fn rom_and_stub_are_told_apart_by_their_answer_to_sync() {
        assert_eq!(
            answered_by(&answer(Dialect::Rom, 0x2012_0707, Status::OK)),
            Some(Some(Dialect::Rom))
        );
        assert_eq!(
            answered_by(&answer(Dialect::Stub, 0, Status::OK)),
            Some(Some(Dialect::Stub))
        );
    }

    #[test]
    fn a_refusal_is_an_answer_but_no_contact() {
        let refusal = answer(Dialect::Rom, 0, Status::rom(RomError::InvalidMessage));
        assert_eq!(answered_by(&refusal), Some(None));
    }

    #[test]
    fn a_frame_of_something_else_is_no_answer() {
        assert_eq!(answered_by(b"OHAI"), None);
        assert_eq!(answered_by(&[0; 12]), None);
    }
}
