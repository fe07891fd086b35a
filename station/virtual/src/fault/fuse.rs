//! What can be wrong with fuses, and with the supply while they burn.

use serde::{Deserialize, Serialize};

/// What is wrong with the fuses of a chip. Bits of a coded block count on from its data into its
/// check words: 256 to 351 on Reed-Solomon coded blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FuseFaults {
    /// Fuses that need more than one pulse.
    pub weak: Vec<WeakFuse>,
    /// Fuses that never burn.
    pub stuck: Vec<FuseBit>,
    /// Fuses that the controller reads wrong, whatever they are: coding errors of their blocks.
    pub misread: Vec<FuseBit>,
    /// Bits that the repeat-error registers of block 0 show, counted through all of them.
    pub repeat_errors: Vec<u16>,
    /// Without the timing that the chip's documents ask for, only some of the fuses of a pulse
    /// burn.
    pub needs_timing: bool,
    /// How long the command register says busy after a pulse, in microseconds, in the place of
    /// the ordinary time.
    pub busy_us: Option<u32>,
}

/// One fuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FuseBit {
    /// Number of its block.
    pub block: u8,
    /// Its bit in the block.
    pub bit: u16,
}

/// A fuse that burns late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeakFuse {
    /// Number of its block.
    pub block: u8,
    /// Its bit in the block.
    pub bit: u16,
    /// The pulse that burns it, counting those that ask for it from 1.
    pub pulses: u32,
}

/// When in a pulse the supply fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PulseMoment {
    /// Before the first fuse of the pulse burns.
    Before,
    /// When some of its fuses have burned and some have not; which ones follows from the seed.
    #[default]
    Partly,
    /// When all its fuses have burned, and before the command is answered.
    After,
}
