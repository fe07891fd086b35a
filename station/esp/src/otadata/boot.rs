//! What the bootloader makes of the choice of a slot.

use serde::Serialize;

use super::{OtaData, State};
use crate::partition::{Entry, Kind, Subtype, Table};

/// The applications of a partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Applications {
    /// Whether there is one that stays as it was made.
    pub factory: bool,
    /// How many update slots there are.
    pub slots: u8,
}

impl Applications {
    /// The applications of a table.
    #[must_use]
    pub fn of(table: &Table) -> Self {
        let slots = table.entries().iter().filter_map(Entry::slot).count();
        Self {
            factory: table.find_subtype(Kind::App, Subtype::FACTORY).is_some(),
            // Names of slots are unique, so there are sixteen at most.
            slots: u8::try_from(slots).unwrap_or(u8::MAX),
        }
    }
}

/// What starts first; if it is not whole, the bootloader tries the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boot {
    /// The application that stays as it was made.
    Factory,
    /// The application of this update slot.
    Slot(u8),
    /// Nothing is chosen and there is no factory application: whichever is whole, from slot 0 up.
    First,
}

impl OtaData {
    /// What the bootloader starts.
    #[must_use]
    pub fn boot(&self, applications: Applications) -> Boot {
        let unchosen = if applications.factory {
            Boot::Factory
        } else {
            Boot::First
        };
        if applications.slots == 0 {
            return unchosen;
        }
        match self.active_slot(applications.slots) {
            Some(slot) => Boot::Slot(slot),
            None if self.records.iter().all(super::Record::is_out) && !applications.factory => {
                Boot::Slot(0)
            }
            None => unchosen,
        }
    }

    /// What a bootloader that can go back starts, and what it writes before.
    ///
    /// A slot that was started and never confirmed is given up; one that is new is watched.
    #[must_use]
    pub fn start(mut self, applications: Applications) -> (Boot, Self) {
        for record in &mut self.records {
            if record.state == State::PendingVerify {
                record.state = State::Aborted;
            }
        }
        let boot = self.boot(applications);
        if let (Boot::Slot(_), Some(active)) = (boot, self.active())
            && self.records[active].state == State::New
        {
            self.records[active].state = State::PendingVerify;
        }
        (boot, self)
    }
}
