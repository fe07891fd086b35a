//! What applications and bootloaders say about themselves (`esp_app_desc_t`,
//! `esp_bootloader_desc_t` of ESP-IDF).

use super::ImageError;

/// First word of a descriptor.
const MAGIC: u32 = 0xABCD_5432;
/// Bytes of a descriptor.
const LENGTH: usize = 256;

/// What an application says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppDescriptor {
    /// Counter against going back to older versions.
    pub secure_version: u32,
    /// Version.
    pub version: String,
    /// Name of the project.
    pub project: String,
    /// Time of the build.
    pub time: String,
    /// Date of the build.
    pub date: String,
    /// Version of ESP-IDF, or of what takes its place.
    pub idf: String,
    /// SHA-256 of the ELF.
    pub elf_sha256: [u8; 32],
    /// Oldest eFuse block revision, major × 100 + minor.
    pub min_block_revision: u16,
    /// Newest eFuse block revision; 65535 and 0 mean any.
    pub max_block_revision: u16,
    /// Power of two of an MMU page; 0 where the builder did not say.
    pub mmu_page_bits: u8,
}

/// Where the first segment's content begins: behind the header and the segment's own.
const FIRST_SEGMENT: usize = 24 + 8;

impl AppDescriptor {
    /// First bytes of an image that hold its descriptor, if it has one.
    pub const START: usize = FIRST_SEGMENT + LENGTH;

    /// Reads the descriptor of an image of which only the first bytes are at hand, and nothing is checked;
    /// `None` when there is none.
    #[must_use]
    pub fn at_start(image: &[u8]) -> Option<Self> {
        Self::parse(image.get(FIRST_SEGMENT..)?).ok().flatten()
    }

    /// Reads the descriptor at the start of the first segment; `None` when there is none.
    ///
    /// # Errors
    /// When it announces a page size that does not exist.
    pub(super) fn parse(segment: &[u8]) -> Result<Option<Self>, ImageError> {
        let Some(bytes) = segment.first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if word(0) != MAGIC {
            return Ok(None);
        }
        let mut elf_sha256 = [0; 32];
        elf_sha256.copy_from_slice(&bytes[144..176]);
        let mmu_page_bits = bytes[180];
        if mmu_page_bits != 0 && !(13..=18).contains(&mmu_page_bits) {
            return Err(ImageError::PageSize(mmu_page_bits));
        }
        Ok(Some(Self {
            secure_version: word(4),
            version: text(&bytes[16..48]),
            project: text(&bytes[48..80]),
            time: text(&bytes[80..96]),
            date: text(&bytes[96..112]),
            idf: text(&bytes[112..144]),
            elf_sha256,
            min_block_revision: u16::from_le_bytes([bytes[176], bytes[177]]),
            max_block_revision: u16::from_le_bytes([bytes[178], bytes[179]]),
            mmu_page_bits,
        }))
    }

    /// Bytes of an MMU page, where the descriptor says it.
    #[must_use]
    pub fn mmu_page_size(&self) -> Option<u32> {
        (self.mmu_page_bits != 0).then(|| 1 << self.mmu_page_bits)
    }
}

/// First byte of a bootloader's descriptor.
const BOOT_MAGIC: u8 = 0x50;
/// Bytes of a bootloader's descriptor.
const BOOT_LENGTH: usize = 80;

/// What a bootloader says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootDescriptor {
    /// Counter against going back to older versions.
    pub secure_version: u8,
    /// Version, as the project counts.
    pub version: u32,
    /// Version of ESP-IDF.
    pub idf: String,
    /// Date and time of the build; empty in reproducible builds.
    pub date_time: String,
}

impl BootDescriptor {
    /// Reads the descriptor at the start of the first segment; `None` when there is none.
    ///
    /// Its magic is one byte, so texts that are no texts count as none too.
    pub(super) fn parse(segment: &[u8]) -> Option<Self> {
        let bytes = segment.first_chunk::<BOOT_LENGTH>()?;
        let texts = [&bytes[8..40], &bytes[40..64]];
        let is_text = |bytes: &&[u8]| {
            let end = bytes.iter().position(|byte| *byte == 0);
            end.is_some_and(|end| bytes[..end].iter().all(|byte| (b' '..=b'~').contains(byte)))
        };
        if bytes[0] != BOOT_MAGIC || bytes[8] == 0 || !texts.iter().all(is_text) {
            return None;
        }
        Some(Self {
            secure_version: bytes[3],
            version: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            idf: text(texts[0]),
            date_time: text(texts[1]),
        })
    }
}

/// The bytes up to the first zero, with control characters and broken UTF-8 made visible.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}
