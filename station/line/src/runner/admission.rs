//! What happens when a chip has said who it is: whether the unit is let in, and its serial number.

use super::coordinator::Coordinator;
use super::failure::{ALREADY_PASSED, QUARANTINED};
use super::message::{Admission, UnitSeen};
use crate::event::{EventKind, Mac, Serial};
use crate::journal::{Claim, JournalError, Standing};
use crate::outcome::{Failure, FailureClass};
use crate::plan::SeenBefore;

impl Coordinator {
    /// Records who is in a bay and decides whether it is let in.
    ///
    /// A unit that already passed and is turned away ends its attempt `Aborted` (class Cancelled,
    /// code `already-passed`): nothing was done to it, so that neither the unit nor the station is
    /// blamed and no yield counts it.
    pub(super) async fn identified(&mut self, bay: usize, unit: UnitSeen) -> Admission {
        let mac = Mac::new(unit.mac);
        if !mac.is_valid() {
            return Admission::TurnedAway(Failure::new(
                FailureClass::Limit,
                "invalid-mac",
                format!("the chip says its MAC is `{mac}`, which no unit has"),
            ));
        }
        let standing = match self.standing(&mac).await {
            Ok(standing) => standing,
            Err(error) => {
                self.lose(error);
                return Admission::TurnedAway(Failure::journal_lost());
            }
        };
        // The bay itself may have been turned away before and ask again.
        let others = self.seats.iter().enumerate().filter(|(at, _)| *at != bay);
        let twin = others.map(|(_, seat)| seat).find(|seat| {
            seat.open
                .as_ref()
                .is_some_and(|open| open.mac.as_ref() == Some(&mac))
        });
        let twin = twin.map(|seat| seat.name.clone());
        let Some(open) = &mut self.seats[bay].open else {
            return Admission::TurnedAway(Failure::internal("the attempt"));
        };
        open.mac = Some(mac.clone());
        open.passed_before = standing.passed;
        self.share.learn(standing.passed_units);
        self.record.add(EventKind::UnitIdentified {
            attempt: open.id,
            mac: mac.clone(),
            chip: unit.chip,
            revision: unit.revision,
            flash_size: unit.flash_size,
            earlier_attempts: standing.attempts,
        });
        if let Some(other) = twin {
            return Admission::TurnedAway(
                Failure::station(
                    "mac-in-two-bays",
                    format!("`{mac}` is in bay `{other}` too"),
                )
                .hinted("two bays lead to one board, or one of the chips is a copy"),
            );
        }
        if let Some(quarantine) = &standing.quarantine {
            return self.keep_aside(&mac, &quarantine.code, &quarantine.reason);
        }
        let unsettled = standing.open_burns > 0;
        match self.context.plan.contents().run.seen_before {
            SeenBefore::Refuse if standing.passed => self.turn_away(&mac),
            SeenBefore::Verify if standing.passed => Admission::VerifyOnly { unsettled },
            SeenBefore::Refuse | SeenBefore::Verify | SeenBefore::Repeat => {
                Admission::Proceed { unsettled }
            }
        }
    }

    async fn standing(&mut self, mac: &Mac) -> Result<Standing, JournalError> {
        let plan = &self.context.plan;
        let contents = plan.contents();
        self.record
            .standing(mac, &contents.product, contents.revision.as_deref())
            .await
    }

    /// Turns a unit away that was put aside, for the reason it was put aside.
    fn keep_aside(&mut self, mac: &Mac, code: &str, reason: &str) -> Admission {
        let message = format!("`{mac}` was put aside ({code}): {reason}");
        self.record.add(EventKind::Refused {
            operation: "attempt".to_owned(),
            code: QUARANTINED.to_owned(),
            reason: message.clone(),
        });
        let failure = Failure::new(FailureClass::Efuse, QUARANTINED, message);
        let hint = "have somebody look at the unit; who releases it says so in the journal";
        Admission::TurnedAway(failure.hinted(hint))
    }

    fn turn_away(&mut self, mac: &Mac) -> Admission {
        let reason = format!("`{mac}` already passed");
        self.record.add(EventKind::Refused {
            operation: "attempt".to_owned(),
            code: ALREADY_PASSED.to_owned(),
            reason: reason.clone(),
        });
        let failure = Failure::new(FailureClass::Cancelled, ALREADY_PASSED, reason);
        let hint = "a recipe with `seen_before = \"repeat\"` or `\"verify\"` takes it again";
        Admission::TurnedAway(failure.hinted(hint))
    }

    /// Has a serial number bound to a bay's unit, and reserved if it may have a new one.
    pub(super) async fn serial_for(&mut self, bay: usize, claim: Claim) -> Result<Serial, Failure> {
        let Some(source) = self.serials.clone() else {
            return Err(Failure::internal("the plan's serial numbers"));
        };
        let open = self.seats[bay].open.as_ref();
        let Some((attempt, mac)) = open.and_then(|open| Some((open.id, open.mac.clone()?))) else {
            return Err(Failure::internal("the attempt's unit"));
        };
        match self.record.reserve(attempt, mac, source, claim).await {
            Ok(serial) => {
                if let Some(open) = &mut self.seats[bay].open {
                    open.serial = Some(serial.clone());
                }
                Ok(serial)
            }
            Err(error) if error.is_loss() => {
                self.lose(error);
                Err(Failure::journal_lost())
            }
            Err(error) => {
                // Without numbers no unit can pass: more boards would only be turned into errors.
                if matches!(error, JournalError::PoolDry { .. }) {
                    self.close(Some(error.to_string()));
                }
                // A unit without the number it should have is not what the recipe makes.
                let class = if matches!(error, JournalError::NoSerial { .. }) {
                    FailureClass::Verify
                } else {
                    FailureClass::Station
                };
                let mut failure = Failure::new(class, error.code(), error.to_string());
                failure.hint = error.hint().map(str::to_owned);
                Err(failure)
            }
        }
    }
}
