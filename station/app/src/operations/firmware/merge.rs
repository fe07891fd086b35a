//! Many files made into one: `esp_binary_merge`.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::elf::FlashSettings;
use station_esp::flasher_args::FlasherArgs;
use station_esp::image::{Format, Header, HeaderChange, MergeError, Part, merge, patch_bootloader};
use station_esp::partition::{Rules, Table};
use station_esp::{Chip, uf2};

use super::super::flasher_args;
use super::super::images::{RawFile, named};
use super::super::target::{FileView, Target, blocking};
use super::super::text::bytes;
use super::settings::{FlashParameters, mode};
use super::sources::{MAX_SOURCES, Placed, Places, Source, chip_of, read_table};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// The form of a merged file.
#[derive(
    clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum MergeForm {
    /// Bytes as they lie in flash
    Raw,
    /// Intel hex
    Hex,
    /// UF2, for USB drives
    Uf2,
}

impl MergeForm {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Hex => "hex",
            Self::Uf2 => "uf2",
        }
    }
}

/// Parameters of `esp_binary_merge`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MergeParameters {
    /// Files as PLACE=FILE, the place an offset, `bootloader`, `partition-table` or a partition: 0x10000=app.bin;
    /// a hex or UF2 file without a place
    #[arg(value_name = "PLACE=FILE")]
    #[serde(default)]
    pub files: Vec<String>,
    /// A flasher_args.json of an ESP-IDF build, with its chip and its flash settings
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flasher_args: Option<PathBuf>,
    /// File to write
    #[arg(long)]
    pub out: PathBuf,
    /// Form of the file; default: what its name ends in, .hex or .uf2, else raw
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<MergeForm>,
    /// The chip; default: the one that the first image is for
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub chip: Option<Chip>,
    /// What the bootloader's header is to say about the flash, unless what it says is kept
    #[command(flatten)]
    #[serde(flatten)]
    pub flash: FlashParameters,
    /// Partition table with the names of places, CSV or binary; default: the one among the files
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PathBuf>,
    /// Where the partition table lies in flash
    #[arg(long, value_name = "OFFSET", default_value = "0x8000")]
    #[serde(default = "table_offset")]
    pub table_offset: String,
    /// Flash address of the first byte of a raw file; default: 0x0
    #[arg(long, value_name = "OFFSET")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_offset: Option<String>,
    /// Fill a raw file up to this flash address: 4MB
    #[arg(long, value_name = "SIZE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_to_size: Option<String>,
    /// What gaps of a raw file hold; default: 255, erased flash
    #[arg(long, value_name = "BYTE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<u8>,
    /// Bytes of data in a UF2 block; default: as many as fit
    #[arg(long, value_name = "BYTES")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_size: Option<u32>,
    /// No MD5 in UF2 blocks
    #[arg(long)]
    #[serde(default)]
    pub no_md5: bool,
}

/// Where a partition table lies unless told.
pub(super) fn table_offset() -> String {
    "0x8000".to_owned()
}

impl MergeParameters {
    fn form(&self) -> Result<MergeForm, OperationError> {
        let ending = self
            .out
            .extension()
            .map(std::ffi::OsStr::to_ascii_lowercase);
        let form = self.format.unwrap_or(match ending {
            Some(ending) if ending == "hex" => MergeForm::Hex,
            Some(ending) if ending == "uf2" => MergeForm::Uf2,
            Some(_) | None => MergeForm::Raw,
        });
        let raw = [
            ("target_offset", self.target_offset.is_some()),
            ("pad_to_size", self.pad_to_size.is_some()),
            ("fill", self.fill.is_some()),
        ];
        let uf2 = [
            ("chunk_size", self.chunk_size.is_some()),
            ("no_md5", self.no_md5),
        ];
        let foreign = match form {
            MergeForm::Raw => uf2.to_vec(),
            MergeForm::Hex => [raw.as_slice(), &uf2].concat(),
            MergeForm::Uf2 => raw.to_vec(),
        };
        match foreign.iter().find(|(_, given)| *given) {
            None => Ok(form),
            Some((name, _)) => {
                let message = format!("`{name}` means nothing for a {} file", form.name());
                Err(OperationError::usage("merge-option", message))
            }
        }
    }

    fn format(&self, form: MergeForm, chip: Option<Chip>) -> Result<Format, OperationError> {
        let number = |text: &Option<String>| text.as_deref().map(bytes).transpose();
        Ok(match (form, chip) {
            (MergeForm::Raw, _) => Format::Raw {
                target_offset: number(&self.target_offset)?.unwrap_or(0),
                pad_to_size: number(&self.pad_to_size)?,
                fill: self.fill.unwrap_or(0xFF),
            },
            (MergeForm::Hex, _) => Format::Hex,
            (MergeForm::Uf2, Some(chip)) => Format::Uf2(uf2::Options {
                chip,
                chunk: self.chunk_size,
                md5: !self.no_md5,
            }),
            (MergeForm::Uf2, None) => {
                let message = "a UF2 file names its chip, and nothing says which it is";
                return Err(OperationError::usage("chip-missing", message).hint("give `chip`"));
            }
        })
    }
}

