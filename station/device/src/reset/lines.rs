//! Reset through DTR and RTS.
//!
//! On most boards two transistors make RTS pull the enable pin low and DTR the boot strap, unless
//! both are asserted (Espressif, "Boot mode selection: automatic bootloader"). The
//! USB-Serial-JTAG peripheral imitates that circuit, with an order of its own.
//!
//! Invariant: every sequence leaves both lines released.

use std::io;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::DeviceError;
use crate::link::Link;
use crate::reset::{ResetControl, ResetMeans, ResetTo};

/// How long the enable pin is held low.
const HOLD_RESET: Duration = Duration::from_millis(100);
/// How long the strap is held after reset was released; enough for the usual 1 µF at the pin.
pub const HOLD_STRAP: Duration = Duration::from_millis(50);
/// The same for early ESP32 boards with a large capacitor (`esptool` calls it the extra delay).
pub const HOLD_STRAP_LONG: Duration = Duration::from_millis(550);
/// How long a USB port may take to come back into the application.
const USB_RESTART: Duration = Duration::from_millis(200);

/// Reset by modem lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModemLines {
    /// One line after the other, as on any system.
    Classic {
        /// How long the strap is held after reset was released.
        hold: Duration,
    },
    /// Both lines with every step, for drivers that glitch the enable pin in between. On a tty the
    /// two changes follow back to back; nothing in safe Rust sets them in one call.
    Tight {
        /// How long the strap is held after reset was released.
        hold: Duration,
    },
    /// The order that the USB-Serial-JTAG peripheral wants.
    UsbJtag,
}

impl Default for ModemLines {
    fn default() -> Self {
        Self::Classic { hold: HOLD_STRAP }
    }
}

/// One step: lines to change, then a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineStep {
    /// New state of DTR; `true` pulls the boot strap low.
    pub dtr: Option<bool>,
    /// New state of RTS; `true` pulls the enable pin low.
    pub rts: Option<bool>,
    /// Wait after the change.
    pub then: Duration,
}

const fn both(dtr: bool, rts: bool, then: Duration) -> LineStep {
    LineStep {
        dtr: Some(dtr),
        rts: Some(rts),
        then,
    }
}

const fn dtr(on: bool, then: Duration) -> LineStep {
    LineStep {
        dtr: Some(on),
        rts: None,
        then,
    }
}

const fn rts(on: bool, then: Duration) -> LineStep {
    LineStep {
        dtr: None,
        rts: Some(on),
        then,
    }
}

impl ModemLines {
    /// The steps that lead to `to`.
    #[must_use]
    pub fn steps(self, to: ResetTo) -> Vec<LineStep> {
        const NOW: Duration = Duration::ZERO;
        match (self, to) {
            (Self::Classic { hold }, ResetTo::Bootloader) => vec![
                dtr(false, NOW),
                rts(true, HOLD_RESET),
                dtr(true, NOW),
                rts(false, hold),
                dtr(false, NOW),
            ],
            (Self::Tight { hold }, ResetTo::Bootloader) => vec![
                both(false, false, NOW),
                both(true, true, NOW),
                both(false, true, HOLD_RESET),
                both(true, false, hold),
                both(false, false, NOW),
            ],
            // The strap is taken over while both lines pass through "asserted": through
            // "released" the peripheral would leave download mode.
            (Self::UsbJtag, ResetTo::Bootloader) => vec![
                both(false, false, HOLD_RESET),
                both(true, false, HOLD_RESET),
                rts(true, NOW),
                dtr(false, NOW),
                rts(true, HOLD_RESET),
                both(false, false, NOW),
            ],
            (Self::Classic { .. } | Self::Tight { .. }, ResetTo::Application) => {
                vec![dtr(false, NOW), rts(true, HOLD_RESET), rts(false, NOW)]
            }
            (Self::UsbJtag, ResetTo::Application) => {
                vec![
                    dtr(false, NOW),
                    rts(true, USB_RESTART),
                    rts(false, USB_RESTART),
                ]
            }
        }
    }
}

