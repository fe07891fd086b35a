//! A fleet of virtual chips that is served until it is told to stop: what `station virtual serve`
//! does.
//!
//! Invariants: units of a fleet never share a MAC; whoever asks for the same unit of the same seed
//! gets the same board; when serving ends, no link and no socket is left behind and the state is on
//! disk.

mod state;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use station_esp::{Chip, MacAddress};
use thiserror::Error;

use crate::chip::{ChipConfig, VirtualChip};
use crate::fault::Faults;
use crate::nor::FlashTiming;
use crate::script::AppScript;
use crate::server::ctl::{Boards, CtlServer};
use crate::server::pty::PtyLink;
use crate::server::tcp::TcpServer;
use crate::server::{Control, ctl, memory, pty, rfc2217, tcp};
use crate::wire::Wire;

use state::StateDir;
pub use state::StateError;

/// Most bays one fleet serves.
pub const MOST_BAYS: u16 = 256;

/// How the boards of a fleet start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strap {
    /// Into download mode, as if somebody held the boot button: tools that cannot reset work at
    /// once.
    #[default]
    Download,
    /// From flash.
    Flash,
}

/// What is served.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// The chip of every board.
    pub chip: Chip,
    /// How many bays, from 1 to [`MOST_BAYS`].
    pub count: u16,
    /// Where terminals (`bay1`) and control sockets (`bay1.ctl`) appear.
    pub dir: Option<PathBuf>,
    /// TCP port of the first bay, the next bay has the next; 0 takes any free ones.
    pub tcp: Option<u16>,
    /// RFC 2217 port of the first bay, the next bay has the next; 0 takes any free ones.
    pub rfc2217: Option<u16>,
    /// Whether bytes take time on the wire.
    pub wire: Wire,
    /// Whether flash operations take time.
    pub flash_timing: FlashTiming,
    /// What the boards run once they boot from flash; the built-in self test without one.
    pub app: Option<AppScript>,
    /// What is wrong with the boards.
    pub faults: Option<Faults>,
    /// What chance follows from.
    pub seed: u64,
    /// How boards start.
    pub strap: Strap,
    /// Where flash and fuses are kept between servings.
    pub state: Option<PathBuf>,
}

impl FleetConfig {
    /// `count` sound boards with `chip`, nothing served yet.
    pub fn new(chip: Chip, count: u16) -> Self {
        Self {
            chip,
            count,
            dir: None,
            tcp: None,
            rfc2217: None,
            wire: Wire::On,
            flash_timing: FlashTiming::Typical,
            app: None,
            faults: None,
            seed: 0,
            strap: Strap::default(),
            state: None,
        }
    }

    /// The board of unit `unit`, counted from 1: the same one every time.
    pub fn unit(&self, unit: u64) -> ChipConfig {
        let mut config = ChipConfig::new(self.chip, unit, self.seed);
        config.mac = mac(self.seed, unit);
        config.wire = self.wire;
        config.flash_timing = self.flash_timing;
        config.app = Some(self.app.clone().unwrap_or_else(AppScript::demo));
        if let Some(faults) = &self.faults {
            config.faults = faults.for_unit(unit, self.seed);
        }
        config
    }

    fn check(&self) -> Result<(), FleetError> {
        if !(1..=MOST_BAYS).contains(&self.count) {
            return Err(FleetError::Count { count: self.count });
        }
        if self.dir.is_none() && self.tcp.is_none() && self.rfc2217.is_none() {
            return Err(FleetError::NoPorts);
        }
        for port in [self.tcp, self.rfc2217].into_iter().flatten() {
            if port != 0 && port.checked_add(self.count - 1).is_none() {
                return Err(FleetError::PortRange {
                    first: port,
                    count: self.count,
                });
            }
        }
        Ok(())
    }
}

