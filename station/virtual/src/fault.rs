//! Fault knobs: what goes wrong with one virtual chip, chosen in text and replayed from a seed.
//!
//! Invariants: the default is a chip without faults; the same faults and seed hit the same bytes;
//! every key is checked, unknown keys and impossible values are refused.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

mod fuse;

pub use fuse::{FuseBit, FuseFaults, PulseMoment, WeakFuse};

const MILLION: u32 = 1_000_000;

/// Everything that can be wrong with a chip. Indices count from 0 since the chip was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Share of the units that have these faults, 0 to 1; the others have none.
    pub share: f64,
    /// The chip takes everything and never sends a byte.
    pub silent: bool,
    /// The chip sends bytes without end and listens to nothing.
    pub flood: bool,
    /// The application never starts: the boot ends before its first line.
    pub never_boots: bool,
    /// What happens to bytes on their way to the chip.
    pub to_chip: ByteFaults,
    /// What happens to bytes on their way to the host.
    pub from_chip: ByteFaults,
    /// A line of log text between the answers of the loader.
    pub chatter: Option<Chatter>,
    /// Answers of the loader that come too late.
    pub late: Option<Late>,
    /// Fastest rate in baud that the wire carries; anything faster arrives garbled.
    pub max_baud: Option<u32>,
    /// The loader acknowledges a change of the baud rate and does not make it.
    pub ignore_baud: bool,
    /// The supply fails once.
    pub power_loss: Option<PowerLoss>,
    /// Chance, per million received bytes, that the chip resets into its boot mode.
    pub reset_per_million: u32,
    /// Numbers of the 4 KiB flash sectors that can be neither erased nor programmed.
    pub stuck_sectors: Vec<u32>,
    /// What the flash answers to a read of its id, instead of the truth: maker, type, capacity.
    pub flash_jedec: Option<[u8; 3]>,
    /// What is wrong with its fuses.
    pub fuses: FuseFaults,
    /// The port comes back under another name after every reset; the server sees to it.
    pub reenumerate: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            share: 1.0,
            silent: false,
            flood: false,
            never_boots: false,
            to_chip: ByteFaults::default(),
            from_chip: ByteFaults::default(),
            chatter: None,
            late: None,
            max_baud: None,
            ignore_baud: false,
            power_loss: None,
            reset_per_million: 0,
            stuck_sectors: Vec::new(),
            flash_jedec: None,
            fuses: FuseFaults::default(),
            reenumerate: false,
        }
    }
}

/// Faults of single bytes in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ByteFaults {
    /// Chance, per million bytes, that a byte vanishes.
    pub drop_per_million: u32,
    /// Chance, per million bytes, that one bit of a byte flips.
    pub flip_per_million: u32,
    /// Chance, per million bytes, that the line pauses before a byte.
    pub delay_per_million: u32,
    /// Indices of bytes that vanish.
    pub drop_at: Vec<u64>,
    /// Indices of bytes of which one bit flips.
    pub flip_at: Vec<u64>,
    /// Indices of bytes before which the line pauses.
    pub delay_at: Vec<u64>,
    /// Length of a pause in milliseconds.
    pub delay_ms: u32,
}

/// Log text that a careless board mixes into the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chatter {
    /// The text, sent before an answer, outside its frame; a line end is added.
    pub text: String,
    /// Every how many answers it appears.
    pub every: u32,
}

/// Answers that come late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Late {
    /// Every how many answers one is late.
    pub every: u32,
    /// By how many milliseconds.
    pub by_ms: u32,
}

/// One failure of the supply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PowerLoss {
    /// It fails when the chip has received this many bytes.
    pub at_byte: Option<u64>,
    /// It fails in the middle of this page program (from 1, over the life of the chip).
    pub at_program: Option<u64>,
    /// It fails in the middle of this erase (from 1, over the life of the chip).
    pub at_erase: Option<u64>,
    /// It fails in this fuse-programming command (from 1, over the life of the chip).
    pub at_pulse: Option<u64>,
    /// When in that command it fails.
    pub pulse: PulseMoment,
    /// After how many milliseconds it is back; without it the chip stays off.
    pub back_after_ms: Option<u32>,
    /// The supply only dips: the chip resets with the brown-out reason instead of going dark.
    pub brownout: bool,
}