/// One part of a merged file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MergedView {
    /// The file it came from
    pub file: String,
    /// Flash address
    pub address: u32,
    /// Bytes
    pub size: u64,
}

/// A merged file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MergeView {
    /// The file that was written
    #[serde(flatten)]
    pub file: FileView,
    /// Its form: raw, hex or uf2
    pub format: String,
    /// The chip, where it is known
    pub chip: Option<String>,
    /// What it holds, by address
    pub parts: Vec<MergedView>,
}

/// `esp_binary_merge`.
#[derive(Debug)]
pub struct BinaryMerge;

#[async_trait]
impl Operation for BinaryMerge {
    const DECLARATION: Declaration = Declaration {
        name: "esp_binary_merge",
        aliases: &[],
        command: &["firmware", "merge"],
        title: "Merge images into one file",
        summary: "Makes one raw, Intel hex or UF2 file of many: images, ELFs, hex, UF2, or all of an ESP-IDF build; byte for byte as \
                  `esptool merge-bin` makes it. Parts that overlap are refused; the bootloader's flash settings can be changed on \
                  the way.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = MergeParameters;
    type Output = MergeView;

    async fn invoke(
        station: &Station,
        parameters: MergeParameters,
        _call: &Call,
    ) -> Result<MergeView, OperationError> {
        let form = parameters.form()?;
        let target = Target::new(station, &parameters.out)?;
        let mut change = parameters.flash.change()?;
        let is_asked = !change.is_empty();
        let mut places = Places {
            chip: parameters.chip,
            table_offset: bytes(&parameters.table_offset)?,
            table: None,
        };
        let mut sources = read(station, &parameters.files).await?;
        if let Some(list) = &parameters.flasher_args {
            let build = flasher_args::read(station, list)?;
            agree(&mut places.chip, build.chip)?;
            of_build(&mut change, &build)?;
            for file in build.files {
                sources.push(Source {
                    place: Some(format!("{:#x}", file.offset)),
                    file: RawFile::read(station, &file.file).await?,
                });
            }
        }
        if sources.is_empty() || sources.len() > MAX_SOURCES {
            let count = sources.len();
            let message = format!("give between 1 and {MAX_SOURCES} files, not {count}");
            return Err(OperationError::usage("images-count", message));
        }
        let images = || sources.iter().map(|source| source.file.bytes());
        places.chip = places.chip.or_else(|| chip_of(images()));
        if is_asked {
            // Without a chip nobody knows where its bootloader is.
            places.chip()?;
        }
        let own = among(&sources, places.table_offset)?;
        places.table = match &parameters.partitions {
            Some(file) => Some(read_table(station, file, places.table_offset)?),
            None => own.as_ref().map(|(_, table)| table.clone()),
        };
        let format = parameters.format(form, places.chip)?;
        let order = Order {
            places,
            table: own.map(|(source, table)| (source, table.to_binary())),
            change,
            form,
            format,
            target,
        };
        blocking(move || order.merged(sources)).await
    }

    fn words(output: &MergeView) -> String {
        let mut lines: Vec<String> = output
            .parts
            .iter()
            .map(|part| {
                let end = u64::from(part.address) + part.size;
                format!("{:#010x} to {end:#010x}  {}", part.address, part.file)
            })
            .collect();
        let MergeView { file, format, .. } = output;
        let FileView { file, size, .. } = file;
        lines.push(format!("{file}: {format}, {size} bytes"));
        lines.join("\n")
    }
}

async fn read(station: &Station, files: &[String]) -> Result<Vec<Source>, OperationError> {
    let mut sources = Vec::new();
    for text in files.iter().take(MAX_SOURCES + 1) {
        let (place, file) = named(text);
        sources.push(Source {
            place,
            file: RawFile::read(station, &file).await?,
        });
    }
    Ok(sources)
}

/// The chip of the build, which must be the one that was asked for.
fn agree(chip: &mut Option<Chip>, build: Option<Chip>) -> Result<(), OperationError> {
    match (*chip, build) {
        (Some(asked), Some(built)) if asked != built => {
            let message = format!(
                "the build is for {}, not for {}",
                built.title(),
                asked.title()
            );
            Err(OperationError::usage("image-wrong-chip", message))
        }
        (None, built) => {
            *chip = built;
            Ok(())
        }
        (Some(_), _) => Ok(()),
    }
}

/// The build's flash settings, as far as nothing else was asked for.
fn of_build(change: &mut HeaderChange, build: &FlasherArgs) -> Result<(), OperationError> {
    let built = FlashParameters {
        flash_mode: build.flash_mode.as_deref().map(mode).transpose()?,
        flash_freq: build.flash_frequency.clone(),
        flash_size: build.flash_size.clone(),
    }
    .change()?;
    change.mode = change.mode.or(built.mode);
    change.frequency_mhz = change.frequency_mhz.or(built.frequency_mhz);
    change.size = change.size.or(built.size);
    Ok(())
}

/// The partition table that is one of the files, and which of them.
///
/// # Errors
/// When a file that is said to be one, by its place or as CSV, is none.
fn among(sources: &[Source], table_offset: u32) -> Result<Option<(usize, Table)>, OperationError> {
    for (number, source) in sources.iter().enumerate() {
        let place = source.place.as_deref().unwrap_or_default();
        let is_named = place == "partition-table";
        if !is_named && !bytes(place).is_ok_and(|offset| offset == table_offset) {
            continue;
        }
        let name = source.file.name();
        let is_text = Path::new(name)
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        match Table::parse(source.file.bytes(), &Rules::at(table_offset)) {
            Ok(table) => return Ok(Some((number, table))),
            Err(error) if is_named || is_text => {
                let message = format!("`{name}`: {error}");
                return Err(OperationError::usage(error.code(), message));
            }
            // Tables may lie elsewhere: then these are bytes like any others.
            Err(_) => {}
        }
    }
    Ok(None)
}

/// What is to be made of the files.
struct Order {
    places: Places,
    /// Which of the files is the partition table, and the form of it that goes into flash.
    table: Option<(usize, Vec<u8>)>,
    change: HeaderChange,
    form: MergeForm,
    format: Format,
    target: Target,
}

impl Order {
    fn merged(mut self, sources: Vec<Source>) -> Result<MergeView, OperationError> {
        let mut placed = self.placed(sources)?;
        placed.sort_by_key(|placed| placed.part.address);
        let names: Vec<String> = placed.iter().map(|placed| placed.name.clone()).collect();
        let mut parts: Vec<Part> = placed.into_iter().map(|placed| placed.part).collect();
        let chip = self.places.chip;
        if let Some(chip) = chip {
            let needed = needed(&parts, chip, &self.change);
            if !needed.is_empty() {
                patch_bootloader(&mut parts, chip, &needed)
                    .map_err(|error| refused(&error, &parts, &names))?;
            }
        }
        let made = merge(&parts, self.format).map_err(|error| refused(&error, &parts, &names))?;
        let views = names
            .into_iter()
            .zip(&parts)
            .map(|(file, part)| MergedView {
                file,
                address: part.address,
                size: part.bytes.len() as u64,
            });
        Ok(MergeView {
            file: self.target.write(&made)?,
            format: self.form.name().to_owned(),
            chip: chip.map(|chip| chip.name().to_owned()),
            parts: views.collect(),
        })
    }

