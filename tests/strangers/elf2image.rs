//! Unmodified esptool makes the same image of every ELF as we do, for every chip and with every option.

mod comparison;
mod writer;

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use station_esp::chip::{Chip, Revision};
use station_esp::elf::{FlashSettings, ImageOptions, SecurePad};
use station_esp::image::FlashMode;
use tempfile::TempDir;

use self::comparison::{Case, compare};
use self::writer::Section;

fn descriptor(page_bits: u8) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..4].copy_from_slice(&0xABCD_5432u32.to_le_bytes());
    bytes[16..21].copy_from_slice(b"1.2.3");
    bytes[48..52].copy_from_slice(b"made");
    bytes[178..180].copy_from_slice(&[0xFF, 0xFF]);
    bytes[180] = page_bits;
    bytes
}

fn machine(chip: Chip) -> u16 {
    chip.spec().architecture.elf_machine()
}

/// Addresses near which sections of a chip are put: mapped ones, then RAM.
fn bases(chip: Chip) -> (Vec<u32>, Vec<u32>) {
    let (flash, ram): (Vec<_>, Vec<_>) = chip
        .spec()
        .memory
        .iter()
        .partition(|region| region.kind.is_flash());
    let starts = |regions: Vec<&station_esp::chip::MemoryRegion>| {
        regions.iter().map(|region| region.start).collect()
    };
    (starts(flash), starts(ram))
}

/// Sections for a chip: some that touch, some apart, some that overlap, lengths around page ends.
fn sections(chip: Chip) -> impl Strategy<Value = Vec<Section>> {
    let (flash, ram) = bases(chip);
    let base = prop_oneof![prop::sample::select(flash), prop::sample::select(ram)];
    let length = prop_oneof![
        4 => 1usize..600,
        1 => 0xFF80usize..0x1_0080,
        1 => 0x1F80usize..0x2080,
        1 => 0x3FF00usize..0x4_0080,
        1 => Just(0usize),
    ];
    let offset = prop_oneof![
        3 => Just(0x20u32),
        3 => (0u32..16).prop_map(|words| words * 4),
        1 => 0u32..0x80,
        2 => (0u32..0x1_0000).prop_map(|words| words * 4),
    ];
    let kind = prop_oneof![
        12 => Just(1u32),
        1 => Just(14u32),
        1 => Just(8u32),
        1 => prop::sample::select(vec![2u32, 3, 7, 15, 16, 17, 0x7000_0003]),
    ];
    let name = prop::sample::select(vec![".flash.text", ".flash.rodata", ".iram0.text", ".x"]);
    // Whether it follows the one before, and how far behind.
    let follows = prop_oneof![3 => Just(None), 2 => (0u32..5).prop_map(Some)];
    let fill = prop_oneof![Just(0u8), Just(0xA5u8)];
    let one = (base, 0u32..12, offset, length, kind, name, follows, fill);
    let many = prop::collection::vec(one, 1..9);
    (many, described(), any::<Index>())
        .prop_map(move |(many, described, place)| put(chip, many, described, place))
}

