//! What a chip's package and fuses promise, in words.

use crate::chip::Chip;

use super::{EfuseImage, FieldName};

/// The features of the chip whose fuses these are, most general first.
///
/// Source: the names and codes that esptool 5.6 prints; unknown codes are said to be unknown.
#[must_use]
pub fn features(fuses: &EfuseImage) -> Vec<String> {
    let mut list: Vec<String> = fixed(fuses.chip())
        .iter()
        .map(|&text| text.to_owned())
        .collect();
    if fuses.chip() == Chip::Esp32 {
        first_generation(fuses, &mut list);
        return list;
    }
    let vendor = fuses.read(FieldName::FlashVendor).unwrap_or(0);
    if let Some(code) = fuses
        .read(FieldName::FlashCapacity)
        .filter(|code| *code != 0)
    {
        list.push(embedded(
            "flash",
            flash_size(fuses.chip(), code),
            flash_vendor(vendor),
        ));
    }
    let vendor = fuses.read(FieldName::PsramVendor).unwrap_or(0);
    if let Some(code) = fuses
        .read(FieldName::PsramCapacity)
        .filter(|code| *code != 0)
    {
        let maker = if vendor == 0 { None } else { Some("AP") };
        list.push(embedded("PSRAM", psram_size(fuses.chip(), code), maker));
    }
    list
}

fn fixed(chip: Chip) -> &'static [&'static str] {
    match chip {
        Chip::Esp32 => &["Wi-Fi"],
        Chip::Esp32S2 => &["Wi-Fi", "single core", "240 MHz"],
        Chip::Esp32S3 => &["Wi-Fi", "Bluetooth 5 LE", "dual core", "240 MHz"],
        Chip::Esp32C2 => &["Wi-Fi", "Bluetooth 5 LE", "single core", "120 MHz"],
        Chip::Esp32C3 => &["Wi-Fi", "Bluetooth 5 LE", "single core", "160 MHz"],
        Chip::Esp32C5 => &[
            "Wi-Fi 6 dual-band",
            "Bluetooth 5 LE",
            "IEEE 802.15.4",
            "single core",
            "240 MHz",
        ],
        Chip::Esp32C6 => &[
            "Wi-Fi 6",
            "Bluetooth 5 LE",
            "IEEE 802.15.4",
            "single core",
            "160 MHz",
        ],
        Chip::Esp32C61 => &["Wi-Fi 6", "Bluetooth 5 LE", "single core", "160 MHz"],
        Chip::Esp32H2 => &["Bluetooth 5 LE", "IEEE 802.15.4", "single core", "96 MHz"],
        Chip::Esp32H4 => &["Bluetooth 5 LE", "IEEE 802.15.4", "dual core", "96 MHz"],
        Chip::Esp32P4 => &["dual core", "400 MHz"],
        Chip::Esp32S31 => &[
            "Wi-Fi 6",
            "Bluetooth 5.4 LE",
            "IEEE 802.15.4",
            "dual core",
            "300 MHz",
        ],
    }
}

fn first_generation(fuses: &EfuseImage, list: &mut Vec<String>) {
    let set = |name| fuses.read(name).unwrap_or(0) != 0;
    if !set(FieldName::DisableBt) {
        list.push("Bluetooth".to_owned());
    }
    let cores = if set(FieldName::DisableAppCpu) {
        "single core"
    } else {
        "dual core"
    };
    list.push(cores.to_owned());
    if set(FieldName::CpuClockRated) {
        let clock = if set(FieldName::CpuClockLow) {
            "160 MHz"
        } else {
            "240 MHz"
        };
        list.push(clock.to_owned());
    }
    let package = fuses.read(FieldName::Package).unwrap_or(0);
    if matches!(package, 2 | 4 | 5 | 6) {
        list.push("embedded flash".to_owned());
    }
    if package == 6 {
        list.push("embedded PSRAM".to_owned());
    }
    if set(FieldName::AdcVref) {
        list.push("ADC reference calibrated".to_owned());
    }
    let coding = match fuses.read(FieldName::CodingScheme).unwrap_or(0) {
        1 => "eFuse coding 3/4",
        2 => "eFuse coding repeat",
        _ => "eFuse coding none",
    };
    list.push(coding.to_owned());
}

fn embedded(what: &str, size: Option<&str>, maker: Option<&str>) -> String {
    let size = size.unwrap_or("of unknown size");
    match maker {
        Some(maker) => format!("embedded {what} {size} ({maker})"),
        None => format!("embedded {what} {size}"),
    }
}

fn flash_vendor(code: u64) -> Option<&'static str> {
    match code {
        1 => Some("XMC"),
        2 => Some("GD"),
        3 => Some("FM"),
        4 => Some("TT"),
        _ => None,
    }
}

fn flash_size(chip: Chip, code: u64) -> Option<&'static str> {
    let sizes: &[&str] = match chip {
        Chip::Esp32S2 => &["2MB", "4MB"],
        Chip::Esp32S3 => &["8MB", "4MB"],
        Chip::Esp32C3 => &["4MB", "2MB", "1MB", "8MB"],
        Chip::Esp32C2 | Chip::Esp32H2 => &["4MB", "2MB", "1MB"],
        Chip::Esp32C6 | Chip::Esp32C61 => &["4MB", "8MB"],
        Chip::Esp32C5 | Chip::Esp32H4 => &["4MB"],
        Chip::Esp32 | Chip::Esp32P4 | Chip::Esp32S31 => &[],
    };
    sizes
        .get(usize::try_from(code).ok()?.checked_sub(1)?)
        .copied()
}

fn psram_size(chip: Chip, code: u64) -> Option<&'static str> {
    let sizes: &[&str] = match chip {
        Chip::Esp32S2 => &["2MB", "4MB"],
        Chip::Esp32S3 => &["8MB", "2MB", "16MB", "4MB"],
        Chip::Esp32C5 => &["4MB", "8MB"],
        Chip::Esp32C61 => &["2MB", "8MB"],
        Chip::Esp32H4 => &["8MB", "2MB"],
        Chip::Esp32
        | Chip::Esp32C2
        | Chip::Esp32C3
        | Chip::Esp32C6
        | Chip::Esp32H2
        | Chip::Esp32P4
        | Chip::Esp32S31 => &[],
    };
    sizes
        .get(usize::try_from(code).ok()?.checked_sub(1)?)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_flash_is_told_with_size_and_maker() {
        let mut fuses = EfuseImage::new(Chip::Esp32C3);
        assert!(!features(&fuses).iter().any(|text| text.contains("flash")));
        fuses.write(FieldName::FlashCapacity, 1).unwrap();
        fuses.write(FieldName::FlashVendor, 2).unwrap();
        assert!(features(&fuses).contains(&"embedded flash 4MB (GD)".to_owned()));
        fuses.write(FieldName::FlashCapacity, 7).unwrap();
        assert!(features(&fuses).contains(&"embedded flash of unknown size (GD)".to_owned()));
    }

    #[test]
    fn every_chip_has_features_even_when_blank() {
        for chip in Chip::ALL {
            assert!(features(&EfuseImage::new(chip)).len() >= 2, "{chip}");
        }
    }
}
