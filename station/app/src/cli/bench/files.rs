//! `station bench files`: partitions made for each unit and images made ready for the wire, next to
//! Espressif's programs on the same input. The bytes of both are compared; a difference fails the bench.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use station_device::PreparedImage;
use station_esp::chip::Chip;
use station_esp::elf::{FlashSettings, to_flash_image};
use station_esp::image::FlashMode;
use station_esp::nvs::{Content, Value, Version, build, parse};

use super::super::output::Output;
use super::broken;
use crate::operation::OperationError;

/// Bytes of a unit's partition.
const PARTITION: u32 = 0x6000;
/// What every unit has in common: a table as products have it.
const TEMPLATE: &str = include_str!("template.csv");
/// The other programs, driven in one process.
const PEERS: &str = include_str!("peers.py");
/// Largest ELF that is taken.
const MAX_ELF: u64 = 64 << 20;

/// What is measured.
#[derive(Args, Clone, Debug)]
pub(super) struct FilesBench {
    /// An application
    #[arg(long, value_name = "FILE")]
    elf: PathBuf,
    /// Its chip
    #[arg(long, default_value = "esp32c3")]
    chip: Chip,
    /// Units that get a partition of their own
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    units: u32,
    /// How often the application is made ready
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    images: u32,
    /// A Python with esptool and esp-idf-nvs-partition-gen, to measure in the same run
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// File for the figures as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How long a number of pieces took, on one core.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Took {
    wall_s: f64,
    cpu_s: f64,
}

impl Took {
    fn per_minute(self, pieces: u32) -> f64 {
        f64::from(pieces) * 60.0 / self.wall_s
    }
}

/// Both kinds of file from one contestant.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Made {
    /// A partition for each unit: made of a template and values, and by the station read back as well.
    partitions: Took,
    /// ELF to image, compressed and hashed as it goes to a board.
    images: Took,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    units: u32,
    images: u32,
    partition_bytes: u32,
    image_bytes: usize,
    station: Made,
    python: Option<Made>,
}

/// Measures and prints.
pub(super) fn run(bench: &FilesBench, output: &Output) -> Result<(), OperationError> {
    let elf = crate::station::read_bounded(&bench.elf, MAX_ELF)?;
    let folder = tempfile::tempdir().map_err(|error| broken(&error))?;
    let (partitions, took_partitions) = partitions(bench.units)?;
    let (image, took_images) = images(&elf, bench)?;
    let python = match &bench.python {
        Some(python) => Some(peers(bench, python, folder.path(), &partitions, &image)?),
        None => None,
    };
    let figures = Figures {
        units: bench.units,
        images: bench.images,
        partition_bytes: PARTITION,
        image_bytes: image.len(),
        station: Made {
            partitions: took_partitions,
            images: took_images,
        },
        python,
    };
    show(&figures, output);
    if let Some(out) = &bench.out {
        let text = serde_json::to_vec_pretty(&figures).map_err(|error| broken(&error))?;
        crate::station::write_whole(out, &text)?;
    }
    Ok(())
}