/// Why fault text was refused.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The text is no fault table.
    #[error("faults cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A value makes no sense.
    #[error("`{key}` must be {rule}")]
    Value {
        /// The key with its table.
        key: &'static str,
        /// What it may be.
        rule: &'static str,
    },
}

impl FaultError {
    /// A stable name of the error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "fault-syntax",
            Self::Value { .. } => "fault-value",
        }
    }
}

impl Faults {
    /// Reads a fault table.
    ///
    /// # Errors
    /// The text is no TOML, has unknown keys, or a value is out of its range.
    pub fn from_toml(text: &str) -> Result<Self, FaultError> {
        let faults: Self = toml::from_str(text)?;
        faults.check()?;
        Ok(faults)
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// The first value that makes no sense.
    pub fn check(&self) -> Result<(), FaultError> {
        let rule = |good: bool, key, rule| {
            if good {
                Ok(())
            } else {
                Err(FaultError::Value { key, rule })
            }
        };
        rule(
            (0.0..=1.0).contains(&self.share),
            "share",
            "between 0 and 1",
        )?;
        rule(
            self.chatter.as_ref().is_none_or(|c| c.every > 0),
            "chatter.every",
            "at least 1",
        )?;
        rule(
            self.late.as_ref().is_none_or(|late| late.every > 0),
            "late.every",
            "at least 1",
        )?;
        rule(
            self.fuses.weak.iter().all(|weak| weak.pulses > 0),
            "fuses.weak.pulses",
            "at least 1",
        )?;
        rule(self.max_baud != Some(0), "max_baud", "at least 1")?;
        rule(
            self.reset_per_million <= MILLION,
            "reset_per_million",
            "at most 1000000",
        )?;
        for bytes in [&self.to_chip, &self.from_chip] {
            let most = bytes
                .drop_per_million
                .max(bytes.flip_per_million)
                .max(bytes.delay_per_million);
            rule(
                most <= MILLION,
                "to_chip/from_chip.*_per_million",
                "at most 1000000",
            )?;
        }
        Ok(())
    }

    /// These faults for one unit: all of them, or none when the unit is not in the share.
    #[must_use]
    pub fn for_unit(&self, unit: u64, seed: u64) -> Self {
        let mut rng = stream(
            seed ^ unit.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            Stream::Share,
        );
        let drawn = f64::from(rng.next_u32()) / (f64::from(u32::MAX) + 1.0);
        if drawn < self.share {
            Self {
                share: 1.0,
                ..self.clone()
            }
        } else {
            Self::default()
        }
    }
}

/// What a stream of chance decides; streams of one seed are independent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    ToChip = 1,
    FromChip = 2,
    Share = 3,
    Chip = 4,
    Fuses = 5,
}

/// The stream of chance of `seed` for one purpose.
pub(crate) fn stream(seed: u64, purpose: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose as u64);
    rng
}

/// How far away the next hit of a one-in-a-million chance is: 0 is the very next byte.
pub(crate) fn distance(rng: &mut ChaCha8Rng, per_million: u32) -> u64 {
    if per_million == 0 {
        return u64::MAX;
    }
    if per_million >= MILLION {
        return 0;
    }
    let drawn = (f64::from(rng.next_u32()) + 1.0) / (f64::from(u32::MAX) + 2.0);
    let chance = f64::from(per_million) / f64::from(MILLION);
    // The geometric distribution, by inversion; the quotient is finite and not negative.
    (drawn.ln() / (1.0 - chance).ln()) as u64
}

/// A run of bytes that survived, and the pause before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) pause_ms: u32,
    pub(crate) bytes: Vec<u8>,
}

/// Applies byte faults to one direction.
#[derive(Debug)]
pub(crate) struct ByteLottery {
    faults: ByteFaults,
    active: bool,
    rng: ChaCha8Rng,
    index: u64,
    next_drop: u64,
    next_flip: u64,
    next_delay: u64,
}

impl ByteLottery {
    pub(crate) fn new(faults: &ByteFaults, seed: u64, purpose: Stream) -> Self {
        let mut rng = stream(seed, purpose);
        let next_drop = distance(&mut rng, faults.drop_per_million);
        let next_flip = distance(&mut rng, faults.flip_per_million);
        let next_delay = distance(&mut rng, faults.delay_per_million);
        let active = *faults != ByteFaults::default();
        Self {
            faults: faults.clone(),
            active,
            rng,
            index: 0,
            next_drop,
            next_flip,
            next_delay,
        }
    }

