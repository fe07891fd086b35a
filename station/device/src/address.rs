//! The written form of a place where a chip can be reached.
//!
//! Invariants:
//! - `Display` gives what `FromStr` reads, for every address.
//! - A bare absolute path is a tty; hosts and ports are never guessed.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest address text that is looked at, in bytes: a path (4096) and a scheme.
const MAX_TEXT: usize = 4096 + 16;
/// Longest host name (RFC 1035, 255 octets).
const MAX_HOST: usize = 255;

/// Where a chip can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A tty or pty device, or a link to one: `tty:/dev/ttyUSB0`.
    Tty(PathBuf),
    /// A raw TCP byte pipe: `tcp://host:port`.
    Tcp {
        /// Name or IP address, without the brackets of IPv6.
        host: String,
        /// TCP port, never 0.
        port: u16,
    },
    /// A serial port behind an RFC 2217 server: `rfc2217://host:port`.
    Rfc2217 {
        /// Name or IP address, without the brackets of IPv6.
        host: String,
        /// TCP port, never 0.
        port: u16,
    },
    /// A chip made of software inside this station: `virtual:3`.
    Virtual(u32),
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing there, or more than any address has.
    #[error("an address has between 1 and {max} bytes, this has {length}")]
    Length {
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A control character or blank at an end.
    #[error("`{text}` contains a character that no address has")]
    Character {
        /// What was given, escaped.
        text: String,
    },
    /// No scheme and no absolute path.
    #[error("`{text}` is no address")]
    Scheme {
        /// What was given.
        text: String,
    },
    /// A relative or empty tty path.
    #[error("`{text}` is no absolute path")]
    Path {
        /// What was given.
        text: String,
    },
    /// No `host:port`.
    #[error("`{text}` is no `host:port`: {detail}")]
    Endpoint {
        /// What was given.
        text: String,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// `virtual:` without a number.
    #[error("`{text}` is no number of a virtual chip")]
    Number {
        /// What was given.
        text: String,
    },
}

impl AddressError {
    /// How an address is written.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Length { .. } | Self::Character { .. } | Self::Scheme { .. } => {
                "write `tty:/dev/ttyUSB0`, `tcp://host:port`, `rfc2217://host:port` or `virtual:N`"
            }
            Self::Path { .. } => "give the path from the root, `tty:/dev/ttyUSB0`",
            Self::Endpoint { .. } => "write `tcp://host:port`, with `[…]` around an IPv6 address",
            Self::Number { .. } => "write `virtual:1`",
        };
        Some(text.to_owned())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(AddressError::Length {
                length: text.len(),
                max: MAX_TEXT,
            });
        }
        if text.chars().any(char::is_control) || text.trim() != text {
            return Err(AddressError::Character {
                text: text.escape_debug().to_string(),
            });
        }
        if text.starts_with('/') {
            return Ok(Self::Tty(PathBuf::from(text)));
        }
        if let Some(path) = text.strip_prefix("tty:") {
            if !path.starts_with('/') {
                return Err(AddressError::Path {
                    text: path.to_owned(),
                });
            }
            return Ok(Self::Tty(PathBuf::from(path)));
        }
        if let Some(rest) = text.strip_prefix("tcp://") {
            let (host, port) = endpoint(rest)?;
            return Ok(Self::Tcp { host, port });
        }
        if let Some(rest) = text.strip_prefix("rfc2217://") {
            let (host, port) = endpoint(rest)?;
            return Ok(Self::Rfc2217 { host, port });
        }
        if let Some(number) = text.strip_prefix("virtual:") {
            return decimal(number)
                .map(Self::Virtual)
                .ok_or_else(|| AddressError::Number {
                    text: number.to_owned(),
                });
        }
        Err(AddressError::Scheme {
            text: text.to_owned(),
        })
    }
}

/// Reads `host:port`, with brackets around an IPv6 address.
fn endpoint(text: &str) -> Result<(String, u16), AddressError> {
    let wrong = |detail| AddressError::Endpoint {
        text: text.to_owned(),
        detail,
    };
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest
            .split_once(']')
            .ok_or_else(|| wrong("the bracket is open"))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(wrong("no IPv6 address in the brackets"));
        }
        (
            host,
            after
                .strip_prefix(':')
                .ok_or_else(|| wrong("the port is missing"))?,
        )
    } else {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| wrong("the port is missing"))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || host.len() > MAX_HOST || !host.chars().all(plain) {
            return Err(wrong("the host is no name and no address"));
        }
        (host, port)
    };
    let port = decimal(port)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| wrong("the port is no number from 1 to 65535"))?;
    Ok((host.to_owned(), port))
}

/// A plain decimal number: digits only, no sign, no leading zero.
fn decimal(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// `host:port` with brackets where IPv6 needs them.
pub(crate) fn endpoint_text(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tty(path) => write!(f, "tty:{}", path.display()),
            Self::Tcp { host, port } => write!(f, "tcp://{}", endpoint_text(host, *port)),
            Self::Rfc2217 { host, port } => write!(f, "rfc2217://{}", endpoint_text(host, *port)),
            Self::Virtual(number) => write!(f, "virtual:{number}"),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
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
    fn a_bare_absolute_path_is_a_tty() {
        let address: Address = "/dev/ttyUSB0".parse().unwrap();
        assert_eq!(address, Address::Tty("/dev/ttyUSB0".into()));
        assert_eq!(address.to_string(), "tty:/dev/ttyUSB0");
    }

    #[test]
    fn an_ipv6_endpoint_keeps_its_brackets_in_text_only() {
        let address: Address = "tcp://[::1]:4000".parse().unwrap();
        assert_eq!(
            address,
            Address::Tcp {
                host: "::1".into(),
                port: 4000
            }
        );
        assert_eq!(address.to_string(), "tcp://[::1]:4000");
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        for (text, start) in [
            ("", "an address has"),
            ("ttyUSB0", "`ttyUSB0` is no address"),
            ("tty:dev/x", "`dev/x` is no absolute path"),
            (
                "tcp://host",
                "`host` is no `host:port`: the port is missing",
            ),
            ("tcp://:1", "`:1` is no `host:port`: the host"),
            (
                "tcp://h:0",
                "`h:0` is no `host:port`: the port is no number",
            ),
            ("tcp://h:65536", "`h:65536`"),
            ("tcp://[::1:5", "`[::1:5` is no `host:port`: the bracket"),
            ("rfc2217://a b:5", "`a b:5`"),
            ("virtual:x", "`x` is no number"),
            ("virtual:+1", "`+1` is no number"),
            ("virtual:", "`` is no number"),
            ("/dev/tty\n", "`/dev/tty\\n` contains"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().starts_with(start), "{text}: {error}");
            assert!(error.hint().is_some());
        }
    }

    fn any_address() -> impl Strategy<Value = Address> {
        let host = prop_oneof![
            "[a-z][a-z0-9.-]{0,40}",
            any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
            any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
        ];
        prop_oneof![
            "/[!-~]{1,60}".prop_map(|path| Address::Tty(path.into())),
            (host.clone(), 1u16..).prop_map(|(host, port)| Address::Tcp { host, port }),
            (host, 1u16..).prop_map(|(host, port)| Address::Rfc2217 { host, port }),
            any::<u32>().prop_map(Address::Virtual),
        ]
    }

    proptest! {
        #[test]
        fn an_address_survives_being_written_and_read(address in any_address()) {
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,80}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }
    }
}
