//! What survives a power cycle, as bytes: flash and fuses.
//!
//! Invariants: a snapshot holds only sectors that were written; restoring checks everything before
//! it changes anything.
//!
//! Layout, little-endian: `VCHIP002`, the chip's image id, flash size, number of fuse words, the
//! words (every bit of every block, check words included), number of sectors, and for each its
//! number and 4096 bytes. `VCHIP001`, without the image id and with the readable words alone, is
//! still understood.

use super::core::VirtualChip;
use crate::nor::{NorFlash, SECTOR};

const MAGIC: &[u8; 8] = b"VCHIP002";
/// What snapshots began with when fuses could not be burned.
const OLD_MAGIC: &[u8; 8] = b"VCHIP001";

/// More fuse words than any chip has.
const MOST_WORDS: usize = 1024;
const OTHER_FUSES: SnapshotError = SnapshotError::OtherBoard {
    what: "number of fuses",
};

/// Why a snapshot was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are no snapshot, or a damaged one.
    #[error("snapshot is damaged at byte `{0}`")]
    Damaged(usize),
    /// The snapshot belongs to a board with another flash or chip.
    #[error("snapshot belongs to another board: `{what}` differs")]
    OtherBoard {
        /// What differs.
        what: &'static str,
    },
}

impl SnapshotError {
    /// A stable name of the error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "snapshot-damaged",
            Self::OtherBoard { .. } => "snapshot-other-board",
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], SnapshotError> {
        let end = self
            .at
            .checked_add(count)
            .ok_or(SnapshotError::Damaged(self.at))?;
        let part = self
            .bytes
            .get(self.at..end)
            .ok_or(SnapshotError::Damaged(self.at))?;
        self.at = end;
        Ok(part)
    }

    fn word(&mut self) -> Result<u32, SnapshotError> {
        let at = self.at;
        let bytes = self
            .take(4)?
            .try_into()
            .map_err(|_| SnapshotError::Damaged(at))?;
        Ok(u32::from_le_bytes(bytes))
    }
}

impl VirtualChip {
    /// Every fuse, check words included, little-endian, block by block.
    #[must_use]
    pub fn efuse_bytes(&self) -> Vec<u8> {
        self.efuse
            .words()
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect()
    }

    /// Puts back what [`VirtualChip::efuse_bytes`] gave.
    ///
    /// # Errors
    /// The bytes are those of another chip; nothing changes then.
    pub fn restore_efuse(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let (words, rest) = bytes.as_chunks::<4>();
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        if !rest.is_empty() || !self.efuse.set_words(&words) {
            return Err(OTHER_FUSES);
        }
        Ok(())
    }

    /// Flash and fuses as bytes.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let words = self.efuse.words();
        let sectors: Vec<_> = self.flash.written().collect();
        let mut out = MAGIC.to_vec();
        let word = |value: u32, out: &mut Vec<u8>| out.extend_from_slice(&value.to_le_bytes());
        word(self.spec.image_id.into(), &mut out);
        word(self.flash.size(), &mut out);
        word(words.len() as u32, &mut out);
        for value in words {
            word(value, &mut out);
        }
        word(sectors.len() as u32, &mut out);
        for (index, bytes) in sectors {
            word(index, &mut out);
            out.extend_from_slice(bytes);
        }
        out
    }

    /// Puts back what [`VirtualChip::snapshot`] gave.
    ///
    /// # Errors
    /// The bytes are damaged or belong to a board of another make; nothing changes then.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut cursor = Cursor { bytes, at: 0 };
        let magic = cursor.take(MAGIC.len())?;
        if magic != MAGIC && magic != OLD_MAGIC {
            return Err(SnapshotError::Damaged(0));
        }
        if magic == MAGIC && cursor.word()? != u32::from(self.spec.image_id) {
            return Err(SnapshotError::OtherBoard { what: "chip" });
        }
        if cursor.word()? != self.flash.size() {
            return Err(SnapshotError::OtherBoard { what: "flash size" });
        }
        let count = cursor.word()? as usize;
        if count > MOST_WORDS {
            return Err(SnapshotError::Damaged(cursor.at));
        }
        let words = (0..count)
            .map(|_| cursor.word())
            .collect::<Result<Vec<_>, _>>()?;
        let mut efuse = self.efuse.clone();
        if !efuse.set_words(&words) {
            return Err(OTHER_FUSES);
        }
        let mut flash = NorFlash::new(self.flash.size());
        for _ in 0..cursor.word()? {
            let at = cursor.at;
            let address = cursor
                .word()?
                .checked_mul(SECTOR)
                .ok_or(SnapshotError::Damaged(at))?;
            let sector = cursor.take(SECTOR as usize)?;
            flash
                .load(address, sector)
                .map_err(|_| SnapshotError::Damaged(at))?;
        }
        if cursor.at != bytes.len() {
            return Err(SnapshotError::Damaged(cursor.at));
        }
        for sector in &self.config.faults.stuck_sectors {
            flash.stick(*sector);
        }
        self.flash = flash;
        self.efuse = efuse;
        Ok(())
    }
}