    /// Calls `take` for every piece that is left of `bytes`.
    pub(crate) fn apply(&mut self, bytes: Vec<u8>, mut take: impl FnMut(Piece)) {
        if !self.active {
            take(Piece { pause_ms: 0, bytes });
            return;
        }
        let mut piece = Piece {
            pause_ms: 0,
            bytes: Vec::with_capacity(bytes.len()),
        };
        for byte in bytes {
            let index = self.index;
            self.index += 1;
            if self.hit(index, Kind::Delay) {
                if !piece.bytes.is_empty() {
                    take(std::mem::replace(
                        &mut piece,
                        Piece {
                            pause_ms: 0,
                            bytes: Vec::new(),
                        },
                    ));
                }
                piece.pause_ms = self.faults.delay_ms;
            }
            if self.hit(index, Kind::Drop) {
                continue;
            }
            let flip = self.hit(index, Kind::Flip);
            let mask = if flip {
                1 << (self.rng.next_u32() % 8)
            } else {
                0
            };
            piece.bytes.push(byte ^ mask);
        }
        if !piece.bytes.is_empty() {
            take(piece);
        }
    }

    fn hit(&mut self, index: u64, kind: Kind) -> bool {
        let (next, listed, chance) = match kind {
            Kind::Drop => (
                &mut self.next_drop,
                &self.faults.drop_at,
                self.faults.drop_per_million,
            ),
            Kind::Flip => (
                &mut self.next_flip,
                &self.faults.flip_at,
                self.faults.flip_per_million,
            ),
            Kind::Delay => (
                &mut self.next_delay,
                &self.faults.delay_at,
                self.faults.delay_per_million,
            ),
        };
        if *next == index {
            *next = distance(&mut self.rng, chance)
                .saturating_add(index)
                .saturating_add(1);
            return true;
        }
        listed.contains(&index)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Drop,
    Flip,
    Delay,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(lottery: &mut ByteLottery, bytes: &[u8]) -> Vec<Piece> {
        let mut out = Vec::new();
        lottery.apply(bytes.to_vec(), |piece| out.push(piece));
        out
    }

    #[test]
    fn unknown_and_impossible_keys_are_refused() {
        assert!(Faults::from_toml("silent = true").is_ok_and(|faults| faults.silent));
        assert!(Faults::from_toml("slient = true").is_err());
        assert_eq!(
            Faults::from_toml("share = 2.0").unwrap_err().code(),
            "fault-value"
        );
        assert!(Faults::from_toml("[chatter]\ntext = \"x\"\nevery = 0").is_err());
    }

    #[test]
    fn listed_bytes_are_hit_exactly() {
        let faults = ByteFaults {
            drop_at: vec![1],
            flip_at: vec![2],
            delay_at: vec![3],
            delay_ms: 5,
            ..ByteFaults::default()
        };
        let mut lottery = ByteLottery::new(&faults, 7, Stream::ToChip);
        let out = pieces(&mut lottery, &[0, 0, 0, 9]);
        assert_eq!(out.len(), 2);
        assert_eq!(out[0].bytes.len(), 2);
        assert_eq!(out[0].bytes[1].count_ones(), 1);
        assert_eq!(
            out[1],
            Piece {
                pause_ms: 5,
                bytes: vec![9]
            }
        );
    }

    #[test]
    fn chance_is_about_as_frequent_as_it_says_and_replays() {
        let faults = ByteFaults {
            drop_per_million: 10_000,
            ..ByteFaults::default()
        };
        let run = |seed| {
            let mut lottery = ByteLottery::new(&faults, seed, Stream::ToChip);
            (0..100)
                .map(|_| pieces(&mut lottery, &[0; 1000])[0].bytes.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
        let lost = 100_000 - run(3).iter().sum::<usize>();
        assert!(
            (800..1200).contains(&lost),
            "{lost} of 100000 bytes were lost"
        );
    }

    #[test]
    fn a_share_hits_about_that_many_units_and_always_the_same() {
        let faults = Faults {
            share: 0.25,
            silent: true,
            ..Faults::default()
        };
        let hit: Vec<u64> = (0..1000)
            .filter(|unit| faults.for_unit(*unit, 1).silent)
            .collect();
        assert!(
            (200..300).contains(&hit.len()),
            "{} of 1000 units",
            hit.len()
        );
        assert!(hit.iter().all(|unit| faults.for_unit(*unit, 1).silent));
    }
}