/// A MAC in a block that Espressif owns, different for 2^24 units of one seed.
fn mac(seed: u64, unit: u64) -> MacAddress {
    const MASK: u32 = 0xFF_FFFF;
    let seed = (seed ^ (seed >> 24) ^ (seed >> 48)) as u32;
    // Each step can be undone, so two units never meet: exclusive or, and products with odd numbers
    // modulo 2^24.
    let mut mixed = (unit as u32 ^ seed) & MASK;
    for odd in [0x9E_3779, 0x85_EBCB] {
        mixed = mixed.wrapping_mul(odd) & MASK;
        mixed ^= mixed >> 12;
    }
    let [_, high, middle, low] = mixed.to_be_bytes();
    MacAddress([0x7C, 0xDF, 0xA1, high, middle, low])
}

/// Why a fleet is not served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FleetError {
    /// Too few or too many bays.
    #[error("a fleet has 1 to {MOST_BAYS} bays, not {count}")]
    Count {
        /// How many were asked for.
        count: u16,
    },
    /// There would be no way to reach a chip.
    #[error(
        "neither a directory nor a TCP or RFC 2217 port was given, so no chip could be reached"
    )]
    NoPorts,
    /// The ports do not fit.
    #[error("{count} ports from {first} on go beyond 65535")]
    PortRange {
        /// The first port.
        first: u16,
        /// How many bays.
        count: u16,
    },
    /// A port, link or socket could not be made.
    #[error("cannot serve {what}: {source}")]
    Serve {
        /// What was to be served.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The state of the boards could not be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

impl FleetError {
    /// A stable name for this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Count { .. } => "fleet-count",
            Self::NoPorts => "fleet-no-ports",
            Self::PortRange { .. } => "fleet-port-range",
            Self::Serve { .. } => "fleet-serve",
            Self::State(error) => error.code(),
        }
    }
}

/// What a fleet says when every bay can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Always true.
    pub ready: bool,
    /// Every bay, in order.
    pub bays: Vec<ReadyBay>,
}

impl Ready {
    /// This as one line of JSON, without a line end.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("text and numbers always become JSON")
    }
}

/// How one bay is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadyBay {
    /// Its name, such as `bay1`.
    pub name: String,
    /// Its chip.
    pub chip: String,
    /// The MAC of the board in it.
    pub mac: String,
    /// Path of its terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pty: Option<PathBuf>,
    /// Path of its control socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctl: Option<PathBuf>,
    /// Address of its raw TCP port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// Address of its RFC 2217 port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rfc2217: Option<String>,
}

/// Serves a fleet until `shutdown` resolves, calling `ready` once when every bay can be reached.
///
/// # Errors
///
/// The configuration makes no sense, something could not be served, or the state could not be kept.
/// Links and sockets are removed in any case.
pub async fn serve(
    config: FleetConfig,
    shutdown: impl Future<Output = ()>,
    ready: impl FnOnce(&Ready),
) -> Result<(), FleetError> {
    config.check()?;
    let state = config.state.as_deref().map(StateDir::open).transpose()?;
    if let Some(dir) = &config.dir {
        std::fs::create_dir_all(dir).map_err(|source| FleetError::Serve {
            what: format!("`{}`", dir.display()),
            source,
        })?;
    }
    let mut kept = Vec::new();
    for number in 1..=config.count {
        kept.push(match &state {
            Some(state) => state.load(&bay_name(number), &config)?,
            None => None,
        });
    }
    let most = kept
        .iter()
        .flatten()
        .map(|kept| kept.unit)
        .max()
        .unwrap_or(0);
    let next = AtomicU64::new(most.max(u64::from(config.count)) + 1);
    let supply = Arc::new(Supply { config, next });
    let mut bays = Vec::new();
    for (number, kept) in (1u16..).zip(kept) {
        bays.push(ServedBay::open(&supply, number, kept).await?);
    }
    ready(&Ready {
        ready: true,
        bays: bays.iter().map(|bay| bay.card.clone()).collect(),
    });
    let controls: Vec<(String, Control)> = bays
        .iter()
        .map(|bay| (bay.card.name.clone(), bay.control.clone()))
        .collect();
    match &state {
        None => shutdown.await,
        Some(state) => {
            let keeping = state.keep(&controls);
            tokio::pin!(shutdown, keeping);
            let failed = tokio::select! {
                biased;
                () = &mut shutdown => None,
                failed = &mut keeping => Some(failed),
            };
            if let Some(Err(error)) = failed {
                return Err(error.into());
            }
        }
    }
    // Ports go first: what is saved last is what nobody can change any more.
    bays.iter_mut().for_each(ServedBay::close);
    if let Some(state) = &state {
        state.save_all(&controls).await?;
    }
    Ok(())
}

