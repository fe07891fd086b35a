//! What the kernel shows of USB ttys.
//!
//! `/sys/class/tty/NAME/device` leads to the place in the device tree:
//! `…/pci0000:00/0000:00:14.0/usb1/1-2/1-2.3/1-2.3:1.0/ttyUSB0` for a bridge and
//! `…/1-2.3/1-2.3:1.0` for a CDC ACM port. The component before `usbN` is the controller; the bus
//! number `N` depends on probe order and is not used.
//!
//! Invariants:
//! - Reads only, bounded; what vanishes in the middle of a scan is not part of it.
//! - A tty whose place is not understood is skipped, never guessed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::bay::key::{BayKey, Interface, number, parse_chain};
use crate::error::DeviceError;

/// Most ttys that are looked at.
const MAX_TTYS: usize = 4096;
/// Most bytes of one attribute: a USB string has 126 characters.
const MAX_ATTRIBUTE: u64 = 512;
/// Espressif's USB vendor id: the port is in the chip itself, and its serial is the chip's.
const ESPRESSIF: u16 = 0x303a;

/// A tty on USB, and what its device says of itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UsbTty {
    /// Its place, with interface.
    pub key: BayKey,
    /// Its node, `/dev/ttyUSB0`.
    pub path: PathBuf,
    /// USB vendor id.
    pub vid: u16,
    /// USB product id.
    pub pid: u16,
    /// Serial number; many bridges have none, or all the same.
    pub serial: Option<String>,
    /// Product name.
    pub product: Option<String>,
    /// Maker.
    pub manufacturer: Option<String>,
    /// Number the kernel gave the device when it was plugged in; a new one each time.
    pub devnum: u32,
}

impl UsbTty {
    /// Whether the port is in the chip (USB-Serial-JTAG or USB-OTG) and not in a bridge.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.vid == ESPRESSIF
    }

    /// What tells this board from another one in the same place. A native port says whose it is,
    /// however often it re-enumerates; a bridge is known by when it was plugged in.
    #[must_use]
    pub fn identity(&self) -> String {
        match &self.serial {
            Some(serial) if self.is_native() => format!("serial {serial}"),
            _ => format!("device {}", self.devnum),
        }
    }
}

/// Where sysfs and the device nodes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysfs {
    /// `/sys`.
    pub root: PathBuf,
    /// `/dev`.
    pub nodes: PathBuf,
}

impl Default for Sysfs {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/sys"),
            nodes: PathBuf::from("/dev"),
        }
    }
}

impl Sysfs {
    /// Every USB tty there is now, by place.
    ///
    /// # Errors
    /// When the list of ttys cannot be read at all.
    pub fn scan(&self) -> io::Result<Vec<UsbTty>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(self.root.join("class/tty"))?.take(MAX_TTYS) {
            let Ok(entry) = entry else { continue };
            let Some(tty) = self.tty(&entry.path()) else {
                continue;
            };
            if let Some(other) = found.insert((tty.key.clone(), tty.path.clone()), tty) {
                tracing::debug!(path = %other.path.display(), "listed twice");
            }
        }
        Ok(found.into_values().collect())
    }

    /// The one tty in the bay `key`.
    ///
    /// # Errors
    /// `NoBoard`, `BayAmbiguous`, or `Internal` when sysfs cannot be read.
    pub fn resolve(&self, key: &BayKey) -> Result<UsbTty, DeviceError> {
        let scan = self.scan().map_err(|error| DeviceError::Internal {
            what: "looking for USB ports".to_owned(),
            detail: error.to_string(),
        })?;
        only(key, &scan).cloned()
    }

    /// What is known of the USB tty at `path`, however that path is written.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<UsbTty> {
        let real = fs::canonicalize(path).ok()?;
        self.tty(&self.root.join("class/tty").join(real.file_name()?))
    }

    fn tty(&self, class: &Path) -> Option<UsbTty> {
        let device = fs::canonicalize(class.join("device")).ok()?;
        let place = Place::of(&device)?;
        let usb = &place.usb_device;
        let port = attribute(&device.join("port_number"))
            .and_then(|n| number(&n))
            .unwrap_or(0);
        let interface = Interface {
            port,
            ..place.interface
        };
        // In sysfs a slash of a device name is written `!`.
        let name = class.file_name()?.to_str()?.replace('!', "/");
        Some(UsbTty {
            key: BayKey::new(&place.controller, &place.chain, Some(interface))?,
            path: self.nodes.join(name),
            vid: hex_attribute(&usb.join("idVendor"))?,
            pid: hex_attribute(&usb.join("idProduct"))?,
            serial: attribute(&usb.join("serial")),
            product: attribute(&usb.join("product")),
            manufacturer: attribute(&usb.join("manufacturer")),
            devnum: attribute(&usb.join("devnum"))?.parse().ok()?,
        })
    }
}

