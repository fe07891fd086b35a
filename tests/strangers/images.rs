//! Unmodified esptool merges, patches and describes images exactly as we do, and we split what it merged.

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use station_esp::chip::{Chip, MemoryKind};
use station_esp::image::{
    FlashMode, Format, HeaderChange, Image, Part, Report, merge, patch, patch_bootloader,
};
use station_esp::{hex, loader, uf2};
use tempfile::TempDir;

use crate::support::{python, root};

/// Command lines that one esptool process runs, in a folder.
struct Batch {
    folder: TempDir,
    lines: Vec<String>,
}

impl Batch {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            lines: Vec::new(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.at(name), bytes).unwrap();
    }

    /// Adds a command line, in which words that begin with `@` are names in the folder.
    fn add(&mut self, line: &str) -> usize {
        let words: Vec<String> = line
            .split_whitespace()
            .map(|word| match word.strip_prefix('@') {
                Some(name) => self.at(name).display().to_string(),
                None => word.to_owned(),
            })
            .collect();
        self.lines.push(words.join(" "));
        self.lines.len() - 1
    }

    fn run(&self) {
        self.put("cases", self.lines.join("\n").as_bytes());
        let driver = root().join("tests/strangers/images_driver.py");
        let ran = python().arg(driver).arg(self.at("cases")).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }

    /// What a command printed, and how it ended.
    fn said(&self, number: usize) -> (String, String) {
        let text = std::fs::read_to_string(self.at(&format!("cases.{number}.txt"))).unwrap();
        let (said, end) = text.rsplit_once("\nend ").unwrap();
        (said.to_owned(), end.trim().to_owned())
    }

    fn made(&self, number: usize, name: &str) -> Vec<u8> {
        let (said, end) = self.said(number);
        assert_eq!(end, "0", "{}\n{said}", self.lines[number]);
        std::fs::read(self.at(name)).unwrap()
    }
}

/// Parts in sectors of their own, as esptool wants them; some touch at a sector's edge.
fn parts() -> impl Strategy<Value = Vec<Part>> {
    let length = prop_oneof![1usize..600, Just(4096), 60_000usize..70_000];
    let part = (
        0u32..20,
        prop_oneof![Just(0u32), 0u32..4096],
        length,
        any::<u8>(),
    );
    prop::collection::vec(part, 1..5).prop_map(|parts| {
        let mut at = 0u32;
        parts
            .into_iter()
            .map(|(gap, shift, length, seed)| {
                let bytes: Vec<u8> = (0..length)
                    .map(|at| (at as u8).wrapping_mul(7) ^ seed)
                    .collect();
                let part = Part::new(at + gap * 4096 + shift, bytes);
                at = u32::try_from(part.end()).unwrap().next_multiple_of(4096);
                part
            })
            .collect()
    })
}

#[test]
fn merged_files_are_the_same_and_are_split_into_what_went_in() {
    let mut batch = Batch::new();
    let mut runner = TestRunner::default();
    let mut cases = Vec::new();
    for number in 0..12usize {
        let parts = parts().new_tree(&mut runner).unwrap().current();
        let mut words = String::new();
        // Last to first: the order on the command line does not matter.
        for (at, part) in parts.iter().enumerate().rev() {
            let name = format!("{number}.{at}");
            batch.put(&name, &part.bytes);
            words += &format!(" {:#x} @{name}", part.address);
        }
        let chip = Chip::ALL[number % Chip::ALL.len()];
        let first = parts[0].address;
        let raw = |target_offset, pad_to_size| Format::Raw {
            target_offset,
            pad_to_size,
            fill: 0xFF,
        };
        let block = |chunk, md5| Format::Uf2(uf2::Options { chip, chunk, md5 });
        for (form, options) in [
            (raw(0, None), "-f raw"),
            (raw(0, Some(1 << 20)), "-f raw --pad-to-size 1MB"),
            (Format::Hex, "-f hex"),
            (block(None, true), "-f uf2"),
            (
                block(Some(256), false),
                "-f uf2 --chunk-size 256 --md5-disable",
            ),
            (block(None, false), "-f uf2 --md5-disable"),
            (block(Some(452), true), "-f uf2 --chunk-size 452"),
        ] {
            let name = format!("out.{}", cases.len());
            let line = batch.add(&format!(
                "--chip {} merge-bin -o @{name} {options} {words}",
                chip.name()
            ));
            cases.push((line, name, form, parts.clone()));
        }
        let name = format!("out.{}", cases.len());
        let line = batch.add(&format!(
            "--chip {} merge-bin -o @{name} -t {first:#x} {words}",
            chip.name()
        ));
        cases.push((line, name, raw(first, None), parts));
    }
    batch.run();
    for (line, name, form, parts) in cases {
        let theirs = batch.made(line, &name);
        assert!(merge(&parts, form).unwrap() == theirs, "{form:?} {line}");
        let again = match form {
            Format::Raw { .. } => continue,
            Format::Hex => hex::parse(&theirs).unwrap(),
            Format::Uf2(options) => {
                let read = uf2::parse(&theirs).unwrap();
                assert_eq!((read.chip, read.unchecked), (Some(options.chip), 0));
                read.parts
            }
        };
        let flat = |parts: &[Part]| merge(parts, Format::RAW).unwrap();
        assert!(flat(&again) == flat(&parts), "{form:?}");
    }
}

