//! Parts in order to an image, byte for byte as `esptool elf2image` 5.6 makes it.
//!
//! Source: ESP-IDF's image format guide for the format, runs of esptool for everything that the
//! format leaves open: order, where padding goes, and what fills it.
//!
//! Differences by choice, each where esptool fails or makes what nobody can use:
//! - padding to a size without appended SHA-256 goes behind the image; esptool writes it over it;
//! - an asked-for offset of the ELF's SHA-256 that no segment holds is refused; esptool leaves the
//!   digest out;
//! - a newest revision that is older than the oldest is refused; esptool makes an image that no chip
//!   starts;
//! - sections that the file does not hold or that go beyond the address space are refused, and so
//!   are ELFs for the other instruction set; esptool takes what there is;
//! - sections that begin within a word, close before another, stay apart; esptool joins them and
//!   then refuses what it made.

use sha2::{Digest, Sha256};

use crate::chip::{Chip, Revision};
use crate::command::checksum;
use crate::image::{MAGIC, MAX_SEGMENTS};

use super::ElfError;
use super::options::{ImageOptions, SecurePad};
use super::parts::{Descriptor, Elf, Part, join};

/// Bytes of the header of an image.
const HEADER: usize = 24;
/// Bytes in front of a segment's data.
const SEGMENT_HEADER: usize = 8;
/// Bytes of a SHA-256.
const HASH: usize = 32;
/// Write-protect pin of a header that does not name one.
const NO_PIN: u8 = 0xEE;
/// Where the digest of the ELF lies in an image that begins with an application descriptor.
const DESCRIPTOR_DIGEST: u32 = 0xB0;
/// Bytes of a page where nothing says otherwise.
const USUAL_PAGE: u32 = 0x1_0000;
/// Bytes that a mapped segment of the ESP32 has at least in its last page: its bootloader does not
/// map a page that holds fewer.
const ESP32_LAST_PAGE: usize = 0x24;
/// Bytes behind the SHA-256 of an image signed with version 1: version, signature and its filling.
const SIGNATURE_V1: usize = 4 + 64 + 12;

/// Makes an image of an ELF.
pub(super) fn convert(
    bytes: &[u8],
    chip: Chip,
    options: &ImageOptions,
) -> Result<Vec<u8>, ElfError> {
    let elf = Elf::parse(bytes, chip)?;
    options.check(chip)?;
    let (parts, descriptor) = read(&elf, options)?;
    let page = page_size(chip, options, descriptor)?;
    let (mut flash, mut ram): (Vec<Part>, Vec<Part>) = parts
        .into_iter()
        .partition(|part| chip.spec().is_flash_mapped(part.address));
    ram.sort_by_key(|part| part.address);
    flash.sort_by_key(|part| part.address);
    if options.ram_only_header {
        // Here esptool sorts before it joins, otherwise after.
        (flash, ram) = (join(flash, chip), join(ram, chip));
    }
    if let Some(first) = flash.iter().position(|part| part.is_descriptor) {
        flash[..=first].rotate_right(1);
    }
    check_pages(&flash, page)?;
    let asked = options.elf_sha256_offset.filter(|offset| *offset != 0);
    let names_descriptor = descriptor.exists && !options.use_segments;
    let offset = asked.or(names_descriptor.then_some(DESCRIPTOR_DIGEST));
    let mut image = Writer {
        chip,
        page,
        bytes: header(&elf, chip, options)?,
        segments: 0,
        checksum: checksum(&[]),
        digest: offset.map(|offset| (offset, Sha256::digest(bytes).into())),
        is_digest_placed: false,
    };
    if options.ram_only_header {
        image.ram_first(ram, flash)?;
    } else {
        image.mapped_first(ram, flash)?;
        image.pad_for_signature(options.padding(chip))?;
        image.end_segments(image.segments)?;
    }
    if let Some(offset) = asked.filter(|_| !image.is_digest_placed) {
        let what = "no segment holds that place";
        return Err(ElfError::DigestPlace { offset, what });
    }
    Ok(image.finish(options))
}

fn read(elf: &Elf<'_>, options: &ImageOptions) -> Result<(Vec<Part>, Descriptor), ElfError> {
    if options.use_segments {
        // The page size still comes from the section, where there is one.
        let descriptor = elf.sections().map(|(_, found)| found).unwrap_or_default();
        Ok((elf.segments()?, descriptor))
    } else {
        elf.sections()
    }
}

