//! Which chip answers.
//!
//! Invariants: a chip is known by what its ROM says of itself, never by guess; GET_SECURITY_INFO is
//! asked first because the magic word lies in external memory on some chips and reading it there
//! hangs; the stale answers that a ROM gives to an unknown command are read before anything else is
//! asked.
//!
//! Source: esptool 5.6 detection order; ids and words in `station_esp::chip`.

use std::time::Duration;

use station_esp::Chip;
use station_esp::chip::{ChipSpec, SecurityInfoShape};
use station_esp::command::{Opcode, Request, SecurityFlag, SecurityInfo};
use station_esp::slip;
use tokio::time::Instant;

use super::exchange::Loader;
use super::timing::PROMPT;
use crate::error::DeviceError;

/// Answers a ROM gives to a command it does not know (esptool: "sent 8 times").
const REFUSALS: u32 = 8;
/// How long a ROM may take for the first answer to a command it may not know.
const FIRST_ANSWER: Duration = Duration::from_millis(500);

/// What a chip says it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detected {
    /// The chip.
    pub(crate) chip: Chip,
    /// Its security state, where it tells.
    pub(crate) security: Option<SecurityInfo>,
}

impl Loader {
    /// Asks the chip what it is, and keeps it in mind.
    pub(crate) async fn detect(&mut self) -> Result<Detected, DeviceError> {
        let security = self.security_info().await?;
        if let Some(security) = security {
            self.secure = security.has(SecurityFlag::SecureDownload);
        }
        let chip = match security.map(|security| security.chip_id) {
            Some(Some(id)) => by_id(id)?,
            // Only one chip of the family answers without its id.
            Some(None) => Chip::ALL
                .into_iter()
                .find(|chip| chip.spec().security_info == SecurityInfoShape::WithoutId)
                .ok_or_else(|| unknown("security info without an id".into()))?,
            None => {
                let magic = self.read_register_surely(ChipSpec::MAGIC_ADDRESS).await?;
                Chip::from_magic(magic)
                    .ok_or_else(|| unknown(format!("magic word 0x{magic:08x}")))?
            }
        };
        self.spec = Some(chip.spec());
        Ok(Detected { chip, security })
    }

    /// The security info twice the same, or `None` when the loader does not know the question.
    pub(crate) async fn security_info(&mut self) -> Result<Option<SecurityInfo>, DeviceError> {
        let mut last = None;
        for _ in 0..6 {
            let info = match self.security_info_once().await {
                Ok(None) => return Ok(None),
                Ok(Some(info)) => info,
                Err(DeviceError::NoReply { .. } | DeviceError::Protocol { .. }) => {
                    last = None;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if last == Some(info) {
                return Ok(Some(info));
            }
            last = Some(info);
        }
        Err(DeviceError::Protocol {
            what: Opcode::GetSecurityInfo.word().into(),
            detail: "no two answers agree".into(),
        })
    }

    async fn security_info_once(&mut self) -> Result<Option<SecurityInfo>, DeviceError> {
        self.settle().await?;
        let mut raw = Vec::new();
        Request::GetSecurityInfo.encode(self.dialect, &mut raw);
        let mut frame = Vec::new();
        slip::encode(&raw, &mut frame);

        self.disturb();
        let (deadline, patience) = self.deadline(frame.len() + 32, FIRST_ANSWER);
        self.wire.write(&frame, deadline).await?;
        let opcode = Opcode::GetSecurityInfo as u8;
        // A ROM may answer an unknown command under another opcode.
        let answer = self
            .answer(deadline, |asked| {
                asked.opcode == opcode || !asked.status.is_ok()
            })
            .await?
            .ok_or_else(|| DeviceError::NoReply {
                what: Opcode::GetSecurityInfo.word().into(),
                after: patience,
            })?;
        if !answer.status.is_ok() {
            self.drain_refusals().await?;
            return Ok(None);
        }
        self.undisturbed();
        match SecurityInfo::decode(&answer.body) {
            Ok(info) => Ok(Some(info)),
            Err(error) => Err(DeviceError::Protocol {
                what: Opcode::GetSecurityInfo.word().into(),
                detail: error.to_string(),
            }),
        }
    }

    /// Reads what is left of the answers to an unknown command: up to eight in all, as long as they
    /// come without a pause.
    async fn drain_refusals(&mut self) -> Result<(), DeviceError> {
        let pause = self.wire.time_for(64) + Duration::from_millis(10);
        let end = Instant::now() + PROMPT;
        for _ in 1..REFUSALS {
            let moment = (Instant::now() + pause).min(end);
            if self.answer(moment, |_| true).await?.is_none() {
                break;
            }
        }
        self.undisturbed();
        Ok(())
    }

    /// The crystal frequency in MHz. Ask it before the rate is changed: the ROM's divider tells it.
    pub(crate) async fn crystal_mhz(&mut self, spec: &ChipSpec) -> Result<u8, DeviceError> {
        use station_esp::chip::Crystal;
        match spec.crystal {
            Crystal::Fixed(mhz) => Ok(mhz),
            Crystal::UartDivider { typical_mhz, .. } if self.secure => Ok(typical_mhz),
            Crystal::UartDivider { .. } => {
                let divider = self.read_register_surely(spec.uart.clkdiv).await?;
                Ok(spec.crystal.from_divider(self.wire.baud(), divider))
            }
        }
    }
}

fn by_id(id: u32) -> Result<Chip, DeviceError> {
    u16::try_from(id)
        .ok()
        .and_then(Chip::from_image_id)
        .ok_or_else(|| unknown(format!("chip id {id}")))
}

fn unknown(detail: String) -> DeviceError {
    DeviceError::UnsupportedChip { detail }
}
