//! The station as a contestant: writes one image to many boards, as a run does, and says how long it took.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use station_device::{
    Address, AddressConnector, AfterSession, ConnectOptions, Connector, NoProgress, PreparedImage,
    Session, WriteOptions,
};

use super::super::command::block_on;
use super::super::output::Output;
use crate::operation::OperationError;

/// What to write where.
#[derive(Args, Clone, Debug)]
pub(super) struct HostOptions {
    #[arg(long)]
    image: PathBuf,
    #[arg(long)]
    at: u32,
    #[arg(long)]
    baud: u32,
    ports: Vec<Address>,
}

/// What the contestant measured of itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct HostFigures {
    /// Seconds from opening the first port to the last verified board.
    pub wall_s: f64,
    /// CPU seconds of the process.
    pub cpu_s: f64,
    /// Bytes of image data on the wire for each board.
    pub carried: u64,
}

/// Writes and prints the figures.
pub(super) fn run(options: &HostOptions, output: &Output) -> Result<(), OperationError> {
    let figures = block_on(async {
        let bytes: Arc<[u8]> = crate::station::read_bounded(&options.image, 64 << 20)?.into();
        let at = options.at;
        let image = tokio::task::spawn_blocking(move || PreparedImage::prepare("image", at, bytes))
            .await
            .map_err(|error| OperationError::new("internal", error.to_string()))??;
        let started = Instant::now();
        let boards: Vec<_> = options
            .ports
            .iter()
            .map(|port| tokio::spawn(write(port.clone(), options.baud, Arc::clone(&image))))
            .collect();
        for board in boards {
            board
                .await
                .map_err(|error| OperationError::new("internal", error.to_string()))??;
        }
        Ok(HostFigures {
            wall_s: started.elapsed().as_secs_f64(),
            cpu_s: cpu_seconds(),
            carried: image.carried_bytes(),
        })
    })?;
    output.value(&figures);
    Ok(())
}

async fn write(port: Address, baud: u32, image: Arc<PreparedImage>) -> Result<(), OperationError> {
    let port = AddressConnector::new(port.to_string(), port).open().await?;
    let options = ConnectOptions {
        bauds: vec![baud],
        ..ConnectOptions::default()
    };
    let mut session = Session::connect(port, &options).await?;
    let written = session
        .write(&image, &WriteOptions::default(), &NoProgress)
        .await?;
    session.close(AfterSession::Stay).await?;
    if written.verified && !written.skipped {
        return Ok(());
    }
    Err(OperationError::new(
        "bench-invalid",
        "a board was not written and verified",
    ))
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
