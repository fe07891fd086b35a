//! What is written down about a pulse before it is burned.

use serde::{Deserialize, Serialize};

use super::token::Token;

/// One intended programming command, without any key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PulseRecord {
    /// Digest of the plan it belongs to, in hex.
    pub plan: String,
    /// Its place in the plan, from 1.
    pub number: u16,
    /// How many pulses the plan has.
    pub of: u16,
    /// The block it burns.
    pub block: u8,
    /// What the block reads before.
    pub before: Token,
    /// What the block reads afterwards.
    pub after: Token,
    /// What it does, in words, a line each.
    pub does: Vec<String>,
    /// Whether the chip may stop answering the loader once the fuses are read again.
    pub last_contact: bool,
}
