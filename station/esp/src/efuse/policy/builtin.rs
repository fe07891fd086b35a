//! The two policies every station has.
//!
//! Sources: ESP-IDF's security overview and its guides on flash encryption and secure boot.

use crate::chip::{Chip, Revision};
use crate::efuse::map::{FuseMap, fuse_map};

use super::{Danger, Level, Policy, Rule, Want};

/// The built-in policy with this name.
#[must_use]
pub fn builtin(name: &str, chip: Chip, revision: Revision) -> Option<Policy> {
    match name {
        "development" => Some(development(chip, revision)),
        "production" => Some(production(chip, revision)),
        _ => None,
    }
}

/// A field and what it is good for.
type Reason = (&'static str, &'static str);

/// What must stay open while a product is developed.
const OPEN: [(&str, &str); 8] = [
    ("DIS_DOWNLOAD_MODE", "the board can be programmed again"),
    ("UART_DOWNLOAD_DIS", "the board can be programmed again"),
    ("ENABLE_SECURITY_DOWNLOAD", "fuses and flash can be read"),
    ("SECURE_BOOT_EN", "unsigned firmware starts"),
    ("ABS_DONE_0", "unsigned firmware starts"),
    ("ABS_DONE_1", "unsigned firmware starts"),
    ("DIS_PAD_JTAG", "a debugger can be attached"),
    ("JTAG_DISABLE", "a debugger can be attached"),
];

/// What is set in a product that is shipped.
const SET: [Reason; 17] = [
    (
        "DIS_DOWNLOAD_MANUAL_ENCRYPT",
        "nobody encrypts own data with the product's key",
    ),
    (
        "DIS_DOWNLOAD_ICACHE",
        "nobody reads decrypted flash through the cache",
    ),
    (
        "DIS_DOWNLOAD_DCACHE",
        "nobody reads decrypted flash through the cache",
    ),
    (
        "DISABLE_DL_ENCRYPT",
        "nobody encrypts own data with the product's key",
    ),
    (
        "DISABLE_DL_DECRYPT",
        "nobody decrypts flash in download mode",
    ),
    (
        "DISABLE_DL_CACHE",
        "nobody reads decrypted flash through the cache",
    ),
    ("DIS_PAD_JTAG", "no debugger over the pins"),
    ("HARD_DIS_JTAG", "no debugger over the pins"),
    ("JTAG_DISABLE", "no debugger over the pins"),
    ("DIS_USB_JTAG", "no debugger over USB"),
    ("DIS_DIRECT_BOOT", "no start past the bootloader"),
    ("DIS_LEGACY_SPI_BOOT", "no start past the bootloader"),
    ("DIS_BOOT_REMAP", "no start from memory in place of ROM"),
    ("CONSOLE_DEBUG_DISABLE", "no BASIC interpreter in ROM"),
    ("FLASH_CRYPT_CONFIG", "the key varies over all of flash"),
    ("SECURE_BOOT_EN", "only signed firmware starts"),
    (
        "ENABLE_SECURITY_DOWNLOAD",
        "download mode shows and changes nothing",
    ),
];

fn rule(field: &str, want: Want, level: Level, why: &str) -> Rule {
    Rule {
        field: field.to_owned(),
        want,
        level,
        why: why.to_owned(),
    }
}

fn width(map: &FuseMap, name: &str) -> Option<u32> {
    map.field(name).map(crate::efuse::map::FuseField::width)
}

/// Everything stays open that a developer needs.
#[must_use]
pub fn development(chip: Chip, revision: Revision) -> Policy {
    let map = fuse_map(chip, revision);
    let open = OPEN.iter().filter(|(name, _)| map.field(name).is_some());
    Policy {
        name: "development".to_owned(),
        why: "a board on a desk: nothing is closed that a developer needs".to_owned(),
        rules: open
            .map(|(name, why)| rule(name, Want::Value(0), Level::Must, why))
            .collect(),
        accept: Vec::new(),
    }
}

/// Encrypted, signed, and closed as far as Espressif's guides go.
#[must_use]
pub fn production(chip: Chip, revision: Revision) -> Policy {
    let map = fuse_map(chip, revision);
    let mut rules = vec![
        rule("encryption", Want::Key, Level::Must, "flash is encrypted"),
        rule(
            secure_boot_key(chip, revision),
            Want::Key,
            Level::Must,
            "only signed firmware starts",
        ),
    ];
    for name in ["SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT"] {
        if map.field(name).is_some() {
            let why = "flash encryption cannot be switched off";
            rules.push(rule(name, Want::Full, Level::Must, why));
        }
    }
    for (name, why) in SET {
        if let Some(width) = width(map, name) {
            let value = u64::MAX >> (64 - width.clamp(1, 64));
            rules.push(rule(name, Want::Value(value), Level::Must, why));
        }
    }
    if chip == Chip::Esp32 {
        let (name, download) = if revision >= Revision::new(3, 0) {
            ("ABS_DONE_1", true)
        } else {
            ("ABS_DONE_0", false)
        };
        let why = "only signed firmware starts";
        rules.push(rule(name, Want::Value(1), Level::Must, why));
        if download {
            let why = "download mode shows and changes nothing";
            rules.push(rule("UART_DOWNLOAD_DIS", Want::Value(1), Level::Must, why));
        }
    }
    let closed = [
        (
            "RD_DIS",
            Level::Must,
            "nobody hides the digest of secure boot",
        ),
        (
            "DIS_ICACHE",
            Level::Should,
            "what was set stays as it was chosen",
        ),
    ];
    for (name, level, why) in closed {
        if map
            .field(name)
            .is_some_and(|field| field.write_disable.is_some())
        {
            rules.push(rule(name, Want::Closed, level, why));
        }
    }
    Policy {
        name: "production".to_owned(),
        why: "a product that is shipped: encrypted, signed, closed".to_owned(),
        rules,
        accept: accepted(chip),
    }
}

fn secure_boot_key(chip: Chip, revision: Revision) -> &'static str {
    if chip == Chip::Esp32 && revision < Revision::new(3, 0) {
        "secure_boot_v1"
    } else {
        "secure-boot"
    }
}

/// Closing the ESP32's only download mode is part of shipping it.
fn accepted(chip: Chip) -> Vec<Danger> {
    if chip == Chip::Esp32 {
        vec![Danger::DownloadClosed]
    } else {
        Vec::new()
    }
}
