//! Flash usage as a picture: plain SVG text.
//!
//! Invariants: every text from outside is escaped; the size of the picture grows with the number of
//! partitions only; the same input makes the same bytes. Small partitions get a least width in the
//! bar, so it shows order and proportion, and the list under it the numbers.

use std::fmt::Write as _;

use crate::chip::Chip;
use crate::flash::size_text;
use crate::image::Content;
use crate::partition::{Entry, Kind, Subtype, TABLE_SECTOR, Table};

#[cfg(test)]
mod tests;

/// What is known about the content of a place in flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// Name of the partition, `bootloader` or `partition-table`.
    pub name: String,
    /// Bytes in use from its start.
    pub used: u32,
    /// What they are.
    pub content: Content,
}

/// One stretch of flash.
struct Stretch {
    name: String,
    note: String,
    start: u64,
    end: u64,
    colour: &'static str,
    used: Option<u64>,
}

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 16.0;
const BAR_TOP: f64 = 48.0;
const BAR_HEIGHT: f64 = 56.0;
const ROW: f64 = 20.0;
const LEAST: f64 = 6.0;
const FREE: &str = "#eeeeee";

/// Draws flash of `flash_size` bytes with a bootloader of `chip`, the table at `table_offset` and its
/// partitions; `fills` say how much of a place is in use, where that is known.
#[must_use]
pub fn flash_map(
    chip: Chip,
    flash_size: u32,
    table_offset: u32,
    table: &Table,
    fills: &[Fill],
) -> String {
    let stretches = stretches(chip, flash_size, table_offset, table, fills);
    let height = BAR_TOP + BAR_HEIGHT + 2.0 * MARGIN + ROW * (stretches.len() as f64 + 1.0);
    let mut svg = String::new();
    let title = format!("{} flash, {}", chip.title(), size_text(flash_size));
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>{0}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{MARGIN}\" y=\"30\" font-size=\"16\">{0}</text>\n",
        escaped(&title)
    );
    bar(&mut svg, &stretches);
    list(&mut svg, &stretches);
    svg.push_str("</svg>\n");
    svg
}

fn stretches(
    chip: Chip,
    flash_size: u32,
    table_offset: u32,
    table: &Table,
    fills: &[Fill],
) -> Vec<Stretch> {
    let used = |name: &str| {
        let fill = fills.iter().find(|fill| fill.name == name);
        fill.map(|fill| match fill.content {
            Content::Erased => 0,
            Content::Image | Content::Table | Content::Data => u64::from(fill.used),
        })
    };
    let entries = table.entries();
    let mut known: Vec<Stretch> = entries
        .iter()
        .map(|entry| Stretch {
            name: entry.name.clone(),
            note: format!("{}, {}", entry.kind.name(), entry.subtype.name(entry.kind)),
            start: entry.offset.into(),
            end: entry.end(),
            colour: colour(entry),
            used: used(&entry.name),
        })
        .collect();
    let boot = u64::from(chip.spec().bootloader_offset);
    let table_at = u64::from(table_offset);
    for (name, start, end) in [
        ("bootloader", boot, table_at),
        (
            "partition-table",
            table_at,
            table_at + u64::from(TABLE_SECTOR),
        ),
    ] {
        let overlaps = |one: &Stretch| one.start < end && start < one.end;
        if start < end && !known.iter().any(overlaps) {
            known.push(Stretch {
                name: name.to_owned(),
                note: String::new(),
                start,
                end,
                colour: "#9aa5b1",
                used: used(name),
            });
        }
    }
    known.sort_by_key(|one| one.start);
    with_gaps(known, flash_size.into())
}