fn page_size(chip: Chip, options: &ImageOptions, descriptor: Descriptor) -> Result<u32, ElfError> {
    let sizes = chip.spec().mmu_page_sizes;
    let largest = sizes.iter().copied().max().unwrap_or(USUAL_PAGE);
    if sizes.len() < 2 {
        return Ok(largest);
    }
    let bytes = match (options.mmu_page_size, descriptor.page_bits) {
        (Some(bytes), _) => u64::from(bytes),
        (None, _) if descriptor.is_short => {
            return Err(ElfError::Sections(
                "has an application descriptor of less than 256 bytes",
            ));
        }
        (None, None) => u64::from(USUAL_PAGE),
        (None, Some(0)) => u64::from(largest),
        (None, Some(bits)) => 1u64.checked_shl(bits.into()).unwrap_or(0),
    };
    sizes
        .iter()
        .copied()
        .find(|size| u64::from(*size) == bytes)
        .ok_or(ElfError::PageSize { chip, bytes })
}

/// One page of flash is mapped once, so neighbours in the image must not begin in the same.
fn check_pages(flash: &[Part], page: u32) -> Result<(), ElfError> {
    for pair in flash.windows(2) {
        let (before, part) = (&pair[0], &pair[1]);
        if before.address / page == part.address / page {
            return Err(ElfError::SamePage {
                part: part.name.clone(),
                address: part.address,
                before: before.address,
                page,
            });
        }
    }
    if let Some(part) = flash.iter().find(|part| !part.address.is_multiple_of(4)) {
        return Err(ElfError::Part {
            part: part.name.clone(),
            address: part.address,
            what: "is mapped and does not begin at a whole word",
        });
    }
    Ok(())
}

