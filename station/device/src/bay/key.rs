//! The name of a bay: controller, USB port chain, interface.
//!
//! Written `pci-0000:00:14.0/2.3.4:1.0`: the host controller as the kernel calls it (with its bus
//! kind in front, as udev's path ids have it), the chain of hub ports, configuration and interface
//! number. `+1` behind it is the second port of an interface that carries several. Without
//! `:1.0` the key stands for the only tty at that USB port, whichever interface it is on.
//!
//! Invariant: `Display` gives what `FromStr` reads.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Deepest port chain: USB has seven tiers with the root hub; one more for virtual hubs.
const MAX_DEPTH: usize = 8;
/// Longest controller name, in bytes.
const MAX_CONTROLLER: usize = 128;

/// Which function of a USB device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interface {
    /// `bConfigurationValue`.
    pub configuration: u8,
    /// `bInterfaceNumber`.
    pub number: u8,
    /// Port on that interface, 0 unless a bridge has several on one (`port_number` of usb-serial).
    pub port: u8,
}

/// Where a bay hangs on the USB tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BayKey {
    controller: String,
    chain: Vec<u8>,
    interface: Option<Interface>,
}

/// Why a text is no bay key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no bay key: {detail}")]
pub struct BayKeyError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub detail: &'static str,
}

impl BayKey {
    /// A key from its parts; `None` when they break a rule of the written form.
    #[must_use]
    pub fn new(controller: &str, chain: &[u8], interface: Option<Interface>) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '_' | '@');
        let named = !controller.is_empty()
            && controller.len() <= MAX_CONTROLLER
            && controller.chars().all(plain);
        let chained = (1..=MAX_DEPTH).contains(&chain.len()) && !chain.contains(&0);
        (named && chained).then(|| Self {
            controller: controller.to_owned(),
            chain: chain.to_vec(),
            interface,
        })
    }

    /// The host controller, `pci-0000:00:14.0`.
    #[must_use]
    pub fn controller(&self) -> &str {
        &self.controller
    }

    /// Hub ports from the root hub to the device.
    #[must_use]
    pub fn chain(&self) -> &[u8] {
        &self.chain
    }

    /// The function of the device, unless any will do.
    #[must_use]
    pub fn interface(&self) -> Option<Interface> {
        self.interface
    }

    /// Whether the tty at `place`, which names its interface, belongs to this bay.
    #[must_use]
    pub fn covers(&self, place: &Self) -> bool {
        self.controller == place.controller
            && self.chain == place.chain
            && (self.interface.is_none() || self.interface == place.interface)
    }
}

/// Reads `2.3.4`.
pub(super) fn parse_chain(text: &str) -> Option<Vec<u8>> {
    let ports = text
        .split('.')
        .map(number)
        .take(MAX_DEPTH + 1)
        .collect::<Option<Vec<u8>>>()?;
    (ports.len() <= MAX_DEPTH && !ports.contains(&0)).then_some(ports)
}

/// A decimal number without sign or leading zeros.
pub(super) fn number(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// Reads `1.0` or `1.0+2`.
fn parse_interface(text: &str) -> Option<Interface> {
    let (text, port) = match text.split_once('+') {
        Some((text, port)) => (text, number(port).filter(|port| *port != 0)?),
        None => (text, 0),
    };
    let (configuration, interface) = text.split_once('.')?;
    Some(Interface {
        configuration: number(configuration)?,
        number: number(interface)?,
        port,
    })
}

impl FromStr for BayKey {
    type Err = BayKeyError;

    fn from_str(text: &str) -> Result<Self, BayKeyError> {
        let wrong = |detail| BayKeyError {
            text: text
                .chars()
                .take(200)
                .collect::<String>()
                .escape_debug()
                .to_string(),
            detail,
        };
        let (controller, place) = text
            .split_once('/')
            .ok_or_else(|| wrong("there is no `/` after the controller"))?;
        let (chain, interface) = match place.split_once(':') {
            Some((chain, interface)) => (
                chain,
                Some(
                    parse_interface(interface)
                        .ok_or_else(|| wrong("the interface is not like `1.0` or `1.0+1`"))?,
                ),
            ),
            None => (place, None),
        };
        let chain = parse_chain(chain).ok_or_else(|| wrong("the ports are not like `2.3.4`"))?;
        Self::new(controller, &chain, interface)
            .ok_or_else(|| wrong("the controller is not like `pci-0000:00:14.0`"))
    }
}

impl fmt::Display for BayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.controller)?;
        for (at, port) in self.chain.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            write!(f, "{dot}{port}")?;
        }
        if let Some(Interface {
            configuration,
            number,
            port,
        }) = self.interface
        {
            write!(f, ":{configuration}.{number}")?;
            if port != 0 {
                write!(f, "+{port}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for BayKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BayKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_without_an_interface_covers_every_tty_at_its_port() {
        let port: BayKey = "pci-0000:00:14.0/2.3".parse().unwrap();
        let first: BayKey = "pci-0000:00:14.0/2.3:1.0".parse().unwrap();
        let second: BayKey = "pci-0000:00:14.0/2.3:1.1+2".parse().unwrap();
        let elsewhere: BayKey = "pci-0000:00:14.0/2.3.1:1.0".parse().unwrap();
        assert!(port.covers(&first) && port.covers(&second));
        assert!(first.covers(&first) && !first.covers(&second));
        assert!(!port.covers(&elsewhere));
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_reason() {
        for (text, detail) in [
            ("pci-0000:00:14.0", "no `/`"),
            ("/2.3", "the controller"),
            ("pci 0/2", "the controller"),
            ("pci-0/2..3", "the ports"),
            ("pci-0/0", "the ports"),
            ("pci-0/02", "the ports"),
            ("pci-0/256", "the ports"),
            ("pci-0/1.1.1.1.1.1.1.1.1", "the ports"),
            ("pci-0/2:1", "the interface"),
            ("pci-0/2:1.0+0", "the interface"),
        ] {
            let error = text.parse::<BayKey>().unwrap_err();
            assert!(error.detail.contains(detail), "{text}: {error}");
        }
    }

    fn any_key() -> impl Strategy<Value = BayKey> {
        let interface =
            (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(configuration, number, port)| {
                Interface {
                    configuration,
                    number,
                    port,
                }
            });
        (
            "[a-z][a-z0-9:.@_-]{0,30}",
            prop::collection::vec(1u8.., 1..=MAX_DEPTH),
            prop::option::of(interface),
        )
            .prop_map(|(controller, chain, interface)| {
                BayKey::new(&controller, &chain, interface).unwrap()
            })
    }

    proptest! {
        #[test]
        fn a_key_survives_being_written_and_read(key in any_key()) {
            prop_assert_eq!(key.to_string().parse::<BayKey>(), Ok(key));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,60}") {
            let _ = text.parse::<BayKey>();
        }
    }
}
