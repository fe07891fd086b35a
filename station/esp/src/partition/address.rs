//! Places in flash by number or by the name of a partition.

use super::number::number;
use super::{Entry, Table};

/// A place in flash that cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No partition has this name.
    #[error("no partition `{0}`")]
    Unknown(String),
    /// What follows the name is no distance.
    #[error("`{0}` is no distance such as `0x1000` or `4K`")]
    Distance(String),
    /// The distance leads out of the partition.
    #[error("{} is not inside partition `{name}` of {size:#x}", signed(*distance))]
    Outside {
        /// The partition.
        name: String,
        /// How far into it.
        distance: i64,
        /// Its bytes.
        size: u32,
    },
    /// The number is not between 0 and 4 GiB.
    #[error("`{0}` is no offset in flash")]
    Beyond(String),
}

/// A distance as people write it: hexadecimal, behind its sign.
fn signed(distance: i64) -> String {
    let sign = if distance < 0 { "-" } else { "" };
    format!("{sign}{:#x}", distance.unsigned_abs())
}

impl AddressError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "partition-unknown",
            Self::Distance(_) => "partition-distance",
            Self::Outside { .. } => "partition-distance-outside",
            Self::Beyond(_) => "partition-address",
        }
    }
}

impl Table {
    /// The offset that `text` says: the name of a partition, such a name with `+` and a distance
    /// into it, or a number. A partition whose name is a number is found by its name.
    ///
    /// # Errors
    /// When there is no such place.
    pub fn address(&self, text: &str) -> Result<u32, AddressError> {
        let text = text.trim();
        if let Some(entry) = self.find(text) {
            return Ok(entry.offset);
        }
        if let Some(value) = number(text) {
            return u32::try_from(value).map_err(|_| AddressError::Beyond(text.to_owned()));
        }
        let unknown = || AddressError::Unknown(text.to_owned());
        let (name, distance) = text.rsplit_once('+').ok_or_else(unknown)?;
        let entry = self
            .find(name.trim())
            .ok_or_else(|| AddressError::Unknown(name.trim().to_owned()))?;
        let distance = distance.trim();
        let distance =
            number(distance).ok_or_else(|| AddressError::Distance(distance.to_owned()))?;
        inside(entry, distance)
    }
}

fn inside(entry: &Entry, distance: i64) -> Result<u32, AddressError> {
    u32::try_from(distance)
        .ok()
        .filter(|distance| *distance < entry.size)
        .and_then(|distance| entry.offset.checked_add(distance))
        .ok_or_else(|| AddressError::Outside {
            name: entry.name.clone(),
            distance,
            size: entry.size,
        })
}
