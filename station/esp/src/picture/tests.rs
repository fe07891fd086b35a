//! What the picture shows, and names that try to be markup.

use super::*;

fn table(name: &str) -> Table {
    let csv = format!(
        "nvs, data, nvs, 0x9000, 0x6000\n{name}, app, factory, 0x10000, 1M\nown, 0x40, 0, , 0x1000"
    );
    Table::parse_csv(&csv).unwrap()
}

fn drawn(table: &Table, size: u32, fills: &[Fill]) -> String {
    flash_map(Chip::Esp32C3, size, 0x8000, table, fills)
}

#[test]
fn every_partition_the_bootloader_the_table_and_the_gaps_are_shown() {
    let svg = drawn(&table("app"), 4 << 20, &[]);
    for name in ["bootloader", "partition-table", "nvs", "app", "own", "free"] {
        assert!(svg.contains(&format!(">{name}</text>")), "{name}: {svg}");
    }
    assert!(svg.contains("ESP32-C3 flash, 4MB"), "{svg}");
    // The sector between nvs and app is one gap, the rest of flash another.
    assert_eq!(svg.matches(">free</text>").count(), 3, "{svg}");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
}

#[test]
fn usage_is_shown_where_it_is_known() {
    let fill = |content| Fill {
        name: "app".to_owned(),
        used: 524_288,
        content,
    };
    let svg = drawn(&table("app"), 4 << 20, &[fill(Content::Image)]);
    assert!(svg.contains("524288 of 1048576 bytes used (50%)"), "{svg}");
    let svg = drawn(&table("app"), 4 << 20, &[fill(Content::Erased)]);
    assert!(svg.contains("0 of 1048576 bytes used (0%)"), "{svg}");
}

#[test]
fn names_are_text_and_never_markup() {
    let svg = drawn(&table("<b>&\"'"), 4 << 20, &[]);
    assert!(!svg.contains("<b>"), "{svg}");
    assert!(svg.contains("&lt;b&gt;&amp;&quot;&#39;"), "{svg}");
}

#[test]
fn partitions_beyond_the_end_of_flash_are_said_to_be() {
    let svg = drawn(&table("app"), 1 << 20, &[]);
    assert_eq!(svg.matches("beyond the end of flash").count(), 2, "{svg}");
}

#[test]
fn the_bar_never_leaves_the_picture() {
    let rows: Vec<String> = (0..94)
        .map(|at| format!("p{at}, data, 0x40, {:#x}, 0x1000", 0x9000 + at * 0x2000))
        .collect();
    let table = Table::parse_csv(&rows.join("\n")).unwrap();
    let svg = drawn(&table, 16 << 20, &[]);
    for row in svg.lines().filter(|row| row.contains("stroke=")) {
        let number = |key: &str| -> f64 {
            let at = row.find(key).unwrap() + key.len();
            row[at..].split('"').next().unwrap().parse().unwrap()
        };
        assert!(
            number(" x=\"") + number(" width=\"") <= WIDTH - MARGIN + 0.5,
            "{row}"
        );
    }
}
