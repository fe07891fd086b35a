//! One file of a whole flash taken apart: `esp_binary_split`.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::Chip;
use station_esp::image::{Content, Format, Header, Part, Piece, find_table, merge, split_raw};
use station_esp::partition::Table;

use super::super::images::RawFile;
use super::super::target::{FileView, Target, blocking};
use super::super::text::bytes;
use super::sources::read_table;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Longest part of a file's name that comes from a partition's.
const MAX_NAME: usize = 32;

/// Parameters of `esp_binary_split`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SplitParameters {
    /// The file: raw, Intel hex or UF2
    pub file: PathBuf,
    /// Folder for the pieces, made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out_dir: PathBuf,
    /// The chip; default: the one that the bootloader in the file is for
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub chip: Option<Chip>,
    /// Partition table, CSV or binary; default: the one in the file
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PathBuf>,
    /// Where the partition table lies in flash; default: where it is found, else 0x8000
    #[arg(long, value_name = "OFFSET")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_offset: Option<String>,
    /// Flash address of the first byte of a raw file; default: 0x0
    #[arg(long, value_name = "OFFSET")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_offset: Option<String>,
}

/// A piece of a flash.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PieceView {
    /// Name of the partition, `bootloader` or `partition-table`; absent for what no table names
    pub name: Option<String>,
    /// Flash address
    pub address: u32,
    /// What it holds: image, table or data
    pub content: String,
    /// The file that was written, without erased flash behind
    #[serde(flatten)]
    pub file: FileView,
}

/// A file taken apart.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SplitView {
    /// The chip, where it is known
    pub chip: Option<String>,
    /// Where the partition table lies; absent where there is none, and the pieces are what the file
    /// holds in one stretch
    pub table_offset: Option<u32>,
    /// The pieces by address
    pub pieces: Vec<PieceView>,
}

/// `esp_binary_split`.
#[derive(Debug)]
pub struct BinarySplit;

