//! ELF to an image: `esp_elf_to_binary`, `esp_elf_to_ram_binary`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::chip::Revision;
use station_esp::elf::{self, ElfError, FlashSettings, ImageOptions, SecurePad};
use station_esp::flash::size_text;
use station_esp::image::{FlashMode, Header, Image};
use station_esp::{Chip, words};

use super::super::images::RawFile;
use super::super::target::{FileView, Target, blocking};
use super::super::text::bytes;
use super::settings::{FlashParameters, RevisionParameters};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// What a header says about the flash unless told: what `esptool elf2image` says.
pub(super) fn usual(chip: Chip) -> FlashSettings {
    FlashSettings {
        mode: FlashMode::Qio,
        ..FlashSettings::usual(chip, 1 << 20)
    }
}

/// What is wrong with an ELF, as an answer.
pub(super) fn refused(file: &str, error: &ElfError) -> OperationError {
    let answer = OperationError::usage(error.code(), format!("`{file}`: {error}"));
    if let ElfError::PageSize { chip, .. } = error {
        let sizes = chip.spec().mmu_page_sizes.iter();
        let sizes: Vec<String> = sizes.map(|bytes| size_text(*bytes)).collect();
        return answer.hint(format!("it has pages of {}", sizes.join(", ")));
    }
    answer
}

/// The signature that an image is filled up for.
#[derive(
    clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SecurePadding {
    /// Secure boot version 1 of the ESP32
    V1,
    /// Secure boot version 2
    V2,
}

/// Parameters of `esp_elf_to_binary`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ElfParameters {
    /// The ELF
    pub file: PathBuf,
    /// The chip
    #[arg(long)]
    #[schemars(with = "String")]
    pub chip: Chip,
    /// File to write
    #[arg(long)]
    pub out: PathBuf,
    /// What the header says about the flash
    #[command(flatten)]
    #[serde(flatten)]
    pub flash: FlashParameters,
    /// Revisions of the chip that it is to run on
    #[command(flatten)]
    #[serde(flatten)]
    pub revisions: RevisionParameters,
    /// Bytes of an MMU page, where the chip has a choice: 32KB; default: what the ELF says
    #[arg(long, value_name = "SIZE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mmu_page_size: Option<String>,
    /// Fill up so that a signature of this version lies as its bootloader wants it
    #[arg(long, value_name = "VERSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_pad: Option<SecurePadding>,
    /// Fill the image with 0xFF to a multiple of this: 64KB
    #[arg(long, value_name = "SIZE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_to_size: Option<String>,
    /// Append no SHA-256
    #[arg(long)]
    #[serde(default)]
    pub no_hash: bool,
    /// Put the SHA-256 of the ELF at this offset of the image; default: into the application descriptor
    #[arg(long, value_name = "OFFSET")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elf_sha256_offset: Option<String>,
    /// Take the program headers instead of the sections
    #[arg(long)]
    #[serde(default)]
    pub use_segments: bool,
    /// Count only what goes into RAM in the header and put it first; no SHA-256 is appended
    #[arg(long)]
    #[serde(default)]
    pub ram_only_header: bool,
}

impl ElfParameters {
    fn options(&self) -> Result<ImageOptions, OperationError> {
        let number = |text: &Option<String>| text.as_deref().map(bytes).transpose();
        Ok(ImageOptions {
            min_revision: self.revisions.min_revision.unwrap_or(Revision::new(0, 0)),
            max_revision: self.revisions.max_revision,
            mmu_page_size: number(&self.mmu_page_size)?,
            secure_pad: match self.secure_pad {
                None => SecurePad::None,
                Some(SecurePadding::V1) => SecurePad::V1,
                Some(SecurePadding::V2) => SecurePad::V2,
            },
            pad_to_multiple: number(&self.pad_to_size)?,
            hash: !self.no_hash,
            elf_sha256_offset: number(&self.elf_sha256_offset)?,
            use_segments: self.use_segments,
            ram_only_header: self.ram_only_header,
            ..ImageOptions::new(self.flash.over(usual(self.chip))?)
        })
    }
}

