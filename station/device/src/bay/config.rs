//! The `[[bay]]` tables of `station.toml`.
//!
//! Invariants:
//! - Unknown keys are refused.
//! - A list that passed [`check`] has unique names and no port twice, and each bay has exactly one
//!   of `key` and `address`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::bay::key::BayKey;
use crate::reset::{
    COMMAND_DEADLINE, ControlSocket, ExternalCommand, HOLD_STRAP, HOLD_STRAP_LONG, ModemLines,
    NoReset, ResetControl, WatchdogReset,
};

/// Console rate when none is given: what ESP-IDF's default configuration speaks.
const CONSOLE_BAUD: u32 = 115_200;
/// Longest name of a bay, in characters.
const MAX_NAME: usize = 32;
/// Rates that some UART of the family can do.
const BAUDS: std::ops::RangeInclusive<u32> = 1_200..=5_000_000;

/// A file of bays and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BayList {
    /// The bays, in the order of the jig.
    #[serde(rename = "bay", default)]
    pub bays: Vec<BayConfig>,
}

/// One bay as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BayConfig {
    /// Name, as on the jig: `A1`.
    pub name: String,
    /// Place on the USB tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<BayKey>,
    /// Address, for bays that are not on USB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// How its board is reset; without it, what fits the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<ResetConfig>,
    /// Rate at which the application talks.
    #[serde(default = "console_baud")]
    pub console_baud: u32,
    /// Rates to flash with, fastest first; empty leaves the choice to the session.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bauds: Vec<u32>,
}

fn console_baud() -> u32 {
    CONSOLE_BAUD
}

/// How a board is reset: `reset = "classic"`, `reset = { socket = "/run/jig.ctl" }`, …
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ResetConfig {
    /// DTR and RTS, one after the other.
    Classic,
    /// The same, holding the strap longer: early ESP32 boards with a large capacitor.
    ClassicLong,
    /// DTR and RTS together.
    Tight,
    /// The order of the USB-Serial-JTAG peripheral.
    UsbJtag,
    /// The chip's watchdog.
    Watchdog,
    /// Nothing.
    None,
    /// A control socket.
    Socket(PathBuf),
    /// Programs of the jig.
    Command(CommandConfig),
}

/// Programs that reset a board, each with its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConfig {
    /// Restarts into the bootloader.
    pub bootloader: Vec<String>,
    /// Restarts into the application.
    pub application: Vec<String>,
    /// Longest run, in milliseconds.
    #[serde(default = "command_deadline")]
    pub deadline_ms: u64,
}

fn command_deadline() -> u64 {
    u64::try_from(COMMAND_DEADLINE.as_millis()).unwrap_or(u64::MAX)
}

impl ResetConfig {
    /// The reset control it stands for.
    #[must_use]
    pub fn control(&self) -> Box<dyn ResetControl> {
        match self {
            Self::Classic => Box::new(ModemLines::Classic { hold: HOLD_STRAP }),
            Self::ClassicLong => Box::new(ModemLines::Classic {
                hold: HOLD_STRAP_LONG,
            }),
            Self::Tight => Box::new(ModemLines::Tight { hold: HOLD_STRAP }),
            Self::UsbJtag => Box::new(ModemLines::UsbJtag),
            Self::Watchdog => Box::new(WatchdogReset),
            Self::None => Box::new(NoReset),
            Self::Socket(path) => Box::new(ControlSocket::new(path)),
            Self::Command(command) => Box::new(ExternalCommand {
                bootloader: command.bootloader.clone(),
                application: command.application.clone(),
                deadline: Duration::from_millis(command.deadline_ms),
            }),
        }
    }
}

/// What is wrong with a list of bays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BayConfigError {
    /// A name that cannot stand on a jig, a screen and a command line.
    #[error("`{name}` is no name of a bay")]
    Name {
        /// What was given.
        name: String,
    },
    /// Two bays of one name.
    #[error("there are two bays `{name}`")]
    Twice {
        /// The name.
        name: String,
    },
    /// Neither or both of `key` and `address`.
    #[error("bay `{name}` needs either `key` or `address`")]
    Place {
        /// The bay.
        name: String,
    },
    /// Two bays that would open one port.
    #[error("bays `{first}` and `{second}` are the same place, {place}")]
    SamePlace {
        /// The earlier bay.
        first: String,
        /// The later one.
        second: String,
        /// Key or address.
        place: String,
    },
    /// A rate that no chip does.
    #[error("bay `{name}`: {baud} is no baud rate")]
    Baud {
        /// The bay.
        name: String,
        /// What was given.
        baud: u32,
    },
    /// A reset command without a program.
    #[error("bay `{name}`: a reset command needs a program for both ways and a deadline")]
    Command {
        /// The bay.
        name: String,
    },
}

