//! The unit of an attempt: who it is, that it stays the same, and its serial number.
//!
//! Invariants: a chip is asked who it is whenever a conversation begins anew; nothing is done to a
//! unit before the coordinator has let it in, on record; a unit that a check found to be none the
//! recipe is for is not changed by whatever still runs, and gets no serial number.

use tokio::sync::oneshot;

use super::attempt::Attempt;
use super::chip::Contact;
use super::failure::UNIT_NOT_LISTED;
use super::message::{Admission, Message, UnitSeen};
use crate::event::{Mac, Serial};
use crate::journal::Claim;
use crate::outcome::{Failure, FailureClass};
use crate::serial::UnitKey;

/// Who is in the bay, once it said so.
#[derive(Clone, Debug)]
pub(super) struct KnownUnit {
    mac: String,
    treatment: Treatment,
    /// Whether it was found to be none that the recipe is for. Nothing on it is changed then, and
    /// it gets no serial number.
    foreign: bool,
    serial: Option<Serial>,
}

impl KnownUnit {
    /// Whether it passed before and is only to be verified.
    pub(super) fn is_verified_only(&self) -> bool {
        self.treatment == Treatment::VerifyOnly
    }
}

/// What a unit was let in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    /// Everything.
    Whole,
    /// Only steps that change nothing.
    VerifyOnly,
}

