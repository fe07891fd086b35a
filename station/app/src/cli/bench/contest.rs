//! The contest: the same blank boards for each contestant, one after the other, and the limit they run against.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use station_device::PreparedImage;
use station_virtual::nor::{FlashTiming, PAGE};

use super::super::command::block_on;
use super::super::output::Output;
use super::host::HostFigures;
use super::meter::{Contestants, Used, measure};
use super::{FlashBench, Modelled, Peer, broken};
use crate::operation::OperationError;

const CHIP: &str = "esp32c3";
const OFFSET: u32 = 0x1_0000;
/// Longest one contestant may take.
const LIMIT: Duration = Duration::from_secs(900);

/// What one peer used.
#[derive(Clone, Debug, Serialize)]
struct PeerFigures {
    name: &'static str,
    wall_s: f64,
    ratio: Option<f64>,
    cpu_s_per_unit: f64,
    rss_mb: f64,
}

/// The figures of one contest.
#[derive(Clone, Debug, Serialize)]
struct Figures {
    bays: u32,
    bytes: u64,
    compressed_bytes: u64,
    baud: u32,
    modelled: bool,
    limit_s: Option<f64>,
    wall_s: f64,
    ratio: Option<f64>,
    process_wall_s: f64,
    cpu_s_per_unit: f64,
    rss_mb: f64,
    peers: Vec<PeerFigures>,
}

/// Runs the contest and prints it.
pub(super) fn run(bench: &FlashBench, output: &Output) -> Result<(), OperationError> {
    let folder = tempfile::tempdir().map_err(|error| broken(&error))?;
    let size = station_esp::flash::parse_size(&bench.size)
        .map_err(|error| OperationError::usage(error.code(), error.to_string()))?;
    let content = content(size as usize);
    let image = folder.path().join("image.bin");
    std::fs::write(&image, &content).map_err(|error| broken(&error))?;
    let limit = limit_seconds(bench, &content)?;
    let figures = block_on(async {
        let (used, own) = host(bench, folder.path(), &image).await?;
        let mut figures = Figures {
            bays: bench.bays,
            bytes: content.len() as u64,
            compressed_bytes: own.carried,
            baud: bench.baud,
            modelled: bench.modelled == Modelled::On,
            limit_s: limit,
            wall_s: own.wall_s,
            ratio: limit.map(|limit| own.wall_s / limit),
            process_wall_s: used.wall_s,
            cpu_s_per_unit: own.cpu_s / f64::from(bench.bays),
            rss_mb: used.rss_mb,
            peers: Vec::new(),
        };
        for which in &bench.peer {
            figures
                .peers
                .push(peer(bench, *which, folder.path(), &image, limit).await?);
        }
        Ok(figures)
    })?;
    show(&figures, output);
    if let Some(out) = &bench.out {
        let text = serde_json::to_vec_pretty(&figures).map_err(|error| broken(&error))?;
        crate::station::write_whole(out, &text)?;
    }
    Ok(())
}

/// Bytes of which every other kilobyte compresses to nothing and the rest not at all.
fn content(size: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    (0..size)
        .map(|at| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if at / 1024 % 2 == 0 {
                (state >> 32) as u8
            } else {
                (at / 1024) as u8
            }
        })
        .collect()
}

/// The larger of the time its compressed bytes take on the wire and the time its pages take to program.
/// A blank board needs no erase.
fn limit_seconds(bench: &FlashBench, content: &[u8]) -> Result<Option<f64>, OperationError> {
    if bench.modelled == Modelled::Off {
        return Ok(None);
    }
    let image = PreparedImage::prepare("image", OFFSET, content.into())?;
    let wire = image.carried_bytes() as f64 * 10.0 / f64::from(bench.baud);
    let pages = content
        .chunks(PAGE as usize)
        .filter(|page| page.iter().any(|byte| *byte != 0xFF))
        .count();
    let flash = pages as f64 * FlashTiming::Typical.page_program() as f64 / 1e9;
    Ok(Some(wire.max(flash)))
}

/// Blank boards in a process of their own.
struct Boards {
    child: Child,
    folder: PathBuf,
}

