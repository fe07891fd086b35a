//! What a chip finds in its flash when it boots, and what its ROM and bootloader print about it.
//!
//! Invariants: looking changes nothing; whatever is in flash leads to a finding, never to a panic;
//! texts have the form that hosts look for (`rst:`, `boot:`, `waiting for download`).

use std::fmt::Write as _;

use station_esp::Chip;

mod examine;

pub use examine::{Finding, Outline, Segment, examine};

/// Why a chip came out of reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// Power, or the EN pin.
    PowerOn,
    /// A program asked for it.
    Software,
    /// The supply was too low.
    Brownout,
    /// The watchdog of timer group 0: a boot that got stuck.
    Watchdog,
    /// The RTC watchdog.
    RtcWatchdog,
    /// The USB serial and JTAG port.
    Usb,
}

impl ResetReason {
    /// Code and name as the ROM prints them.
    const fn text(self, chip: Chip) -> (u8, &'static str) {
        match (chip, self) {
            (Chip::Esp32, Self::PowerOn | Self::Usb) => (0x01, "POWERON_RESET"),
            (Chip::Esp32, Self::Software) => (0x0C, "SW_CPU_RESET"),
            (Chip::Esp32, Self::Brownout) => (0x0F, "RTCWDT_BROWN_OUT_RESET"),
            (Chip::Esp32, Self::Watchdog) => (0x07, "TG0WDT_SYS_RESET"),
            (Chip::Esp32, Self::RtcWatchdog) => (0x10, "RTCWDT_RTC_RESET"),
            (_, Self::PowerOn) => (0x01, "POWERON"),
            (_, Self::Software) => (0x03, "RTC_SW_SYS_RST"),
            (_, Self::Brownout) => (0x0F, "BROWN_OUT_RST"),
            (_, Self::Watchdog) => (0x07, "TG0WDT_SYS_RST"),
            (_, Self::RtcWatchdog) => (0x10, "RTCWDT_RTC_RST"),
            (_, Self::Usb) => (0x15, "USB_UART_CHIP_RESET"),
        }
    }
}

/// The first lines of a ROM. Those of the ESP32-C61, H4 and S31 are made up after the others'
/// pattern; the rest are as chips print them.
const fn banner(chip: Chip) -> &'static str {
    match chip {
        Chip::Esp32 => "ets Jul 29 2019 12:21:46\r\n\r\n",
        Chip::Esp32S2 => "ESP-ROM:esp32s2-rc4-20191025\r\nBuild:Oct 25 2019\r\n",
        Chip::Esp32S3 => "ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\n",
        Chip::Esp32C2 => "ESP-ROM:esp8684-api2-20220127\r\nBuild:Jan 27 2022\r\n",
        Chip::Esp32C3 => "ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\n",
        Chip::Esp32C5 => "ESP-ROM:esp32c5-eco2-20250121\r\nBuild:Jan 21 2025\r\n",
        Chip::Esp32C6 => "ESP-ROM:esp32c6-20220919\r\nBuild:Sep 19 2022\r\n",
        Chip::Esp32C61 => "ESP-ROM:esp32c61-20241111\r\nBuild:Nov 11 2024\r\n",
        Chip::Esp32H2 => "ESP-ROM:esp32h2-20221101\r\nBuild:Nov  1 2022\r\n",
        Chip::Esp32H4 => "ESP-ROM:esp32h4-20250605\r\nBuild:Jun  5 2025\r\n",
        Chip::Esp32P4 => "ESP-ROM:esp32p4-eco2-20240710\r\nBuild:Jul 10 2024\r\n",
        Chip::Esp32S31 => "ESP-ROM:esp32s31-20250901\r\nBuild:Sep  1 2025\r\n",
    }
}

