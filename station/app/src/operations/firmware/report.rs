//! All that an image says, as an answer and in words.
//!
//! Invariant: each view holds what the library found, and nothing is judged here but whether all of it is
//! sound.

use schemars::JsonSchema;
use serde::Serialize;
use station_esp::Chip;
use station_esp::chip::MemoryKind;
use station_esp::image::{
    AppDescriptor, BootDescriptor, Checksum, FlashMode, Hash, Header, ImageError, Report,
    SegmentReport, Signature,
};

use super::settings::Mode;

/// An image's header.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct HeaderView {
    /// How flash is read
    pub flash_mode: Mode,
    /// Flash clock in MHz, where its code is known
    pub flash_freq_mhz: Option<u8>,
    /// Bytes of flash, where their code is known
    pub flash_size: Option<u32>,
    /// Where the program starts
    pub entry: u32,
    /// Whether that lies in a segment
    pub entry_is_loaded: bool,
    /// Number of the chip
    pub chip_id: u16,
    /// Write-protect pin of the flash; 0xEE means none
    pub wp_pin: u8,
    /// Drive strengths of the flash pins: clock, Q, D, chip select, HD, WP
    pub pin_drives: [u8; 6],
    /// Oldest revision of the chip that it runs on
    pub min_revision: String,
    /// Newest revision; absent for any
    pub max_revision: Option<String>,
}

/// One segment of an image.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SegmentView {
    /// Where its data begin in the image
    pub offset: u32,
    /// Where they are loaded or mapped
    pub address: u32,
    /// Bytes
    pub size: u32,
    /// What the chip has there: irom, drom, iram, dram and so on
    pub memory: Vec<String>,
    /// Whether it only fills space
    pub padding: bool,
    /// Whether the chip can neither load nor map it
    pub misplaced: bool,
}

/// The checksum of an image.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ChecksumView {
    /// Whether it holds
    pub valid: bool,
    /// What the image says
    pub stored: u8,
    /// What its segments have
    pub actual: u8,
}

/// The SHA-256 that ends an image.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct HashView {
    /// Whether it holds
    pub valid: bool,
    /// What the image says
    pub stored: String,
    /// What its bytes have
    pub actual: String,
}

/// What an application says about itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AppView {
    /// Name of the project
    pub project: String,
    /// Version
    pub version: String,
    /// Version of ESP-IDF, or of what takes its place
    pub idf: String,
    /// Date of the build
    pub date: String,
    /// Time of the build
    pub time: String,
    /// Counter against going back to older versions
    pub secure_version: u32,
    /// SHA-256 of the ELF
    pub elf_sha256: String,
    /// Oldest eFuse block revision, major × 100 + minor
    pub min_block_revision: u16,
    /// Newest eFuse block revision
    pub max_block_revision: u16,
    /// Bytes of an MMU page, where it says them
    pub mmu_page_size: Option<u32>,
}

/// What a bootloader says about itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BootView {
    /// Version, as the project counts
    pub version: u32,
    /// Version of ESP-IDF
    pub idf: String,
    /// Date and time of the build
    pub date_time: String,
    /// Counter against going back to older versions
    pub secure_version: u8,
}

/// A signature behind an image.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ImageSignatureView {
    /// Version of secure boot
    pub version: u8,
    /// Its place, from 0
    pub place: Option<usize>,
    /// rsa-3072, ecdsa-p192, ecdsa-p256 or ecdsa-p384
    pub algorithm: Option<String>,
    /// Digest of the public key, as eFuses hold it
    pub key_digest: Option<String>,
    /// Whether it signs this content; absent where only its key could tell
    pub valid: Option<bool>,
    /// Whether it lies where the chip does not look for it
    pub misplaced: bool,
}

/// Why an image would not be started.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RefusedView {
    /// Stable code
    pub code: String,
    /// The reason in words
    pub reason: String,
}

/// All about an image.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AnalyzeView {
    /// application, bootloader or program: something that says neither
    pub kind: String,
    /// The chip it is for, where its number is known
    pub chip: Option<String>,
    /// Bytes of the image, checksum and hash included
    pub size: u32,
    /// Bytes behind it
    pub trailing: u64,
    /// Its header
    pub header: HeaderView,
    /// Its segments in file order
    pub segments: Vec<SegmentView>,
    /// Its checksum
    pub checksum: ChecksumView,
    /// Its SHA-256; absent where none is appended
    pub hash: Option<HashView>,
    /// What an application says about itself
    pub app: Option<AppView>,
    /// What a bootloader says about itself
    pub bootloader: Option<BootView>,
    /// Signatures behind it; whether a key is trusted is for the chip to say
    pub signatures: Vec<ImageSignatureView>,
    /// Why ROM, bootloader or the given chip would refuse it; absent where they would not
    pub refused: Option<RefusedView>,
}

