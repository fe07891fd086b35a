//! Addresses at which esptool's memory maps change outside the mapped ranges.
//!
//! Sections that touch are one segment unless one of these lies between them. Source: runs of
//! `esptool elf2image` 5.6 on sections on both sides, at every 4 KiB where chips have memory.

use crate::chip::Chip;

/// Addresses below are those of padding.
const PADDING_END: u32 = 0x1_0000;

/// The borders of a chip, ascending.
fn borders(chip: Chip) -> &'static [u32] {
    match chip {
        Chip::Esp32 => ESP32,
        Chip::Esp32S2 => ESP32S2,
        Chip::Esp32S3 => ESP32S3,
        Chip::Esp32C2 => ESP32C2,
        Chip::Esp32C3 => ESP32C3,
        Chip::Esp32C5 => ESP32C5,
        Chip::Esp32C6 | Chip::Esp32H2 => ESP32C6,
        Chip::Esp32C61 => ESP32C61,
        Chip::Esp32H4 => ESP32H4,
        Chip::Esp32P4 => ESP32P4,
        Chip::Esp32S31 => ESP32S31,
    }
}

/// Whether two touching parts that begin at `before` and `address` lie on one side of everything.
pub(super) fn are_together(chip: Chip, before: u32, address: u32) -> bool {
    let spec = chip.spec();
    let between = before.saturating_add(1)..=address;
    let is_padding = |address| address < PADDING_END;
    is_padding(before) == is_padding(address)
        && spec.is_flash_mapped(before) == spec.is_flash_mapped(address)
        && !borders(chip).iter().any(|border| between.contains(border))
}

const ESP32: &[u32] = &[
    0x3FC0_0000,
    0x3FF8_0000,
    0x3FF8_2000,
    0x3FF9_0000,
    0x3FFA_E000,
    0x3FFE_0000,
    0x4000_0000,
    0x4007_0000,
    0x4007_8000,
    0x4008_0000,
    0x400A_0000,
    0x400C_0000,
    0x400C_2000,
    0x5000_0000,
    0x5000_2000,
];
const ESP32S2: &[u32] = &[
    0x3F50_0000,
    0x3FF8_0000,
    0x3FF9_E000,
    0x3FFA_0000,
    0x3FFB_0000,
    0x4000_0000,
    0x4002_0000,
    0x4007_0000,
    0x4007_2000,
    0x5000_0000,
    0x5000_2000,
];
const ESP32S3: &[u32] = &[
    0x3FC8_8000,
    0x3FD0_0000,
    0x4000_0000,
    0x4037_0000,
    0x403E_0000,
    0x403E_2000,
    0x5000_0000,
    0x5000_2000,
];
const ESP32C2: &[u32] = &[
    0x3FC8_8000,
    0x3FCA_0000,
    0x3FCE_0000,
    0x3FD0_0000,
    0x3FF0_0000,
    0x3FF5_0000,
    0x4000_0000,
    0x4009_0000,
    0x4037_C000,
    0x403C_0000,
];
const ESP32C3: &[u32] = &[
    0x3FC8_0000,
    0x3FC8_8000,
    0x3FCE_0000,
    0x3FD0_0000,
    0x3FF0_0000,
    0x3FF2_0000,
    0x4000_0000,
    0x4006_0000,
    0x4037_C000,
    0x403E_0000,
    0x5000_0000,
    0x5000_2000,
];
const ESP32C5: &[u32] = &[
    0x4000_0000,
    0x4003_A000,
    0x4004_0000,
    0x4080_0000,
    0x4086_0000,
    0x5000_0000,
    0x5000_4000,
];
const ESP32C6: &[u32] = &[
    0x4000_0000,
    0x4005_0000,
    0x4080_0000,
    0x4088_0000,
    0x5000_0000,
    0x5000_4000,
];
const ESP32C61: &[u32] = &[
    0x4000_0000,
    0x4005_0000,
    0x4080_0000,
    0x4086_0000,
    0x5000_0000,
    0x5000_4000,
];
const ESP32H4: &[u32] = &[0x4000_0000, 0x4002_0000, 0x4081_0000, 0x4086_0000];
const ESP32P4: &[u32] = &[0x4FF0_0000, 0x4FFA_0000];
const ESP32S31: &[u32] = &[0x2F00_0000, 0x2F08_0000, 0x2F80_0000, 0x2F85_0000];
