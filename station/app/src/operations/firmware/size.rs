//! Where the bytes of a program go: `esp_size_analysis`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::Chip;
use station_esp::elf::{self, FlashSettings};
use station_esp::flash::size_text;
use station_esp::image::Content;
use station_esp::partition::{Entry, Table};
use station_esp::picture::{Fill, flash_map};
use station_esp::sizes::{Class, SizeReport, sizes};

use super::super::images::RawFile;
use super::super::target::{Target, blocking};
use super::super::text::bytes;
use super::merge::table_offset;
use super::report::memory_name;
use super::sources::read_table;
use crate::operation::{Call, Declaration, Effect, Exit, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_size_analysis`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SizeParameters {
    /// The ELF
    pub file: PathBuf,
    /// The chip
    #[arg(long)]
    #[schemars(with = "String")]
    pub chip: Chip,
    /// Partition table, CSV or binary, in which the image must fit
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PathBuf>,
    /// The partition it goes to; default: the one that a bootloader starts first
    #[arg(long, value_name = "NAME", requires = "partitions")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Bytes of the partition, where there is no table: 1MB
    #[arg(long, value_name = "SIZE", conflicts_with = "partitions")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_size: Option<String>,
    /// Where the partition table lies in flash
    #[arg(long, value_name = "OFFSET", default_value = "0x8000")]
    #[serde(default = "table_offset")]
    pub table_offset: String,
    /// Bytes of flash: 4MB
    #[arg(long, value_name = "SIZE", default_value = "4MB")]
    #[serde(default = "flash_size")]
    pub flash_size: String,
    /// File for a picture of flash with its partitions and what of it the image takes, as SVG
    #[arg(long, value_name = "FILE", requires = "partitions")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub svg: Option<PathBuf>,
    /// Largest symbols to return
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=20_000))]
    #[serde(default = "twenty")]
    #[schemars(range(min = 0, max = 20_000))]
    pub symbols: u32,
}

fn flash_size() -> String {
    "4MB".to_owned()
}

fn twenty() -> u32 {
    20
}

/// Memory of the chip that is used.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RegionView {
    /// What it is: irom, drom, iram, dram and so on
    pub memory: String,
    /// First address
    pub start: u32,
    /// Bytes there are
    pub size: u32,
    /// Bytes taken
    pub used: u64,
}

/// A section of a program.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SectionView {
    /// Its name
    pub name: String,
    /// Its address
    pub address: u32,
    /// Bytes
    pub size: u32,
    /// code, constants, variables or zeroed
    pub class: String,
    /// What the chip has there; absent where it has nothing
    pub memory: Option<String>,
    /// Bytes that no symbol covers
    pub unnamed: u32,
}

/// A symbol of a program.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SymbolView {
    /// Its name as its author wrote it
    pub name: String,
    /// Its address
    pub address: u32,
    /// Bytes
    pub size: u32,
    /// Its section
    pub section: String,
}

/// An image against its partition.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FitView {
    /// Name of the partition, where there is a table
    pub partition: Option<String>,
    /// Bytes of it
    pub size: u32,
    /// Bytes left; absent when the image is too large
    pub free: Option<u32>,
    /// Part of it that is taken, in percent
    pub percent: f64,
}

/// Where the bytes of a program go.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SizeView {
    /// The chip
    pub chip: String,
    /// Bytes of the image made of it; absent where none can be made
    pub image: Option<u32>,
    /// Why no image can be made of it
    pub no_image: Option<String>,
    /// Bytes in flash: code, constants and first values
    pub flash: u64,
    /// Bytes of internal RAM taken before anything runs
    pub ram: u64,
    /// Bytes of instructions
    pub code: u64,
    /// Bytes of constants
    pub constants: u64,
    /// Bytes of variables with a first value
    pub variables: u64,
    /// Bytes that begin as zeros
    pub zeroed: u64,
    /// Memory of the chip that is used
    pub regions: Vec<RegionView>,
    /// Sections by address
    pub sections: Vec<SectionView>,
    /// The largest symbols
    pub symbols: Vec<SymbolView>,
    /// How many symbols there are
    pub symbol_count: u64,
    /// The image against its partition, where that is known
    pub fit: Option<FitView>,
    /// The picture that was written
    pub svg: Option<String>,
}

/// The room for an image.
struct Room {
    partition: Option<String>,
    size: u32,
}

/// `esp_size_analysis`.
#[derive(Debug)]
pub struct SizeAnalysis;

#[async_trait]
impl Operation for SizeAnalysis {
    const DECLARATION: Declaration = Declaration {
        name: "esp_size_analysis",
        aliases: &[],
        command: &["firmware", "size"],
        title: "Say where the bytes of a program go",
        summary: "Returns how much flash and RAM a program takes by memory, section and symbol, and how its image fills its partition; \
                  draws flash as SVG if asked. Fails where the image does not fit.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = SizeParameters;
    type Output = SizeView;

    async fn invoke(
        station: &Station,
        parameters: SizeParameters,
        _call: &Call,
    ) -> Result<SizeView, OperationError> {
        let target = parameters.svg.as_deref();
        let target = target.map(|out| Target::new(station, out)).transpose()?;
        let offset = bytes(&parameters.table_offset)?;
        let table = match &parameters.partitions {
            Some(file) => Some(read_table(station, file, offset)?),
            None => None,
        };
        if target.is_some() && table.is_none() {
            let message = "a picture of flash needs a partition table";
            return Err(
                OperationError::usage("partitions-missing", message).hint("give `partitions`")
            );
        }
        let room = room(&parameters, table.as_ref())?;
        let flash = bytes(&parameters.flash_size)?;
        let file = RawFile::read_elf(station, &parameters.file).await?;
        blocking(move || {
            let chip = parameters.chip;
            let settings = FlashSettings::usual(chip, flash);
            let image = elf::to_flash_image(file.bytes(), chip, &settings);
            let length = image.as_ref().ok();
            let length = length.map(|image| u32::try_from(image.len()).unwrap_or(u32::MAX));
            let size = room.as_ref().map(|room| room.size);
            let report = sizes(file.bytes(), chip, length, size).map_err(|error| {
                let message = format!("`{}`: {error}", file.name());
                OperationError::usage(error.code(), message)
            })?;
            if let (Some(target), Some(table)) = (&target, &table) {
                let fills = fills(room.as_ref(), length);
                target.write(flash_map(chip, flash, offset, table, &fills).as_bytes())?;
            }
            let view = SizeView {
                image: length,
                no_image: image.err().map(|error| error.to_string()),
                svg: target.map(|target| target.name),
                ..SizeView::of(&report, room, parameters.symbols as usize)
            };
            Ok(view)
        })
        .await
    }

    fn words(output: &SizeView) -> String {
        said(output)
    }

    fn exit(output: &SizeView) -> Exit {
        match &output.fit {
            Some(FitView { free: None, .. }) => Exit::SomeFailed,
            Some(_) | None => Exit::Passed,
        }
    }
}

fn fills(room: Option<&Room>, image: Option<u32>) -> Vec<Fill> {
    let name = room.and_then(|room| room.partition.clone());
    let fill = name.zip(image).map(|(name, used)| Fill {
        name,
        used,
        content: Content::Image,
    });
    fill.into_iter().collect()
}

/// The room that the image must fit, where it is known.
fn room(
    parameters: &SizeParameters,
    table: Option<&Table>,
) -> Result<Option<Room>, OperationError> {
    let of = |entry: &Entry| Room {
        partition: Some(entry.name.clone()),
        size: entry.size,
    };
    match (table, &parameters.partition) {
        (Some(_), _) if parameters.partition_size.is_some() => {
            let message = "the partition's size is given twice: by itself and by the table";
            Err(OperationError::usage("size-option", message)
                .hint("give `partitions` or `partition_size`"))
        }
        (Some(table), Some(name)) => {
            let entry = table.find(name).ok_or_else(|| unknown(table, name))?;
            Ok(Some(of(entry)))
        }
        (Some(table), None) => Ok(table.default_app().map(of)),
        (None, Some(_)) => {
            let message = "a partition is named and there is no partition table";
            Err(OperationError::usage("partitions-missing", message).hint("give `partitions`"))
        }
        (None, None) => {
            let size = parameters.partition_size.as_deref().map(bytes);
            let size = size.transpose()?;
            Ok(size.map(|size| Room {
                partition: None,
                size,
            }))
        }
    }
}

fn unknown(table: &Table, name: &str) -> OperationError {
    let names = table.entries().iter().map(|entry| entry.name.as_str());
    let names: Vec<&str> = names.collect();
    OperationError::usage(
        "partition-unknown",
        format!("the table has no partition `{name}`"),
    )
    .hint(format!("it names {}", names.join(", ")))
}

impl SizeView {
    fn of(report: &SizeReport, room: Option<Room>, symbols: usize) -> Self {
        let sections = report.sections.iter().map(|section| SectionView {
            name: section.name.clone(),
            address: section.address,
            size: section.size,
            class: class_name(section.class).to_owned(),
            memory: section.memory.map(|kind| memory_name(kind).to_owned()),
            unnamed: section.unnamed,
        });
        let named = report.symbols.iter().take(symbols).map(|symbol| {
            let section = report.sections.get(symbol.section);
            SymbolView {
                name: symbol
                    .demangled
                    .clone()
                    .unwrap_or_else(|| symbol.name.clone()),
                address: symbol.address,
                size: symbol.size,
                section: section.map_or_else(String::new, |section| section.name.clone()),
            }
        });
        let regions = report.regions.iter().map(|region| RegionView {
            memory: memory_name(region.kind).to_owned(),
            start: region.start,
            size: region.end - region.start,
            used: region.used,
        });
        Self {
            chip: report.chip.name().to_owned(),
            image: None,
            no_image: None,
            flash: report.flash,
            ram: report.ram,
            code: report.class(Class::Code),
            constants: report.class(Class::Constants),
            variables: report.class(Class::Variables),
            zeroed: report.class(Class::Zeroed),
            regions: regions.collect(),
            sections: sections.collect(),
            symbols: named.collect(),
            symbol_count: report.symbols.len() as u64,
            fit: report.fit.map(|fit| FitView {
                partition: room.and_then(|room| room.partition),
                size: fit.partition,
                free: fit.free(),
                percent: fit.permille() as f64 / 10.0,
            }),
            svg: None,
        }
    }
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Code => "code",
        Class::Constants => "constants",
        Class::Variables => "variables",
        Class::Zeroed => "zeroed",
    }
}

fn said(view: &SizeView) -> String {
    let mut lines = vec![
        format!("flash {} bytes, RAM {} bytes", view.flash, view.ram),
        format!(
            "code {}, constants {}, variables {}, zeroed {}",
            view.code, view.constants, view.variables, view.zeroed
        ),
    ];
    lines.extend(view.regions.iter().map(|region| {
        format!(
            "{:<8} {:#010x}  {} of {} bytes",
            region.memory, region.start, region.used, region.size
        )
    }));
    lines.extend(view.sections.iter().map(|section| {
        format!(
            "{:>9}  {:#010x}  {:<9}  {}",
            section.size, section.address, section.class, section.name
        )
    }));
    lines.extend(view.symbols.iter().map(|symbol| {
        format!(
            "{:>9}  {:#010x}  {}  ({})",
            symbol.size, symbol.address, symbol.name, symbol.section
        )
    }));
    match (view.image, &view.no_image) {
        (Some(image), _) => lines.push(format!("image of {image} bytes")),
        (None, Some(why)) => lines.push(format!("no image: {why}")),
        (None, None) => {}
    }
    if let Some(fit) = &view.fit {
        let place = fit.partition.as_deref().unwrap_or("the partition");
        let size = size_text(fit.size);
        lines.push(match fit.free {
            Some(free) => format!(
                "{place} of {size} is {:.1}% full, {free} bytes are free",
                fit.percent
            ),
            None => format!("{place} of {size} is TOO SMALL: {:.1}%", fit.percent),
        });
    }
    if let Some(svg) = &view.svg {
        lines.push(svg.clone());
    }
    lines.join("\n")
}