impl AnalyzeView {
    pub(super) fn of(report: &Report, wanted: Option<Chip>) -> Self {
        let wrong = wanted
            .zip(report.chip)
            .filter(|(wanted, chip)| wanted != chip);
        let wrong = wrong.map(|(chip, image)| ImageError::WrongChip { image, chip });
        let refused = report.refused.or(wrong).map(|error| RefusedView {
            code: error.code().to_owned(),
            reason: error.to_string(),
        });
        let kind = match (&report.app, &report.bootloader) {
            (Some(_), _) => "application",
            (None, Some(_)) => "bootloader",
            (None, None) => "program",
        };
        Self {
            kind: kind.to_owned(),
            chip: report.chip.map(|chip| chip.name().to_owned()),
            size: report.length,
            trailing: (report.file_length as u64).saturating_sub(report.length.into()),
            header: HeaderView::of(&report.header, report.entry_is_loaded),
            segments: report.segments.iter().map(SegmentView::of).collect(),
            checksum: ChecksumView::of(report.checksum),
            hash: report.hash.map(HashView::of),
            app: report.app.as_ref().map(AppView::of),
            bootloader: report.bootloader.as_ref().map(BootView::of),
            signatures: report
                .signatures
                .iter()
                .map(ImageSignatureView::of)
                .collect(),
            refused,
        }
    }

    /// Whether a chip would start it, as far as that can be seen.
    pub(super) fn is_sound(&self) -> bool {
        let broken =
            |signature: &ImageSignatureView| signature.valid == Some(false) || signature.misplaced;
        self.refused.is_none() && !self.signatures.iter().any(broken)
    }
}

impl HeaderView {
    pub(super) fn of(header: &Header, entry_is_loaded: bool) -> Self {
        Self {
            flash_mode: header.flash_mode.into(),
            flash_freq_mhz: header.flash_frequency(),
            flash_size: header.flash_size(),
            entry: header.entry,
            entry_is_loaded,
            chip_id: header.chip_id,
            wp_pin: header.wp_pin,
            pin_drives: header.pin_drives(),
            min_revision: header.minimum_revision().to_string(),
            max_revision: header.maximum_revision().map(|newest| newest.to_string()),
        }
    }
}

impl SegmentView {
    fn of(report: &SegmentReport) -> Self {
        let segment = &report.segment;
        Self {
            offset: segment.offset,
            address: segment.address,
            size: segment.length,
            memory: report
                .memory
                .iter()
                .map(|kind| memory_name(*kind).to_owned())
                .collect(),
            padding: segment.is_padding(),
            misplaced: report.misplaced,
        }
    }
}

impl ChecksumView {
    fn of(checksum: Checksum) -> Self {
        Self {
            valid: checksum.is_valid(),
            stored: checksum.stored,
            actual: checksum.actual,
        }
    }
}

impl HashView {
    fn of(hash: Hash) -> Self {
        Self {
            valid: hash.is_valid(),
            stored: hex::encode(hash.stored),
            actual: hex::encode(hash.actual),
        }
    }
}

impl AppView {
    fn of(app: &AppDescriptor) -> Self {
        Self {
            project: app.project.clone(),
            version: app.version.clone(),
            idf: app.idf.clone(),
            date: app.date.clone(),
            time: app.time.clone(),
            secure_version: app.secure_version,
            elf_sha256: hex::encode(app.elf_sha256),
            min_block_revision: app.min_block_revision,
            max_block_revision: app.max_block_revision,
            mmu_page_size: app.mmu_page_size(),
        }
    }
}

impl BootView {
    fn of(bootloader: &BootDescriptor) -> Self {
        Self {
            version: bootloader.version,
            idf: bootloader.idf.clone(),
            date_time: bootloader.date_time.clone(),
            secure_version: bootloader.secure_version,
        }
    }
}

