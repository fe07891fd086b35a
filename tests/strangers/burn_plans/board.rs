//! The station's own burner, and a virtual board with the same fuses as espefuse's chip on paper.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use station_device::link::memory::{BoardControl, BoardReset, MemoryLink};
use station_device::{BurnWitness, ConnectOptions, Port, PulseResult, ResetTo, Session};
use station_esp::Chip;
use station_esp::efuse::EfuseImage;
use station_esp::efuse::plan::{BurnPlan, PulseRecord, Snapshot, Wish};
use station_virtual::chip::ChipConfig;
use station_virtual::{Control, VirtualChip, server};

use super::difference;

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

/// Lets every pulse happen.
struct Consent;

#[async_trait]
impl BurnWitness for Consent {
    async fn intended(&mut self, _: &PulseRecord) -> Result<(), String> {
        Ok(())
    }

    async fn finished(&mut self, _: &PulseRecord, result: &PulseResult) -> Result<(), String> {
        let done = result.verdict.is_success();
        done.then_some(())
            .ok_or_else(|| "a pulse failed".to_owned())
    }
}

/// Whether a chip with these fuses answers the loader, and lets it at its registers.
pub(super) fn answers(snapshot: &Snapshot) -> bool {
    let (map, fuses) = (snapshot.map(), &snapshot.fuses);
    let set = |name: &str| {
        let field = map.field(name);
        field.is_some_and(|field| fuses.number(field) != Some(0))
    };
    let closed = set("DIS_DOWNLOAD_MODE") || set("ENABLE_SECURITY_DOWNLOAD");
    let uart_closed = set("UART_DOWNLOAD_DIS") && snapshot.revision.major >= 3;
    !closed && !uart_closed
}

/// What the read registers hold once the wish was planned and burned on a board that began with
/// the fuses of the snapshot.
pub(super) fn burned(snapshot: &Snapshot, wish: &Wish, stub: bool) -> Result<EfuseImage, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(burn(snapshot, wish, stub))
}

async fn burn(snapshot: &Snapshot, wish: &Wish, stub: bool) -> Result<EfuseImage, String> {
    let control = server::memory::spawn_empty();
    control
        .insert(seated(snapshot), true)
        .await
        .map_err(shown)?;
    let stream = control.open().await.map_err(shown)?;
    let board = Arc::new(Board(control.clone()));
    let link = MemoryLink::new("virtual:1", stream, board.clone());
    let port = Port::new(Box::new(link), Box::new(BoardReset::new(board)));
    let options = ConnectOptions {
        stub,
        ..ConnectOptions::default()
    };
    let mut session = Session::connect(port, &options).await.map_err(shown)?;
    let fresh = session.fuse_snapshot().await.map_err(shown)?;
    if let Some(what) = difference(snapshot.map(), "set", &snapshot.fuses, "read", &fresh.fuses) {
        return Err(format!("the board began with other fuses: {what}"));
    }
    if fresh.revision != snapshot.revision || fresh.mac != snapshot.mac {
        return Err(format!("another chip: revision {}", fresh.revision));
    }
    let plan = BurnPlan::make(&fresh, wish, &[]).map_err(shown)?;
    session.burn(&plan, &mut Consent).await.map_err(shown)?;
    // What the next reset would load, even where nobody can ask any more.
    let look = |chip: Option<&mut VirtualChip>| {
        let fuses = chip.unwrap().efuse_mut();
        fuses.edit(|_| ());
        fuses.image().clone()
    };
    control.change(look).await.map_err(shown)
}

fn seated(snapshot: &Snapshot) -> VirtualChip {
    let config = ChipConfig {
        revision: snapshot.revision,
        mac: snapshot.mac,
        crystal_mhz: snapshot.crystal_mhz,
        ..ChipConfig::new(snapshot.chip, 1, 7)
    };
    let mut chip = VirtualChip::new(config);
    chip.efuse_mut().edit(|image| {
        for block in snapshot.map().blocks {
            let words = snapshot.fuses.block(block.number);
            image.block_mut(block.number).copy_from_slice(words);
        }
    });
    chip
}

fn shown(error: impl std::fmt::Display) -> String {
    format!("the burner: {error}")
}

/// The crystal that an ordinary board of this chip has.
pub(super) fn crystal(chip: Chip) -> u8 {
    ChipConfig::new(chip, 1, 7).crystal_mhz
}
