//! One ELF with options for both programs, and what each makes of it.

use std::path::Path;

use station_esp::chip::{Chip, Revision};
use station_esp::elf::{self, ElfError, FlashSettings, ImageOptions, SecurePad};
use station_esp::image::FlashMode;
use tempfile::TempDir;

use crate::support::python;

/// One ELF with options, for both.
#[derive(Debug, Clone)]
pub struct Case {
    /// The chip.
    pub chip: Chip,
    /// The program.
    pub elf: Vec<u8>,
    /// What is chosen.
    pub options: ImageOptions,
}

impl Case {
    /// With what esptool takes for granted.
    pub fn plain(chip: Chip, elf: Vec<u8>) -> Self {
        // 1 MB at the clock with code 0, quad.
        let known = chip.spec().flash_frequencies;
        let slow = known.iter().rfind(|(_, code)| *code == 0).unwrap();
        let flash = FlashSettings {
            mode: FlashMode::Qio,
            frequency_mhz: slow.0,
            size: 1 << 20,
        };
        Self {
            chip,
            elf,
            options: ImageOptions::new(flash),
        }
    }

    /// The arguments that mean these options to esptool.
    fn arguments(&self, input: &Path, output: &Path) -> Vec<String> {
        let mut words = format!("--chip {} elf2image", self.chip);
        let options = &self.options;
        let flash = &options.flash;
        words += &format!(
            " --flash-mode {} --flash-freq {}m --flash-size {}MB",
            flash.mode.name(),
            flash.frequency_mhz,
            flash.size >> 20
        );
        if options.min_revision != Revision::default() {
            words += &format!(" --min-rev-full {}", options.min_revision.value());
        }
        if let Some(newest) = options.max_revision {
            words += &format!(" --max-rev-full {}", newest.value());
        }
        if let Some(bytes) = options.mmu_page_size {
            words += &format!(" --flash-mmu-page-size {}KB", bytes >> 10);
        }
        match options.secure_pad {
            SecurePad::None => {}
            SecurePad::V1 => words += " --secure-pad",
            SecurePad::V2 => words += " --secure-pad-v2",
        }
        if let Some(bytes) = options.pad_to_multiple {
            words += &format!(" --pad-to-size {}KB", bytes >> 10);
        }
        if let Some(offset) = options.elf_sha256_offset {
            words += &format!(" --elf-sha256-offset {offset:#x}");
        }
        for (chosen, word) in [
            (!options.hash, " --dont-append-digest"),
            (options.use_segments, " --use-segments"),
            (options.ram_only_header, " --ram-only-header"),
        ] {
            if chosen {
                words += word;
            }
        }
        let mut words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let place = |path: &Path| path.display().to_string();
        words.extend(["--output".to_owned(), place(output), place(input)]);
        words
    }

    /// What we make of it.
    pub fn ours(&self) -> Result<Vec<u8>, ElfError> {
        elf::to_image(&self.elf, self.chip, &self.options)
    }
}

/// What esptool makes of each, or why it does not.
fn theirs(cases: &[Case]) -> Vec<Result<Vec<u8>, String>> {
    let folder = TempDir::new().unwrap();
    let at = |name: String| folder.path().join(name);
    let mut lines = String::new();
    for (number, case) in cases.iter().enumerate() {
        let (input, output) = (at(format!("{number}.elf")), at(format!("{number}.bin")));
        std::fs::write(&input, &case.elf).unwrap();
        lines += &json_list(&case.arguments(&input, &output));
        lines.push('\n');
    }
    std::fs::write(at("lines".to_owned()), lines).unwrap();
    let driver = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/strangers/elf2image/driver.py"
    );
    let ran = python()
        .arg(driver)
        .arg(at("lines".to_owned()))
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    (0..cases.len())
        .map(
            |number| match std::fs::read_to_string(at(format!("{number}.error"))) {
                Ok(reason) => Err(reason),
                Err(_) => Ok(std::fs::read(at(format!("{number}.bin"))).unwrap()),
            },
        )
        .collect()
}

/// A list of texts in JSON; none of them needs escapes beyond those Rust and JSON share.
fn json_list(words: &[String]) -> String {
    format!("{words:?}")
}

fn difference(ours: &[u8], theirs: &[u8]) -> String {
    let first = ours
        .iter()
        .zip(theirs)
        .position(|(one, other)| one != other);
    let at = first.unwrap_or(0) / 16 * 16;
    let line = |bytes: &[u8]| {
        bytes
            .iter()
            .skip(at)
            .take(32)
            .map(|b| format!("{b:02x}"))
            .collect::<String>()
    };
    format!(
        "{} and {} bytes, first difference {first:x?}: {} {}",
        ours.len(),
        theirs.len(),
        line(ours),
        line(theirs)
    )
}

/// Whether ours may refuse what esptool takes: see the differences by choice in `elf/convert.rs`.
fn is_choice(case: &Case, error: &ElfError) -> bool {
    if error.code() == "image-revisions" {
        return true;
    }
    let error = error.to_string();
    (case.options.elf_sha256_offset.is_some() && error.ends_with("no segment holds that place"))
        || error.ends_with("goes beyond the address space")
}

/// How many images are equal and how many ELFs both refuse; fails at the first difference.
pub fn compare(cases: &[Case]) -> (usize, usize) {
    let (mut equal, mut refused, mut differences) = (0, 0, Vec::new());
    for (number, (case, theirs)) in cases.iter().zip(theirs(cases)).enumerate() {
        let difference = match (case.ours(), theirs) {
            (Ok(ours), Ok(theirs)) if ours == theirs => {
                equal += 1;
                continue;
            }
            (Err(error), Ok(_)) if is_choice(case, &error) => continue,
            // It joins sections that begin within a word, and then refuses what it made.
            (Ok(_), Err(theirs)) if theirs.ends_with("It has to be multiple of 4.") => continue,
            (Err(_), Err(_)) => {
                refused += 1;
                continue;
            }
            (Ok(ours), Ok(theirs)) => difference(&ours, &theirs),
            (Ok(_), Err(theirs)) => format!("only esptool refuses: {theirs}"),
            (Err(ours), Ok(_)) => format!("only we refuse: {ours}"),
        };
        let arguments = case.arguments(Path::new("IN"), Path::new("OUT"));
        let path = std::env::temp_dir().join(format!("difference-{}-{number}.elf", cases.len()));
        std::fs::write(&path, &case.elf).unwrap();
        differences.push(format!(
            "{} of {}: {difference}",
            arguments.join(" "),
            path.display()
        ));
    }
    assert!(differences.is_empty(), "{differences:#?}");
    (equal, refused)
}