impl ImageSignatureView {
    fn of(signature: &Signature) -> Self {
        match signature {
            Signature::VersionOne => Self {
                version: 1,
                place: None,
                algorithm: None,
                key_digest: None,
                valid: None,
                misplaced: false,
            },
            Signature::Block {
                number,
                algorithm,
                key_digest,
                valid,
                misplaced,
            } => Self {
                version: 2,
                place: Some(*number),
                algorithm: Some((*algorithm).to_owned()),
                key_digest: Some(hex::encode(key_digest)),
                valid: Some(*valid),
                misplaced: *misplaced,
            },
        }
    }
}

/// What programmers call a kind of memory.
pub(super) fn memory_name(kind: MemoryKind) -> &'static str {
    match kind {
        MemoryKind::Iram => "iram",
        MemoryKind::Dram => "dram",
        MemoryKind::Irom => "irom",
        MemoryKind::Drom => "drom",
        MemoryKind::RtcIram => "rtc-iram",
        MemoryKind::RtcDram => "rtc-dram",
        MemoryKind::Tcm => "tcm",
        MemoryKind::Psram => "psram",
    }
}

/// The image in words.
pub(super) fn said(view: &AnalyzeView) -> String {
    let chip = view.chip.clone();
    let chip = chip.unwrap_or_else(|| format!("chip id {}", view.header.chip_id));
    let mut lines = vec![format!("{} for {chip}, {} bytes", view.kind, view.size)];
    if let Some(app) = &view.app {
        lines.push(format!(
            "{} {}, built {} {} with {}",
            app.project, app.version, app.date, app.time, app.idf
        ));
    }
    if let Some(boot) = &view.bootloader {
        lines.push(format!("bootloader of {} {}", boot.idf, boot.date_time));
    }
    lines.push(header_said(&view.header));
    lines.extend(view.segments.iter().enumerate().map(segment_said));
    let checksum = &view.checksum;
    lines.push(match checksum.valid {
        true => format!("checksum {:#04x}, holds", checksum.stored),
        false => format!(
            "checksum {:#04x}, WRONG, should be {:#04x}",
            checksum.stored, checksum.actual
        ),
    });
    lines.push(match &view.hash {
        None => "no SHA-256".to_owned(),
        Some(hash) if hash.valid => format!("SHA-256 {}, holds", hash.stored),
        Some(hash) => format!("SHA-256 {}, WRONG, should be {}", hash.stored, hash.actual),
    });
    lines.extend(view.signatures.iter().map(signature_said));
    if view.trailing > 0 {
        lines.push(format!("{} bytes behind the image", view.trailing));
    }
    if let Some(RefusedView { code, reason }) = &view.refused {
        lines.push(format!("REFUSED: {reason} [{code}]"));
    }
    lines.join("\n")
}

fn header_said(header: &HeaderView) -> String {
    let known = |number: Option<u32>, unit: &str| {
        number.map_or_else(|| "unknown".to_owned(), |number| format!("{number}{unit}"))
    };
    let newest = match &header.max_revision {
        Some(newest) => format!("to {newest}"),
        None => "on".to_owned(),
    };
    format!(
        "flash {} {} {}, entry {:#010x}{}, revisions {} {newest}",
        FlashMode::from(header.flash_mode).name(),
        known(header.flash_freq_mhz.map(u32::from), "MHz"),
        known(header.flash_size.map(|size| size >> 20), "MB"),
        header.entry,
        if header.entry_is_loaded {
            ""
        } else {
            " in no segment"
        },
        header.min_revision
    )
}

fn segment_said((number, segment): (usize, &SegmentView)) -> String {
    let memory = match (segment.padding, segment.misplaced) {
        (true, _) => "padding".to_owned(),
        (false, true) => "NOWHERE on this chip".to_owned(),
        (false, false) => segment.memory.join(", "),
    };
    format!(
        "segment {number}: {:#08x} bytes from {:#08x} to {:#010x}  {memory}",
        segment.size, segment.offset, segment.address
    )
}

fn signature_said(signature: &ImageSignatureView) -> String {
    let place = signature
        .place
        .map_or_else(String::new, |place| format!(" {place}"));
    let by = match (&signature.algorithm, &signature.key_digest) {
        (Some(algorithm), Some(digest)) => format!("{algorithm} key {digest}"),
        (_, _) => "secure boot version 1".to_owned(),
    };
    let worth = match signature.valid {
        Some(true) => ", holds",
        Some(false) => ", DOES NOT HOLD",
        None => "",
    };
    let seen = match signature.misplaced {
        true => ", NOT WHERE THE CHIP LOOKS",
        false => "",
    };
    format!("signature{place}: {by}{worth}{seen}")
}