#[async_trait]
impl Operation for BinarySplit {
    const DECLARATION: Declaration = Declaration {
        name: "esp_binary_split",
        aliases: &[],
        command: &["firmware", "split"],
        title: "Take a merged file apart",
        summary: "Takes a raw, Intel hex or UF2 file of a whole flash apart along its partition table, into a file for each partition \
                  that holds something; without a table, into a file for each stretch of a hex or UF2 file.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = SplitParameters;
    type Output = SplitView;

    async fn invoke(
        station: &Station,
        parameters: SplitParameters,
        _call: &Call,
    ) -> Result<SplitView, OperationError> {
        let file = RawFile::read_elf(station, &parameters.file).await?;
        let number = |text: &Option<String>| text.as_deref().map(bytes).transpose();
        let at = number(&parameters.table_offset)?;
        let usual = at.unwrap_or(super::super::place::TABLE_OFFSET);
        let table = match &parameters.partitions {
            Some(file) => Some((usual, read_table(station, file, usual)?)),
            None => None,
        };
        let start = number(&parameters.target_offset)?;
        let chip = parameters.chip;
        let apart = blocking(move || taken_apart(&file, start, chip, table, at)).await?;
        let folder = folder(station, &parameters.out_dir)?;
        let mut targets = Vec::new();
        for piece in &apart.pieces {
            targets.push(Target::new(station, &folder.join(file_name(piece)))?);
        }
        blocking(move || written(apart, &targets)).await
    }

    fn words(output: &SplitView) -> String {
        let lines: Vec<String> = output
            .pieces
            .iter()
            .map(|piece| {
                format!(
                    "{:#010x}  {:>9} bytes  {:<6} {}",
                    piece.address, piece.file.size, piece.content, piece.file.file
                )
            })
            .collect();
        lines.join("\n")
    }
}

/// What a file holds, and how that is known.
struct Apart {
    chip: Option<Chip>,
    table_offset: Option<u32>,
    pieces: Vec<Piece>,
}

fn taken_apart(
    file: &RawFile,
    start: Option<u32>,
    chip: Option<Chip>,
    table: Option<(u32, Table)>,
    at: Option<u32>,
) -> Result<Apart, OperationError> {
    let parts = if file.form().has_addresses() {
        if start.is_some() {
            let message = format!("`{}` says itself where it belongs", file.name());
            return Err(OperationError::usage("image-place-twice", message));
        }
        file.addressed(chip)?
    } else {
        vec![Part::new(start.unwrap_or(0), file.bytes())]
    };
    let raw = merge(&parts, Format::RAW);
    let table = table.or_else(|| {
        let raw = raw.as_deref().ok()?;
        match at {
            Some(at) => Some((at, Table::parse_binary(raw.get(at as usize..)?).ok()?)),
            None => find_table(raw),
        }
    });
    let Some((table_offset, table)) = table else {
        if parts.len() < 2 {
            let message = format!("`{}` holds no partition table", file.name());
            return Err(OperationError::usage("partitions-missing", message)
                .hint("give `partitions` with a table, or `table_offset` if it lies elsewhere"));
        }
        return Ok(Apart {
            chip,
            table_offset: None,
            pieces: parts.into_iter().map(stretch).collect(),
        });
    };
    let raw = raw.map_err(|error| OperationError::usage(error.code(), error.to_string()))?;
    let chip = chip.or_else(|| chip_in(&raw)).ok_or_else(|| {
        let message = format!("nothing in `{}` says for which chip it is", file.name());
        OperationError::usage("chip-missing", message).hint("give `chip`")
    })?;
    Ok(Apart {
        chip: Some(chip),
        table_offset: Some(table_offset),
        pieces: split_raw(&raw, chip, &table, table_offset),
    })
}

fn stretch(part: Part) -> Piece {
    Piece {
        name: String::new(),
        address: part.address,
        content: Content::of(&part.bytes),
        bytes: part.bytes,
    }
}

/// The chip whose bootloader lies where its ROM looks for one.
fn chip_in(raw: &[u8]) -> Option<Chip> {
    Chip::ALL.into_iter().find(|chip| {
        let at = chip.spec().bootloader_offset as usize;
        let header = raw.get(at..).map(Header::parse);
        header
            .is_some_and(|header| header.is_ok_and(|header| header.chip_id == chip.spec().image_id))
    })
}

/// The folder for the pieces, made if it is not there.
fn folder<'a>(station: &Station, folder: &'a Path) -> Result<&'a Path, OperationError> {
    if !folder.is_dir() {
        let made = station.writable(folder)?;
        std::fs::create_dir(&made).map_err(|error| {
            let message = format!("cannot make `{}`: {error}", folder.display());
            OperationError::new("file-unwritable", message)
        })?;
    }
    Ok(folder)
}

/// A name that no partition table can lead out of its folder.
fn file_name(piece: &Piece) -> String {
    let plain = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_');
    let name: String = piece
        .name
        .chars()
        .take(MAX_NAME)
        .map(|sign| if plain(sign) { sign } else { '_' })
        .collect();
    let dash = if name.is_empty() { "" } else { "-" };
    format!("{:#010x}{dash}{name}.bin", piece.address)
}

fn written(apart: Apart, targets: &[Target]) -> Result<SplitView, OperationError> {
    let mut pieces = Vec::new();
    for (piece, target) in apart.pieces.into_iter().zip(targets) {
        pieces.push(PieceView {
            address: piece.address,
            content: match piece.content {
                Content::Erased => "erased",
                Content::Image => "image",
                Content::Table => "table",
                Content::Data => "data",
            }
            .to_owned(),
            file: target.write(&piece.bytes)?,
            name: Some(piece.name).filter(|name| !name.is_empty()),
        });
    }
    pieces.sort_by_key(|piece| piece.address);
    Ok(SplitView {
        chip: apart.chip.map(|chip| chip.name().to_owned()),
        table_offset: apart.table_offset,
        pieces,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_partition_s_name_leads_out_of_the_folder() {
        let piece = |name: &str| Piece {
            name: name.to_owned(),
            address: 0x1_0000,
            bytes: Vec::new(),
            content: Content::Data,
        };
        assert_eq!(file_name(&piece("ota_0")), "0x00010000-ota_0.bin");
        assert_eq!(file_name(&piece("../x/é")), "0x00010000-___x__.bin");
        assert_eq!(file_name(&piece("")), "0x00010000.bin");
    }
}