#[test]
fn flash_options_change_the_same_bytes_of_every_bootloader() {
    let mut batch = Batch::new();
    let mut cases = Vec::new();
    let modes = [
        FlashMode::Qio,
        FlashMode::Qout,
        FlashMode::Dio,
        FlashMode::Dout,
    ];
    for (number, chip) in Chip::ALL.into_iter().enumerate() {
        let spec = chip.spec();
        let bootloader = loader::bootloader(chip, spec.typical_crystal_mhz()).unwrap();
        let name = chip.name();
        batch.put(name, bootloader);
        let at = spec.bootloader_offset;
        for (step, (mhz, _)) in spec.flash_frequencies.iter().enumerate() {
            let mode = modes[(number + step) % 4];
            let megabytes = 1u32 << ((number + 3 * step) % 8);
            let change = HeaderChange {
                mode: Some(mode),
                frequency_mhz: Some(*mhz),
                size: Some(megabytes << 20),
                ..HeaderChange::default()
            };
            let out = format!("{name}.{mhz}");
            let mode = mode.name();
            let line = batch.add(&format!(
                "--chip {name} merge-bin -o @{out} -fm {mode} -ff {mhz}m -fs {megabytes}MB \
                 {at:#x} @{name}"
            ));
            cases.push((line, out, chip, change, bootloader));
        }
    }
    batch.run();
    for (line, out, chip, change, bootloader) in cases {
        let theirs = batch.made(line, &out);
        let mut parts = vec![Part::new(chip.spec().bootloader_offset, bootloader)];
        patch_bootloader(&mut parts, chip, &change).unwrap();
        assert!(merge(&parts, Format::RAW).unwrap() == theirs, "{out}");
    }
}

/// The words behind a label, if it was printed.
fn after<'a>(said: &'a str, label: &str) -> Option<&'a str> {
    said.lines()
        .find_map(|line| line.strip_prefix(label)?.strip_prefix(": "))
        .map(str::trim)
}

