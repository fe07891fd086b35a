//! Images, programs, and the files that carry them.

use std::path::Component;

use station_esp::elf::{self, FlashSettings, ImageOptions, SecurePad};
use station_esp::flasher_args::{FlasherArgs, MAX_FILES};
use station_esp::image::{self, HeaderChange, Image, Report};
use station_esp::secure::signature::{SignatureBlock, SignedImage, trust};
use station_esp::{Chip, Revision, hex, sizes, uf2};

use super::repair;

pub(super) fn image(bytes: &[u8]) -> bool {
    let repaired = repair::image(bytes);
    let mut accepted = one_image(bytes);
    if let Some(bytes) = repaired {
        accepted |= one_image(&bytes);
    }
    accepted
}

fn one_image(bytes: &[u8]) -> bool {
    let report = Report::of(bytes);
    let _ = image::optimize(bytes, Some(4 << 20));
    let Ok(image) = Image::parse(bytes) else {
        return false;
    };
    assert!(report.is_ok(), "an image that nobody can report on");
    assert!(image.length as usize <= bytes.len());
    let _ = image.check_chip(image.chip, Some(Revision::new(1, 1)));
    let (_, _) = (image.check_application(), image.entry_is_loaded());
    let change = HeaderChange {
        size: Some(8 << 20),
        min_revision: Some(Revision::new(0, 3)),
        ..HeaderChange::default()
    };
    if let Ok(changed) = image::patch(bytes, &change) {
        let again = Image::parse(&changed).expect("a patched image is an image");
        assert_eq!(again.header.flash_size(), change.size);
        assert_eq!((again.length, changed.len()), (image.length, bytes.len()));
    }
    if let Some(changed) = image::for_flash_size(bytes, 2 << 20) {
        assert_eq!(changed.len(), image.length as usize);
    }
    true
}

/// Chip and options of an ELF from bytes of its head that no ELF uses.
fn choices(bytes: &[u8]) -> (Chip, ImageOptions) {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let chip = match byte(9) {
        // Xtensa and RISC-V.
        0 if byte(18) == 94 => Chip::Esp32,
        0 => Chip::Esp32C3,
        other => Chip::ALL[usize::from(other) % Chip::ALL.len()],
    };
    let flags = byte(10);
    let pads = [SecurePad::None, SecurePad::V1, SecurePad::V2, SecurePad::V2];
    let options = ImageOptions {
        hash: flags & 1 == 0,
        use_segments: flags & 2 != 0,
        ram_only_header: flags & 4 != 0,
        secure_pad: pads[usize::from(flags >> 3 & 3)],
        pad_to_multiple: (flags & 32 != 0).then_some(0x1_0000),
        elf_sha256_offset: (flags & 64 != 0).then(|| u32::from(byte(11))),
        mmu_page_size: (byte(12) != 0).then(|| 1 << (byte(12) % 32)),
        ..ImageOptions::new(FlashSettings::usual(chip, 4 << 20))
    };
    (chip, options)
}

pub(super) fn elf(bytes: &[u8]) -> bool {
    let (chip, options) = choices(bytes);
    let _ = elf::ram_image(bytes, chip);
    let ram = elf::to_ram_binary(bytes, chip);
    let flash = elf::to_image(bytes, chip, &options);
    if let Ok(image) = elf::to_flash_image(bytes, chip, &options.flash) {
        assert!(Image::parse(&image).is_ok());
    }
    ram.is_ok() || flash.is_ok()
}

pub(super) fn sizes(bytes: &[u8]) -> bool {
    let (chip, _) = choices(bytes);
    let Ok(report) = sizes::sizes(bytes, chip, Some(0x1_0000), Some(0x10_0000)) else {
        return false;
    };
    let sections: u64 = report.sections.iter().map(|one| u64::from(one.size)).sum();
    assert!(report.flash <= sections && report.ram <= sections);
    true
}

pub(super) fn hex(bytes: &[u8]) -> bool {
    let one = |bytes: &[u8]| {
        let Ok(parts) = hex::parse(bytes) else {
            return false;
        };
        let again = hex::encode(&parts).expect("parts that were read can be written");
        assert_eq!(hex::parse(again.as_bytes()), Ok(parts));
        true
    };
    one(bytes) | one(&repair::hex(bytes))
}

pub(super) fn uf2(bytes: &[u8]) -> bool {
    let Ok(file) = uf2::parse(bytes) else {
        return false;
    };
    let options = uf2::Options {
        chip: file.chip.unwrap_or(Chip::Esp32C3),
        chunk: None,
        md5: file.skipped % 2 == 0,
    };
    let again = uf2::encode(&file.parts, options).expect("parts that were read can be written");
    let again = uf2::parse(&again).expect("what we write we read");
    assert_eq!(again.parts, file.parts);
    true
}

pub(super) fn flasher_args(bytes: &[u8]) -> bool {
    let Ok(list) = FlasherArgs::parse(bytes) else {
        return false;
    };
    assert!((1..=MAX_FILES).contains(&list.files.len()));
    assert!(
        list.files
            .is_sorted_by(|one, next| one.offset < next.offset)
    );
    for file in &list.files {
        let leaves =
            |part: Component<'_>| !matches!(part, Component::Normal(_) | Component::CurDir);
        assert!(!file.file.components().any(leaves), "{file:?}");
    }
    true
}

/// The input is a signature sector; one sector of content stands before it.
pub(super) fn signature(bytes: &[u8]) -> bool {
    let mut sector = bytes.to_vec();
    sector.resize(4096, 0xFF);
    one_sector(&sector) | one_sector(&repair::signatures(sector))
}

fn one_sector(sector: &[u8]) -> bool {
    if let Ok(block) = SignatureBlock::parse(sector) {
        let again = SignatureBlock::parse(&block.to_bytes());
        assert_eq!(again.as_ref(), Ok(&block));
    }
    let mut image = vec![0; 4096];
    image.extend_from_slice(sector);
    let Ok(signed) = SignedImage::parse(&image) else {
        return false;
    };
    let _ = trust::Trust::of_digests(&[[7; 32]]).judge(&image);
    signed.verify().is_ok()
}