#[async_trait]
impl ResetControl for ModemLines {
    async fn apply(&self, link: &mut dyn Link, to: ResetTo) -> Result<(), DeviceError> {
        for step in self.steps(to) {
            link.set_lines(step.dtr, step.rts).await.map_err(|error| {
                if error.kind() != io::ErrorKind::Unsupported {
                    return DeviceError::from_io(&link.describe(), &error);
                }
                DeviceError::ResetFailed {
                    means: self.means().to_string(),
                    detail: format!("`{}`: {error}", link.describe()),
                }
            })?;
            if !step.then.is_zero() {
                tokio::time::sleep(step.then).await;
            }
        }
        Ok(())
    }

    fn means(&self) -> ResetMeans {
        match self {
            Self::Classic { .. } | Self::Tight { .. } => ResetMeans::ModemLines,
            Self::UsbJtag => ResetMeans::UsbJtag,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;
    use crate::link::memory::{BoardControl, MemoryLink};

    const WAYS: [ModemLines; 3] = [
        ModemLines::Classic { hold: HOLD_STRAP },
        ModemLines::Tight {
            hold: HOLD_STRAP_LONG,
        },
        ModemLines::UsbJtag,
    ];

    /// Strap and reset pin as the two transistors make them, at the moment reset is released.
    fn strap_when_released(steps: &[LineStep]) -> Vec<bool> {
        let (mut dtr, mut rts) = (false, false);
        let mut in_reset = false;
        let mut straps = Vec::new();
        for step in steps {
            dtr = step.dtr.unwrap_or(dtr);
            rts = step.rts.unwrap_or(rts);
            let reset = rts && !dtr;
            // A capacitor at the enable pin bridges changes that follow at once.
            if in_reset && !reset && !step.then.is_zero() || in_reset && !rts {
                straps.push(dtr && !rts);
                in_reset = false;
            }
            in_reset |= reset;
        }
        assert_eq!((dtr, rts), (false, false), "lines stay asserted");
        straps
    }

    #[test]
    fn classic_and_tight_release_reset_with_the_strap_as_asked() {
        for way in [
            ModemLines::default(),
            ModemLines::Tight { hold: HOLD_STRAP },
        ] {
            assert_eq!(
                strap_when_released(&way.steps(ResetTo::Bootloader)),
                [true],
                "{way:?}"
            );
            assert_eq!(
                strap_when_released(&way.steps(ResetTo::Application)),
                [false],
                "{way:?}"
            );
        }
    }

    #[test]
    fn every_sequence_leaves_both_lines_released() {
        for way in WAYS {
            for to in [ResetTo::Bootloader, ResetTo::Application] {
                strap_when_released(&way.steps(to));
            }
        }
    }

    #[derive(Default)]
    struct Recorder(Mutex<Vec<(Option<bool>, Option<bool>)>>);

    #[async_trait]
    impl BoardControl for Recorder {
        async fn reset(&self, _to: ResetTo) -> io::Result<()> {
            Ok(())
        }

        async fn set_lines(&self, dtr: Option<bool>, rts: Option<bool>) -> io::Result<()> {
            self.0.lock().unwrap().push((dtr, rts));
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn holds_are_timers_and_every_step_reaches_the_link() {
        let board = Arc::new(Recorder::default());
        let (host, _chip) = tokio::io::duplex(8);
        let mut link = MemoryLink::new("virtual:1", host, board.clone());
        let start = Instant::now();
        ModemLines::default()
            .apply(&mut link, ResetTo::Bootloader)
            .await
            .unwrap();
        assert_eq!(start.elapsed(), HOLD_RESET + HOLD_STRAP);
        assert_eq!(board.0.lock().unwrap().len(), 5);
    }

    #[tokio::test]
    async fn a_link_without_lines_says_so() {
        struct Bare;
        #[async_trait]
        impl BoardControl for Bare {
            async fn reset(&self, _to: ResetTo) -> io::Result<()> {
                Ok(())
            }
        }
        let (host, _chip) = tokio::io::duplex(8);
        let mut link = MemoryLink::new("virtual:1", host, Arc::new(Bare));
        let error = ModemLines::default()
            .apply(&mut link, ResetTo::Bootloader)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "reset-failed");
    }
}
