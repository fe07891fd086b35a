//! What earlier attempts meant to burn into a unit, and what its chip says of it.
//!
//! Invariants: while a pulse has an end that nobody knows, nothing else is done to its unit; what
//! the chip says is recorded before anything follows from it; a chip that contradicts the record,
//! or cannot say, puts its unit aside with the reason.

use station_esp::command::SecurityInfo;
use station_esp::efuse::plan::PulseRecord;
use station_esp::efuse::reconcile::{Reconciled, Verdict, reconcile, reconcile_closed};
use tokio::sync::oneshot;

use super::attempt::Attempt;
use super::coordinator::Coordinator;
use super::failure::QUARANTINED;
use super::message::{Message, UnitBurns};
use crate::event::{EventKind, ReconcileVerdict};
use crate::journal::{BurnRow, BurnState, JournalError, Quarantine};
use crate::outcome::{Failure, FailureClass};

/// Code of a unit whose last pulse may have closed its loader, so that it cannot be asked.
const CLOSED_UNSEEN: &str = "closed-unverified";

impl Attempt<'_> {
    /// Compares what nobody knows the end of with what the chip says.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        let open = self.burns().await?.open;
        if open.is_empty() {
            self.unsettled = false;
            return Ok(());
        }
        let snapshot = self.chip.session()?.fuse_snapshot().await?;
        self.found(reconcile(&open, &snapshot)).await
    }

    /// Settles with a chip that this attempt knows and that has secure download mode on by now: it
    /// shows no fuse, but says that the pulse which closes it was burned. Tells whether that was
    /// what nobody knew the end of.
    pub(super) async fn settle_closed(&mut self, info: &SecurityInfo) -> Result<bool, Failure> {
        let open = self.burns().await?.open;
        if !self.unsettled || !open.iter().any(|pulse| pulse.last_contact) {
            return Ok(false);
        }
        self.found(reconcile_closed(&open, info)).await?;
        self.closed = true;
        Ok(true)
    }

    /// Records what was found of pulses that nobody knew the end of, and what follows from it.
    async fn found(&mut self, verdicts: Vec<Reconciled>) -> Result<(), Failure> {
        let mac = self.mac().ok_or_else(|| Failure::internal("the unit"))?;
        let pen = self.bay.pen();
        let mut unclear = None;
        for found in verdicts {
            pen.write(EventKind::burn_reconciled(Some(self.id), &mac, &found))
                .await?;
            if let Verdict::Unclear { reason } = found.verdict {
                unclear.get_or_insert(reason);
            }
        }
        match unclear {
            Some(reason) => Err(self.quarantine("burn-unclear", reason).await),
            None => {
                self.unsettled = false;
                Ok(())
            }
        }
    }

    /// Puts the unit aside and returns the failure that says so.
    pub(super) async fn quarantine(&mut self, code: &str, reason: String) -> Failure {
        let Some(mac) = self.mac() else {
            return Failure::internal("the unit");
        };
        let event = EventKind::UnitQuarantined {
            attempt: Some(self.id),
            mac,
            code: code.to_owned(),
            reason: reason.clone(),
        };
        match self.bay.pen().write(event).await {
            Ok(()) => Failure::new(FailureClass::Efuse, code, reason)
                .hinted("the unit is put aside; have somebody look at it"),
            Err(failure) => failure,
        }
    }

    /// What was ever meant to be burned into the unit.
    pub(super) async fn burns(&mut self) -> Result<UnitBurns, Failure> {
        let (reply, answer) = oneshot::channel();
        let bay = self.bay.index;
        self.bay.tell(Message::Burns { bay, reply }).await;
        answer
            .await
            .unwrap_or_else(|_| Err(Failure::journal_lost()))
    }

    /// What to call a chip that does not say who it is.
    pub(super) async fn nameless(&mut self, chip: Option<String>, failure: Failure) -> Failure {
        // Whoever burns nothing has left nothing open.
        if chip.is_none() && !self.run.plan.is_irreversible() {
            return failure;
        }
        let (reply, answer) = oneshot::channel();
        self.bay
            .tell(Message::Nameless {
                bay: self.bay.index,
                chip,
                failure,
                reply,
            })
            .await;
        answer.await.unwrap_or_else(|_| Failure::journal_lost())
    }
}

