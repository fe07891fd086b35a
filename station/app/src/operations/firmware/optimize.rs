//! What could be smaller or faster about an image: `esp_binary_optimize`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::flash::size_text;
use station_esp::image::{
    Finding, HeaderChange, Image, ImageError, Report, compressed_sizes, optimize, patch,
};

use super::super::images::{FileForm, RawFile};
use super::super::target::{Target, blocking};
use super::super::text::bytes;
use super::settings::FlashParameters;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_binary_optimize`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OptimizeParameters {
    /// The image
    pub file: PathBuf,
    /// Bytes of flash that the board has: 4MB
    #[arg(long, value_name = "SIZE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board_flash: Option<String>,
    /// File to write the image to with the header that is named here and without erased flash behind it
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
    /// What the header of the written file is to say; what is not named is kept
    #[command(flatten)]
    #[serde(flatten)]
    pub flash: FlashParameters,
}

/// One thing that could be better.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PointView {
    /// Stable code
    pub code: String,
    /// The finding in words
    pub message: String,
    /// Bytes it is about
    pub bytes: Option<u64>,
    /// Number of the segment it is about, from 0
    pub segment: Option<u32>,
}

/// How small the image gets on the wire.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LevelView {
    /// Level of zlib, 1 to 9
    pub level: u8,
    /// Bytes of the stream
    pub bytes: u64,
}

/// What could be better about an image.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OptimizeView {
    /// The chip it is for
    pub chip: String,
    /// Bytes of the image
    pub size: u32,
    /// What could be better
    pub findings: Vec<PointView>,
    /// How small the image gets at each level of zlib
    pub compressed: Vec<LevelView>,
    /// The file that was written
    pub file: Option<String>,
    /// Bytes of it
    pub written: Option<u64>,
}

/// `esp_binary_optimize`.
#[derive(Debug)]
pub struct BinaryOptimize;

#[async_trait]
impl Operation for BinaryOptimize {
    const DECLARATION: Declaration = Declaration {
        name: "esp_binary_optimize",
        aliases: &[],
        command: &["firmware", "optimize"],
        title: "Find what could be better about an image",
        summary: "Returns what header, padding and segments of an image leave unused and how small it gets compressed at each level; \
                  writes it with another header and without erased flash behind it, if asked. A signed image is never changed.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = OptimizeParameters;
    type Output = OptimizeView;

    async fn invoke(
        station: &Station,
        parameters: OptimizeParameters,
        _call: &Call,
    ) -> Result<OptimizeView, OperationError> {
        let board = parameters.board_flash.as_deref().map(bytes).transpose()?;
        let change = parameters.flash.change()?;
        let target = parameters.out.as_deref();
        let target = target.map(|out| Target::new(station, out)).transpose()?;
        if target.is_none() && !change.is_empty() {
            let message = "a header is changed in a file that is written: give `out`";
            return Err(OperationError::usage("out-missing", message));
        }
        let file = RawFile::read(station, &parameters.file).await?;
        if file.form() != FileForm::Plain {
            let message = format!("`{}` is no image as it lies in flash", file.name());
            return Err(OperationError::usage("image-form", message)
                .hint("make one with `station firmware elf-to-binary` or `firmware split`"));
        }
        blocking(move || {
            let name = file.name().to_owned();
            let refused = |error: ImageError| {
                OperationError::usage(error.code(), format!("`{name}`: {error}"))
            };
            let image = Image::parse(file.bytes()).map_err(refused)?;
            let findings = optimize(file.bytes(), board).map_err(refused)?;
            let content = &file.bytes()[..image.length as usize];
            let levels = compressed_sizes(content);
            let mut view = OptimizeView {
                chip: image.chip.name().to_owned(),
                size: image.length,
                findings: findings.iter().filter_map(point).collect(),
                compressed: levels
                    .into_iter()
                    .map(|(level, bytes)| LevelView {
                        level,
                        bytes: bytes as u64,
                    })
                    .collect(),
                file: None,
                written: None,
            };
            if let Some(target) = target {
                let made = better(file.bytes(), &image, &findings, &change).map_err(refused)?;
                target.write(&made)?;
                view.file = Some(target.name);
                view.written = Some(made.len() as u64);
            }
            Ok(view)
        })
        .await
    }

    fn words(output: &OptimizeView) -> String {
        let mut lines = vec![format!("image for {}, {} bytes", output.chip, output.size)];
        for point in &output.findings {
            lines.push(format!("{}: {}", point.code, point.message));
        }
        if output.findings.is_empty() {
            lines.push("nothing could be better".to_owned());
        }
        let levels: Vec<String> = output
            .compressed
            .iter()
            .map(|level| format!("{} {}", level.level, level.bytes))
            .collect();
        lines.push(format!("compressed at level: {}", levels.join(", ")));
        if let (Some(file), Some(written)) = (&output.file, output.written) {
            lines.push(format!("{file}: {written} bytes"));
        }
        lines.join("\n")
    }
}

/// The image with its new header and without erased flash behind it.
fn better(
    bytes: &[u8],
    image: &Image,
    findings: &[Finding],
    change: &HeaderChange,
) -> Result<Vec<u8>, ImageError> {
    let signed = !Report::of(bytes)?.signatures.is_empty();
    let erased = findings
        .iter()
        .any(|finding| matches!(finding, Finding::Erased { .. }));
    let kept = match erased && !signed {
        true => &bytes[..image.length as usize],
        false => bytes,
    };
    match change.is_empty() {
        true => Ok(kept.to_vec()),
        false => patch(kept, change),
    }
}

/// A finding in words; what is shown by itself is none.
fn point(finding: &Finding) -> Option<PointView> {
    let (message, bytes, segment) = match *finding {
        Finding::Compressed { .. } => return None,
        Finding::Padding { bytes, of, page } => {
            let pages = page.map_or_else(String::new, |page| {
                format!(", pages are {}", size_text(page))
            });
            let message = format!("{bytes} of {of} bytes only fill space between segments{pages}");
            (message, Some(u64::from(bytes)), None)
        }
        Finding::Zeros { segment, bytes } => (
            format!(
                "segment {segment} ends with {bytes} zeros, which `.bss` would take for nothing"
            ),
            Some(bytes.into()),
            Some(segment),
        ),
        Finding::EmptySegment { segment } => (
            format!("segment {segment} has no bytes"),
            None,
            Some(segment),
        ),
        Finding::Trailing { bytes } => (
            format!("{bytes} bytes lie behind the image"),
            Some(bytes as u64),
            None,
        ),
        Finding::Erased { bytes } => (
            format!("{bytes} bytes of erased flash lie behind the image and need not be written"),
            Some(bytes as u64),
            None,
        ),
        Finding::NoHash => {
            let message = "no SHA-256: damage is found by a checksum of one byte only";
            (message.to_owned(), None, None)
        }
        Finding::SlowClock { mhz, fastest } => (
            format!("flash is read at {mhz}MHz, the chip can do {fastest}MHz"),
            None,
            None,
        ),
        Finding::TwoLines { mode } => (
            format!(
                "flash is read on two lines ({}), chips have four",
                mode.name()
            ),
            None,
            None,
        ),
        Finding::FlashSize { header, flash } => (
            format!(
                "the header says {} of flash, the board has {}",
                size_text(header),
                size_text(flash)
            ),
            None,
            None,
        ),
    };
    Some(PointView {
        code: finding.code().to_owned(),
        message,
        bytes,
        segment: segment.and_then(|segment| u32::try_from(segment).ok()),
    })
}