/// An image of an application with a descriptor, made from a bootloader's header.
fn application() -> Vec<u8> {
    let mut description = 0xABCD_5432u32.to_le_bytes().to_vec();
    description.extend([7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    description.truncate(16);
    for (text, length) in [
        ("1.2.3", 32),
        ("project", 32),
        ("12:34:56", 16),
        ("Jan  1 2026", 16),
        ("v5.5.1", 32),
    ] {
        let end = description.len() + length;
        description.extend(text.bytes());
        description.resize(end, 0);
    }
    description.extend(0..32u8);
    description.extend([1, 0, 199, 0, 16]);
    description.resize(256, 0);
    let mut bytes = loader::bootloader(Chip::Esp32C3, 40).unwrap()[..24].to_vec();
    bytes[1] = 2;
    bytes[4..8].copy_from_slice(&0x4038_0000u32.to_le_bytes());
    bytes[9..12].copy_from_slice(&[0x21, 0x43, 0x65]);
    // Without hash, so that only the checksum has to be made.
    bytes[23] = 0;
    let mut sum = 0xEF;
    for (address, content) in [(0x3C00_0020u32, description), (0x4038_0000, vec![0x13; 64])] {
        bytes.extend(address.to_le_bytes());
        bytes.extend((content.len() as u32).to_le_bytes());
        sum = content.iter().fold(sum, |sum, byte| sum ^ byte);
        bytes.extend(content);
    }
    bytes.resize(bytes.len() / 16 * 16 + 15, 0);
    bytes.push(sum);
    bytes
}

fn names(kind: MemoryKind) -> &'static [&'static str] {
    match kind {
        MemoryKind::Iram => &["IRAM", "CACHE_APP", "CACHE_PRO", "DIRAM_IRAM"],
        MemoryKind::Dram => &["DRAM", "DIRAM_DRAM"],
        MemoryKind::Irom => &["IROM"],
        MemoryKind::Drom => &["DROM"],
        MemoryKind::RtcIram => &["RTC_IRAM"],
        MemoryKind::RtcDram => &["RTC_DRAM", "RTC_DATA", "RTC_IRAM"],
        MemoryKind::Tcm => &["TCM"],
        MemoryKind::Psram => &["EXTRAM_DATA", "EXTRAM"],
    }
}

fn same_header(said: &str, report: &Report) {
    let header = &report.header;
    let expect =
        |label: &str, value: String| assert_eq!(after(said, label), Some(&*value), "{said}");
    expect("Image size", format!("{} bytes", report.file_length));
    expect(
        "Detected image type",
        report.chip.unwrap().title().to_owned(),
    );
    expect("Entry point", format!("{:#010x}", header.entry));
    expect("Segments", header.segments.to_string());
    expect(
        "Flash size",
        format!("{}MB", header.flash_size().unwrap() >> 20),
    );
    let mhz: Vec<String> = report
        .chip
        .unwrap()
        .spec()
        .flash_frequencies
        .iter()
        .filter(|(_, code)| *code == header.flash_frequency_code)
        .map(|(mhz, _)| format!("{mhz}m"))
        .collect();
    assert!(
        mhz.iter().any(|mhz| after(said, "Flash freq") == Some(mhz)),
        "{said}"
    );
    expect("Flash mode", header.flash_mode.name().to_uppercase());
    let [clock, q, d, select, hold, protect] = header.pin_drives();
    expect(
        "Flash pins drive settings",
        format!(
            "clk_drv: {clock:#x}, q_drv: {q:#x}, d_drv: {d:#x}, cs0_drv: {select:#x}, \
             hd_drv: {hold:#x}, wp_drv: {protect:#x}"
        ),
    );
    expect(
        "Minimal chip revision",
        format!(
            "v{}.{}, (legacy min_rev = {})",
            header.min_revision / 100,
            header.min_revision % 100,
            header.min_revision_old
        ),
    );
    let newest = header.maximum_revision().unwrap();
    expect("Maximal chip revision", format!("v{newest}"));
    let verdict = if report.checksum.is_valid() {
        "(valid)".to_owned()
    } else {
        format!("(invalid - calculated {:#04x})", report.checksum.actual)
    };
    expect(
        "Checksum",
        format!("{:#04x} {verdict}", report.checksum.stored),
    );
    // It prints the hash that the bytes have, also where the image says another.
    let hash = report.hash.map(|hash| {
        let digits: String = hash
            .actual
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let verdict = if hash.is_valid() { "valid" } else { "invalid" };
        format!("{digits} ({verdict})")
    });
    if let Some(hash) = hash {
        expect("Validation hash", hash);
    }
}

fn same_segments(said: &str, report: &Report) {
    for (number, one) in report.segments.iter().enumerate() {
        // It says where the head of eight bytes lies, not the data.
        let start = format!(
            "{number:>7}  {:#07x}  {:#010x}  {:#010x}",
            one.segment.length,
            one.segment.address,
            one.segment.offset - 8
        );
        let row = said.lines().find_map(|line| line.strip_prefix(&start));
        let row = row.unwrap_or_else(|| panic!("{start}: {said}"));
        // Its tables name no memory for some chips, where ours do.
        let theirs: Vec<&str> = row
            .split(", ")
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .collect();
        let known = |kind: &MemoryKind| names(*kind).iter().any(|name| theirs.contains(name));
        assert!(
            theirs.is_empty() || one.memory.iter().any(known),
            "{row}: {one:?}"
        );
    }
}

fn same_descriptors(said: &str, report: &Report) {
    let expect =
        |label: &str, value: String| assert_eq!(after(said, label), Some(&*value), "{said}");
    if let Some(app) = &report.app {
        expect("Project name", app.project.clone());
        expect("App version", app.version.clone());
        expect("Compile time", format!("{} {}", app.date, app.time));
        let digest: String = app
            .elf_sha256
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        expect("ELF file SHA256", digest);
        expect("ESP-IDF", app.idf.clone());
        let revision = |value: u16| format!("{}.{}", value / 100, value % 100);
        expect(
            "Minimal eFuse block revision",
            revision(app.min_block_revision),
        );
        expect(
            "Maximal eFuse block revision",
            revision(app.max_block_revision),
        );
        expect(
            "MMU page size",
            format!("{} KB", app.mmu_page_size().unwrap() >> 10),
        );
        expect("Secure version", app.secure_version.to_string());
    }
    if said.contains("Bootloader Information") {
        let boot = report.bootloader.as_ref().unwrap();
        expect("Bootloader version", boot.version.to_string());
        expect("ESP-IDF", boot.idf.clone());
        expect("Compile time", boot.date_time.clone());
    }
}

#[test]
fn images_are_described_alike() {
    let mut images: Vec<Vec<u8>> = Chip::ALL
        .into_iter()
        .map(|chip| loader::bootloader(chip, chip.spec().typical_crystal_mhz()).unwrap())
        .map(<[u8]>::to_vec)
        .collect();
    let mut broken = images[4].clone();
    broken[100] ^= 1;
    images.push(broken);
    images.push([images[4].clone(), vec![0xFF; 5000]].concat());
    images.push(application());
    let sizes = HeaderChange {
        size: Some(128 << 20),
        ..HeaderChange::default()
    };
    images.push(patch(&application(), &sizes).unwrap());
    assert!(Image::parse(&application()).is_ok());
    let mut batch = Batch::new();
    for (number, image) in images.iter().enumerate() {
        let name = format!("image.{number}");
        batch.put(&name, image);
        batch.add(&format!("image-info @{name}"));
    }
    batch.run();
    for (number, image) in images.iter().enumerate() {
        let (said, end) = batch.said(number);
        assert_eq!(end, "0", "{said}");
        let report = Report::of(image).unwrap();
        same_header(&said, &report);
        same_segments(&said, &report);
        same_descriptors(&said, &report);
    }
}