fn header(elf: &Elf<'_>, chip: Chip, options: &ImageOptions) -> Result<Vec<u8>, ElfError> {
    let max_revision = options.max_revision.map_or(u16::MAX, Revision::value);
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend_from_slice(&[MAGIC, 0]);
    bytes.extend_from_slice(&options.flash.to_bytes(chip)?);
    bytes.extend_from_slice(&elf.entry().to_le_bytes());
    bytes.extend_from_slice(&[NO_PIN, 0, 0, 0]);
    bytes.extend_from_slice(&chip.spec().image_id.to_le_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&options.min_revision.value().to_le_bytes());
    bytes.extend_from_slice(&max_revision.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.push(options.appends_hash().into());
    Ok(bytes)
}

/// An image in the making.
struct Writer {
    chip: Chip,
    page: u32,
    bytes: Vec<u8>,
    segments: usize,
    checksum: u8,
    digest: Option<(u32, [u8; HASH])>,
    is_digest_placed: bool,
}

impl Writer {
    /// Mapped parts at their place in the page; RAM fills the gaps as far as it reaches.
    fn mapped_first(&mut self, ram: Vec<Part>, flash: Vec<Part>) -> Result<(), ElfError> {
        let mut ram = std::collections::VecDeque::from(ram);
        for mut part in flash {
            loop {
                let gap = self.gap(&part, 0)?;
                if gap == 0 {
                    break;
                }
                match ram.front_mut().filter(|_| gap > SEGMENT_HEADER) {
                    Some(first) => {
                        let mut head = first.split_off(gap);
                        if first.data.is_empty() {
                            ram.pop_front();
                        }
                        self.segment(head.address, &mut head.data)?;
                    }
                    None => self.segment(0, &mut vec![0; gap])?,
                }
            }
            self.mapped(&mut part)?;
        }
        for mut part in ram {
            self.segment(part.address, &mut part.data)?;
        }
        Ok(())
    }

    /// What the ROM is to load with its checksum, then the rest, which it is not to see.
    fn ram_first(&mut self, ram: Vec<Part>, flash: Vec<Part>) -> Result<(), ElfError> {
        for mut part in ram {
            self.segment(part.address, &mut part.data)?;
        }
        self.end_segments(self.segments)?;
        // The ROM starts what lies where a bootloader lies, so pages are counted from there.
        let base = self.chip.spec().bootloader_offset as usize;
        for mut part in flash.into_iter().rev() {
            let gap = self.gap(&part, base)?;
            if gap > 0 {
                self.segment(0, &mut vec![0; gap % self.page as usize])?;
            }
            self.mapped(&mut part)?;
        }
        Ok(())
    }

    /// Bytes of the segment that must come first for this one's data to lie at its place in the
    /// page; 0 where none must.
    fn gap(&self, part: &Part, base: usize) -> Result<usize, ElfError> {
        let page = self.page as usize;
        let here = (base + self.bytes.len()) % page;
        // Where the data are to begin, and where they would begin.
        let (place, without) = (part.address as usize % page, here + SEGMENT_HEADER);
        if (without % page) == place {
            return Ok(0);
        }
        // The filling segment has a header of its own.
        let gap = (page + place).checked_sub(without + SEGMENT_HEADER);
        match gap {
            Some(0) => Err(ElfError::Part {
                part: part.name.clone(),
                address: part.address,
                what: "leaves eight bytes to fill, which no segment does",
            }),
            Some(gap) => Ok(gap),
            None => Ok(page + page + place - without - SEGMENT_HEADER),
        }
    }

    fn mapped(&mut self, part: &mut Part) -> Result<(), ElfError> {
        if self.chip == Chip::Esp32 {
            let end = self.bytes.len() + SEGMENT_HEADER + part.data.len();
            let last = end % self.page as usize;
            if last < ESP32_LAST_PAGE {
                part.data
                    .resize(part.data.len() + ESP32_LAST_PAGE - last, 0);
            }
        }
        self.segment(part.address, &mut part.data)
    }

    fn segment(&mut self, address: u32, data: &mut Vec<u8>) -> Result<(), ElfError> {
        data.resize(data.len().next_multiple_of(4), 0);
        self.place_digest(data)?;
        self.bytes.extend_from_slice(&address.to_le_bytes());
        self.bytes
            .extend_from_slice(&(data.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(data);
        // The seed is part of every partial sum, so it is taken out again.
        self.checksum ^= checksum(data) ^ checksum(&[]);
        self.segments += 1;
        Ok(())
    }

    /// Puts the digest of the ELF into the segment that is about to be written, if it is the one.
    fn place_digest(&mut self, data: &mut [u8]) -> Result<(), ElfError> {
        let Some((offset, digest)) = self.digest else {
            return Ok(());
        };
        let here = self.bytes.len();
        let at = offset as usize;
        // esptool counts from the segment's header, and so leaves out the last eight bytes.
        if at < here || at >= here + data.len() {
            return Ok(());
        }
        let refuse = |what| ElfError::DigestPlace { offset, what };
        let place = at
            .checked_sub(here + SEGMENT_HEADER)
            .filter(|_| at + HASH <= here + data.len())
            .and_then(|start| data.get_mut(start..start + HASH))
            .ok_or(refuse("it would cross the bounds of a segment"))?;
        if place.iter().any(|byte| *byte != 0) {
            return Err(refuse("there is something there already"));
        }
        place.copy_from_slice(&digest);
        self.is_digest_placed = true;
        Ok(())
    }

    /// A last segment, so that the signature lies at its place in a page.
    fn pad_for_signature(&mut self, padding: SecurePad) -> Result<(), ElfError> {
        let behind = match padding {
            SecurePad::None => return Ok(()),
            SecurePad::V1 => 16 + HASH + SIGNATURE_V1,
            SecurePad::V2 => 16 + HASH,
        };
        let page = self.page as usize;
        let used = (self.bytes.len() + SEGMENT_HEADER + behind) % page;
        self.segment(0, &mut vec![0; (page - used) % page])
    }

    /// The checksum as the last byte of its 16-byte line, and the number of segments so far.
    fn end_segments(&mut self, count: usize) -> Result<(), ElfError> {
        let end = self.bytes.len() / 16 * 16 + 16;
        self.bytes.resize(end - 1, 0);
        self.bytes.push(self.checksum);
        // Sixteen parts with a gap before each, and one for the signature.
        let most = 2 * usize::from(MAX_SEGMENTS) + 1;
        let count = u8::try_from(count).map_err(|_| ElfError::TooManyParts(most))?;
        self.bytes[1] = count;
        Ok(())
    }

    fn finish(mut self, options: &ImageOptions) -> Vec<u8> {
        if options.appends_hash() {
            let hash = Sha256::digest(&self.bytes);
            self.bytes.extend_from_slice(&hash);
        }
        if let Some(multiple) = options.pad_to_multiple {
            let length = self.bytes.len().next_multiple_of(multiple as usize);
            self.bytes.resize(length, 0xFF);
        }
        self.bytes
    }
}
