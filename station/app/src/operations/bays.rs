//! Ports and bays: `esp_scan_ports`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::Address;
use station_device::bay::{BayConfig, Sysfs, UsbTty};

use super::attached::Attached;
use crate::operation::{Call, Declaration, Effect, Face, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_scan_ports`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ScanParameters {
    /// Connect to each and ask which chip is there; resets the boards
    #[arg(long)]
    #[serde(default)]
    pub probe: bool,
}

/// One port or bay.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct PortView {
    /// What `port` parameters call it
    pub port: String,
    /// The bay that is configured for it
    pub bay: Option<String>,
    /// Where it hangs on the USB tree: the key to configure a bay with
    pub key: Option<String>,
    /// USB vendor id, hex
    pub vid: Option<String>,
    /// USB product id, hex
    pub pid: Option<String>,
    /// USB serial number
    pub serial: Option<String>,
    /// What the USB device calls itself
    pub product: Option<String>,
    /// The chip that answered, if asked
    pub chip: Option<String>,
    /// Its MAC
    pub mac: Option<String>,
    /// Why none answered
    pub failure: Option<String>,
}

/// Every port and bay.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ScanView {
    /// Ports that are there, configured bays and virtual boards
    pub ports: Vec<PortView>,
}

/// `esp_scan_ports`.
#[derive(Debug)]
pub struct ScanPorts;

#[async_trait]
impl Operation for ScanPorts {
    const DECLARATION: Declaration = Declaration {
        name: "esp_scan_ports",
        aliases: &[],
        command: &["bays"],
        title: "Every port and bay",
        summary: "Lists USB serial ports with their place on the USB tree, configured bays and virtual boards; \
                  with `probe` connects to each and returns chip and MAC.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ScanParameters;
    type Output = ScanView;

    async fn invoke(
        station: &Station,
        parameters: ScanParameters,
        call: &Call,
    ) -> Result<ScanView, OperationError> {
        let mut ports = list(station).await?;
        if parameters.probe {
            let all = ports.len() as u64;
            let done = AtomicU64::new(0);
            call.progress.progress("probing", 0, Some(all));
            let probes = ports.iter_mut().map(|port| async {
                probe(station, port).await;
                call.progress.progress(
                    "probing",
                    done.fetch_add(1, Ordering::Relaxed) + 1,
                    Some(all),
                );
            });
            futures_util::future::join_all(probes).await;
        }
        Ok(ScanView { ports })
    }

    fn words(view: &ScanView) -> String {
        if view.ports.is_empty() {
            return "no ports: plug a board in, or use `virtual:1` for a virtual one".to_owned();
        }
        view.ports.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn line(port: &PortView) -> String {
    let mut line = port.port.clone();
    let parts = [
        ("bay", &port.bay),
        ("key", &port.key),
        ("", &port.product),
        ("", &port.chip),
        ("", &port.mac),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            let space = if name.is_empty() { "" } else { " " };
            line += &format!("  {name}{space}{part}");
        }
    }
    if let Some(failure) = &port.failure {
        line += &format!("  ({failure})");
    }
    line
}

/// USB ports as they are now, then configured bays that no USB port is in, then virtual boards.
async fn list(station: &Station) -> Result<Vec<PortView>, OperationError> {
    let scanned = tokio::task::spawn_blocking(|| Sysfs::default().scan())
        .await
        .map_err(|error| OperationError::new("internal", error.to_string()))?;
    // A machine without USB serial ports has no tree to scan.
    let mut ttys = scanned.unwrap_or_default();
    ttys.sort_by(|one, other| one.path.cmp(&other.path));
    let bays = &station.config().bays;
    let mut ports: Vec<PortView> = ttys.iter().map(|tty| usb_view(tty, bays)).collect();
    for bay in bays {
        if !ports
            .iter()
            .any(|port| port.bay.as_deref() == Some(&bay.name))
        {
            ports.push(PortView {
                port: bay
                    .address
                    .as_ref()
                    .map_or_else(|| bay.name.clone(), ToString::to_string),
                bay: Some(bay.name.clone()),
                key: bay.key.as_ref().map(ToString::to_string),
                ..PortView::default()
            });
        }
    }
    let configured: BTreeSet<String> = ports.iter().map(|port| port.port.clone()).collect();
    let boards = station
        .rack()
        .bays()
        .into_iter()
        .map(|number| Address::Virtual(number).to_string());
    for port in boards.filter(|port| !configured.contains(port)) {
        ports.push(PortView {
            port,
            ..PortView::default()
        });
    }
    for port in ports
        .iter_mut()
        .filter(|port| port.port.starts_with("virtual:"))
    {
        port.product = Some("virtual board".to_owned());
    }
    Ok(ports)
}

fn usb_view(tty: &UsbTty, bays: &[BayConfig]) -> PortView {
    let bay = bays
        .iter()
        .find(|bay| bay.key.as_ref().is_some_and(|key| key.covers(&tty.key)));
    PortView {
        port: Address::Tty(tty.path.clone()).to_string(),
        bay: bay.map(|bay| bay.name.clone()),
        key: Some(tty.key.to_string()),
        vid: Some(format!("{:04x}", tty.vid)),
        pid: Some(format!("{:04x}", tty.pid)),
        serial: tty.serial.clone(),
        product: tty.product.clone(),
        ..PortView::default()
    }
}

async fn probe(station: &Station, port: &mut PortView) {
    let name = port.bay.clone().unwrap_or_else(|| port.port.clone());
    let attached = Attached::to(name);
    let call = Call::silent(Face::Cli, "probe");
    let probed = async {
        let session = attached.connect(station, &call).await?;
        let identity = session.identity();
        port.chip = Some(identity.chip.name().to_owned());
        port.mac = identity.mac.map(|mac| mac.to_string());
        attached.finish(session, Ok(())).await
    };
    let probed: Result<(), OperationError> = probed.await;
    port.failure = probed.err().map(|error| error.to_string());
}