/// Boot mode as the ROM prints it: strapping pins and name.
const fn boot_mode(chip: Chip, download: bool) -> (u16, &'static str) {
    match (chip, download) {
        (Chip::Esp32, false) => (0x13, "SPI_FAST_FLASH_BOOT"),
        (Chip::Esp32, true) => (0x03, "DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2)"),
        (Chip::Esp32S2 | Chip::Esp32S3, false) => (0x08, "SPI_FAST_FLASH_BOOT"),
        (Chip::Esp32S2 | Chip::Esp32S3, true) => (0x00, "DOWNLOAD(USB/UART0)"),
        (Chip::Esp32P4, false) => (0x30F, "SPI_FAST_FLASH_BOOT"),
        (Chip::Esp32P4, true) => (0x307, "DOWNLOAD(USB/UART0/SPI)"),
        (_, false) => (0x0C, "SPI_FAST_FLASH_BOOT"),
        (_, true) => (0x07, "DOWNLOAD(USB/UART0/1)"),
    }
}

/// What the ROM prints after a reset; `waits` is whether it then waits for a download.
#[must_use]
pub fn rom_log(chip: Chip, reason: ResetReason, download: bool, waits: bool) -> String {
    let (code, name) = reason.text(chip);
    let (straps, mode) = boot_mode(chip, download);
    let mut log = banner(chip).to_owned();
    // Writing to a string cannot fail.
    let _ = write!(log, "rst:{code:#x} ({name}),boot:{straps:#x} ({mode})\r\n");
    if waits {
        log.push_str("waiting for download\r\n");
    }
    log
}

/// What the ROM prints when it should wait for a download and its fuses forbid it; the texts are
/// those in the ROMs of the ESP32 and of the ESP32-C3 and S3.
#[must_use]
pub const fn download_disabled_log(chip: Chip) -> &'static str {
    if matches!(chip, Chip::Esp32) {
        "Download mode is disabled. Restart with GPIO0 high.\r\n"
    } else {
        "Download boot modes disabled\r\n"
    }
}

/// What the ROM prints when it starts no bootloader; nothing when it starts one.
#[must_use]
pub fn verdict_log(finding: &Finding) -> String {
    match finding {
        Finding::NoBootloader(word) => format!("invalid header: {word:#x}\r\n").repeat(3),
        // The words are those in the ROMs.
        Finding::Untrusted => "secure boot verification failed\r\n".to_owned(),
        Finding::NoPartitionTable { .. }
        | Finding::NoApplication { .. }
        | Finding::BadApplication { .. }
        | Finding::Application { .. } => String::new(),
    }
}

/// What ROM and bootloader print about what they found.
#[must_use]
pub fn bootloader_log(finding: &Finding) -> String {
    let mut log = String::new();
    if matches!(finding, Finding::NoBootloader(_) | Finding::Untrusted) {
        return log;
    }
    let (segments, entry) = finding.loaded();
    // Writing to a string cannot fail, here and below.
    for segment in segments {
        let _ = write!(
            log,
            "load:{:#x},len:{:#x}\r\n",
            segment.address, segment.length
        );
    }
    let _ = write!(log, "entry {entry:#x}\r\n");
    log.push_str("I (24) boot: 2nd stage bootloader\r\n");
    describe(finding, &mut log);
    log
}

fn describe(finding: &Finding, log: &mut String) {
    let _ = match finding {
        Finding::NoBootloader(_) | Finding::Untrusted => Ok(()),
        Finding::NoPartitionTable { at, .. } => write!(
            log,
            "E (40) flash_parts: partition table at {at:#x} is not readable\r\n\
             E (44) boot: Failed to verify partition table\r\n\
             E (48) boot: load partition table error!\r\n"
        ),
        Finding::NoApplication { .. } => {
            log.write_str("E (52) boot: No bootable app partitions in the partition table\r\n")
        }
        Finding::BadApplication { at, reason, .. } => write!(
            log,
            "E (52) esp_image: image at {at:#x} is refused: {reason}\r\n\
             E (56) boot: Factory app partition is not bootable\r\n\
             E (60) boot: No bootable app partitions in the partition table\r\n"
        ),
        Finding::Application { at, .. } => write!(
            log,
            "I (38) boot: Partition Table: read\r\n\
             I (97) boot: Loaded app from partition at offset {at:#x}\r\n\
             I (98) boot: Disabling RNG early entropy source...\r\n"
        ),
    };
}