fn with_gaps(known: Vec<Stretch>, flash_size: u64) -> Vec<Stretch> {
    let gap = |start, end| Stretch {
        name: "free".to_owned(),
        note: String::new(),
        start,
        end,
        colour: FREE,
        used: None,
    };
    let mut all = Vec::with_capacity(known.len() * 2 + 1);
    let mut at = 0;
    for mut one in known {
        if one.start > at {
            all.push(gap(at, one.start));
        }
        at = at.max(one.end);
        if one.end > flash_size {
            one.note.push_str(", beyond the end of flash");
            one.colour = "#d64545";
        }
        all.push(one);
    }
    if at < flash_size {
        all.push(gap(at, flash_size));
    }
    all
}

fn colour(entry: &Entry) -> &'static str {
    match (entry.kind, entry.subtype) {
        (Kind::App, Subtype::FACTORY) => "#2f7ed8",
        (Kind::App, _) => "#6aa5e3",
        (Kind::Data, Subtype::NVS) => "#57ae5b",
        (Kind::Data, Subtype::OTADATA) => "#e0a43b",
        (Kind::Data, _) => "#9ccc65",
        (Kind::Bootloader | Kind::PartitionTable, _) => "#9aa5b1",
        (Kind::Custom(_), _) => "#b58bd6",
    }
}

fn bar(svg: &mut String, stretches: &[Stretch]) {
    let whole: u64 = stretches.iter().map(|one| one.end - one.start).sum();
    let share = |one: &Stretch| (one.end - one.start) as f64 / (whole.max(1)) as f64;
    let room = WIDTH - 2.0 * MARGIN;
    // Everything gets its least width first, and the rest is shared out.
    let least = LEAST.min(room / (stretches.len().max(1)) as f64);
    let shared = room - least * stretches.len() as f64;
    let mut x = MARGIN;
    for one in stretches {
        let width = least + shared * share(one);
        let label = escaped(&format!("{} {:#x} to {:#x}", one.name, one.start, one.end));
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.2}\" y=\"{BAR_TOP}\" width=\"{width:.2}\" height=\"{BAR_HEIGHT}\" \
             fill=\"{}\" stroke=\"#ffffff\"><title>{label}</title></rect>",
            one.colour
        );
        if let Some(used) = one.used {
            let part = used.min(one.end - one.start) as f64 / (one.end - one.start).max(1) as f64;
            let top = BAR_TOP + BAR_HEIGHT - 10.0;
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.2}\" y=\"{top}\" width=\"{:.2}\" height=\"10\" fill=\"#00000066\"/>",
                width * part
            );
        }
        if width > 8.0 * one.name.chars().count() as f64 {
            let _ = writeln!(
                svg,
                "<text x=\"{:.2}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                x + width / 2.0,
                BAR_TOP + BAR_HEIGHT / 2.0,
                escaped(&one.name)
            );
        }
        x += width;
    }
}

fn list(svg: &mut String, stretches: &[Stretch]) {
    let mut y = BAR_TOP + BAR_HEIGHT + 2.0 * MARGIN;
    for one in stretches {
        let size = one.end - one.start;
        let used = one.used.map_or_else(String::new, |used| {
            format!(
                "{used} of {size} bytes used ({}%)",
                used * 100 / size.max(1)
            )
        });
        let _ = writeln!(
            svg,
            "<rect x=\"{MARGIN}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/>",
            y - 10.0,
            one.colour
        );
        let cells = [
            (36.0, one.name.clone()),
            (220.0, format!("{:#010x}", one.start)),
            (330.0, format!("{:#010x}", one.end)),
            (440.0, amount(size)),
            (540.0, one.note.clone()),
            (740.0, used),
        ];
        for (x, text) in cells.into_iter().filter(|(_, text)| !text.is_empty()) {
            let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\">{}</text>", escaped(&text));
        }
        y += ROW;
    }
}

fn amount(size: u64) -> String {
    match size {
        size if size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        size if size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        size => format!("{size} bytes"),
    }
}

/// Text that means nothing but itself in XML; what XML cannot hold becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{FFFE}' | '\u{FFFF}' => out.push(char::REPLACEMENT_CHARACTER),
            letter if letter.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            letter => out.push(letter),
        }
    }
    out
}