/// An image that was made.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MadeView {
    /// The file that was written
    #[serde(flatten)]
    pub file: FileView,
    /// The chip it is for
    pub chip: String,
    /// Where the program starts
    pub entry: u32,
    /// Segments of the image, padding included
    pub segments: u32,
    /// Why ROM or bootloader would not start it; absent where they would
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl MadeView {
    fn write(target: &Target, chip: Chip, image: &[u8]) -> Result<Self, OperationError> {
        let header = Header::parse(image).ok();
        Ok(Self {
            file: target.write(image)?,
            chip: chip.name().to_owned(),
            entry: header.map_or(0, |header| header.entry),
            segments: header.map_or(0, |header| header.segments.into()),
            refused: Image::parse(image).err().map(|error| error.to_string()),
        })
    }

    fn words(&self) -> String {
        let mut said = format!(
            "{}: {}, {}, {}, entry {:#010x}",
            self.file.file,
            self.chip,
            words::counted(self.file.size, "byte"),
            words::counted(self.segments, "segment"),
            self.entry
        );
        if let Some(why) = &self.refused {
            said += &format!("\nno chip starts it by itself: {why}");
        }
        said
    }
}

/// `esp_elf_to_binary`.
#[derive(Debug)]
pub struct ElfToBinary;

#[async_trait]
impl Operation for ElfToBinary {
    const DECLARATION: Declaration = Declaration {
        name: "esp_elf_to_binary",
        aliases: &[],
        command: &["firmware", "elf-to-binary"],
        title: "Make a flash image of an ELF",
        summary: "Makes of an ELF the image that lies in flash, byte for byte as `esptool elf2image` makes it with the same options; \
                  its header says qio, the chip's usual clock and 1MB unless told, as esptool's. Returns what was written and \
                  whether a chip would start it.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ElfParameters;
    type Output = MadeView;

    async fn invoke(
        station: &Station,
        parameters: ElfParameters,
        _call: &Call,
    ) -> Result<MadeView, OperationError> {
        let options = parameters.options()?;
        let target = Target::new(station, &parameters.out)?;
        let file = RawFile::read_elf(station, &parameters.file).await?;
        blocking(move || {
            let image = elf::to_image(file.bytes(), parameters.chip, &options)
                .map_err(|error| refused(file.name(), &error))?;
            MadeView::write(&target, parameters.chip, &image)
        })
        .await
    }

    fn words(output: &MadeView) -> String {
        output.words()
    }
}

/// Parameters of `esp_elf_to_ram_binary`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RamParameters {
    /// The ELF
    pub file: PathBuf,
    /// The chip
    #[arg(long)]
    #[schemars(with = "String")]
    pub chip: Chip,
    /// File to write
    #[arg(long)]
    pub out: PathBuf,
}

/// `esp_elf_to_ram_binary`.
#[derive(Debug)]
pub struct ElfToRamBinary;

#[async_trait]
impl Operation for ElfToRamBinary {
    const DECLARATION: Declaration = Declaration {
        name: "esp_elf_to_ram_binary",
        aliases: &[],
        command: &["firmware", "elf-to-ram"],
        title: "Make a RAM image of an ELF",
        summary: "Makes of an ELF that runs from RAM the image that a loader takes and starts; an ELF with a part that is not in \
                  the chip's RAM is refused.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = RamParameters;
    type Output = MadeView;

    async fn invoke(
        station: &Station,
        parameters: RamParameters,
        _call: &Call,
    ) -> Result<MadeView, OperationError> {
        let target = Target::new(station, &parameters.out)?;
        let file = RawFile::read_elf(station, &parameters.file).await?;
        blocking(move || {
            let image = elf::to_ram_binary(file.bytes(), parameters.chip)
                .map_err(|error| refused(file.name(), &error))?;
            MadeView::write(&target, parameters.chip, &image)
        })
        .await
    }

    fn words(output: &MadeView) -> String {
        output.words()
    }
}
