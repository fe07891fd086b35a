//! A virtual bay and the port to it.

use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use station_esp::Chip;
use station_virtual::chip::ChipConfig;
use station_virtual::wire::Wire;
use station_virtual::{Control, server};

use crate::error::DeviceError;
use crate::flash::{PreparedImage, ProgressSink};
use crate::link::memory::{BoardControl, BoardReset, MemoryLink};
use crate::port::Port;
use crate::reset::{NoReset, ResetTo};
use crate::session::{ConnectOptions, Session};

/// A bay with one board in it.
pub(crate) struct Bay {
    pub(crate) control: Control,
}

struct Board(Control);

fn gone<T>(_: T) -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

#[async_trait]
impl BoardControl for Board {
    async fn reset(&self, to: ResetTo) -> io::Result<()> {
        let to = match to {
            ResetTo::Bootloader => station_virtual::ResetTo::Bootloader,
            ResetTo::Application => station_virtual::ResetTo::Application,
        };
        self.0.reset(to).await.map_err(gone)
    }

    async fn set_baud(&self, baud: u32) -> io::Result<()> {
        self.0.set_baud(baud).await.map_err(gone)
    }
}

/// A board whose reset line works and whose boot line does not.
struct OpenStrap(Arc<Board>);

#[async_trait]
impl BoardControl for OpenStrap {
    async fn reset(&self, _to: ResetTo) -> io::Result<()> {
        self.0.reset(ResetTo::Application).await
    }
}

impl Bay {
    pub(crate) fn new(config: ChipConfig) -> Self {
        let (_, control) = server::memory::spawn(config);
        Self { control }
    }

    /// Opens the port; an earlier opening ends.
    pub(crate) async fn port(&self) -> Port {
        let (link, board) = self.link().await;
        Port::new(Box::new(link), Box::new(BoardReset::new(board)))
    }

    /// Opens the port without any means of reset.
    pub(crate) async fn port_without_reset(&self) -> Port {
        let (link, _) = self.link().await;
        Port::new(Box::new(link), Box::new(NoReset))
    }

    /// Opens a port whose reset never pulls the boot pin.
    pub(crate) async fn port_with_open_strap(&self) -> Port {
        let (link, board) = self.link().await;
        Port::new(
            Box::new(link),
            Box::new(BoardReset::new(Arc::new(OpenStrap(board)))),
        )
    }

    async fn link(&self) -> (MemoryLink<tokio::io::DuplexStream>, Arc<Board>) {
        let stream = self.control.open().await.unwrap();
        let board = Arc::new(Board(self.control.clone()));
        (MemoryLink::new("virtual:1", stream, board.clone()), board)
    }

    pub(crate) async fn connect(&self, options: &ConnectOptions) -> Result<Session, DeviceError> {
        Session::connect(self.port().await, options).await
    }

    /// A connection by default options that must succeed.
    pub(crate) async fn session(&self) -> Session {
        self.connect(&ConnectOptions::default()).await.unwrap()
    }

    /// Burns a field of one bit behind the chip's back.
    pub(crate) async fn burn(&self, field: &'static str) {
        let change = move |chip: Option<&mut station_virtual::VirtualChip>| {
            let fuses = chip.unwrap().efuse_mut();
            let part = fuses.map().field(field).unwrap().parts[0];
            fuses.edit(|image| {
                image.block_mut(part.block)[usize::from(part.bit / 32)] |= 1 << (part.bit % 32);
            });
        };
        self.control.change(change).await.unwrap();
    }

    /// What the flash holds.
    pub(crate) async fn flash(&self, offset: u32, length: usize) -> Vec<u8> {
        let look = move |chip: Option<&station_virtual::VirtualChip>| {
            chip.unwrap().flash().bytes(offset, length as u32)
        };
        self.control.inspect(look).await.unwrap()
    }
}

/// An ordinary board.
pub(crate) fn board(chip: Chip) -> ChipConfig {
    ChipConfig::new(chip, 1, 7)
}

/// An ordinary board whose bytes take time on the wire.
pub(crate) fn wired(chip: Chip) -> ChipConfig {
    ChipConfig {
        wire: Wire::On,
        ..board(chip)
    }
}

/// Without the stub.
pub(crate) fn rom_only() -> ConnectOptions {
    ConnectOptions {
        stub: false,
        ..ConnectOptions::default()
    }
}

/// Bytes that compress to about half, different for every seed.
pub(crate) fn half_compressible(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    (0..length)
        .map(|at| {
            if at / 256 % 2 == 1 {
                return (at / 512) as u8 & 0x0F;
            }
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 11) as u8
        })
        .collect()
}

pub(crate) fn prepared(offset: u32, bytes: &[u8]) -> Arc<PreparedImage> {
    PreparedImage::prepare("app", offset, Arc::from(bytes)).unwrap()
}

/// Everything a long operation told.
#[derive(Default)]
pub(crate) struct Told(pub(super) Mutex<Vec<(String, u64)>>);

impl ProgressSink for Told {
    fn progress(&self, phase: &str, done: u64, total: Option<u64>) {
        assert!(total.is_none_or(|total| done <= total));
        self.0.lock().unwrap().push((phase.to_owned(), done));
    }
}
