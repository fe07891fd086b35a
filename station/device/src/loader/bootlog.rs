//! What a chip's boot log says about how it started.
//!
//! Invariants: at most [`KEPT`] bytes of what the chip printed are held; nothing here fails, a log
//! that says nothing is an answer too.
//!
//! Source: the ROM prints `boot:0x.. (..)` with its strapping, and `waiting for download` when it
//! stays in its loader (esptool, serial protocol and boot mode documentation).

/// Bytes of boot log that are kept, the newest ones.
const KEPT: usize = 4096;

/// How the chip said it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BootMode {
    /// No boot line was seen: the chip is silent, not there, or prints at another rate.
    Unseen,
    /// It waits for a loader.
    Download,
    /// It runs from flash or something else; the text is the ROM's own word for it, such as `0x8`.
    Other(String),
}

/// The newest bytes a chip printed between reset and its first answer.
#[derive(Debug, Default)]
pub(crate) struct BootLog {
    bytes: Vec<u8>,
}

impl BootLog {
    /// Adds bytes and forgets the oldest ones beyond the bound.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > KEPT {
            self.bytes.drain(..self.bytes.len() - KEPT);
        }
    }

    /// Forgets everything, as before a reset.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Whether the ROM has said its last word before it listens.
    pub(crate) fn waits_for_download(&self) -> bool {
        self.bytes.ends_with(b"waiting for download\r\n")
    }

    /// Judges by the last boot line.
    pub(crate) fn mode(&self) -> BootMode {
        let text = String::from_utf8_lossy(&self.bytes);
        let Some(at) = text.rfind("boot:0x") else {
            return BootMode::Unseen;
        };
        let line = &text[at + "boot:".len()..];
        if line.contains("waiting for download") || line.contains("DOWNLOAD") {
            return BootMode::Download;
        }
        let word: String = line
            .chars()
            .take_while(|c| c.is_ascii_hexdigit() || *c == 'x')
            .take(10)
            .collect();
        BootMode::Other(word)
    }

    /// The last printable line, for people, at most 80 characters.
    pub(crate) fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let line = text
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        line.chars().filter(|c| !c.is_control()).take(80).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> BootLog {
        let mut log = BootLog::default();
        log.add(text.as_bytes());
        log
    }

    #[test]
    fn a_chip_that_waits_for_download_is_recognised() {
        let text = "ESP-ROM:esp32c3-api1-20210207\r\nrst:0x1 (POWERON),boot:0x5 (DOWNLOAD(USB/UART0/1))\r\nwaiting for download\r\n";
        assert_eq!(log(text).mode(), BootMode::Download);
        assert!(log(text).waits_for_download());
    }

    #[test]
    fn a_chip_that_booted_its_flash_says_which_straps_it_saw() {
        let text = "rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)\r\nSPIWP:0xee\r\n";
        assert_eq!(log(text).mode(), BootMode::Other("0xc".into()));
    }

    #[test]
    fn only_the_last_boot_counts() {
        let text = "boot:0xc (SPI_FAST_FLASH_BOOT)\r\nboot:0x4 (DOWNLOAD(USB/UART0))\r\n";
        assert_eq!(log(text).mode(), BootMode::Download);
    }

    #[test]
    fn a_flood_is_held_within_its_bound() {
        let mut log = BootLog::default();
        for _ in 0..100 {
            log.add(&[b'x'; 1000]);
        }
        assert_eq!(log.bytes.len(), KEPT);
        assert_eq!(log.mode(), BootMode::Unseen);
    }
}