/// What is this unit's own, on top of the template.
fn own_values(unit: u32) -> [(&'static str, Value); 4] {
    [
        ("serial", Value::String(format!("SN-{unit:08}"))),
        (
            "mac",
            Value::Blob(vec![0x7C, 0xDF, 0xA1, 0, (unit >> 8) as u8, unit as u8]),
        ),
        ("channel", Value::U8((unit % 13) as u8)),
        ("offset", Value::I16((unit % 2000) as i16 - 1000)),
    ]
}

fn content(template: &Content, unit: u32) -> Result<Content, OperationError> {
    let mut content = template.clone();
    for (key, value) in own_values(unit) {
        content
            .set("unit", key, value)
            .map_err(|error| broken(&error))?;
    }
    Ok(content)
}

fn template() -> Result<Content, OperationError> {
    let none = |name: &str| Err(format!("`{name}` is not there"));
    Content::parse_csv(TEMPLATE, &none).map_err(|error| broken(&error))
}

/// Makes every unit's partition, reads it back as a run does, and keeps it.
fn partitions(units: u32) -> Result<(Vec<Vec<u8>>, Took), OperationError> {
    let template = template()?;
    timed(units, |unit| {
        let content = content(&template, unit)?;
        let image = build(&content, PARTITION, Version::V2).map_err(|error| broken(&error))?;
        let read = parse(&image, None).map_err(|error| broken(&error))?;
        match read.findings.is_empty() {
            true => Ok(image),
            false => Err(OperationError::new(
                "bench-failed",
                "a partition reads back damaged",
            )),
        }
    })
}

/// Makes the application ready as often as asked, and returns its image.
fn images(elf: &[u8], bench: &FilesBench) -> Result<(Vec<u8>, Took), OperationError> {
    // What esptool takes if nothing is said.
    let slowest = bench
        .chip
        .spec()
        .flash_frequencies
        .iter()
        .rfind(|(_, code)| *code == 0);
    let settings = FlashSettings {
        mode: FlashMode::Qio,
        frequency_mhz: slowest.map_or(40, |(mhz, _)| *mhz),
        size: 1 << 20,
    };
    let (mut images, took) = timed(bench.images, |_| {
        let image = to_flash_image(elf, bench.chip, &settings)
            .map_err(|error| OperationError::usage(error.code(), error.to_string()))?;
        PreparedImage::prepare("image", 0x1_0000, Arc::from(image.as_slice()))?;
        Ok(image)
    })?;
    Ok((images.pop().unwrap_or_default(), took))
}

/// Runs something for each number and says how long all took.
fn timed<T>(
    count: u32,
    mut once: impl FnMut(u32) -> Result<T, OperationError>,
) -> Result<(Vec<T>, Took), OperationError> {
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let made = (0..count).map(&mut once).collect::<Result<Vec<_>, _>>()?;
    let took = Took {
        wall_s: started.elapsed().as_secs_f64(),
        cpu_s: cpu_seconds() - cpu,
    };
    Ok((made, took))
}

fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Has the other programs make the same files, and compares each.
fn peers(
    bench: &FilesBench,
    python: &Path,
    folder: &Path,
    partitions: &[Vec<u8>],
    image: &[u8],
) -> Result<Made, OperationError> {
    let template = template()?;
    for unit in 0..bench.units {
        let csv = content(&template, unit)?
            .to_csv()
            .map_err(|error| broken(&error))?;
        std::fs::write(folder.join(format!("unit{unit}.csv")), csv)
            .map_err(|error| broken(&error))?;
    }
    let elf = std::path::absolute(&bench.elf).map_err(|error| broken(&error))?;
    let ran = Command::new(python)
        .args(["-c", PEERS])
        .arg(folder)
        .args([
            bench.units.to_string(),
            format!("0x{PARTITION:x}"),
            bench.images.to_string(),
        ])
        .arg(bench.chip.name())
        .arg(elf)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| broken(&error))?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(
            OperationError::new("bench-peer-missing", format!("Python says: {last}"))
                .hint("pip install esptool esp-idf-nvs-partition-gen"),
        );
    }
    for (unit, ours) in partitions.iter().enumerate() {
        same(ours, &folder.join(format!("unit{unit}.bin")))?;
    }
    same(image, &folder.join("image.bin"))?;
    serde_json::from_slice(&ran.stdout).map_err(|error| broken(&error))
}

fn same(ours: &[u8], theirs: &Path) -> Result<(), OperationError> {
    let made = std::fs::read(theirs).map_err(|error| broken(&error))?;
    if made == ours {
        return Ok(());
    }
    let name = theirs.file_name().unwrap_or_default().display().to_string();
    Err(OperationError::new(
        "bench-failed",
        format!("`{name}` differs from ours"),
    ))
}

fn show(figures: &Figures, output: &Output) {
    if output.is_json() {
        output.value(figures);
        return;
    }
    output.words(&format!(
        "{} partitions of {} bytes, {} times an image of {} bytes, on one core",
        figures.units, figures.partition_bytes, figures.images, figures.image_bytes
    ));
    let line = |name: &str, made: &Made| {
        output.words(&format!(
            "{name:<8} {:>12.0} partitions a minute {:>10.0} images a minute",
            made.partitions.per_minute(figures.units),
            made.images.per_minute(figures.images)
        ));
    };
    line("station", &figures.station);
    if let Some(python) = &figures.python {
        line("python", python);
        output.words(&format!(
            "  the same bytes; CPU station / python: partitions {:.5}, images {:.5}",
            figures.station.partitions.cpu_s / python.partitions.cpu_s,
            figures.station.images.cpu_s / python.images.cpu_s
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_gets_a_partition_with_its_own_values() {
        let (made, _) = partitions(3).unwrap();
        for (unit, image) in (0_u32..).zip(&made) {
            let read = parse(image, None).unwrap().content().unwrap();
            for (key, value) in own_values(unit) {
                assert_eq!(read.find("unit", key), Some(&value));
            }
        }
        assert_ne!(made[0], made[1]);
    }
}