impl Boards {
    fn serve(bench: &FlashBench, folder: &Path, name: &str) -> Result<Self, OperationError> {
        let folder = folder.join(name);
        let (wire, timing) = match bench.modelled {
            Modelled::On => ("on", "typical"),
            Modelled::Off => ("off", "off"),
        };
        let mut child = Command::new(this_program()?)
            .args([
                "virtual",
                "serve",
                "--chip",
                CHIP,
                "--count",
                &bench.bays.to_string(),
            ])
            .args(["--wire", wire, "--flash-timing", timing, "--dir"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| broken(&error))?;
        let out = child.stdout.take();
        let boards = Self { child, folder };
        let mut ready = String::new();
        if let Some(out) = out {
            BufReader::new(out)
                .read_line(&mut ready)
                .map_err(|error| broken(&error))?;
        }
        if ready.is_empty() {
            return Err(OperationError::new(
                "bench-failed",
                "the virtual boards did not start",
            ));
        }
        Ok(boards)
    }

    fn ports(&self, bays: u32) -> Vec<String> {
        (1..=bays)
            .map(|bay| self.folder.join(format!("bay{bay}")).display().to_string())
            .collect()
    }
}

impl Drop for Boards {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn this_program() -> Result<PathBuf, OperationError> {
    std::env::current_exe().map_err(|error| broken(&error))
}

async fn host(
    bench: &FlashBench,
    folder: &Path,
    image: &Path,
) -> Result<(Used, HostFigures), OperationError> {
    let boards = Boards::serve(bench, folder, "station")?;
    let started = Instant::now();
    let mut child = Command::new(this_program()?)
        .args([
            "bench",
            "host",
            "--at",
            &OFFSET.to_string(),
            "--baud",
            &bench.baud.to_string(),
            "--image",
        ])
        .arg(image)
        .args(boards.ports(bench.bays))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| broken(&error))?;
    let out = child.stdout.take();
    let used = measure(child.into(), started, LIMIT).await?;
    let mut text = String::new();
    if let Some(mut out) = out {
        out.read_to_string(&mut text)
            .map_err(|error| broken(&error))?;
    }
    let figures = serde_json::from_str(&text).map_err(|error| broken(&error))?;
    Ok((used, figures))
}

async fn peer(
    bench: &FlashBench,
    which: Peer,
    folder: &Path,
    image: &Path,
    limit: Option<f64>,
) -> Result<PeerFigures, OperationError> {
    let name = match which {
        Peer::Esptool => "esptool",
        Peer::Espflash => "espflash",
    };
    let boards = Boards::serve(bench, folder, name)?;
    let started = Instant::now();
    let mut children = Contestants::default();
    for port in boards.ports(bench.bays) {
        let child = peer_command(bench, which, &port, image)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                OperationError::new("bench-peer-missing", format!("cannot start {name}: {error}"))
                    .hint("pip install esptool; cargo build --release -p station --example espflash_write")
            })?;
        children.add(child);
    }
    let used = measure(children, started, LIMIT).await?;
    Ok(PeerFigures {
        name,
        wall_s: used.wall_s,
        ratio: limit.map(|limit| used.wall_s / limit),
        cpu_s_per_unit: used.cpu_s / f64::from(bench.bays),
        rss_mb: used.rss_mb,
    })
}

/// The espflash library as a program: the example beside this program, unless another is named.
fn espflash_program(bench: &FlashBench) -> PathBuf {
    let beside = || {
        let program = std::env::current_exe().ok()?;
        Some(program.parent()?.join("examples").join("espflash_write"))
    };
    bench
        .espflash
        .clone()
        .or_else(beside)
        .unwrap_or_else(|| PathBuf::from("espflash_write"))
}

fn peer_command(bench: &FlashBench, which: Peer, port: &str, image: &Path) -> Command {
    let baud = bench.baud.to_string();
    let at = format!("0x{OFFSET:x}");
    let mut command;
    match which {
        Peer::Esptool => {
            command = Command::new(&bench.esptool);
            command.args(["--chip", CHIP, "--port", port, "--baud", &baud]);
            command.args([
                "--before",
                "no-reset",
                "--after",
                "no-reset-stub",
                "write-flash",
                &at,
            ]);
            command.arg(image);
        }
        Peer::Espflash => {
            command = Command::new(espflash_program(bench));
            command.args([port, &baud, &OFFSET.to_string()]);
            command.arg(image);
        }
    }
    command
}

fn show(figures: &Figures, output: &Output) {
    if output.is_json() {
        output.value(figures);
        return;
    }
    let ratio =
        |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
    let limit = figures.limit_s.map_or_else(
        || "wire and flash take no time".to_owned(),
        |limit| format!("limit {limit:.2} s at {} baud", figures.baud),
    );
    output.words(&format!(
        "{} boards, {} bytes ({} compressed), {limit}",
        figures.bays, figures.bytes, figures.compressed_bytes
    ));
    output.words("           wall s   ratio   CPU s/unit   memory MB");
    let line = |name: &str, wall: f64, of_limit: Option<f64>, cpu: f64, rss: f64| {
        output.words(&format!(
            "{name:<9} {wall:>7.2} {:>7} {cpu:>12.4} {rss:>11.1}",
            ratio(of_limit)
        ));
    };
    line(
        "station",
        figures.wall_s,
        figures.ratio,
        figures.cpu_s_per_unit,
        figures.rss_mb,
    );
    for peer in &figures.peers {
        line(
            peer.name,
            peer.wall_s,
            peer.ratio,
            peer.cpu_s_per_unit,
            peer.rss_mb,
        );
        output.words(&format!(
            "  station / {}: wall {:.3}, CPU {:.4}",
            peer.name,
            figures.process_wall_s / peer.wall_s,
            figures.cpu_s_per_unit / peer.cpu_s_per_unit
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use station_device::PreparedImage;

    use super::content;

    #[test]
    fn half_of_the_content_compresses_and_the_same_size_is_the_same_content() {
        let made = content(1 << 20);
        assert_eq!(made, content(1 << 20));
        let image = PreparedImage::prepare("image", 0x1_0000, Arc::from(made)).unwrap();
        let share = image.carried_bytes() as f64 / f64::from(1 << 20);
        assert!((0.48..0.56).contains(&share), "{share}");
        assert_eq!(content(1000), content(2000)[..1000]);
    }
}
