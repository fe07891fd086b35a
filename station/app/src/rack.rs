//! The rack: virtual boards inside this process, in bays `virtual:1`, `virtual:2`, …
//!
//! A board is made the first time its bay is named. Its chip is real protocol from the wire up; only the
//! port is a pipe in memory. Units differ by their MAC, which follows from the rack's seed.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use station_device::link::memory::{BoardControl, BoardReset, MemoryLink};
use station_device::{Connector, DeviceError, Port, Presence, ResetTo};
use station_esp::Chip;
use station_virtual::chip::ChipConfig;
use station_virtual::nor::FlashTiming;
use station_virtual::script::AppScript;
use station_virtual::server::{self, Control};
use station_virtual::wire::Wire;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Most virtual boards in one process.
pub const MAX_BOARDS: u32 = 64;

/// Longest wait for a port that somebody has open.
const OPEN_PATIENCE: Duration = Duration::from_secs(1);

/// What the rack's boards are.
#[derive(Clone, Debug)]
pub struct RackOptions {
    /// Which chip they have.
    pub chip: Chip,
    /// What their MACs, measured values and faults follow from.
    pub seed: u64,
    /// Whether bytes take time on the wire and flash operations take time.
    pub timed: bool,
    /// What runs on them.
    pub app: AppScript,
}

impl Default for RackOptions {
    fn default() -> Self {
        Self {
            chip: Chip::Esp32C3,
            seed: 1,
            timed: true,
            app: AppScript::demo(),
        }
    }
}

/// Virtual boards in bays.
#[derive(Debug)]
pub struct Rack {
    options: RackOptions,
    bays: Mutex<BTreeMap<u32, RackBay>>,
    made: std::sync::atomic::AtomicU64,
}

#[derive(Clone, Debug)]
struct RackBay {
    control: Control,
    presence: watch::Receiver<Presence>,
    /// Taken by whoever has the port open: it is exclusive, as every port is.
    lock: Arc<Semaphore>,
}

impl Rack {
    /// An empty rack.
    pub fn new(options: RackOptions) -> Self {
        Self {
            options,
            bays: Mutex::default(),
            made: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// The numbers of the bays that have been named so far.
    pub fn bays(&self) -> Vec<u32> {
        self.lock().keys().copied().collect()
    }

    /// The way to the board in bay `number`, which is made if there is none yet. Needs a tokio runtime.
    pub fn connector(&self, number: u32) -> Arc<dyn Connector> {
        let mut bays = self.lock();
        let bay = bays.entry(number).or_insert_with(|| {
            let control = server::memory::spawn_empty();
            let presence = follow(control.presence());
            let bay = RackBay {
                control,
                presence,
                lock: Arc::new(Semaphore::new(1)),
            };
            let (board, control) = (self.next_board(), bay.control.clone());
            tokio::spawn(async move { control.replace(board).await });
            bay
        });
        Arc::new(RackConnector {
            number,
            bay: bay.clone(),
        })
    }

    /// Takes the board out of bay `number` and puts the next one in, as an operator does.
    ///
    /// # Errors
    /// The bay has ended.
    pub async fn swap(&self, number: u32) -> Result<(), server::BayGone> {
        let control = self.lock().get(&number).map(|bay| bay.control.clone());
        let Some(control) = control else {
            return Ok(());
        };
        control.remove().await?;
        let board = self.next_board();
        control.replace(board).await
    }

    fn next_board(&self) -> ChipConfig {
        let made = self.made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // Units of one rack follow each other; racks of different seeds start far apart.
        let first = self.options.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let mut board = ChipConfig::new(
            self.options.chip,
            first.wrapping_add(made),
            self.options.seed,
        );
        board.app = Some(self.options.app.clone());
        if self.options.timed {
            board.wire = Wire::On;
            board.flash_timing = FlashTiming::Typical;
        }
        board
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, RackBay>> {
        self.bays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Translates what the bay says into what the device room says.
fn follow(mut bay: watch::Receiver<server::Presence>) -> watch::Receiver<Presence> {
    let translate = |presence: &server::Presence| match presence {
        server::Presence::Absent => Presence::Absent,
        server::Presence::Present(board) => Presence::Present(*board),
    };
    let (sender, receiver) = watch::channel(translate(&bay.borrow_and_update()));
    tokio::spawn(async move {
        while bay.changed().await.is_ok() {
            sender.send_replace(translate(&bay.borrow_and_update()));
        }
    });
    receiver
}

struct RackConnector {
    number: u32,
    bay: RackBay,
}

#[async_trait]
impl Connector for RackConnector {
    fn name(&self) -> String {
        format!("virtual:{}", self.number)
    }

    async fn open(&self) -> Result<Port, DeviceError> {
        // Who has just left may still be on the way out.
        let lock = tokio::time::timeout(OPEN_PATIENCE, Arc::clone(&self.bay.lock).acquire_owned())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| DeviceError::PortInUse {
                port: self.name(),
                pid: Some(std::process::id()),
            })?;
        let stream = self
            .bay
            .control
            .open()
            .await
            .map_err(|_| DeviceError::NoBoard { place: self.name() })?;
        let board: Arc<dyn BoardControl> = Arc::new(RackBoard {
            control: self.bay.control.clone(),
            _lock: lock,
        });
        let link = MemoryLink::new(self.name(), stream, Arc::clone(&board));
        Ok(Port::new(Box::new(link), Box::new(BoardReset::new(board))))
    }

    fn presence(&self) -> watch::Receiver<Presence> {
        self.bay.presence.clone()
    }
}

struct RackBoard {
    control: Control,
    _lock: OwnedSemaphorePermit,
}

#[async_trait]
impl BoardControl for RackBoard {
    async fn reset(&self, to: ResetTo) -> io::Result<()> {
        let to = match to {
            ResetTo::Bootloader => server::ResetTo::Bootloader,
            ResetTo::Application => server::ResetTo::Application,
        };
        self.control.reset(to).await.map_err(io::Error::other)
    }

    async fn set_baud(&self, baud: u32) -> io::Result<()> {
        self.control.set_baud(baud).await.map_err(io::Error::other)
    }

    async fn set_lines(&self, dtr: Option<bool>, rts: Option<bool>) -> io::Result<()> {
        self.control
            .set_lines(dtr.unwrap_or(false), rts.unwrap_or(false))
            .await
            .map_err(io::Error::other)
    }
}
