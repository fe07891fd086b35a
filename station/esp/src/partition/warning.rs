//! What is allowed in a partition table and still looks like a mistake.

use super::{Entry, Kind, Rules, Subtype, Table};

/// The largest application that ESP-IDF's bootloader maps.
const LARGEST_APP: u32 = 16 * 1024 * 1024;

/// Something that may be meant, but seldom is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A partition named like a type that it does not have.
    #[error("partition `{name}` is named like a type, but is of type `{kind}`")]
    NamedLikeType {
        /// The partition.
        name: String,
        /// Its type.
        kind: String,
    },
    /// A partition named like a subtype that it does not have.
    #[error("partition `{name}` is named like a subtype, but is `{kind}`, `{subtype}`")]
    NamedLikeSubtype {
        /// The partition.
        name: String,
        /// Its type.
        kind: String,
        /// Its subtype.
        subtype: String,
    },
    /// An application's partition larger than any application.
    #[error("partition `{0}` is larger than 16 MiB, which no application can be")]
    LargeApplication(String),
    /// Update slots without the data that choose one.
    #[error("update slots without a partition of type data, ota: the first one always starts")]
    NoOtadata,
    /// The data that choose an update slot without two of them.
    #[error("partition `{0}` chooses an update slot, but there are not two")]
    NoSlots(String),
    /// Update slots that do not count up from 0.
    #[error("update slot {0} is missing below a higher one")]
    MissingSlot(u8),
    /// An entry that lies in front of the one above it.
    #[error(
        "partition `{name}` lies in front of `{above}`, which stands above it: CSV of this table \
         is refused until its rows are in the order of their offsets"
    )]
    OutOfOrder {
        /// The partition.
        name: String,
        /// The one above.
        above: String,
    },
    /// A type that ESP-IDF keeps for itself.
    #[error("type {code:#04x} of partition `{name}` is reserved; own types begin at 0x40")]
    ReservedType {
        /// The partition.
        name: String,
        /// Its type.
        code: u8,
    },
}

impl Warning {
    /// The stable code of this warning.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NamedLikeType { .. } => "partition-named-like-type",
            Self::NamedLikeSubtype { .. } => "partition-named-like-subtype",
            Self::LargeApplication(_) => "partition-large-application",
            Self::NoOtadata => "partition-no-otadata",
            Self::NoSlots(_) => "partition-no-slots",
            Self::MissingSlot(_) => "partition-missing-slot",
            Self::OutOfOrder { .. } => "partition-out-of-order",
            Self::ReservedType { .. } => "partition-reserved-type",
        }
    }
}

impl Table {
    /// What looks like a mistake; the rules say which subtypes there are.
    #[must_use]
    pub fn warnings(&self, rules: &Rules) -> Vec<Warning> {
        let mut warnings: Vec<Warning> = self
            .entries()
            .iter()
            .flat_map(|entry| of_entry(entry, rules))
            .collect();
        let slots: Vec<u8> = self.entries().iter().filter_map(Entry::slot).collect();
        match self.otadata() {
            None if slots.len() > 1 => warnings.push(Warning::NoOtadata),
            Some(otadata) if slots.len() < 2 => {
                warnings.push(Warning::NoSlots(otadata.name.clone()));
            }
            Some(_) | None => {}
        }
        let highest = slots.iter().max().copied().unwrap_or(0);
        let missing = (0..highest).filter(|slot| !slots.contains(slot));
        warnings.extend(missing.map(Warning::MissingSlot));
        // The first bootloader and table have places of their own, wherever their rows stand.
        let placed = self.entries().iter().filter(|entry| !entry.is_primary());
        let placed: Vec<&Entry> = placed.collect();
        let falling = placed
            .windows(2)
            .filter(|pair| pair[1].offset < pair[0].offset);
        warnings.extend(falling.map(|pair| Warning::OutOfOrder {
            name: pair[1].name.clone(),
            above: pair[0].name.clone(),
        }));
        warnings
    }
}

fn of_entry(entry: &Entry, rules: &Rules) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let name = entry.name.clone();
    let kind = || entry.kind.name().into_owned();
    if Kind::NAMED.iter().any(|kind| kind.name() == entry.name)
        && entry.kind.name() != entry.name.as_str()
    {
        warnings.push(Warning::NamedLikeType {
            name: name.clone(),
            kind: kind(),
        });
    }
    let lower = entry.name.to_ascii_lowercase() == entry.name;
    let means = |kind: Kind| rules.code_of(kind, &entry.name).filter(|_| lower);
    if Kind::NAMED.iter().any(|kind| means(*kind).is_some())
        && means(entry.kind) != Some(entry.subtype)
    {
        let known = rules.name_of(entry.kind, entry.subtype.0);
        warnings.push(Warning::NamedLikeSubtype {
            name: name.clone(),
            kind: kind(),
            subtype: known.unwrap_or_else(|| Subtype::name(entry.subtype, entry.kind).into_owned()),
        });
    }
    if entry.kind == Kind::App && entry.size > LARGEST_APP {
        warnings.push(Warning::LargeApplication(name.clone()));
    }
    if let Kind::Custom(code @ 0x04..=0x3F) = entry.kind {
        warnings.push(Warning::ReservedType { name, code });
    }
    warnings
}
