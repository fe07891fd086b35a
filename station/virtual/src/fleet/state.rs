//! The state of a fleet's boards on disk: flash and fuses outlive the process.
//!
//! Invariants: a file is written whole or not at all; a board is saved when its bay has fallen
//! quiet, and once more at the end; what does not fit the fleet is refused, not overwritten.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::FleetConfig;
use crate::chip::VirtualChip;
use crate::nor::NorFlash;
use crate::server::Control;

/// How often bays are asked whether they have fallen quiet.
const TICK: Duration = Duration::from_secs(1);
/// Longest card read, in bytes.
const LONGEST_CARD: u64 = 64 * 1024;

/// Why the state of a board could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateError {
    /// The file could not be read or written.
    #[error("cannot keep state in `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what this fleet wrote.
    #[error("`{}` is not the state of this bay: {problem}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
}

impl StateError {
    /// A stable name for this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "fleet-state-io",
            Self::Foreign { .. } => "fleet-state-foreign",
        }
    }
}

/// A board that was kept.
pub(super) struct Kept {
    pub(super) unit: u64,
    pub(super) chip: VirtualChip,
}

/// What is kept of a board beside its flash.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    chip: String,
    unit: u64,
    mac: String,
    /// Every fuse of every block, check words included, in hexadecimal; the readable words alone in
    /// older cards.
    efuse: String,
}

/// A board as it was at one moment.
struct Snapshot {
    card: Card,
    flash: NorFlash,
}

/// A directory of boards: `bay1.json` and `bay1.flash` for each.
pub(super) struct StateDir {
    dir: PathBuf,
}

impl StateDir {
    pub(super) fn open(dir: &Path) -> Result<Self, StateError> {
        std::fs::create_dir_all(dir).map_err(|source| StateError::Io {
            path: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    fn path(&self, bay: &str, what: &str) -> PathBuf {
        self.dir.join(format!("{bay}.{what}"))
    }

    /// The board that was kept for a bay, if there is one.
    pub(super) fn load(&self, bay: &str, config: &FleetConfig) -> Result<Option<Kept>, StateError> {
        let path = self.path(bay, "json");
        let Some(text) = read_whole(&path, LONGEST_CARD)? else {
            return Ok(None);
        };
        let foreign = |problem: String| StateError::Foreign {
            path: path.clone(),
            problem,
        };
        let card: Card =
            serde_json::from_slice(&text).map_err(|error| foreign(error.to_string()))?;
        if card.chip != config.chip.name() {
            return Err(foreign(format!(
                "a board with {}, not {}",
                card.chip, config.chip
            )));
        }
        let mut board = config.unit(card.unit);
        board.mac = card
            .mac
            .parse()
            .map_err(|_| foreign("no MAC address".to_owned()))?;
        let mut chip = VirtualChip::new(board);
        let fuses = words(&card.efuse).ok_or_else(|| foreign("no fuses".to_owned()))?;
        if !chip.efuse_mut().set_words(&fuses) {
            return Err(foreign(format!("{} words of fuses", fuses.len())));
        }
        let path = self.path(bay, "flash");
        if let Some(bytes) = read_whole(&path, u64::from(chip.flash().size()))? {
            chip.flash_mut()
                .load(0, &bytes)
                .map_err(|error| StateError::Foreign {
                    path: path.clone(),
                    problem: error.to_string(),
                })?;
        }
        Ok(Some(Kept {
            unit: card.unit,
            chip,
        }))
    }

    /// Saves every bay that has been talked to and has fallen quiet, until something cannot be
    /// written.
    pub(super) async fn keep(&self, bays: &[(String, Control)]) -> Result<(), StateError> {
        let mut saved: BTreeMap<&str, u64> = BTreeMap::new();
        let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            for (bay, control) in bays {
                let Ok(activity) = control.activity().await else {
                    continue;
                };
                let quiet = seen.insert(bay, activity) == Some(activity);
                if quiet && saved.get(bay.as_str()) != Some(&activity) {
                    self.save(bay, control).await?;
                    saved.insert(bay, activity);
                }
            }
        }
    }

    /// Saves every bay.
    pub(super) async fn save_all(&self, bays: &[(String, Control)]) -> Result<(), StateError> {
        for (bay, control) in bays {
            self.save(bay, control).await?;
        }
        Ok(())
    }

    /// Saves the board in a bay; without a board nothing is kept for it.
    async fn save(&self, bay: &str, control: &Control) -> Result<(), StateError> {
        let snapshot = control
            .inspect(|chip| chip.map(Snapshot::of))
            .await
            .ok()
            .flatten();
        let (card, flash) = (self.path(bay, "json"), self.path(bay, "flash"));
        let write = tokio::task::spawn_blocking(move || match snapshot {
            Some(snapshot) => snapshot.write(&card, &flash),
            None => forget(&card).and_then(|()| forget(&flash)),
        });
        write.await.unwrap_or_else(|error| {
            let source = io::Error::other(error);
            Err(StateError::Io {
                path: self.dir.clone(),
                source,
            })
        })
    }
}

impl Snapshot {
    fn of(chip: &VirtualChip) -> Self {
        let config = chip.config();
        let card = Card {
            chip: config.chip.name().to_owned(),
            unit: config.unit,
            mac: config.mac.to_string(),
            efuse: text(&chip.efuse().words()),
        };
        // Sectors are shared until one side changes them, so this copies no flash.
        Self {
            card,
            flash: chip.flash().clone(),
        }
    }

    /// Writes the flash first: a card without its flash would be a board that lost its content.
    fn write(&self, card: &Path, flash: &Path) -> Result<(), StateError> {
        let mut bytes = Vec::new();
        for (number, sector) in self.flash.written() {
            bytes.resize(number as usize * sector.len(), 0xFF);
            bytes.extend_from_slice(sector);
        }
        write_whole(flash, &bytes)?;
        let mut text = serde_json::to_vec_pretty(&self.card).map_err(|error| StateError::Io {
            path: card.to_owned(),
            source: error.into(),
        })?;
        text.push(b'\n');
        write_whole(card, &text)
    }
}

/// Words of fuses as text.
fn text(words: &[u32]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:08x}")).collect();
    words.join(" ")
}

/// Words of fuses from text.
fn words(text: &str) -> Option<Vec<u32>> {
    text.split(' ')
        .map(|word| u32::from_str_radix(word, 16).ok())
        .collect()
}

/// The content of a file of at most `most` bytes; nothing if there is no such file.
fn read_whole(path: &Path, most: u64) -> Result<Option<Vec<u8>>, StateError> {
    let failed = |source| StateError::Io {
        path: path.to_owned(),
        source,
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > most {
        let problem = format!("longer than {most} bytes");
        return Err(StateError::Foreign {
            path: path.to_owned(),
            problem,
        });
    }
    Ok(Some(bytes))
}

/// Writes a file whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let write = || {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_data()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| StateError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Removes a file that may not be there.
fn forget(path: &Path) -> Result<(), StateError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StateError::Io {
            path: path.to_owned(),
            source: error,
        }),
        _ => Ok(()),
    }
}