/// A section as drawn: base, page, offset, length, kind, name, gap to the one before, fill.
type Drawn = (u32, u32, u32, usize, u32, &'static str, Option<u32>, u8);

/// A section called after the descriptor: name, power of two of a page, length.
fn described() -> impl Strategy<Value = Option<(&'static str, u8, usize)>> {
    prop_oneof![
        2 => Just(None),
        2 => Just(Some((".flash.appdesc", 0, 256))),
        2 => (13u8..19).prop_map(|bits| Some((".flash.appdesc", bits, 256))),
        1 => Just(Some((".flash.appdesc.more", 16, 256))),
        1 => (0usize..400).prop_map(|length| Some((".flash.appdesc", 0, length))),
    ]
}

/// Gives what was drawn its addresses.
fn put(
    chip: Chip,
    many: Vec<Drawn>,
    described: Option<(&str, u8, usize)>,
    place: Index,
) -> Vec<Section> {
    let mut end = 0;
    let mut sections = Vec::new();
    for (base, page, offset, length, kind, name, follows, fill) in many {
        let address = follows.map_or(base + page * 0x1_0000 + offset, |gap| end + gap);
        end = (address + length as u32).next_multiple_of(4);
        sections.push(Section {
            name: name.to_owned(),
            kind,
            address,
            data: vec![fill; length],
        });
    }
    if let Some((name, bits, length)) = described {
        let at = place.index(sections.len());
        // Some in front of another section, most at a place of their own.
        let apart = bases(chip).0[0] + 0x20 + 0x4_0000 * (place.index(8) as u32);
        let front = sections[at].address.wrapping_sub(256);
        let mut data = descriptor(bits);
        data.resize(length, 0);
        let section = Section {
            name: name.to_owned(),
            kind: 1,
            address: if bits == 15 { front } else { apart },
            data,
        };
        sections.insert(at, section);
    }
    sections
}

fn options(chip: Chip) -> impl Strategy<Value = ImageOptions> {
    let clocks = chip.spec().flash_frequencies;
    let clocks: Vec<u8> = clocks.iter().map(|(mhz, _)| *mhz).collect();
    let modes = [
        FlashMode::Qio,
        FlashMode::Qout,
        FlashMode::Dio,
        FlashMode::Dout,
    ];
    let flash = (
        prop::sample::select(modes.to_vec()),
        prop::sample::select(clocks),
        0u32..8,
    )
        .prop_map(|(mode, frequency_mhz, power)| FlashSettings {
            mode,
            frequency_mhz,
            size: 1 << (20 + power),
        });
    let revision = (0u8..5, 0u8..100).prop_map(|(major, minor)| Revision::new(major, minor));
    let page = prop::sample::select(vec![0x2000u32, 0x4000, 0x8000, 0x1_0000]);
    let pad = prop::sample::select(vec![SecurePad::None, SecurePad::V1, SecurePad::V2]);
    let multiple = prop::sample::select(vec![1u32 << 10, 3 << 10, 1 << 16, 1 << 20]);
    let digest = prop_oneof![0u32..0x400, Just(0u32), Just(0xB0), Just(0x1_0050)];
    let rarely = || prop::bool::weighted(0.2);
    (
        flash,
        (
            prop_oneof![3 => Just(Revision::default()), 1 => revision.clone()],
            prop::option::weighted(0.2, revision),
        ),
        prop::option::weighted(0.3, page),
        prop_oneof![2 => Just(SecurePad::None), 1 => pad],
        prop::option::weighted(0.2, multiple),
        prop::option::weighted(0.2, digest),
        (prop::bool::weighted(0.9), rarely(), rarely()),
    )
        .prop_map(
            |(flash, (min_revision, max_revision), page, pad, multiple, digest, flags)| {
                let (hash, use_segments, ram_only_header) = flags;
                ImageOptions {
                    flash,
                    min_revision,
                    max_revision,
                    mmu_page_size: page,
                    secure_pad: pad,
                    // Without SHA-256 esptool writes the padding over the image.
                    pad_to_multiple: multiple.filter(|_| hash && !ram_only_header),
                    hash,
                    elf_sha256_offset: digest,
                    use_segments,
                    ram_only_header,
                }
            },
        )
}

/// As many cases for each chip as asked for, the same ones in every run.
fn some(count: usize, is_plain: bool) -> Vec<Case> {
    let mut runner = TestRunner::deterministic();
    let mut cases = Vec::new();
    for chip in Chip::ALL {
        let strategy = (sections(chip), sections(chip), options(chip), any::<u32>());
        for _ in 0..count {
            let drawn = strategy.new_tree(&mut runner).unwrap().current();
            let (sections, segments, options, entry) = drawn;
            let elf = writer::elf(machine(chip), entry, &sections, &segments);
            let mut case = Case::plain(chip, elf);
            if !is_plain {
                case.options = options;
            }
            cases.push(case);
        }
    }
    cases
}

fn agree(cases: &[Case]) {
    let (equal, refused) = compare(cases);
    // Enough of both, or the corpus shows nothing.
    assert!(equal > cases.len() / 3, "{equal} of {}", cases.len());
    assert!(refused > cases.len() / 20, "{refused} of {}", cases.len());
}

#[test]
fn generated_elfs_become_the_same_images_with_the_plain_options() {
    agree(&some(30, true));
}

#[test]
fn generated_elfs_become_the_same_images_with_all_options() {
    agree(&some(60, false));
}

/// Where the linker puts a program: mapped data, mapped code, data, code.
fn places(chip: Chip) -> Option<[u32; 4]> {
    match chip {
        Chip::Esp32 | Chip::Esp32S2 | Chip::Esp32S3 => None,
        Chip::Esp32C2 => Some([0x3C00_0020, 0x4201_0020, 0x3FCA_0000, 0x4038_0000]),
        Chip::Esp32C3 => Some([0x3C00_0020, 0x4201_0020, 0x3FC9_0000, 0x4038_0000]),
        Chip::Esp32C5 | Chip::Esp32C6 | Chip::Esp32C61 | Chip::Esp32H2 | Chip::Esp32H4 => {
            Some([0x4200_0020, 0x4201_0020, 0x4081_0000, 0x4080_0000])
        }
        Chip::Esp32P4 => Some([0x4000_0020, 0x4001_0020, 0x4FF4_0000, 0x4FF0_0000]),
        Chip::Esp32S31 => Some([0x4000_0020, 0x4004_0020, 0x2F04_0000, 0x2F00_0000]),
    }
}

/// Our program, compiled and linked for a chip.
fn compiled(chip: Chip, places: [u32; 4], folder: &Path) -> Vec<u8> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/strangers/elf2image");
    let out = folder.join(format!("{chip}.elf"));
    let [rodata, text, data, code] = places;
    let ran = Command::new("riscv64-unknown-elf-gcc")
        .args([
            "-march=rv32imc_zicsr",
            "-mabi=ilp32",
            "-Os",
            "-g",
            "-nostdlib",
        ])
        .args([
            "-ffreestanding",
            "-Wl,--build-id=none",
            "-Wl,--no-warn-rwx-segments",
        ])
        .arg(format!("-Wl,--defsym=RODATA={rodata},--defsym=TEXT={text}"))
        .arg(format!("-Wl,--defsym=DATA={data},--defsym=CODE={code}"))
        .arg("-T")
        .arg(sources.join("program.ld"))
        .arg(sources.join("program.c"))
        .arg("-o")
        .arg(&out)
        .output()
        .expect("riscv64-unknown-elf-gcc is installed");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    std::fs::read(out).unwrap()
}

#[test]
fn compiled_programs_become_the_same_images() {
    let folder = TempDir::new().unwrap();
    let mut cases = Vec::new();
    for chip in Chip::ALL {
        let Some(places) = places(chip) else { continue };
        let elf = compiled(chip, places, folder.path());
        let plain = Case::plain(chip, elf);
        let changed = |change: &dyn Fn(&mut ImageOptions)| {
            let mut case = plain.clone();
            change(&mut case.options);
            case
        };
        cases.push(changed(&|options| options.secure_pad = SecurePad::V2));
        cases.push(changed(&|options| options.use_segments = true));
        cases.push(changed(&|options| options.pad_to_multiple = Some(1 << 20)));
        cases.push(plain);
    }
    let (equal, refused) = compare(&cases);
    assert_eq!((equal, refused), (cases.len(), 0));
    for case in cases {
        let image = station_esp::image::Image::parse(&case.ours().unwrap()).unwrap();
        assert!(image.entry_is_loaded(), "{}", case.chip);
        let app = image.app.expect("the program has a descriptor");
        assert_eq!(app.project, "compiled");
    }
}
