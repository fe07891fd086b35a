//! Intel hex and UF2 files as images: parts, each with its own place.
//!
//! Invariants: flash is erased in whole sectors, so runs that share or touch a sector become one
//! part, which begins at a sector; between and before them stands 0xFF, as in erased flash. There are
//! at most [`MAX_PARTS`] parts, and no more bytes than the largest image has.

use toml::Spanned;

use station_esp::image::Part;
use station_esp::{hex, uf2};

use super::Context;
use super::images::{self, Entry, MAX_IMAGE, Recognised, only_chip};
use super::layout::SECTOR;
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::Place;

/// Most parts of a file.
const MAX_PARTS: usize = 256;

/// Reads a hex or UF2 file; `None` if something was reported.
pub(super) fn read(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    context: &mut Context,
) -> Option<Vec<Recognised>> {
    let bytes = images::read(file, &context.folder.join(file.get_ref()), context)?;
    let runs = match runs(entry, file, &bytes, context)? {
        Ok(runs) => in_sectors(runs),
        Err(reason) => Err(reason),
    };
    let parts = match runs {
        Ok(parts) => parts,
        Err(reason) => {
            let message = format!("`{}` is no good image: {reason}", file.get_ref());
            context.error(Finding::new(Code::BadImage, file.span(), message));
            return None;
        }
    };
    let mut found = Vec::with_capacity(parts.len());
    for part in &parts {
        let shown = format!("{} at {:#x}", file.get_ref(), part.address);
        let shown = Spanned::new(file.span(), shown);
        let own = entry.part(part.address, entry.said);
        found.push(Recognised {
            origin: file.get_ref().clone(),
            own_place: Some(Spanned::new(file.span(), Place::Offset(part.address))),
            ..images::part(&own, &shown, &part.bytes, context)?
        });
    }
    Some(found)
}

/// What the file holds, or why it cannot be read; `None` if something was reported.
fn runs(
    entry: &Entry<'_>,
    file: &Spanned<String>,
    bytes: &[u8],
    context: &mut Context,
) -> Option<Result<Vec<Part>, String>> {
    if !uf2::is_uf2(bytes) && !file.get_ref().to_ascii_lowercase().ends_with(".uf2") {
        return Some(hex::parse(bytes).map_err(|error| error.to_string()));
    }
    let read = match uf2::parse(bytes) {
        Ok(read) => read,
        Err(error) => return Some(Err(error.to_string())),
    };
    if let Some(family) = read.family {
        let chip = only_chip(entry, "a UF2 file of one family", file.span(), context)?;
        if family != uf2::family(chip) {
            let made_for = read.chip.map_or_else(
                || format!("family {family:#010x}"),
                |chip| chip.title().to_owned(),
            );
            let (shown, title) = (file.get_ref(), chip.title());
            let message = format!("`{shown}` is made for {made_for}, not for {title}");
            context.error(Finding::new(Code::WrongChip, file.span(), message));
            return None;
        }
    }
    if read.skipped > 0 {
        let count = read.skipped;
        return Some(Err(format!("{count} blocks are not for main flash")));
    }
    Some(Ok(read.parts))
}

/// Joins runs that share or touch a sector, and lets every part begin at one. The runs are ascending
/// and apart.
fn in_sectors(runs: Vec<Part>) -> Result<Vec<Part>, String> {
    let down = |address: u32| address / SECTOR * SECTOR;
    let mut parts: Vec<Part> = Vec::new();
    let mut total = 0;
    for run in runs {
        let begin = down(run.address);
        let joins = |part: &Part| u64::from(begin) <= part.end();
        if !parts.last().is_some_and(joins) {
            if parts.len() == MAX_PARTS {
                return Err(format!("it has more than {MAX_PARTS} parts"));
            }
            parts.push(Part::new(begin, Vec::new()));
        }
        let Some(part) = parts.last_mut() else {
            continue;
        };
        let gap = u64::from(run.address).saturating_sub(part.end());
        total += gap + run.bytes.len() as u64;
        if total > MAX_IMAGE {
            return Err("it has more bytes than any flash".to_owned());
        }
        // Less than a sector.
        let gap = usize::try_from(gap).unwrap_or_default();
        part.bytes.resize(part.bytes.len() + gap, 0xFF);
        part.bytes.extend(run.bytes);
    }
    if parts.is_empty() {
        return Err("it holds no bytes".to_owned());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_share_a_sector_are_one_part_which_begins_at_it() {
        let runs = vec![
            Part::new(0x1010, [1, 2]),
            Part::new(0x1020, [3]),
            Part::new(0x5000, [4]),
        ];
        let parts = in_sectors(runs).unwrap();
        let [first, second] = parts.as_slice() else {
            panic!("{parts:?}");
        };
        assert_eq!((first.address, first.bytes.len()), (0x1000, 0x21));
        assert_eq!(first.bytes[0x0F..0x13], [0xFF, 1, 2, 0xFF]);
        assert_eq!((first.bytes[0x1F], first.bytes[0x20]), (0xFF, 3));
        assert_eq!(
            (second.address, second.bytes.as_slice()),
            (0x5000, &[4][..])
        );
    }

    #[test]
    fn a_file_of_many_scattered_bytes_is_refused() {
        let runs = (0..1000).map(|at| Part::new(at * 0x10000, [0]));
        assert!(in_sectors(runs.collect()).is_err());
        assert!(in_sectors(Vec::new()).is_err());
    }
}
