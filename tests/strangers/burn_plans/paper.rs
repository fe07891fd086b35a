//! espefuse's chip on paper: a file with the registers of one chip.

use std::fs;
use std::path::Path;

use station_esp::efuse::EfuseImage;
use station_esp::efuse::map::{FuseMap, fuse_map};
use station_esp::efuse::plan::Snapshot;
use station_esp::{Chip, MacAddress, Revision};

use super::board;
use super::case::Case;
use crate::support::stranger;

/// The register space in espefuse's file, last byte first.
struct Registers<'a> {
    map: &'static FuseMap,
    file: &'a Path,
}

impl Registers<'_> {
    fn size(&self) -> usize {
        if self.map.chip == Chip::Esp32 {
            0x120
        } else {
            0x200
        }
    }

    fn places(&self) -> impl Iterator<Item = (u8, usize, usize)> {
        let base = self.map.controller.base;
        self.map.blocks.iter().flat_map(move |block| {
            let offset = (block.read - base) as usize;
            (0..usize::from(block.words)).map(move |word| (block.number, word, offset + word * 4))
        })
    }

    fn write(&self, fuses: &EfuseImage) {
        let mut bytes = vec![0; self.size()];
        for (block, word, offset) in self.places() {
            bytes[offset..offset + 4].copy_from_slice(&fuses.block(block)[word].to_le_bytes());
        }
        bytes.reverse();
        fs::write(self.file, bytes).unwrap();
    }

    fn read(&self, like: &EfuseImage) -> EfuseImage {
        let mut bytes = fs::read(self.file).unwrap();
        bytes.reverse();
        let mut fuses = like.clone();
        for (block, word, offset) in self.places() {
            let own = bytes[offset..offset + 4].try_into().unwrap();
            fuses.block_mut(block)[word] = u32::from_le_bytes(own);
        }
        fuses
    }
}

/// A chip from the factory. espefuse's ESP32 on paper is of revision 3, whatever its fuses say.
pub(super) fn blank(chip: Chip, revision: Revision) -> Snapshot {
    let mac = MacAddress([0x7C, 0xDF, 0xA1, 0x01, 0x02, 0x03]);
    let mut fuses = EfuseImage::new(chip);
    fuses.set_mac(mac).unwrap();
    fuses.set_revision(revision).unwrap();
    Snapshot {
        chip,
        revision,
        mac,
        crystal_mhz: board::crystal(chip),
        fuses,
        errors: Vec::new(),
    }
}

/// The names of all fields espefuse has for this chip, in quotes: its summary as JSON.
pub(super) fn known_names(snapshot: &Snapshot, folder: &Path) -> String {
    let mut case = Case::new();
    case.say(&["summary", "--format", "json"]);
    espefuse(snapshot, &case, folder).said
}

/// What espefuse did.
pub(super) struct Theirs {
    pub(super) said: String,
    pub(super) refusal: Option<String>,
    pub(super) fuses: EfuseImage,
}

pub(super) fn espefuse(snapshot: &Snapshot, case: &Case, folder: &Path) -> Theirs {
    let file = folder.join("registers");
    let registers = Registers {
        map: fuse_map(snapshot.chip, snapshot.revision),
        file: &file,
    };
    registers.write(&snapshot.fuses);
    let path = file.display().to_string();
    let mut arguments = vec![
        "--chip",
        snapshot.chip.name(),
        "--virt",
        "--path-efuse-file",
    ];
    arguments.extend([path.as_str(), "--do-not-confirm"]);
    arguments.extend(case.all_words());
    let ran = stranger("espefuse", &arguments);
    let failed = ran.code != 0;
    Theirs {
        refusal: failed.then(|| unwrapped(&format!("{}{}", ran.out, ran.err))),
        said: ran.out,
        fuses: registers.read(&snapshot.fuses),
    }
}

/// Text without the frames and line breaks that a narrow terminal gets.
fn unwrapped(text: &str) -> String {
    let plain = text.replace('│', " ");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}
