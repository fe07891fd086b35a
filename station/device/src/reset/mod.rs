//! Ways to bring a chip into its bootloader or its application.
//!
//! Invariants:
//! - A reset control knows how to reset and nothing of the loader protocol; whether it worked is
//!   found out by talking to the chip.
//! - Every wait is a tokio timer and every reset ends by itself, so that a paused clock can run it
//!   and a hung jig cannot hold a bay.

use std::fmt;

use async_trait::async_trait;

use crate::error::DeviceError;
use crate::link::Link;

mod command;
mod lines;
mod socket;

pub use command::{COMMAND_DEADLINE, ExternalCommand};
pub use lines::{HOLD_STRAP, HOLD_STRAP_LONG, LineStep, ModemLines};
pub use socket::ControlSocket;

/// What the chip shall run after the reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetTo {
    /// The ROM bootloader, waiting for a download.
    Bootloader,
    /// What is in flash.
    Application,
}

/// How a reset control does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetMeans {
    /// DTR and RTS through the usual transistors.
    ModemLines,
    /// DTR and RTS as the USB-Serial-JTAG peripheral understands them.
    UsbJtag,
    /// The chip's own watchdog, set off by the loader: only out of a bootloader that answers.
    Watchdog,
    /// The control socket of a virtual chip.
    ControlSocket,
    /// A program that drives relays.
    ExternalCommand,
    /// A board in this process.
    Board,
    /// Nothing: somebody presses the buttons.
    None,
}

impl fmt::Display for ResetMeans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ModemLines => "modem lines",
            Self::UsbJtag => "usb-jtag lines",
            Self::Watchdog => "watchdog",
            Self::ControlSocket => "control socket",
            Self::ExternalCommand => "external command",
            Self::Board => "board",
            Self::None => "nothing",
        })
    }
}

/// Brings the chip into its bootloader or its application.
#[async_trait]
pub trait ResetControl: Send + Sync {
    /// Does it. For [`ResetMeans::None`] and [`ResetMeans::Watchdog`] nothing happens here; the
    /// latter is the loader's to perform, through registers.
    ///
    /// # Errors
    /// `ResetFailed`, `Unsupported` or `LinkLost`; a reset that had no effect is no error here.
    async fn apply(&self, link: &mut dyn Link, to: ResetTo) -> Result<(), DeviceError>;

    /// How it is done.
    fn means(&self) -> ResetMeans;
}

/// A reset control that leaves the chip alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoReset;

#[async_trait]
impl ResetControl for NoReset {
    async fn apply(&self, _link: &mut dyn Link, _to: ResetTo) -> Result<(), DeviceError> {
        Ok(())
    }

    fn means(&self) -> ResetMeans {
        ResetMeans::None
    }
}

/// Declares that the loader resets the chip through its watchdog registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct WatchdogReset;

#[async_trait]
impl ResetControl for WatchdogReset {
    async fn apply(&self, _link: &mut dyn Link, _to: ResetTo) -> Result<(), DeviceError> {
        Ok(())
    }

    fn means(&self) -> ResetMeans {
        ResetMeans::Watchdog
    }
}