/// The one tty of `scan` that belongs to `key`.
pub(super) fn only<'a>(key: &BayKey, scan: &'a [UsbTty]) -> Result<&'a UsbTty, DeviceError> {
    let mut matching = scan.iter().filter(|tty| key.covers(&tty.key));
    match (matching.next(), matching.next()) {
        (None, _) => Err(DeviceError::NoBoard {
            place: key.to_string(),
        }),
        (Some(tty), None) => Ok(tty),
        (Some(_), Some(_)) => {
            let ports = scan.iter().filter(|tty| key.covers(&tty.key));
            let ports: Vec<_> = ports
                .map(|tty| format!("{} ({})", tty.path.display(), tty.key))
                .collect();
            Err(DeviceError::BayAmbiguous {
                bay: key.to_string(),
                ports: ports.join(", "),
            })
        }
    }
}

/// What the path of a device says.
struct Place {
    controller: String,
    chain: Vec<u8>,
    interface: Interface,
    usb_device: PathBuf,
}

impl Place {
    fn of(device: &Path) -> Option<Self> {
        let names: Vec<&str> = device
            .components()
            .map(|part| match part {
                Component::Normal(name) => name.to_str(),
                Component::RootDir => Some("/"),
                Component::Prefix(_) | Component::CurDir | Component::ParentDir => None,
            })
            .collect::<Option<_>>()?;
        let bus = names
            .iter()
            .position(|name| is_bus(name))
            .filter(|at| *at > 0)?;
        // The deepest interface counts: hubs on the way have names of the same form without `:`.
        let at = names
            .iter()
            .rposition(|name| name.contains(':'))
            .filter(|at| *at > bus + 1)?;
        let (usb, interface) = names[at].split_once(':')?;
        if names[at - 1] != usb {
            return None;
        }
        let (configuration, interface) = interface.split_once('.')?;
        let interface = Interface {
            configuration: number(configuration)?,
            number: number(interface)?,
            port: 0,
        };
        let controller_path: PathBuf = names[..bus].iter().collect();
        Some(Self {
            controller: controller(&controller_path)?,
            chain: parse_chain(usb.split_once('-')?.1)?,
            interface,
            usb_device: names[..at].iter().collect(),
        })
    }
}

/// `usb1`, `usb12`.
fn is_bus(name: &str) -> bool {
    name.strip_prefix("usb")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

/// The controller's bus kind and name. A driver's child such as `xhci-hcd.0.auto` is numbered by
/// probe order: its parent is the place.
fn controller(path: &Path) -> Option<String> {
    let mut path = path;
    if name(path)?.contains("-hcd.") {
        path = path.parent()?;
    }
    let kind = fs::read_link(path.join("subsystem"))
        .ok()
        .and_then(|link| link.file_name().and_then(OsStr::to_str).map(str::to_owned))
        .unwrap_or_else(|| {
            if is_pci(name(path)) {
                "pci".into()
            } else {
                "platform".into()
            }
        });
    Some(format!("{kind}-{}", name(path)?))
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// `0000:00:14.0`.
fn is_pci(name: Option<&str>) -> bool {
    name.is_some_and(|name| {
        name.matches(':').count() == 2
            && name
                .bytes()
                .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
    })
}

/// One line of text; empty is none.
fn attribute(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(MAX_ATTRIBUTE)
        .read_to_end(&mut bytes)
        .ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    (!text.is_empty()).then_some(text)
}

fn hex_attribute(path: &Path) -> Option<u16> {
    u16::from_str_radix(&attribute(path)?, 16).ok()
}

#[cfg(test)]
pub(crate) mod tests;
