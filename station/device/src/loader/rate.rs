//! Raising the wire's rate, and finding one that works.
//!
//! Invariants: a rate counts as working only after the chip answered at it; a rate that failed is
//! remembered for the bay; the ROM's own rate is always the last resort and needs no change.

use std::time::Duration;

use station_esp::Chip;
use station_esp::command::{Dialect, Request};
use tokio::time::{Instant, sleep};

use super::baud::ROM_BAUD;
use super::contact::contact;
use super::exchange::{Loader, is_transient};
use super::timing::PROMPT;
use crate::error::DeviceError;
use crate::session::ConnectOptions;

/// How long a chip takes to change its divider after it has answered, with room for an adapter that
/// sends what it still holds.
const SWITCH: Duration = Duration::from_millis(5);
/// How long an answer at the new rate may take, per try.
const CHECK: Duration = Duration::from_millis(60);
/// Tries of the check.
const CHECKS: u32 = 3;
/// Tries of a rate at which the chip did answer and then could not be talked to.
const TRIES: u32 = 2;

impl Loader {
    /// Brings the conversation to the fastest rate that works and the stub into the chip, if it
    /// may be. Every failure of a rate starts over from a reset.
    pub(crate) async fn speed_up(
        mut self,
        options: &ConnectOptions,
        crystal_mhz: u8,
        stub: bool,
        deadline: Instant,
    ) -> Result<Self, DeviceError> {
        let ladder = options.baud_memory.ladder(&options.bauds);
        let last = ladder.len() - 1;
        for (step, &rate) in ladder.iter().enumerate() {
            let mut tries = 0;
            loop {
                tries += 1;
                let raised = self.raise(rate, crystal_mhz).await;
                let answered = raised.is_ok();
                let result = match raised {
                    Ok(()) if stub && !self.is_stub() => self.start_stub(rate).await,
                    other => other,
                };
                match result {
                    Ok(()) => return Ok(self),
                    Err(error) if !worth_another(&error) => return Err(error),
                    Err(error) => {
                        let again = answered && tries < TRIES;
                        if !again && step == last {
                            return Err(error);
                        }
                        if !again {
                            options.baud_memory.failed(rate);
                        }
                        self = self.start_over(options, deadline).await?;
                        if !again {
                            break;
                        }
                    }
                }
            }
        }
        Ok(self)
    }

    /// Contact from the beginning, with the same chip.
    async fn start_over(
        self,
        options: &ConnectOptions,
        deadline: Instant,
    ) -> Result<Self, DeviceError> {
        let (spec, revision, secure) = (self.spec, self.revision, self.secure);
        let mut loader = contact(self.into_wire(), options, deadline).await?;
        loader.spec = spec;
        loader.revision = revision;
        loader.secure = secure;
        Ok(loader)
    }

    /// Changes the rate on both sides and checks it.
    async fn raise(&mut self, rate: u32, crystal_mhz: u8) -> Result<(), DeviceError> {
        let present = self.wire.baud();
        if rate == present {
            return Ok(());
        }
        let new = self.divisor_rate(rate, crystal_mhz);
        let old = match self.dialect {
            Dialect::Rom => 0,
            Dialect::Stub => present,
        };
        self.ask(&Request::ChangeBaudrate { new, old }, PROMPT)
            .await?;
        self.wire.set_baud(rate).await?;
        sleep(SWITCH).await;
        self.wire.discard().await?;
        self.check(rate).await
    }

    async fn check(&mut self, rate: u32) -> Result<(), DeviceError> {
        let request = match self.spec {
            // Harmless to read on every chip, unlike the magic word.
            Some(spec) if !self.secure => Request::ReadReg {
                address: spec.uart.date,
            },
            Some(_) | None => Request::Sync,
        };
        for _ in 0..CHECKS {
            // What follows asks this loader for attention first if the link spoiled the check.
            self.undisturbed();
            match self.ask(&request, CHECK).await {
                Ok(_) => return Ok(()),
                Err(error) if is_transient(&error) => self.wire.discard().await?,
                Err(error) => return Err(error),
            }
        }
        Err(DeviceError::BaudRejected {
            baud: rate,
            detail: "the chip does not answer at it".into(),
        })
    }

    /// The rate to name so that the chip ends up at `rate`. The ROM of the ESP32-C2 takes its
    /// crystal for one of 40 MHz whatever it is (esptool and espflash scale likewise).
    fn divisor_rate(&self, rate: u32, crystal_mhz: u8) -> u32 {
        let chip = self.spec.map(|spec| spec.chip);
        if self.dialect == Dialect::Rom && chip == Some(Chip::Esp32C2) && crystal_mhz == 26 {
            return u32::try_from(u64::from(rate) * 40 / 26).unwrap_or(rate);
        }
        rate
    }

    async fn start_stub(&mut self, rate: u32) -> Result<(), DeviceError> {
        self.upload_stub().await.map_err(|error| match error {
            // At the ROM's own rate the upload's own error says more.
            error if rate == ROM_BAUD => error,
            error if is_transient(&error) => DeviceError::BaudRejected {
                baud: rate,
                detail: format!("the stub could not be loaded: {error}"),
            },
            error => error,
        })
    }
}

/// Whether a slower rate or a fresh start may help.
fn worth_another(error: &DeviceError) -> bool {
    is_transient(error)
        || matches!(
            error,
            DeviceError::BaudRejected { .. } | DeviceError::StubStart { .. }
        )
}