    /// Every file as the parts of flash it is.
    fn placed(&mut self, sources: Vec<Source>) -> Result<Vec<Placed>, OperationError> {
        let change = self.change;
        let usual = |chip| {
            let usual = FlashSettings::usual(chip, 4 << 20);
            Ok(FlashSettings {
                mode: change.mode.unwrap_or(usual.mode),
                frequency_mhz: change.frequency_mhz.unwrap_or(usual.frequency_mhz),
                size: change.size.unwrap_or(usual.size),
            })
        };
        let mut placed = Vec::new();
        for (number, source) in sources.into_iter().enumerate() {
            let is_text = !source.file.bytes().starts_with(&[0xAA, 0x50]);
            let mut parts = self.places.parts(source, usual)?;
            if let (Some((_, binary)), [part]) = (
                self.table.take_if(|(table, _)| *table == number && is_text),
                &mut parts[..],
            ) {
                // A table that is given as text goes into flash in its binary form.
                part.part.bytes = binary;
            }
            placed.extend(parts);
        }
        Ok(placed)
    }
}

/// What is left to change in the bootloader: a signed one that says all of it already stays as it is.
fn needed(parts: &[Part], chip: Chip, change: &HeaderChange) -> HeaderChange {
    let at = chip.spec().bootloader_offset;
    let header = parts
        .iter()
        .find(|part| part.address == at)
        .and_then(|part| Header::parse(&part.bytes).ok());
    let Some(header) = header else {
        return *change;
    };
    let code = |mhz: &u8| chip.spec().flash_frequency_code(*mhz);
    HeaderChange {
        mode: change.mode.filter(|mode| *mode != header.flash_mode),
        frequency_mhz: change
            .frequency_mhz
            .filter(|mhz| code(mhz) != Some(header.flash_frequency_code)),
        size: change
            .size
            .filter(|size| header.flash_size() != Some(*size)),
        ..*change
    }
}

/// Why parts cannot be merged, with the files it is about.
fn refused(error: &MergeError, parts: &[Part], names: &[String]) -> OperationError {
    let place = match error {
        MergeError::Overlap { address }
        | MergeError::BeyondAddresses { address }
        | MergeError::BeforeTarget { address, .. }
        | MergeError::Bootloader { address, .. } => Some(*address),
        MergeError::TooLarge(_) | MergeError::Chunk { .. } => None,
    };
    let at = place.and_then(|address| parts.iter().rposition(|part| part.address == address));
    let Some(at) = at else {
        return OperationError::usage(error.code(), error.to_string());
    };
    let mut message = format!("`{}`: {error}", names[at]);
    if let (MergeError::Overlap { .. }, Some(before)) = (error, at.checked_sub(1)) {
        message += &format!(", `{}`", names[before]);
    }
    OperationError::usage(error.code(), message)
}