impl Coordinator {
    /// What was ever meant to be burned into the unit in a bay.
    pub(super) async fn burns_of(&mut self, bay: usize) -> Result<UnitBurns, Failure> {
        let open = self.seats[bay].open.as_ref();
        let Some(mac) = open.and_then(|open| open.mac.clone()) else {
            return Err(Failure::internal("the attempt's unit"));
        };
        match self.record.burns(&mac).await {
            Ok(rows) => Ok(UnitBurns {
                open: pulses(rows.iter().filter(|row| row.state.is_unfinished())),
                earlier: pulses(rows.iter().filter(|row| row.state.may_be_there())),
                partly: rows
                    .iter()
                    .filter(|row| matches!(row.state, BurnState::Partly | BurnState::Failed))
                    .map(|row| row.pulse.block)
                    .collect(),
            }),
            Err(error) => Err(self.unreadable(error)),
        }
    }

    fn unreadable(&mut self, error: JournalError) -> Failure {
        if error.is_loss() {
            self.lose(error);
            return Failure::journal_lost();
        }
        Failure::station(error.code(), error.to_string())
    }

    /// A chip that does not say who it is may be the one whose last pulse closed its loader in an
    /// attempt that broke off in this bay. Then nobody can verify that unit any more, and it is put
    /// aside. It is never taken for that unit; and a unit that is in another bay by now, or was, is
    /// not the one here, and nothing is said of it.
    pub(super) async fn nameless(
        &mut self,
        bay: usize,
        chip: Option<&str>,
        failure: Failure,
    ) -> Failure {
        let name = self.seats[bay].name.clone();
        let last = match self.record.last_closed_in(&name).await {
            Ok(Some(last)) if chip.is_none_or(|chip| chip == last.burn.chip) => last,
            Ok(_) => return failure,
            Err(error) => return self.unreadable(error),
        };
        let LastClosed { burn, quarantine } = last;
        let reason = match quarantine {
            Some(quarantine) => quarantine.reason,
            None => {
                let reason = unseen(&burn, &failure);
                if let Err(error) = self.set_aside(bay, &burn, reason.clone()).await {
                    return self.unreadable(error);
                }
                reason
            }
        };
        let message = format!(
            "{}; `{}` was here last: {reason}",
            failure.message, burn.mac
        );
        Failure::new(FailureClass::Efuse, CLOSED_UNSEEN, message)
            .hinted("have somebody look at the unit; it may be complete")
    }

    async fn set_aside(
        &mut self,
        bay: usize,
        burn: &BurnRow,
        reason: String,
    ) -> Result<(), JournalError> {
        // The attempt of now knows no MAC: the facts are the unit's, not the attempt's.
        if burn.state == BurnState::Open {
            let reconciled = EventKind::BurnReconciled {
                attempt: None,
                mac: burn.mac.clone(),
                plan: burn.pulse.plan.clone(),
                number: burn.pulse.number,
                verdict: ReconcileVerdict::Unclear,
                detail: Some(reason.clone()),
            };
            self.record.note(reconciled).await?;
        }
        let aside = EventKind::UnitQuarantined {
            attempt: None,
            mac: burn.mac.clone(),
            code: CLOSED_UNSEEN.to_owned(),
            reason: reason.clone(),
        };
        self.record.note(aside).await?;
        self.record.add(EventKind::Refused {
            operation: "attempt".to_owned(),
            code: QUARANTINED.to_owned(),
            reason: format!("bay `{}`: `{}`: {reason}", self.seats[bay].name, burn.mac),
        });
        Ok(())
    }
}

/// Why a unit with a closed loader is put aside.
fn unseen(burn: &BurnRow, failure: &Failure) -> String {
    let pulse = &burn.pulse;
    let what = match burn.state {
        BurnState::Open | BurnState::Unclear => "was under way when the attempt broke off",
        BurnState::Done
        | BurnState::Silent
        | BurnState::Failed
        | BurnState::NotDone
        | BurnState::Partly
        | BurnState::Released => "was burned, and the attempt broke off before the unit had passed",
    };
    format!(
        "pulse {} of {}, which closes the loader, {what}; the chip cannot be asked any more ({})",
        pulse.number, pulse.of, failure.code
    )
}

/// The last unit of a bay, if its loader was, or was to be, closed.
#[derive(Debug)]
pub(super) struct LastClosed {
    /// The pulse that closes it.
    pub(super) burn: BurnRow,
    /// Why it is put aside already.
    pub(super) quarantine: Option<Quarantine>,
}

fn pulses<'a>(rows: impl Iterator<Item = &'a BurnRow>) -> Vec<PulseRecord> {
    rows.map(|row| row.pulse.clone()).collect()
}