impl Attempt<'_> {
    /// Makes sure that the loader of this attempt's chip listens.
    pub(super) async fn contact(&mut self) -> Result<(), Failure> {
        let connected = self
            .chip
            .connect(&self.bay.connector, &self.bay.connect)
            .await;
        let contact = match connected {
            Ok(contact) => contact,
            // A chip whose last pulse closed its loader does not answer at all.
            Err(failure) if failure.class == FailureClass::Contact && self.unit.is_none() => {
                return Err(self.nameless(None, failure).await);
            }
            Err(failure) => return Err(failure),
        };
        // A unit that was turned away is still unknown: whatever comes next asks again.
        if contact == Contact::Fresh || self.unit.is_none() {
            self.meet().await?;
        }
        if self.unsettled {
            self.settle().await?;
        }
        // Whenever it is contacted: a check that failed once must not be passed by a second try.
        self.check_revision()
    }

    /// Whether the unit passed before and is only to be verified.
    pub(super) fn is_verified_only(&self) -> bool {
        let unit = self.unit.as_ref();
        unit.is_some_and(KnownUnit::is_verified_only)
    }

    /// Whether the unit was found to be none that the recipe is for.
    pub(super) fn is_foreign(&self) -> bool {
        self.unit.as_ref().is_some_and(|unit| unit.foreign)
    }

    /// Takes note of whether the unit is one that the recipe is for.
    pub(super) fn belongs(&mut self, belongs: bool) {
        if let Some(unit) = &mut self.unit {
            unit.foreign = !belongs;
        }
    }

    /// Checks the chip's revision against the plan's least.
    fn check_revision(&mut self) -> Result<(), Failure> {
        let Some(least) = self.run.plan.contents().min_chip_revision else {
            return Ok(());
        };
        let found = self.chip.session()?.identity().revision;
        let Some(revision) = found.map(station_esp::Revision::value) else {
            return Ok(());
        };
        if revision >= least {
            return Ok(());
        }
        self.belongs(false);
        Err(Failure::new(
            FailureClass::Limit,
            "old-chip-revision",
            format!(
                "chip revision {}.{} is older than {}.{}",
                revision / 100,
                revision % 100,
                least / 100,
                least % 100
            ),
        ))
    }

    /// Whether the unit is known, and its chip is of this kind.
    fn is_still(&self, chip: &str) -> bool {
        self.unit.is_some() && self.values.get("chip") == Some(chip)
    }

    /// Learns who the chip is, or checks that it is still the same.
    async fn meet(&mut self) -> Result<(), Failure> {
        let identity = self.chip.session()?.identity();
        let (Some(mac), Some(revision)) = (identity.mac, identity.revision) else {
            let chip = identity.chip.name().to_owned();
            let security = identity.security;
            // The chip that this attempt has closed, on a board that has not moved since.
            if self.board_is_the_same() && self.is_still(&chip) {
                if self.closed {
                    return Ok(());
                }
                if let Some(security) = security
                    && self.settle_closed(&security).await?
                {
                    return Ok(());
                }
            }
            let failure = Failure::new(
                FailureClass::Limit,
                "secure-download",
                "only secure download mode is left: the chip does not say who it is",
            );
            return Err(self.nameless(Some(chip), failure).await);
        };
        let seen = UnitSeen {
            mac: mac.to_string(),
            chip: identity.chip.name().to_owned(),
            revision: revision.to_string(),
            flash_size: identity.flash.as_ref().map(|flash| u64::from(flash.size)),
        };
        if let Some(unit) = &self.unit {
            if unit.mac == seen.mac {
                self.stays();
                return Ok(());
            }
            return Err(Failure::new(
                FailureClass::Contact,
                "unit-changed",
                format!("`{}` is in the bay where `{}` was", seen.mac, unit.mac),
            )
            .hinted("leave the board in its bay until the attempt is over"));
        }
        self.values.set("mac", seen.mac.as_str());
        self.values.set("chip", seen.chip.as_str());
        let mac = seen.mac.clone();
        let (reply, answer) = oneshot::channel();
        self.bay
            .tell(Message::Identified {
                bay: self.bay.index,
                unit: seen,
                reply,
            })
            .await;
        let (treatment, unsettled) = match answer.await {
            Ok(Admission::Proceed { unsettled }) => (Treatment::Whole, unsettled),
            Ok(Admission::VerifyOnly { unsettled }) => (Treatment::VerifyOnly, unsettled),
            Ok(Admission::TurnedAway(failure)) => return Err(failure),
            Err(_) => return Err(Failure::journal_lost()),
        };
        self.unit = Some(KnownUnit {
            mac,
            treatment,
            foreign: false,
            serial: None,
        });
        self.unsettled = unsettled;
        self.stays();
        Ok(())
    }

    /// The unit's MAC, once it said so.
    pub(super) fn mac(&self) -> Option<Mac> {
        self.unit.as_ref().map(|unit| Mac::new(unit.mac.as_str()))
    }

    /// Makes sure that the unit has its serial number and the values that a list gives it, as far as
    /// the plan says. Comes after whatever checks that the unit belongs here, so that no number goes
    /// to one that does not. A unit that is only verified has its number already, or fails.
    pub(super) async fn ensure_serial(&mut self) -> Result<(), Failure> {
        // First, so that no number goes to a unit that the list does not name.
        self.take_values(UnitKey::Mac)?;
        self.take_serial().await?;
        self.take_values(UnitKey::Serial)
    }

    async fn take_serial(&mut self) -> Result<(), Failure> {
        let Some(source) = &self.run.plan.contents().serial else {
            return Ok(());
        };
        match &mut self.unit {
            Some(unit) if unit.serial.is_none() && !unit.foreign => {
                let claim = match unit.treatment {
                    Treatment::Whole => Claim::OwnOrNext,
                    Treatment::VerifyOnly => Claim::OwnOnly,
                };
                let (reply, answer) = oneshot::channel();
                self.bay
                    .tell(Message::NeedSerial {
                        bay: self.bay.index,
                        claim,
                        reply,
                    })
                    .await;
                let serial = answer.await.map_err(|_| Failure::journal_lost())??;
                self.values.set("serial", serial.as_str());
                if let Some(row) = source.row(serial.as_str()) {
                    for (column, value) in &row.columns {
                        self.values.set(format!("csv.{column}"), value.as_str());
                    }
                }
                unit.serial = Some(serial);
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Looks up what the plan's list has for this unit, if it names units so.
    fn take_values(&mut self, key: UnitKey) -> Result<(), Failure> {
        let Some(list) = &self.run.plan.contents().values else {
            return Ok(());
        };
        let foreign = self.is_foreign();
        let Some(unit) = self.values.get(key.word()) else {
            return Ok(());
        };
        if list.key() != key || foreign {
            return Ok(());
        }
        let Some(row) = list.find(unit) else {
            let message = format!("`{}` has no row for {} `{unit}`", list.file(), key.word());
            return Err(Failure::station(UNIT_NOT_LISTED, message)
                .hinted("add the unit to the list, or take the board out"));
        };
        for (column, value) in list.values(row) {
            self.values.set(format!("csv.{column}"), value);
        }
        Ok(())
    }
}