impl BayConfigError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "bay-name",
            Self::Twice { .. } => "bay-twice",
            Self::Place { .. } => "bay-place",
            Self::SamePlace { .. } => "bay-same-place",
            Self::Baud { .. } => "bay-baud",
            Self::Command { .. } => "bay-command",
        }
    }
}

/// Everything that is wrong with `bays`, at once.
#[must_use]
pub fn check(bays: &[BayConfig]) -> Vec<BayConfigError> {
    let mut errors = Vec::new();
    let mut names = HashMap::new();
    for (at, bay) in bays.iter().enumerate() {
        let name = bay.name.clone();
        if !is_name(&name) {
            errors.push(BayConfigError::Name { name: name.clone() });
        } else if names.insert(name.clone(), at).is_some() {
            errors.push(BayConfigError::Twice { name: name.clone() });
        }
        if bay.key.is_some() == bay.address.is_some() {
            errors.push(BayConfigError::Place { name: name.clone() });
        }
        if let Some(first) = bays[..at].iter().find(|other| same_place(other, bay)) {
            errors.push(BayConfigError::SamePlace {
                first: first.name.clone(),
                second: name.clone(),
                place: place(bay),
            });
        }
        for baud in bay.bauds.iter().chain([&bay.console_baud]) {
            if !BAUDS.contains(baud) {
                errors.push(BayConfigError::Baud {
                    name: name.clone(),
                    baud: *baud,
                });
            }
        }
        if let Some(ResetConfig::Command(command)) = &bay.reset
            && (command.bootloader.is_empty()
                || command.application.is_empty()
                || command.deadline_ms == 0)
        {
            errors.push(BayConfigError::Command { name });
        }
    }
    errors
}

/// Letters, digits, `-`, `_` and `.`, not beginning with `-`.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=MAX_NAME).contains(&name.chars().count())
        && name.chars().all(plain)
        && !name.starts_with('-')
}

/// Whether two bays could open one tty: a key without an interface covers all of its device.
fn same_place(one: &BayConfig, other: &BayConfig) -> bool {
    let keys = match (&one.key, &other.key) {
        (Some(one), Some(other)) => one.covers(other) || other.covers(one),
        (None, _) | (_, None) => false,
    };
    keys || (one.address.is_some() && one.address == other.address)
}

fn place(bay: &BayConfig) -> String {
    match (&bay.key, &bay.address) {
        (Some(key), _) => format!("`{key}`"),
        (None, Some(address)) => format!("`{address}`"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reset::ResetMeans;

    const JIG: &str = r#"
[[bay]]
name = "A1"
key = "pci-0000:00:14.0/2.3.4:1.0"
reset = "usb-jtag"
bauds = [921600, 460800]

[[bay]]
name = "A2"
address = "rfc2217://jig:4000"
console_baud = 74880
reset = { command = { bootloader = ["relay", "boot"], application = ["relay", "run"] } }

[[bay]]
name = "A3"
address = "/dev/ttyS0"
reset = { socket = "/run/a3.ctl" }
"#;

    #[test]
    fn a_jig_is_read_as_written() {
        let list: BayList = toml::from_str(JIG).unwrap();
        assert_eq!(check(&list.bays), []);
        assert_eq!(list.bays[0].console_baud, 115_200);
        let means: Vec<_> = list
            .bays
            .iter()
            .map(|bay| bay.reset.as_ref().unwrap().control().means())
            .collect();
        assert_eq!(
            means,
            [
                ResetMeans::UsbJtag,
                ResetMeans::ExternalCommand,
                ResetMeans::ControlSocket
            ]
        );
        let again: BayList = toml::from_str(&toml::to_string(&list).unwrap()).unwrap();
        assert_eq!(again, list);
    }

    #[test]
    fn unknown_keys_and_words_are_refused() {
        for text in [
            "[[bay]]\nname = \"A\"\naddres = \"/dev/x\"",
            "[[bay]]\nname = \"A\"\nreset = \"klassic\"",
            "[[bay]]\nname = \"A\"\nkey = \"usb1/2\"\nspeed = 3",
            "[[bay]]\nname = \"A\"\nreset = { command = { bootloader = [], shell = true } }",
            "[bays]\n",
        ] {
            assert!(toml::from_str::<BayList>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let text = r#"
[[bay]]
name = "A 1"
address = "/dev/x"
[[bay]]
name = "B"
[[bay]]
name = "B"
key = "pci-0/2"
bauds = [0]
[[bay]]
name = "C"
key = "pci-0/2:1.1"
[[bay]]
name = "D"
address = "tty:/dev/x"
reset = { command = { bootloader = [], application = ["x"] } }
"#;
        let list: BayList = toml::from_str(text).unwrap();
        let codes: Vec<_> = check(&list.bays).iter().map(BayConfigError::code).collect();
        assert_eq!(
            codes,
            [
                "bay-name",
                "bay-place",
                "bay-twice",
                "bay-baud",
                "bay-same-place",
                "bay-same-place",
                "bay-command",
            ]
        );
    }
}
