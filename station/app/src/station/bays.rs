//! Bays of the jig: from `station.toml`, or an address.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::Value;
use station_device::bay::{self, BayConfig, BayWatch, Sysfs};
use station_device::{Address, AddressConnector, Connector};

use super::Station;
use super::ota::OtaConfig;
use super::paths::read_bounded;
use crate::operation::OperationError;
use crate::rack::MAX_BOARDS;

/// How virtual boards are kept out of the record of real ones.
pub(super) const APART: &str =
    "start the station with `--db virtual.db`, or with `--virtual N` for virtual boards alone";

/// Largest configuration that is read.
const MAX_CONFIG: u64 = 1 << 20;

/// `station.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StationConfig {
    /// The jig's bays.
    #[serde(default, rename = "bay")]
    pub bays: Vec<BayConfig>,
    /// Where updates go.
    #[serde(default)]
    pub ota: OtaConfig,
}

impl StationConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// `config-unreadable`, `config-invalid`, and those of [`bay::check`].
    pub(super) fn read(path: &Path) -> Result<Self, OperationError> {
        let bytes = read_bounded(path, MAX_CONFIG)
            .map_err(|error| OperationError::usage("config-unreadable", error.message))?;
        let invalid = |why: String| {
            OperationError::usage("config-invalid", format!("`{}`: {why}", path.display()))
        };
        let text = String::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
        let config: Self = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        match bay::check(&config.bays).into_iter().next() {
            Some(error) => Err(OperationError::usage(
                error.code(),
                format!("`{}`: {error}", path.display()),
            )),
            None => Ok(config),
        }
    }
}

/// The one watch of the USB tree that all bays share; started when the first bay needs it.
#[derive(Debug, Default)]
pub(super) struct UsbWatch(OnceLock<BayWatch>);

impl UsbWatch {
    fn get(&self) -> BayWatch {
        self.0
            .get_or_init(|| BayWatch::start(Sysfs::default()))
            .clone()
    }
}

impl Station {
    /// The way to the chip at a bay's name or an address. Must be called inside a runtime.
    ///
    /// # Errors
    /// `port-invalid`; `board-not-virtual` where only virtual boards may be.
    pub fn connector(&self, port: &str) -> Result<Arc<dyn Connector>, OperationError> {
        self.may_reach(port)?;
        if let Some(bay) = self.config.bays.iter().find(|bay| bay.name == port) {
            let connector = match (&bay.key, &bay.address) {
                (Some(key), _) => AddressConnector::for_bay(port, key.clone(), self.usb.get()),
                (None, Some(Address::Virtual(number))) => return self.virtual_board(*number),
                (None, Some(address)) => AddressConnector::new(port, address.clone()),
                (None, None) => {
                    let message = format!("bay `{port}` has neither key nor address");
                    return Err(OperationError::usage("port-invalid", message));
                }
            };
            return Ok(Arc::new(connector.with_reset(bay.reset.clone())));
        }
        let address: Address =
            port.parse()
                .map_err(|error: station_device::address::AddressError| {
                    let mut refused =
                        OperationError::usage("port-invalid", format!("`{port}`: {error}"));
                    refused.hint = error.hint().map(Into::into);
                    refused
                })?;
        match address {
            Address::Virtual(number) => self.virtual_board(number),
            Address::Tty(_) | Address::Tcp { .. } | Address::Rfc2217 { .. } => Ok(Arc::new(
                AddressConnector::new(address.to_string(), address),
            )),
        }
    }

    /// What is recorded and sealed where rehearsals are must not be of a real unit.
    fn may_reach(&self, port: &str) -> Result<(), OperationError> {
        if !self.is_rehearsing() || self.place(port).1.is_some() {
            return Ok(());
        }
        // What is no port at all is said as such.
        let known = self.config.bays.iter().any(|bay| bay.name == port);
        if !known && port.parse::<Address>().is_err() {
            return Ok(());
        }
        let message = format!(
            "`{port}` is no virtual board, and this station records in `{}`, where rehearsals are",
            self.journal_path().display()
        );
        Err(OperationError::usage("board-not-virtual", message)
            .hint("name the journal for real boards: `--db station.db`"))
    }

    /// What is asked of a virtual board is not recorded where real units are, unless somebody named the
    /// journal in which it may be.
    ///
    /// # Errors
    /// `rehearsal-in-real-journal`.
    pub(crate) fn may_record(&self, parameters: &Value) -> Result<(), OperationError> {
        if self.is_rehearsing() || !self.is_unnamed() || !self.is_of_virtual_board(parameters) {
            return Ok(());
        }
        let message = format!(
            "the board is virtual, and this station records in `{}`, where real units are",
            self.journal_path().display()
        );
        Err(OperationError::usage("rehearsal-in-real-journal", message).hint(APART))
    }

    /// Whether the board that parameters name is virtual.
    pub(crate) fn is_of_virtual_board(&self, parameters: &Value) -> bool {
        let port = parameters.get("port").and_then(Value::as_str);
        port.is_some_and(|port| self.place(port).1.is_some())
    }

    fn virtual_board(&self, number: u32) -> Result<Arc<dyn Connector>, OperationError> {
        if (1..=MAX_BOARDS).contains(&number) {
            return Ok(self.rack.connector(number));
        }
        let message = format!("virtual boards are numbered 1 to {MAX_BOARDS}, not {number}");
        Err(OperationError::usage("port-invalid", message))
    }

    /// The place behind a bay's name or an address, written one way, and its number in the rack.
    pub(super) fn place(&self, port: &str) -> (String, Option<u32>) {
        let bay = self.config.bays.iter().find(|bay| bay.name == port);
        if let Some(key) = bay.and_then(|bay| bay.key.as_ref()) {
            return (key.to_string(), None);
        }
        match bay.map_or_else(|| port.parse().ok(), |bay| bay.address.clone()) {
            Some(Address::Virtual(number)) => (Address::Virtual(number).to_string(), Some(number)),
            Some(Address::Tty(path)) => {
                let path = path.canonicalize().unwrap_or(path);
                (Address::Tty(path).to_string(), None)
            }
            Some(address) => (address.to_string(), None),
            None => (port.to_owned(), None),
        }
    }
}