/// The name of bay `number`.
fn bay_name(number: u16) -> String {
    format!("bay{number}")
}

/// Makes the boards of a fleet.
struct Supply {
    config: FleetConfig,
    next: AtomicU64,
}

impl Supply {
    fn strapped(&self) -> bool {
        self.config.strap == Strap::Download
    }
}

impl Boards for Supply {
    fn board(&self, unit: Option<u64>) -> Result<(VirtualChip, bool), String> {
        let unit = unit.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
        if unit == 0 {
            return Err("units are counted from 1".to_owned());
        }
        Ok((VirtualChip::new(self.config.unit(unit)), self.strapped()))
    }
}

/// One bay with everything that serves it.
struct ServedBay {
    card: ReadyBay,
    control: Control,
    pty: Option<PtyLink>,
    ctl: Option<CtlServer>,
    tcp: Option<TcpServer>,
    rfc2217: Option<TcpServer>,
}

impl ServedBay {
    async fn open(
        supply: &Arc<Supply>,
        number: u16,
        kept: Option<state::Kept>,
    ) -> Result<Self, FleetError> {
        let name = bay_name(number);
        let config = &supply.config;
        let chip = match kept {
            Some(kept) => kept.chip,
            None => VirtualChip::new(config.unit(u64::from(number))),
        };
        let mac = chip.config().mac.to_string();
        let control = memory::spawn_empty();
        let failed = |what: String| move |source| FleetError::Serve { what, source };
        let (mut pty, mut ctl) = (None, None);
        if let Some(dir) = &config.dir {
            let link = dir.join(&name);
            let what = format!("terminal `{}`", link.display());
            pty = Some(pty::open(&control, &link).await.map_err(failed(what))?);
            let socket = dir.join(format!("{name}.ctl"));
            let what = format!("control socket `{}`", socket.display());
            let boards = Arc::clone(supply) as Arc<dyn Boards>;
            ctl = Some(
                ctl::serve(&control, &socket, boards)
                    .await
                    .map_err(failed(what))?,
            );
        }
        let port = |first: u16| if first == 0 { 0 } else { first + (number - 1) };
        let mut tcp = None;
        if let Some(port) = config.tcp.map(port) {
            let what = format!("TCP port {port}");
            tcp = Some(tcp::serve(&control, port).await.map_err(failed(what))?);
        }
        let mut rfc2217 = None;
        if let Some(port) = config.rfc2217.map(port) {
            let what = format!("RFC 2217 port {port}");
            rfc2217 = Some(rfc2217::serve(&control, port).await.map_err(failed(what))?);
        }
        // A bay of this process cannot have ended: its control is at hand.
        let _ = control.insert(chip, supply.strapped()).await;
        let card = ReadyBay {
            name,
            chip: config.chip.name().to_owned(),
            mac,
            pty: pty.as_ref().map(|link| Path::to_owned(link.path())),
            ctl: ctl.as_ref().map(|socket| Path::to_owned(socket.path())),
            tcp: tcp.as_ref().map(|server| server.address().to_string()),
            rfc2217: rfc2217.as_ref().map(|server| server.address().to_string()),
        };
        Ok(Self {
            card,
            control,
            pty,
            ctl,
            tcp,
            rfc2217,
        })
    }

    /// Stops serving; the board stays in the bay.
    fn close(&mut self) {
        self.pty = None;
        self.ctl = None;
        self.tcp = None;
        self.rfc2217 = None;
    }
}

#[cfg(test)]
mod tests;
