//! How a conversation with a chip is begun and ended.

use std::time::Duration;

use station_esp::Chip;

use crate::loader::BaudMemory;

/// What to expect of the chip and how hard to try.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Chips that are welcome; empty means any.
    pub chips: Vec<Chip>,
    /// Rates for the conversation, fastest first. Rates at or below 115200 baud mean the ROM's own.
    pub bauds: Vec<u32>,
    /// Whether the flasher stub is loaded where the chip allows it.
    pub stub: bool,
    /// Whether the chip is reset into its bootloader first. Without it, or where the port has no
    /// means to, a loader that already listens is looked for at every rate of `bauds`.
    pub reset: bool,
    /// Longest the whole connection may take, from the first reset to the identified chip.
    pub deadline: Duration,
    /// Resets tried.
    pub resets: u32,
    /// Greetings sent after each reset.
    pub greetings: u32,
    /// Flash size in bytes for chips that cannot be asked (secure download mode).
    pub flash_size: Option<u32>,
    /// What this bay knows about rates; keep one clone per bay.
    pub baud_memory: BaudMemory,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            chips: Vec::new(),
            bauds: vec![921_600, 460_800, 230_400],
            stub: true,
            reset: true,
            deadline: Duration::from_secs(20),
            resets: 4,
            greetings: 5,
            flash_size: None,
            baud_memory: BaudMemory::default(),
        }
    }
}

/// What becomes of the chip when a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterSession {
    /// It is reset and runs what is in flash.
    Application,
    /// It stays in the loader, at the session's rate.
    Stay,
}
